"""dpo with plain strings: for completion models, where no chat template is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from selfinstruct.exporters.dpo import Dpo

if TYPE_CHECKING:
    from collections.abc import Mapping


class DpoText(Dpo):
    """The same columns as dpo; the prompt ends in a newline, since TRL joins strings as they are."""

    kind: Literal["dpo_text"] = "dpo_text"  # type: ignore[assignment] - a narrower literal per class is the point

    def turn(self, role: str, text: str) -> str:
        """Return one side as a string."""
        return f"{text}\n" if role == "user" else text

    def fragments(self, file_name: str) -> Mapping[str, str]:
        """LLaMA-Factory reads other columns; TRL takes the file as it is."""
        return super().fragments(file_name)
