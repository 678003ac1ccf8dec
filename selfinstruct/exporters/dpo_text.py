"""dpo with plain strings: for completion models, where no chat template is wanted."""

from __future__ import annotations

from selfinstruct.exporters.dpo import Dpo


class DpoText(Dpo):
    """The same columns as dpo; the prompt ends in a newline, since TRL joins strings as they are."""

    kind: str = "dpo_text"

    def turn(self, role: str, text: str) -> str:
        """Return one side as a string."""
        return f"{text}\n" if role == "user" else text
