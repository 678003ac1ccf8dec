"""Writes the rows of views into Parquet shards, in the order in which they come. Knows no run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from selfinstruct.catalogue.version import VIEWS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SHARD_ROWS = 50_000
"""Rows of a shard at most; a nightly top-up has one of its own."""
GROUP_ROWS = 2000
"""Rows of a row group: a reader takes 50 rows without the rest."""


class Shards:
    """Shards of all views in `folder`; numbers go on where `earlier` (view -> shards that there are) ends."""

    def __init__(self, folder: Path, *, earlier: Mapping[str, int]) -> None:
        """Write nothing yet."""
        self.folder = folder
        self.rows: dict[str, int] = {}
        """File -> rows, once closed."""
        self._numbers: Counter[str] = Counter(earlier)
        self._waiting: dict[str, list[dict[str, Any]]] = {view: [] for view in VIEWS}
        self._open: dict[str, tuple[str, pq.ParquetWriter]] = {}

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Write what waits."""
        for view, waiting in self._waiting.items():
            if waiting:
                self._write(view)
        for opened in self._open.values():
            opened[1].close()

    def add(self, view: str, row: dict[str, Any]) -> None:
        """Take a row with the columns of its view."""
        self._waiting[view].append(row)
        if len(self._waiting[view]) >= GROUP_ROWS:
            self._write(view)

    def _write(self, view: str) -> None:
        schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in VIEWS[view].items()])
        if view not in self._open:
            name = f"data/{view}/train-{self._numbers[view]:05d}.parquet"
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._open[view] = name, pq.ParquetWriter(path, schema, compression="zstd", write_page_index=True)
            self._numbers[view] += 1
            self.rows[name] = 0
        name, writer = self._open[view]
        writer.write_table(pa.Table.from_pylist(self._waiting[view], schema=schema))
        self.rows[name] += len(self._waiting[view])
        self._waiting[view].clear()
        if self.rows[name] >= SHARD_ROWS:
            writer.close()
            del self._open[view]
