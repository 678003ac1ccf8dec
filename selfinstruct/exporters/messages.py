"""messages: one user turn, one assistant turn. Read by TRL (loss on all tokens), axolotl, open-instruct, torchtune."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from selfinstruct.exporters._fragments import axolotl, llama_factory, trl
from selfinstruct.stage import Exporter, answer_text, task_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from selfinstruct.records import Row


class Messages(Exporter):
    """Never together with prompt and completion in one file: TRL would silently take those."""

    kind: Literal["messages"] = "messages"
    reasoning: bool = False
    """Put the trace before the answer, where there is one."""

    def rows(self, records: Iterator[Row]) -> Iterator[dict[str, Any]]:
        """Yield one conversation per row."""
        for row in records:
            turns = (("user", task_text(row)), ("assistant", answer_text(row, reasoning=self.reasoning)))
            yield {"messages": [{"role": role, "content": content} for role, content in turns]}

    def fragments(self, train: str, validation: str = "") -> Mapping[str, str]:
        """LLaMA-Factory's `dataset_info.json`, axolotl's entry and TRL's lines.

        LLaMA-Factory's own `formatting: openai` would add a system turn that nobody asked for (its converter.py, 2026-08).
        """
        tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
        entry = {
            "formatting": "sharegpt",
            "columns": {"messages": "messages"},
            "tags": {**tags, "system_tag": "system"},
        }
        return {
            **llama_factory("selfinstruct_chat", train, validation, **entry),
            **axolotl(train, validation, type="chat_template"),
            **trl("SFT", train, validation),
        }
