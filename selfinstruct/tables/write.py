"""Writes rows one after the other: JSON, JSONL, CSV, Parquet. Knows neither where they came from nor the final name."""

from __future__ import annotations

import base64
import csv
import json
import re
from datetime import date, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

from selfinstruct.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from selfinstruct.tables.read import Row

_SURROGATE = re.compile("[\ud800-\udfff]")


def write_rows(path: Path, rows: Iterable[Row], *, kind: str, survey: Callable[[], Iterable[Row]]) -> None:
    """Write rows of the given kind (a suffix). `survey` gives the same rows, beforehand: CSV and Parquet look twice.

    Raises:
        BadInputError: rows that this kind cannot hold.
    """
    if kind == ".parquet":
        from selfinstruct.tables.parquet import schema_of, write_parquet  # noqa: PLC0415 - loads pyarrow

        write_parquet(path, rows, schema=schema_of(survey()))
    elif kind == ".csv":
        _write_csv(path, rows, columns=list(dict.fromkeys(name for row in survey() for name in row.value)))
    elif kind == ".json":
        _write_json(path, rows)
    else:
        with path.open("wb") as file:
            file.writelines((row.raw or dumps(row.value)) + b"\n" for row in rows)


def dumps(value: object, *, indent: int | None = None, binary: bool = False) -> bytes:
    """Return JSON in UTF-8; a text with half a character (a lone surrogate) makes it ASCII, so that none is lost.

    Times become ISO 8601, decimals and durations texts. Bytes become base64 when `binary` says so.

    Raises:
        BadInputError: a value that JSON cannot hold.
    """

    def plain(one: object) -> str:
        return base64.b64encode(one).decode() if binary and isinstance(one, bytes) else _plain(one)

    try:
        return json.dumps(value, ensure_ascii=False, indent=indent, default=plain).encode()
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True, indent=indent, default=plain).encode()


def whole(text: str) -> str:
    """Return `text` with lone surrogates replaced by U+FFFD: neither CSV nor Parquet can hold them."""
    return _SURROGATE.sub("\ufffd", text)


def _plain(value: object) -> str:
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal | timedelta | UUID):
        return str(value)
    msg = f"{type(value).__name__} cannot be written as text"
    raise BadInputError(msg, remedy="write to .parquet")


def _write_json(path: Path, rows: Iterable[Row]) -> None:
    """Write what json.dumps(indent=1) of the whole list would be; inside JSON texts no line breaks."""
    with path.open("wb") as file:
        mark = b"["
        for row in rows:
            file.write(mark + b"\n " + dumps(row.value, indent=1).replace(b"\n", b"\n "))
            mark = b","
        file.write(b"[]\n" if mark == b"[" else b"\n]\n")


def _write_csv(path: Path, rows: Iterable[Row], *, columns: list[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([whole(name) for name in columns])
        writer.writerows([_cell(row.value.get(name)) for name in columns] for row in rows)


def _cell(value: object) -> object:
    """Return texts, numbers and null as they are, lists and objects as JSON."""
    if isinstance(value, str):
        return whole(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return whole(dumps(value).decode()) if isinstance(value, list | dict) else _plain(value)
