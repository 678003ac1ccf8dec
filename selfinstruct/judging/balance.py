"""How evenly the labels of a run's classification tasks are spread, as written and as kept. Asks no model, changes nothing.

The drift that label-first generation is there to cure: inputs thought up freely mostly deserve one and the same label.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from itertools import groupby
from math import log
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from selfinstruct.records import Classification, Fate, Frozen, Instance, Record, Row
from selfinstruct.text.labels import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from selfinstruct.runs import StoredRun

LONGEST = 40
"""Characters of a label: a longer output is counted, and is none of the most frequent ones."""
SHOWN = 6
"""Most frequent labels told."""

MOST_LOPSIDED = 0.25
"""Share of tasks with one label only above which there is an alarm ..."""
LEAST_TASKS = 20
"""... of so many tasks at least: of 20 tasks, none of them lopsided by nature but one in ten by accident, 6 are in 1.1 %."""
MOST_POLAR = 0.65
"""Share of one side of a polar pair above which there is an alarm ..."""
LEAST_POLAR = 100
"""... of so many rows at least: an even pair is past it by accident in 0.2 %, both sides together (binomial)."""

MILLION = 1_000_000

_WORD = re.compile(r"[\w-]+")
POLES = (
    ("yes", "no"),
    ("true", "false"),
    ("positive", "negative"),
    ("correct", "incorrect"),
    ("예", "아니요"),
    ("네", "아니요"),
    ("참", "거짓"),
    ("긍정", "부정"),
)
"""Pairs of labels of which neither should prevail over a whole run."""


class Polarity(Frozen):
    """A polar pair over a whole run: the side that prevails, the other one, and its share of the rows of both."""

    more: str
    less: str
    share: float
    rows: int


class Spread(Frozen):
    """Labels of many tasks."""

    tasks: int
    rows: int
    several: int
    """Tasks with two rows or more: one row alone cannot be uneven."""
    one_label: float
    """Share of those whose rows all have the same label."""
    evenness: float
    """Mean over those of the entropy of their labels, divided by that of an even split over as many labels as the task
    showed (two at least): 0 one label only, 1 even."""
    most: tuple[tuple[str, float], ...]
    """The most frequent labels with their shares of the rows."""
    poles: tuple[Polarity, ...]
    """The polar pairs that there are, most rows first."""

    def alarms(self) -> Iterator[str]:
        """Yield what is past its limit, in words."""
        if self.several >= LEAST_TASKS and self.one_label > MOST_LOPSIDED:
            yield f"{self.one_label:.0%} of {self.several} classification tasks have one label only (limit {MOST_LOPSIDED:.0%})"
        for one in self.poles:
            if one.rows >= LEAST_POLAR and one.share > MOST_POLAR:
                both = f"{one.rows} rows labelled {one.more} or {one.less}"
                yield f"{one.share:.0%} of {both} are {one.more} (limit {MOST_POLAR:.0%})"


class Balance(Frozen):
    """Labels of a run: of its instances, before any judging, and of its rows, which a judge can have made uneven."""

    written: Spread
    kept: Spread
    topped_up: int
    """Tasks that have instances from a further round."""
    rounds: bool
    """Whether the run asks for further rounds (`top_up`)."""

    @property
    def there(self) -> bool:
        """Whether there are classification tasks at all."""
        return bool(self.written.tasks)

    def alarms(self) -> Iterator[tuple[str, str]]:
        """Yield (what is past its limit, what helps). What selection alone has done is told of selection alone."""
        told = False
        for alarm in self.written.alarms():
            told = True
            yield (
                f"instances: {alarm}",
                "a stronger writer: labels that are short are asked for again, and do not come"
                if self.rounds
                else "a new run with --set stages.instances.top_up=0.6",
            )
        for alarm in () if told else self.kept.alarms():
            yield (
                f"rows: {alarm}; as written they were not",
                "the judge prefers a label: look at what it marked down (selfinstruct drops RUN --by score), or another judge",
            )


class Counted:
    """Labels of tasks, one task after the other. Keeps the counts of the labels and no task."""

    def __init__(self) -> None:
        """Know none."""
        self.every: Counter[str] = Counter()
        self.tasks = self.rows = self.several = self.single = 0
        self.evenness = 0
        """Sum over the tasks with several rows, each rounded to millionths: counts of two runs can be added."""

    def add(self, labels: Iterable[str]) -> None:
        """Take all labels of one task; empty ones do not count."""
        counts = Counter(label for text in labels if (label := plain(text)))
        self.tasks += bool(counts)
        self.rows += counts.total()
        if counts.total() > 1:
            self.several += 1
            self.single += len(counts) == 1
            self.evenness += round(MILLION * _evenness(counts))
        self.every.update({label: count for label, count in counts.items() if len(label) <= LONGEST})

    def spread(self) -> Spread:
        """Return what has been counted."""
        return Spread(
            tasks=self.tasks,
            rows=self.rows,
            several=self.several,
            one_label=self.single / self.several if self.several else 0.0,
            evenness=self.evenness / MILLION / self.several if self.several else 0.0,
            most=tuple((label, count / self.rows) for label, count in _most(self.every)[:SHOWN]),
            poles=tuple(sorted(_poles(self.every), key=lambda one: -one.rows)),
        )


def spread(labelled: Iterable[tuple[str, str]]) -> Spread:
    """Measure (task id, label) pairs, those of one task together. Labels are compared without case and punctuation."""
    counted = Counted()
    for _, group in groupby(labelled, key=itemgetter(0)):
        counted.add(label for _, label in group)
    return counted.spread()


def _most(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))


def _evenness(counts: Counter[str]) -> float:
    total = counts.total()
    entropy = sum(count / total * log(total / count) for count in counts.values())
    return entropy / log(max(2, len(counts)))


def _poles(counts: Counter[str]) -> Iterator[Polarity]:
    for pair in POLES:
        (more, highest), (less, lowest) = _most(Counter({side: counts[side] for side in pair}))
        if highest:
            yield Polarity(more=more, less=less, share=highest / (highest + lowest), rows=highest + lowest)


def of_run(run: StoredRun) -> Balance:
    """Measure the classification tasks of `run` up to its last row. Streams: never holds more than one task."""
    written, kept = Counted(), Counted()
    topped_up = 0
    for instances, rows in _tasks(run):
        labels = {path: plain(one.output) for path, one in instances.items()}
        written.add(labels.values())
        kept.add(label_of(row.output, labels, path) for path, row in rows.items())
        topped_up += len({one.provenance.seed for one in instances.values()}) > 1
    rounds = any(getattr(stage, "top_up", None) is not None for stage in run.recipe.stages)
    return Balance(written=written.spread(), kept=kept.spread(), topped_up=topped_up, rounds=rounds)


def _tasks(run: StoredRun) -> Iterator[tuple[dict[str, Instance], dict[str, Row]]]:
    """Yield for each classification task its accepted instances and its rows, both by the path of the instance."""
    instances: dict[str, Instance] = {}
    rows: dict[str, Row] = {}
    below: str | None = None
    for path, kind, record in heapq.merge(
        *(_scan(run, kind) for kind in (Classification, Instance, Row)), key=itemgetter(0)
    ):
        if kind is Classification:
            if instances:
                yield instances, rows
            instances, rows = {}, {}
            below = f"{path}." if record["is_classification"] else None
        elif below is not None and path.startswith(below):
            if kind is Instance:
                instances[path] = Instance.model_validate(record)
            else:
                rows[path.rpartition(".")[0]] = Row.model_validate(record)
    if instances:
        yield instances, rows


def _scan(run: StoredRun, kind: type[Record]) -> Iterator[tuple[str, type[Record], Any]]:
    """Yield path, kind and stored form of the accepted records of the stage that writes `kind`, in admission order."""
    label = run.writer_of(kind)
    found = run.store.scan(label, fate=Fate.ACCEPTED, upto=run.closing) if label else ()
    return ((row.path, kind, body["record"]) for row, body in found)


def label_of(output: str, labels: Mapping[str, str], path: str) -> str:
    """Return the label that a row's output is, or says among other words; otherwise the one its input was written for."""
    text = plain(output[: 10 * LONGEST])
    words = f" {' '.join(_WORD.findall(text))} "
    said = [label for label in set(labels.values()) if label and (label == text or f" {label} " in words)]
    return text if text in said else said[0] if len(said) == 1 else labels[path]
