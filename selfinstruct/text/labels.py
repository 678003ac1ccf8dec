"""Labels of classification tasks: when two are one, which are short, and how to keep them even. Pure functions; knows no record.

Nothing here guesses which labels a task allows: only a list in the task that holds every label seen is believed.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LONGEST = 2000
"""Characters of a task that are searched for its labels."""

_OPENING, _CLOSING = "\"'\u201c\u2018", "\"'\u201d\u2019"
_QUOTED = (f"{start}[^{end}]{{1,40}}{end}" for start, end in zip(_OPENING, _CLOSING, strict=True))
_ITEM = "(?:" + "|".join((*_QUOTED, r"[\w-]{1,40}")) + ")"
_LIST = re.compile(rf"(?:{_ITEM}, ?){{0,20}}{_ITEM}(?:,? or | ?/ ?| 또는 | 혹은 ){_ITEM}")
_PARTS = re.compile(_ITEM)
_MARKS = frozenset(" .,;:!?\"'*_`\u2026\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f")
_BRACKETS = frozenset({"Ps", "Pe", "Pi", "Pf"})
"""Brackets and typographic quotation marks. No signs: "-1" and "50%" keep theirs."""
_BETWEEN = {"or", "또는", "혹은"}
_NO_LABELS = {"not", "otherwise", "else", "both", "neither"}
"""Ends of what looks like a list of labels and is none: "spam or not"."""


def plain(label: str) -> str:
    """Return a label without case, and without the blanks and punctuation around it: "Yes." and "yes" are one label.

    A label that is all punctuation stays as it is ("?" and "!" are two labels).
    """
    text = " ".join(unicodedata.normalize("NFKC", label).casefold().split())
    start, end = 0, len(text)
    while start < end and _around(text[start]):
        start += 1
    while end > start and _around(text[end - 1]):
        end -= 1
    return text[start:end] or text


def _around(character: str) -> bool:
    return character in _MARKS or unicodedata.category(character) in _BRACKETS


def named(task: str, seen: Iterable[str]) -> dict[str, str]:
    """Return the labels that a task lists ("good, fair or bad"), plain label -> as it stands there; none when unsure.

    Sure is a list, in quotes or of single words, that holds every label in `seen` (plain), and whose last word ends a
    clause or has been seen: of "a word or two" nothing is read.
    """
    wanted = set(seen)
    task = task[:LONGEST]
    for found in _LIST.finditer(task):
        parts = [part for part in _PARTS.findall(found[0]) if part not in _BETWEEN]
        items = {plain(part): part.strip(_OPENING + _CLOSING) for part in parts}
        closed = task[found.end() :].lstrip()[:1] in {*".,;:?!)", ""} or parts[-1][0] in _OPENING
        if (
            wanted
            and wanted <= items.keys()
            and not items.keys() & _NO_LABELS
            and (closed or plain(parts[-1]) in wanted)
        ):
            return items
    return {}


@dataclass(frozen=True, slots=True)
class Shortage:
    """What a task lacks: `count` more inputs, with the labels `wanted` (empty: any but `enough`)."""

    wanted: tuple[str, ...]
    enough: tuple[str, ...]
    count: int
    share: float
    """Of the most frequent label."""


def shortage(outputs: Sequence[str], *, task: str, most: float, room: int) -> Shortage | None:
    """Return what keeps the labels `outputs` of one task from being even; None when they are even enough.

    They are not when one label holds a share above `most` and more than an even split would give it, or when a label
    that the task surely names is missing although `room` instances have place for it. A task has two labels at least.
    """
    written = {plain(output): " ".join(output.split()) for output in reversed(outputs)}
    present = [label for label in map(plain, outputs) if label]
    counts = Counter(present)
    if not counts:
        return None
    known = {**(listed := named(task, counts)), **{label: written[label] for label in counts}}
    highest = max(counts.values())
    skewed = highest > most * len(present) and highest > ceil(len(present) / max(2, len(known)))
    if not skewed and len(counts) >= min(len(listed), room):
        return None
    lacking = {label: highest - counts[label] for label in known if counts[label] < highest} or {"": highest}
    offers = [*present, *(label for label, lack in lacking.items() for _ in range(lack))]
    gained = Counter(offers[place] for place in even(offers, room) if place >= len(present))
    if not gained:
        return None
    return Shortage(
        wanted=tuple(known[label] for label in gained if label),
        enough=tuple(text for label, text in known.items() if counts[label] == highest),
        count=gained.total(),
        share=highest / len(present),
    )


def even(labels: Sequence[Any], room: int) -> list[int]:
    """Return the places, in order, of at most `room` labels, as evenly spread as can be; the earliest of each label first."""
    turns: Counter[Any] = Counter()
    ranked = []
    for place, label in enumerate(labels):
        ranked.append((turns[label], place))
        turns[label] += 1
    return sorted(place for _, place in sorted(ranked)[:room])
