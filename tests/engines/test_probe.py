"""What doctor finds out about a server, against real servers that lack one thing each: findings, never an error."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from selfinstruct.engines import http, probe
from selfinstruct.engines.http import HttpEngine
from selfinstruct.engines.probe import Finding
from selfinstruct.errors import UnreachableError
from tests.support.fake_server import FakeServer


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(http, "LONGEST_WAIT", 0.05)


async def findings(server: FakeServer, **fields: Any) -> tuple[list[Finding], str]:
    async with HttpEngine(base_url=server.base_url, **fields) as engine:
        found = await probe.probe(engine)
    return found, "\n".join(one.text for one in found)


def plain(body: dict[str, Any]) -> dict[str, Any] | web.Response:
    """A server that ignores what it does not know, as most do, and has no completions."""
    if "prompt" in body:
        return web.Response(status=404, text="Not Found")
    one = {"finish_reason": "stop", "message": {"content": "Hello!"}}
    return {"choices": [{"index": index, **one} for index in range(body["n"])]}


def able(body: dict[str, Any]) -> dict[str, Any]:
    """A server that obeys every field that the probe sends."""
    wanted = body.get("structured_outputs", {})
    text = wanted["choice"][1] if "choice" in wanted else '{"k":"quartz"}' if "json" in wanted else "Hello!"
    tops = {"content": [{"top_logprobs": [{"token": "Hello", "logprob": -0.1}]}]} if body.get("logprobs") else None
    said = {"text": text} if "prompt" in body else {"message": {"content": text}}
    return {"choices": [{"index": i, "finish_reason": "stop", "logprobs": tops, **said} for i in range(body["n"])]}


async def test_a_server_that_can_everything() -> None:
    """Every finding is good, and none asks for anything."""
    async with FakeServer(answer=able) as server:
        found, text = await findings(server)
    assert all(one.good and not one.remedy for one in found), text
    for line in (
        "context of 4096 tokens",
        "completions work",
        "one request: yes",
        "constrain",
        "log-probabilities: yes",
    ):
        assert line in text


async def test_a_constraint_that_is_ignored_is_found_out() -> None:
    """Status 200 proves nothing: the answer is looked at, and the remedy told; a missing endpoint is a finding too."""
    async with FakeServer(answer=plain) as server:
        found, text = await findings(server)
    bad = [one for one in found if not one.good]
    assert [one.text for one in bad] == ["structured outputs do not constrain: got 'Hello!' and 'Hello!'"]
    assert "structured_outputs=openai|none" in bad[0].remedy
    assert "completions do not work" in text
    assert "n answers in one request: yes" in text


async def test_the_dialect_in_use_is_the_one_probed() -> None:
    """With openai a schema alone is asked for; with none, nothing is."""

    def openai(body: dict[str, Any]) -> dict[str, Any] | web.Response:
        reply = plain(body)
        if "response_format" in body and isinstance(reply, dict):
            reply["choices"][0]["message"]["content"] = '{"k":"bramble"}'
        return reply

    async with FakeServer(answer=openai) as server:
        assert "really constrain" in (await findings(server, structured_outputs="openai"))[1]
        assert "switched off" in (await findings(server, structured_outputs="none"))[1]
        assert "do not constrain" in (await findings(server, structured_outputs="vllm"))[1]


async def test_a_model_without_chat_is_found_out() -> None:
    """Every chat question is refused; the completions work; nothing is raised."""

    def no_chat(body: dict[str, Any]) -> dict[str, Any] | web.Response:
        if "messages" in body:
            return web.json_response({"error": {"message": "no chat template"}}, status=400)
        return {"choices": [{"finish_reason": "stop", "text": "x"}]}

    async with FakeServer(answer=no_chat) as server:
        found, text = await findings(server)
    assert "chat does not work: status 400: no chat template" in text
    assert "completions work" in text
    assert all(one.remedy for one in found if not one.good)


async def test_a_key_that_answers_need_is_a_finding() -> None:
    """Some servers list their models to everybody."""
    async with FakeServer(fault=lambda _digest, _tries: "401") as server:
        assert "refuses the key" in (await findings(server))[1]


async def test_a_doctor_does_not_wait_as_a_run_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hang is a finding after its time; a server that stays busy ends the visit, whatever the engine's patience."""
    monkeypatch.setattr(probe, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(probe, "PATIENCE_SECONDS", 0.05)
    async with FakeServer(fault=lambda _digest, _tries: "hang") as server:
        assert "chat does not work: no answer within 0.1 s" in (await findings(server))[1]
    async with FakeServer(fault=lambda _digest, _tries: "503") as server:
        with pytest.raises(UnreachableError, match="503"):
            await findings(server, patience=600)
