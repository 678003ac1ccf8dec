"""Says whether an answer stops before its end: in a code block, in JSON, in a sentence. Knows no model's stop reason.

Held back on purpose: lists, verses, signatures, titles and short answers end without a full stop and are whole.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from selfinstruct.census.findings import Finding
from selfinstruct.census.wording import open_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selfinstruct.tables.layouts import Task

_FENCE = re.compile(r"^[ \t]*(?:>[ \t]*)*```", re.MULTILINE)
_JSON_PIECE = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_JSON_START = re.compile(r'\s*(?:\{\s*"|\[\s*(?:[\[{"]|-?\d))')
_LONG_JSON = 1_000_000
_SENTENCE_END = re.compile(
    r"[.!?\u3002\uff01\uff1f][\"')\]\u201d\u2019]*\s+(?=[\"'(\u201c\u2018]?[A-Z\u00c0-\u00de\uac00-\ud7a3\u4e00-\u9fff])"
)
_LIST_ITEM = re.compile(r"\s*(?:[-*+\u2022\u00b7\u2013]|\(?\d{1,3}[.):]|\(?[A-Za-z][.)]|#+)\s*\S")
_BARE_MARK = re.compile(r"\n[ \t]*(?:\d{1,3}[.)]|[-*\u2022])$")
_OPEN_END = re.compile(r"\w[-\u2013]$|\w\s?[(\[]$")
_COLONS = (":", "\N{FULLWIDTH COLON}")
_CODE = re.compile(r"[{};=<>|\\]|\w\(|\w/\w|://|#\w|@\w|[_^~]|\bdef \b|\bimport \b")
_LONG_PROSE = 25
"""Words of the last paragraph from which it is prose that a full stop ends."""
_SOME_PROSE = 12
"""Words of a text whose last word may be an open one (the, of, and) and tell that it is cut."""
_OTHERS, _SHORT_PROSE = 2, 5
"""Lines before the last one, and words of it, from which its missing full stop tells something."""
_STOPS = ".!?\u3002\uff01\uff1f\"')\u201d\u2019"
_KOREAN_END = re.compile("[다요죠까네군음함됨임림오자라지걸데게]$")
_KOREAN_OPEN = re.compile(
    "(?:[가-힣](?<!마)(?<!가)(?<!노)을|[가-힣]를|에서|에게|에는|으로는|이라는|라는|위한|하는|되는|있는|없는|하며|하고|하여|부터|처럼)$"
)
"""Particles and attributive endings that no Korean sentence ends with; not 마을, 가을, 노을."""
_HANGUL = ("가", "힣")
_LONG_KOREAN, _REST_KOREAN = 12, 3
"""Korean says as much in half the words; what follows the last full stop is a name or a greeting if it is shorter."""
_TITLE = re.compile(r"[A-Z0-9\u00c0-\u00de(\"'][\w'.-]*,?")
_HEADING = re.compile(r"[^:.!?]{1,30}:\s")
"""A label that a line begins with: `Answer: the Rhine`."""
_TAIL = 80


def look(task: Task) -> Iterator[Finding]:
    """Yield at most one finding: how the answer is cut."""
    if why := cut(task.output):
        yield Finding("cut_output", "output", f"{why}: \N{HORIZONTAL ELLIPSIS}{task.output.rstrip()[-_TAIL:]}")


def cut(text: str) -> str:
    """Return how a text is cut, or nothing."""
    text = text.rstrip()
    if not text:
        return ""
    if len(_FENCE.findall(text)) % 2:
        return "an open code block"
    if _JSON_START.match(text) and len(text) <= _LONG_JSON and _open_json(text):
        return "open JSON"
    return _open_sentence(text)


def _open_json(text: str) -> bool:
    depth, inside = 0, False
    for found in _JSON_PIECE.finditer(text):
        piece = found[0]
        inside = piece[0] == '"' and (len(piece) == 1 or not piece.endswith('"'))
        depth += (piece in "[{") - (piece in "]}")
        if not depth and not inside:
            return False  # whole so far: what follows is text
    return inside or depth > 0


def _open_sentence(text: str) -> str:
    paragraph = text[text.rfind("\n") + 1 :]
    if _BARE_MARK.search(text):
        return "ends in an empty item"
    if text.endswith(_COLONS):
        return "ends in a colon" if _lone_colon(text, paragraph) else ""
    if _CODE.search(paragraph):
        return ""
    if _OPEN_END.search(text):
        return "ends in a hyphen or a bracket"
    return _open_prose(text, paragraph) if text[-1].isalpha() or text[-1] in ",;" else ""


def _lone_colon(text: str, paragraph: str) -> bool:
    """Return whether a colon ends the text and no other line: a form has many such lines, code has its own."""
    others = text[: -len(paragraph)].splitlines()
    lone = not any(line.rstrip().endswith(_COLONS) for line in others)
    return lone and len(text.split()) >= _SOME_PROSE and not _CODE.search(text)


def _open_prose(text: str, paragraph: str) -> str:
    words = paragraph.split()
    last = words[-1] if len(words[-1]) == 1 else words[-1].lower()  # A is a name, a is none
    if last in open_words() and (len(words) >= _SOME_PROSE or len(text.split()) >= 2 * _SOME_PROSE):
        return "ends in an open word"
    if len(text.split()) >= _SOME_PROSE and _KOREAN_OPEN.search(last) and not _LIST_ITEM.match(paragraph):
        return "ends in an open word"
    if _LIST_ITEM.match(paragraph):
        return "the last item alone ends without a full stop" if _alone(text, words, _LIST_ITEM.match) else ""
    if text[-1] in ",;":
        return "ends in a comma" if len(words) >= _SOME_PROSE else ""
    korean = _HANGUL[0] <= text[-1] <= _HANGUL[1]
    if len(words) >= (_LONG_KOREAN if korean else _LONG_PROSE) and _stops(
        paragraph, least=_REST_KOREAN if korean else 1
    ):
        return "ends without a full stop"
    return "the last paragraph alone ends without a full stop" if _alone(text, words, _long) else ""


def _long(line: str) -> bool:
    return len(line.split()) >= _SOME_PROSE


def _alone(text: str, words: list[str], alike: Callable[[str], object]) -> bool:
    """Return whether the last line alone, of several alike, does not end as a sentence; a title or name does not count."""
    others = [line.rstrip() for line in text.splitlines()[:-1] if alike(line)]
    if len(others) < _OTHERS or len(words) < _SHORT_PROSE or not all(line[-1] in _STOPS for line in others):
        return False
    if _HEADING.match(text[text.rfind("\n") + 1 :]):
        return False
    return words[-1].isalpha() and words[-1].islower() and not _KOREAN_END.search(words[-1])


def _stops(paragraph: str, *, least: int) -> bool:
    """Return whether earlier sentences end properly and the last one, of so many words and no name or title, does not."""
    ends = list(_SENTENCE_END.finditer(paragraph))
    rest = paragraph[ends[-1].end() :] if ends else ""
    return (
        len(rest.split()) >= least
        and not all(_TITLE.fullmatch(word) for word in rest.split())
        and not _KOREAN_END.search(rest)
    )
