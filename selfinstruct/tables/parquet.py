"""Writes Parquet: whole batches with their own schema, or rows whose schema is found first. Loads pyarrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from selfinstruct.errors import BadInputError
from selfinstruct.tables.read import opened_parquet
from selfinstruct.tables.write import whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from selfinstruct.tables.read import Row

_CHUNK_ROWS = 1000
_CHUNK_BYTES = 16_000_000
_GROUP_ROWS = 100_000
_GROUP_BYTES = 64_000_000
_REMEDY = "write to .jsonl, which holds rows of any shape"


def write_parquet(path: Path, rows: Iterable[Row], *, schema: Any) -> None:  # noqa: ANN401 - pyarrow: no types
    """Write rows by a schema of `schema_of`.

    Raises:
        BadInputError: a value that Parquet cannot hold.
    """
    write_batches(path, (_batch(chunk, schema) for chunk in _chunks(rows)), schema=schema)


def write_batches(path: Path, batches: Iterable[Any], *, schema: Any) -> None:  # noqa: ANN401
    """Write record batches, gathered to row groups of a useful size; fitted to `schema` where theirs is another.

    Raises:
        BadInputError: a value that the schema or Parquet cannot hold.
    """
    waiting: list[Any] = []
    try:
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in batches:
                waiting.append(_fit(batch, schema))
                if sum(map(len, waiting)) >= _GROUP_ROWS or sum(one.nbytes for one in waiting) >= _GROUP_BYTES:
                    writer.write_table(pa.Table.from_batches(waiting, schema))
                    waiting.clear()
            if waiting:
                writer.write_table(pa.Table.from_batches(waiting, schema))
    except (pa.ArrowException, OverflowError) as error:
        raise _unfit(error) from None


def schema_of(rows: Iterable[Row]) -> Any:  # noqa: ANN401
    """Return the schema that holds all rows: every column, whole and broken numbers as broken ones.

    Raises:
        BadInputError: a column of mixed types.
    """
    schema = pa.schema([])
    for chunk in _chunks(rows):
        names = dict.fromkeys(name for row in chunk for name in row.value)
        if any(whole(name) != name for name in names):
            msg = "a column name holds half a character"
            raise BadInputError(msg, remedy=_REMEDY)
        schema = unified([schema, pa.schema([(name, _array(chunk, name).type) for name in names])])
    return schema


def unified(schemas: Sequence[Any]) -> Any:  # noqa: ANN401
    """Return the first schema if all are equal, otherwise one that holds every column of all.

    Raises:
        BadInputError: a column of different types.
    """
    if all(one.equals(schemas[0]) for one in schemas):
        return schemas[0]
    try:
        return pa.unify_schemas(list(schemas), promote_options="permissive")
    except pa.ArrowException as error:
        raise _unfit(error) from None


def schemas(files: Iterable[Path]) -> list[Any]:
    """Return the schema of each file.

    Raises:
        BadInputError: one is not a readable Parquet file.
    """
    found = []
    for path in files:
        with opened_parquet(path) as file:
            found.append(file.schema_arrow)
    return found


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) >= _CHUNK_ROWS or abs(row.at - chunk[0].at) > _CHUNK_BYTES:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _batch(chunk: Sequence[Row], schema: Any) -> Any:  # noqa: ANN401
    return pa.RecordBatch.from_arrays([_array(chunk, one.name, one.type) for one in schema], schema=schema)


def _array(chunk: Sequence[Row], name: str, kind: Any = None) -> Any:  # noqa: ANN401
    values = [row.value.get(name) for row in chunk]
    try:
        try:
            return pa.array(values, kind)
        except UnicodeEncodeError:
            return pa.array([_whole(value) for value in values], kind)
    except (pa.ArrowException, OverflowError) as error:
        raise _unfit(error, column=name) from None


def _whole(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, list):
        return [_whole(one) for one in value]
    return {whole(name): _whole(one) for name, one in value.items()} if isinstance(value, dict) else value


def _fit(batch: Any, schema: Any) -> Any:  # noqa: ANN401
    if batch.schema.equals(schema):
        return batch
    there = set(batch.schema.names)
    columns = [
        batch.column(one.name).cast(one.type) if one.name in there else pa.nulls(len(batch), one.type) for one in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _unfit(error: Exception, *, column: str = "") -> BadInputError:
    what = f"column {column!r} cannot be one Parquet column" if column else "these rows cannot be one Parquet file"
    msg = f"{what} ({' '.join(str(error).split())[:160]})"
    return BadInputError(msg, remedy=_REMEDY)
