"""Hostile text as safe HTML: escaped, control and direction characters made visible, likenesses and differences marked.

Whatever leaves this module as Markup is made of escaped text and of tags that stand here.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from markupsafe import Markup, escape
from rapidfuzz.distance import LCSseq

from selfinstruct.text.tokens import spans

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 20_000
"""Characters of one text on a page, at most."""
COMPARED = 4_000
"""Words of each of two texts whose differences or likenesses are looked for, at most."""
_WORDS = re.compile(r"\w+|[^\w\s]")


def shown(text: object, longest: int = LONGEST) -> Markup:
    """Return text to be read: its own lines, what cannot be seen as escapes in a box; how much more there is, where it is cut."""
    whole = "" if text is None else str(text)
    more = len(whole) - longest
    part = _visible(whole[:longest].replace("\r\n", "\n").expandtabs(4))
    return part if more <= 0 else part + Markup('<span class="more">… +{:,}</span>').format(more)


def line(text: object, longest: int = 200) -> Markup:
    """Return text on one line."""
    return shown(" ".join(str("" if text is None else text)[: 8 * longest].split()), longest)


def _visible(text: str) -> Markup:
    return Markup("").join(
        escape("".join(part)) if visible else Markup('<span class="ctl">{}</span>').format("".join(map(_escaped, part)))
        for visible, part in groupby(text, key=lambda one: one == "\n" or one.isprintable() or one == "\u3000")
    )


def _escaped(character: str) -> str:
    return "\u00a0" if character == "\u00a0" else f"\\u{ord(character):04x}"


def overlap(text: str, other: str, *, tokenizer: str) -> tuple[Markup, Markup]:
    """Return both texts with the tokens marked that their likeness (ROUGE-L) counts: the longest common subsequence."""
    first, second = spans(text[:LONGEST], tokenizer)[:COMPARED], spans(other[:LONGEST], tokenizer)[:COMPARED]
    tokens = [[token for token, _, _ in one] for one in (first, second)]
    blocks = LCSseq.opcodes(*tokens).as_matching_blocks()
    return (
        _marked(text, [first[place][1:] for a, _, size in blocks for place in range(a, a + size)], "mark"),
        _marked(other, [second[place][1:] for _, b, size in blocks for place in range(b, b + size)], "mark"),
    )


def differences(text: str, other: str) -> tuple[Markup, Markup]:
    """Return both texts, in the first what the second lacks as `ins`, in the second what the first lacks as `del`.

    Words are compared, blanks are not. Whatever the texts, this takes a tenth of a second at most.
    """
    first, second = ([*_WORDS.finditer(one[:LONGEST])] for one in (text, other))
    if max(len(first), len(second)) > COMPARED:
        return shown(text), shown(other)
    codes = LCSseq.opcodes([one[0] for one in first], [one[0] for one in second])
    changed = [code for code in codes if code.tag != "equal"]
    return (
        _marked(text, [first[at].span() for code in changed for at in range(code.src_start, code.src_end)], "ins"),
        _marked(other, [second[at].span() for code in changed for at in range(code.dest_start, code.dest_end)], "del"),
    )


def _marked(text: str, places: Iterable[tuple[int, int]], tag: str) -> Markup:
    """Return `text` with these places in `tag`; neighbours with nothing but blanks between them share one."""
    joined: list[list[int]] = []
    for start, end in places:
        if joined and not text[joined[-1][1] : start].strip():
            joined[-1][1] = max(end, joined[-1][1])
        else:
            joined.append([start, end])
    parts: list[Markup] = []
    at = 0
    for start, end in joined:
        parts += [shown(text[at:start]), Markup(f"<{tag}>{{}}</{tag}>").format(shown(text[start:end]))]  # noqa: S704 - tags of ours
        at = end
    return Markup("").join([*parts, shown(text[at:], max(0, LONGEST - at))])


def found(text: object, terms: Iterable[str], longest: int = 300) -> Markup:
    """Return text on one line with the terms of a search marked, cut so that the first of them is seen."""
    whole = " ".join(str("" if text is None else text).split())
    lowered = whole.casefold()
    terms = [term for term in terms if term]
    if not terms or len(lowered) != len(whole):
        return shown(whole, longest)
    first = min((at for term in terms if (at := lowered.find(term)) >= 0), default=0)
    start = max(0, first - longest // 3) if first > longest // 2 else 0
    part, low = whole[start : start + longest], lowered[start : start + longest]
    places = sorted({hit.span() for term in terms for hit in re.finditer(re.escape(term), low)})
    kept: list[tuple[int, int]] = []
    for place in places:
        if not kept or place[0] >= kept[-1][1]:
            kept.append(place)
    ends = Markup("…"), Markup("…")
    return ends[0] * bool(start) + _marked(part, kept, "mark") + ends[1] * (start + longest < len(whole))
