"""instruction, input, output, text: what Stanford Alpaca published, read by LLaMA-Factory and axolotl."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from selfinstruct import prompts
from selfinstruct.exporters._fragments import axolotl, llama_factory
from selfinstruct.stage import Exporter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from selfinstruct.records import Row


class Alpaca(Exporter):
    """`text` is the whole training text, with and without an input."""

    kind: Literal["alpaca"] = "alpaca"

    def rows(self, records: Iterator[Row]) -> Iterator[dict[str, Any]]:
        """Yield four texts per row."""
        for row in records:
            values = {"instruction": row.instruction, "input": row.input, "output": row.output}
            name = "alpaca_text" if row.input else "alpaca_text_no_input"
            yield {**values, "text": prompts.render(name, **values)}

    def fragments(self, train: str, validation: str = "") -> Mapping[str, str]:
        """LLaMA-Factory's `dataset_info.json`, and axolotl's dataset entry."""
        columns = {"prompt": "instruction", "query": "input", "response": "output"}
        return {
            **llama_factory("selfinstruct_sft", train, validation, columns=columns),
            **axolotl(train, validation, type="alpaca"),
        }
