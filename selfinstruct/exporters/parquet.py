"""Everything about a row in typed columns: for analysis, the Hub and the viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from selfinstruct.stage import Exporter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.records import Row


class Parquet(Exporter):
    """Explicit column types, so that a column of nulls never locks its type."""

    kind: Literal["parquet"] = "parquet"
    suffix: ClassVar[str] = ".parquet"
    columns: ClassVar[dict[str, str]] = {
        "id": "string",
        "instruction": "string",
        "input": "string",
        "output": "string",
        "is_classification": "bool",
        "score": "float64",
        "raw_score": "float64",
        "model": "string",
        "scripted": "bool",
    }

    def rows(self, records: Iterator[Row]) -> Iterator[dict[str, Any]]:
        """Yield every column in every row."""
        for row in records:
            yield {
                "id": row.id,
                "instruction": row.instruction,
                "input": row.input,
                "output": row.output,
                "is_classification": row.is_classification,
                "score": row.score,
                "raw_score": row.score if row.raw_score is None else row.raw_score,
                "model": row.provenance.model,
                "scripted": row.provenance.scripted,
            }
