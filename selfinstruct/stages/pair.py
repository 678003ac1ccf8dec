"""Pairs two judged answers of an instance, the better one first. Asks no model."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from selfinstruct.records import Dropped, DropReason, Instance, Instruction, Judgement, PreferencePair, Response
from selfinstruct.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfinstruct.stage import Work


class Pair(Stage[Instance, PreferencePair]):
    """One pair per instance at most: no tie, no equal texts, and the chosen answer good enough to learn from."""

    kind: Literal["pair"] = "pair"
    strategy: Literal["zephyr", "max-min"] = "zephyr"
    """zephyr: the best against a random other one (Zephyr's binarisation). max-min: the best against the worst."""
    least_chosen: float = 4.5
    """The chosen answer scores at least this."""
    least_margin: Annotated[float, Field(gt=0)] = 0.5
    """Chosen minus rejected is at least this; above zero, so a tie is never a pair."""
    free: ClassVar[bool] = True

    async def process(self, record: Instance, work: Work) -> Sequence[PreferencePair | Dropped]:
        """Return one pair, or one drop that says which guard refused it."""
        texts = {one.id: one.text for one in work.find_below(Response)}
        judged = sorted(work.find_below(Judgement), key=lambda one: -one.score)
        if len(judged) < 2:  # noqa: PLR2004 - a pair has two
            return [Dropped(reason=DropReason(rule="too_few_answers", figure=len(judged), threshold=2))]
        best, others = judged[0], [one for one in judged[1:] if texts[one.parent] != texts[judged[0].parent]]
        if best.score < self.least_chosen:
            return [Dropped(reason=DropReason(rule="chosen_score", figure=best.score, threshold=self.least_chosen))]
        if not others:
            return [Dropped(reason=DropReason(rule="equal_text", figure=len(judged)))]
        lower = [one for one in others if best.score - one.score >= self.least_margin]
        if not lower:
            margin = best.score - others[-1].score
            return [Dropped(reason=DropReason(rule="margin", figure=margin, threshold=self.least_margin))]
        draw = Random(f"{work.run_seed}:{record.id}")  # noqa: S311 - repeatable sampling, not secrecy
        rejected = lower[-1] if self.strategy == "max-min" else draw.choice(lower)
        pair = work.make(
            PreferencePair,
            instruction=work.ancestor(Instruction).text,
            input=record.input,
            chosen=texts[best.parent],
            rejected=texts[rejected.parent],
            chosen_score=best.score,
            rejected_score=rejected.score,
        )
        return [pair]
