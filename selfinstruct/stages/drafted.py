"""Takes the input and output that an instruction was drafted with (alpaca). Asks no model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from selfinstruct.errors import CallError
from selfinstruct.records import Dropped, Instance, Instruction
from selfinstruct.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfinstruct.stage import Work


class Drafted(Stage[Instruction, Instance]):
    """One instance per instruction, as written in the same breath."""

    kind: Literal["drafted"] = "drafted"
    free: ClassVar[bool] = True

    async def process(self, record: Instruction, work: Work) -> Sequence[Instance | Dropped]:
        """Return the drafted instance."""
        if record.output is None:
            msg = "the instruction was proposed without input and output"
            raise CallError(msg, remedy="use a bootstrap stage with `format: blocks`")
        return [work.make(Instance, input=record.input or "", output=record.output)]
