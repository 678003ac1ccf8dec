"""Worker processes of our own on this machine: they end when we do, however we ended. Knows no task and no lease."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from selfinstruct.store.place import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LOG = "workers.log"
"""In the run's folder: what workers say."""

PATIENCE = 20.0
"""Seconds in which a worker that was told to end may do so."""


class Hired:
    """Processes that were started for a run."""

    def __init__(self, workers: Sequence[subprocess.Popen[bytes]]) -> None:
        """With none of them others may come at any time."""
        self._workers = workers

    @property
    def expected(self) -> bool:
        """Whether a worker is there or may still come."""
        return not self._workers or any(one.poll() is None for one in self._workers)

    def ended(self) -> set[tuple[str, int]]:
        """Return (host, process id) of those that have ended, however they did."""
        return {(socket.gethostname(), one.pid) for one in self._workers if one.poll() is not None}


@contextmanager
def hired(count: int, folder: Path, *, url: str | None) -> Iterator[Hired]:
    """Have so many workers on the run in `folder` while the body runs.

    Each holds the other end of a pipe: where that closes, it ends. A session of their own keeps the terminal's Ctrl-C from
    them: it is meant for the run's owner, who tells them.
    """
    command = [sys.executable, "-m", "selfinstruct", "work", str(folder), "--hired"]
    environment = os.environ | ({VARIABLE: url} if url else {})  # a password must not stand in a list of processes
    workers: list[subprocess.Popen[bytes]] = []
    try:
        with (folder / LOG).open("ab") as log:
            for _ in range(count):
                one = subprocess.Popen(  # noqa: S603 - ourselves
                    command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, env=environment
                )
                workers.append(one)
        yield Hired(workers)
    finally:
        for one in workers:
            if one.stdin is not None:
                one.stdin.close()
        deadline = time.monotonic() + PATIENCE
        for one in workers:
            with suppress(subprocess.TimeoutExpired):
                one.wait(max(0.0, deadline - time.monotonic()))
            if one.poll() is None:
                one.kill()
                one.wait()
