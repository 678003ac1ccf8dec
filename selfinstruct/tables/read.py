"""Reads datasets row by row, never whole: JSON, JSONL, CSV, Parquet, and folders of them. Knows no writing."""

from __future__ import annotations

import csv
import io
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from selfinstruct.errors import BadInputError
from selfinstruct.tables.json_list import Elements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")
LINE_LIMIT = 16_000_000
"""Bytes of one JSONL line, characters of one CSV cell, at most."""
NOT_DATA = {"manifest.json", "audit.json", "dataset_info.json", "dataset_dict.json", "state.json"}
"""Files in dataset folders that tell of the data and are none."""
_BESIDE = (".dropped.jsonl", ".labels.jsonl", ".manifest.json", ".audit.json")
"""Ends of names of files that our commands write beside data: they tell of it, too."""
BATCH_BYTES = 8_000_000
"""Of a Parquet file are unpacked at a time, about."""


class Row(NamedTuple):
    """What stands at one place of a file."""

    number: int
    """Line (JSONL, CSV) or row (JSON, Parquet), from 1."""
    value: Any
    """The row: an object. With a problem, what was found instead."""
    at: int = 0
    """Bytes of the file read so far, about."""
    problem: str = ""
    """Why it is no row."""
    raw: bytes = b""
    """The line of a JSONL file, without its end."""


def place(path: Path, number: int) -> str:
    """Return the place of a row as people count there: `line 3` or `row 3`."""
    return f"{'line' if path.suffix.lower() in ('.jsonl', '.csv') else 'row'} {number}"


def data_files(path: Path) -> list[Path]:
    """Return the file itself, or the data files of a dataset folder, one level down too, in sorted order.

    Raises:
        BadInputError: missing, of no known kind, or a folder without data.
    """
    if path.is_dir():
        found = sorted(file for pattern in ("*", "*/*") for file in path.glob(pattern) if _is_data(file, path))
        if not found:
            msg = f"{path}: no data in this folder"
            raise BadInputError(
                msg,
                remedy=f"it should hold {', '.join(SUFFIXES)} files, here or one level down (of a run: RUN/exports/alpaca)",
            )
        return found
    if path.suffix.lower() not in SUFFIXES:
        msg = f"{path}: {path.suffix or 'no suffix'} is not a kind of dataset"
        raise BadInputError(msg, remedy=f"give one of {', '.join(SUFFIXES)}, or a folder of them")
    if not path.is_file():
        msg = f"cannot read {path}: {'not a file' if path.exists() else 'No such file or directory'}"
        raise BadInputError(msg, remedy="give an existing file or folder")
    return [path]


def _is_data(file: Path, folder: Path) -> bool:
    if any(part.startswith(".") for part in file.relative_to(folder).parts) or not file.is_file():
        return False
    told = file.name in NOT_DATA or file.name.endswith(_BESIDE)
    return file.suffix.lower() in SUFFIXES and not told


def read_rows(path: Path, *, column: str | None = None) -> Iterator[Row]:
    """Yield the rows of a file. With `column`, only that one is needed: Parquet reads no other.

    Raises:
        BadInputError: the file is missing or broken as a whole, of no known kind, or (CSV, Parquet) without `column`.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        data_files(path)  # says so
        return
    try:
        yield from reader(path, column)
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror or error}"
        raise BadInputError(msg, remedy="give an existing file") from None


def kind_of(value: object) -> str:
    """Return what a JSON value is, in a word."""
    return "null" if value is None else type(value).__name__


def _row(number: int, value: object, at: int, raw: bytes = b"") -> Row:
    problem = "" if isinstance(value, dict) else f"a {kind_of(value)}, not an object"
    return Row(number, value, at, problem, raw)


def _no_column(path: Path, column: str, names: list[str]) -> BadInputError:
    msg = f"{path}: no column {column!r} (there are: {', '.join(names[:12]) or 'none'})"
    return BadInputError(msg, remedy="rename the column, or name it (--field NAME)")


def _read_json(path: Path, column: str | None) -> Iterator[Row]:
    del column
    with path.open("rb") as file:
        for number, value in enumerate(Elements(path, file, longest=LINE_LIMIT), 1):
            yield _row(number, value, file.tell())


def _read_jsonl(path: Path, column: str | None) -> Iterator[Row]:
    del column
    at = number = 0
    with path.open("rb") as file:
        while line := file.readline(LINE_LIMIT + 1):
            number += 1
            at += len(line)
            if len(line) > LINE_LIMIT:
                yield Row(number, None, at, f"longer than {LINE_LIMIT:,} bytes")
                while line and not line.endswith(b"\n"):
                    at += len(line := file.readline(LINE_LIMIT))
                continue
            line = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip()
            if line:
                yield _parsed(line, number, at)


def _parsed(line: bytes, number: int, at: int) -> Row:
    try:
        return _row(number, json.loads(line.decode()), at, line)
    except UnicodeDecodeError:
        return Row(number, None, at, "not UTF-8", line)
    except (ValueError, RecursionError) as error:
        return Row(number, None, at, f"not JSON ({str(error)[:120]})", line)


def _read_csv(path: Path, column: str | None) -> Iterator[Row]:
    csv.field_size_limit(LINE_LIMIT)
    try:
        with path.open("rb") as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, strict=True)
            names = next(reader, [])
            _check_header(path, names, column)
            for cells in reader:
                if not cells:
                    continue  # an empty line
                if len(cells) == len(names):
                    yield Row(reader.line_num, dict(zip(names, cells, strict=True)), file.tell())
                else:
                    problem = f"another number of cells than columns ({len(cells)}, not {len(names)})"
                    yield Row(reader.line_num, cells, file.tell(), problem)
    except (csv.Error, UnicodeDecodeError) as error:
        msg = f"{path}: not a CSV file in UTF-8 ({error})"
        raise BadInputError(msg, remedy="save it as CSV, UTF-8") from None


def _check_header(path: Path, names: list[str], column: str | None) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"{path}: two columns named {twice!r}"
        raise BadInputError(msg, remedy="rename one of them")
    if column is not None and names and column not in names:
        raise _no_column(path, column, names)


def _read_parquet(path: Path, column: str | None) -> Iterator[Row]:
    size, number = path.stat().st_size, 0
    with opened_parquet(path) as file:
        names = file.schema_arrow.names
        if column is not None and names and column not in names:
            raise _no_column(path, column, names)
        total = max(1, file.metadata.num_rows)
        columns = None if column is None or "." in column else [column]  # a dot means a field inside a struct
        for batch in parquet_batches(file, columns=columns):
            for value in batch.to_pylist():
                number += 1
                yield Row(number, value, size * number // total)


@contextmanager
def opened_parquet(path: Path) -> Iterator[Any]:
    """Open a Parquet file; while it is open, any fault of its bytes is one of the input.

    Raises:
        BadInputError: not a readable Parquet file.
    """
    import pyarrow as pa  # noqa: PLC0415 - 188 ms, wanted only here
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's word, not pyarrow's about the bytes
        msg = f"{path}: not a readable Parquet file ({' '.join(str(error).split())[:160]})"
        raise BadInputError(msg, remedy="give a whole file, of types that pyarrow reads") from None


def parquet_batches(file: Any, *, columns: list[str] | None = None) -> Iterator[Any]:  # noqa: ANN401 - pyarrow: no types
    """Yield the record batches of an open Parquet file, about `BATCH_BYTES` each."""
    meta = file.metadata
    unpacked = sum(meta.row_group(number).total_byte_size for number in range(meta.num_row_groups))
    rows = BATCH_BYTES * meta.num_rows // max(1, unpacked)
    for group in range(meta.num_row_groups):  # one by one: over their borders pyarrow cannot read dictionaries in lists
        yield from file.iter_batches(max(1, min(rows, 4096)), row_groups=[group], columns=columns)


_READERS: dict[str, Callable[[Path, str | None], Iterator[Row]]] = {
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
