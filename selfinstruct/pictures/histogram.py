"""How many lie where: bars of kept and dropped over a number, with a threshold that a page's script can let one drag."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log2

from selfinstruct.pictures.svg import (
    DROPPED,
    KEPT,
    SMALL,
    drawing,
    element,
    heading,
    legend,
    nice_steps,
    text,
    tick,
    tooltip,
    width,
)

WIDE, HIGH, LEFT, RIGHT, TOP, BOTTOM = 720, 310, 58, 704, 92, 262
_EVEN, _MOST_TICKS = 8, 12
_ROOM = 240
"""Pixels of the word at the threshold."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Those from `low` to below `high`."""

    low: float
    high: float
    kept: int
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class HistogramWords:
    """What the colours, the line and the axis mean, in the reader's language."""

    kept: str = "kept"
    dropped: str = "dropped"
    threshold: str = "threshold"
    axis: str = ""


def histogram(
    bins: Sequence[Bin],
    *,
    title: str,
    description: str = "",
    words: HistogramWords | None = None,
    threshold: float | None = None,
    logarithmic: bool = False,
    ticks: Sequence[float] = (),
    name: str = "histogram",
    standalone: bool = False,
) -> str:
    """Return the picture. `name` begins the ids in it: another one for each histogram of a page.

    For the script: the root has data-low, data-high (ends of the axis), data-left, data-right (where they are, in the units of
    the viewBox); bars have data-low, data-kept and data-dropped; the line is `#NAME-threshold`, a group with data-value, drawn
    at 0 and moved by its transform. What a threshold keeps begins at its line. A picture is no control: a script that lets
    one drag the line gives it role, tabindex and aria values, and the root the role of a group.
    """
    said = words or HistogramWords()
    low, high = (min(one.low for one in bins), max(one.high for one in bins)) if bins else (0.0, 1.0)
    place = _axis(low, high, logarithmic=logarithmic)
    most = max((one.kept + one.dropped for one in bins), default=0)
    steps = nice_steps(most) if most else [0, 1]
    rise = (BOTTOM - TOP) / steps[-1]
    there = [one for one in bins if one.kept + one.dropped]
    narrowest = min((place(one.high) - place(one.low) for one in there), default=0.0)
    numbered = width(f"{most:,}", SMALL) <= narrowest + 2
    parts = [_grid(steps, rise), *(_bar(one, place, rise, said, numbered=numbered) for one in there)]
    parts += [_tick(value, place(value)) for value in ticks or _ticks(low, high, logarithmic=logarithmic)]
    parts.append(
        text(
            said.axis,
            (LEFT + RIGHT) / 2,
            BOTTOM + 38,
            size=SMALL,
            room=RIGHT - LEFT,
            text_anchor="middle",
            fill_opacity=0.75,
        )
    )
    entries = [(KEPT, said.kept), (DROPPED, said.dropped)] if any(one.dropped for one in bins) else []
    if threshold is not None:
        parts.append(_threshold(threshold, place(threshold), said, name))
    told = "; ".join(f"{one.low:g}: {one.kept:,} {said.kept}, {one.dropped:,} {said.dropped}" for one in bins)
    line = "" if threshold is None else f"{said.threshold} {threshold:g}. "
    return drawing(
        heading(title, WIDE) + legend(entries, 16, 48) + "".join(parts),
        (WIDE, HIGH),
        title=title,
        description=f"{description} {line}{told}".strip(),
        kind="histogram",
        standalone=standalone,
        name=name,
        low=low,
        high=high,
        left=LEFT,
        right=RIGHT,
        logarithmic="yes" if logarithmic else None,
    )


def _axis(low: float, high: float, *, logarithmic: bool) -> Callable[[float], float]:
    """Return what puts a value on the axis. A logarithmic one begins at 0, evenly up to about 8: empty texts have a place."""

    def bent(value: float) -> float:
        return log2(value / _EVEN + 1) if logarithmic else value

    span = bent(high) - bent(low) or 1.0
    return lambda value: LEFT + (RIGHT - LEFT) * (bent(min(max(value, low), high)) - bent(low)) / span


def _bar(one: Bin, place: Callable[[float], float], rise: float, said: HistogramWords, *, numbered: bool) -> str:
    left, right = place(one.low), place(one.high)
    gap = min(1.5, (right - left) / 8)
    x, wide = left + gap, max(right - left - 2 * gap, 0.5)
    kept, dropped = one.kept * rise, one.dropped * rise
    total = one.kept + one.dropped
    shown = f"{total:,}"
    name = f"{one.low:g} \N{EN DASH} {one.high:g}: {one.kept:,} {said.kept}, {one.dropped:,} {said.dropped}"
    parts = [tooltip(name)]
    if one.kept:
        parts.append(element("rect", x=x, y=BOTTOM - kept, width=wide, height=kept, fill=KEPT, class_="part part-kept"))
    if one.dropped:
        y = BOTTOM - kept - dropped
        parts.append(element("rect", x=x, y=y, width=wide, height=dropped, fill=DROPPED, class_="part part-dropped"))
    if numbered:
        y = BOTTOM - kept - dropped - 5
        parts.append(text(shown, (left + right) / 2, y, size=SMALL, text_anchor="middle", class_="count"))
    return element(
        "g", *parts, class_="bin", data_low=one.low, data_high=one.high, data_kept=one.kept, data_dropped=one.dropped
    )


def _grid(steps: Sequence[float], rise: float) -> str:
    parts = []
    for value in steps:
        y = BOTTOM - value * rise
        parts.append(
            element(
                "line", x1=LEFT, x2=RIGHT, y1=y, y2=y, stroke="currentColor", stroke_opacity=0.35 if not value else 0.12
            )
        )
        parts.append(text(tick(value), LEFT - 8, y + 4, size=SMALL, text_anchor="end", fill_opacity=0.75))
    return element("g", *parts, class_="grid")


def _tick(value: float, x: float) -> str:
    mark = element("line", x1=x, x2=x, y1=BOTTOM, y2=BOTTOM + 4, stroke="currentColor", stroke_opacity=0.35)
    return mark + text(tick(value), x, BOTTOM + 18, size=SMALL, text_anchor="middle", fill_opacity=0.75)


def _ticks(low: float, high: float, *, logarithmic: bool) -> list[float]:
    if logarithmic:
        found = [value for value in (0, *(2**power for power in range(3, 40))) if low <= value <= high]
        return found[:: 1 + len(found) // _MOST_TICKS]
    return [low + one for one in nice_steps(high - low, parts=6) if low + one <= high + 1e-9]


def _threshold(value: float, x: float, said: HistogramWords, name: str) -> str:
    label = f"{said.threshold} {value:g}"
    wide = min(width(label, SMALL), _ROOM)
    left = x + wide + 10 > RIGHT
    return element(
        "g",
        element(
            "rect",
            x=-9,
            y=TOP - 36,
            width=18,
            height=BOTTOM - TOP + 36,
            fill="#ffffff",
            fill_opacity=0,
            class_="handle",
        ),
        element(
            "line", x1=0, x2=0, y1=TOP - 28, y2=BOTTOM, stroke="currentColor", stroke_width=1.5, stroke_dasharray="5 3"
        ),
        element("circle", cx=0, cy=TOP - 28, r=4, fill="currentColor", class_="knob"),
        text(
            label,
            -10 if left else 10,
            TOP - 24,
            size=SMALL,
            room=_ROOM,
            font_weight=600,
            text_anchor="end" if left else "start",
            class_="threshold-label",
        ),
        id=f"{name}-threshold",
        class_="threshold",
        transform=f"translate({x:.2f} 0)",
        data_value=value,
        data_word=said.threshold,
    )
