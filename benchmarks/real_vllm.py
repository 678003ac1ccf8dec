"""The whole pipeline against a bare saturating client on a real vLLM (CPU, random weights), and what its prefix cache holds.

    python benchmarks/real_vllm.py [--tokens 60000]

Three fresh servers in one run. The first serves our pipeline until it has written so many tokens, and every body that it
sends is kept. The second gets the same bodies in the same order from a client that does nothing else, twice as many at
once as it takes. Compared are the tokens written per second by the server's own counter, from the first to the last moment
at which it wrote. The third gets the bodies of one stage after the other, 64 at once, to see which share of a stage's
prompt tokens the cache has held; `at best` is the share that two prompts one after the other have in common.
Goals: at least 0.92 of the client's tokens/s; more than 90 % for classify and judge.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).parent.parent))  # tests/vllm makes environment and model

import aiohttp

from selfinstruct import pipeline, recipe
from selfinstruct.engines import _wire as wire
from selfinstruct.engines.base import CompletionRequest, Reply
from selfinstruct.engines.http import HttpEngine
from selfinstruct.runner import Limits
from selfinstruct.seeds import shipped
from selfinstruct.serving import find
from selfinstruct.serving.server import Server, free_port
from tests.vllm.make_environment import PYTHON
from tests.vllm.make_environment import main as make_environment
from tests.vllm.test_real_engine import SMALL

HERE = Path(__file__).parent
SLOTS = 64
ARGS = (
    "--served-model-name", "tiny", "--max-model-len", "4096", "--max-num-seqs", str(SLOTS), "--dtype", "bfloat16",
    "--max-num-batched-tokens", "8192", "--block-size", "32",
)  # fmt: skip
LOOK = 0.25
METRICS = {
    "written": "vllm:generation_tokens_total",
    "asked": "vllm:prefix_cache_queries_total",
    "held": "vllm:prefix_cache_hits_total",
}


class Recording(HttpEngine):
    """The engine of the product, which also keeps what it sends."""

    sent: ClassVar[list[dict[str, Any]]] = []

    async def complete(self, request: CompletionRequest) -> Reply:
        """Note it, and answer as ever."""
        if not request.id.startswith("probe-"):
            self.sent.append(wire.body(request, model=self.model_name, dialect="vllm"))
        return await super().complete(request)


STAGES = {"score": "judge", "tasks": "bootstrap", "instances": "instances"}
"""By a field of the JSON that is asked for."""


def stage_of(body: dict[str, Any]) -> str:
    """Name the stage of a body, by what it asks for."""
    wanted = body.get("structured_outputs", {})
    fields = wanted.get("json", {}).get("properties", {})
    return "classify" if "choice" in wanted else next((STAGES[name] for name in STAGES if name in fields), "respond")


class Look:
    """The server's counters, read all the time by a thread of its own."""

    def __init__(self, base_url: str) -> None:
        """Look at one server."""
        self._url = base_url.removesuffix("/v1") + "/metrics"
        self._done = threading.Event()
        self.samples: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        """Begin."""
        self.first = self.counters()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._done.set()
        self._thread.join()
        self.last = self.counters()

    def counters(self) -> dict[str, float]:
        """Return the counters by our names."""
        with urlopen(self._url) as answer:  # noqa: S310 - our own server
            lines = answer.read().decode().splitlines()
        told = dict.fromkeys(METRICS, 0.0)
        for name, metric in METRICS.items():
            told[name] += sum(float(one.rpartition(" ")[2]) for one in lines if one.startswith(metric))
        return told

    def _look(self) -> None:
        while not self._done.wait(LOOK):
            self.samples.append((time.monotonic(), self.counters()["written"]))

    @property
    def rate(self) -> tuple[float, float, float]:
        """Return tokens written, seconds between the first and the last of them, and tokens/s."""
        start = max(moment for moment, count in self.samples if count == self.samples[0][1])
        end = min(moment for moment, count in self.samples if count == self.samples[-1][1])
        tokens = self.samples[-1][1] - self.samples[0][1]
        return tokens, end - start, tokens / (end - start)

    @property
    def hits(self) -> float:
        """Return the share of prompt tokens that the prefix cache held."""
        return (self.last["held"] - self.first["held"]) / max(1.0, self.last["asked"] - self.first["asked"])


@contextmanager
def serving(model: Path, log: Path) -> Iterator[str]:
    """Serve the model, and nothing of another run in its cache."""
    os.environ |= {"VLLM_CPU_KVCACHE_SPACE": "2", "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "WARNING"}
    server = Server(find(PYTHON), str(model), port=free_port(8100), args=ARGS, log_file=log)
    server.start()
    try:
        server.await_ready(seconds=600, tell=lambda _: None)
        yield server.url
    finally:
        server.stop()


def ours(base_url: str, folder: Path, tokens: int) -> None:
    """Run the product's pipeline until so many tokens are written and read."""
    sets = [f"{key}={value}" for key, value in SMALL.items() if key != "concurrency"]
    loaded = recipe.load("chat", environment={}, sets=sets)
    loaded = loaded.model_copy(update={"engines": dict.fromkeys(("writer", "judge"), Recording(base_url=base_url))})
    pipeline.run_sync(loaded, folder, target=100_000, limits=Limits(tokens=tokens))


def saturating(base_url: str, bodies: Sequence[dict[str, Any]], folder: Path) -> None:
    """Send the same bodies again from another process."""
    calls = folder / "calls.jsonl"
    lines = [json.dumps({"path": "/v1/chat/completions", "body": json.dumps(body)}) for body in bodies]
    calls.write_text("\n".join(lines), encoding="utf-8")
    command = [
        sys.executable,
        str(HERE / "_bare_clients.py"),
        "saturating",
        "--base-url",
        base_url,
        "--calls",
        str(calls),
    ]
    subprocess.run([*command, "--slots", str(SLOTS), "--rows", str(len(bodies))], check=True)


async def send(base_url: str, bodies: Sequence[dict[str, Any]]) -> None:
    """Send bodies in their order, 64 at once; one token of answer is enough."""
    numbers = iter(range(len(bodies)))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=600)) as session:

        async def worker() -> None:
            for number in numbers:
                short = {name: value for name, value in bodies[number].items() if name != "structured_outputs"}
                async with session.post(
                    base_url + "/chat/completions", json=short | {"max_tokens": 1, "n": 1}
                ) as answer:
                    await answer.read()

        await asyncio.gather(*(worker() for _ in range(SLOTS)))


def common(bodies: Sequence[dict[str, Any]]) -> float:
    """Return the mean share of characters that a prompt has in common with the one before it."""
    texts = [body["messages"][0]["content"] for body in bodies]
    shared = sum(len(os.path.commonprefix(pair)) for pair in pairwise(texts))  # noqa: RUF071 - texts, no paths
    return shared / max(1, sum(map(len, texts[1:])))


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=600_000, help="read and written, of our pipeline")
    options = parser.parse_args()
    make_environment()
    with tempfile.TemporaryDirectory(prefix="real-vllm-") as name:
        folder = Path(name)
        subprocess.run([PYTHON, HERE.parent / "tests/vllm/tiny_model.py", shipped(), folder / "model"], check=True)
        rates = {}
        with serving(folder / "model", folder / "log") as url, Look(url) as look:
            ours(url, folder / "run", options.tokens)
        rates["selfinstruct"] = look
        bodies = Recording.sent
        with serving(folder / "model", folder / "log") as url, Look(url) as look:
            saturating(url, bodies, folder)
        rates["saturating"] = look
        for who, one in rates.items():
            tokens, seconds, rate = one.rate
            print(
                f"{who:13} {tokens:8,.0f} tokens in {seconds:6.1f} s: {rate:7,.0f} tokens/s; prefix hits {one.hits:.0%}",
                flush=True,
            )
        print(
            f"ratio {rates['selfinstruct'].rate[2] / rates['saturating'].rate[2]:.2f}; {len(bodies)} calls", flush=True
        )
        with serving(folder / "model", folder / "log") as url:
            for stage in ("bootstrap", "classify", "instances", "respond", "judge"):
                of_stage = [body for body in bodies if stage_of(body) == stage]
                if not of_stage:
                    continue
                with Look(url) as look:
                    asyncio.run(send(url, of_stage))
                print(
                    f"{stage:10} {len(of_stage):5} calls: prefix hits {look.hits:.0%}; at best {common(of_stage):.0%}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
