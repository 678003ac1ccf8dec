"""Makes any text safe to show on a terminal or in a log: short and on one line, or to be read; no control or bidi characters."""

from __future__ import annotations

import re

_DATABASE_USER = r"(?<=postgresql://)[^/@:\s]{1,200}@"
_USERINFO = re.compile(rf"//(?!{_DATABASE_USER})[^/@\s]{{1,200}}@")
_LINES = re.compile("\r\n|\n|\r")


def printable(text: object, *, longest: int = 200) -> str:
    """Return `text` on one line, at most `longest` characters, control and format characters as escapes.

    User and password of a URL are masked: errors show what was given, and keys are given in the wrong places. A user alone of
    a database is not: its address is shown to be typed, and no key is ever wanted there.
    """
    text = _USERINFO.sub("//***@", str(text))
    line = "".join(_shown(character) for character in text[: longest + 1])
    return line if len(line) <= longest else line[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else f"\\u{ord(character):04x}"


def readable(text: str, *, longest: int) -> str:
    """Return `text` for somebody who reads it: its own lines, tabs as blanks, control and format characters as escapes.

    At most `longest` characters; how many more there are is said in a line of its own.
    """
    shown = "\n".join("".join(map(_shown, line.expandtabs(4))) for line in _LINES.split(text[:longest]))
    beyond = len(text) - longest
    return shown if beyond <= 0 else f"{shown}\n[{beyond:,} more characters]"
