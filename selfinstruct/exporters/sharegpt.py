"""conversations of from and value, roles human and gpt: what LLaMA-Factory takes by default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from selfinstruct.exporters._fragments import axolotl, llama_factory
from selfinstruct.stage import Exporter, task_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from selfinstruct.records import Row


class Sharegpt(Exporter):
    """For LLaMA-Factory and axolotl. TRL takes such a file without a word and trains on roles that templates do not know."""

    kind: Literal["sharegpt"] = "sharegpt"

    def rows(self, records: Iterator[Row]) -> Iterator[dict[str, Any]]:
        """Yield one conversation per row, a human turn and a gpt turn: LLaMA-Factory skips any other order."""
        for row in records:
            turns = (("human", task_text(row)), ("gpt", row.output))
            yield {"conversations": [{"from": role, "value": text} for role, text in turns]}

    def fragments(self, train: str, validation: str = "") -> Mapping[str, str]:
        """LLaMA-Factory's `dataset_info.json`, and axolotl's entry."""
        entry = {"formatting": "sharegpt", "columns": {"messages": "conversations"}}
        names = {"role": "from", "content": "value"}
        named = {"type": "chat_template", "field_messages": "conversations", "message_property_mappings": names}
        return {
            **llama_factory("selfinstruct_sharegpt", train, validation, **entry),
            **axolotl(train, validation, None, **named),
        }
