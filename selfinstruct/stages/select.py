"""Makes the finished row of an instance: the instance with its best answer. Asks no model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import model_validator

from selfinstruct import judged
from selfinstruct.errors import CallError
from selfinstruct.records import Classification, Dropped, DropReason, Instance, Instruction, Row
from selfinstruct.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfinstruct.stage import Work


class Select(Stage[Instance, Row]):
    """Best of N: the answer with the highest score; the earliest among equals."""

    kind: Literal["select"] = "select"
    answer: Literal["best-of-n", "first", "own"] = "best-of-n"
    """best-of-n: the best-scored response (rejection sampling). first: the first one. own: the output that the instance was
    written with."""
    free: ClassVar[bool] = True

    @model_validator(mode="after")
    def _scored(self) -> Self:
        if self.answer == "own" and any(gate.kind == "score" for gate in self.gates):
            msg = "`answer: own` takes what nobody judged: the gate `score` would drop every row"
            raise ValueError(msg)
        return self

    async def process(self, record: Instance, work: Work) -> Sequence[Row | Dropped]:
        """Return one row, or one drop when no answer is left to choose from."""
        answer, score, reasoning = self._choose(record, work)
        if answer is None:
            if work.failed_below:
                msg = f"no answer could be judged: {work.failed_below} failed"
                raise CallError(msg)
            return [Dropped(reason=DropReason(rule="no_answer", figure=0, threshold=1))]
        kinds = [one for one in work.ancestors if isinstance(one, Classification)]
        row = work.make(
            Row,
            instruction=work.ancestor(Instruction).text,
            input=record.input,
            output=answer,
            score=score,
            is_classification=kinds[-1].is_classification if kinds else None,
            reasoning=reasoning,
        )
        return [row]

    def _choose(self, record: Instance, work: Work) -> tuple[str | None, float | None, str]:
        """Return the answer, its score and its trace; None for an answer that is not there."""
        if self.answer == "own":
            return record.output, None, ""
        if self.answer == "first":
            first = next(iter(judged.below(work)), None)
            return (None, None, "") if first is None else (first.text, first.score, first.reasoning)
        best = next(iter(judged.best_first(judged.below(work))), None)
        return (None, None, "") if best is None else (best.text, best.score, best.reasoning)
