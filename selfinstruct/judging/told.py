"""A calibration in words, for a terminal. Computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selfinstruct.judging.calibration import Calibration, Kappa, Share


def told(found: Calibration, *, source: Path) -> str:
    """Return everything that the labels say, the command to act on it last."""
    return "\n".join([*_agreement(found), "", *_costs(found), "", *_thresholds(found), "", *_advice(found, source)])


def _agreement(found: Calibration) -> Iterator[str]:
    beside = [f"{found.skipped} skipped"] * (found.skipped > 0)
    beside += [f"{found.stale} about texts that are not there any more"] * (found.stale > 0)
    yield _count(found.labels) + (f" ({', '.join(beside)})" if beside else "")
    counts = found.table
    yield ""
    yield f"{'':22}{'you keep':>10}{'you drop':>10}    (labels, as counted)"
    for judge in ("keep", "drop"):
        sign = ">=" if judge == "keep" else "< "
        name = f"judge {judge}s ({sign} {found.threshold:g})"
        yield f"{name:22}{counts[f'{judge}/keep']:10}{counts[f'{judge}/drop']:10}"
    yield ""
    yield f"kept or not: kappa {_kappa(found.verdicts)}"
    if found.scores is not None:
        yield f"scores: quadratic kappa {_kappa(found.scores)}; the very same {found.exact} of {found.scores.labels} times"
    if found.unseen:
        yield f"{found.unseen:.1%} of the rows have a score that nobody has labelled yet: nothing here speaks for them"


def _costs(found: Calibration) -> Iterator[str]:
    yield f"of the rows kept now (>= {found.threshold:g}), you would not keep: {_share(found.wrong_keep)}"
    yield f"of the rows dropped now, you would keep: {_share(found.wrong_drop)}"


def _thresholds(found: Calibration) -> Iterator[str]:
    yield "  least      rows  you would keep   (95 %)          labels"
    for one in found.thresholds:
        mark = "  <- in use" if one.least == found.threshold else ""
        if one.precision is None:
            yield f"{one.least:7g} {one.rows:9,}               -{mark}"
        else:
            low, high = one.precision.low, one.precision.high
            middle = f"{one.precision.share:15.1%}   ({low:.1%} to {high:.1%})"
            yield f"{one.least:7g} {one.rows:9,} {middle:36} {one.precision.labels:5}{mark}"


def _advice(found: Calibration, source: Path) -> Iterator[str]:
    asked = f"{found.asked:.0%}"
    if found.reaches is None:
        yield f"No threshold reaches a precision of {asked} in these labels: {_best(found)}"
        return
    if found.sure:
        yield f"The lowest threshold that reaches a precision of {asked} with its whole interval is {found.reaches:g}."
    else:
        yield f"The lowest threshold that reaches a precision of {asked} is {found.reaches:g}, by the figure alone:"
        yield f"  {found.labels} labels cannot make sure of it, the interval goes below. " + _further(found)
    if found.sure and source.is_dir():
        yield f"  to apply it: selfinstruct refilter {source} --min-score {found.reaches:g} -o OUT"


def _best(found: Calibration) -> str:
    shares = [(one.precision, one.least) for one in found.thresholds if one.precision is not None]
    if not shares:
        return "below each of them are scores that nobody has labelled; label some more."
    best, least = max(shares, key=lambda one: one[0].share)
    if best.high >= found.asked:
        return f"{least:g} comes nearest with {best.share:.1%}, and {_count(best.labels)} cannot rule it out; label some more."
    return f"{least:g} comes nearest with {best.share:.1%}. Another rubric or judge may; no threshold will."


def _further(found: Calibration) -> str:
    if found.more is None:
        return "It stands on the edge, and no number of further labels would settle it."
    return f"About {found.more} more labels at or above it would, if they turn out like these."


def _count(labels: int) -> str:
    return "1 label" if labels == 1 else f"{labels} labels"


def _kappa(one: Kappa) -> str:
    if one.kappa is None:
        return "is undefined: both always said the same one thing"
    interval = (
        "too few labels for an interval" if one.low is None else f"95 %: {one.low:.2f} to {one.high:.2f}, bootstrap"
    )
    return f"{one.kappa:.2f} ({interval}; {_count(one.labels)})"


def _share(share: Share | None) -> str:
    if share is None:
        return "no label yet"
    rows = f"about {share.share * share.rows:,.0f} of {share.rows:,} rows"
    return f"{share.share:.1%} (95 %: {share.low:.1%} to {share.high:.1%}), {rows}; {_count(share.labels)}"
