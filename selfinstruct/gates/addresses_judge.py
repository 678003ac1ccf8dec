"""Drops answers that speak to their judge: whatever score they got, a model that learns from them learns to beg for scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from selfinstruct.records import DropReason, Instance, Instruction, Response
from selfinstruct.stage import Gate
from selfinstruct.text.addresses import talks

if TYPE_CHECKING:
    from selfinstruct.records import Row
    from selfinstruct.stage import Work


class AddressesJudge(Gate):
    """For responses, before anybody is asked about them, or for rows; the evidence is the place that was found."""

    kind: Literal["addresses_judge"] = "addresses_judge"

    def reason_to_drop(self, record: Response | Row, work: Work) -> DropReason | None:
        """Look through the answer, its task and its input."""
        answer = record.text if isinstance(record, Response) else record.output
        found = talks(answer, task=work.ancestor(Instruction).text, given=work.ancestor(Instance).input)
        return DropReason(rule="addresses_judge", evidence={"found": found}) if found else None
