"""The rows of dpo for a reward model: TRL's RewardTrainer puts `margin` into its loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfinstruct.exporters._fragments import trl
from selfinstruct.exporters.dpo import Dpo

if TYPE_CHECKING:
    from collections.abc import Mapping


class Reward(Dpo):
    """`margin` is the difference of the judge's scores, above zero: -log sigmoid(chosen - rejected - margin) is what falls.

    A margin of 2 points therefore asks for 2 units of reward; divide the column, or leave it out, for a flatter model.
    """

    kind: str = "reward"

    def fragments(self, train: str, validation: str = "") -> Mapping[str, str]:
        """TRL's lines. axolotl's reward models want other columns, LLaMA-Factory's take dpo_text."""
        return trl("Reward", train, validation)
