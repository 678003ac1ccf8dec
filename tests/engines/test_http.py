"""The HTTP engine against a real server on a socket: what passes is waited out, what cannot is said at once."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import ValidationError

from selfinstruct.engines import _server, http
from selfinstruct.engines.base import (
    Ability,
    Choice,
    CompletionRequest,
    FinishReason,
    JsonSchema,
    Regex,
    Reply,
    Sampling,
    user,
)
from selfinstruct.engines.http import HttpEngine
from selfinstruct.errors import BadInputError, CallError, SelfInstructError, UnreachableError
from tests.support.fake_server import FakeServer

SAMPLING = Sampling(max_tokens=64)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(http, "LONGEST_WAIT", 0.05)


def ask(text: str = "Say something.", **changes: Any) -> CompletionRequest:
    return CompletionRequest(**{"id": "w-1-0", "prompt": user(text), "sampling": SAMPLING, "seed": 1, **changes})


def failing(name: str, times: int = 1) -> Callable[[str, int], str | None]:
    return lambda _digest, tries: name if tries < times else None


async def test_model_is_found_when_there_is_one() -> None:
    """/v1/models with one entry needs no -m."""
    async with FakeServer() as server, HttpEngine(base_url=server.base_url) as engine:
        assert engine.model_name == "tiny"


async def test_several_models_must_be_named() -> None:
    """With two, the error lists them; a wrong name too."""
    async with FakeServer(models=("a", "b")) as server:
        for model in (None, "c"):
            with pytest.raises(BadInputError, match="a, b"):
                async with HttpEngine(base_url=server.base_url, model=model):
                    pass
        async with HttpEngine(base_url=server.base_url, model="b") as engine:
            assert engine.model_name == "b"


async def test_nothing_listens() -> None:
    """Starting against nothing fails at once, with exit status 3."""
    started = time.monotonic()
    with pytest.raises(UnreachableError) as caught:
        async with HttpEngine(base_url="http://127.0.0.1:9"):
            pass
    assert caught.value.exit_status == 3
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host", "host:8000", "http://", "http://user:sk-TEST@host/v1", "http://host/v1?key=sk-TEST", "http://h/#a",
        "http://h:99999", "http://h:abc", "http://h\x00",
    ],
)  # fmt: skip
def test_urls_that_are_refused(url: str) -> None:
    """Only http and https, a port that is one, and never a key in a URL; what was typed is not repeated."""
    with pytest.raises(ValidationError) as caught:
        HttpEngine(base_url=url)
    assert "sk-TEST" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_urls_are_completed(url: str) -> None:
    """With or without /v1 and slash."""
    assert HttpEngine(base_url=url).base_url == "http://h:1/v1"


async def test_key_comes_from_the_environment_and_shows_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent, and is in no repr and no error."""
    monkeypatch.setenv("SELFINSTRUCT_API_KEY", "sk-TESTSECRET")
    async with FakeServer(key="sk-TESTSECRET") as server, HttpEngine(base_url=server.base_url) as engine:
        await engine.complete(ask())
        assert server.headers[-1]["authorization"] == "Bearer sk-TESTSECRET"
        assert "TESTSECRET" not in repr(engine)
    monkeypatch.setenv("SELFINSTRUCT_API_KEY", "sk-WRONGSECRET")
    async with FakeServer(key="sk-TESTSECRET") as server:
        with pytest.raises(BadInputError) as caught:
            async with HttpEngine(base_url=server.base_url):
                pass
    assert "SECRET" not in str(caught.value) + caught.value.remedy.replace("SELFINSTRUCT_API_KEY", "")


async def test_every_parameter_is_sent_as_vllm_names_it() -> None:
    """Penalties, seeds, stops, min_p and the three constraints, in both dialects."""
    sampling = Sampling(
        max_tokens=9, temperature=0.5, top_p=0, top_k=3, min_p=0.1, presence_penalty=1.5, frequency_penalty=0.5,
        repetition_penalty=1.1, stop=("a", "b"), logit_bias={"5": -100},
    )  # fmt: skip
    async with FakeServer() as server, HttpEngine(base_url=server.base_url) as engine:
        await engine.complete(ask(sampling=sampling, n=2, constraint=Choice(choices=("yes", "no")), top_logprobs=5))
        await engine.complete(ask(prompt="Text", top_logprobs=4))
        await engine.complete(ask(constraint=Regex(pattern="a+")))
        await engine.complete(ask(constraint=JsonSchema(schema_={"type": "object", "title": "Verdict"})))
        chat, text, regex, schema = server.bodies
    assert chat["messages"] == [{"role": "user", "content": "Say something."}]
    wanted = {
        "model": "tiny", "max_tokens": 9, "temperature": 0.5, "top_p": 1e-6, "top_k": 3, "min_p": 0.1, "n": 2, "seed": 1,
        "presence_penalty": 1.5, "frequency_penalty": 0.5, "repetition_penalty": 1.1, "stop": ["a", "b"],
        "logit_bias": {"5": -100}, "structured_outputs": {"choice": ["yes", "no"]}, "logprobs": True, "top_logprobs": 5,
    }  # fmt: skip
    assert {key: chat[key] for key in wanted} == wanted
    assert (text["prompt"], text["logprobs"], "top_logprobs" in text, "min_p" in text) == ("Text", 4, False, False)
    assert regex["structured_outputs"] == {"regex": "a+"}
    assert schema["structured_outputs"]["json"]["type"] == "object"
    assert server.headers[0]["x-request-id"] == "w-1-0"


async def test_openai_dialect_sends_a_response_format() -> None:
    """Other servers get json_schema, and nothing for a choice."""
    async with FakeServer() as server:
        async with HttpEngine(base_url=server.base_url, structured_outputs="openai") as engine:
            await engine.complete(ask(constraint=JsonSchema(schema_={"title": "T", "type": "object"})))
            await engine.complete(ask("Other.", constraint=Choice(choices=("yes", "no"))))
        assert server.bodies[0]["response_format"]["json_schema"]["schema"] == {"title": "T", "type": "object"}
        assert not {"structured_outputs", "response_format"} & server.bodies[1].keys()


async def test_replies_are_read_whole() -> None:
    """N answers in the server's index order, usage, log-probabilities and finish reasons."""
    async with FakeServer() as server, HttpEngine(base_url=server.base_url) as engine:
        request = ask(n=3)
        reply = await engine.complete(request)
        assert [one.text for one in reply.completions] == [
            one.text for one in (await server.engine.complete(request)).completions
        ]
        assert reply.usage.prompt_tokens > 0
        choice = await engine.complete(ask(constraint=Choice(choices=("yes", "no")), top_logprobs=5))
        assert set(choice.completions[0].logprobs[0]) == {"yes", "no"}
    for fault, reason in (("length", FinishReason.LENGTH), ("filter", FinishReason.CONTENT_FILTER)):
        async with FakeServer(fault=failing(fault)) as server, HttpEngine(base_url=server.base_url) as engine:
            assert (await engine.complete(ask())).completions[0].finish_reason is reason


@pytest.mark.parametrize("fault", ["500", "429", "503", "cut", "html", "empty", "missing", "close", "abort"])
async def test_what_passes_is_waited_out(fault: str) -> None:
    """Two failures, then the answer: the record never notices."""
    async with FakeServer(fault=failing(fault, 2)) as server, HttpEngine(base_url=server.base_url) as engine:
        reply = await engine.complete(ask())
        assert reply.completions[0].finish_reason is FinishReason.STOP
        assert len(server.requests) == 3


async def test_null_content_is_an_empty_text() -> None:
    """It is an answer, and the stage drops it as empty; nothing is filled in."""
    async with FakeServer(fault=failing("null")) as server, HttpEngine(base_url=server.base_url) as engine:
        assert (await engine.complete(ask())).completions[0].text == ""


async def test_hanging_call_meets_its_deadline() -> None:
    """A call that hangs is tried again after the deadline."""
    async with (
        FakeServer(fault=failing("hang")) as server,
        HttpEngine(base_url=server.base_url, deadline=0.2) as engine,
    ):
        reply = await engine.complete(ask())
        assert reply.completions


@pytest.mark.parametrize(("fault", "tries"), [("400", 1), ("500", 4), ("cut", 4), ("hang", 4)])
async def test_what_cannot_pass_fails_the_record(fault: str, tries: int) -> None:
    """400 is not tried again; its own failures are, four times; the server's words are told."""
    async with FakeServer(fault=failing(fault, 99)) as server:
        async with HttpEngine(base_url=server.base_url, deadline=0.2) as engine:
            with pytest.raises(CallError):
                await engine.complete(ask())
        assert len(server.bodies) == tries


async def test_patience_ends() -> None:
    """A server that stays overloaded, or goes away, stops the run after the announced time."""
    async with (
        FakeServer(fault=failing("503", 10_000)) as server,
        HttpEngine(base_url=server.base_url, patience=0.3) as engine,
    ):
        with pytest.raises(UnreachableError, match="503"):
            await engine.complete(ask())


async def test_server_that_comes_back() -> None:
    """Calls made while it was down are answered when it is up again: no record fails for it."""
    async with FakeServer() as server:
        port = int(server.base_url.rpartition(":")[2].partition("/")[0])
        engine = HttpEngine(base_url=server.base_url, patience=30)
        await engine.__aenter__()
    waiting = asyncio.create_task(engine.complete(ask()))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    async with FakeServer().on_port(port):
        assert (await waiting).completions
    await engine.__aexit__(None, None, None)


async def test_other_services_are_named() -> None:
    """A page that is no model server is bad input, with the remedy."""
    async with FakeServer(models=()) as server:
        with pytest.raises(SelfInstructError, match="has no model at all"):
            async with HttpEngine(base_url=server.base_url):
                pass
        with pytest.raises(BadInputError, match="no OpenAI-compatible server"):
            async with HttpEngine(base_url=server.base_url.replace("/v1", "/other")):
                pass


async def test_waiting_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A server that is away is reported at the first failure, with how long will be waited; then every half minute."""
    async with (
        FakeServer(fault=failing("503", 3)) as server,
        HttpEngine(base_url=server.base_url, patience=9) as engine,
    ):
        await engine.complete(ask())
    assert [record.getMessage() for record in caplog.records] == [
        f"{server.base_url}: status 503: scripted 503; waiting up to 9 s"
    ]


async def test_key_is_checked_and_trimmed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newline at its end is no part of it; one in its middle is bad input that names the variable, not the key."""
    monkeypatch.setenv("SELFINSTRUCT_API_KEY", "sk-TEST\n")
    async with FakeServer(key="sk-TEST") as server, HttpEngine(base_url=server.base_url) as engine:
        assert (await engine.complete(ask())).completions
    monkeypatch.setenv("SELFINSTRUCT_API_KEY", "sk-\nTEST")
    with pytest.raises(BadInputError, match="SELFINSTRUCT_API_KEY") as caught:
        async with HttpEngine(base_url="http://127.0.0.1:9"):
            pass
    assert "TEST" not in str(caught.value)


async def test_server_that_repeats_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its words are shown, the key is not: neither in a refusal nor in an answer that cannot be read."""
    monkeypatch.setenv("SELFINSTRUCT_API_KEY", "sk-TESTSECRET")
    for status in (400, 200):
        reply = functools.partial(web.Response, status=status, text="you sent sk-TESTSECRET, did you?")
        async with (
            FakeServer(answer=lambda _body, reply=reply: reply()) as server,
            HttpEngine(base_url=server.base_url) as engine,
        ):
            with pytest.raises(CallError, match=r"you sent \*\*\*, did you") as caught:
                await engine.complete(ask())
        assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(("fault", "said"), [("401", "SELFINSTRUCT_API_KEY"), ("404", "doctor")])
async def test_key_or_path_refused_in_mid_run(fault: str, said: str) -> None:
    """The run stops at the first one: no second try, and the remedy is told."""
    async with FakeServer(fault=failing(fault, 99)) as server, HttpEngine(base_url=server.base_url) as engine:
        with pytest.raises(BadInputError) as caught:
            await engine.complete(ask())
        assert said in caught.value.remedy
        assert len(server.requests) == 1


async def test_model_that_is_gone_in_mid_run() -> None:
    """A 404 names the models that the server has now."""
    async with FakeServer(fault=failing("404", 99)) as server, HttpEngine(base_url=server.base_url) as engine:
        server.models = ("other", "third")
        with pytest.raises(BadInputError, match="does not have model 'tiny'; it has: other, third"):
            await engine.complete(ask())


async def test_redirects_are_not_followed() -> None:
    """Data goes to the server named, nowhere else."""
    async with FakeServer() as other:
        moved = web.Response(status=307, headers={"Location": other.base_url + "/chat/completions"})
        async with FakeServer(answer=lambda _: moved) as server, HttpEngine(base_url=server.base_url) as engine:
            with pytest.raises(CallError, match="307"):
                await engine.complete(ask())
        assert not other.requests


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy sees the data."""
    async with FakeServer() as proxy, FakeServer() as server:
        monkeypatch.setenv("http_proxy", proxy.base_url)
        async with HttpEngine(base_url=server.base_url) as engine:
            await engine.complete(ask())
        assert (len(proxy.requests), len(server.requests)) == (0, 1)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
async def test_bodies_are_capped_unpacked(monkeypatch: pytest.MonkeyPatch, *, packed: bool) -> None:
    """An answer over the limit is the record's failure; a packed one cannot grow past it."""
    monkeypatch.setattr(_server, "BODY_LIMIT", 100_000)
    body = b"[" + b" " * 1_000_000 + b"]"

    def answer(_body: dict[str, Any]) -> web.Response:
        headers = {"Content-Encoding": "gzip"} if packed else {}
        return web.Response(body=gzip.compress(body) if packed else body, headers=headers)

    async with FakeServer(answer=answer) as server, HttpEngine(base_url=server.base_url) as engine:
        with pytest.raises(CallError, match="larger than 100000 bytes"):
            await engine.complete(ask())


async def test_connection_that_nobody_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that drops packets is a server that is away, not a record that is bad."""
    monkeypatch.setattr(_server, "CONNECT_SECONDS", 0.1)
    async with FakeServer() as server:
        port = int(server.base_url.rpartition(":")[2].partition("/")[0])
        engine = await HttpEngine(base_url=server.base_url, patience=0.2).__aenter__()
    with socket.socket() as deaf, contextlib.ExitStack() as others:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deaf.bind(("127.0.0.1", port))
        deaf.listen(0)
        for _ in range(4):  # fill its queue: from then on nothing is answered
            other = others.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(("127.0.0.1", port))
        with pytest.raises(UnreachableError, match="no connection within"):
            await engine.complete(ask())
    await engine.__aexit__(None, None, None)


async def test_patience_counts_the_absence_alone() -> None:
    """Away, then a hanging call, then away again: each absence has the whole patience."""
    faults = ["503", "hang", "503"]
    async with (
        FakeServer(fault=lambda _, tries: faults[tries] if tries < len(faults) else None) as server,
        HttpEngine(base_url=server.base_url, deadline=0.6, patience=0.5) as engine,
    ):
        assert (await engine.complete(ask())).completions


async def test_a_server_that_asks_for_no_pause_is_not_hammered() -> None:
    """Retry-After: 0 waits as long as the first backoff."""
    busy = functools.partial(web.Response, status=503, headers={"Retry-After": "0"})
    async with (
        FakeServer(answer=lambda _: busy()) as server,
        HttpEngine(base_url=server.base_url, patience=0.2) as engine,
    ):
        with pytest.raises(UnreachableError):
            await engine.complete(ask())
        assert len(server.requests) <= 0.2 / 0.005 + 2


@pytest.mark.parametrize(
    ("after", "date", "seconds"),
    [
        ("3", None, 3),
        ("2.5", None, 2.5),
        ("86400", None, 60),
        ("Wed, 21 Oct 2015 07:28:09 GMT", "Wed, 21 Oct 2015 07:28:00 GMT", 9),  # the server's clock, however wrong
        ("Wed, 21 Oct 2015 07:28:00 GMT", None, 0),
        ("Fri, 31 Dec 9999 23:59:59 -0000", None, 60),
        ("soon", None, None),
        ("", None, None),
    ],
)
def test_retry_after_is_read(
    monkeypatch: pytest.MonkeyPatch, after: str, date: str | None, seconds: float | None
) -> None:
    """Seconds or a date, capped; anything else is no wish at all."""
    monkeypatch.setattr(_server, "LONGEST_WAIT", 60.0)
    headers = {"Retry-After": after} | ({"Date": date} if date else {})
    assert _server._retry_after(headers) == seconds


async def test_starting_against_a_server_that_starts() -> None:
    """A proxy's 503 for /models is a server that is away (status 3), not bad input."""

    async def busy(_request: web.Request) -> web.Response:
        return web.Response(status=503)

    app = web.Application()
    app.router.add_get("/v1/models", busy)
    async with TestServer(app) as server:
        with pytest.raises(UnreachableError, match="503"):
            async with HttpEngine(base_url=str(server.make_url("/"))):
                pass


# -- reasoning models ---------------------------------------------------------------------------------------------------


def said(message: dict[str, Any], reason: str = "stop", **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "finish_reason": reason, "message": message, **more}], "usage": {}}


@pytest.mark.parametrize(
    ("message", "reason", "text", "reasoning"),
    [
        ({"content": "The Loire.", "reasoning": "A river."}, "stop", "The Loire.", "A river."),
        ({"content": "The Loire.", "reasoning_content": "A river."}, "stop", "The Loire.", "A river."),
        ({"content": "The Loire.", "reasoning": None, "reasoning_content": "A river."}, "stop", "The Loire.", "A river."),
        ({"content": "It.", "reasoning": "A river.", "reasoning_content": "A river."}, "stop", "It.", "A river."),
        ({"content": "It.", "reasoning": {"effort": "high"}, "reasoning_content": None}, "stop", "It.", ""),
        ({"content": None, "reasoning": "A river. Wh"}, "length", "", "A river. Wh"),
        ({"content": "<think>\nA river.\n</think>\n\nThe Loire."}, "stop", "The Loire.", "A river."),
        ({"content": 'A river.\n</think>\n\n{"score":4}'}, "stop", '{"score":4}', "A river."),
        ({"content": "<think>\nA river. Wh"}, "length", "", "A river. Wh"),
        ({"content": "<think>Two.</think>It.", "reasoning": "One."}, "stop", "It.", "One.\n\nTwo."),
    ],
)  # fmt: skip
async def test_traces_stand_apart(message: dict[str, Any], reason: str, text: str, reasoning: str) -> None:
    """In fields of the server, of either name, or in the text: a trace is never the answer; cut in it, there is none."""
    async with (
        FakeServer(answer=lambda _body: said(message, reason)) as server,
        HttpEngine(base_url=server.base_url) as engine,
    ):
        (one,) = (await engine.complete(ask())).completions
    assert (one.text, one.reasoning, one.finish_reason) == (text, reasoning, FinishReason(reason))


async def test_traces_of_completions_and_their_bill() -> None:
    """The other endpoint has no field for them; what the server billed is counted, thoughts included."""
    body = {"choices": [{"index": 0, "finish_reason": "stop", "text": "<think>A river.</think> The Loire."}]}
    counts = {"prompt_tokens": 3, "completion_tokens": 40}
    async with (
        FakeServer(answer=lambda _body: {**body, "usage": counts}) as server,
        HttpEngine(base_url=server.base_url) as engine,
    ):
        reply = await engine.complete(ask(prompt="Name one:"))
    assert (reply.completions[0].text, reply.completions[0].reasoning) == ("The Loire.", "A river.")
    assert reply.usage.model_dump() == counts


@pytest.mark.parametrize(("content", "kept"), [("4", 1), ("<think>Four?</think>4", 0), ("<think></think>4", 0)])
async def test_no_log_probabilities_of_thoughts(content: str, kept: int) -> None:
    """Beside a trace they are its tokens', and would become a margin."""
    top = {"content": [{"token": "4", "logprob": -0.1, "top_logprobs": [{"token": "4", "logprob": -0.1}]}]}
    async with (
        FakeServer(answer=lambda _body: said({"content": content}, logprobs=top)) as server,
        HttpEngine(base_url=server.base_url) as engine,
    ):
        (one,) = (await engine.complete(ask(top_logprobs=5))).completions
    assert (one.text, len(one.logprobs)) == ("4", kept)


async def test_a_reasoning_model_passes_the_questions_before_a_run() -> None:
    """Constraints that hold after a trace are constraints; cut in the trace, nothing is said against them."""

    def thinking(body: dict[str, Any]) -> dict[str, Any]:
        choice = body.get("structured_outputs", {}).get("choice", ["?"])[0]
        text = f"Hm.</think>{choice}" if choice != "?" else "<think>It goes on and on"
        one = {"finish_reason": "stop" if choice != "?" else "length", "message": {"content": text}}
        return {"choices": [{**one, "index": index} for index in range(body["n"])], "usage": {}}

    async with FakeServer(answer=thinking) as server, HttpEngine(base_url=server.base_url) as engine:
        assert not any("constraint" in note for note in await engine.prepare({*Ability}))


def test_old_journals_are_read() -> None:
    """An answer that was written down before traces stood apart."""
    old = (
        '{"completions":[{"text":"It.","finish_reason":"stop","logprobs":[]}],"model":"m","usage":{},"scripted":false}'
    )
    reply = Reply.model_validate_json(old)
    assert reply.completions[0].reasoning == ""
    assert Reply.model_validate_json(reply.model_dump_json()) == reply
