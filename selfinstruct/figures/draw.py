"""The pictures of a set of figures: what stands in a card, a report, a page and an artifact alike. Words are the caller's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from selfinstruct import pictures
from selfinstruct.figures.bins import HUNDREDTHS, length_bounds
from selfinstruct.figures.model import NONE

if TYPE_CHECKING:
    from selfinstruct.figures.bins import KeptDropped, Lengths
    from selfinstruct.figures.model import Counts, Figures

_NOVELTY_STEP = 5
"""Hundredths that a bin of likenesses is wide (`novelty.BINS`)."""
_BARS = 20
"""Of the scores, where half points would be more."""
_MERGED = 2
"""Bins of lengths to a bar: four bars to a doubling."""


@dataclass(frozen=True, slots=True)
class Words:
    """What the pictures say, in the reader's language."""

    funnel: str = "From request to row"
    scores: str = "Scores of the rows"
    novelty: str = "Likeness to the nearest earlier instruction"
    instruction: str = "Length of instructions"
    input: str = "Length of inputs"
    output: str = "Length of answers"
    scripts: str = "Scripts of the instructions"
    output_scripts: str = "Scripts of the answers"
    labels: str = "Labels of classification tasks"
    drops: str = "Drops by rule"
    verbs: str = "What the instructions ask for"
    rows: str = "rows"
    score: str = "score"
    likeness: str = "ROUGE-L F"
    characters: str = "characters"
    accepted: str = "accepted"
    dropped: str = "dropped"
    failed: str = "failed"
    open: str = "open"
    kept: str = "kept"
    threshold: str = "threshold"
    other: str = "other"
    none: str = "no letters"
    names: Mapping[str, str] = field(default_factory=dict)
    """Of stages, rules and scripts, by what they are called in the figures; others are shown as they are called."""


ENGLISH = Words()


def draw(
    figures: Figures,
    words: Words = ENGLISH,
    *,
    link: Callable[[str, str], str] | None = None,
    standalone: bool = False,
) -> dict[str, str]:
    """Return name -> SVG of everything that there is something to show of.

    Names are the first fields of `Words`, from `funnel` to `verbs`. `link` (stage, rule) gives the address of the drops of a
    stage, of a rule, or of both; either can be empty.
    """
    found = {
        "funnel": _funnel(figures, words, link, standalone=standalone),
        "scores": _scores(figures, words, standalone=standalone),
        "novelty": _novelty(figures, words, standalone=standalone),
        **{
            name: _lengths(getattr(figures, name), name, words, standalone=standalone)
            for name in ("instruction", "input", "output")
        },
        "scripts": _shares(figures.scripts, words.scripts, words, standalone=standalone),
        "output_scripts": _shares(figures.output_scripts, words.output_scripts, words, standalone=standalone),
        "labels": _shares(figures.labels.labels, words.labels, words, total=figures.labels.rows, standalone=standalone),
        "drops": _shares(
            figures.drops,
            words.drops,
            words,
            link=(lambda rule: link("", rule)) if link else None,
            dropped=True,
            standalone=standalone,
        ),
        "verbs": _verbs(figures, words, standalone=standalone),
    }
    return {name: svg for name, svg in found.items() if svg}


def _funnel(figures: Figures, words: Words, link: Callable[[str, str], str] | None, *, standalone: bool) -> str:
    bars = [
        pictures.FunnelBar(
            label, stage.accepted, stage.dropped, stage.failed, stage.open, stage.drops, words.names.get(label, "")
        )
        for label, stage in figures.funnel.items()
    ]
    said = pictures.FunnelWords(words.accepted, words.dropped, words.failed, words.open)
    return pictures.funnel(bars, title=words.funnel, words=said, link=link, standalone=standalone) if bars else ""


def _scores(figures: Figures, words: Words, *, standalone: bool) -> str:
    scores = figures.scores
    if not scores.total:
        return ""
    low, high = min(one[0] for one in scores.scales or ((0, 5),)), max(one[1] for one in scores.scales or ((0, 5),))
    step = max(HUNDREDTHS // 2, round((high - low) / _BARS * HUNDREDTHS))
    return pictures.histogram(
        _grouped(scores, step, round(low * HUNDREDTHS), round(high * HUNDREDTHS) + step),
        title=words.scores,
        words=pictures.HistogramWords(words.kept, words.dropped, words.threshold, words.score),
        threshold=max(scores.thresholds, default=None),
        name="scores",
        standalone=standalone,
    )


def _novelty(figures: Figures, words: Words, *, standalone: bool) -> str:
    nearness = figures.nearness
    if not nearness.total:
        return ""
    return pictures.histogram(
        _grouped(nearness, _NOVELTY_STEP, 0, HUNDREDTHS),
        title=words.novelty,
        words=pictures.HistogramWords(words.kept, words.dropped, words.threshold, words.likeness),
        threshold=min(nearness.thresholds, default=None),
        name="novelty",
        standalone=standalone,
    )


def _grouped(found: KeptDropped, step: int, low: int, beyond: int) -> list[pictures.Bin]:
    """Return bars of `step` hundredths from `low` to below `beyond`, empty ones too."""
    kept, dropped = (dict.fromkeys(range(low, beyond, step), 0) for _ in range(2))
    for counts, bins in ((kept, found.kept), (dropped, found.dropped)):
        for number, count in bins.items():
            at = low + (number - low) // step * step
            counts[at] = counts.get(at, 0) + count
    return [
        pictures.Bin(at / HUNDREDTHS, (at + step) / HUNDREDTHS, kept.get(at, 0), dropped.get(at, 0))
        for at in sorted({*kept, *dropped})
    ]


def _lengths(lengths: Lengths, name: str, words: Words, *, standalone: bool) -> str:
    bars: dict[int, int] = {}
    for number, count in lengths.characters.items():
        bars[number // _MERGED] = bars.get(number // _MERGED, 0) + count
    if not bars or set(bars) == {0}:
        return ""
    bins = [
        pictures.Bin(length_bounds(_MERGED * at)[0], length_bounds(_MERGED * at + _MERGED - 1)[1], count)
        for at, count in sorted(bars.items())
    ]
    return pictures.histogram(
        bins,
        title=getattr(words, name),
        words=pictures.HistogramWords(kept=words.rows, dropped=words.dropped, axis=words.characters),
        logarithmic=True,
        name=f"{name}-length",
        standalone=standalone,
    )


def _shares(
    counts: Counts,
    title: str,
    words: Words,
    *,
    total: int | None = None,
    link: Callable[[str], str] | None = None,
    dropped: bool = False,
    standalone: bool,
) -> str:
    if not counts:
        return ""
    names = {NONE: words.none, **words.names}
    items = [pictures.Share(label, count, names.get(label, "")) for label, count in counts.items()]
    colour = pictures.DROPPED if dropped else pictures.KEPT
    return pictures.shares(
        items, title=title, total=total, other=words.other, link=link, colour=colour, standalone=standalone
    )


def _verbs(figures: Figures, words: Words, *, standalone: bool) -> str:
    tree = {
        verb: {"" if noun == NONE else noun: count for noun, count in nouns.items()}
        for verb, nouns in figures.verbs.items()
        if verb != NONE
    }
    if not tree:
        return ""
    return pictures.sunburst(tree, title=words.verbs, caption=words.rows, rest=False, standalone=standalone)
