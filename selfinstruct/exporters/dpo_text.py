"""dpo with plain strings: for completion models, where no chat template is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfinstruct.exporters._fragments import llama_factory
from selfinstruct.exporters.dpo import Dpo

if TYPE_CHECKING:
    from collections.abc import Mapping


class DpoText(Dpo):
    """The same columns as dpo; the prompt ends in a newline, since TRL joins strings as they are."""

    kind: str = "dpo_text"

    def turn(self, role: str, text: str) -> str:
        """Return one side as a string."""
        return f"{text}\n" if role == "user" else text

    def fragments(self, train: str, validation: str = "") -> Mapping[str, str]:
        """Those of dpo, and LLaMA-Factory's `dataset_info.json`, for its stages dpo and rm."""
        entry = {"ranking": True, "columns": {name: name for name in ("prompt", "chosen", "rejected")}}
        return {**super().fragments(train, validation), **llama_factory("selfinstruct_dpo", train, validation, **entry)}
