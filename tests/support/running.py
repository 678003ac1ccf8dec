"""A run of the demo as another process, slow enough to be looked at, and ways to wait for what it does."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE = 60.0


def command(*arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "selfinstruct", *map(str, arguments)],
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


@contextmanager
def running(folder: Path, *options: object, rows: int = 1_000_000, latency: float = 0.05) -> Iterator[subprocess.Popen[str]]:  # fmt: skip
    """`run demo` that lasts until it is stopped, or to `rows`; killed at the end of the block if it is still there."""
    line = ["run", "demo", "-n", rows, "-o", folder, "--set", f"engines.writer.latency={latency}", *options]
    process = subprocess.Popen(
        [sys.executable, "-m", "selfinstruct", *map(str, line)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def eventually(ask: Callable[[], T | None]) -> T:
    """Ask until there is an answer."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (found := ask()) is not None:
            return found
        time.sleep(0.05)
    msg = f"nothing came of {ask} in {PATIENCE:.0f} s"
    raise AssertionError(msg)


def events(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of an event file so far."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def progressed(path: Path) -> dict[str, Any] | None:
    """Return the latest progress event with a finished row."""
    return next((one for one in reversed(events(path)) if one["event"] == "progress" and one["rows"]), None)
