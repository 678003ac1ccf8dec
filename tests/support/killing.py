"""Starts the real command against the scripted server, kills its process tree at seeded points, and compares what is left."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parent.parent.parent
FIRST_CALL_SECONDS = 30
LINGER = 0.3
"""Seconds after a kill in which nothing is started: what the server still reads then was sent before it."""
ROWS = 30
QUIET: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class Server:
    """The scripted server in a process of its own, with a request log that outlives the client."""

    def __init__(self, log: Path, *, latency_ms: float = 30, faults: str = "") -> None:
        self.log = log
        command = [sys.executable, "-m", "tests.support.fake_server", "--log", str(log), "--faults", faults]
        command += ["--latency-ms", str(latency_ms)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.base_url = self._process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def entries(self) -> list[dict[str, Any]]:
        """Every request of a run so far; a line that is being written does not count yet."""
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        entries = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [
            one for one in entries if not one["id"].startswith("probe-")
        ]  # asked at every start, and no part of a run


def command(server: Server, folder: Path, *, rows: int = ROWS) -> list[str]:
    """The command under test."""
    flags = ["-n", str(rows), "--base-url", server.base_url, "-o", str(folder), "-q", "--set", "concurrency=16"]
    return [sys.executable, "-m", "selfinstruct", "run", "chat", *flags]


def finish(server: Server, folder: Path, *, rows: int = ROWS) -> dict[str, str]:
    """Run to the end and return export -> sha256; the ledger must balance and nothing may be open."""
    done = subprocess.run(command(server, folder, rows=rows), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    stats = subprocess.run(
        [sys.executable, "-m", "selfinstruct", "stats", str(folder), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    ledger = json.loads(stats.stdout.splitlines()[-1])["ledger"]
    assert ledger["generated"] == ledger["accepted"] + ledger["dropped"] + ledger["failed"] + ledger["open"], ledger
    assert (ledger["accepted"], ledger["open"]) == (rows, 0), ledger
    manifests = sorted(folder.glob("exports/*/manifest.json"))
    return {path.parent.name: str(json.loads(path.read_text())["files"]) for path in manifests}


@dataclass
class Verdict:
    """What a series of kills left behind."""

    kills: int = 0
    in_flight: int = 0
    """Calls that were under way at a kill, and so were sent again."""
    repeated: int = 0
    """Answers that had come and were asked for again."""
    oldest_repeat: float = 0.0
    """Seconds between the oldest of those and the kill that lost it."""


def kill_once(
    server: Server, folder: Path, *, after_calls: int | None, after_seconds: float, rows: int = ROWS
) -> float:
    """Start the command, kill -9 its whole session at the given point, return the time of the kill (0: it was through)."""
    before = len(server.entries())
    process = subprocess.Popen(command(server, folder, rows=rows), start_new_session=True, **QUIET)
    started = time.monotonic()
    while process.poll() is None:
        calls = len(server.entries()) - before
        waited = time.monotonic() - started
        if (calls >= after_calls) if after_calls is not None else (waited >= after_seconds):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            died = time.time()
            time.sleep(LINGER)
            return died
        assert waited < 120, "the command hangs"
        time.sleep(0.002)
    return 0.0


def _audit(server: Server, kills: list[float], since: int, verdict: Verdict) -> None:
    """Compare the request log of one run with its kills: an answer is asked for again only if a kill has just lost it."""
    earlier: dict[str, dict[str, Any]] = {}
    for entry in server.entries()[since:]:
        if entry["fault"]:
            continue
        key = entry["id"] + entry["digest"]
        if key in earlier:
            lost_by = [moment for moment in kills if earlier[key]["time"] <= moment + LINGER <= entry["time"]]
            # In flight at the kill: the server answered nobody. Not promised, and no answer of ours was lost.
            age = max(0.0, min(lost_by) - earlier[key]["answered"]) if lost_by else float("inf")
            verdict.in_flight += age == 0
            verdict.repeated += age > 0
            verdict.oldest_repeat = max(verdict.oldest_repeat, age)
        earlier[key] = entry


def point(draw: random.Random, *, by_calls: bool, calls: float, seconds: float) -> dict[str, Any]:
    """Draw where to kill: after so many calls of this start, or so many seconds, of what a whole run takes of either."""
    return {
        "after_calls": draw.randint(1, int(calls)) if by_calls else None,
        "after_seconds": draw.uniform(0.1, seconds),
    }


def series(folder: Path, *, kills: int, by_calls: bool, seed: str) -> Verdict:
    """Kill a run `kills` times at drawn points, finish it, and say what that cost. A run that got through starts anew.

    Raises:
        AssertionError: an export differs from the undisturbed one, a ledger does not balance, or something hangs.
    """
    draw = random.Random(seed)
    moments: list[float] = []
    with Server(folder / "log.jsonl") as server:
        started = time.monotonic()
        wanted = finish(server, folder / "whole")
        size = {"calls": len(server.entries()), "seconds": time.monotonic() - started}
        since, run = len(server.entries()), 0
        verdict = Verdict()
        while verdict.kills < kills:
            moment = kill_once(server, folder / f"run{run}", **point(draw, by_calls=by_calls, **size))
            moments.append(moment)
            verdict.kills += moment > 0
            if not moment or verdict.kills == kills or draw.random() < 0.2:
                assert finish(server, folder / f"run{run}") == wanted
                _audit(server, moments, since, verdict)
                since, moments, run = len(server.entries()), [], run + 1
    return verdict
