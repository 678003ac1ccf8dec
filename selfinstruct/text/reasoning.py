"""Tells what a reasoning model thought from what it answered. Pure functions; text is data, and the time they take is linear.

Knows tags, no model: a server with a reasoning parser leaves nothing to do here.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMES = (
    "thinking|think|reasoning|reason|thoughts|thought|reflection|scratchpad|inner_monologue|chain_of_thought|seed:think"
)
_TAG = re.compile(
    rf"(?i:<(/?)({_NAMES})(?:\s[^<>=]{{0,99}}=[^<>]{{0,199}}|\s{{0,9}})>)"
    r"|\[(/?)(THINK)\]|\u25c1(/?)(think)\u25b7|<\|(?:START|(END))_(THINKING)\|>|<\|(?:begin|(end))_of_(thought)\|>"
)
"""DeepSeek-R1, QwQ, Qwen3, GLM and most others, attributes and blanks too; names in use beside it; Seed-OSS; Magistral; Kimi;
Command A; Sky-T1 and OpenThinker. Two groups for each way of writing it: what closes, and the name. All counts are bounded."""
_ANSWERS = (("<|START_RESPONSE|>", "<|END_RESPONSE|>"), ("<|begin_of_solution|>", "<|end_of_solution|>"))
"""Marks around an answer: Command A's and Sky-T1's, beside their marks around a trace."""
_CHANNEL, _MESSAGE, _START = "<|channel|>", "<|message|>", "<|start|>assistant"
_FINAL = re.compile(r"\s*final\b")
"""Name of the channel with the answer; `<|constrain|>json` may follow it."""
_PART_ENDS = re.compile(r"<\|(?:end|return|call|start)\|>")
_FLAT = re.compile(r"\s*analysis(.*?)assistantfinal(.*)", re.DOTALL)
"""Harmony whose marks were left out as special tokens."""
_TICKS = re.compile("`+")
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "\u300c": "\u300d"}


class _Tag(NamedTuple):
    start: int
    end: int
    name: str
    opens: bool
    mentioned: bool
    """It stands in code or quotes: the text speaks of it."""


def split_reasoning(text: str) -> tuple[str, str]:
    """Return (reasoning, answer): traces at the beginning of `text`, and what follows them, both without their marks.

    A closing tag that nothing opened ends a trace too: templates open it in the prompt. A trace without an end is all there
    is: no answer. Tags in code or quotes are talk about tags. A text without a trace comes back as it is.
    """
    if (parts := _harmony(text)) is not None:
        return parts
    if _TAG.search(text) is None:
        return "", text
    tags = _tags(text)
    traces: list[str] = []
    place = at = 0
    while at < len(tags) and (found := _trace(text, tags, at, place)) is not None:
        trace, at, place = found
        traces.append(trace.strip())
    return "\n\n".join(filter(None, traces)), _bare(text[place:].lstrip()) if traces else text


def has_trace(text: str) -> bool:
    """Say whether a tag stands outside of code and quotes: there nobody can tell a trace from talk about one."""
    return _TAG.search(text) is not None and not all(one.mentioned for one in _tags(text))


def _bare(answer: str) -> str:
    """Return an answer without the marks around it; the closing one may be cut off."""
    for first, last in _ANSWERS:
        if answer.startswith(first):
            return answer.removeprefix(first).strip().removesuffix(last).rstrip()
    return answer


def _harmony(text: str) -> tuple[str, str] | None:
    """Return both parts of an answer in channels (gpt-oss); None for any other."""
    body = text.lstrip().removeprefix(_START)
    if not body.startswith(_CHANNEL):
        flat = _FLAT.fullmatch(text) if "assistantfinal" in text else None
        return None if flat is None else (flat[1].strip(), flat[2].strip())
    said: dict[bool, list[str]] = {True: [], False: []}
    for part in body.split(_CHANNEL)[1:]:
        name, _, message = part.partition(_MESSAGE)
        said[_FINAL.match(name) is not None].append(_PART_ENDS.split(message, maxsplit=1)[0].strip())
    return "\n\n".join(filter(None, said[False])), "\n\n".join(said[True])


def _trace(text: str, tags: Sequence[_Tag], at: int, place: int) -> tuple[str, int, int] | None:
    """Return the trace that begins at `place`, the next tag's number and where the text goes on; None when none does."""
    first = tags[at]
    if not first.opens or text[place : first.start].strip():
        end = _unopened(tags, at)
        return None if end is None else (text[place : tags[end].start], end + 1, tags[end].end)
    for mentions in (False, True):  # a trace of half-open quotes and fences may hide its end from us
        end = _end(tags, at, mentions=mentions)
        if end is not None:
            return text[first.end : tags[end].start], end + 1, tags[end].end
    return text[first.end :], len(tags), len(text)


def _end(tags: Sequence[_Tag], at: int, *, mentions: bool) -> int | None:
    """Return the tag that closes tag `at`, nested ones left out; the last closing one where they do not add up."""
    depth, last = 1, None
    for number in range(at + 1, len(tags)):
        one = tags[number]
        if one.name != tags[at].name or (one.mentioned and not mentions):
            continue
        depth += 1 if one.opens else -1
        last = last if one.opens else number
        if not depth:
            break
    return last


def _unopened(tags: Sequence[_Tag], at: int) -> int | None:
    """Return the first closing tag that no tag from `at` on has opened."""
    depths: Counter[str] = Counter()
    for number in range(at, len(tags)):
        one = tags[number]
        if not one.mentioned:
            depths[one.name] += 1 if one.opens else -1
            if depths[one.name] < 0:
                return number
    return None


def _tags(text: str) -> list[_Tag]:
    code = _code(text)
    starts = [start for start, _ in code]
    tags = []
    for found in _TAG.finditer(text):
        span = bisect_right(starts, found.start()) - 1
        before, after = text[max(0, found.start() - 1) : found.start()], text[found.end() : found.end() + 1]
        mentioned = (span >= 0 and found.start() < code[span][1]) or (bool(after) and _QUOTES.get(before) == after)
        last = found.lastindex or 0  # the group of the name; no way of writing it closes another
        name = f"{last} {found[last].lower()}"
        tags.append(_Tag(found.start(), found.end(), name, not found[last - 1], mentioned))
    return tags


def _code(text: str) -> list[tuple[int, int]]:
    """Return where code stands: fenced blocks that have an end, and what is between backticks on one line."""
    spans: list[tuple[int, int]] = []
    inline: list[tuple[int, int]] = []  # of the lines of a fenced block: they count if it never ends
    fence, opened, place = "", 0, 0
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if not fence and mark is not None and "`" not in line[mark.end() :]:
            fence, opened = mark[1], place
        elif fence and mark is not None and line.strip().startswith(fence) and not line.strip(" \t\r\n`~"):
            spans.append((opened, place + len(line)))
            fence, inline = "", []
        else:
            ticks = [found.start() for found in _TICKS.finditer(line)]
            pairs = zip(ticks[::2], ticks[1::2], strict=False)
            (inline if fence else spans).extend((place + start, place + end) for start, end in pairs)
        place += len(line)
    return spans + inline
