"""Card, audit and diff as HTML: Markdown without HTML, links and pictures, for nobody knows who wrote it."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from selfinstruct.text.show import readable

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_core import StateCore

LONGEST = 200_000
"""Characters of a paper, at most."""
_HEAD = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


@cache
def _reader() -> MarkdownIt:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - wanted only for papers

    reader = MarkdownIt("commonmark", {"html": False, "maxNesting": 12}).enable("table")
    reader.core.ruler.push("unstyled", _unstyle)
    return reader.disable(["html_block", "html_inline", "image", "link", "autolink", "reference"])


def _unstyle(state: StateCore) -> None:
    """The policy of the pages knows no style attributes; cells of numbers get a class instead."""
    for token in state.tokens:
        if token.type in {"th_open", "td_open"} and "right" in str(token.attrs.pop("style", "")):
            token.attrSet("class", "right")


def paper(text: str) -> Markup:
    """Return it as HTML; a head in YAML is left out."""
    return Markup(_reader().render(readable(_HEAD.sub("", text), longest=LONGEST)))  # noqa: S704 - it escapes all HTML
