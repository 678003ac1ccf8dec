"""RUN/progress.json: what lets another terminal see how a run goes. No part of the run: nothing is ever decided by it."""

from __future__ import annotations

import os
import socket
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from selfinstruct.console.figures import SCHEMA, Figures
from selfinstruct.console.outlet import Outlet
from selfinstruct.errors import BadInputError
from selfinstruct.records import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "progress.json"
SILENT_SECONDS = 15.0
"""Without news for longer, a process that is there is said to be silent ..."""
GONE_SECONDS = 60.0
"""... and one that cannot be looked for, being on another machine, to be gone."""


class Sighting(Frozen):
    """What stands in the file: the figures, who wrote them, and how it ended."""

    version: int = SCHEMA
    pid: int
    host: str
    birth: str | None
    """When the process began, as its kernel counts: a number that is given again is not mistaken for it."""
    ended: str | None = None
    """How; None while it goes on."""
    figures: Figures


class Presence(StrEnum):
    """What became of the process that wrote."""

    WORKING = "working"
    SILENT = "silent"
    ENDED = "ended"
    GONE = "gone"


class Beacon(Outlet):
    """Writes the file about once a second, each time as a whole. One that cannot be written is told of once."""

    every = 1.0

    def __init__(self, folder: Path, *, tell: Callable[[str], None]) -> None:
        """Write into `folder`; `tell` takes the news that it does not work."""
        self._path, self._tell = folder / NAME, tell
        self._told = False
        self._self = {"pid": os.getpid(), "host": socket.gethostname(), "birth": _birth(os.getpid())}
        self._last: Figures | None = None

    def show(self, figures: Figures) -> None:
        """Write them."""
        self._last = figures
        self._write(Sighting(**self._self, figures=figures))

    def end(self, ended: str, status: int | None) -> None:
        """Mark it as ended. A run that was refused because another owns the folder wrote nothing, and marks nothing."""
        del status
        if self._last is not None:
            self._write(Sighting(**self._self, figures=self._last, ended=ended))

    def _write(self, sighting: Sighting) -> None:
        temporary = self._path.with_name(f".{NAME}.partial")  # one name: whoever writes owns the folder
        try:
            temporary.write_text(sighting.model_dump_json() + "\n", encoding="utf-8")
            temporary.replace(self._path)  # no fsync: worth nothing after a power cut
        except OSError as error:
            if not self._told:
                self._tell(f"`selfinstruct watch` sees nothing new: cannot write {self._path}: {error.strerror}")
            self._told = True


def sight(folder: Path) -> Sighting | None:
    """Return what stands in the file; None when there is none.

    Raises:
        BadInputError: it is not what this version writes.
    """
    path = folder / NAME
    try:
        return Sighting.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValidationError, OSError) as error:
        msg = f"{path} cannot be read: it is damaged, or another version of selfinstruct writes it"
        raise BadInputError(msg, remedy=f"watch with that version, or: selfinstruct stats {folder}") from error


def presence(sighting: Sighting) -> Presence:
    """Say what became of the process, by its number where it runs on this machine, and by the age of its news."""
    age = age_of(sighting)
    if sighting.ended is not None:
        return Presence.ENDED
    if sighting.host == socket.gethostname():
        if _birth(sighting.pid) != sighting.birth:
            return Presence.GONE
    elif age > GONE_SECONDS:
        return Presence.GONE
    return Presence.SILENT if age > SILENT_SECONDS else Presence.WORKING


def age_of(sighting: Sighting) -> float:
    """Return how many seconds old the news is, by this machine's clock."""
    return max(0.0, time.time() - sighting.figures.time)


def _birth(pid: int) -> str | None:
    """Return what tells a process from others that had its number; None when there is none, or it is dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]  # state, starttime: fields 3 and 22 of proc(5)
