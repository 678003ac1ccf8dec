"""How other people's code uses the public names. Nothing runs: `make types` checks that it would be right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from selfinstruct import DropReason, Gate, Instruction, NoveltyIndex, Recipe, Report, Row, Stage, Work, run_sync
from selfinstruct.stage import Exporter


class LongOnes(Gate):
    """A gate is its config and one method."""

    kind: Literal["mine:LongOnes"] = "mine:LongOnes"
    least: int = 20

    def reason_to_drop(self, record: Instruction, work: Work) -> DropReason | None:
        """Drop what is short."""
        del work
        short = len(record.text) < self.least
        return DropReason(rule="short", figure=len(record.text), threshold=self.least) if short else None


class Echo(Stage[Instruction, Row]):
    """A stage says what it reads and writes."""

    kind: Literal["mine:Echo"] = "mine:Echo"

    async def process(self, record: Instruction, work: Work) -> list[Row]:
        """Make one row."""
        return [work.make(Row, instruction=record.text, input="", output=record.text)]


def grow(recipe: Recipe, folder: Path) -> int:
    """Run, and read the books."""
    report: Report = run_sync(recipe, folder, target=10)
    return report.accounts.ledger.accepted


def novel(texts: list[str]) -> list[str]:
    """Use the index alone."""
    index = NoveltyIndex(threshold=0.7)
    kept = [text for text in texts if index.add_if_novel(text)]
    score: float = index.nearest(texts[0], 3)[0].score
    return kept if score else []


class Shouting(Exporter):
    """An exporter gives rows."""

    kind: str = "mine:Shouting"

    def rows(self, records: Iterator[Row]) -> Iterator[dict[str, Any]]:
        """Yield one dict per row."""
        for row in records:
            yield {"text": row.output.upper()}
