"""Facts in, HTML out. Knows no request and reads nothing: what a page shows is handed to it."""

from __future__ import annotations

import json
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from selfinstruct import __version__
from selfinstruct.text.show import printable
from selfinstruct.viewer import texts
from selfinstruct.viewer.papers import paper

if TYPE_CHECKING:
    from collections.abc import Mapping

    from selfinstruct.viewer.links import Links
    from selfinstruct.viewer.wording import Words

HERE = Path(__file__).parent
NOTHING = "\N{EN DASH}"
"""Stands where there is no figure."""


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
        shown=texts.shown,
        line=texts.line,
        found=texts.found,
        paper=paper,
        count=_count,
        score=_score,
        percent=_percent,
        size=_size,
        figure=_figure,
        duration=_duration,
        json=partial(json.dumps, ensure_ascii=False),
        money=_money,
    )
    return templates


def page(name: str, words: Words, links: Links, tongues: Mapping[str, str], **facts: Any) -> str:  # noqa: ANN401 - of any shape
    """Return the page or part of a page `templates/name.html` with `facts`; `tongues`: language -> where it is.

    A page in `tongues` is the same one in that language.
    """
    return (
        _templates()
        .get_template(f"{name}.html")
        .render(t=words, language=words.language, links=links, tongues=tongues, made_by=__version__, **facts)
    )


def _count(number: float | None) -> str:
    return NOTHING if number is None else f"{number:,}"


def _score(number: float | None) -> str:
    return NOTHING if number is None else f"{number:.2f}".rstrip("0").rstrip(".")


def _figure(told: object) -> str:
    """Return a figure of a drop, which may be a number or a word."""
    try:
        return f"{float(str(told)):.3f}".rstrip("0").rstrip(".")
    except ValueError:
        return printable(told, longest=60)


def _percent(share: float | None) -> str:
    return NOTHING if share is None else f"{100 * share:.1f} %"


def _duration(seconds: int) -> str:
    """Return a time as h:mm:ss."""
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _money(amount: float) -> str:
    """Return an amount in whatever currency the prices were given in."""
    return f"{amount:,.2f}" if amount >= 1 else f"{amount:.4f}".rstrip("0").rstrip(".")


def _size(number: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:  # noqa: PLR2004 - SI
            return f"{number:,.0f} {unit}"
        number /= 1000
    return f"{number:,.1f} GB"
