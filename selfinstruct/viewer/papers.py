"""Card, audit and diff as HTML: Markdown without HTML, links and pictures, for nobody knows who wrote it."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from selfinstruct.text.show import readable

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore

LONGEST, KEPT = 100_000, 32
"""Characters of a paper, at most, and papers that are kept: a hostile one of that length takes two seconds to set."""
_PICTURE = re.compile(r"^!\[[^\]\n]*\]\([^)\n]*\)[ \t]*$", re.MULTILINE)
_NEIGHBOUR = re.compile(r"\[([^\]\n]{1,80})\]\([\w./-]{1,80}\)")
_HEAD = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


@cache
def _reader() -> MarkdownIt:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - wanted only for papers

    reader = MarkdownIt("commonmark", {"html": False, "maxNesting": 12}).enable("table")
    reader.core.ruler.push("fitted", _fit)
    return reader.disable(["html_block", "html_inline", "image", "link", "autolink", "reference"])


def _fit(state: StateCore) -> None:
    """Headings stand below that of the page; cells of numbers have a class, for its policy knows no style attributes."""
    for token in state.tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
        if token.type in {"th_open", "td_open"} and "right" in str(token.attrs.pop("style", "")):
            token.attrSet("class", "right")


@lru_cache(KEPT)
def paper(text: str) -> Markup:
    """Return it as HTML. Its head in YAML and pictures on lines of their own are left out, for the page has better ones."""
    plain = _NEIGHBOUR.sub(r"\1", _PICTURE.sub("", _HEAD.sub("", text)))  # of a file beside it, the name
    return Markup(_reader().render(readable(plain, longest=LONGEST)))  # noqa: S704 - it escapes all HTML
