"""What doctor finds out about a server, against real servers that lack one thing each: findings, never an error."""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from selfinstruct import pipeline, recipe
from selfinstruct.engines import http, probe
from selfinstruct.engines.base import Ability, CompletionRequest, JsonSchema, Sampling, user
from selfinstruct.engines.http import HttpEngine
from selfinstruct.engines.probe import Finding
from selfinstruct.engines.scripted import ScriptedEngine
from selfinstruct.errors import BadInputError, UnreachableError
from tests.support.fake_server import Answer, FakeServer, scripted


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


def openai(body: dict[str, Any]) -> dict[str, Any] | web.Response:
    """A server that knows OpenAI's way of constraints, and ignores vLLM's."""
    reply = plain(body)
    if "response_format" in body and isinstance(reply, dict):
        reply["choices"][0]["message"]["content"] = '{"k":"bramble"}'
    return reply


async def test_a_server_that_can_everything() -> None:
    """Every finding is good, and none asks for anything."""
    async with FakeServer(answer=able) as server:
        found, text = await findings(server)
    assert all(one.good and not one.remedy for one in found), text
    for line in (
        "context of 4096 tokens",
        "completions work",
        "one request: yes",
        "really constrain, written as vllm has them",
        "32 short answers at once",
        "log-probabilities: yes",
    ):
        assert line in text


async def test_a_constraint_that_is_ignored_is_found_out() -> None:
    """Status 200 proves nothing: the answer is looked at, and the remedy told; a missing endpoint is a finding too."""
    async with FakeServer(answer=plain) as server:
        found, text = await findings(server)
    bad = [one for one in found if not one.good]
    assert [one.text for one in bad] == [
        "structured outputs do not constrain: vllm got 'Hello!' and 'Hello!', openai got 'Hello!'"
    ]
    assert "structured_outputs=openai|none" in bad[0].remedy
    assert "completions do not work" in text
    assert "n answers in one request: yes" in text


async def test_the_dialect_in_use_is_the_one_probed() -> None:
    """With openai a schema alone is asked for; with none, nothing is."""
    async with FakeServer(answer=openai) as server:
        assert "really constrain" in (await findings(server, structured_outputs="openai"))[1]
        assert "switched off" in (await findings(server, structured_outputs="none"))[1]
        assert "do not constrain" in (await findings(server, structured_outputs="vllm"))[1]


async def test_a_server_that_answers_one_after_the_other_is_found_out() -> None:
    """32 at once take 32 times as long: a run there would take a day where it could take an hour."""
    turn = asyncio.Lock()

    async def slowly(body: dict[str, Any]) -> dict[str, Any]:
        async with turn:
            await asyncio.sleep(0.05)
        return able(body)

    async with FakeServer(answer=slowly) as server:
        found, _ = await findings(server)
    (bad,) = [one for one in found if not one.good]
    assert "32 short answers at once take" in bad.text
    assert "one after the other" in bad.remedy


# -- what a run does about it -------------------------------------------------------------------------------------

EVERYTHING = frozenset(Ability)
CHATTING = EVERYTHING - {Ability.COMPLETIONS}


async def surveyed(answer: Answer, wanted: AbstractSet[Ability] = CHATTING, **fields: Any) -> probe.Survey:
    async with FakeServer(answer=answer) as server, HttpEngine(base_url=server.base_url, **fields) as engine:
        return await probe.survey(engine, wanted)


async def test_nothing_is_said_of_a_server_that_can_everything() -> None:
    """And nothing is changed."""
    assert await surveyed(able, EVERYTHING) == probe.Survey(dialect="vllm", singly=False, notes=())


async def test_what_is_not_wanted_is_not_asked() -> None:
    """A completion model is not asked to chat, nor anything else."""
    async with FakeServer(answer=able) as server, HttpEngine(base_url=server.base_url) as engine:
        await probe.survey(engine, {Ability.COMPLETIONS})
        assert [sorted(body.keys() & {"prompt", "messages"}) for body in server.bodies] == [["prompt"]] * 2


async def test_the_way_of_constraints_is_found() -> None:
    """VLLM's where it is kept to, else OpenAI's, else none; and each is told but the first."""
    found = await surveyed(openai)
    assert (found.dialect, "as openai has them" in found.notes[0]) == ("openai", True)
    found = await surveyed(plain)
    assert (found.dialect, "keeps to no constraint" in found.notes[0]) == ("none", True)
    found = await surveyed(plain, structured_outputs="vllm")
    assert "keeps to no constraint" in found.notes[0]
    assert not (await surveyed(plain, structured_outputs="none")).notes


async def test_a_server_that_refuses_unknown_fields_gets_none() -> None:
    """As OpenAI's own: `structured_outputs` and `repetition_detection` are refused, and then not sent."""

    def strict(body: dict[str, Any]) -> dict[str, Any] | web.Response:
        if unknown := body.keys() & {"structured_outputs", "repetition_detection"}:
            return web.json_response({"error": {"message": f"unknown field {unknown.pop()}"}}, status=400)
        return openai(body)

    async with FakeServer(answer=strict) as server, HttpEngine(base_url=server.base_url) as engine:
        assert await engine.prepare(CHATTING)
        constraint = JsonSchema(schema_={"type": "object", "title": "Any"})
        request = CompletionRequest(id="1", prompt=user("hi"), sampling=Sampling(max_tokens=8), constraint=constraint)
        assert (await engine.complete(request)).completions[0].text == '{"k":"bramble"}'


@pytest.mark.parametrize("refuses", [True, False])
async def test_a_server_that_writes_one_answer_is_asked_several_times(*, refuses: bool) -> None:
    """N answers come all the same, drawn apart, and their tokens are added up; some servers refuse n, some ignore it."""

    def single(body: dict[str, Any]) -> dict[str, Any] | web.Response:
        if body["n"] > 1 and refuses:
            return web.json_response({"error": {"message": "n must be 1"}}, status=400)
        return able(body | {"n": 1}) | {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}

    async with FakeServer(answer=single) as server, HttpEngine(base_url=server.base_url) as engine:
        (note,) = await engine.prepare(CHATTING)
        assert "one by one" in note
        before = len(server.bodies)
        request = CompletionRequest(id="a", prompt=user("hi"), sampling=Sampling(max_tokens=8), n=3, seed=7)
        reply = await engine.complete(request)
        assert len(reply.completions) == 3
        assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (9, 6)
        assert [body["seed"] for body in server.bodies[before:]] == [7, 8, 9]


async def test_no_chat_is_no_run() -> None:
    """It would fail at every record; where chat is not wanted it is no matter."""

    def no_chat(body: dict[str, Any]) -> dict[str, Any] | web.Response:
        if "messages" in body:
            return web.json_response({"error": {"message": "no chat template"}}, status=400)
        return able(body)

    with pytest.raises(BadInputError, match=r"does not chat as .*: status 400: no chat template") as caught:
        await surveyed(no_chat)
    assert "recipe self-instruct" in caught.value.remedy
    assert not (await surveyed(no_chat, {Ability.COMPLETIONS})).notes


async def test_a_failure_in_passing_decides_nothing() -> None:
    """A server that fails now may be well in a minute: a run begins as if it could everything."""
    async with (
        FakeServer(fault=lambda _digest, _tries: "500") as server,
        HttpEngine(base_url=server.base_url, attempts=2) as engine,
    ):
        assert await probe.survey(engine, EVERYTHING) == probe.Survey(dialect="vllm", singly=False, notes=())


async def test_a_run_tells_what_it_does_about_a_server(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Once, as a warning, with the name of the engine; and the run does it."""
    engine = ScriptedEngine()

    async def ignoring(body: dict[str, Any]) -> dict[str, Any]:
        known = {name: value for name, value in body.items() if name not in {"structured_outputs", "response_format"}}
        return await scripted(known, engine)

    async with FakeServer(answer=ignoring) as server:
        loaded = recipe.load("chat", environment={}, flags={"engines.writer.base_url": server.base_url})
        await pipeline.run(loaded, tmp_path / "run", target=3)
        sent = [body for body in server.bodies if "Write" in str(body.get("messages"))]
        assert sent
        assert not any("structured_outputs" in body for body in sent)
    (told,) = [one.message for one in caplog.records if "keeps to no constraint" in one.message]
    assert told.startswith("engine writer: ")


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


async def test_what_a_server_refuses_is_not_sent_where_no_constraint_is_wanted() -> None:
    """VLLM's way has other fields than constraints: a strict server gets none of them."""

    def strict(body: dict[str, Any]) -> dict[str, Any] | web.Response:
        if "repetition_detection" in body:
            return web.json_response({"error": {"message": "unknown field"}}, status=400)
        return able(body)

    assert (await surveyed(strict, {Ability.CHAT})).dialect == "openai"
    assert (await surveyed(strict, {Ability.COMPLETIONS})).dialect == "openai"


@pytest.mark.parametrize("text", ["", "  ", "{   "])
async def test_an_answer_that_is_cut_decides_nothing(text: str) -> None:
    """A model that thinks first, or fills JSON with blanks, has not shown that constraints are ignored."""

    def cut(body: dict[str, Any]) -> dict[str, Any]:
        reply = able(body)
        for one in reply["choices"] if body.keys() & {"structured_outputs", "response_format"} else ():
            one |= {"finish_reason": "length", "message": {"content": text}}
        return reply

    assert await surveyed(cut) == probe.Survey(dialect="vllm", singly=False, notes=())


async def test_an_engine_that_is_opened_again_finds_the_same() -> None:
    """What an earlier opening found does not colour what is found now."""

    def single(body: dict[str, Any]) -> dict[str, Any] | web.Response:
        return able(body) if body["n"] == 1 else web.json_response({"error": "n"}, status=400)

    async with FakeServer(answer=single) as server:
        engine = HttpEngine(base_url=server.base_url)
        for _ in range(3):
            async with engine:
                (note,) = await engine.prepare(CHATTING)
                assert "one by one" in note


async def test_a_question_that_takes_too_long_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy server may answer two another time."""
    monkeypatch.setattr(probe, "ANSWER_SECONDS", 0.3)

    async def slow(body: dict[str, Any]) -> dict[str, Any]:
        if body["n"] > 1:
            await asyncio.sleep(5)
        return able(body)

    assert not (await surveyed(slow)).singly


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content", "content"])
async def test_a_model_that_thinks_is_told_of(field: str) -> None:
    """Four tokens for a yes or no are no room for thoughts: who serves such a model hears it before the run."""

    def thinking(body: dict[str, Any]) -> dict[str, Any]:
        reply = able(body)
        for one in reply["choices"] if "messages" in body else ():
            answer = one["message"]["content"]
            one["message"] = {"content": answer, field: f"<think>Well.</think>{answer}"}
        return reply

    (note,) = (await surveyed(thinking)).notes
    assert "max_tokens" in note
    assert "enable_thinking" in note
    assert not (await surveyed(thinking, {Ability.COMPLETIONS})).notes
