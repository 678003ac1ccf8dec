"""Card, audit and diff as HTML: Markdown without HTML, links and pictures, for nobody knows who wrote it."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from selfinstruct.text.show import readable

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

LONGEST = 200_000
"""Characters of a paper, at most."""
_HEAD = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


@cache
def _reader() -> MarkdownIt:
    from markdown_it import MarkdownIt  # noqa: PLC0415 - wanted only for papers

    reader = MarkdownIt("commonmark", {"html": False, "maxNesting": 12}).enable("table")
    return reader.disable(["html_block", "html_inline", "image", "link", "autolink", "reference"])


def paper(text: str) -> Markup:
    """Return it as HTML; a head in YAML is left out."""
    return Markup(_reader().render(readable(_HEAD.sub("", text), longest=LONGEST)))  # noqa: S704 - it escapes all HTML
