"""prompt, chosen, rejected with an explicit prompt: message lists by default, or plain strings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from selfinstruct.records import PreferencePair, Record
from selfinstruct.stage import Exporter, task_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Dpo(Exporter):
    """chosen and rejected hold the answers alone: with the prompt in them TRL would train on it twice."""

    kind: str = "dpo"
    reads: ClassVar[type[Record]] = PreferencePair

    def rows(self, records: Iterator[PreferencePair]) -> Iterator[dict[str, Any]]:
        """Yield prompt, chosen, rejected, their scores and the margin."""
        for pair in records:
            yield {
                "prompt": self.turn("user", task_text(pair)),
                "chosen": self.turn("assistant", pair.chosen),
                "rejected": self.turn("assistant", pair.rejected),
                "score_chosen": pair.chosen_score,
                "score_rejected": pair.rejected_score,
                "margin": pair.margin,
            }

    def turn(self, role: str, text: str) -> Any:  # noqa: ANN401 - a message list here, a string in dpo_text
        """Return one side as a list of one message."""
        return [{"role": role, "content": text}]

    def fragments(self, file_name: str) -> Mapping[str, str]:
        """TRL's lines."""
        return {"trl_dpo.py": _TRL.format(file=json.dumps(file_name)[1:-1])}


_TRL = '''"""Train on {file} with TRL: pip install trl; python trl_dpo.py"""

from datasets import load_dataset
from trl import DPOConfig, DPOTrainer

MODEL = "MODEL"  # put yours here

DPOTrainer(
    model=MODEL,
    args=DPOConfig(output_dir="dpo"),
    train_dataset=load_dataset("json", data_files="{file}", split="train"),
).train()
'''
