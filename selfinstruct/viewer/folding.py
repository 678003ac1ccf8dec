"""Text as a search sees it: one case, one width, one kind of blank, nothing invisible. Knows no index."""

from __future__ import annotations

import re
import unicodedata

_UNSEEN = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_TERM = re.compile(r'"([^"]+)"|(\S+)')
TERMS = 8
"""Terms of a search that count."""


def folded(text: str) -> str:
    """Return `text` for a search: NFKC, case-folded, without control and direction characters, single blanks."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    plain = " ".join(_UNSEEN.sub("", text).casefold().split())
    return plain.encode("utf-8", "replace").decode() if not plain.isascii() else plain


def terms(asked: str) -> tuple[str, ...]:
    """Return what must occur in a row, each anywhere in it; "two words" in quotes are one term."""
    found = (folded(quoted or bare) for quoted, bare in _TERM.findall(asked[:500]))
    return tuple(dict.fromkeys(term for term in found if term))[:TERMS]
