"""Takes the output that an instance already has as its one response, to be judged. Asks no model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from selfinstruct.records import Dropped, DropReason, Instance, Response
from selfinstruct.stage import Stage
from selfinstruct.text.reasoning import split_reasoning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfinstruct.stage import Work


class Answered(Stage[Instance, Response]):
    """One response per instance: its own output."""

    kind: Literal["answered"] = "answered"
    written_by: str = ""
    """Model that wrote the answers, where it is known: a judge of its family is told."""
    free: ClassVar[bool] = True

    async def process(self, record: Instance, work: Work) -> Sequence[Response | Dropped]:
        """Return the output as a response, its trace apart; a drop where no answer is left."""
        found = parts(record.output)
        if isinstance(found, DropReason):
            return [Dropped(reason=found, text=record.output)]
        reasoning, answer = found
        made = record.provenance.model_copy(update={"stage": work.stage, "model": self.written_by})
        return [work.make(Response, text=answer, reasoning=reasoning, provenance=made)]


def parts(text: str) -> tuple[str, str] | DropReason:
    """Return (reasoning, answer) of what a model wrote, or that there is no answer."""
    reasoning, answer = split_reasoning(text)
    return (reasoning, answer) if answer.strip() else DropReason(rule="empty", figure=0, threshold=1)
