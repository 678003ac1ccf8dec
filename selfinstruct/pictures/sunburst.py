"""A tree of two levels as two rings: verbs inside, their objects outside, each as wide as it is frequent."""

from __future__ import annotations

from collections.abc import Mapping
from math import cos, pi, sin

from selfinstruct.pictures.svg import LARGE, OPEN, SERIES, SMALL, drawing, element, heading, text, tooltip

SIZE, TOP = 720, 40
INNER, MIDDLE, OUTER = 62.0, 168.0, 286.0
VERBS, NOUNS = 20, 4
_THIN = 12
"""Pixels along a third of a segment's depth: what is narrower has no label, only a tooltip."""


def sunburst(
    tree: Mapping[str, Mapping[str, int]],
    *,
    title: str,
    description: str = "",
    verbs: int = VERBS,
    nouns: int = NOUNS,
    other: str = "other",
    caption: str = "",
    rest: bool = True,
    standalone: bool = False,
) -> str:
    """Return the picture: the largest `verbs` with their largest `nouns`; the rest of both is `other`, in grey.

    Without the `rest` only what is shown has a place on the rings, and the middle says how many of all that is: where there are
    thousands of pairs, the rest would be most of the picture (so drew Self-Instruct its figure of verbs and nouns).

    An object called "" belongs to the rest. Segments carry data-verb, data-noun and data-count. `caption` stands below the
    total in the middle.
    """
    total = sum(sum(objects.values()) for objects in tree.values())
    if not rest:
        tree = {verb: {noun: n for noun, n in _largest(objects, nouns) if noun} for verb, objects in tree.items()}
    sums = {verb: sum(objects.values()) for verb, objects in tree.items()}
    ordered = sorted((verb for verb in tree if sums[verb]), key=lambda verb: (-sums[verb], verb))
    shown, beyond = ordered[:verbs], sum(sums[verb] for verb in ordered[verbs:]) if rest else 0
    whole = sum(sums[verb] for verb in shown) + beyond
    parts, turn = [], 0.0
    for at, verb in enumerate(shown):
        colour = SERIES[at % len(SERIES)]
        parts.append(_segment(turn, sums[verb] / whole, (INNER, MIDDLE), colour, (verb, None), sums[verb]))
        start = turn
        for noun, count in _largest(tree[verb], nouns):
            named = other if noun is None else noun
            fill, faint = (OPEN, 0.35) if noun is None else (colour, 0.62)
            parts.append(_segment(start, count / whole, (MIDDLE, OUTER), fill, (verb, named), count, opacity=faint))
            start += count / whole
        turn += sums[verb] / whole
    if beyond:
        parts.append(_segment(turn, beyond / whole, (INNER, MIDDLE), OPEN, (other, None), beyond, opacity=0.6))
    told = "; ".join(f"{verb} {sums[verb]:,}: {_told(tree[verb], nouns)}" for verb in shown)
    middle = text(f"{whole:,}", 0, 0 if caption else 5, size=LARGE + 6, text_anchor="middle", font_weight=600)
    caption = caption if whole == total else f"/ {total:,} {caption}"
    middle += (
        text(caption, 0, 18, size=SMALL, room=2 * INNER - 16, text_anchor="middle", fill_opacity=0.75)
        if caption
        else ""
    )
    rings = element("g", *parts, middle, transform=f"translate({SIZE / 2:g} {TOP + OUTER + 6:g})")
    return drawing(
        heading(title, SIZE) + rings,
        (SIZE, TOP + 2 * OUTER + 22),
        title=title,
        description=f"{description} {told}".strip(),
        kind="sunburst",
        standalone=standalone,
    )


def _largest(objects: Mapping[str, int], most: int) -> list[tuple[str | None, int]]:
    """Return the largest ones, and the rest, with what has no name, together under None."""
    named = [(noun, count) for noun, count in objects.items() if count and noun]
    ordered = sorted(named, key=lambda one: (-one[1], one[0]))
    rest = sum(count for _, count in ordered[most:]) + objects.get("", 0)
    return [*ordered[:most], *([(None, rest)] if rest else [])]


def _told(objects: Mapping[str, int], most: int) -> str:
    return ", ".join(f"{noun} {count:,}" for noun, count in _largest(objects, most) if noun is not None)


def _segment(
    start: float,
    share: float,
    radii: tuple[float, float],
    colour: str,
    names: tuple[str, str | None],
    count: int,
    *,
    opacity: float = 1.0,
) -> str:
    verb, noun = names
    name = noun if noun is not None else verb
    arrow = " \N{RIGHTWARDS ARROW} "
    whole = f"{verb if noun is None else arrow.join((verb, noun))}: {count:,}"
    shape = element(
        "path", tooltip(whole), d=_path(start, min(share, 0.99999), *radii), fill=colour, fill_opacity=opacity,
        stroke="#ffffff", stroke_width=0.8, stroke_opacity=0.6,
        class_="segment", data_verb=verb, data_noun=noun, data_count=count,
    )  # fmt: skip
    arc = 2 * pi * share * (2 * radii[0] + radii[1]) / 3
    return shape + (_label(name, start + share / 2, radii, inside=noun is None) if arc >= _THIN else "")


def _path(start: float, share: float, inner: float, outer: float) -> str:
    large = int(share > 0.5)  # noqa: PLR2004 - half a turn
    (a, b), (c, d) = _at(start, outer), _at(start + share, outer)
    (e, f), (g, h) = _at(start + share, inner), _at(start, inner)
    return (
        f"M{a:.2f} {b:.2f}A{outer:g} {outer:g} 0 {large} 1 {c:.2f} {d:.2f}"
        f"L{e:.2f} {f:.2f}A{inner:g} {inner:g} 0 {large} 0 {g:.2f} {h:.2f}Z"
    )


def _at(turn: float, radius: float) -> tuple[float, float]:
    angle = 2 * pi * turn - pi / 2
    return radius * cos(angle), radius * sin(angle)


def _label(name: str, turn: float, radii: tuple[float, float], *, inside: bool) -> str:
    """Return a name along its radius, readable from the side it is on."""
    x, y = _at(turn, sum(radii) / 2)
    degrees = 360 * turn - 90
    if degrees > 90:  # noqa: PLR2004 - the left half would stand on its head
        degrees -= 180
    colour = {"fill": "#ffffff", "font_weight": 600} if inside else {}
    return text(
        name, 0, 4, size=SMALL, room=radii[1] - radii[0] - 10, text_anchor="middle", pointer_events="none",
        transform=f"translate({x:.2f} {y:.2f}) rotate({degrees:.1f})", **colour,
    )  # fmt: skip
