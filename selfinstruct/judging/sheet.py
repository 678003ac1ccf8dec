"""The label sheet: what a person said of rows, a line each, only ever appended to. Knows no judge's score and no terminal."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Literal, TypeVar

from pydantic import ValidationError

from selfinstruct.errors import BadInputError, NoRoomError
from selfinstruct.records import Frozen
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selfinstruct.judging.scored import ScoredRow, ScoredTable


class Header(Frozen):
    """First line of a sheet: whose rows it is about."""

    sheet: Literal[1] = 1
    """Version of this form."""
    run: str
    """Digest of the run, or of the file's bytes."""
    good: float
    """A person who gives a score instead of a verdict would keep a row from this one on."""


class Label(Frozen):
    """What a person said of one row; the last line about a row counts."""

    row: str
    text: str
    """Name of the very texts that were shown (`ScoredRow.text_id`)."""
    keep: bool | None = None
    """None: skipped."""
    score: float | None = None
    taken_back: bool = False
    """The line before about this row does not count any more, nor does this one."""


Line = TypeVar("Line", Header, Label)


class Sheet:
    """The labels of one sheet, in the order in which they were given."""

    def __init__(self, path: Path, header: Header, labels: dict[str, Label], file: IO[bytes] | None = None) -> None:
        """Use `read_sheet` or `open_sheet`."""
        self.path = path
        self.header = header
        self.labels = labels
        self._file = file

    def put(self, label: Label) -> None:
        """Append a label; it is on the disk when this returns.

        Raises:
            NoRoomError: the disk refused.
        """
        assert self._file is not None, "opened for reading"  # noqa: S101 - a fault of ours, never of the input
        _append(self._file, self.path, label)
        _take(self.labels, label)

    def current(self, table: ScoredTable) -> tuple[list[tuple[ScoredRow, Label]], int]:
        """Return (row, label) of all labels that are about rows as they stand now, and the number of the others."""
        rows = {row.id: row for row in table.rows}
        found = [(rows[one.row], one) for one in self.labels.values() if one.row in rows]
        sound = [(row, label) for row, label in found if row.text_id == label.text]
        return sound, len(self.labels) - len(sound)


def read_sheet(path: Path, table: ScoredTable) -> Sheet:
    """Read the sheet of `table` at `path`; a line that was cut off at the end by a kill is left out.

    Raises:
        BadInputError: there is none, it is another run's, or a line of it is broken.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        msg = f"cannot read the label sheet {path}: {error.strerror}"
        raise BadInputError(msg, remedy=f"label some rows first: selfinstruct label {table.source}") from None
    whole = lines[:-1]  # behind the last line end stands nothing, or what was cut off
    if not whole:
        msg = f"{path}: no header in its first line: this is no label sheet"
        raise BadInputError(msg, remedy="give another path with --sheet")
    header = _parsed(Header, whole[0], f"{path} line 1")
    if header.run != table.digest:
        msg = f"{path} is the label sheet of another run ({printable(header.run, longest=40)}, not {table.digest})"
        raise BadInputError(msg, remedy=f"give its own run, or another sheet for {table.source}: --sheet PATH")
    labels: dict[str, Label] = {}
    for number, line in enumerate(whole[1:], 2):
        if line.strip():
            label = _parsed(Label, line, f"{path} line {number}")
            _check(label, table, f"{path} line {number}")
            _take(labels, label)
    return Sheet(path, header, labels)


@contextmanager
def open_sheet(path: Path, table: ScoredTable) -> Iterator[Sheet]:
    """Open the sheet at `path` for labelling, made when it is absent; one person at a time.

    Raises:
        BadInputError: as for `read_sheet`, or somebody else has it open. NoRoomError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b", buffering=0)
    except OSError as error:
        msg = f"cannot write the label sheet {path}: {error.strerror}"
        raise NoRoomError(msg, remedy="give a path with room and write access with --sheet") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"{path} is open in another terminal"
            raise BadInputError(msg, remedy="end that one first, or give another --sheet") from None
        if path.stat().st_size == 0:
            _append(file, path, Header(run=table.digest, good=table.good))
        sheet = read_sheet(path, table)
        size = path.stat().st_size
        file.seek(0)
        file.truncate(file.read(size).rfind(b"\n") + 1)
        yield Sheet(path, sheet.header, sheet.labels, file)


def _append(file: IO[bytes], path: Path, line: Frozen) -> None:
    try:
        file.write(line.model_dump_json(exclude_defaults=not isinstance(line, Header)).encode() + b"\n")
        os.fsync(file.fileno())
    except OSError as error:
        msg = f"cannot write the label sheet {path}: {error.strerror}"
        raise NoRoomError(
            msg, remedy="make room, then give the same command again: it goes on after the last label"
        ) from None


def _take(labels: dict[str, Label], label: Label) -> None:
    labels.pop(label.row, None)
    if not label.taken_back:
        labels[label.row] = label


def _parsed(kind: type[Line], line: bytes, where: str) -> Line:
    try:
        return kind.model_validate(json.loads(line))
    except (ValueError, RecursionError) as error:
        problem = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        field = ".".join(map(str, problem["loc"]))
        msg = f"{where}: {f'{printable(field)}: ' if field else ''}{printable(problem['msg'])}"
        what = "this is no label sheet; give another path with --sheet" if kind is Header else "mend or remove the line"
        raise BadInputError(msg, remedy=what) from None


def _check(label: Label, table: ScoredTable, where: str) -> None:
    lowest, highest = table.scale
    if label.score is not None and not lowest <= label.score <= highest:
        msg = f"{where}: score {label.score:g} is outside of the scale, {lowest:g} to {highest:g}"
        raise BadInputError(msg, remedy="mend or remove the line")
