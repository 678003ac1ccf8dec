"""`watch`: a second process looks at a run that goes on, ended, or was killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from selfinstruct import pipeline, recipe
from selfinstruct.console import attach, beacon
from selfinstruct.console.beacon import Presence, Sighting, presence
from tests.support.moments import moment
from tests.support.running import command, eventually, running


def seen(folder: Path) -> dict[str, Any] | None:
    """What `watch --json` prints, once there is a row."""
    done = command("watch", folder, "--json")
    told: dict[str, Any] | None = json.loads(done.stdout) if done.returncode == 0 else None
    return told if told and told["figures"]["rows"] else None


def test_a_run_is_seen_from_another_process(tmp_path: Path) -> None:
    """The same figures in mid-run; nothing of it is part of the run."""
    folder = tmp_path / "run"
    with running(folder, "-q") as process:
        told = eventually(lambda: seen(folder))
        assert (told["state"], told["pid"], told["ended"]) == ("working", process.pid, None)
        assert told["figures"]["target"] == 1_000_000
        once = command("watch", folder, "--once")
        assert once.returncode == 0
        assert "of 1,000,000 rows" in once.stdout
        assert "bootstrap" in once.stdout
        process.terminate()
        assert process.wait(60) == 130
    assert command("verify", folder).returncode == 0


def test_it_watches_until_the_run_ends_and_says_how(tmp_path: Path) -> None:
    """Attached in mid-run, where there is no terminal: plain lines, then the end, exit 0."""
    folder = tmp_path / "run"
    with running(folder, rows=400) as process:
        eventually(lambda: seen(folder))
        watching = subprocess.Popen(
            [sys.executable, "-m", "selfinstruct", "watch", str(folder)], stderr=subprocess.PIPE, text=True
        )
        told = watching.communicate(timeout=120)[1].splitlines()
        assert process.wait(60) == 0
    assert watching.returncode == 0
    assert "of 400 rows in" in told[0]
    assert not told[0].startswith("ended")
    assert told[-1].startswith("ended: 400 of 400 rows; 400 of 400 rows")
    assert command("watch", folder, "--once").stdout.splitlines()[2].strip() == "ended: 400 of 400 rows"


def test_a_killed_run_is_found_dead_at_once(tmp_path: Path) -> None:
    """Kill -9 while `watch` looks: exit 1 and what goes on with it; the run is sound, goes on, and is seen again."""
    folder = tmp_path / "run"
    with running(folder) as process:
        eventually(lambda: seen(folder))
        watching = subprocess.Popen(
            [sys.executable, "-m", "selfinstruct", "watch", str(folder)], stderr=subprocess.PIPE, text=True
        )
        assert watching.stderr is not None
        assert "rows in" in watching.stderr.readline()
        process.kill()
        process.wait(60)
        told = watching.communicate(timeout=60)[1]
    assert watching.returncode == 1
    assert f"process {process.pid} on" in told
    assert f"selfinstruct resume {folder}" in told
    gone = command("watch", folder, "--once")
    assert (gone.returncode, f"process {process.pid} is gone" in gone.stdout) == (1, True)
    rows = json.loads(command("watch", folder, "--json").stdout)["figures"]["rows"]
    assert command("verify", folder).returncode == 0
    with running(folder) as process:
        again = eventually(lambda: found if (found := seen(folder)) and found["state"] == "working" else None)
        assert again["pid"] == process.pid
        assert again["figures"]["rows"] >= rows
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_a_run_that_is_refused_marks_nothing_as_ended(tmp_path: Path) -> None:
    """A second process at the same folder is told who owns it; who watches the first sees no end."""
    folder = tmp_path / "run"
    with running(folder) as process:
        eventually(lambda: seen(folder))
        second = command("run", "demo", "-n", 5, "-o", folder)
        assert (second.returncode, f"in use by pid {process.pid}" in second.stderr) == (2, True)
        told = seen(folder)
        assert told is not None
        assert (told["pid"], told["ended"]) == (process.pid, None)


def test_a_run_that_is_starting_is_seen(tmp_path: Path) -> None:
    """Before its first answer, and after an earlier end: somebody is at work."""
    assert command("run", "demo", "-n", 5, "-o", tmp_path / "run", "-q").returncode == 0
    with running(tmp_path / "run", latency=3.0):
        told = eventually(lambda: one if (one := attach.snapshot(tmp_path / "run"))["state"] == "working" else None)
        assert told["ended"] is None


def test_nobody_is_at_work(tmp_path: Path) -> None:
    """No run, a run that nobody shows, and a file that is something else: exit 2, each with what helps."""
    none = command("watch", tmp_path)
    assert (none.returncode, "no run in" in none.stderr) == (2, True)
    pipeline.run_sync(recipe.load("demo", environment={}), tmp_path / "run", target=5)
    alone = command("watch", tmp_path / "run")
    assert alone.returncode == 2
    assert "nobody is at work on" in alone.stderr
    assert "it ended: filled" in alone.stderr
    (tmp_path / "run" / "progress.json").write_text('{"version": 99}', encoding="utf-8")
    other = command("watch", tmp_path / "run", "--json")
    assert (other.returncode, "another version" in other.stderr, other.stdout) == (2, True, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_told_once_and_the_run_goes_on(tmp_path: Path) -> None:
    """Nobody can watch then; the rows come all the same."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".progress.json.partial").symlink_to("/dev/full")
    done = command("run", "demo", "-n", 60, "-o", folder, "--set", "engines.writer.latency=0.2")
    assert done.returncode == 0
    assert done.stderr.count("No space left on device") == 1
    assert "60 of 60 rows" in done.stderr
    assert command("verify", folder).returncode == 0


def sighting(**changes: Any) -> Sighting:
    told = {"pid": os.getpid(), "host": socket.gethostname(), "birth": beacon._birth(os.getpid())} | changes
    return Sighting(**{"figures": moment(time=time.time()), **told})


def test_presence_of_a_process() -> None:
    """By its number and birth on this machine, by the age of its news on another."""
    old, older = moment(time=time.time() - 20), moment(time=time.time() - 70)
    assert presence(sighting()) is Presence.WORKING
    assert presence(sighting(figures=old)) is Presence.SILENT
    assert presence(sighting(figures=older)) is Presence.SILENT
    assert presence(sighting(birth="1")) is Presence.GONE
    assert presence(sighting(ended="done", birth="1")) is Presence.ENDED
    assert presence(sighting(host="elsewhere", birth="1")) is Presence.WORKING
    assert presence(sighting(host="elsewhere", figures=old)) is Presence.SILENT
    assert presence(sighting(host="elsewhere", figures=older)) is Presence.GONE


def test_a_process_that_nobody_has_waited_for_is_dead() -> None:
    """A zombie has a number still."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    assert beacon._birth(process.pid) is not None
    process.kill()
    assert eventually(lambda: beacon._birth(process.pid) is None or None)
    process.communicate()
    assert beacon._birth(process.pid) is None
