"""Makes any text safe and short to show on a terminal or in a log: one line, no control or bidi characters."""

from __future__ import annotations

import unicodedata


def printable(text: object, *, longest: int = 200) -> str:
    """Return `text` on one line, at most `longest` characters, control and format characters as escapes."""
    line = "".join(_shown(character) for character in str(text)[: longest + 1])
    return line if len(line) <= longest else line[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _shown(character: str) -> str:
    if character in "\n\r\t":
        return " "
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}:
        return f"\\u{ord(character):04x}"
    return character
