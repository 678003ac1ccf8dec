"""The novelty gate on any dataset: decides row by row into a journal, then writes what is kept and what is not.

Memory grows with the texts that are compared, never with rows. The same command goes on where it was stopped.
"""

from __future__ import annotations

import glob
import logging
import time
from typing import TYPE_CHECKING, Any

from selfinstruct.dedupe.decide import Tally, decide
from selfinstruct.dedupe.job import Job, checked
from selfinstruct.dedupe.journal import Journal
from selfinstruct.dedupe.pool import Pool, Sight
from selfinstruct.dedupe.write import write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from selfinstruct.dedupe.watch import Progress

__all__ = ["dedupe"]

_logger = logging.getLogger(__name__)


def dedupe(
    files: Sequence[Path],
    out: Path,
    *,
    against: Sequence[Path] = (),
    field: str = "instruction",
    threshold: float = 0.7,
    tokenizer: str = "unicode",
    skip_bad: bool = False,
    save_index: Path | None = None,
    watch: Callable[[Progress], None] = lambda _: None,
) -> dict[str, Any]:
    """Keep a row only if no earlier one, and none of `against`, scores above `threshold`; return the counts.

    The first of two near rows stays. Dropped rows go to `<out>.dropped.jsonl` with score, nearest text and its place,
    bad rows with their reason. `save_index` gets the index of everything in `against` and everything kept.

    Raises:
        BadInputError: a file cannot be read or written as this kind, a row has no text in `field` (without `skip_bad`),
            or an output is an input. NoRoomError: the disk refused; the same call goes on.
    """
    started = time.monotonic()
    job = checked(
        Job(
            tuple(files), tuple(against), out, field=field, threshold=threshold, tokenizer=tokenizer, skip_bad=skip_bad
        ),
        save_index=save_index,
    )
    question = job.question()
    with Journal(job.journal, question) as journal:
        resumed_at = journal.done
        _remove_halves(out, save_index)
        if journal.anew:
            _logger.warning("beginning anew (%s)", journal.anew)
        elif resumed_at:
            _logger.warning("going on after %s rows that an earlier command decided", f"{resumed_at:,}")
        pool, sight = Pool(threshold, tokenizer=tokenizer), Sight(tokenizer)
        tally = decide(job, pool, journal, sight=sight, watch=watch)
        if sight.caution:
            _logger.warning(sight.caution)
        against_texts = len(pool) - tally.kept
        if save_index is not None:
            pool.save(save_index)
        write(job, journal, tally, question=question, watch=watch)
        journal.remove()
    seconds = time.monotonic() - started
    return {
        **_counts(tally),
        "without_tokens": sight.without_tokens,
        "against": against_texts,
        "threshold": threshold,
        "tokenizer": tokenizer,
        "seconds": round(seconds, 3),
        "rows_per_second": round((tally.rows - resumed_at) / max(seconds, 1e-3)),
        "out": str(out),
        "dropped_file": str(job.dropped_file),
        "resumed_at": resumed_at,
    }


def _remove_halves(*outputs: Path | None) -> None:
    """Delete what a kill in the middle of writing left: nobody else writes them, the journal is ours."""
    for path in filter(None, outputs):
        for half in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
            half.unlink()


def _counts(tally: Tally) -> dict[str, int]:
    return {"rows": tally.rows, "kept": tally.kept, "dropped": tally.dropped, "bad": tally.bad}
