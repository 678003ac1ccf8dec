"""Looks for what should have stayed behind: marks of prompt templates and reasoning, characters that nobody types."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

from selfinstruct.census.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.tables.layouts import Task

_TEMPLATE = re.compile(
    r"<[|\uff5c](?:im_start|im_end|im_sep|endoftext|end_of_text|begin_of_text|eot_id|eom_id|start_header_id|end_header_id|"
    r"user|assistant|system|end|pad|endofprompt|startoftext|[\w\u2581]{1,24})[|\uff5c]>"
    r"|\[/?INST\]|<</?SYS>>|</?start_of_turn>|<end_of_turn>|\[/?(?:SYSTEM_PROMPT|AVAILABLE_TOOLS)\]"
    r"|^#{2,4} ?(?:Response|Instruction|Input|Output|Human|Assistant|User|System|응답|명령어|지시사항|입력|출력) ?:"
    r"|^(?:<bos>|\[BOS\])|(?:\[EOS\]|<eos>)\s*$"
    r"|^\d{1,3}\. ?(?:Instruction|Input|Output) ?:|//+ ?(?:EOM|end of (?:the )?output)\b"
    r"|^Below is an instruction that describes a task",
    re.MULTILINE,
)
_END = re.compile(r"</s>\s*\Z")
"""Alone it ends a sequence; with `<s>` before it, HTML strikes something through."""
_REASONING = re.compile(
    r"</?(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad|inner_monologue|chain_of_thought)>"
    r"|<\|(?:begin|end)_of_(?:thought|solution)\|>|\u25c1/?think\u25b7|<\|channel\|>analysis|\[/?THINK\]",
    re.IGNORECASE,
)
_ODD = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ufff9-\ufffd"
    "\ue000-\uf8ff\ud800-\udfff]"
)
_ODD_ASCII = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BLANK_IN_SCRIPT = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
"""Thai, Lao, Khmer and Myanmar put U+200B between words."""
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff]")
_TWICE_ENCODED = re.compile(
    "[\u00c2-\u00f4][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013\u2014\u2018-\u201e"
    "\u2020-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122]{1,3}"
)
_LIKELY = re.compile(
    "[\u00a0-\u024f\u0370-\u03ff\u0400-\u04ff\u2010-\u2044\u20a9-\u20ac\u2122\u2190-\u2193\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff00-\uffee\U0001f300-\U0001faff]"
)
"""What wrongly decoded texts mostly were: accents, quotes, Greek, Cyrillic, CJK, Hangul, emoji."""


def look(task: Task) -> Iterator[Finding]:
    """Yield what leaked into any text of a task, each rule once."""
    texts = [
        ("instruction", task.instruction),
        ("input", task.input),
        ("output", task.output),
        ("rejected", task.rejected or ""),
    ]
    everything = [*texts, *(("earlier", turn.text) for turn in task.earlier)]
    answers = [(field, text) for field, text in everything if field not in {"instruction", "input"}]
    yield from _first("template_leak", _TEMPLATE, everything)
    yield from _first("template_leak", _END, [one for one in everything if one[1].count("</s>") > one[1].count("<s>")])
    yield from _first("reasoning_leak", _REASONING, answers)
    for field, text in everything:
        if odd := odd_characters(text):
            yield Finding("odd_characters", field, odd)
            return


def _first(rule: str, marks: re.Pattern[str], texts: list[tuple[str, str]]) -> Iterator[Finding]:
    for field, text in texts:
        if found := marks.search(text):
            yield Finding(rule, field, _around(text, found))
            return


def _around(text: str, found: re.Match[str]) -> str:
    return text[max(0, found.start() - 30) : found.end() + 30]


def odd_characters(text: str) -> str:
    """Return the first odd character or wrongly decoded piece, with what it is and what stands around it; or nothing."""
    if text.isascii():
        found = _ODD_ASCII.search(text)
        return _told(text, found) if found else ""
    for found in _ODD.finditer(text):
        if not (found[0] == "\u200b" and _BLANK_IN_SCRIPT.search(text)) and not (
            found[0] in "\u200e\u200f" and _RIGHT_TO_LEFT.search(text)
        ):
            return _told(text, found)
    return next(
        (f"wrongly decoded {found[0]!r} ({right}): {_around(text, found)}" for found, right in _twice(text)), ""
    )


def _told(text: str, found: re.Match[str]) -> str:
    return f"U+{ord(found[0]):04X}: {_around(text, found)}"


def _twice(text: str) -> Iterator[tuple[re.Match[str], str]]:
    for found in _TWICE_ENCODED.finditer(text):
        raw = bytes(chain.from_iterable(_byte(one) for one in found[0]))
        for length in range(len(raw), 1, -1):
            try:
                right = raw[:length].decode()
            except UnicodeDecodeError:
                continue
            if _LIKELY.match(right):
                yield found, right
            break


def _byte(character: str) -> bytes:
    try:
        return character.encode("cp1252")
    except UnicodeEncodeError:  # five bytes that cp1252 leaves out
        return character.encode("latin-1", errors="replace")
