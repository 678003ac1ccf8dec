"""A diff in words: one page of Markdown. Knows no figures, only the diff."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfinstruct.catalogue.diff import ABOUT, alarms, figure
from selfinstruct.text.markdown import span, table

if TYPE_CHECKING:
    from selfinstruct.catalogue.diff import Compared, Diff, What
    from selfinstruct.catalogue.drift import Drift

HOW = (
    "The distance is the share of the added rows that would have to be of another kind for both sides to be alike (total "
    "variation). Few rows of many kinds lie apart by chance alone: as many drawn at random from both sides do so by what stands "
    "under `by chance`, in the mean. Where more than one draw in 100 lies as far, nothing is `beyond` it. Limits are of what is, "
    "and hold from {fewest:,} on either side on. What is compared:"
)


def page(found: Diff) -> str:
    """Return it."""
    crossed = alarms(found)
    views = [(span(view), rows, found.added.get(view, 0)) for view, rows in found.before.items()]
    head = ("", f"version {found.base}", "added", "#distance", "#by chance", "#beyond", "#limit", "")
    moved = [_moves(one.what, one.drift) for one in found.compared if one.drift is not None and one.drift.excess]
    changed = [f"- {span(line)}" for line in found.changed]
    lines = [
        f"# {found.name}: what version {found.version} added to version {found.base}",
        "",
        *(["**Made by the scripted engine: for trying out.**", ""] if found.trial else []),
        *([f"- **{one}**" for one in crossed] or ["No limit was crossed."]),
        "",
        *table(("view", f"#version {found.base}", "#added"), views),
        "",
        *table(head, map(_line, found.compared)),
        "",
        HOW.format(fewest=found.limits.fewest),
        "",
        *(f"- {_name(what)}: {about}" for what, about in ABOUT.items()),
        *(["", "## What moved most", "", *moved] if moved else []),
        *(["", f"## Made otherwise than version {found.base}", "", *changed] if changed else []),
    ]
    return "\n".join(lines) + "\n"


def _line(one: Compared) -> tuple[str, ...]:
    sides = figure(one.what, one.before), figure(one.what, one.added)
    if one.drift is None:
        return _name(one.what), *sides, "", "", "", f"{one.limit:g}", "nothing to compare"
    numbers = one.drift.distance, one.drift.chance, one.drift.excess
    return (
        _name(one.what),
        *sides,
        *(f"{number:.2f}" for number in numbers),
        f"{one.limit:g}",
        "**alarm**" if one.alarm else "",
    )


def _moves(what: What, found: Drift) -> str:
    moves = ", ".join(f"{span(one.kind, longest=60)} {one.before:.1%} to {one.added:.1%}" for one in found.moved)
    return f"- {_name(what)}: {moves}"


def _name(what: What) -> str:
    return what.replace("_", " ")
