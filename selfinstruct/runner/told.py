"""What a worker tells of itself, about once a second: one JSON text. Knows no clock and no table."""

from __future__ import annotations

from collections import Counter

from pydantic import Field

from selfinstruct.records import Frozen
from selfinstruct.runner.plan import Tally


class Told(Frozen):
    """Who it is, what it has counted since it came, and how it ended."""

    host: str
    pid: int
    fates: tuple[tuple[str, str, int], ...] = ()
    """(stage label, fate, count) ..."""
    drops: tuple[tuple[str, str, int], ...] = ()
    """... and (stage label, rule, count)."""
    in_flight: dict[str, int] = Field(default_factory=dict)
    calls: int = 0
    reused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    used: int = 0
    """Answers that its engines are writing now ..."""
    waiting: int = 0
    slots: int = 0
    """... that wait for a place there, and how many places there are."""
    error: str = ""
    """Why it gave up; empty while it works, and when it was no fault."""
    remedy: str = ""
    exit_status: int | None = None

    @classmethod
    def of(cls, tally: Tally, **others: object) -> Told:
        """Return what stands in a tally."""
        return cls.model_validate(
            {
                "fates": [(*key, count) for key, count in tally.fates.items()],
                "drops": [(*key, count) for key, count in tally.drops.items()],
                "in_flight": dict(tally.in_flight),
                "calls": tally.calls,
                "reused": tally.reused,
                "prompt_tokens": tally.prompt_tokens,
                "completion_tokens": tally.completion_tokens,
                **others,
            }
        )

    def tally(self, *, there: bool) -> Tally:
        """Return it as it was counted; who is not there any more has nothing under way."""
        return Tally(
            fates=Counter({(stage, fate): count for stage, fate, count in self.fates}),
            drops=Counter({(stage, rule): count for stage, rule, count in self.drops}),
            in_flight=Counter(self.in_flight if there else {}),
            calls=self.calls,
            reused=self.reused,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
        )
