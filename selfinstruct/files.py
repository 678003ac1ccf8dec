"""Writes a file or a folder so that it is whole or absent: temporary name, fsync, one rename."""

from __future__ import annotations

import ctypes
import errno
import glob
import hashlib
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from selfinstruct.errors import BadInputError, NoRoomError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def publish(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, for a file or a folder; rename it to `path` when the body is through.

    What stood at `path` is there until the new one is. What a killed process of ours left beside it is removed.

    Raises:
        BadInputError: see `check_name`. NoRoomError: the disk refused; nothing of it is left.
    """
    check_name(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in leftovers(path):
            _remove(leftover)
        yield temporary
        for file in [temporary] if temporary.is_file() else sorted(temporary.rglob("*")):
            _sync(file)
        if path.is_dir():
            _exchange(temporary, path)
        else:
            temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror or error}"
        raise NoRoomError(msg, remedy="make room or choose another place, then give the same command again") from error
    finally:
        _remove(temporary)


def check_name(path: Path) -> None:
    """Refuse a path whose last part names nothing that could be made: `.`, `..`, `X/..` and `/`.

    Raises:
        BadInputError: with what helps.
    """
    if path.name in {"", ".."}:
        msg = f"{path} is no name for something new"
        raise BadInputError(msg, remedy=f"give it one with -o, for instance {path / 'new'}")


def leftovers(path: Path) -> list[Path]:
    """Return what processes that ended in the middle of `publish(path)` have left, this one's own included."""
    found = []
    for one in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        number = one.name.removeprefix(f".{path.name}.").removesuffix(".partial")
        if number.isdecimal() and (int(number) == os.getpid() or not Path(f"/proc/{number}").exists()):
            found.append(one)
    return found


def sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


_EXCHANGE, _HERE = 2, -100  # RENAME_EXCHANGE and AT_FDCWD of linux/fs.h and fcntl.h


def _exchange(new: Path, old: Path) -> None:
    """Give each folder the other's name in one step (Linux 3.15); where there is no such step, in two."""
    library = ctypes.CDLL(None, use_errno=True)
    if hasattr(library, "renameat2"):
        if library.renameat2(_HERE, os.fsencode(new), _HERE, os.fsencode(old), _EXCHANGE) == 0:
            return
        if (number := ctypes.get_errno()) not in {errno.EINVAL, errno.ENOSYS}:
            raise OSError(number, os.strerror(number))
    aside = new.with_name(f"{new.name}.old.partial")
    old.rename(aside)
    new.rename(old)
    aside.rename(new)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()
