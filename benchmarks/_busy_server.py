"""A local server that behaves like continuous batching: S sequences at once, the rest queues; it logs how many were busy.

Times come from drawn lengths, answers from the scripted engine; it knows nothing of who asks. Not imitated: prefill by
prompt length, decoding that slows down as the batch grows, a KV cache that runs full (it has never to preempt).

    python benchmarks/_busy_server.py --slots 256 [--faults 429=0.01,500=0.01,close=0.01,hang=0.001]

prints its base URL. Beside vLLM's own paths: /busy (counts), /busy/log (pairs of float64: moment, sequences begun or
ended; moments of the machine's monotonic clock), /busy/calls (a sample of the calls that came, to be sent once more).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import time
from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any

from aiohttp import web

sys.path.insert(0, str(Path(__file__).parent.parent))

from selfinstruct.engines.base import Usage
from selfinstruct.engines.scripted import ScriptedEngine
from tests.support.fake_server import _body, _request, drawn_faults

MEDIAN_TOKENS, SPREAD = 150, 0.8
"""Lengths are log-normal: half of the answers below 150 tokens, one in forty above 720; `max_tokens` cuts them."""
BLOCK = 64
"""Characters in a block of the prefix cache: vLLM's 16 tokens."""
SAMPLE = 4000
"""Calls kept for /busy/calls, of all that came each as likely as any other."""


@dataclass(slots=True, eq=False)
class _Call:
    """The sequences of one call."""

    left: int
    done: asyncio.Future[None]
    arrived: float
    timers: dict[int, asyncio.TimerHandle] = field(default_factory=dict)


class Batch:
    """S places for sequences, first come first served. Knows seconds, not tokens.

    A sequence ends when it is due and the next begins at that moment, also when this process hears of it late: what is
    logged is what the imitated server did. `late` says by how much it was heard of too late.
    """

    def __init__(self, slots: int) -> None:
        """Begin empty; to be made where a loop is running."""
        self.slots, self.busy, self.late, self.latest, self.queued = slots, 0, 0.0, 0.0, 0.0
        self.ended = 0
        self.log = array("d")
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[_Call, int, float]] = deque()

    @property
    def waiting(self) -> int:
        """Sequences in the queue."""
        return len(self._waiting)

    async def generate(self, lengths: list[float]) -> None:
        """Return when sequences of so many seconds have all ended; given up, they make room at once."""
        call = _Call(len(lengths), self._loop.create_future(), self._loop.time())
        self._waiting.extend((call, place, seconds) for place, seconds in enumerate(lengths))
        self._begin(call.arrived)
        try:
            await call.done
        finally:
            if call.left:
                self._give_up(call)

    def _begin(self, moment: float) -> None:
        while self._waiting and self.busy < self.slots:
            call, place, seconds = self._waiting.popleft()
            start = max(moment, call.arrived)
            self.busy += 1
            self.queued += start - call.arrived
            self.log.extend((start, 1.0))
            due = start + seconds
            call.timers[place] = self._loop.call_at(due, self._end, call, place, due)

    def _end(self, call: _Call, place: int, due: float) -> None:
        late = self._loop.time() - due
        self.late, self.latest, self.ended = self.late + late, max(self.latest, late), self.ended + 1
        del call.timers[place]
        call.left -= 1
        if not call.left and not call.done.done():
            call.done.set_result(None)
        self.busy -= 1
        self.log.extend((due, -1.0))
        self._begin(due)

    def _give_up(self, call: _Call) -> None:
        self._waiting = deque(one for one in self._waiting if one[0] is not call)
        now = self._loop.time()
        for timer in call.timers.values():
            timer.cancel()
            self.busy -= 1
            self.log.extend((now, -1.0))
        self._begin(now)


class Busy:
    """The server around a batch."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Take the command line."""
        self.batch = Batch(options.slots)
        self.engine = ScriptedEngine(seed=options.seed)
        self.first, self.token, self.seed = options.first_ms / 1000, options.token_ms / 1000, options.seed
        self.fault = drawn_faults(options.faults, seed=options.seed) if options.faults else None
        self.usage: Counter[str] = Counter()
        self.calls = 0
        self.first_call = math.nan
        self.sample: list[tuple[str, bytes]] = []
        self._draw = Random(options.seed)
        self._tries: Counter[str] = Counter()
        self._blocks: set[int] = set()

    def app(self) -> web.Application:
        """Return all paths."""
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/v1/chat/completions", self.complete)
        app.router.add_post("/v1/completions", self.complete)
        app.router.add_get("/v1/models", self.models)
        for path, answer in (("/health", self.health), ("/version", self.version), ("/metrics", self.metrics)):
            app.router.add_get(path, answer)
        app.router.add_get("/busy", self.counts)
        app.router.add_get("/busy/log", self.log)
        app.router.add_get("/busy/calls", self.kept)
        return app

    async def complete(self, request: web.Request) -> web.Response:
        """Answer a call when its sequences have ended."""
        raw = await request.read()
        body = _plain(json.loads(raw))
        if not body.get("messages", body.get("prompt")):
            return web.json_response({"error": {"message": "nothing is asked"}}, status=400)
        self._note(request.path, raw)
        name = request.headers.get("X-Request-Id", "").encode() or raw
        key = blake2b(name, digest_size=8, key=str(self.seed).encode()).hexdigest()
        if (refusal := await self._refused(key, request)) is not None:
            return refusal
        asked = _request(body)
        reply = await self.engine.complete(asked)
        tokens = self._lengths(key, asked.n, at_most=asked.sampling.max_tokens)
        await self.batch.generate([self.first + self.token * one for one in tokens])
        usage = Usage(prompt_tokens=reply.usage.prompt_tokens, completion_tokens=sum(tokens))
        self._count(usage, asked.prompt if isinstance(asked.prompt, str) else asked.prompt[-1].content)
        told = _body(reply.model_copy(update={"usage": usage}), body, None)
        told["usage"]["total_tokens"] = usage.prompt_tokens + usage.completion_tokens
        return web.Response(body=json.dumps(told).encode(), content_type="application/json")

    def _note(self, path: str, raw: bytes) -> None:
        if not self.calls:
            self.first_call = time.monotonic()
        self.calls += 1
        if len(self.sample) < SAMPLE:
            self.sample.append((path, raw))
        elif (place := self._draw.randrange(self.calls)) < SAMPLE:
            self.sample[place] = (path, raw)

    async def _refused(self, key: str, request: web.Request) -> web.Response | None:
        """Return the refusal that is drawn for this try, if one is."""
        if self.fault is None:
            return None
        fault = self.fault(key, self._tries[key])
        self._tries[key] += 1
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "close" and request.transport is not None:
            request.transport.abort()
        if fault in {"429", "500", "503"}:
            return web.json_response({"error": {"message": f"drawn: {fault}"}}, status=int(fault))
        return None if fault is None else web.Response()

    def _lengths(self, key: str, n: int, *, at_most: int) -> list[int]:
        """Return the tokens of `n` answers: the same for the same request."""
        draw = Random(int(key, 16))
        drawn = (draw.lognormvariate(math.log(MEDIAN_TOKENS), SPREAD) for _ in range(n))
        return [max(1, min(at_most, round(tokens))) for tokens in drawn]

    def _count(self, usage: Usage, prompt: str) -> None:
        """Count tokens, and those of them whose blocks were there from the start of the prompt on."""
        self.usage["prompt"] += usage.prompt_tokens
        self.usage["generation"] += usage.completion_tokens
        before, hits = 0, 0
        for start in range(0, len(prompt) - BLOCK, BLOCK):
            before = hash((before, prompt[start : start + BLOCK]))
            hits += before in self._blocks
            self._blocks.add(before)
        self.usage["hits"] += min(usage.prompt_tokens, hits * BLOCK // 4)

    # -- other paths ----------------------------------------------------------------------------------------------

    async def models(self, _: web.Request) -> web.Response:
        """Name the one model."""
        return web.json_response(
            {"object": "list", "data": [{"id": "busy", "object": "model", "max_model_len": 32768}]}
        )

    async def health(self, _: web.Request) -> web.Response:
        """Be well."""
        return web.Response()

    async def version(self, _: web.Request) -> web.Response:
        """Be no vLLM."""
        return web.json_response({"version": "0.0-busy"})

    async def metrics(self, _: web.Request) -> web.Response:
        """Tell what vLLM tells, under its names (0.32)."""
        batch, usage = self.batch, self.usage
        figures = {
            "num_requests_running": batch.busy,
            "num_requests_waiting": batch.waiting,
            "kv_cache_usage_perc": batch.busy / batch.slots,
            "prefix_cache_queries_total": usage["prompt"],
            "prefix_cache_hits_total": usage["hits"],
            "num_preemptions_total": 0,
            "prompt_tokens_total": usage["prompt"],
            "generation_tokens_total": usage["generation"],
        }
        lines = [f'vllm:{name}{{engine="0",model_name="busy"}} {float(value)}\n' for name, value in figures.items()]
        return web.Response(text="".join(lines))

    async def counts(self, _: web.Request) -> web.Response:
        """Tell what it did, and what that cost it."""
        batch, ended = self.batch, max(1, self.batch.ended)
        told: dict[str, Any] = {"slots": batch.slots, "calls": self.calls, "sequences": batch.ended}
        told |= {"first_call": self.first_call, "cpu": time.process_time()}
        told |= {"late_mean": batch.late / ended, "late_most": batch.latest, "queued_mean": batch.queued / ended}
        return web.json_response(told | {"tokens": dict(self.usage)})

    async def log(self, _: web.Request) -> web.Response:
        """Send the log."""
        return web.Response(body=self.batch.log.tobytes(), content_type="application/octet-stream")

    async def kept(self, _: web.Request) -> web.Response:
        """Send the sample: a JSON line per call."""
        lines = (json.dumps({"path": path, "body": raw.decode()}) for path, raw in self.sample)
        return web.Response(text="\n".join(lines))


def _plain(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body as our own engine writes it: other clients send nulls, and the limit under its other name."""
    given = {name: value for name, value in body.items() if value is not None}
    return {"max_tokens": given.get("max_completion_tokens", 2048)} | given


async def serve(options: argparse.Namespace) -> None:
    """Listen on a loopback port, say which, and stay."""
    runner = web.AppRunner(Busy(options).app(), access_log=None, handler_cancellation=True, keepalive_timeout=5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", options.port, backlog=2048).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--first-ms", type=float, default=50, help="time to first token")
    parser.add_argument("--token-ms", type=float, default=10, help="time per token of a sequence")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", default="", help="name=share,...: 429, 503, 500, close, hang")
    asyncio.run(serve(parser.parse_args()))
