"""What a person's labels say about the judge: agreement, what a wrong keep costs, and which threshold reaches a precision.

The rows were drawn by score, not evenly: each label is weighed with the number of rows that it stands for.
"""

from __future__ import annotations

from collections import defaultdict
from math import ceil
from typing import TYPE_CHECKING

from selfinstruct.judging.agreement import bootstrap, effective_size, kappa, size_needed, wilson
from selfinstruct.judging.drawn import stratum
from selfinstruct.records import Frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from selfinstruct.judging.scored import ScoredRow, ScoredTable
    from selfinstruct.judging.sheet import Label, Sheet

SEED = 2000
"""Of the bootstrap: one sheet, one interval."""
ENOUGH = 10
"""Labels, for an interval of kappa: resampling fewer shows no spread worth the name."""


class Share(Frozen):
    """A share of the run's rows, estimated from labels, with its 95 % interval (Wilson, at the labels' effective size)."""

    share: float
    low: float
    high: float
    labels: int
    effective: float
    """Labels that tell as much, had they been drawn evenly."""
    rows: int
    """In the run: what it is a share of."""


class Kappa(Frozen):
    """Agreement beyond chance, quadratic weights, weighed to the run; the interval is a bootstrap."""

    kappa: float | None
    """None: both always said the same one thing, and chance would too."""
    low: float | None
    high: float | None
    labels: int


class Threshold(Frozen):
    """How many of the rows that a threshold keeps the person would keep too.

    None where none of them has a label, and where some score lower than any that has: those may be as bad as they like.
    """

    least: float
    rows: int
    precision: Share | None


class Calibration(Frozen):
    """All that is told of a sheet."""

    threshold: float
    """In use."""
    good: float
    """A score of the person's from here on counts as `would keep`."""
    labels: int
    skipped: int
    stale: int
    """Labels about texts that are not there any more."""
    unseen: float
    """Share of the rows whose score nobody has labelled yet: nothing here speaks for them."""
    verdicts: Kappa
    """Kept by the judge or not, against kept by the person or not."""
    scores: Kappa | None
    """Of the labels that are scores; None without any."""
    exact: int
    """Of those: the very same score."""
    table: dict[str, int]
    """Labels, as counted: `judge/person`, each keep or drop."""
    wrong_keep: Share | None
    """Of the rows that the judge keeps: those that the person would not."""
    wrong_drop: Share | None
    """Of the rows that the judge drops: those that the person would keep."""
    asked: float
    """Precision asked for."""
    thresholds: tuple[Threshold, ...]
    reaches: float | None
    """Lowest threshold whose precision is as asked, and whose interval is too where one such is there."""
    sure: bool
    """Whether the whole interval of its precision lies there."""
    more: int | None
    """About so many further labels at or above it would make it sure, if the precision stays what it is."""


class _Weighed(Frozen):
    score: float
    """The judge's."""
    keep: bool
    """The person's."""
    given: float | None
    """The person's score."""
    weight: float


def calibrate(table: ScoredTable, sheet: Sheet, *, precision: float = 0.9) -> Calibration | None:
    """Return what the labels say; None when no row has one yet."""
    current, stale = sheet.current(table)
    labels = _weighed(table, current)
    if not labels:
        return None
    least = table.threshold
    kept, dropped = ([one for one in labels if (one.score >= least) is side] for side in (True, False))
    scored = _weighed(table, [one for one in current if one[1].score is not None])
    counts = {"keep/keep": 0, "keep/drop": 0, "drop/keep": 0, "drop/drop": 0}
    for one in labels:
        counts[f"{'keep' if one.score >= least else 'drop'}/{'keep' if one.keep else 'drop'}"] += 1
    thresholds = tuple(_threshold(table, labels, step) for step in table.steps())
    reaches, sure, more = _reaching(thresholds, precision)
    held = sum(row.score >= least for row in table.rows)
    seen = {_key(one.score, least) for one in labels}
    return Calibration(
        threshold=least,
        good=sheet.header.good,
        labels=len(labels),
        skipped=sum(label.keep is None for _, label in current),
        stale=stale,
        unseen=sum(_key(row.score, least) not in seen for row in table.rows) / len(table.rows),
        verdicts=_kappa(labels, least, lambda one: (one.score >= least, one.keep)),
        scores=_kappa(scored, least, lambda one: (one.score, one.given or 0.0)) if scored else None,
        exact=sum(one.score == one.given for one in labels),
        table=counts,
        wrong_keep=_share(kept, [not one.keep for one in kept], held),
        wrong_drop=_share(dropped, [one.keep for one in dropped], len(table.rows) - held),
        asked=precision,
        thresholds=thresholds,
        reaches=reaches,
        sure=sure,
        more=more,
    )


def _key(score: float, least: float) -> tuple[float, bool]:
    return stratum(score), score >= least


def _weighed(table: ScoredTable, current: Sequence[tuple[ScoredRow, Label]]) -> list[_Weighed]:
    """Return the labels, each with the number of rows of its half point (of the judge's score) that it stands for."""
    sizes: dict[tuple[float, bool], int] = defaultdict(int)
    for row in table.rows:
        sizes[_key(row.score, table.threshold)] += 1
    groups: dict[tuple[float, bool], list[tuple[float, bool, float | None]]] = defaultdict(list)
    for row, label in current:
        if label.keep is not None:
            groups[_key(row.score, table.threshold)].append((row.score, label.keep, label.score))
    return [
        _Weighed(score=score, keep=keep, given=given, weight=sizes[key] / len(group))
        for key, group in sorted(groups.items())
        for score, keep, given in group
    ]


def _kappa(labels: Sequence[_Weighed], least: float, raters: Callable[[_Weighed], tuple[float, float]]) -> Kappa:
    def figure(labels: Sequence[_Weighed]) -> float | None:
        return kappa([raters(one) for one in labels], [one.weight for one in labels])

    # Kept and dropped are resampled apart; half points would be too few labels each, and their spread would not show.
    sides = {side: [one for one in labels if (one.score >= least) is side] for side in (True, False)}
    groups = [group for group in sides.values() if group]
    interval = bootstrap(groups, figure, seed=SEED) if len(labels) >= ENOUGH else None
    low, high = interval or (None, None)
    return Kappa(kappa=figure(labels), low=low, high=high, labels=len(labels))


def _share(labels: Sequence[_Weighed], so: Sequence[bool], rows: int) -> Share | None:
    if not labels:
        return None
    weights = [one.weight for one in labels]
    share = sum(weight for weight, true in zip(weights, so, strict=True) if true) / sum(weights)
    effective = effective_size(weights)
    low, high = wilson(share, effective)
    return Share(share=share, low=low, high=high, labels=len(labels), effective=effective, rows=rows)


def _threshold(table: ScoredTable, labels: Sequence[_Weighed], least: float) -> Threshold:
    rows = sum(row.score >= least for row in table.rows)
    above = [one for one in labels if one.score >= least]
    lowest = min(stratum(one.score) for one in labels)
    known = not any(least <= row.score < lowest for row in table.rows)
    return Threshold(
        least=least, rows=rows, precision=_share(above, [one.keep for one in above], rows) if known else None
    )


def _reaching(thresholds: Sequence[Threshold], asked: float) -> tuple[float | None, bool, int | None]:
    """Return the lowest threshold that reaches `asked`, whether for sure, and how many more labels would make it so."""
    known = [(one.least, one.precision) for one in thresholds if one.precision is not None]
    for least, precision in known:
        if precision.low >= asked:
            return least, True, 0
    for least, precision in known:
        if precision.share >= asked:
            size = size_needed(precision.share, asked)
            more = None if size is None else ceil((size / precision.effective - 1) * precision.labels)
            return least, False, more
    return None, False, None
