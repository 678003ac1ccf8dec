"""Facts in, HTML out. Knows no request and reads nothing: what a page shows is handed to it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from selfinstruct import __version__
from selfinstruct.viewer import texts
from selfinstruct.viewer.papers import paper

if TYPE_CHECKING:
    from selfinstruct.viewer.links import Links
    from selfinstruct.viewer.wording import Words

HERE = Path(__file__).parent


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,  # data are hostile: no template marks any of them as safe
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    templates.filters.update(
        shown=texts.shown, line=texts.line, found=texts.found, paper=paper, count=_count, score=_score, percent=_percent, size=_size
    )
    return templates


def page(name: str, words: Words, links: Links, **facts: Any) -> str:  # noqa: ANN401 - facts are of any shape
    """Return the page or part of a page `templates/name.html` with `facts`."""
    return _templates().get_template(f"{name}.html").render(
        t=words, language=words.language, links=links, made_by=__version__, **facts
    )


def _count(number: float | None) -> str:
    return "–" if number is None else f"{number:,}"


def _score(number: float | None) -> str:
    return "–" if number is None else f"{number:.2f}".rstrip("0").rstrip(".")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _size(number: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:  # noqa: PLR2004 - SI
            return f"{number:,.0f} {unit}"
        number /= 1000
    return f"{number:,.1f} GB"
