"""Cuts text into tokens for ROUGE-L, and counts its words, in every script. Knows no index."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_NOT_ROUGE = re.compile(r"[^a-z0-9]+")

# Scripts written without blanks between words. Han and Kana by character; Thai, Lao, Khmer and Myanmar by cluster.
_HAN_KANA = r"\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_CLUSTERED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_HANGUL = r"\uac00-\ud7a3\u1100-\u11ff\u3131-\u318e"
_ASCII_WORD = re.compile(r"[A-Za-z0-9]\S*")
_DENSE = re.compile(rf"[{_HAN_KANA}{_CLUSTERED}]")
_ONE_BY_ONE = re.compile(rf"[{_HAN_KANA}{_HANGUL}{_CLUSTERED}]")

# Characters that show nothing of their own (joiners, direction marks, soft hyphens, variation selectors) are no part of
# a token: one text is typed with them, the next without. U+200B is not among them: it stands between words.
_VARIATION = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_COMPOSED = re.compile(
    r".(?:[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u093c\u1160-\u11ff\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a\ufe20-\ufe2f])*",
    re.DOTALL,
)
"""A character with what is written as its marks: NFKC makes one of them."""
_SHAPE = re.compile(r"om*|w[wm]*")


def rouge_tokens(text: str) -> list[str]:
    """Return the tokens of rouge_score's default tokenizer without stemming: runs of a-z and 0-9 after lower-casing."""
    return _NOT_ROUGE.sub(" ", text.lower()).split()


def unicode_tokens(text: str) -> list[str]:
    """Return tokens in any script; on ASCII text exactly those of `rouge_tokens`.

    Otherwise NFKC and lower case, then Hangul by syllable, Han and Kana by character, Thai, Lao, Khmer and Myanmar by
    cluster (a base with its marks), every other script by word with its marks, symbols such as emoji one by one. What
    is invisible (joiners, variation selectors) does not count, nor does a mark that stands on nothing.
    """
    if text.isascii():
        return rouge_tokens(text)
    shown = [one for one in unicodedata.normalize("NFKC", text).lower() if _kind(one)]
    shape, plain = "".join(map(_kind, shown)), "".join(shown)
    return [plain[found.start() : found.end()] for found in _SHAPE.finditer(shape)]


def spans(text: str, tokenizer: str) -> list[tuple[str, int, int]]:
    """Return the tokens of `text` with their places in it, start and end: to show what two texts share.

    Where NFKC makes several tokens of one character, they have the same place.
    """
    if tokenizer == "rouge" or text.isascii():
        return [(found[0].lower(), found.start(), found.end()) for found in re.finditer("[A-Za-z0-9]+", text)]
    kept = [
        (one, found.span())
        for found in _COMPOSED.finditer(text)
        for one in unicodedata.normalize("NFKC", found[0]).lower()
        if _kind(one)
    ]
    shape, plain = "".join(_kind(one) for one, _ in kept), "".join(one for one, _ in kept)
    tokens = ((found.start(), found.end()) for found in _SHAPE.finditer(shape))
    return [(plain[start:end], kept[start][1][0], kept[end - 1][1][1]) for start, end in tokens]


@lru_cache(maxsize=1 << 16)
def _kind(character: str) -> str:
    """Return o (a token of its own), w (part of a word), m (mark), a blank (between tokens) or nothing (invisible)."""
    category = unicodedata.category(character)
    if _VARIATION.match(character) or (category == "Cf" and character != "\u200b"):
        return ""
    if category[0] == "M":
        return "m"
    if category == "So" or (category[0] in "LN" and _ONE_BY_ONE.match(character)):
        return "o"
    return "w" if category[0] in "LN" else " "


TOKENIZERS: Mapping[str, Callable[[str], list[str]]] = MappingProxyType(
    {"rouge": rouge_tokens, "unicode": unicode_tokens}
)


UNSEEN = 0.2
"""Share of letters that a tokenizer does not see, above which a user is told."""


def count_unseen(texts: Iterable[str], tokenizer: str) -> tuple[int, int]:
    """Return how many letters and digits of the texts stand in no token, and how many there are.

    Two texts that differ only there are one text to ROUGE-L, and two equal ones without a token score 0.
    """
    if tokenizer == "unicode":
        return 0, 0
    there = seen = 0
    for text in texts:
        lowered = text.lower()
        letters = len(_NOT_ROUGE.sub("", lowered))
        seen += letters
        there += letters if text.isascii() else sum(one.isalnum() for one in lowered)
    return there - seen, there


def caution(unseen: int, there: int) -> str:
    """Return what a user of the published tokenizer has to be told, if anything."""
    if unseen <= UNSEEN * there:
        return ""
    return (
        f"the rouge tokenizer (a-z and 0-9) does not see {unseen / there:.0%} of the letters: near-duplicates there are not "
        "found, and texts that share only their English words may be taken for one; the unicode tokenizer sees all scripts"
    )


def count_words(text: str) -> int:
    """Return a length in words: runs between blanks, and half the characters of scripts written without blanks.

    Characters are counted without punctuation and marks, after NFKC. Two a word is the usual mean of Chinese and
    Japanese segmentation; for Thai it is on the high side, which only makes the lower length limit milder.
    """
    if text.isascii():
        return len(_ASCII_WORD.findall(text))
    text = unicodedata.normalize("NFKC", text)
    dense = len([one for one in _DENSE.findall(text) if one.isalnum()])
    spaced = sum(any(one.isalnum() for one in part) for part in _DENSE.sub(" ", text).split())
    return spaced + -(-dense // 2)
