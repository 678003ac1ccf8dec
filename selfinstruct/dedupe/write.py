"""Writes what a journal decided: kept rows as they came, dropped and bad ones beside them with their evidence."""

from __future__ import annotations

from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from selfinstruct.dedupe.decide import Meter, Tally
from selfinstruct.errors import BadInputError, SelfInstructError
from selfinstruct.files import publish
from selfinstruct.tables import Row, write_rows
from selfinstruct.tables.read import opened_parquet, parquet_batches
from selfinstruct.tables.write import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from selfinstruct.dedupe.job import Job
    from selfinstruct.dedupe.journal import Decision, Journal
    from selfinstruct.dedupe.watch import Progress

_RAW = 10_000
"""Bytes of an unreadable line that its drop shows."""


def write(
    job: Job, journal: Journal, tally: Tally, *, question: Mapping[str, Any], watch: Callable[[Progress], None]
) -> None:
    """Write both files, whole or not at all.

    Raises:
        BadInputError: this kind of file cannot hold the rows, or an input changed meanwhile. NoRoomError: the disk refused.
    """
    with publish(job.out) as kept, publish(job.dropped_file) as beside, beside.open("wb") as dropped:
        walk = _Walk(job, journal, dropped, watch=watch)
        if all(path.suffix.lower() == ".parquet" for path in (*job.files, job.out)):
            from selfinstruct.tables.parquet import schemas, unified, write_batches  # noqa: PLC0415 - loads pyarrow

            write_batches(kept, walk.batches(), schema=unified(schemas(job.files)))
        else:
            write_rows(kept, walk.rows(), kind=job.out.suffix.lower(), survey=lambda: _kept(job, journal))
        if job.question() != question:
            msg = "an input changed while it was read"
            raise BadInputError(msg, remedy="give the same command again: it begins anew")
        if walk.tally != tally:
            msg = f"the rows do not add up: decided {tally}, written {walk.tally}"
            raise SelfInstructError(
                msg, remedy=f"this is a fault of selfinstruct; without {journal.path} it begins anew"
            )


def _kept(job: Job, journal: Journal) -> Iterator[Row]:
    for decision, (_, row) in zip(journal.rulings(), job.rows(), strict=False):
        if decision is None:
            yield row


class _Walk:
    """One pass over the inputs: gives the kept rows, writes the others on the way, counts both."""

    def __init__(self, job: Job, journal: Journal, dropped: IO[bytes], *, watch: Callable[[Progress], None]) -> None:
        self.tally = Tally()
        self._job, self._dropped = job, dropped
        self._rulings = journal.rulings()
        self._meter = Meter(watch, "writing", job.files, self.tally)

    def rows(self) -> Iterator[Row]:
        for decision, (source, row) in zip(self._rulings, self._job.rows(), strict=False):
            self.tally.count(decision)
            if decision is None:
                yield row
            else:
                self._drop(decision, source, row)
            if not self.tally.rows % 1000:
                self._meter(source - len(self._job.against), row.at)

    def batches(self) -> Iterator[Any]:
        for source, path in enumerate(self._job.files, len(self._job.against)):
            number = 0
            with opened_parquet(path) as file:
                for batch in parquet_batches(file):
                    yield self._filtered(batch, source, number)
                    number += len(batch)
                    self._meter(source - len(self._job.against), path.stat().st_size * number // file.metadata.num_rows)

    def _filtered(self, batch: Any, source: int, before: int) -> Any:  # noqa: ANN401 - pyarrow: no types
        import pyarrow as pa  # noqa: PLC0415 - loaded by now

        rulings = list(islice(self._rulings, len(batch)))
        for decision in rulings:
            self.tally.count(decision)
        gone = [place for place, decision in enumerate(rulings) if decision is not None]
        values = batch.take(pa.array(gone, pa.int64())).to_pylist()
        for place, value in zip(gone, values, strict=True):
            self._drop(rulings[place], source, Row(before + place + 1, value))
        kept = pa.array([decision is None for decision in rulings], pa.bool_())
        return batch.filter(kept) if gone else batch

    def _drop(self, decision: Decision | None, source: int, row: Row) -> None:
        if decision is None:
            return
        evidence: dict[str, Any] = {"rule": "bad row", "reason": decision.bad}
        if not decision.bad:
            evidence = {
                "rule": "rouge",
                "figure": decision.figure,
                "threshold": self._job.threshold,
                "tokenizer": self._job.tokenizer,
                "nearest": decision.nearest,
                "nearest_place": self._job.place(*decision.origin),
            }
        shown = row.raw[:_RAW].decode(errors="replace") if row.value is None and row.raw else row.value
        entry = {"place": self._job.place(source, row.number), "drop": evidence, "row": shown}
        self._dropped.write(dumps(entry, binary=True) + b"\n")
