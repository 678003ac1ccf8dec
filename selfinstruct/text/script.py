"""Counts letters by script: Hangul, Latin, others. Knows no language."""

from __future__ import annotations

import re
from typing import NamedTuple

_HANGUL = re.compile(r"[\uac00-\ud7a3\u1100-\u11ff\u3131-\u318e]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_ANY = re.compile(r"[^\W\d_]")


class Letters(NamedTuple):
    """How many letters of a text are of which script."""

    hangul: int
    latin: int
    other: int


def letters(text: str) -> Letters:
    """Return the counts; digits, signs and blanks are no letters."""
    hangul = 0 if text.isascii() else len(_HANGUL.findall(text))
    latin = len(_LATIN.findall(text))
    return Letters(hangul, latin, 0 if text.isascii() else len(_ANY.findall(text)) - hangul - latin)
