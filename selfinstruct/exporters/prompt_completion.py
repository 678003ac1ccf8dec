"""prompt and completion as message lists: TRL's SFTTrainer then puts the loss on the answer alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from selfinstruct.stage import Exporter, answer_text, task_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from selfinstruct.records import Row


class PromptCompletion(Exporter):
    """The best default for TRL (facts on export formats: labels of the prompt are -100)."""

    kind: Literal["prompt_completion"] = "prompt_completion"
    reasoning: bool = False
    """Put the trace before the answer, where there is one."""

    def rows(self, records: Iterator[Row]) -> Iterator[dict[str, Any]]:
        """Yield two message lists per row."""
        for row in records:
            yield {
                "prompt": [{"role": "user", "content": task_text(row)}],
                "completion": [{"role": "assistant", "content": answer_text(row, reasoning=self.reasoning)}],
            }

    def fragments(self, file_name: str) -> Mapping[str, str]:
        """TRL's lines."""
        return {"trl_sft.py": _TRL.format(file=file_name)}


_TRL = '''"""Train on {file} with TRL: pip install trl; python trl_sft.py"""

from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

MODEL = "MODEL"  # put yours here

SFTTrainer(
    model=MODEL,
    args=SFTConfig(output_dir="sft"),
    train_dataset=load_dataset("json", data_files="{file}", split="train"),
).train()
'''
