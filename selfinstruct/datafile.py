"""Writes what an exporter makes of records into one file, JSONL or Parquet. Knows neither run nor version."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from selfinstruct.records import Dropped

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator
    from pathlib import Path

    from selfinstruct.stage import Exporter

PARQUET_GROUP = 2000
"""Rows per Parquet row group: a viewer reads 50 rows without the rest."""


def write(exporter: Exporter, records: Iterator[Any], path: Path, left_out: Counter[str]) -> int:
    """Write the rows of `records` to the new file `path`; return how many. What has no row counts in `left_out`, by rule."""
    rows = _kept(exporter.rows(records), left_out)
    return _write_parquet(exporter, rows, path) if exporter.suffix == ".parquet" else _write_jsonl(rows, path)


def _kept(rows: Iterator[dict[str, Any] | Dropped], left_out: Counter[str]) -> Iterator[dict[str, Any]]:
    for row in rows:
        if isinstance(row, Dropped):
            left_out[row.reason.rule] += 1
        else:
            yield row


def _write_jsonl(rows: Iterator[dict[str, Any]], path: Path) -> int:
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode  # `dumps` would make one for each row
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for count, row in enumerate(rows, 1):  # noqa: B007 - the last count is the number of rows
            file.write(encode(row) + "\n")
    return count


def _write_parquet(exporter: Exporter, rows: Iterator[dict[str, Any]], path: Path) -> int:
    import pyarrow as pa  # noqa: PLC0415 - 188 ms, wanted only here
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in exporter.columns.items()])
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_index=True) as writer:
        while group := list(itertools.islice(rows, PARQUET_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            count += len(group)
    return count
