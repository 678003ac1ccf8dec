"""What a forecast says, and what it rests on. Every range holds nine times in ten. Knows no store."""

from __future__ import annotations

from typing import Any

from selfinstruct.price import Price
from selfinstruct.records import Frozen


class Range(Frozen):
    """A figure with its range."""

    low: float
    middle: float | None
    """None where nothing was kept, so that only a bound from below is known."""
    high: float | None
    """None where nothing bounds it from above."""


class Share(Frozen):
    """How many of what a stage made it kept."""

    made: int
    kept: int
    low: float
    high: float


class Spend(Frozen):
    """What one stage, or the whole run, takes."""

    calls: Range
    prompt_tokens: Range
    completion_tokens: Range
    seconds: Range | None
    """At the speed of the run that it rests on, shared out by the tokens written; None when that is not known."""
    cost: Range | None
    """In the currency of the prices; None without a price, or where hours are priced and the speed is not known."""


class StageForecast(Frozen):
    """One stage."""

    name: str
    share: Share
    spend: Spend | None
    """None for a stage that asks nothing."""


class Basis(Frozen):
    """What a forecast rests on: the part of a run in which everything has its fate."""

    run: str
    """Its folder."""
    requests: int
    branches: int
    """Records that the first stage made, kept or not: what is compared to tell the spread."""
    rows: int
    calls: int
    seconds: float | None
    """What the whole run took; None when it is under way or was killed."""
    tokens_per_second: float | None
    """Written, in the whole run."""
    places: int | None
    """Answers under way at once, at most; None where the run found the number by itself."""
    full: bool
    """Whether the run was long enough for its speed to be that of a full server; if not, a time is an upper bound."""
    scripted: bool
    """Its answers came from a script: calls and rows tell of the pipeline, tokens and time of no model."""


class Forecast(Frozen):
    """What `rows` rows take, by what a run has shown."""

    rows: int
    price: Price
    basis: Basis
    stages: tuple[StageForecast, ...]
    surplus: Spend
    """What is under way when the last row is found: paid for, and kept for a larger order."""
    total: Spend
    """All stages and the surplus."""
    spent: dict[str, int]
    """Calls and tokens that the run has taken already, everything included: its folder goes on from there."""
    notes: tuple[str, ...]
    """What must be known beside the figures, in sentences."""


class Example(Frozen):
    """One finished row."""

    instruction: str
    input: str
    output: str
    score: float | None


class DropExample(Frozen):
    """Drops by one rule of one stage, and the first of them."""

    stage: str
    rule: str
    count: int
    figure: Any
    threshold: Any
    text: str


class Sample(Frozen):
    """What a small run has brought."""

    rows: tuple[Example, ...]
    drops: tuple[DropExample, ...]
    """Most frequent first."""
