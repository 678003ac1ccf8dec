"""Pairs two judged answers of an instance, the better one first. Asks no model."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, ClassVar, Literal

from selfinstruct import judged
from selfinstruct.pairing import Guards, Strategy, pair
from selfinstruct.records import Dropped, DropReason, Instance, Instruction, PreferencePair, content_id
from selfinstruct.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfinstruct.stage import Work


class Pair(Stage[Instance, PreferencePair], Guards):
    """One pair per instance at most: no tie, no equal texts, no great gap in length, the chosen answer good enough."""

    kind: Literal["pair"] = "pair"
    strategy: Strategy = "zephyr"
    """zephyr: the best against a random other one. max-min: against the worst. margin: against the nearest one below."""
    free: ClassVar[bool] = True

    def thresholds(self) -> dict[str, float]:
        """Return the score that the chosen answer is held against."""
        return {**super().thresholds(), "least_chosen": self.least_chosen}

    def margins(self) -> dict[str, float]:
        """Return the margin that a pair must have."""
        return {"least_margin": self.least_margin}

    async def process(self, record: Instance, work: Work) -> Sequence[PreferencePair | Dropped]:
        """Return one pair, or one drop that says which guard refused it."""
        draw = Random(f"{work.run_seed}:{record.id}")  # noqa: S311 - repeatable sampling, not secrecy
        found = pair(judged.below(work), strategy=self.strategy, guards=self, draw=draw)
        if isinstance(found, DropReason):
            return [Dropped(reason=found)]
        chosen, rejected = found
        made = work.make(
            PreferencePair,
            id=content_id(work.id, chosen.id, rejected.id),  # another pair than before a retry is another record
            instruction=work.ancestor(Instruction).text,
            input=record.input,
            chosen=chosen.text,
            rejected=rejected.text,
            chosen_score=chosen.score,
            rejected_score=rejected.score,
        )
        return [made]
