"""Shares of a whole: one bar each, the largest first; the rest together as a number, which could dwarf them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from selfinstruct.pictures.svg import KEPT, SMALL, drawing, element, heading, linked, text, tooltip

WIDE, ROW, BAR, LABEL, NUMBERS = 720, 26, 14, 200, 130
MOST = 12
"""Bars, before the rest is put together."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many are called so."""

    label: str
    count: int
    shown: str = ""
    """Its name for readers; the label when empty."""


def shares(
    items: Sequence[Share],
    *,
    title: str,
    description: str = "",
    total: int | None = None,
    most: int = MOST,
    other: str = "other",
    link: Callable[[str], str] | None = None,
    colour: str = KEPT,
    standalone: bool = False,
) -> str:
    """Return the picture. Shares are of `total`, or of all items together; `link` gives the address of a label.

    Bars carry data-label and data-count.
    """
    ordered = sorted((one for one in items if one.count), key=lambda one: (-one.count, one.label))
    shown, rest = (ordered, []) if len(ordered) <= most else (ordered[: most - 1], ordered[most - 1 :])
    whole = total or sum(one.count for one in ordered) or 1
    bars = [(one, colour, link(one.label) if link else None) for one in shown]
    if rest:
        bars.append((Share("", sum(one.count for one in rest), f"{other} ({len(rest):,})"), "", None))
    longest = max((one.count for one in shown), default=1)
    scale = (WIDE - LABEL - NUMBERS - 32) / longest
    rows = [_row(one, fill, address, 46 + ROW * at, scale, whole) for at, (one, fill, address) in enumerate(bars)]
    told = "; ".join(f"{one.shown or one.label}: {one.count:,} ({one.count / whole:.1%})" for one, _, _ in bars)
    return drawing(
        heading(title, WIDE) + "".join(rows),
        (WIDE, 56 + ROW * max(len(bars), 1)),
        title=title,
        description=f"{description} {told}".strip(),
        kind="shares",
        standalone=standalone,
    )


def _row(one: Share, colour: str, address: str | None, y: float, scale: float, whole: int) -> str:
    name = one.shown or one.label
    bar = "" if not colour else element(
        "rect", tooltip(f"{name}: {one.count:,}"), x=16 + LABEL, y=y, width=max(one.count * scale, 1.0), height=BAR, rx=2,
        fill=colour, class_="part", data_label=one.label or None, data_count=one.count,
    )  # fmt: skip
    label = text(name, 16, y + 11, room=LABEL - 18)
    share = one.count / whole
    told = f"{share:.0%}" if share >= 0.1 else f"{share:.1%}"  # noqa: PLR2004 - two digits either way
    return element(
        "g",
        linked(label + bar, address),
        text(f"{one.count:,}", WIDE - 64, y + 11, size=SMALL, text_anchor="end"),
        text(told, WIDE - 16, y + 11, size=SMALL, text_anchor="end", font_weight=600),
        class_="row",
    )
