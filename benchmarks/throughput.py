"""How full a server of S sequences is kept by the whole pipeline, store included; bare clients and a peer beside it.

    python benchmarks/throughput.py [--slots 64 256 1024] [--rows N] [--who selfinstruct saturating window distilabel]

Every line is a fresh `_busy_server.py` and one client process. "full" is the mean share of busy sequences from the first
moment with 95 % of them busy to the last such moment; "calls" is that share from the first call to the last answer; "run"
from the start of the process to the last answer. Goals: full >= 97 %, run >= 90 % (S = 256, 2,000 rows), first call < 1 s.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.request import urlopen

HERE = Path(__file__).parent
ROWS = {64: 500, 256: 2000, 1024: 8000}
"""Two to three minutes each, of answers that take 1.8 s in the mean."""
NEARLY = 0.95
TIMELINE = 20
HEAD = (
    f"{'S':>5} {'who':24} {'full':>6} {'calls':>6} {'run':>6} {'first call':>10} {'took':>8} {'calls/s':>8} "
    f"{'CPU/call':>9} {'peak RSS':>9} {'queued':>7} {'late':>6}  exit"
)


class Shares:
    """What a log of begun and ended sequences says: shares of S that were busy."""

    def __init__(self, log: array[float], slots: int) -> None:
        """Take (moment, change) pairs in any order."""
        self._slots = slots
        busy = 0.0
        self._steps: list[tuple[float, float]] = []
        for moment, change in sorted(zip(log[::2], log[1::2], strict=True)):
            busy += change
            self._steps.append((moment, busy))

    @property
    def ended(self) -> float:
        """When the last sequence ended."""
        return self._steps[-1][0]

    def mean(self, start: float, end: float) -> float:
        """Return the mean share between two moments, weighted by time, exactly."""
        area = sum(
            busy * max(0.0, min(after, end) - max(before, start))
            for (before, busy), (after, _) in pairwise(self._steps)
        )
        return area / (end - start) / self._slots

    def full(self) -> tuple[float, float] | None:
        """Return the first and the last moment with at least 95 % busy; None when there is none."""
        moments = [
            (before, after)
            for (before, busy), (after, _) in pairwise(self._steps)
            if busy >= NEARLY * self._slots
        ]
        return (moments[0][0], moments[-1][1]) if moments else None

    def timeline(self, start: float) -> str:
        """Return the shares of equal parts from `start` to the end, in percent."""
        part = (self.ended - start) / TIMELINE
        return " ".join(f"{self.mean(start + i * part, start + (i + 1) * part):.0%}" for i in range(TIMELINE))


@dataclass(frozen=True, slots=True)
class Ran:
    """What a process cost."""

    started: float
    seconds: float
    cpu: float
    rss: int
    """Bytes, the most of any one process of it."""
    code: int
    talk: str
    """The end of what it said."""


def run(command: list[str], log: Path) -> Ran:
    """Run a command to its end."""
    with log.open("w+b") as file:
        started = time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        _, status, used = os.wait4(child.pid, 0)
        seconds = time.monotonic() - started
        child.returncode = os.waitstatus_to_exitcode(status)
    talk = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    return Ran(started, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, child.returncode, talk)


@contextmanager
def server(options: argparse.Namespace, slots: int) -> Iterator[str]:
    """Start the server, give its base URL, end it."""
    command = [sys.executable, str(HERE / "_busy_server.py"), "--slots", str(slots), "--faults", options.faults]
    command += ["--token-ms", str(options.token_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def get(base_url: str, path: str) -> bytes:
    """Read one of the server's own paths."""
    with urlopen(base_url.removesuffix("/v1") + path) as answer:  # noqa: S310 - our own server
        body: bytes = answer.read()
        return body


def measure(who: str, command: list[str], base_url: str, *, folder: Path, verbose: bool) -> None:
    """Run one client against a fresh server and print its line."""
    ran = run(command, folder / f"{who}.log")
    told: dict[str, Any] = json.loads(get(base_url, "/busy"))
    log = array("d")
    log.frombytes(get(base_url, "/busy/log"))
    if not log:
        print(f"{told['slots']:5} {who:24} no call came, exit {ran.code}:\n{ran.talk}", flush=True)
        return
    shares, first = Shares(log, told["slots"]), told["first_call"]
    full = shares.full()
    print(
        f"{told['slots']:5} {who:24} {shares.mean(*full) if full else 0:6.1%} {shares.mean(first, shares.ended):6.1%} "
        f"{shares.mean(ran.started, shares.ended):6.1%} {first - ran.started:8.2f} s {ran.seconds:6.1f} s "
        f"{told['calls'] / (shares.ended - first):8.0f} {ran.cpu / told['calls'] * 1000:6.2f} ms {ran.rss / 1e6:6.0f} MB "
        f"{told['queued_mean']:5.2f} s {told['late_mean'] * 1000:3.0f} ms  {ran.code}",
        flush=True,
    )
    if verbose or ran.code:
        stretch = f"full from {full[0] - ran.started:.1f} s to {full[1] - ran.started:.1f} s" if full else "never full"
        print(f"      {told['calls']} calls, {told['sequences']} sequences, last answer at {shares.ended - ran.started:.1f} s, {stretch}")
        print(f"      server: {told['cpu'] / told['calls'] * 1000:.2f} ms CPU a call, {told['cpu'] / ran.seconds:.0%} of a core, at worst {told['late_most'] * 1000:.0f} ms late")
        print(f"      by time: {shares.timeline(ran.started)}", flush=True)
    if ran.code:
        print(ran.talk, flush=True)


def ours(options: argparse.Namespace, slots: int, rows: int, base_url: str, folder: Path) -> list[str]:
    """Return the real command, as a person types it."""
    command = [str(Path(sys.executable).parent / "selfinstruct"), "run", "chat", "-n", str(rows)]
    command += ["--base-url", base_url, "-o", str(folder / "run")]
    size = str(slots) if options.concurrency == "slots" else options.concurrency
    sets = [f"concurrency={size}", *([f"stages.bootstrap.lag={options.lag}"] if options.lag else []), *options.set]
    return command + [part for one in sets for part in ("--set", one)]


def main() -> None:
    """Measure everyone at every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--rows", type=int, default=0, help="instead of 500, 2,000 and 8,000")
    parser.add_argument("--who", nargs="+", default=["selfinstruct"])
    parser.add_argument("--concurrency", default="auto", help="auto, a number, or `slots` for S")
    parser.add_argument("--lag", type=int, default=0, help="stages.bootstrap.lag, instead of the recipe's")
    parser.add_argument("--set", action="append", default=[], help="recipe field for ours, for instance seed=7")
    parser.add_argument("--token-ms", type=float, default=10)
    parser.add_argument("--faults", default="")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    print(f"load before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    print(HEAD)
    for slots in options.slots:
        rows = options.rows or ROWS.get(slots, slots * 8)
        for who in options.who:
            folder = Path(tempfile.mkdtemp(prefix="throughput-"))
            with server(options, slots) as base_url:
                measure(who, ours(options, slots, rows, base_url, folder), base_url, folder=folder, verbose=options.verbose)
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
