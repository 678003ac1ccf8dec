"""The commands that lead and that work, as processes; what a run's books say; what a server was asked twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.killing import Server

ROWS = 40
Books = tuple[dict[str, bytes], dict[str, Any]]
Process = subprocess.Popen[str]


@contextmanager
def command(*arguments: object) -> Iterator[Process]:
    """Start `selfinstruct ...`; killed at the end of the block if it is still there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "selfinstruct", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"SELFINSTRUCT_STORE": ""},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def lead(server: Server, folder: Path, *options: object, rows: int = ROWS) -> Any:
    """Start or resume the run of these tests."""
    fixed = ["--base-url", server.base_url, "--set", "concurrency=16", "-q"]
    return command("run", "chat", "-n", rows, "-o", folder, *fixed, *options)


def work(run: object, *options: object) -> Any:
    """Start a worker."""
    return command("work", run, *options)


def end(process: Process, *, status: int = 0, seconds: float = 120) -> str:
    """Wait until it ends so; return what it told."""
    _, told = process.communicate(timeout=seconds)
    assert process.returncode == status, told
    return told


def books(folder: Path) -> Books:
    """Return the bytes of the exports, and the ledger without what differs from run to run (calls of the surplus)."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("exports/*/*.jsonl"))}
    assert found
    told = subprocess.run(
        [sys.executable, "-m", "selfinstruct", "stats", str(folder), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    accounts = json.loads(told.stdout)
    return found, {name: accounts[name] for name in ("ledger", "stages", "drops", "drops_by_stage")}


def sound(folder: Path) -> bool:
    """Say whether every byte and count is what it should be."""
    done = subprocess.run(
        [sys.executable, "-m", "selfinstruct", "verify", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return True


def asked(*servers: Server) -> list[str]:
    """Return every call that servers were asked, in any order."""
    return [entry["id"] + entry["digest"] for server in servers for entry in server.entries()]


def twice(calls: Iterable[str]) -> set[str]:
    """Return those that were asked more than once."""
    seen: set[str] = set()
    return {call for call in calls if call in seen or seen.add(call)}  # type: ignore[func-returns-value]
