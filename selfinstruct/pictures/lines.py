"""How figures went over versions or time: one line a figure, each with a mark of its own form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from selfinstruct.pictures.svg import (
    SERIES,
    SMALL,
    drawing,
    element,
    heading,
    nice_steps,
    number,
    text,
    tick,
    tooltip,
    width,
)

WIDE, HIGH, LEFT, RIGHT, TOP, BOTTOM = 720, 280, 58, 690, 74, 232
FEW = 12
"""Points, up to which each tells its number."""


@dataclass(frozen=True, slots=True)
class Line:
    """One figure at each place; None where it was not measured."""

    name: str
    values: Sequence[float | None]


def lines(
    places: Sequence[str],
    found: Sequence[Line],
    *,
    title: str,
    description: str = "",
    percent: bool = False,
    standalone: bool = False,
) -> str:
    """Return the picture: `places` (versions, nights) from left to right; `percent` shows shares of 0 to 1 in hundredths.

    Points carry data-place, data-name and data-value.
    """
    most = max((value for line in found for value in line.values if value is not None), default=0.0)
    steps = [0, 0.25, 0.5, 0.75, 1.0] if percent and most > 0.5 else nice_steps(most or 1.0)  # noqa: PLR2004 - half the scale
    apart = (RIGHT - LEFT) / max(len(places), 1)
    xs = [LEFT + apart * (at + 0.5) for at in range(len(places))]
    rise = (BOTTOM - TOP) / steps[-1]
    parts = [_level(value, BOTTOM - value * rise, percent=percent) for value in steps]
    widest = max((width(place, SMALL) for place in places), default=0)
    each = max(1, -int(-(min(widest, 90) + 10) // apart)) if places else 1
    for at, (place, x) in enumerate(zip(places, xs, strict=True)):
        if at % each == 0:
            parts.append(
                text(place, x, BOTTOM + 18, size=SMALL, room=apart * each - 4, text_anchor="middle", fill_opacity=0.75)
            )
    for at, line in enumerate(found):
        parts.append(_line(line, at, places, xs, rise, percent=percent, alone=len(found) == 1))
    told = "; ".join(
        f"{line.name}: "
        + ", ".join(
            f"{place} {_said(value, percent=percent)}" for place, value in zip(places, line.values, strict=True)
        )
        for line in found
    )
    return drawing(
        heading(title, WIDE) + (_names(found) if len(found) > 1 else "") + "".join(parts),
        (WIDE, HIGH),
        title=title,
        description=f"{description} {told}".strip(),
        kind="lines",
        standalone=standalone,
    )


def _line(
    line: Line, at: int, places: Sequence[str], xs: Sequence[float], rise: float, *, percent: bool, alone: bool
) -> str:
    colour = SERIES[at % len(SERIES)]
    points = [
        (x, BOTTOM - value * rise, value, place)
        for x, value, place in zip(xs, line.values, places, strict=True)
        if value is not None
    ]
    parts = []
    for there, run in groupby(zip(xs, line.values, strict=True), key=lambda one: one[1] is not None):
        if there:
            path = " ".join(f"{x:.2f},{BOTTOM - (value or 0) * rise:.2f}" for x, value in run)
            parts.append(
                element("polyline", points=path, fill="none", stroke=colour, stroke_width=2.2, stroke_linejoin="round")
            )
    for x, y, value, place in points:
        told = f"{line.name}, {place}: {_said(value, percent=percent)}"
        mark = _mark(at, x, y, colour)
        parts.append(
            element("g", tooltip(told), mark, class_="point", data_place=place, data_name=line.name, data_value=value)
        )
        if alone and len(points) <= FEW:
            parts.append(text(_said(value, percent=percent), x, y - 10, size=SMALL, text_anchor="middle"))
    return element("g", *parts, class_="line", data_name=line.name)


def _mark(at: int, x: float, y: float, colour: str) -> str:
    """Return a circle, a square, a diamond or a triangle: a line is known without its colour."""
    form = at % 4
    if form == 0:
        return element("circle", cx=x, cy=y, r=4.5, fill=colour)
    points = {
        1: ((-4, -4), (4, -4), (4, 4), (-4, 4)),
        2: ((0, -6), (6, 0), (0, 6), (-6, 0)),
        3: ((0, -5.5), (5.5, 4.5), (-5.5, 4.5)),
    }[form]
    return element("polygon", points=" ".join(f"{number(x + a)},{number(y + b)}" for a, b in points), fill=colour)


def _names(found: Sequence[Line]) -> str:
    parts, x = [], 21.0
    for at, line in enumerate(found):
        parts += [
            _mark(at, x, 46, SERIES[at % len(SERIES)]),
            text(line.name, x + 11, 50, size=SMALL, room=140, fill_opacity=0.75),
        ]
        x += 34 + min(width(line.name, SMALL), 140)
    return element("g", *parts, class_="chart-legend")


def _level(value: float, y: float, *, percent: bool) -> str:
    strength = 0.12 if value else 0.35
    line = element("line", x1=LEFT, x2=RIGHT + 14, y1=y, y2=y, stroke="currentColor", stroke_opacity=strength)
    return line + text(
        _said(value, percent=True) if percent else tick(value),
        LEFT - 8,
        y + 4,
        size=SMALL,
        text_anchor="end",
        fill_opacity=0.75,
    )


def _said(value: float | None, *, percent: bool) -> str:
    if value is None:
        return "\N{EN DASH}"
    return f"{100 * value:.3g} %" if percent else f"{value:,.4g}"
