"""Datasets of one row per task: JSON, JSONL, CSV, Parquet. Rows keep every column they came with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from selfinstruct.errors import BadInputError
from selfinstruct.files import publish
from selfinstruct.tables.read import SUFFIXES, Row, data_files, kind_of, place, read_rows
from selfinstruct.tables.write import write_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = [
    "SUFFIXES",
    "Row",
    "check_writable",
    "data_files",
    "kind_of",
    "place",
    "read_column",
    "read_rows",
    "read_table",
    "write_rows",
    "write_table",
]


def read_table(path: Path, *, needed: Sequence[str] = ()) -> list[tuple[str, dict[str, Any]]]:
    """Return (place in the file, row) for every row.

    Raises:
        BadInputError: missing or broken file, unknown kind, a row that is no object, a needed column that is nowhere.
    """
    return [(place(path, row.number), _sound(path, row, needed)) for row in read_rows(path)]


def read_column(path: Path, name: str) -> Iterator[Any]:
    """Yield one value of every row; of Parquet no other column is read.

    Raises:
        BadInputError: as `read_table`.
    """
    yield from (_sound(path, row, (name,))[name] for row in read_rows(path, column=name))


def _sound(path: Path, row: Row, needed: Sequence[str]) -> dict[str, Any]:
    if row.problem:
        msg = f"{path} {place(path, row.number)}: {row.problem}"
        raise BadInputError(msg, remedy="mend or remove it")
    value: dict[str, Any] = row.value
    missing = [name for name in needed if name not in value]
    if missing:
        columns = ", ".join(list(value)[:12])
        msg = f"{path} {place(path, row.number)}: no column {missing[0]!r} (there are: {columns})"
        raise BadInputError(msg, remedy="rename the column")
    return value


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows whole or not at all.

    Raises:
        BadInputError: unknown kind, or rows that this kind cannot hold. NoRoomError: the disk refused.
    """
    check_writable(path)
    numbered = [Row(number, row) for number, row in enumerate(rows, 1)]
    with publish(path) as temporary:
        write_rows(temporary, numbered, kind=path.suffix.lower(), survey=lambda: numbered)


def check_writable(path: Path) -> None:
    """Refuse a path of an unknown kind.

    Raises:
        BadInputError: as said.
    """
    if path.suffix.lower() not in SUFFIXES:
        msg = f"{path}: {path.suffix or 'no suffix'} is not a kind of dataset"
        raise BadInputError(msg, remedy=f"give one of {', '.join(SUFFIXES)}")
