"""Elements of SVG from hostile text: everything is escaped, on one line, and cut to the room there is. Knows no chart."""

from __future__ import annotations

import unicodedata
from base64 import b64encode
from html import escape
from urllib.parse import urlsplit

from selfinstruct.text.show import printable

KEPT, DROPPED, FAILED, OPEN = "#2b7bba", "#e8a33d", "#a8437a", "#8a8f98"
"""Blue, amber, plum, grey: told apart in every kind of colour blindness, and by lightness alone."""
SERIES = (KEPT, "#c8741c", "#23897d", FAILED, "#7a6fc2", "#a18422", "#3f8fbb", "#b5523b", "#56894a", "#8d6e63")
"""Each carries white text."""
FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'Noto Sans CJK KR', sans-serif"
INK, CARD, EDGE = "#1f2430", "#fcfcfb", "#dcdfe4"
"""Of a chart that stands alone."""
SMALL, NORMAL, LARGE = 11, 12, 14
"""Sizes of text, in the chart's own pixels."""
ENTRY = 140
"""Pixels of a word in a legend, at most."""
LONGEST = 120
"""Characters of a label that its tooltip shows."""

_NARROW = frozenset("iljtfrI.,:;'|!()[] ")


def element(tag: str, *children: str, **attributes: object) -> str:
    """Return an element. Attributes are escaped; children are SVG already. None leaves an attribute out, `class_` is class."""
    told = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{told}>{''.join(children)}</{tag}>" if children else f"<{tag}{told}/>"


def text(said: str, x: float, y: float, *, size: int = NORMAL, room: float = 0, **attributes: object) -> str:
    """Return text at a place, cut to `room` pixels (0: as long as it is); the whole of it is then a tooltip."""
    whole = printable(said, longest=LONGEST)
    shown = cut(whole, room, size) if room else whole
    inside = escape(shown) + (tooltip(whole) if shown != whole else "")
    return element("text", inside, **{"x": x, "y": y, "font_size": size, "fill": "currentColor", **attributes})


def tooltip(said: str) -> str:
    """Return what a browser shows when the pointer rests on the element, and a screen reader reads."""
    return f"<title>{escape(printable(said, longest=LONGEST))}</title>"


def linked(inside: str, link: str | None) -> str:
    """Return an element as a link; as it is without one, or with one that is not http, https or of this site."""
    if not link or urlsplit(link).scheme not in {"", "http", "https"}:
        return inside
    return element("a", inside, href=link)


def width(said: str, size: float = NORMAL) -> float:
    """Return about how many pixels wide a line of text is in a sans-serif font."""
    return size * sum(
        1.0 if unicodedata.east_asian_width(one) in "WF" else 0.32 if one in _NARROW else 0.58 for one in said
    )


def cut(said: str, room: float, size: float = NORMAL) -> str:
    """Return a text with its end left out where it is too wide for `room` pixels; nothing where not even a letter fits."""
    if width(said, size) <= room:
        return said
    while said and width(said, size) + size > room:
        said = said[:-1]
    return f"{said.rstrip()}\N{HORIZONTAL ELLIPSIS}" if said else ""


def drawing(
    body: str, size: tuple[float, float], *, title: str, description: str, kind: str, standalone: bool, **data: object
) -> str:
    """Return the whole picture: `title` and `description` for those who cannot see it, `data` as data attributes of its root."""
    wide, high = size
    ground, ink = "", None
    if standalone:
        ground = element("rect", x=0.5, y=0.5, width=wide - 1, height=high - 1, rx=8, fill=CARD, stroke=EDGE)
        ink = INK
    return element(
        "svg",
        f"<title>{escape(printable(title))}</title><desc>{escape(printable(description, longest=1000))}</desc>",
        ground + body,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {number(wide)} {number(high)}",
        width=wide if standalone else None,
        height=high if standalone else None,
        role="group" if "<a " in body else "img",  # of an image, nobody hears the links
        class_=f"chart chart-{kind}",
        direction="ltr",
        font_family=FONT,
        color=ink,
        **{f"data_{name}": value for name, value in data.items()},
    )


def heading(title: str, wide: float) -> str:
    """Return the title as it stands above every chart."""
    return text(title, 16, 26, size=LARGE, room=0.9 * (wide - 32), font_weight=600, class_="chart-title")


def legend(entries: list[tuple[str, str]], x: float, y: float) -> str:
    """Return swatches with their words in a line."""
    parts = []
    for colour, said in entries:
        parts.append(element("rect", x=x, y=y - 9, width=10, height=10, rx=2, fill=colour))
        parts.append(text(said, x + 15, y, size=SMALL, room=ENTRY, fill_opacity=0.75))
        x += 33 + min(width(printable(said), SMALL), ENTRY)
    return element("g", *parts, class_="chart-legend")


def number(value: float) -> str:
    """Return a coordinate with as many digits as can be seen."""
    return f"{round(value, 2):g}" if abs(value) < 1e5 else str(round(value))  # noqa: PLR2004 - beyond it :g writes exponents


def tick(value: float) -> str:
    """Return a number as it stands at an axis: 1,500, then 150k and 1.5M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e5, "k")):
        if value >= size:
            return f"{value / (1e3 if unit == 'k' else size):.4g}{unit}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.4g}"  # noqa: PLR2004 - three digits are enough


def data_uri(svg: str) -> str:
    """Return a picture as an address: for Markdown and e-mail, ![...](...)."""
    return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"


def nice_steps(most: float, *, parts: int = 4) -> list[float]:
    """Return values from 0 to at least `most` at round distances, about `parts` of them."""
    rough = max(most, 1e-9) / parts
    power = 10.0 ** (len(f"{int(rough)}") - 1) if rough >= 1 else 1.0
    while power > rough:
        power /= 10
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough - 1e-12)
    return [step * at for at in range(int(most / step - 1e-9) + 2)]


def _attribute(value: object) -> str:
    if isinstance(value, float):
        return number(value)
    return escape(printable(value, longest=2000), quote=True)
