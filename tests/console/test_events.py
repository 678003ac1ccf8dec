"""--events: what a program reads while a run goes on."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path

import pytest

from selfinstruct import pipeline, recipe
from selfinstruct.console import Watcher
from selfinstruct.console.figures import Figures
from selfinstruct.console.watcher import TICK
from selfinstruct.pipeline import Progress, Report
from tests.support.running import command, events


def watched(folder: Path, path: Path, *, rows: int, starting: float = 0.0) -> Report:
    """Run it under a watcher; between the first word of it and its first model lie `starting` seconds."""
    loaded = recipe.load("demo", environment={}, sets=["engines.writer.latency=0.01"])
    with Watcher(folder, quiet=True, events=path) as watcher:

        def watch(progress: Progress) -> None:
            watcher(progress)
            if not progress.models:
                time.sleep(starting)

        logging.getLogger("selfinstruct.test").warning("a server says \x1b[31m%s", "no\nway")
        report = pipeline.run_sync(loaded, folder, target=rows, watch=watch)
        watcher.ended(report)
    return report


def test_a_run_is_told_from_start_to_stop(tmp_path: Path) -> None:
    """start, warnings, progress with every field of Figures, stop; the last figures are those of the books."""
    report = watched(tmp_path / "run", tmp_path / "events", rows=30)
    told = events(tmp_path / "events")
    start, warning, progress, stop = told[0], told[1], told[-2], told[-1]
    assert (start["event"], start["schema"], start["pid"], start["metrics"]) == ("start", 1, os.getpid(), None)
    assert start["run"] == str(tmp_path / "run")
    assert (warning["event"], warning["message"]) == ("warning", "a server says \\u001b[31mno way")
    assert progress.keys() == {"event", *Figures.model_fields}
    assert progress["calls"] == report.accounts.calls["total"]
    assert progress["completion_tokens"] == report.accounts.calls["completion_tokens"]
    assert progress["rows"] == 30 + report.accounts.surplus
    made = {one["name"]: one for one in progress["stages"]}
    assert all(one["made"] == one["accepted"] + one["dropped"] + one["failed"] for one in made.values())
    assert all(sum(one["drops"].values()) == one["dropped"] for one in made.values())
    assert made["bootstrap"]["made"] >= report.accounts.stages["bootstrap"].generated
    assert (stop["event"], stop["message"], stop["exit_status"]) == ("stop", "30 of 30 rows", 0)


@pytest.mark.parametrize("starting", [0.0, 5 * TICK])
def test_a_run_that_goes_on_is_told_in_the_same_file(tmp_path: Path, starting: float) -> None:
    """Appended; counts are the whole run's once it is open, however long that takes; no rate comes of what was there before."""
    watched(tmp_path / "run", tmp_path / "events", rows=20)
    before = len(events(tmp_path / "events"))
    watched(tmp_path / "run", tmp_path / "events", rows=20, starting=starting)
    again = events(tmp_path / "events")[before:]
    assert {one["event"] for one in again[2:-1]} == {"progress"}
    assert [again[place]["event"] for place in (0, 1, -1)] == ["start", "warning", "stop"]
    counted = [one for one in again[2:-1] if one["models"]]  # before, nothing is known of what was stored
    assert counted
    assert all(one["rows"] >= 20 for one in counted)
    assert all(one["rows_per_min"] is None for one in again[2:-1])


def test_stderr_carries_nothing_else(tmp_path: Path) -> None:
    """`--events -`: every line is an object; the files' names stand on stdout as ever."""
    done = command("run", "demo", "-n", 20, "-o", tmp_path / "run", "--events", "-")
    assert done.returncode == 0
    told = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert (told[0], told[-1]) == ("start", "stop")
    assert len(done.stdout.splitlines()) == 3


def test_an_error_is_how_it_stopped(tmp_path: Path) -> None:
    """No server: start and stop with the exit status, nothing counted between them, and `watch` sees how it ended."""
    dead = ("--base-url", "http://127.0.0.1:9/v1")
    done = command("run", "-n", 5, *dead, "-o", tmp_path / "run", "--events", tmp_path / "events")
    told = events(tmp_path / "events")
    assert (done.returncode, [one["event"] for one in told]) == (3, ["start", "progress", "stop"])
    assert (told[1]["models"], told[1]["rows"]) == ([], 0)
    assert told[2]["exit_status"] == 3
    assert told[2]["message"] in done.stderr
    assert json.loads((tmp_path / "run" / "progress.json").read_text())["ended"] == told[2]["message"]


def test_a_file_that_cannot_be_opened_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    """A folder that is not there, a pipe that nobody reads: exit 2, no run."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none" / "events", tmp_path / "pipe", tmp_path):
        done = command("run", "demo", "-n", 5, "-o", tmp_path / "run", "--events", path)
        assert (done.returncode, f"--events {path}" in done.stderr) == (2, True), done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_told_once_and_the_run_goes_on(tmp_path: Path) -> None:
    """Events are for looking: rows do not wait for them."""
    done = command("run", "demo", "-n", 20, "-o", tmp_path / "run", "--events", "/dev/full")
    assert done.returncode == 0
    assert done.stderr.count("no more events: /dev/full: No space left on device") == 1
