"""Makes any text safe and short to show on a terminal or in a log: one line, no control or bidi characters."""

from __future__ import annotations

import re

_USERINFO = re.compile(r"//[^/@\s]{1,200}@")


def printable(text: object, *, longest: int = 200) -> str:
    """Return `text` on one line, at most `longest` characters, control and format characters as escapes.

    User and password of a URL are masked: errors show what was given, and keys are given in the wrong places.
    """
    text = _USERINFO.sub("//***@", str(text))
    line = "".join(_shown(character) for character in text[: longest + 1])
    return line if len(line) <= longest else line[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else f"\\u{ord(character):04x}"
