"""One run by one process and by several workers, on a PostgreSQL of its own: seconds, and seconds of CPU, from start to export.

The scripted engine without latency: our own CPU is what there is to share. Both make the same rows; that is checked.

    python benchmarks/workers.py [ROWS] [WORKERS]
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.postgres import Cluster

ROWS, WORKERS = 2000, 4


def main(rows: int, workers: int) -> None:
    """Do it both ways and compare."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {rows} rows")
    cluster = Cluster()
    try:
        with tempfile.TemporaryDirectory() as home:
            alone = _run(Path(home) / "one", "one process", rows, "--store", cluster.url())
            shared = _run(
                Path(home) / "more", f"{workers} workers", rows, "--store", cluster.url(), "--workers", str(workers)
            )
            same = _exports(Path(home) / "one") == _exports(Path(home) / "more")
            print(f"ratio {alone / shared:.2f}; exports {'equal' if same else 'DIFFER'}")
    finally:
        cluster.remove()


def _run(folder: Path, name: str, rows: int, *options: str) -> float:
    """Carry it out; print what it took and return the seconds."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "selfinstruct", "run", "demo", "-q", "-n", str(rows), "-o", str(folder), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{name}: {seconds:.1f} s, {used:.1f} s CPU of ours (the database's is not counted)")
    return seconds


def _exports(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("exports/*/*.jsonl")}


if __name__ == "__main__":
    main(*(int(one) for one in (sys.argv[1:] + [str(ROWS), str(WORKERS)][len(sys.argv) - 1 :])))
