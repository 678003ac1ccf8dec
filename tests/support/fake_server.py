"""A local OpenAI-compatible server for tests: the scripted engine behind real HTTP, with faults on demand and a request log.

    python -m tests.support.fake_server --log requests.jsonl --faults "500=0.1,429=0.05,cut=0.05"

prints its base URL on the first line. Faults are drawn per (request body, try), so that a passing fault passes; a
`sticky` share of requests meets status 400 every time. The log says, before the reply is sent, what was asked.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self, TextIO

from aiohttp import web

from selfinstruct.engines.base import (
    Choice,
    CompletionRequest,
    Constraint,
    JsonSchema,
    Message,
    Regex,
    Reply,
    Sampling,
)
from selfinstruct.engines.scripted import ScriptedEngine

FAULTS = (
    "500",
    "429",
    "503",
    "400",
    "401",
    "404",
    "cut",
    "html",
    "empty",
    "null",
    "missing",
    "close",
    "hang",
    "length",
    "filter",
    "abort",
)
HANG_SECONDS = 3600

Said = dict[str, Any] | web.Response
Answer = Callable[[dict[str, Any]], Said] | Callable[[dict[str, Any]], Awaitable[Said]]
"""Body of a request -> what is said to it, by one who needs no engine."""


class FakeServer:
    """Answers with a scripted engine, or `answer(body)`; `fault(digest, try) -> name | None` decides what goes wrong."""

    def __init__(
        self,
        *,
        engine: ScriptedEngine | None = None,
        fault: Callable[[str, int], str | None] = lambda _digest, _try: None,
        log: Path | None = None,
        models: tuple[str, ...] = ("tiny",),
        key: str = "",
        answer: Answer | None = None,
    ) -> None:
        self.engine = engine or ScriptedEngine()
        self.fault = fault
        self.models = models
        self.key = key
        self.answer = answer
        self.requests: list[dict[str, Any]] = []
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._tries: Counter[str] = Counter()
        self._log: TextIO | None = log.open("a", encoding="utf-8") if log else None
        self._runner: web.AppRunner | None = None
        self.base_url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_get("/v1/models", self._list)
        app.router.add_get("/version", self._version)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_post("/v1/completions", self._complete)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        port = self._runner.addresses[0][1]
        self.base_url = f"http://127.0.0.1:{port}/v1"
        return self

    _port = 0

    def on_port(self, port: int) -> FakeServer:
        """Listen on a given port: a server that comes back."""
        self._port = port
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._log is not None:
            self._log.close()

    async def _list(self, request: web.Request) -> web.Response:
        if self._stranger(request):
            return web.json_response({"error": {"message": "no"}}, status=401)
        return web.json_response(
            {"object": "list", "data": [{"id": name, "max_model_len": 4096} for name in self.models]}
        )

    def _stranger(self, request: web.Request) -> bool:
        return bool(self.key) and request.headers.get("Authorization") != f"Bearer {self.key}"

    async def _version(self, _request: web.Request) -> web.Response:
        return web.json_response({"version": "0.0-scripted"})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw)
        digest = hashlib.sha256(raw).hexdigest()
        tries = self._tries[digest]
        self._tries[digest] += 1
        fault = "401" if self._stranger(request) else self.fault(digest, tries)
        entry = {
            "time": time.time(),
            "digest": digest,
            "id": request.headers.get("X-Request-Id", ""),
            "fault": fault,
        }
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        self.bodies.append(body)
        refused = await _refuse(fault, request)
        reply = {} if refused is not None else await self._answer(body, fault)
        entry["answered"] = time.time()
        self._write(entry)  # before the reply leaves: what the client may know, the log knows
        if refused is not None:
            return refused
        if isinstance(reply, web.Response):
            return reply
        text = json.dumps(reply)
        return web.Response(text=text[: len(text) // 2] if fault == "cut" else text, content_type="application/json")

    async def _answer(self, body: dict[str, Any], fault: str | None) -> dict[str, Any] | web.Response:
        if self.answer is None:
            return await scripted(body, self.engine, fault)
        answer = self.answer(body)
        return await answer if isinstance(answer, Awaitable) else answer

    def _write(self, entry: dict[str, Any]) -> None:
        self.requests.append(entry)
        if self._log is not None:
            self._log.write(json.dumps(entry) + "\n")
            self._log.flush()


async def _refuse(fault: str | None, request: web.Request) -> web.Response | None:
    """Return the response of a fault that gives no answer, or None."""
    if fault in {"500", "503", "400", "401", "404"}:
        return web.json_response({"error": {"message": f"scripted {fault}"}}, status=int(fault))
    if fault == "429":
        return web.json_response({"error": "slow down"}, status=429, headers={"Retry-After": "0.05"})
    if fault == "html":
        return web.Response(text="<html><body>Welcome to the proxy</body></html>", content_type="text/html")
    if fault == "empty":
        return web.json_response({})
    if fault == "close":
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    if fault == "hang":
        await asyncio.sleep(HANG_SECONDS)
    return None


async def scripted(body: dict[str, Any], engine: ScriptedEngine, fault: str | None = None) -> dict[str, Any]:
    """Return what the script says to a body."""
    return _body(await engine.complete(_request(body)), body, fault)


def _request(body: dict[str, Any]) -> CompletionRequest:
    wanted = body.get("structured_outputs") or {}
    constraint: Constraint | None = None
    if "choice" in wanted:
        constraint = Choice(choices=tuple(wanted["choice"]))
    elif "json" in wanted:
        constraint = JsonSchema(schema_=wanted["json"])
    elif "regex" in wanted:
        constraint = Regex(pattern=wanted["regex"])
    elif "response_format" in body:
        constraint = JsonSchema(schema_=body["response_format"]["json_schema"]["schema"])
    prompt = body.get("prompt")
    return CompletionRequest(
        id="",
        prompt=prompt if prompt is not None else tuple(Message(**one) for one in body["messages"]),
        sampling=Sampling(max_tokens=body["max_tokens"], stop=tuple(body.get("stop", ()))),
        n=body.get("n", 1),
        seed=body.get("seed"),
        constraint=constraint,
        top_logprobs=body.get("top_logprobs") or (0 if body.get("logprobs") is True else body.get("logprobs") or 0),
    )


def _body(reply: Reply, asked: dict[str, Any], fault: str | None) -> dict[str, Any]:
    choices = []
    for index, one in enumerate(reply.completions):
        reason = {"length": "length", "filter": "content_filter", "abort": "abort"}.get(
            fault or "", one.finish_reason.value
        )
        text: str | None = one.text if fault != "length" else one.text[: len(one.text) // 2]
        logprobs: dict[str, Any] | None = None
        if one.logprobs and "messages" in asked:
            tops = [[{"token": t, "logprob": p} for t, p in token.items()] for token in one.logprobs]
            logprobs = {"content": [{"token": "", "logprob": 0.0, "top_logprobs": top} for top in tops]}
        if one.logprobs and "prompt" in asked:
            logprobs = {"tokens": [], "top_logprobs": list(one.logprobs)}
        choice: dict[str, Any] = {"index": index, "finish_reason": reason, "logprobs": logprobs}
        if fault == "null":
            text = None
        message = {"role": "assistant", "content": text} | ({"reasoning": one.reasoning} if one.reasoning else {})
        choice |= {"message": message} if "messages" in asked else {"text": text}
        choices.append(choice)
    if fault == "missing":
        choices = choices[1:]
    counts = {"prompt_tokens": reply.usage.prompt_tokens, "completion_tokens": reply.usage.completion_tokens}
    return {"id": "x", "model": asked["model"], "choices": choices[::-1], "usage": counts}


def drawn_faults(spec: str, *, seed: int = 0) -> Callable[[str, int], str | None]:
    """Return a fault function for `name=share,...`; `sticky=share` is status 400 for good. First two tries only else."""
    shares = {name: float(share) for name, _, share in (one.partition("=") for one in spec.split(",") if one)}
    unknown = shares.keys() - {*FAULTS, "sticky"}
    assert not unknown, unknown

    def draw(digest: str, tries: int) -> str | None:
        if _share(f"{seed}sticky{digest}") < shares.get("sticky", 0):
            return "400"
        place = _share(f"{seed}{digest}{tries}")
        for name, share in shares.items():
            if name != "sticky" and place < share and tries < 2:
                return name
            place -= share if name != "sticky" else 0
        return None

    return draw


def _share(text: str) -> float:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big") / 2**48


async def _serve(options: argparse.Namespace) -> None:
    engine = ScriptedEngine(latency=options.latency_ms / 1000)
    server = FakeServer(engine=engine, fault=drawn_faults(options.faults), log=options.log).on_port(options.port)
    async with server:
        print(server.base_url, flush=True)  # noqa: T201 - how the parent learns the port
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--faults", default="")
    asyncio.run(_serve(parser.parse_args()))
