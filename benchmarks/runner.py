"""Records per second through all seven stages on the scripted engine with no latency, store included.

Goal: at least 2,000 through two stages. Beside it, in the same run, the bare calls in a plain loop without runner and store.

    python benchmarks/runner.py [ROWS] [--store URL]

With a URL the same is done there, too (a PostgreSQL database, where it leaves a schema), and the two are compared.

With 100,000 rows (six minutes and more) it shows how memory grows: at most 300 MB resident, exports included.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import tempfile
import time
from pathlib import Path

from selfinstruct import pipeline, recipe
from selfinstruct.engines.base import CompletionRequest, Sampling, user
from selfinstruct.engines.scripted import ScriptedEngine

ROWS = 1500


async def bare(calls: int) -> float:
    """Return the seconds that the same number of engine calls takes in a plain loop."""
    engine = ScriptedEngine()
    started = time.perf_counter()
    for number in range(calls):
        request = CompletionRequest(id="x", prompt=user("Say it."), sampling=Sampling(max_tokens=512), seed=number)
        await engine.complete(request)
    return time.perf_counter() - started


def one(rows: int, store: str | None) -> float:
    """Run the demo recipe, tell what it took and what the store holds afterwards, and return records per second."""
    with tempfile.TemporaryDirectory() as folder:
        started, cpu = time.perf_counter(), time.process_time()
        plan = recipe.load("demo", environment={})
        report = pipeline.run_sync(plan, Path(folder) / "run", target=rows, store=store)
        seconds, used = time.perf_counter() - started, time.process_time() - cpu
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        stored = sum(one.stat().st_size for one in Path(folder).rglob("*") if one.is_file())
    records = sum(one.accepted + one.dropped for one in report.accounts.stages.values())
    calls = report.accounts.calls["total"]
    plain = asyncio.run(bare(calls))
    print(f"{rows} rows, 7 stages: {records} records from {calls} calls in {seconds:.2f} s ({used:.2f} s CPU)")
    print(f"{records / seconds:,.0f} records/s, {calls / seconds:,.0f} calls/s; the bare calls alone: {plain:.2f} s")
    print(f"{most / 1e6:.0f} MB resident at most, {stored / 1e6:.0f} MB on disk; {report.message}")
    return records / seconds


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("rows", nargs="?", type=int, default=ROWS)
    options.add_argument("--store")
    given = options.parse_args()
    here = one(given.rows, None)
    if given.store:
        print(f"in the database {one(given.rows, given.store) / here:.2f} times the records/s of SQLite")
