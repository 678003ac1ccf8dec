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

    def look(self, batch: Sequence[tuple[Place, Task]]) -> list[list[Finding]]:
        """Return, for each task, what it repeats; take them in."""
        found = [self._exact(place, task) for place, task in batch]
        fresh = [number for number, one in enumerate(found) if not one and batch[number][1].asked.strip()]
        rivals = self._index.admit([_compared(batch[number][1]) for number in fresh], threads=_THREADS)
        novel = [number for number, rival in zip(fresh, rivals, strict=True) if rival is None]
        self._known += [_Known(batch[number][0], _head(batch[number][1])) for number in novel]
        for number, rival in zip(fresh, rivals, strict=True):
            if rival is not None:
                found[number] += self._near(*batch[number], rival)
        return found

    def _near(self, place: Place, task: Task, rival: Neighbour) -> list[Finding]:
        """Return what a task is near to, if it asks the same of the same; else take it in."""
        text = _compared(task)
        # A task that was set aside a moment ago may be nearer than what stood in the index before this batch.
        rival = self._index.rival(text) or rival
        there = self._known[rival.position]
        if there.place != place and rouge_l(_tokens(there.instruction), _tokens(_head(task))) >= SAME_ASKED:
            evidence = f"{task.asked[:120]} ~ {_told(there.place, place)}: {rival.text[:120]}"
            return [Finding("near_duplicate", "instruction", evidence, round(rival.score, 4), THRESHOLD)]
        self._index.add(text)
        self._known.append(_Known(place, _head(task)))
        return []

    def _exact(self, place: Place, task: Task) -> list[Finding]:
        if not task.asked.strip():
            return []
        earlier = "\x1e".join(f"{turn.role}\x1f{turn.text}" for turn in task.earlier)
        key = digest(f"{plain(task.instruction)}\x1e{plain(task.input)}\x1e{plain(earlier)}")
        mine = _First(place, digest(plain(task.output)), digest(plain(task.rejected or "")))
        first = self._seen.setdefault(key, mine)
        if first is mine:
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
