"""Finds tasks that are there already, exactly or nearly, and those that are answered otherwise there. Keeps no answers.

Memory: a digest per task, and the texts of the novelty index.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple

from selfinstruct.census.findings import Finding, Place
from selfinstruct.census.wording import plain
from selfinstruct.tables.turns import SYSTEM
from selfinstruct.text.reply import harmless
from selfinstruct.text.rouge import NoveltyIndex, rouge_l
from selfinstruct.text.tokens import unicode_tokens as _tokens

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from selfinstruct.tables.layouts import Task
    from selfinstruct.text.rouge import Neighbour

THRESHOLD = 0.7
"""ROUGE-L F above which two tasks are near (Self-Instruct)."""
_HEAD = 500
"""Characters of an instruction that are kept for that."""
SAME_ASKED = 0.5
"""ROUGE-L F of the instructions alone, below which two tasks share a long input and ask different things of it."""
_COMPARED = 4000
"""Characters of a task that are compared, from its end: a conversation ends with what is asked now."""
_THREADS = os.cpu_count() or 1


class _First(NamedTuple):
    place: Place
    output: bytes
    rejected: bytes


class _Known(NamedTuple):
    """A text of the index."""

    place: Place
    instruction: str


class Copies:
    """The tasks that were seen, in order."""

    def __init__(self) -> None:
        """Know none."""
        self._seen: dict[bytes, _First] = {}
        self._index = NoveltyIndex(THRESHOLD, tokenizer="unicode")
        self._known: list[_Known] = []

    def look(
        self, batch: Sequence[tuple[Place, Task]], *, leaving: AbstractSet[Place] = frozenset()
    ) -> list[list[Finding]]:
        """Return, for each task, what it repeats; take in those whose rows stay.

        Rows that are `leaving` are nobody's original: else a task would go with its bad row, and its good one as a copy.
        """
        found = [self._exact(place, task, stays=place not in leaving) for place, task in batch]
        fresh = [number for number, one in enumerate(found) if not one and batch[number][1].asked.strip()]
        staying = [number for number in fresh if batch[number][0] not in leaving]
        admitted = self._index.admit([_compared(batch[number][1]) for number in staying], threads=_THREADS)
        rivals = dict(zip(staying, admitted, strict=True))
        self._known += [
            _Known(batch[number][0], _head(batch[number][1])) for number in staying if rivals[number] is None
        ]
        for number in fresh:
            if number not in rivals:
                found[number] += self._near(*batch[number], None, stays=False)
            elif (rival := rivals[number]) is not None:
                found[number] += self._near(*batch[number], rival, stays=True)
        return found

    def _near(self, place: Place, task: Task, rival: Neighbour | None, *, stays: bool) -> list[Finding]:
        """Return what a task is near to, if it asks the same of the same; else take it in, if it stays."""
        text = _compared(task)
        # A task that was set aside a moment ago may be nearer than what stood in the index before this batch.
        rival = self._index.rival(text) or rival
        if rival is not None:
            there = self._known[rival.position]
            if there.place != place and rouge_l(_tokens(there.instruction), _tokens(_head(task))) >= SAME_ASKED:
                evidence = f"{task.asked[:120]} ~ {_told(there.place, place)}: {rival.text[:120]}"
                return [Finding("near_duplicate", "instruction", evidence, round(rival.score, 4), THRESHOLD)]
        if stays:
            self._index.add(text)
            self._known.append(_Known(place, _head(task)))
        return []

    def _exact(self, place: Place, task: Task, *, stays: bool) -> list[Finding]:
        if not task.asked.strip():
            return []
        earlier = "\x1e".join(f"{turn.role}\x1f{turn.text}" for turn in task.earlier)
        key = digest(f"{plain(task.instruction)}\x1e{plain(task.input)}\x1e{plain(earlier)}")
        mine = _First(place, digest(plain(task.output)), digest(plain(task.rejected or "")))
        first = self._seen.setdefault(key, mine) if stays else self._seen.get(key, mine)
        if first.place == place:  # itself, or another instance of one seed task
            return []
        where = _told(first.place, place)
        found = [Finding("duplicate_task", "instruction", f"{where}: {task.instruction[:160]}")]
        if task.rejected is None and first.output != mine.output:
            found.append(
                Finding("conflicting_answers", "output", f"{where} has another answer than: {task.output[:160]}")
            )
        if task.rejected is not None and (first.output == mine.rejected or first.rejected == mine.output):
            found.append(
                Finding("conflicting_answers", "output", f"{where} prefers it the other way: {task.output[:160]}")
            )
        return found


def _told(there: Place, here: Place) -> str:
    return f"row {there.row}" if there.file == here.file else f"{there.file} row {there.row}"


def digest(text: str) -> bytes:
    """Return 16 bytes that stand for a text."""
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


def _head(task: Task) -> str:
    return task.instruction[:_HEAD]


def _compared(task: Task) -> str:
    turns = [turn.text for turn in task.earlier if turn.role != SYSTEM]  # one system prompt would make all of them near
    return harmless("\n".join([*turns, task.asked])[-_COMPARED:])
