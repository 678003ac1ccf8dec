"""A run small enough to be made often, as a call and as a process; what it exports; and a hand in its tables."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from selfinstruct import pipeline, recipe
from selfinstruct.errors import SelfInstructError
from selfinstruct.pipeline import Progress, Report
from selfinstruct.store import read_run
from selfinstruct.store.place import find

ROWS = 12
SLOW = "engines.writer.latency=0.05"


def make(
    folder: Path, *, url: str | None = None, rows: int = ROWS, watch: Callable[[Progress], None] | None = None
) -> Report:
    """Run or resume it in this process."""
    return pipeline.run_sync(
        recipe.load("demo", environment={}, sets=[SLOW]), folder, target=rows, store=url, watch=watch
    )


@contextmanager
def process(folder: Path, *, url: str | None = None, rows: int = ROWS) -> Iterator[subprocess.Popen[str]]:
    """Run or resume it as the command; killed at the end of the block if it is still there."""
    line = ["run", "demo", "-n", str(rows), "-o", str(folder), "--set", SLOW, *(["--store", url] if url else [])]
    started = subprocess.Popen(
        [sys.executable, "-m", "selfinstruct", *line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield started
    finally:
        if started.poll() is None:
            started.kill()
        started.communicate()


def export_of(folder: Path) -> dict[str, bytes]:
    """Return the exported data by place."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("exports/*/*.jsonl"))}
    assert found
    return found


def calls_of(folder: Path, *, at_least: int) -> int | None:
    """Return how many calls are stored once there are so many: for `eventually`."""
    try:
        with read_run(folder) as store:
            calls, _, _ = store.usage()
    except SelfInstructError:
        return None
    except sa.exc.SQLAlchemyError:
        return None
    return calls if calls >= at_least else None


def change(folder: Path, *statements: str) -> None:
    """Carry out SQL on the tables of a run that nobody owns."""
    hold = find(folder).own()
    try:
        with hold.transaction() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))
    finally:
        hold.release()


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
