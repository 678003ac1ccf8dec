"""A run that is told to stop by a signal, inside of somebody else's process."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType

import pytest

from selfinstruct import pipeline
from selfinstruct import recipe as recipes
from selfinstruct.errors import Exit, SelfInstructError
from selfinstruct.pipeline import Progress
from selfinstruct.runner import Limits
from selfinstruct.slots import Lane


@pytest.fixture
def caught() -> list[int]:
    """Signals that reach a handler which was there before the run."""
    return []


def test_handlers_of_the_caller_are_put_back(tmp_path: Path, caught: list[int]) -> None:
    """A scheduler's own handler of SIGTERM is its own again when the run is over."""

    def theirs(number: int, _frame: FrameType | None) -> None:
        caught.append(number)

    before = signal.signal(signal.SIGTERM, theirs)
    try:
        report = pipeline.run_sync(
            recipes.load("demo", environment={}), tmp_path / "run", target=3, handle_signals=True
        )
        assert report.exit_status is Exit.DONE
        assert signal.getsignal(signal.SIGTERM) is theirs
        os.kill(os.getpid(), signal.SIGTERM)
        assert caught == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_answers_under_way_are_awaited_no_longer_than_asked(tmp_path: Path) -> None:
    """Calls that take for ever are given up after `drain` seconds: the run ends as interrupted, not by a kill."""
    told = threading.Event()

    def stop(seen: Progress) -> None:
        if seen.in_flight and not told.is_set():
            told.set()
            os.kill(os.getpid(), signal.SIGTERM)

    recipe = recipes.load("demo", sets=["engines.writer.latency=600"], environment={})
    started = time.monotonic()
    report = pipeline.run_sync(
        recipe, tmp_path / "run", target=3, limits=Limits(drain=0.3), watch=stop, handle_signals=True
    )
    assert report.exit_status is Exit.INTERRUPTED
    assert time.monotonic() - started < 60  # and not the engine's ten minutes


def test_a_fault_beside_the_requests_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What minds the servers fails as nobody foresaw: the run ends and says so, instead of going on without it."""

    def fail(_lane: Lane) -> None:
        msg = "nobody foresaw this"
        raise RuntimeError(msg)

    monkeypatch.setattr(Lane, "tune", fail)
    recipe = recipes.load("demo", sets=["engines.writer.latency=600"], environment={})
    with pytest.raises(SelfInstructError, match="minding the servers: RuntimeError: nobody foresaw this") as told:
        pipeline.run_sync(recipe, tmp_path / "run", target=3, limits=Limits(seconds=30, drain=0.1))
    assert "selfinstruct -v" in told.value.remedy
