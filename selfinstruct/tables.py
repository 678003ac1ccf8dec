"""Reads and writes datasets of one row per task: JSON, JSONL, CSV, Parquet. Rows keep every column they came with."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from selfinstruct.errors import BadInputError
from selfinstruct.files import publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

SUFFIXES = (".json", ".jsonl", ".csv", ".parquet")
LINE_LIMIT = 16_000_000
"""Bytes of one JSONL line, at most."""


def read_table(path: Path, *, needed: Sequence[str] = ()) -> list[tuple[str, dict[str, Any]]]:
    """Return (place in the file, row) for every row.

    Raises:
        BadInputError: missing or broken file, unknown kind, a row that is no object, a needed column that is nowhere.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        msg = f"{path}: {path.suffix or 'no suffix'} is not a kind of dataset"
        raise BadInputError(msg, remedy=f"give one of {', '.join(SUFFIXES)}")
    try:
        rows = list(reader(path))
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror or error}"
        raise BadInputError(msg, remedy="give an existing file") from None
    for place, row in rows:
        missing = [name for name in needed if name not in row]
        if missing:
            columns = ", ".join(list(row)[:12])
            msg = f"{path} {place}: no column {missing[0]!r} (there are: {columns})"
            raise BadInputError(msg, remedy="rename the column, or name it (dedupe --field NAME)")
    return rows


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows whole or not at all.

    Raises:
        BadInputError: unknown kind. NoRoomError: the disk refused.
    """
    check_writable(path)
    with publish(path) as temporary:
        _WRITERS[path.suffix.lower()](temporary, rows)


def check_writable(path: Path) -> None:
    """Refuse a path of an unknown kind.

    Raises:
        BadInputError: as said.
    """
    if path.suffix.lower() not in _WRITERS:
        msg = f"{path}: {path.suffix or 'no suffix'} is not a kind of dataset"
        raise BadInputError(msg, remedy=f"give one of {', '.join(SUFFIXES)}")


def _object(value: Any, path: Path, place: str) -> dict[str, Any]:  # noqa: ANN401
    if not isinstance(value, dict):
        msg = f"{path} {place}: a {type(value).__name__}, not an object"
        raise BadInputError(msg, remedy="one object per row")
    return value


def _parse(text: str | bytes, path: Path, place: str) -> Any:  # noqa: ANN401
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"{path} {place}: not JSON ({str(error)[:120]})"
        raise BadInputError(msg, remedy="mend or remove it") from None


def _read_json(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = _parse(path.read_bytes(), path, "")
    if not isinstance(rows, list):
        msg = f"{path}: a {type(rows).__name__}, not a list of rows"
        raise BadInputError(msg, remedy="a JSON dataset is a list of objects; or use JSONL")
    for number, row in enumerate(rows, 1):
        yield f"row {number}", _object(row, path, f"row {number}")


def _read_jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LINE_LIMIT + 1):
            number += 1
            place = f"line {number}"
            if len(line) > LINE_LIMIT:
                msg = f"{path} {place}: longer than {LINE_LIMIT:,} bytes"
                raise BadInputError(msg, remedy="mend or remove it")
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield place, _object(_parse(line, path, place), path, place)


def _read_csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in (reader := csv.DictReader(file, strict=True)):
                if None in row or None in row.values():
                    msg = f"{path} line {reader.line_num}: another number of cells than columns"
                    raise BadInputError(msg, remedy="mend the line")
                yield f"line {reader.line_num}", dict(row)
    except (csv.Error, UnicodeDecodeError) as error:
        msg = f"{path}: not a CSV file in UTF-8 ({error})"
        raise BadInputError(msg, remedy="save it as CSV, UTF-8") from None


def _read_parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa  # noqa: PLC0415 - 188 ms, wanted only here
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        number = 0
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(1000):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", row
    except (pa.ArrowException, ValueError) as error:
        msg = f"{path}: not a readable Parquet file ({' '.join(str(error).split())[:160]})"
        raise BadInputError(msg, remedy="give a whole file") from None


def _write_json(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8", errors="replace")


def _write_jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    pq.write_table(pa.Table.from_pylist(list(rows)), path, compression="zstd")


_READERS: dict[str, Callable[[Path], Iterator[tuple[str, dict[str, Any]]]]] = {
    ".json": _read_json,
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
_WRITERS: dict[str, Callable[[Path, Sequence[dict[str, Any]]], None]] = {
    ".json": _write_json,
    ".jsonl": _write_jsonl,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}
