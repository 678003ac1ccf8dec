"""Drops an instruction that is too like a seed or an accepted one: ROUGE-L F above the threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from selfinstruct.records import DropReason
from selfinstruct.stage import Gate
from selfinstruct.text.rouge import NoveltyIndex

if TYPE_CHECKING:
    from selfinstruct.records import Instruction
    from selfinstruct.stage import Work


class Rouge(Gate):
    """Self-Instruct's novelty rule: keep only if no earlier instruction scores above 0.7."""

    novelty: ClassVar[bool] = True
    kind: Literal["rouge"] = "rouge"
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.7
    """Highest F that is kept (strictly above drops)."""
    tokenizer: Literal["rouge", "unicode"] = "unicode"
    """rouge: rouge_score's own, a-z and 0-9 only. unicode: the same on ASCII text, sensible in every script."""

    def reason_to_drop(self, record: Instruction, work: Work) -> DropReason | None:
        """Compare with all seeds and everything accepted so far."""
        rival = work.pool.index(self, self._index).rival(record.text)
        if rival is None:
            return None
        evidence = {"nearest": rival.text, "tokenizer": self.tokenizer}
        return DropReason(rule="rouge", figure=rival.score, threshold=self.threshold, evidence=evidence)

    def _index(self) -> NoveltyIndex:
        return NoveltyIndex(self.threshold, tokenizer=self.tokenizer)
