"""chosen and rejected as whole conversations, no prompt: the one preference layout that every trainer reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from selfinstruct.exporters._fragments import axolotl, trl
from selfinstruct.exporters.dpo import Dpo
from selfinstruct.stage import task_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from selfinstruct.records import PreferencePair


class DpoConversations(Dpo):
    """TRL (DPO and Reward, prompt implicit), torchtune, open-instruct and axolotl. Never with a prompt column beside them."""

    kind: str = "dpo_conversations"

    def rows(self, records: Iterator[PreferencePair]) -> Iterator[dict[str, Any]]:
        """Yield chosen, rejected, their scores and the margin; the user turn is the same in both."""
        for pair in records:
            asked = self.turn("user", task_text(pair))
            yield {
                "chosen": asked + self.turn("assistant", pair.chosen),
                "rejected": asked + self.turn("assistant", pair.rejected),
                "score_chosen": pair.chosen_score,
                "score_rejected": pair.rejected_score,
                "margin": pair.margin,
            }

    def fragments(self, train: str, validation: str = "") -> Mapping[str, str]:
        """TRL's lines, and axolotl's entry."""
        entry = {"type": "chat_template.argilla_chat"}
        return {**trl("DPO", train, validation), **axolotl(train, validation, {"rl": "dpo"}, **entry)}
