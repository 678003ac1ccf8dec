"""prompt, chosen, rejected with an explicit prompt: message lists by default, or plain strings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from selfinstruct.exporters._fragments import axolotl, trl
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

    def fragments(self, train: str, validation: str = "") -> Mapping[str, str]:
        """TRL's lines, and axolotl's entry; LLaMA-Factory reads dpo_text: of message lists it would take neither answer."""
        entry = {"type": "chat_template.default", "field_messages": "prompt"}
        return {**trl("DPO", train, validation), **axolotl(train, validation, {"rl": "dpo"}, **entry)}
