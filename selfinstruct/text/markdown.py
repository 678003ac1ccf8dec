"""Pieces of Markdown in which any text stays text: code spans, tables, bars. Knows what may stand in them, not what it means."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TICKS = re.compile("`+")
_BAR = 40
"""Characters of the longest bar."""


def span(text: object, *, longest: int = 200) -> str:
    """Return `text` as a code span: on one line, nothing in it is markup, and no backtick of its own closes it.

    A bar is shown broken: in a table it would end the cell, and GitHub's way to escape it fails behind a backslash.
    """
    shown = printable(text, longest=longest).replace("|", "\N{BROKEN BAR}").strip()
    fence = "`" * (1 + max((len(run) for run in _TICKS.findall(shown)), default=0))
    if not shown:
        return ""
    return f"{fence} {shown} {fence}" if "`" in shown else f"{fence}{shown}{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Return the lines of a table; a column whose head begins with `#` stands to the right. Texts must be safe already."""
    rule = ["---:" if name.startswith("#") else "---" for name in head]
    lines = [[name.removeprefix("#") for name in head], rule, *rows]
    return [f"| {' | '.join(map(_cell, line))} |" for line in lines]


def bars(counts: Sequence[tuple[str, int]]) -> list[str]:
    """Return the lines of a code block with a bar for each count (there is one); the names are figures."""
    most, whole = max(count for _, count in counts), max(1, sum(count for _, count in counts))
    width = max(len(name) for name, _ in counts)
    lines = [
        f"{name:>{width}}  {'█' * (max(1, round(_BAR * count / most)) if count else 0)} {count:,} ({count / whole:.0%})"
        for name, count in counts
    ]
    return ["```text", *lines, "```"]


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
