"""prompt and all judged answers, best first, with scores and models: for listwise losses, best-of-n and looking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from selfinstruct.judged import Candidate, JudgedTask
from selfinstruct.records import Dropped, DropReason
from selfinstruct.stage import Exporter, task_text

if TYPE_CHECKING:
    from collections.abc import Iterator


class Ranked(Exporter):
    """Takes every accepted instance whose answers were judged, also where no row or pair came of it.

    Equal scores stand in the order of writing; equal texts once, where the best of them stands.
    """

    kind: Literal["ranked"] = "ranked"
    reads: ClassVar[type[Any]] = JudgedTask

    def rows(self, records: Iterator[JudgedTask]) -> Iterator[dict[str, Any] | Dropped]:
        """Yield one list per task; a Dropped for a task with fewer than two texts, or with one score for all."""
        for task in records:
            best: dict[str, Candidate] = {}
            for one in task.scored:
                best.setdefault(one.text, one)
            ranks = list(best.values())
            if len(ranks) < 2:  # noqa: PLR2004 - one answer has no rank
                yield Dropped(reason=DropReason(rule="too_few_answers", figure=len(ranks), threshold=2))
            elif ranks[0].score == ranks[-1].score:
                yield Dropped(reason=DropReason(rule="tie", figure=ranks[0].score))
            else:
                yield {
                    "prompt": [{"role": "user", "content": task_text(task)}],
                    "responses": [one.text for one in ranks],
                    "scores": [one.score for one in ranks],
                    "models": [one.model for one in ranks],
                }
