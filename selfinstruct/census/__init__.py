"""Audits instruction data that exists: which rows break which rule, counted, with examples. Asks no model, keeps no rows.

One pass, streamed. Memory: a digest per task and the texts that near-duplicates are looked for in.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

from selfinstruct.census import content, ends, leaks, scripts
from selfinstruct.census.clean import write_clean
from selfinstruct.census.copies import Copies
from selfinstruct.census.findings import Finding, Place
from selfinstruct.census.report import Counts
from selfinstruct.census.spread import Labels, Lengths
from selfinstruct.files import publish
from selfinstruct.tables import data_files
from selfinstruct.tables.layouts import read_tasks
from selfinstruct.tables.write import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from selfinstruct.tables.layouts import Found, Task

__all__ = ["census"]

_BATCH_ROWS = 1000
_BATCH_CHARACTERS = 4_000_000
_LOOKS = (content.look, ends.look, scripts.look, leaks.look)


def census(
    path: Path,
    *,
    named: Mapping[str, str] | None = None,
    examples: int = 3,
    rows_file: Path | None = None,
    clean: Path | None = None,
    drop: frozenset[str] = frozenset(),
    watch: Callable[[float], None] = lambda _: None,
) -> dict[str, Any]:
    """Return what is wrong in a file, or in the data files of a folder, as JSON; `report.Counts.told` says of what form.

    `named` is {role: column} where columns have other names. `rows_file` gets every finding, one JSON object a line.
    `clean` gets the rows that break none of the rules `drop`, the others go beside it; needs a second pass. A row that goes
    for what it is itself counts as nobody's original.
    `watch` is told the share of bytes that are through.

    Raises:
        BadInputError: unreadable as a whole, or columns that cannot be mapped. NoRoomError: an output cannot be written.
    """
    wall, cpu = time.monotonic(), time.process_time()
    files = data_files(path)
    labels, lengths, copies = Labels(), Lengths(), Copies()
    counts = Counts(examples, drop=drop)
    with ExitStack() as stack:
        out = stack.enter_context(stack.enter_context(publish(rows_file)).open("wb")) if rows_file else None

        def take(place: Place, finding: Finding) -> None:
            counts.take(place, finding)
            if out is not None:
                out.write(dumps({**place._asdict(), **finding._asdict()}) + b"\n")

        for batch in _batches(files, named, counts, watch):
            alone = [[list(_alone(task)) for task in found.tasks] for _, found in batch]
            leaving = {
                place
                for (place, _), tasks in zip(batch, alone, strict=True)
                if any(finding.rule in drop for finding in chain.from_iterable(tasks))
            }
            near = iter(copies.look([(place, task) for place, found in batch for task in found.tasks], leaving=leaving))
            for (place, found), tasks in zip(batch, alone, strict=True):
                counts.row()
                if found.problem:
                    take(place, Finding("unreadable_row", "", found.problem))
                for task, findings in zip(found.tasks, tasks, strict=True):
                    labels.see(task)
                    lengths.see(task)
                    for finding in (*findings, *next(near)):
                        take(place, finding)
        for finding in (*labels.findings(), *lengths.findings()):
            take(Place(str(path), 0), finding)
    told = {**counts.told(), "labels": labels.told(), "lengths": lengths.told()}
    if clean is not None:
        told["cleaned"] = write_clean(files, clean, counts.dropped, rows=told["rows"])
    return {**told, "seconds": round(time.monotonic() - wall, 2), "cpu_seconds": round(time.process_time() - cpu, 2)}


def _alone(task: Task) -> Iterator[Finding]:
    for look in _LOOKS:
        yield from look(task)


def _batches(
    files: Sequence[Path], named: Mapping[str, str] | None, counts: Counts, watch: Callable[[float], None]
) -> Iterator[list[tuple[Place, Found]]]:
    before = list(accumulate((file.stat().st_size for file in files), initial=0))
    for number, file in enumerate(files):
        layout, rows = read_tasks(file, named=named)
        counts.file(file, layout)
        batch: list[tuple[Place, Found]] = []
        size = 0
        for found in rows:
            batch.append((Place(str(file), found.row.number), found))
            size += sum(len(task.asked) + len(task.output) for task in found.tasks)
            if len(batch) >= _BATCH_ROWS or size >= _BATCH_CHARACTERS:
                yield batch
                watch((before[number] + found.row.at) / max(1, before[-1]))
                batch, size = [], 0
        if batch:
            yield batch
