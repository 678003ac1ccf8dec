"""How full a server of S sequences is kept by the whole pipeline, store included; bare clients and two peers beside it.

    python benchmarks/throughput.py [--slots 64 256 1024] [--rows N] [--who selfinstruct saturating window]
    python benchmarks/throughput.py --slots 256 --who selfinstruct distilabel curator distilabel-default curator-default

Every line is one client process and a fresh `_busy_server.py`. `full` is the mean share of busy sequences from the first
moment with 95 % of them busy to the last such moment; `calls` that share from the first call to the last answer; `run`
from the start of the process to the last answer. `late` is how late the server heard of ended sequences: well below the
2 s of an answer, or it was the bottleneck. `others` is the CPU that everything else took: near 0, or the line says little.
Goals: full >= 97 %, run >= 90 % (S = 256, 2,000 rows), first call < 1 s.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.request import urlopen

HERE = Path(__file__).parent
ROWS = {64: 500, 256: 2000, 1024: 8000}
"""About two minutes each, of answers that take 1.8 s in the mean."""
SHORTER = 8
"""Peers at their defaults get so many times fewer rows: they take that much longer, and the share stays as it is."""
CALLS_PER_SLOT = 25
"""Sent by the saturating client."""
NEARLY = 0.95
PARTS = 20
DEADLINE = 1800
TICKS = os.sysconf("SC_CLK_TCK")
PEERS = {"distilabel": ("distilabel[openai]==1.5.3", "requests"), "curator": ("bespokelabs-curator==0.1.31",)}
"""What is installed for each; distilabel 1.5.3 does not start without requests, which it does not ask for."""
HEAD = (
    f"{'S':>5} {'who':18} {'rows':>6} {'full':>6} {'calls':>6} {'run':>6} {'first call':>10} {'took':>8} {'calls/s':>8} "
    f"{'CPU/call':>9} {'peak RSS':>9} {'queued':>7} {'late':>6} {'others':>9}  exit"
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
        nearly = NEARLY * self._slots
        moments = [(before, after) for (before, busy), (after, _) in pairwise(self._steps) if busy >= nearly]
        return (moments[0][0], moments[-1][1]) if moments else None

    def timeline(self, start: float) -> str:
        """Return the shares of equal parts from `start` to the end, in percent."""
        part = (self.ended - start) / PARTS
        return " ".join(f"{self.mean(start + i * part, start + (i + 1) * part):.0%}" for i in range(PARTS))


@dataclass(frozen=True, slots=True)
class Ran:
    """What a process and its children cost."""

    started: float
    seconds: float
    cpu: float
    machine: float
    """CPU seconds of the whole machine meanwhile."""
    rss: int
    """Bytes, the most of any one of the processes."""
    code: int
    talk: str
    """The end of what was said."""


def run(command: list[str], log: Path) -> Ran:
    """Run a command to its end, or to the deadline."""
    with log.open("w+b") as file:
        before, started = _machine(), time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
        timer = threading.Timer(DEADLINE, os.killpg, (child.pid, signal.SIGKILL))
        timer.start()
        _, status, used = os.wait4(child.pid, 0)
        timer.cancel()
        seconds, machine = time.monotonic() - started, _machine() - before
        child.returncode = os.waitstatus_to_exitcode(status)
    talk = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    cpu = used.ru_utime + used.ru_stime
    return Ran(started, seconds, cpu, machine, used.ru_maxrss * 1024, child.returncode, talk)


def _machine() -> float:
    """Return the CPU seconds that all processes took since the machine's start (Linux)."""
    user, nice, system, _, _, irq, softirq = map(int, Path("/proc/stat").read_text(encoding="ascii").split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS


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


# -- who is measured --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table, before it is measured."""

    slots: int
    rows: int
    base_url: str
    folder: Path
    options: argparse.Namespace

    @property
    def common(self) -> list[str]:
        """Options that all clients but ours take."""
        return ["--base-url", self.base_url, "--rows", str(self.rows)]


def ours(case: Case) -> list[str]:
    """Return the real command, as a person types it."""
    options = case.options
    command = [str(Path(sys.executable).parent / "selfinstruct"), "run", "chat", "-n", str(case.rows)]
    command += ["--base-url", case.base_url, "-o", str(case.folder / "run")]
    size = str(case.slots) if options.concurrency == "slots" else options.concurrency
    sets = [f"concurrency={size}", *([f"stages.bootstrap.lag={options.lag}"] if options.lag else []), *options.set]
    return command + [part for one in sets for part in ("--set", one)]


def saturating(case: Case) -> list[str]:
    """Return the command of the bare client that sends the latest calls of ours once more."""
    rows = ["--rows", str(CALLS_PER_SLOT * case.slots), "--calls", str(case.folder / "calls.jsonl")]
    return [
        sys.executable,
        str(HERE / "_bare_clients.py"),
        "saturating",
        *case.common,
        "--slots",
        str(case.slots),
        *rows,
    ]


def window(case: Case) -> list[str]:
    """Return the command of the bare client behind a semaphore."""
    return [sys.executable, str(HERE / "_bare_clients.py"), "window", *case.common, "--slots", str(case.slots)]


def peer(name: str, case: Case, *how: str) -> list[str]:
    """Return the command of a peer, in an environment of its own, made when it is not there."""
    home = case.options.peer_env / f"venv-{name}"
    python = str(home / "bin" / "python")
    if not home.exists():
        print(f"installing {', '.join(PEERS[name])} into {home}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PEERS[name]], check=True)
    return [python, "-W", "ignore", str(HERE / f"_peer_{name}.py"), *case.common, *how]


def distilabel(case: Case) -> list[str]:
    """Return distilabel's command with the settings that did best here.

    Batches of 4 S rows; with batches of S, one, two or four processes a step, it kept the server less full.
    """
    return peer("distilabel", case, "--batch", str(4 * case.slots))


def curator(case: Case) -> list[str]:
    """Return curator's command with as many requests as the server takes, and no limits of its own."""
    return peer("curator", case, "--concurrency", str(case.slots))


WHO: dict[str, Callable[[Case], list[str]]] = {
    "selfinstruct": ours,
    "saturating": saturating,
    "window": window,
    "distilabel": distilabel,
    "distilabel-default": lambda case: peer("distilabel", case),
    "curator": curator,
    "curator-default": lambda case: peer("curator", case),
}


# -- the table --------------------------------------------------------------------------------------------------------


def measure(who: str, case: Case) -> None:
    """Run one client against a fresh server and print its line."""
    ran = run(WHO[who](case), case.folder / f"{who}.log")
    told: dict[str, Any] = json.loads(get(case.base_url, "/busy"))
    log = array("d")
    log.frombytes(get(case.base_url, "/busy/log"))
    if who == "selfinstruct":
        (case.folder / "calls.jsonl").write_bytes(get(case.base_url, "/busy/calls"))
    if log:
        show(who, case, ran, told, Shares(log, case.slots))
    else:
        print(f"{case.slots:5} {who:18} sent no call")
    if ran.code:
        print(f"exit {ran.code}; it said: ...{ran.talk}", flush=True)


def show(who: str, case: Case, ran: Ran, told: dict[str, Any], shares: Shares) -> None:
    """Print what was measured."""
    first, full, calls = told["first_call"], shares.full(), told["calls"]
    others = max(0.0, ran.machine - ran.cpu - told["cpu"]) / ran.seconds
    print(
        f"{case.slots:5} {who:18} {case.rows:6} {shares.mean(*full) if full else 0:6.1%} "
        f"{shares.mean(first, shares.ended):6.1%} {shares.mean(ran.started, shares.ended):6.1%} "
        f"{first - ran.started:8.2f} s {ran.seconds:6.1f} s {calls / (shares.ended - first):8.0f} "
        f"{ran.cpu / calls * 1000:6.2f} ms {ran.rss / 1e6:6.0f} MB {told['queued_mean']:5.2f} s "
        f"{told['late_mean'] * 1000:3.0f} ms {others:4.2f} core  {ran.code}",
        flush=True,
    )
    if not case.options.verbose:
        return
    stretch = f"{full[0] - ran.started:.1f} s to {full[1] - ran.started:.1f} s" if full else "never"
    print(
        f"      {calls} calls, {told['sequences']} answers, {told['tokens']['generation']} tokens; "
        f"full {stretch}, last answer at {shares.ended - ran.started:.1f} s\n"
        f"      server: {told['cpu'] / calls * 1000:.2f} ms CPU a call, {told['cpu'] / ran.seconds:.0%} of a core, "
        f"at worst {told['late_most'] * 1000:.0f} ms late\n"
        f"      share by time: {shares.timeline(ran.started)}",
        flush=True,
    )


def parsed() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--rows", type=int, default=0, help="instead of 500, 2,000 and 8,000")
    parser.add_argument("--who", nargs="+", choices=WHO, default=["selfinstruct", "saturating", "window"])
    parser.add_argument("--concurrency", default="auto", help="of ours: auto, a number, or `slots` for S")
    parser.add_argument("--lag", type=int, default=0, help="stages.bootstrap.lag, instead of the recipe's")
    parser.add_argument("--set", action="append", default=[], help="a field of our recipe, for instance seed=7")
    parser.add_argument("--token-ms", type=float, default=10)
    parser.add_argument("--faults", default="", help="for instance 429=0.01,500=0.01,close=0.01")
    parser.add_argument("--peer-env", type=Path, default=Path.home() / ".cache" / "selfinstruct-bench")
    parser.add_argument("-v", "--verbose", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Measure everyone at every size."""
    options = parsed()
    print(f"load before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores\n{HEAD}", flush=True)
    for slots in options.slots:
        rows = options.rows or ROWS.get(slots, 8 * slots)
        with tempfile.TemporaryDirectory(prefix="throughput-") as folder:
            for who in options.who:
                fewer = rows // SHORTER if who.endswith("-default") else rows
                with server(options, slots) as base_url:
                    measure(who, Case(slots, fewer, base_url, Path(folder), options))


if __name__ == "__main__":
    main()
