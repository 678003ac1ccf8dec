"""Figures as pictures: which are shown, in which order, and what their parts lead to. Draws nothing itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from selfinstruct import pictures
from selfinstruct.figures.bins import HUNDREDTHS, length_bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from selfinstruct.figures.bins import Bins, KeptDropped, Lengths
    from selfinstruct.figures.model import Counts, Figures
    from selfinstruct.viewer.links import Links
    from selfinstruct.viewer.wording import Words

SCORE_BINS = 40
"""Bars of the histogram of scores, at most: scores of judges lie on halves or quarters, corrected ones anywhere."""
STEPS = (100, 50, 25, 20, 10, 5, 2, 1, 200, 500, 1000, 10_000)
"""Widths of such a bar in hundredths: the first one that all scores are multiples of."""


def charts(figures: Figures, words: Words, links: Links, base: str) -> dict[str, Markup]:
    """Return name -> picture, of all for which there are figures; parts of the funnel lead to their drops."""
    made = {
        "funnel": funnel(figures, words, links, base),
        "scores": _scores(figures, words),
        "novelty": _novelty(figures, words),
        "verbs": _verbs(figures, words),
        "instruction": _lengths(figures.instruction, words, "instruction"),
        "output": _lengths(figures.output, words, "output"),
        "scripts": _shares(figures.scripts, words, "scripts", "script", lambda one: links.rows(base, script=one)),
        "output_scripts": _shares(figures.output_scripts, words, "output_scripts", "script"),
        "labels": _shares(figures.labels.labels, words, "labels", "label"),
        "classification": _shares(figures.classification, words, "classification", "class"),
        "models": _shares(figures.models.get("answer", {}), words, "models", "model"),
        "flags": _shares(figures.flags, words, "flags", "flag", lambda one: links.rows(base, flag=one)),
    }
    return {name: Markup(svg) for name, svg in made.items() if svg}  # noqa: S704 - `pictures` escapes all that it is given


def funnel(figures: Figures, words: Words, links: Links, base: str) -> Markup:
    """Return the funnel; empty where nothing was made."""
    bars = [
        pictures.FunnelBar(
            name, one.accepted, one.dropped, one.failed, one.open, dict(one.drops), shown=words.of("stage", name)
        )
        for name, one in figures.funnel.items()
    ]
    said = pictures.FunnelWords(words("accepted"), words("dropped"), words("failed"), words("open"))
    if not bars:
        return Markup()
    title = words("chart.funnel")
    drawn = pictures.funnel(
        bars, title=title, words=said, link=lambda stage, rule: links.drops(base, stage=stage, rule=rule)
    )
    return Markup(drawn)  # noqa: S704 - `pictures` escapes all that it is given


def growth(rows: Mapping[int, int], words: Words) -> Markup:
    """Return how many rows each version has."""
    line = pictures.Line(words("number.rows"), [float(one) for one in rows.values()])
    drawn = pictures.lines([f"v{version}" for version in rows], [line], title=words("chart.versions"))
    return Markup(drawn)  # noqa: S704 - `pictures` escapes all that it is given


def _scores(figures: Figures, words: Words) -> str:
    scores = figures.scores
    if not scores.total:
        return ""
    numbers = sorted(scores.all())
    ends = [one for scale in scores.scales for one in scale] or [0.0, 5.0]
    low, high = min(*ends, numbers[0] / HUNDREDTHS), max(*ends, numbers[-1] / HUNDREDTHS)
    fits = [one for one in STEPS if (high - low) * HUNDREDTHS <= one * SCORE_BINS]
    step = next((one for one in fits if all(number % one == 0 for number in numbers)), fits[-1])
    bins = _bins(scores, step, low, high + step / HUNDREDTHS)
    threshold = scores.thresholds[-1] if scores.thresholds else (low + high) / 2
    return pictures.histogram(
        bins, title=words("chart.scores"), words=_said(words, "axis.score"), threshold=threshold, name="scores"
    )


def _novelty(figures: Figures, words: Words) -> str:
    near = figures.nearness
    if not near.total:
        return ""
    threshold = near.thresholds[-1] if near.thresholds else None
    return pictures.histogram(
        _bins(near, 5, 0.0, 1.0),
        title=words("chart.novelty"),
        words=_said(words, "axis.f"),
        threshold=threshold,
        name="novelty",
    )


def _bins(counted: KeptDropped, step: int, low: float, high: float) -> list[pictures.Bin]:
    """Return bins of `step` hundredths from `low` to `high`, empty ones too."""
    first, last = round(low * HUNDREDTHS) // step, round(high * HUNDREDTHS) // step
    kept, dropped = _stepped(counted.kept, step), _stepped(counted.dropped, step)
    return [
        pictures.Bin(at * step / HUNDREDTHS, (at + 1) * step / HUNDREDTHS, kept.get(at, 0), dropped.get(at, 0))
        for at in range(min([first, *kept, *dropped]), max([last, *(one + 1 for one in (*kept, *dropped))]))
    ]


def _stepped(bins: Bins, step: int) -> dict[int, int]:
    found: dict[int, int] = {}
    for number, count in bins.items():
        found[number // step] = found.get(number // step, 0) + count
    return found


def _said(words: Words, axis: str) -> pictures.HistogramWords:
    return pictures.HistogramWords(words("kept"), words("dropped"), words("threshold"), words(axis))


def _verbs(figures: Figures, words: Words) -> str:
    tree = {verb: objects for verb, objects in figures.verbs.items() if verb != "(none)"}
    if not tree:
        return ""
    return pictures.sunburst(
        tree, title=words("chart.verbs"), other=words("other"), caption=words("chart.verbs.caption")
    )


def _lengths(lengths: Lengths, words: Words, name: str) -> str:
    if not lengths.rows:
        return ""
    bins = []
    for number, count in sorted(lengths.characters.items()):
        low, beyond = length_bounds(number)
        bins.append(pictures.Bin(low, beyond, count))
    return pictures.histogram(
        bins, title=words(f"chart.{name}"), words=_said(words, "axis.characters"), logarithmic=True, name=name
    )


def _shares(counts: Counts, words: Words, name: str, group: str, link: Callable[[str], str] | None = None) -> str:
    items = [pictures.Share(one, count, words.of(group, one)) for one, count in counts.items() if count]
    return (
        pictures.shares(items, title=words(f"chart.{name}"), other=words("other"), link=link) if len(items) > 1 else ""
    )


def singles(figures: Figures, words: Words) -> list[tuple[str, str]]:
    """Return (name, what it is) of all shares that are of one thing only: a picture of 100 % tells nothing."""
    told = {
        "scripts": (figures.scripts, "script"),
        "output_scripts": (figures.output_scripts, "script"),
        "models": (figures.models.get("answer", {}), "model"),
    }
    return [
        (words(f"chart.{name}"), words.of(group, next(iter(counts))))
        for name, (counts, group) in told.items()
        if len(counts) == 1
    ]
