"""Calls per second and CPU per call of the HTTP engine against a local server with no latency, in a process of its own.

Goal: at least 1,500 calls/s and at most 0.6 ms of client CPU a call; 2.4 KB prompt, 1 KB answer, 128 in flight. The server
writes canned bytes on a raw socket; a bare aiohttp loop beside ours, in the same run, shows what it can bear.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time

import aiohttp

from selfinstruct.engines.base import CompletionRequest, Sampling, user
from selfinstruct.engines.http import HttpEngine

CALLS, IN_FLIGHT = 8000, 128
PROMPT = "x" * 2400
MODELS = json.dumps({"data": [{"id": "m"}]}).encode()
CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "y" * 1000}}
ANSWER = json.dumps({"choices": [CHOICE], "usage": {"prompt_tokens": 600, "completion_tokens": 250}}).encode()


class Canned(asyncio.Protocol):
    """Answers every request with the same bytes, as soon as its body is whole."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.waiting = b""

    def data_received(self, data: bytes) -> None:
        """Count the body by its Content-Length."""
        self.waiting += data
        while b"\r\n\r\n" in self.waiting:
            head, _, rest = self.waiting.partition(b"\r\n\r\n")
            length = next(
                (int(x.split(b":")[1]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length")), 0
            )
            if len(rest) < length:
                return
            self.waiting = rest[length:]
            body = MODELS if head.startswith(b"GET") else ANSWER
            top = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            self.transport.write(top + body)


async def serve() -> None:
    """Listen on a free loopback port, say which, and stay."""
    server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def through_engine(port: int) -> None:
    """Send all calls through the engine."""
    numbers = iter(range(CALLS))
    async with HttpEngine(base_url=f"http://127.0.0.1:{port}") as engine:

        async def worker() -> None:
            for number in numbers:
                request = CompletionRequest(
                    id=str(number), prompt=user(PROMPT), sampling=Sampling(max_tokens=256), seed=number
                )
                await engine.complete(request)

        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))


async def through_aiohttp(port: int) -> None:
    """Send the same bytes with nothing around."""
    numbers = iter(range(CALLS))
    payload = json.dumps({"model": "m", "messages": [{"role": "user", "content": PROMPT}]}).encode()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def worker() -> None:
            for _ in numbers:
                async with session.post(f"http://127.0.0.1:{port}/v1/chat/completions", data=payload) as answer:
                    await answer.json()

        await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))


def main() -> None:
    """Time both against one server."""
    with subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        for name, client in (("bare aiohttp", through_aiohttp), ("HttpEngine", through_engine)):
            started, cpu = time.perf_counter(), time.process_time()
            asyncio.run(client(port))
            seconds, used = time.perf_counter() - started, time.process_time() - cpu
            print(f"{name:14} {CALLS / seconds:6,.0f} calls/s, {used / CALLS * 1000:.2f} ms CPU a call")
        server.terminate()


if __name__ == "__main__":
    asyncio.run(serve()) if len(sys.argv) > 1 else main()
