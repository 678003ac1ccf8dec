"""`--events`: what happens in a run as JSON lines, for programs.

One object a line, appended as it happens; `-` is stderr, which then carries nothing else while the run goes on. Each has

    event     start | progress | warning | stop
    time      seconds since 1970

and beside them
    start     schema (1), version, pid, run (the folder), metrics (the URL of --metrics, or null)
    progress  about once a second: every field of `figures.Figures`, documented there; null is "not known (yet)"
    warning   message, one printable line
    stop      message, exit_status (null when an error or a signal ended it before it had one)

A run that is killed has no stop. Fields and events may come; readers skip what they do not know. What a field means, and that
it is there, changes only with `schema`.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any, Self

from selfinstruct import __version__
from selfinstruct.console.figures import SCHEMA
from selfinstruct.console.outlet import Outlet
from selfinstruct.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from selfinstruct.console.figures import Figures


class Events(Outlet):
    """Appends JSON lines. One that cannot be written is told of once; then the run goes on without."""

    every = 1.0

    def __init__(self, path: Path, *, start: Callable[[], dict[str, Any]], tell: Callable[[str], None]) -> None:
        """Write to `path`; `start` tells the facts of the first event, `tell` takes the news that it does not work."""
        self._path, self._start, self._tell = path, start, tell
        self._file: IO[bytes] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Open it.

        Raises:
            BadInputError: it cannot be opened, or is a pipe that nobody reads.
        """
        try:
            self._file = self._stack.enter_context(_open(self._path))
        except OSError as error:
            msg = f"--events {self._path}: {error.strerror}"
            raise BadInputError(msg, remedy="give a file in a folder that is there, or - for stderr") from error
        self._write("start", schema=SCHEMA, version=__version__, pid=os.getpid(), **self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self._stack.close()

    def show(self, figures: Figures) -> None:
        """Write a progress event."""
        self._write("progress", **figures.model_dump(mode="json"))

    def warn(self, text: str) -> None:
        """Write a warning event."""
        self._write("warning", message=text)

    def end(self, ended: str, status: int | None) -> None:
        """Write the stop event."""
        self._write("stop", message=ended, exit_status=status)

    def _write(self, event: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
        if self._file is None:
            return
        try:
            self._file.write(json.dumps({"event": event, "time": time.time()} | fields).encode() + b"\n")
        except OSError as error:
            self._file = None
            self._tell(f"no more events: {self._path}: {error.strerror}")


def _open(path: Path) -> IO[bytes]:
    """Open for appending, without a buffer that would be left over when the disk is full; a pipe at once or not at all."""
    if str(path) == "-":
        return os.fdopen(os.dup(sys.stderr.fileno()), "wb", buffering=0)
    if path.exists() and stat.S_ISFIFO(path.stat().st_mode):
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)  # without a reader: ENXIO
        os.set_blocking(pipe, True)
        return os.fdopen(pipe, "wb", buffering=0)
    return path.open("ab", buffering=0)
