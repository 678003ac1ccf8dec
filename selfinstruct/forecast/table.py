"""Shows a forecast as lines of text that fit a terminal of 80 columns, or of 100 with a price."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from selfinstruct.forecast.model import Basis, Forecast, Range, Share, Spend

SCALES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
TIMES = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def table(told: Forecast) -> str:
    """Return it: a line per stage, the whole, the time, and what must be known."""
    priced = told.total.cost is not None
    heads = ["stage", "kept", "calls", "tokens in", "tokens out", *(["cost"] if priced else [])]
    rows = [[printable(one.name, longest=14), _share(one.share), *_cells(one.spend)] for one in told.stages]
    rows += [["surplus", "", *_cells(told.surplus)], ["total", "", *_cells(told.total)]]
    lines = [f"for {told.rows:,} rows, reckoned from {_basis(told.basis)}; ranges hold 9 times in 10:"]
    lines += _aligned([heads, *(row[: len(heads)] for row in rows)])
    if told.total.seconds is not None:
        lines.append(f"time: {span(told.total.seconds, full=told.basis.full)}")
    return "\n".join([*lines, *(f"- {note}" for note in told.notes)])


def _basis(basis: Basis) -> str:
    requests = f"{basis.requests:,} request{'s' * (basis.requests != 1)}"
    return f"{basis.rows:,} rows of {requests} in {printable(basis.run, longest=60)}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _share(one: Share) -> str:
    if not one.made:
        return ""
    low, high = 100 * one.low, 100 * one.high
    return f"{one.kept / one.made:.0%} ({low:.0f}-{high:.0f})"


def _cells(spend: Spend | None) -> list[str]:
    if spend is None:
        return ["", "", "", ""]
    counts = [within(one, short) for one in (spend.calls, spend.prompt_tokens, spend.completion_tokens)]
    return [*counts, "" if spend.cost is None else within(spend.cost, _money)]


def within(one: Range, shown: Callable[[float], str]) -> str:
    """Return a range: `1.2k (900-1.5k)`, `at least 900`, or `up to 1.5k` where only one side is known."""
    if one.high is None:
        return f"at least {shown(one.low)}"
    if one.middle is None or (not one.low and one.middle < one.high):
        return f"up to {shown(one.high)}"
    return f"{shown(one.middle)} ({shown(one.low)}-{shown(one.high)})" if one.high else "0"


def span(one: Range, *, full: bool) -> str:
    """Return a time with its range; at the speed of a server that was not full, only the upper end is known."""
    if not full and one.high is not None:
        return f"at most {_time(one.high)}"
    return within(one, _time)


def short(count: float) -> str:
    """Return a count to two or three figures: 940, 1.2k, 45k, 3.1M."""
    for size, letter in SCALES:
        if count >= 0.9995 * size:
            figure = count / size
            return f"{figure:.1f}{letter}" if figure < 9.95 else f"{figure:.0f}{letter}"  # noqa: PLR2004 - 9.9k, but 10k
    return f"{count:.0f}"


def _money(amount: float) -> str:
    return short(amount) if amount >= 1000 else f"{amount:.2f}" if amount >= 0.01 else f"{amount:.2g}"  # noqa: PLR2004


def _time(seconds: float) -> str:
    for size, letter in TIMES:
        if seconds >= size:
            figure = seconds / size
            return f"{figure:.1f}{letter}" if figure < 9.95 and letter in "hd" else f"{figure:.0f}{letter}"  # noqa: PLR2004
    return f"{seconds:.1f}s"
