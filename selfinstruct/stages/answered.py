"""Takes the output that an instance already has as its one response, to be judged. Asks no model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from selfinstruct.records import Dropped, DropReason, Instance, Response
from selfinstruct.stage import Stage

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
        """Return the output as a response; an empty one is a drop."""
        if not record.output.strip():
            return [Dropped(reason=DropReason(rule="empty", figure=0, threshold=1))]
        made = record.provenance.model_copy(update={"stage": work.stage, "model": self.written_by})
        return [work.make(Response, text=record.output, provenance=made)]
