"""Who shows a run never holds it up, and one that fails silences no other."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

from selfinstruct.console.outlet import Outlet
from selfinstruct.console.watcher import Watcher
from tests.support.running import events, eventually


def test_a_terminal_that_goes_away_ends_no_run_and_no_other_watcher(tmp_path: Path) -> None:
    """Stderr is a terminal that is closed in mid-run: the run ends well, events and progress.json say so."""
    ours, theirs = pty.openpty()
    log = tmp_path / "events.jsonl"
    line = ["run", "demo", "-n", "300", "-o", str(tmp_path / "run"), "--events", str(log)]
    process = subprocess.Popen(
        [sys.executable, "-m", "selfinstruct", *line, "--set", "engines.writer.latency=0.05"],
        stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, text=True, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    eventually(lambda: next((one for one in events(log) if one["event"] == "progress" and one["rows"]), None))
    os.close(ours)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(told.splitlines()) == 3
    assert [one["exit_status"] for one in events(log) if one["event"] == "stop"] == [0]
    assert json.loads((tmp_path / "run/progress.json").read_text())["ended"]


def test_nobody_reads_stderr(tmp_path: Path) -> None:
    """A pipe that was closed: the same."""
    reading, writing = os.pipe()
    os.close(reading)
    line = [sys.executable, "-m", "selfinstruct", "run", "demo", "-n", "20", "-o", str(tmp_path / "run")]
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=writing, text=True, timeout=60, check=False)
    os.close(writing)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 3)


def test_an_outlet_that_fails_is_dropped_and_told_of(tmp_path: Path) -> None:
    """Once; the others go on."""

    class Broken(Outlet):
        every = 0.0

        def warn(self, text: str) -> None:
            raise OSError(text)

    class Kept(Outlet):
        every = 0.0

        def warn(self, text: str) -> None:
            said.append(text)

    said: list[str] = []
    with Watcher(tmp_path, quiet=True) as watcher:
        watcher._outlets |= {Broken(): 0.0, Kept(): 0.0}
        watcher._news.append("one")
        watcher._news.append("two")
        time.sleep(0.5)
    assert said == ["one", "two", "broken shows nothing any more: one"]
