"""Figures as words: what panel and plain lines have in common. Knows no terminal; nothing of a model or server unescaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from selfinstruct.console.figures import Figures, ServerFigures, TimeLeft

UNITS = ((100, 1, "s"), (6_000, 60, "m"), (360_000, 3600, "h"), (float("inf"), 86_400, "d"))
"""Up to so many seconds, a time is told in units of so many."""


def clock(seconds: float) -> str:
    """Return an exact time: 5m12s, 3h05m."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def time_left(left: TimeLeft) -> str:
    """Return an estimate with its spread: 12m left (10-15m)."""
    figure, unit = _about(left.seconds)
    (least, small), (most, large) = _about(left.least), _about(left.most)
    return f"{figure}{unit} left ({least}{small if small != large else ''}-{most}{large})"


def _about(seconds: float) -> tuple[str, str]:
    size, unit = next((size, unit) for most, size, unit in UNITS if seconds < most)
    figure = seconds / size
    return (f"{figure:.1f}" if unit != "s" and figure < 10 else f"{figure:.0f}"), unit  # noqa: PLR2004 - 9.5h, but 12h


def per_minute(rate: float | None) -> str:
    """Return a rate to two or more figures; nothing when it is not known."""
    return "" if rate is None else f"{rate:,.0f}" if rate >= 10 or rate == 0 else f"{rate:.1f}"  # noqa: PLR2004


def rows(figures: Figures) -> str:
    """Return how many rows there are of how many, and those beyond: they may come later in order, and stay stored."""
    beyond = figures.rows - figures.target
    return f"{min(figures.rows, figures.target):,} of {figures.target:,} rows" + (f" +{beyond:,}" * (beyond > 0))


def pace(figures: Figures) -> list[str]:
    """Return speed, and time left with its spread or why it is not told."""
    speed = per_minute(figures.rows_per_min)
    words = [f"{speed} rows/min"] if speed else []
    if figures.left is not None:
        return [*words, time_left(figures.left)]
    early = figures.rows < figures.target
    return [*words, "time left: too early to say" if early else "finishing what comes first in order"]


def traffic(figures: Figures) -> list[str]:
    """Return tokens per second, answers under way, places, and calls."""
    words = []
    if figures.prompt_tokens_per_s is not None and figures.completion_tokens_per_s is not None:
        words.append(f"tokens/s {figures.prompt_tokens_per_s:,.0f} in, {figures.completion_tokens_per_s:,.0f} out")
    if figures.slots:
        words.append(f"{figures.in_flight:,} of {figures.slots:,} in flight, {figures.waiting:,} waiting")
    return [*words, f"{figures.calls:,} calls"]


def server(one: ServerFigures) -> list[str]:
    """Return what a server tells of itself, first things first; its address alone when it tells nothing."""
    words = [address(one), *([] if one.healthy else ["NOT ANSWERING"])]
    if one.running is None and one.healthy:
        words.append(f"{one.in_flight:,} in flight, tells nothing of itself")
    if one.running is not None and one.healthy:
        words.append(f"{one.running:,} running")
    if one.waiting is not None and one.healthy:
        words.append(f"{one.waiting:,} waiting")
    if one.kv_cache is not None and one.healthy:
        words.append(f"KV {one.kv_cache:.0%}")
    if one.prefix_hit_rate is not None:
        words.append(f"prefix hits {one.prefix_hit_rate:.0%}")
    if one.preemptions is not None:
        words.append(f"{one.preemptions:,} preempted")
    return [*words, f"{one.refused:,} refused"] if one.refused else words


def address(one: ServerFigures) -> str:
    """Return host and port, without what might stand before them."""
    return printable(one.url.partition("://")[2].partition("/")[0].rpartition("@")[2], longest=60)


def servers(several: Sequence[ServerFigures]) -> list[str]:
    """Return all servers as one: sums, the fullest cache, and the ones that do not answer by name."""
    if len(several) == 1:
        return server(several[0])
    up = [one for one in several if one.healthy]
    words = [f"{len(up)} of {len(several)} servers up"]
    words += [f"{address(one)} NOT ANSWERING" for one in several if not one.healthy]
    if any(one.running is not None for one in up):
        words.append(f"{sum(one.running or 0 for one in up):,} running")
        words.append(f"{sum(one.waiting or 0 for one in up):,} waiting")
    if any(one.kv_cache is not None for one in up):
        words.append(f"KV {max(one.kv_cache or 0 for one in up):.0%} at most")
    if asked := sum(one.prefix_queries or 0 for one in several):
        words.append(f"prefix hits {sum(one.prefix_hits or 0 for one in several) / asked:.0%}")
    if any(one.preemptions is not None for one in several):
        words.append(f"{sum(one.preemptions or 0 for one in several):,} preempted")
    refused = sum(one.refused for one in several)
    return [*words, f"{refused:,} refused"] if refused else words


def rules(drops: Mapping[str, int]) -> str:
    """Return what dropped how many, most first."""
    return ", ".join(ordered(drops))


def ordered(drops: Mapping[str, int]) -> list[str]:
    """Return each rule with its count, most first."""
    by_count = sorted(drops.items(), key=lambda item: (-item[1], item[0]))
    return [f"{printable(rule, longest=40)} {count:,}" for rule, count in by_count]


def line(figures: Figures, *, over: bool = False) -> str:
    """Return everything on one line, for logs; without the time left when it is `over`, without zeros before it begins."""
    if not (over or figures.calls or figures.rows or any(one.made for one in figures.stages)):
        under_way = f"{figures.in_flight:,} calls under way" if figures.in_flight else ""
        servers_told = ", ".join(servers(figures.servers)) if figures.servers else ""
        return "; ".join(filter(None, (f"{figures.target:,} rows wanted, none made yet", under_way, servers_told)))
    stages = ", ".join(f"{printable(one.name, longest=40)} {one.accepted}/{one.made}" for one in figures.stages)
    failed = sum(one.failed for one in figures.stages)
    told: Iterable[str] = [
        f"{rows(figures)} in {clock(figures.seconds)}",
        "" if over else ", ".join(pace(figures)),
        ", ".join(traffic(figures)),
        ", ".join(servers(figures.servers)) if figures.servers else "",
        f"kept/made: {stages}",
        f"{failed} failed" if failed else "",
    ]
    return "; ".join(filter(None, told))
