"""prompt and completion as message lists: TRL's SFTTrainer then puts the loss on the answer alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from selfinstruct.exporters._fragments import trl
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

    def fragments(self, train: str, validation: str = "") -> Mapping[str, str]:
        """TRL's lines."""
        return trl("SFT", train, validation)
