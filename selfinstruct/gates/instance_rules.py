"""Drops instances that teach nothing or contradict their siblings (Self-Instruct, prepare_for_finetuning.py)."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Literal

from selfinstruct.records import DropReason, Instance
from selfinstruct.stage import Gate

if TYPE_CHECKING:
    from selfinstruct.stage import Work


class InstanceRules(Gate):
    """Output empty, input equal to output, an end in a colon, one input with two outputs, an exact repetition."""

    kind: Literal["instance_rules"] = "instance_rules"

    def reason_to_drop(self, record: Instance, work: Work) -> DropReason | None:
        """Return the first rule that the instance breaks."""
        given, output = _plain(record.input), _plain(record.output)
        if not output:
            return DropReason(rule="empty_output", figure=0, threshold=1)
        if given == output:
            return DropReason(rule="input_is_output")
        if given.endswith(_COLONS) or output.endswith(_COLONS):
            return DropReason(rule="ends_in_colon")
        siblings = [one for one in work.outputs if isinstance(one, Instance)]
        same = [one for one in siblings if _plain(one.input) == given]
        outputs = {_plain(one.output) for one in same}
        if given and len(outputs) > 1:
            return DropReason(rule="two_outputs", figure=len(outputs), threshold=1)
        first = next(one for one in same if _plain(one.output) == output)
        if first.id != record.id:
            return DropReason(rule="repetition", evidence={"same_as": first.id})
        return None


_COLONS = (":", "\N{FULLWIDTH COLON}")


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()
