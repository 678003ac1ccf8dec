"""What was decided so far, on disk beside the output: a killed command goes on from here. Knows neither rows nor texts."""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from selfinstruct.errors import BadInputError, NoRoomError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

_SEAL_ROWS = 5_000
_SEAL_SECONDS = 1.0


class Decision(NamedTuple):
    """Why a row is not kept."""

    row: int
    """Its number among all rows, from 0."""
    bad: str = ""
    """Why it is no row; empty when it was dropped."""
    figure: float = 0.0
    """ROUGE-L F with the nearest earlier text."""
    nearest: str = ""
    """That text."""
    origin: tuple[int, int] = (0, 0)
    """Where it stands: number of the source, number in there."""


class Journal:
    """One line that says what was asked, then one per decision, then `done` lines: what stands before one is sealed.

    A last piece without such a line is what a kill cut off; it is decided again. One process owns a journal at a time.
    """

    def __init__(self, path: Path, question: Mapping[str, Any]) -> None:
        """Take the file, and everything that decisions depend on, as JSON."""
        self.path = path
        self.done = 0
        """Rows decided and sealed."""
        self.anew = ""
        """Why an earlier journal was of no use."""
        self._question = dict(question)
        self._pending: list[bytes] = []
        self._sealing = False
        self._sealed_at = time.monotonic()

    def __enter__(self) -> Self:
        """Take the journal, read what an earlier command left, and cut off what was not sealed.

        Raises:
            BadInputError: another process writes it. NoRoomError: it cannot be written.
        """
        with self._room():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._own()
        try:
            end = self._read()
            with self._room():
                os.ftruncate(self._file, end)
                os.lseek(self._file, 0, os.SEEK_END)
            if not end:
                self._write([_line(self._question)])
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of it; it stays on the disk, unless it holds nothing."""
        self._leave()

    def record(self, decisions: list[Decision], *, done: int) -> None:
        """Take the decisions up to row `done`; seal them each second, and each five thousand rows.

        Raises:
            NoRoomError: the disk refused.
        """
        self._pending += [_line(decision._asdict()) for decision in decisions]
        if done - self.done >= _SEAL_ROWS or time.monotonic() - self._sealed_at >= _SEAL_SECONDS:
            self.seal(done)

    def seal(self, done: int) -> None:
        """Bring everything up to row `done` to the disk.

        Raises:
            NoRoomError: the disk refused.
        """
        self._sealing = True  # from here on it may hold something, whatever interrupts
        self._write([*self._pending, _line({"done": done})])
        self._pending.clear()
        self.done, self._sealed_at = done, time.monotonic()

    def rulings(self) -> Iterator[Decision | None]:
        """Yield what was decided of each row that is done, in order; None means kept."""
        number = 0
        with self.path.open("rb") as file:
            file.readline()
            for line in iter(file.readline, b""):
                told = json.loads(line)
                if "row" in told:
                    decision = Decision(**{**told, "origin": tuple(told["origin"])})
                    yield from repeat(None, decision.row - number)
                    yield decision
                    number = decision.row + 1
                elif told["done"] == self.done:
                    break
        yield from repeat(None, self.done - number)

    def remove(self) -> None:
        """Delete it: all is written.

        Raises:
            NoRoomError: the disk refused.
        """
        with self._room():
            self.path.unlink()

    def _leave(self) -> None:
        if not (self.done or self._sealing):
            self.path.unlink(missing_ok=True)
        os.close(self._file)

    def _own(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # freed by the kernel when the owner dies
            if os.fstat(self._file).st_nlink:
                return
        except BlockingIOError:
            pass
        os.close(self._file)
        msg = f"another process is writing {self.path}"
        raise BadInputError(msg, remedy="wait for it, stop it, or give another path with -o")

    def _read(self) -> int:
        """Return the bytes that are sealed and of use, set `done` and `anew`."""
        with self.path.open("rb") as file:
            first = file.readline()
            self.anew = _difference(_entry(first), self._question) if first else ""
            if self.anew:
                return 0
            at = sealed = len(first)
            for line in iter(file.readline, b""):
                told = _entry(line)
                if told is None:
                    break
                at += len(line)
                if "done" in told:
                    self.done, sealed = told["done"], at
        return sealed

    def _write(self, lines: list[bytes]) -> None:
        with self._room():
            rest = memoryview(b"".join(lines))
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)

    @contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            msg = f"cannot write {self.path}: {error.strerror or error}"
            raise NoRoomError(msg, remedy="make room, then give the same command again: it goes on") from error


def _line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry).encode() + b"\n"


def _entry(line: bytes) -> dict[str, Any] | None:
    """Return what a line says; None when it was cut."""
    try:
        told = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _difference(before: dict[str, Any] | None, now: dict[str, Any]) -> str:
    """Return why an earlier journal is of no use; nothing when it answers the same question."""
    if before is None:
        return "the journal cannot be read"
    changed = [name for name in now if before.get(name) != now[name]]
    return f"other than before: {', '.join(changed)}" if changed else ""
