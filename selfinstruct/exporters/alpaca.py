"""instruction, input, output, text: what Stanford Alpaca published, read by LLaMA-Factory and axolotl."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from selfinstruct import prompts
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

    def fragments(self, file_name: str) -> Mapping[str, str]:
        """LLaMA-Factory's `dataset_info.json`, and axolotl's dataset entry."""
        columns = {"prompt": "instruction", "query": "input", "response": "output"}
        info = {"selfinstruct_sft": {"file_name": file_name, "columns": columns}}
        axolotl = f"datasets:\n  - path: {file_name}\n    ds_type: json\n    type: alpaca\n"
        return {"dataset_info.json": json.dumps(info, indent=2) + "\n", "axolotl.yaml": axolotl}
