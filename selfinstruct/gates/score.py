"""Drops a row whose best answer scores too low: AlpaGasus' filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from selfinstruct.judged import below, best_first
from selfinstruct.records import DropReason
from selfinstruct.stage import Gate

if TYPE_CHECKING:
    from selfinstruct.records import Row
    from selfinstruct.stage import Work


class Score(Gate):
    """Keep 4.5 and more (AlpaGasus)."""

    kind: Literal["score"] = "score"
    least: float = 4.5
    """Lowest score kept."""

    def thresholds(self) -> dict[str, float]:
        """Return its one threshold."""
        return {"least": self.least}

    def reason_to_drop(self, record: Row, work: Work) -> DropReason | None:
        """Compare the row's score with the threshold; a row without one cannot pass."""
        if record.score is None:
            return DropReason(rule="unscored", threshold=self.least)
        if record.score >= self.least:
            return None
        verdicts = next((one.verdicts for one in best_first(below(work)) if one.score == record.score), ())
        evidence = {"judge": verdicts[0].judge, "rationale": verdicts[0].rationale} if verdicts else {}
        return DropReason(rule="score", figure=record.score, threshold=self.least, evidence=evidence)
