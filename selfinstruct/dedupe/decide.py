"""Decides of every row, in order, whether it is kept; what a journal already holds is taken from there. Writes no rows."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from selfinstruct.dedupe.job import Placed
from selfinstruct.dedupe.journal import Decision, Journal
from selfinstruct.dedupe.watch import Progress
from selfinstruct.errors import BadInputError
from selfinstruct.tables import kind_of, read_rows
from selfinstruct.text.reply import harmless
from selfinstruct.text.rouge import SAVED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from selfinstruct.dedupe.job import Job
    from selfinstruct.dedupe.pool import Pool, Sight
    from selfinstruct.tables import Row

_BATCH_ROWS = 1000
_BATCH_CHARACTERS = 4_000_000

_logger = logging.getLogger(__package__)


@dataclass(slots=True)
class Tally:
    """How many rows went where: rows = kept + dropped + bad."""

    rows: int = 0
    dropped: int = 0
    bad: int = 0

    @property
    def kept(self) -> int:
        """Rows that stay."""
        return self.rows - self.dropped - self.bad

    def count(self, decision: Decision | None) -> None:
        """Take one row; None means kept."""
        self.rows += 1
        self.bad += decision is not None and bool(decision.bad)
        self.dropped += decision is not None and not decision.bad


class Meter:
    """Tells a watcher how far a walk over some files is."""

    def __init__(self, watch: Callable[[Progress], None], doing: str, paths: Sequence[Path], tally: Tally) -> None:
        """Take what to call, what is being done, the files in order, and the tally that grows meanwhile."""
        self._watch, self._doing, self._tally = watch, doing, tally
        self._before = list(accumulate((path.stat().st_size for path in paths), initial=0))
        self._first, self._started = tally.rows, time.monotonic()

    def __call__(self, file: int, at: int) -> None:
        """Say that `at` bytes of the `file`-th are through."""
        share = min(1.0, (self._before[file] + at) / max(1, self._before[-1]))
        seconds = time.monotonic() - self._started
        tally = self._tally
        new = tally.rows - self._first
        self._watch(Progress(self._doing, tally.rows, tally.kept, tally.dropped, share, new, seconds))


class _Look(NamedTuple):
    """What deciding needs of a row."""

    source: int
    number: int
    text: str
    problem: str
    at: int


def decide(job: Job, pool: Pool, journal: Journal, *, sight: Sight, watch: Callable[[Progress], None]) -> Tally:
    """Bring the journal to the last row, and every kept text into the pool; return the counts.

    Raises:
        BadInputError: a broken input; a bad row, unless such are skipped. NoRoomError: the journal's disk refused.
    """
    tally = Tally()
    _read_against(job, pool, watch)
    looks = _looks(job, job.rows(column=job.field))
    meter = Meter(watch, "going on", job.files, tally)
    for batch in _batches(_kept(journal, looks, tally)):
        texts = [look.text for look in batch]
        pool.extend(batch[0].source, texts, [look.number for look in batch])
        sight.see(texts)
        meter(batch[-1].source - len(job.against), batch[-1].at)
    meter = Meter(watch, "comparing", job.files, tally)
    for batch in _batches(looks):
        decisions = _compare(batch, pool, sight, first=tally.rows)
        tally.rows += len(batch)
        tally.bad += (bad := sum(bool(decision.bad) for decision in decisions))
        tally.dropped += len(decisions) - bad
        journal.record(decisions, done=tally.rows)
        meter(batch[-1].source - len(job.against), batch[-1].at)
    journal.seal(tally.rows)
    return tally


def _read_against(job: Job, pool: Pool, watch: Callable[[Progress], None]) -> None:
    tally = Tally()
    meter = Meter(watch, "reading --against", job.against, tally)
    for source, path in enumerate(job.against):
        if path.suffix == SAVED:
            pool.extend_saved(source, path)
            continue
        rows = (Placed(source, row) for row in read_rows(path, column=job.field))
        bad = 0
        for batch in _batches(_looks(job, rows)):
            good = [look for look in batch if not look.problem]
            pool.extend(source, [look.text for look in good], [look.number for look in good])
            tally.rows += len(good)
            bad += len(batch) - len(good)
            meter(source, batch[-1].at)
        if bad:
            _logger.warning("%s: %d rows without a text in %r were passed over", path, bad, job.field)


def _compare(batch: Sequence[_Look], pool: Pool, sight: Sight, *, first: int) -> list[Decision]:
    good = [look for look in batch if not look.problem]
    texts = [look.text for look in good]
    near = iter(pool.admit(batch[0].source, texts, [look.number for look in good]))
    sight.see(texts)
    decisions = []
    for row, look in enumerate(batch, first):
        if look.problem:
            decisions.append(Decision(row, bad=look.problem))
        elif (found := next(near)) is not None:
            decisions.append(Decision(row, "", found.score, found.text, pool.origin(found.position)))
    return decisions


def _kept(journal: Journal, looks: Iterator[_Look], tally: Tally) -> Iterator[_Look]:
    """Yield the looks that an earlier command kept; take no further ones from `looks`."""
    for decision, look in zip(journal.rulings(), looks, strict=False):
        tally.count(decision)
        if decision is None:
            yield look


def _looks(job: Job, rows: Iterable[Placed]) -> Iterator[_Look]:
    for source, row in rows:
        text, problem = _text(row, job.field)
        if problem and not job.skip_bad:
            msg = f"{job.place(source, row.number)}: {problem}"
            raise BadInputError(msg, remedy="mend the row, name another column with --field, or go on with --skip-bad")
        yield _Look(source, row.number, text, problem, row.at)


def _text(row: Row, field: str) -> tuple[str, str]:
    """Return the text in `field`, or why there is none."""
    if row.problem:
        return "", row.problem
    if field not in row.value:
        return "", f"no column {field!r} (there are: {', '.join(list(row.value)[:12]) or 'none'})"
    value = row.value[field]
    if not isinstance(value, str):
        return "", f"field {field}: {kind_of(value)}, not a text"
    return harmless(value), ""


def _batches(looks: Iterable[_Look]) -> Iterator[list[_Look]]:
    """Yield them in lists, none of them long in rows or characters or over the end of a source."""
    batch: list[_Look] = []
    characters = 0
    for look in looks:
        if batch and look.source != batch[0].source:
            yield batch
            batch, characters = [], 0
        batch.append(look)
        characters += len(look.text)
        if len(batch) >= _BATCH_ROWS or characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
