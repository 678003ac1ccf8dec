"""Rows and pairs of shards, with the attributes that exporters read: ten times as fast as records. Knows no format."""

from __future__ import annotations

from functools import lru_cache
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from selfinstruct.catalogue.version import VIEWS
from selfinstruct.errors import DamageError
from selfinstruct.records import Provenance

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

BATCH = 2000
"""Rows that are read at once."""
TOLD = frozenset({"reasoning", "is_classification", "score", "raw_score", "judge"})
"""Columns that may be empty (null) in a row."""


class ReadRow(NamedTuple):
    """A `records.Row` as a version holds it; `parent` is not among what it holds."""

    id: str
    instruction: str
    input: str
    output: str
    reasoning: str
    is_classification: bool | None
    score: float | None
    raw_score: float | None
    model: str
    scripted: bool

    @property
    def provenance(self) -> Provenance:
        """Who wrote the answer."""
        return _made(self.model, scripted=self.scripted)


class ReadPair(NamedTuple):
    """A `records.PreferencePair` as a version holds it."""

    id: str
    instruction: str
    input: str
    chosen: str
    rejected: str
    score_chosen: float
    score_rejected: float
    scripted: bool

    @property
    def chosen_score(self) -> float:
        """As the record calls it."""
        return self.score_chosen

    @property
    def rejected_score(self) -> float:
        """As the record calls it."""
        return self.score_rejected

    @property
    def margin(self) -> float:
        """Score of the chosen answer minus that of the rejected one."""
        return self.score_chosen - self.score_rejected


READ: dict[str, type[ReadRow | ReadPair]] = {"sft": ReadRow, "preference": ReadPair}


def read(
    shards: Iterable[tuple[str, Path]],
    view: str,
    *,
    scripted: bool,
    least: float | None,
    left_out: Counter[str],
    came: Callable[[int], None],
) -> Iterator[ReadRow | ReadPair]:
    """Yield the rows of `view` in `shards` (name, place) in order; those of a lower score than `least` count as left out.

    `came` is told how many rows are through.

    Raises:
        DamageError: a shard is none, has other columns, a text that is null, or a score that is not finite.
    """
    made = READ[view]
    names = [name for name in made._fields if name != "scripted"]
    score = made._fields.index("score" if view == "sft" else "score_chosen")
    for name, path in shards:
        for columns in _columns(name, path, view, names):
            rows: Iterator[Any] = map(made, *columns, repeat(scripted))
            for row in rows:
                value = row[score]
                if least is not None and (value is None or value < least):
                    left_out["score"] += 1
                else:
                    yield row
            came(len(columns[0]))


def _columns(name: str, path: Path, view: str, names: list[str]) -> Iterator[list[list[Any]]]:
    """Yield the columns of each batch."""
    import pyarrow as pa  # noqa: PLC0415 - 188 ms, wanted only here
    import pyarrow.compute as pc  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            for one in names:
                if one not in schema.names or schema.field(one).type != pa.type_for_alias(VIEWS[view][one]):
                    raise _damaged(name, f"has no column {one} of {VIEWS[view][one]}")
            for batch in file.iter_batches(BATCH, columns=names):
                columns = {one: batch.column(one) for one in names}
                if empty := [one for one, column in columns.items() if one not in TOLD and column.null_count]:
                    raise _damaged(name, f"has rows without {empty[0]}")
                floats = [one for one in names if VIEWS[view][one] == "float64"]
                if odd := [one for one in floats if pc.all(pc.is_finite(columns[one])).as_py() is False]:
                    raise _damaged(name, f"has a {odd[0]} that is no number")
                yield [columns[one].to_pylist() for one in names]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # of pages that are garbage it raises the second
        raise _damaged(name, f"cannot be read ({' '.join(str(error).split())[:120]})") from None


def _damaged(name: str, what: str) -> DamageError:
    return DamageError(f"{name} {what}", remedy="tell who keeps that catalogue; it is as the manifest says")


@lru_cache(256)
def _made(model: str, *, scripted: bool) -> Provenance:
    return Provenance(stage="", model=model, scripted=scripted)
