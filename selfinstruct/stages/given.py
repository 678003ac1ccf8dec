"""Starts from the rows of a file instead of a model's proposals: request number k is row k. Asks no model."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from selfinstruct.files import sha256
from selfinstruct.records import Dropped, DropReason, Instruction, Request
from selfinstruct.stage import Stage
from selfinstruct.tables import read_table
from selfinstruct.text.reply import harmless

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfinstruct.stage import Work


class Given(Stage[Request, Instruction]):
    """One instruction with input and output per row of an Alpaca-shaped file."""

    kind: Literal["given"] = "given"
    file: str
    """JSON, JSONL, CSV or Parquet with the columns instruction, input (may be absent) and output."""
    free: ClassVar[bool] = True

    def requests(self) -> int | None:
        """Return the number of rows."""
        return len(self.table)

    def inputs(self, *, language: str) -> dict[str, str]:
        """Return the digest of the file's bytes: another file is another run."""
        return {**super().inputs(language=language), f"file {Path(self.file).name}": sha256(Path(self.file))}

    @cached_property
    def table(self) -> list[dict[str, Any]]:
        """The rows of the file, as they stand there."""
        return [row for _, row in read_table(Path(self.file), needed=("instruction", "output"))]

    async def process(self, record: Request, work: Work) -> Sequence[Instruction | Dropped]:
        """Return the row as an instruction, or a drop when it holds no texts."""
        row = self.table[record.number]
        texts = [row.get(name) for name in ("instruction", "input", "output")]
        texts[1] = texts[1] or ""
        if not all(isinstance(text, str) for text in texts) or not str(texts[0]).strip():
            return [Dropped(reason=DropReason(rule="no_text", figure=record.number), text=str(row)[:2000])]
        instruction, given, output = (harmless(str(text)) for text in texts)
        return [work.make(Instruction, text=instruction, input=given, output=output)]
