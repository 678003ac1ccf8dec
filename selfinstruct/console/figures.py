"""What is shown of a run at one moment: the one set of figures behind panel, lines, events, metrics and `watch`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from selfinstruct.engines.base import ServerState
from selfinstruct.pace import Pace
from selfinstruct.records import Frozen

if TYPE_CHECKING:
    from collections.abc import Hashable

    from selfinstruct.pipeline import Progress

SCHEMA = 1
"""Of the fields below, as written to events and progress.json. Fields may come; one that goes or changes raises it."""
TOKEN_SECONDS, STAGE_SECONDS = 30.0, 60.0
"""Windows of tokens per second, and of what a stage makes per minute."""


class TimeLeft(Frozen):
    """Seconds until the target is reached; four times in five between `least` and `most`."""

    seconds: float
    least: float
    most: float


class StageFigures(Frozen):
    """One stage, work of earlier invocations included."""

    name: str
    made: int
    accepted: int
    dropped: int
    failed: int
    in_flight: int
    """Records that it is working on."""
    per_min: float | None
    """Records made per minute of the last one; None in the first second."""
    drops: dict[str, int]
    """Dropped records by rule."""


class ServerFigures(ServerState):
    """One server, with the share of looked-up prompt tokens that its prefix cache held (None where it tells nothing)."""

    prefix_hit_rate: float | None = None


class Figures(Frozen):
    """One moment of a run."""

    time: float
    """When, in seconds since 1970."""
    seconds: float
    """Since this invocation began."""
    rows: int
    """Finished rows, in any order: the run ends when the first `target` in order are finished."""
    target: int
    rows_per_min: float | None
    """Over the time that `left` is reckoned from: the last two thirds since the first row, at most ten minutes."""
    left: TimeLeft | None
    """None when it is too early to say."""
    calls: int
    prompt_tokens: int
    completion_tokens: int
    """Of the whole run, earlier invocations included ..."""
    prompt_tokens_per_s: float | None
    completion_tokens_per_s: float | None
    """... and over the last 30 s of this one. Counted when an answer has come."""
    in_flight: int
    slots: int
    waiting: int
    """Answers being written, places for them, and answers that wait for one."""
    models: tuple[str, ...]
    servers: tuple[ServerFigures, ...]
    stages: tuple[StageFigures, ...]


class Meter:
    """Turns what the pipeline tells into figures. Cheap: called from the loop that keeps the servers busy."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._pace = Pace()

    def __call__(self, progress: Progress) -> Figures:
        """Return the figures of this moment; nothing in them changes with the run."""
        tally, pace = progress.tally, self._pace
        made = {label: _made(progress, label) for label in progress.stages}
        counts: dict[Hashable, float] = {("stage", label): count for label, count in made.items()}
        counts |= {"rows": progress.rows, "prompt": tally.prompt_tokens, "completion": tally.completion_tokens}
        if progress.models:  # else what is stored is not counted yet, and would look like a great leap
            pace.add(progress.seconds, counts)
        # Rows that are ahead of the order count for it only when what stands before them has come to its end.
        ahead = 0 if progress.settled is None else progress.rows - progress.settled
        speed, left = pace.speed("rows"), pace.left("rows", progress.target + ahead)
        return Figures(
            time=time.time(),
            seconds=progress.seconds,
            rows=progress.rows,
            target=progress.target,
            rows_per_min=None if speed is None else 60 * speed,
            left=None if left is None else TimeLeft(seconds=left.seconds, least=left.least, most=left.most),
            calls=tally.calls,
            prompt_tokens=tally.prompt_tokens,
            completion_tokens=tally.completion_tokens,
            prompt_tokens_per_s=pace.rate("prompt", over=TOKEN_SECONDS),
            completion_tokens_per_s=pace.rate("completion", over=TOKEN_SECONDS),
            in_flight=progress.in_flight,
            slots=progress.slots,
            waiting=progress.waiting,
            models=progress.models,
            servers=tuple(map(_server, progress.servers)),
            stages=tuple(self._stage(progress, label, made[label]) for label in progress.stages),
        )

    def _stage(self, progress: Progress, label: str, made: int) -> StageFigures:
        fates = progress.tally.fates
        rate = self._pace.rate(("stage", label), over=STAGE_SECONDS)
        return StageFigures(
            name=label,
            made=made,
            accepted=fates[label, "accepted"],
            dropped=fates[label, "dropped"],
            failed=fates[label, "failed"],
            in_flight=progress.tally.in_flight[label],
            per_min=None if rate is None else 60 * rate,
            drops={rule: count for (stage, rule), count in progress.tally.drops.items() if stage == label and count},
        )


def _made(progress: Progress, label: str) -> int:
    return sum(progress.tally.fates[label, fate] for fate in ("accepted", "dropped", "failed"))


def _server(state: ServerState) -> ServerFigures:
    rate = (state.prefix_hits or 0) / state.prefix_queries if state.prefix_queries else None
    return ServerFigures(**state.model_dump(), prefix_hit_rate=rate)
