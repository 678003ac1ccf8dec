"""Brings files to a folder, each under its sha256, going on where an earlier try stopped. Knows no version and no protocol."""

from __future__ import annotations

import fcntl
import shutil
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from selfinstruct.download.source import WAITS, Source, patiently
from selfinstruct.errors import BadInputError, DamageError, NoRoomError, UnreachableError
from selfinstruct.files import sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from selfinstruct.catalogue.version import File

AGAIN = "the same command goes on from there"
ANOTHER = "take it from another place, or tell who keeps that one; the other files that came are kept"


@contextmanager
def waiting_room(path: Path) -> Iterator[Path]:
    """Yield the folder beside `path` where files wait until they are all there; it outlives whoever fills it.

    Raises:
        BadInputError: another process fills it. NoRoomError: the disk refused.
    """
    folder = room_of(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        msg = f"cannot write {folder}: {error.strerror or error}"
        raise NoRoomError(msg, remedy="make room or choose another place with -o") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            msg = f"another download to {path} is under way"
            raise BadInputError(msg, remedy="wait for it, or choose another place with -o") from None
        try:
            yield folder
        finally:
            if {one.name for one in folder.glob("*")} == {"lock"}:  # nothing came that could be kept
                shutil.rmtree(folder)


def room_of(path: Path) -> Path:
    """Return where the files of a download to `path` wait."""
    return path.with_name(f".{path.name}.download")


def there(folder: Path, file: File) -> int:
    """Return how many bytes of a file have come."""
    place = folder / file.sha256
    return min(place.stat().st_size, file.bytes) if place.is_file() else 0


def fetch(
    source: Source,
    name: str,
    file: File,
    folder: Path,
    *,
    came: Callable[[int], None],
    waits: Sequence[float] = WAITS,
) -> Path:
    """Return where the bytes of `name` lie in `folder`, having fetched what was missing; `came` is told of every block.

    Raises:
        UnreachableError: it stopped before the end, several times; what came stays. DamageError: other bytes than promised.
        NoRoomError: the disk refused.
    """
    place = folder / file.sha256
    begun = there(folder, file)
    patiently(lambda: _append(source, name, file, place, came), waits)
    found = sha256(place)
    if found != file.sha256 and begun:  # what an earlier try left may be what is wrong: once more from the start
        place.unlink()
        came(-file.bytes)
        patiently(lambda: _append(source, name, file, place, came), waits)
        found = sha256(place)
    if found != file.sha256:
        place.unlink()
        msg = f"{source.where}/{name}: its sha256 is {found}, and the manifest says {file.sha256}"
        raise DamageError(msg, remedy=ANOTHER)
    return place


def _append(source: Source, name: str, file: File, place: Path, came: Callable[[int], None]) -> None:
    """Write what is missing at the end of `place`."""
    have = place.stat().st_size if place.is_file() else 0
    if not file.bytes:
        place.write_bytes(b"")
    if have >= file.bytes:
        return
    with closing(source.open(name, have)) as stream:
        if stream.size not in {None, file.bytes} or stream.start > have:
            msg = f"{source.where}/{name} has {stream.size} bytes, and the manifest says {file.bytes}"
            raise DamageError(msg, remedy=ANOTHER)
        came(stream.start - have)
        try:
            with place.open("r+b" if have else "wb") as out:
                out.truncate(stream.start)
                out.seek(stream.start)
                for block in stream.blocks:
                    out.write(block)
                    came(len(block))
                    if out.tell() >= file.bytes:  # what comes behind is not wanted
                        break
                have = out.tell()
        except OSError as error:
            msg = f"cannot write {place}: {error.strerror or error}"
            raise NoRoomError(msg, remedy=f"make room; {AGAIN}") from None
    if have < file.bytes:
        msg = f"{source.where}/{name} stopped after {have:,} of {file.bytes:,} bytes"
        raise UnreachableError(msg, remedy=AGAIN)
