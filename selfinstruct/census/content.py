"""Rules on what a task and its answer say: empty, filler, refusal, self-mention, repetition. Each looks at one task alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from selfinstruct.census.findings import Finding
from selfinstruct.census.wording import pattern, placeholders, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.tables.layouts import Task

_OPENING = 240
"""Characters at the beginning of an answer in which it declines."""
_SPOKEN = 600
"""Characters of an answer in which it says what it is."""
_EXCERPT = 160
"""Characters of a text that are evidence."""
_FILLER = 40
"""Characters of the longest filler, with room."""
_FILLED = re.compile(r"\s*<no ?(?:in|out)put>.{0,60}", re.IGNORECASE)
"""Begins answers that go on behind it."""
_FEWEST_WORDS = 4
"""Of an instruction that an answer is said to repeat: shorter ones begin many a good answer."""
_SEEN = re.compile(r"[^\s\u00ad\u200b-\u200f\u2060\ufeff]")
_QUOTES = re.compile("^[\\s\"'*_<>\N{LEFT DOUBLE QUOTATION MARK}\N{LEFT SINGLE QUOTATION MARK}]+")


def look(task: Task) -> Iterator[Finding]:
    """Yield what is wrong with the texts of a task."""
    yield from _empty(task)
    filler = next(_fillers(task), None)
    if filler:
        yield filler
    if task.output.strip():
        yield from _declines(task)
        if filler is None:  # N/A answered by N/A is told already
            yield from _repeats(task)
    if task.rejected is not None:
        yield from _pair(task)


def _empty(task: Task) -> Iterator[Finding]:
    for field, text in (("instruction", task.instruction), ("output", task.output), ("rejected", task.rejected)):
        if text is None or (field == "instruction" and task.input.strip()):
            continue  # some datasets keep the whole task in the input
        if not _SEEN.search(text):
            yield Finding(
                f"empty_{field}", field, f"{'only blanks' if text else 'nothing'}, for: {task.asked[:_EXCERPT]}"
            )


def _fillers(task: Task) -> Iterator[Finding]:
    for field, text in (("instruction", task.instruction), ("input", task.input), ("output", task.output)):
        if 0 < len(text) <= _FILLER and (
            plain(text) in placeholders(field) or plain(text).rstrip(".!") in placeholders(field)
        ):
            yield Finding("placeholder", field, text)
            return
    if found := _FILLED.match(task.output):
        yield Finding("placeholder", "output", found[0])


def _declines(task: Task) -> Iterator[Finding]:
    opening = task.output[: 4 * _OPENING].replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    if _refusal(opening, task.asked) and not pattern("asks_for_apology").search(task.asked):
        yield Finding("refusal", "output", task.output[:_EXCERPT])
    if (found := pattern("self_mentions").search(opening[:_SPOKEN])) and not pattern("about_ai").search(task.asked):
        yield Finding("mentions_being_ai", "output", opening[max(0, found.start() - 40) : found.end() + 80])


def _refusal(opening: str, asked: str) -> re.Match[str] | None:
    start = _QUOTES.match(opening)
    at = start.end() if start else 0
    found = pattern("refusals").match(opening, at, _OPENING) or pattern("by_a_model").search(opening, 0, _OPENING)
    # "I cannot ..." also begins many a rewritten sentence: not where the task speaks of itself too.
    return found or (None if pattern("first_person").search(asked) else pattern("unable").match(opening, at))


def _repeats(task: Task) -> Iterator[Finding]:
    output, instruction = plain(task.output), plain(task.instruction)
    if task.input.strip() and task.output.split() == task.input.split():  # case counts: some are asked for capitals
        yield Finding("repeats_task", "output", f"the answer is the input: {task.output[:_EXCERPT]}")
    elif len(instruction.split()) >= _FEWEST_WORDS and output.startswith(instruction):
        if task.rejected is not None:
            yield Finding("chosen_holds_prompt", "output", task.output[:_EXCERPT])
        else:
            yield Finding("repeats_task", "output", task.output[:_EXCERPT])
    elif task.prompt_twice:
        yield Finding("chosen_holds_prompt", "output", "a whole conversation, beside a prompt")


def _pair(task: Task) -> Iterator[Finding]:
    if task.output.strip() and plain(task.output) == plain(task.rejected or ""):
        yield Finding("chosen_equals_rejected", "rejected", task.output[:_EXCERPT])
