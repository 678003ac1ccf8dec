"""Drops an instruction that is too like a seed or an accepted one: ROUGE-L F above the threshold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from selfinstruct.files import sha256
from selfinstruct.records import DropReason
from selfinstruct.stage import Gate
from selfinstruct.tables import data_files, read_column
from selfinstruct.text.reply import harmless
from selfinstruct.text.rouge import SAVED, NoveltyIndex
from selfinstruct.text.tokens import caution, count_unseen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfinstruct.records import Instruction, SeedTask
    from selfinstruct.stage import Work


class Rouge(Gate):
    """Self-Instruct's novelty rule: keep only if no earlier instruction scores above 0.7."""

    novelty: ClassVar[bool] = True
    located: ClassVar[frozenset[str]] = frozenset({"against"})
    kind: Literal["rouge"] = "rouge"
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.7
    """Highest F that is kept (strictly above drops)."""
    tokenizer: Literal["rouge", "unicode"] = "unicode"
    """rouge: rouge_score's own, a-z and 0-9 only. unicode: the same on ASCII text, sensible in every script."""

    against: tuple[Path, ...] = ()
    """Saved novelty indexes (`dedupe --save-index`) and datasets of other runs or releases: their texts count as earlier."""
    against_field: str = "instruction"
    """Column of the datasets that is compared."""

    def inputs(self) -> dict[str, str]:
        """Return the digests of the files of `against`, by digest: where they lie makes no other rows.

        Raises:
            BadInputError: one is missing, or of no known kind.
        """
        digests = (sha256(file) for path in self.against for file in _files(path))
        return {f"against {digest[:16]}": digest for digest in digests}

    def reason_to_drop(self, record: Instruction, work: Work) -> DropReason | None:
        """Compare with `against`, all seeds and everything accepted so far."""
        rival = work.pool.index(self, self._index).rival(record.text)
        if rival is None:
            return None
        evidence = {"nearest": rival.text, "tokenizer": self.tokenizer}
        return DropReason(rule="rouge", figure=rival.score, threshold=self.threshold, evidence=evidence)

    def caution(self, seeds: Sequence[SeedTask]) -> str:
        """Say when a fair share of the seeds is invisible to the tokenizer."""
        return caution(*count_unseen([seed.instruction for seed in seeds], self.tokenizer))

    def _index(self) -> NoveltyIndex:
        index = NoveltyIndex(self.threshold, tokenizer=self.tokenizer)
        for path in self.against:
            if path.suffix == SAVED:
                index.extend_saved(path)
            else:
                for file in _files(path):
                    index.extend(harmless(str(text)) for text in read_column(file, self.against_field))
        return index


def _files(path: Path) -> list[Path]:
    return [path] if path.suffix == SAVED and path.is_file() else data_files(path)
