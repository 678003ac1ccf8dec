"""Counts what only many rows show: how one-sided labels are, how often the chosen answer is the longer one. Knows no file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from selfinstruct.census.copies import digest
from selfinstruct.census.findings import Finding
from selfinstruct.census.wording import labels, plain
from selfinstruct.judging.agreement import wilson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.tables.layouts import Task

LABEL_WORDS, LABEL_CHARACTERS = 4, 40
"""A label is no longer than that."""
_FEWEST_ROWS = 20
"""Of a task, below which a skew is chance."""
_MOST_LABELS = 20
"""Different answers of a task that is a classification, at most."""
_ROWS_A_LABEL = 4
"""Rows for each of its labels, at least: otherwise short answers are no closed set."""
_MOST_TASKS = 200_000
"""Different instructions that are counted; later ones are not, so that memory is bounded."""
EVEN = 0.5
"""Share that one label of three or more has for certain when a set is called skewed ..."""
EVEN_OF_TWO = 0.75
"""... and one of two."""


@dataclass(slots=True)
class _Group:
    """The short answers to one instruction."""

    told: str
    counts: Counter[str] = field(default_factory=Counter)
    open: bool = False
    """There is an answer that is no label, or there are too many different ones."""


class Labels:
    """Counts labels: of each instruction that stands in many rows, and of each well-known set over all rows."""

    def __init__(self) -> None:
        """Know none."""
        self._tasks: dict[bytes, _Group] = {}
        self._sets: dict[str, Counter[str]] = {}

    def see(self, task: Task) -> None:
        """Count one task."""
        label = _label(task.output)
        if known := labels().get(label):
            self._sets.setdefault(known[0], Counter())[known[1]] += 1
        key = digest(plain(task.instruction))
        group = self._tasks.get(key)
        if group is None:
            if len(self._tasks) >= _MOST_TASKS:
                return
            group = self._tasks[key] = _Group(task.instruction[:160] if label else "")
        group.open = group.open or not label or len(group.counts) > _MOST_LABELS
        if group.open:
            group.counts.clear()
        else:
            group.counts[label] += 1

    def told(self) -> list[dict[str, Any]]:
        """Return each set that has rows enough: of what, rows, counts, largest share with its interval, skewed or not."""
        named = [(f"labels {name}", counts, len(counts)) for name, counts in self._sets.items()]
        tasks = [
            (f"task: {group.told}", group.counts, len(group.counts))
            for group in self._tasks.values()
            if not group.open and len(group.counts) * _ROWS_A_LABEL <= group.counts.total()
        ]
        found = [_told(*one) for one in (*named, *tasks) if one[1].total() >= _FEWEST_ROWS]
        return sorted(found, key=lambda one: (not one["skewed"], -one["rows"], one["of"]))

    def findings(self) -> Iterator[Finding]:
        """Yield each skewed set of labels."""
        for one in self.told():
            if one["skewed"]:
                evidence = f"{one['of']}: {one['largest']} in {one['share']:.0%} of {one['rows']} rows"
                yield Finding("label_skew", "output", evidence, one["share"], one["threshold"])


def _label(output: str) -> str:
    """Return an answer as a label, or nothing if it is longer than one."""
    if len(output) > LABEL_CHARACTERS:
        return ""
    label = plain(output).strip(" .!\"'`*\u3002")
    return label if len(label.split()) <= LABEL_WORDS else ""


def _told(of: str, counts: Counter[str], kinds: int) -> dict[str, Any]:
    rows = counts.total()
    label, most = counts.most_common(1)[0]
    low, high = wilson(most / rows, rows)
    threshold = EVEN if kinds > 2 else EVEN_OF_TWO  # noqa: PLR2004 - two labels, or more
    return {
        "of": of, "rows": rows, "counts": dict(counts.most_common()), "largest": label, "share": round(most / rows, 4),
        "interval": [round(low, 4), round(high, 4)], "threshold": threshold, "skewed": low > threshold,
    }  # fmt: skip


class Lengths:
    """Counts, in preferences, which of the two answers is the longer one, in characters."""

    def __init__(self) -> None:
        """Know none."""
        self._longer = self._shorter = self._equal = self._chosen = self._rejected = 0

    def see(self, task: Task) -> None:
        """Count one task; one without a rejected answer does not count."""
        if task.rejected is None:
            return
        chosen, rejected = len(task.output), len(task.rejected)
        self._longer += chosen > rejected
        self._shorter += chosen < rejected
        self._equal += chosen == rejected
        self._chosen += chosen
        self._rejected += rejected

    def told(self) -> dict[str, Any] | None:
        """Return how often the chosen answer is the longer one, with its interval; None without preferences."""
        different = self._longer + self._shorter
        rows = different + self._equal
        if not rows:
            return None
        low, high = wilson(self._longer / different if different else 0.0, different)
        return {
            "rows": rows, "chosen_longer": self._longer, "chosen_shorter": self._shorter, "equal": self._equal,
            "share": round(self._longer / different, 4) if different else None,
            "interval": [round(low, 4), round(high, 4)],
            "mean_chosen": round(self._chosen / rows, 1), "mean_rejected": round(self._rejected / rows, 1),
            "threshold": 0.5, "skewed": low > 0.5,  # noqa: PLR2004 - as often one as the other
        }  # fmt: skip

    def findings(self) -> Iterator[Finding]:
        """Yield one if the chosen answer is for certain more often the longer one than not."""
        told = self.told()
        if told and told["skewed"]:
            evidence = f"longer in {told['share']:.0%} of {told['rows'] - told['equal']} pairs"
            yield Finding("chosen_longer", "output", evidence, told["share"], told["threshold"])
