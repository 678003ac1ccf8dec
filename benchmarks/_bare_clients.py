"""The controls of `throughput.py`: aiohttp and nothing else, no store, no gate, nothing read of the answers but their text.

`saturating` sends calls of a real run once more, always twice as many as the server takes: what the server can show at
most. `window` is what a person writes first: every row a coroutine (an instruction, four answers, a verdict on each), a
semaphore of S calls around all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp

ASK = "Write one instruction that a person could give to an assistant. It is about subject {}. Write nothing else."
JUDGE = "Task:\n{}\n\nAnswer:\n{}\n\nScore the answer from 0 to 5 for its accuracy, then give a reason."


async def saturating(options: argparse.Namespace, session: aiohttp.ClientSession) -> None:
    """Send `rows` calls, from the file over and over."""
    lines = options.calls.read_text(encoding="utf-8").splitlines()
    calls = [(one["path"], one["body"].encode()) for one in map(json.loads, lines)]
    numbers = iter(range(options.rows))

    async def worker() -> None:
        for number in numbers:
            path, body = calls[number % len(calls)]
            async with session.post(path, data=body, headers={"Content-Type": "application/json"}) as answer:
                assert answer.status == 200, await answer.text()  # noqa: PLR2004 - OK
                await answer.json()

    await asyncio.gather(*(worker() for _ in range(2 * options.slots)))


async def window(options: argparse.Namespace, session: aiohttp.ClientSession) -> None:
    """Make `rows` rows."""
    places = asyncio.Semaphore(options.slots)

    async def complete(prompt: str, tokens: int, n: int = 1) -> list[str]:
        messages = [{"role": "user", "content": prompt}]
        body: dict[str, Any] = {"model": "busy", "messages": messages, "max_tokens": tokens, "n": n}
        async with places, session.post("/v1/chat/completions", json=body) as answer:
            return [one["message"]["content"] for one in (await answer.json())["choices"]]

    async def row(number: int) -> None:
        (task,) = await complete(ASK.format(number), 2048)
        answers = await complete(task or str(number), 1024, 4)
        await asyncio.gather(*(complete(JUDGE.format(task, answer), 256) for answer in answers))

    await asyncio.gather(*(row(number) for number in range(options.rows)))


async def main(options: argparse.Namespace) -> None:
    """Run one of them to its end."""
    client = {"saturating": saturating, "window": window}[options.who]
    connector, limit = aiohttp.TCPConnector(limit=0, keepalive_timeout=4), aiohttp.ClientTimeout(total=600)
    origin = options.base_url.removesuffix("/v1")
    async with aiohttp.ClientSession(origin, connector=connector, timeout=limit) as session:
        await client(options, session)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("who", choices=["saturating", "window"])
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--calls", type=Path)
    asyncio.run(main(parser.parse_args()))
