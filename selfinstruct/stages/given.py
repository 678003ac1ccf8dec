"""Starts from the rows of a file instead of a model's proposals: request number k is row k. Asks no model."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from selfinstruct.files import sha256
from selfinstruct.records import Dropped, DropReason, Instruction, Request
from selfinstruct.stage import Stage
from selfinstruct.tables.layouts import Found, Layout, Task, parse_columns, read_tasks
from selfinstruct.tables.turns import ASSISTANT
from selfinstruct.text.reasoning import split_reasoning
from selfinstruct.text.reply import harmless

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfinstruct.stage import Work

EXCERPT = 2000
"""Characters of a row without a task that its drop shows."""


class Given(Stage[Request, Instruction]):
    """One instruction per answer in a row: two of a preference, chosen first; of seed tasks as many as instances."""

    kind: Literal["given"] = "given"
    file: str
    """JSON, JSONL, CSV or Parquet in any usual layout: Alpaca, prompt and completion, messages, preferences, seed tasks."""
    columns: str = ""
    """Roles by name where the columns do not tell them: `instruction=question,output=answer`."""
    free: ClassVar[bool] = True

    def requests(self) -> int | None:
        """Return the number of rows."""
        return len(self.table)

    def inputs(self, *, language: str) -> dict[str, str]:
        """Return the digest of the file's bytes: another file is another run."""
        return {**super().inputs(language=language), f"file {Path(self.file).name}": sha256(Path(self.file))}

    @property
    def table(self) -> list[Found]:
        """The rows of the file with their tasks, or why they have none."""
        return self._read[1]

    @property
    def layout(self) -> Layout:
        """Which column plays which role."""
        return self._read[0]

    @cached_property
    def _read(self) -> tuple[Layout, list[Found]]:
        layout, found = read_tasks(Path(self.file), named=parse_columns(self.columns))
        return layout, list(found)

    async def process(self, record: Request, work: Work) -> Sequence[Instruction | Dropped]:
        """Return what the row holds, or a drop when it holds no task."""
        found = self.table[record.number]
        if (reason := no_text(found)) is not None:
            return [Dropped(reason=reason, text=harmless(str(found.row.value))[:EXCERPT])]
        return [
            work.make(
                Instruction, text=harmless(task.instruction), input=harmless(input_of(task)), output=harmless(answer)
            )
            for task in found.tasks
            for answer in answers(task)
        ]


def no_text(found: Found) -> DropReason | None:
    """Return why a row holds no task; None where it holds one."""
    problem = found.problem or ("" if any(task.asked.strip() for task in found.tasks) else "no instruction")
    return DropReason(rule="no_text", figure=harmless(problem)[:EXCERPT]) if problem else None


def answers(task: Task) -> tuple[str, ...]:
    """Return the answers of a task in a file: one, or the chosen and the rejected one."""
    return (task.output,) if task.rejected is None else (task.output, task.rejected)


def input_of(task: Task) -> str:
    """Return the input, with what was said before the last turn (no traces): a judge has to know it, and a pair is about it."""
    earlier = "\n\n".join(
        f"{turn.role}: {split_reasoning(turn.text)[1] if turn.role == ASSISTANT else turn.text}"
        for turn in task.earlier
    )
    return "\n\n".join(part for part in (earlier, task.input) if part)
