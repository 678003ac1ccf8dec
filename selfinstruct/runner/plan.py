"""What a run is to do, what may stop it, what is counted meanwhile. Plain values: no task, no store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from selfinstruct.judged import aspects
from selfinstruct.price import Price
from selfinstruct.records import Fate
from selfinstruct.stage import Stage, stage_parents

if TYPE_CHECKING:
    from selfinstruct.errors import SelfInstructError

AnyStage = Stage[Any, Any]


DRAIN_SECONDS = 60.0
"""Answers still under way when a run is stopped are awaited for so long, unless said otherwise; then their records stay open."""


class StopError(Exception):
    """Raised inside a lineage when the run stops: its work stays open."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does: its stages with their fingerprints, the seed and the language. Equal plans, equal ids."""

    stages: tuple[AnyStage, ...]
    fingerprints: Mapping[str, str]
    seed: int
    language: str
    stop_requests: int
    """Look at this many of the latest requests, in request order ..."""
    stop_rows: int
    """... and stop when they gave fewer rows than this ..."""
    stop_novel: float = 0.0
    """... or when fewer than this share of their candidates passed the novelty gate."""

    @property
    def root(self) -> AnyStage:
        """The first stage: the one that reads requests."""
        return self.stages[0]

    def children(self) -> dict[str, list[AnyStage]]:
        """Return label -> the stages that read what that one writes, in recipe order."""
        parents = stage_parents(self.stages)
        return {stage.label: [c for c in self.stages if parents[c.label] == stage.label] for stage in self.stages}

    def aspects(self) -> int:
        """Return how many verdicts make a score: `Work.aspects`."""
        return aspects(self.stages)


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps; None means none. `tokens` and `cost` count the whole run, `seconds` this invocation."""

    seconds: float | None = None
    tokens: int | None = None
    cost: float | None = None
    """In the currency of `price`, which says what tokens and hours cost."""
    price: Price = field(default_factory=Price)
    drain: float = DRAIN_SECONDS
    """Seconds that answers under way are awaited when the run is stopped."""


@dataclass(slots=True)
class Tally:
    """What is on record, kept up to date for whoever watches. Keys are (stage label, fate) and (stage label, rule)."""

    fates: Counter[tuple[str, str]] = field(default_factory=Counter)
    drops: Counter[tuple[str, str]] = field(default_factory=Counter)
    in_flight: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    reused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def count(self, stage: str, fate: Fate, *, rule: str | None = None, by: int = 1) -> None:
        """Add `by` rows of a fate."""
        self.fates[stage, fate.value] += by
        if rule is not None:
            self.drops[stage, rule] += by

    def add(self, other: Tally, *, less: Tally | None = None) -> None:
        """Add what another has counted, or what it has counted since it stood at `less`."""
        before = less or Tally()
        for mine, new, old in (
            (self.fates, other.fates, before.fates),
            (self.drops, other.drops, before.drops),
        ):
            mine.update(new)
            mine.subtract(old)
        self.in_flight.update(other.in_flight)
        self.in_flight.subtract(before.in_flight)
        self.calls += other.calls - before.calls
        self.reused += other.reused - before.reused
        self.prompt_tokens += other.prompt_tokens - before.prompt_tokens
        self.completion_tokens += other.completion_tokens - before.completion_tokens

    @contextmanager
    def working(self, stage: str) -> Iterator[None]:
        """Count a piece of work as under way for as long as it is."""
        self.in_flight[stage] += 1
        try:
            yield
        finally:
            self.in_flight[stage] -= 1


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: filled, exhausted (no further request), collapsed, time, tokens, cost, interrupted, or error."""

    reason: str
    closing: str | None = None
    """Path below which the order was filled; what lies beyond is surplus."""
    error: SelfInstructError | None = None
