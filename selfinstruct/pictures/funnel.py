"""What each stage accepted, dropped and failed: one bar a stage, dropped parts by rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from selfinstruct.pictures.svg import (
    DROPPED,
    FAILED,
    KEPT,
    OPEN,
    SMALL,
    drawing,
    element,
    heading,
    legend,
    linked,
    text,
    tooltip,
)

WIDE, ROW, BAR, LABEL, NUMBERS = 720, 34, 18, 130, 150


@dataclass(frozen=True, slots=True)
class FunnelBar:
    """One stage."""

    stage: str
    """Its label, as data-stage and in links."""
    accepted: int
    dropped: int = 0
    failed: int = 0
    open: int = 0
    drops: Mapping[str, int] = field(default_factory=dict)
    """By rule; what they do not explain of `dropped` has no rule."""
    shown: str = ""
    """Its name for readers; the label when empty."""


@dataclass(frozen=True, slots=True)
class FunnelWords:
    """What the colours mean, in the reader's language."""

    accepted: str = "accepted"
    dropped: str = "dropped"
    failed: str = "failed"
    open: str = "open"


def funnel(
    bars: Sequence[FunnelBar],
    *,
    title: str,
    description: str = "",
    words: FunnelWords | None = None,
    link: Callable[[str, str], str] | None = None,
    standalone: bool = False,
) -> str:
    """Return the picture. `link` (stage, rule) gives the address of a part's drops; the rule is empty for a whole bar.

    Parts carry data-stage, data-fate and, where dropped, data-rule and data-count.
    """
    said = words or FunnelWords()
    most = max((_made(bar) for bar in bars), default=0) or 1
    scale = (WIDE - LABEL - NUMBERS - 32) / most
    rows = [_row(bar, 68 + ROW * at, scale, said, link) for at, bar in enumerate(bars)]
    colours = [
        (KEPT, said.accepted, "accepted"),
        (DROPPED, said.dropped, "dropped"),
        (FAILED, said.failed, "failed"),
        (OPEN, said.open, "open"),
    ]
    there = [
        (colour, name)
        for colour, name, fate in colours
        if fate in {"accepted", "dropped"} or any(getattr(bar, fate) for bar in bars)
    ]
    told = "; ".join(f"{bar.shown or bar.stage}: {_sentence(bar, said)}" for bar in bars)
    return drawing(
        heading(title, WIDE) + legend(there, 16, 48) + "".join(rows),
        (WIDE, 76 + ROW * len(bars)),
        title=title,
        description=f"{description} {told}".strip(),
        kind="funnel",
        standalone=standalone,
    )


def _row(bar: FunnelBar, y: float, scale: float, said: FunnelWords, link: Callable[[str, str], str] | None) -> str:
    parts, x = [], 16.0 + LABEL
    rest = bar.dropped - sum(bar.drops.values())
    dropped = [*sorted(bar.drops.items(), key=lambda one: (-one[1], one[0])), *([("", rest)] if rest > 0 else [])]
    pieces = [("accepted", "", bar.accepted, KEPT), *(("dropped", rule, count, DROPPED) for rule, count in dropped)]
    pieces += [("failed", "", bar.failed, FAILED), ("open", "", bar.open, OPEN)]
    for fate, rule, count, colour in pieces:
        if not count:
            continue
        name = f"{bar.shown or bar.stage}: {count:,} {getattr(said, fate)}{f' ({rule})' if rule else ''}"
        part = element(
            "rect", tooltip(name), x=x, y=y, width=max(count * scale, 1.0), height=BAR, fill=colour,
            stroke="#ffffff" if rule else None, stroke_width=0.6 if rule else None, stroke_opacity=0.7 if rule else None,
            class_=f"part part-{fate}", data_stage=bar.stage, data_fate=fate, data_rule=rule or None, data_count=count,
        )  # fmt: skip
        parts.append(linked(part, link(bar.stage, rule) if link and fate == "dropped" else None))
        x += max(count * scale, 1.0)
    made = _made(bar)
    label = text(bar.shown or bar.stage, 16, y + 13, room=LABEL - 18)
    figures = f"{bar.accepted:,}" + (f" / {made:,}" if made != bar.accepted else "")
    share = f"{bar.accepted / made:.0%}" if made else ""
    numbers = text(figures, WIDE - 64, y + 13, size=SMALL, text_anchor="end")
    return element(
        "g",
        linked(label, link(bar.stage, "") if link else None),
        *parts,
        numbers,
        text(share, WIDE - 16, y + 13, size=SMALL, text_anchor="end", font_weight=600),
        class_="row",
        data_stage=bar.stage,
    )


def _made(bar: FunnelBar) -> int:
    return bar.accepted + bar.dropped + bar.failed + bar.open


def _sentence(bar: FunnelBar, said: FunnelWords) -> str:
    parts = [
        (bar.accepted, said.accepted),
        (bar.dropped, said.dropped),
        (bar.failed, said.failed),
        (bar.open, said.open),
    ]
    return ", ".join(f"{count:,} {name}" for count, name in parts if count or name == said.accepted)
