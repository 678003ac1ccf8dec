"""prompt, completion and a label for every judged answer: good or not. Needs no pairs, so single answers count too."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from selfinstruct.errors import BadInputError, NothingToExportError
from selfinstruct.exporters._fragments import trl
from selfinstruct.judged import JudgedTask
from selfinstruct.records import Dropped, DropReason
from selfinstruct.stage import Exporter, least_kept, task_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from selfinstruct.stage import Stage


class Kto(Exporter):
    """Takes every accepted instance whose answers were judged, also where no row or pair came of it: bad answers teach too.

    No answer stands there twice, and none with both labels. Only TRL reads it: axolotl prints the message lists into its
    prompt, LLaMA-Factory wants conversations.
    """

    kind: Literal["kto"] = "kto"
    reads: ClassVar[type[Any]] = JudgedTask
    least: float | None = None
    """An answer with this score or more is labelled true; by default what the score gate of the run keeps."""
    below: float | None = None
    """One with less than this is labelled false, and what lies between is left out; by default `least`."""

    def fitted(self, stages: Sequence[Stage[Any, Any]]) -> Self:
        """Take the threshold of the score gates of the rows.

        Raises:
            BadInputError: no threshold at all, or one that no score of the judges can be held against.
        """
        least = self.least if self.least is not None else least_kept(stages)
        if least is None:
            msg = "kto cannot tell good answers from bad ones: the run has no score gate"
            raise BadInputError(msg, remedy="name the lowest good score: --set least=4.5")
        scales = [stage.scale for stage in stages if stage.scale is not None] or [(-inf, inf)]
        lowest, highest = min(low for low, _ in scales), max(high for _, high in scales)
        for name, value in (("least", least), ("below", least if self.below is None else self.below)):
            if not lowest <= value <= highest:  # catches NaN too
                msg = f"kto: {name}={value:g} is outside of the judge's scale, {lowest:g} to {highest:g}"
                raise BadInputError(msg, remedy=f"--set {name}=SCORE from {lowest:g} to {highest:g}")
        if self.below is not None and self.below > least:
            msg = f"kto: below={self.below:g} lies above least={least:g}: answers between them would be good and bad"
            raise BadInputError(msg, remedy=f"for instance --set least={self.below:g} --set below={least:g}")
        return self.model_copy(update={"least": least})

    def rows(self, records: Iterator[JudgedTask]) -> Iterator[dict[str, Any] | Dropped]:
        """Yield prompt, completion, label and score; a Dropped for answers unscored, between, repeated or contradictory.

        Raises:
            NothingToExportError: all labels are alike; it would train without an error, to no purpose.
        """
        labelled = {True: 0, False: 0}
        for task in records:
            labels: dict[str, set[bool]] = {}
            for one in task.scored:
                if (label := self._label(one.score)) is not None:
                    labels.setdefault(one.text, set()).add(label)
            done = set()
            for one in task.candidates:
                if one.score is None:
                    yield _left_out("unscored")
                elif (label := self._label(one.score)) is None:
                    yield _left_out("between")
                elif len(labels[one.text]) > 1:
                    yield _left_out("both_labels")
                elif one.text in done:
                    yield _left_out("equal_text")
                else:
                    done.add(one.text)
                    labelled[label] += 1
                    yield {
                        "prompt": [{"role": "user", "content": task_text(task)}],
                        "completion": [{"role": "assistant", "content": one.text}],
                        "label": label,
                        "score": one.score,
                    }

        if (count := sum(labelled.values())) and count in labelled.values():
            msg = f"kto: all {count} answers are {'good' if labelled[True] else 'bad'}, and nothing tells them apart"
            raise NothingToExportError(msg, remedy="another threshold: --set least=SCORE; in a split a larger share")

    def _label(self, score: float | None) -> bool | None:
        if score is None or self.least is None:
            return None
        if score >= self.least:
            return True
        return None if self.below is not None and score >= self.below else False

    def fragments(self, train: str, validation: str = "") -> Mapping[str, str]:
        """TRL's lines."""
        return trl("KTO", train, validation)


def _left_out(rule: str) -> Dropped:
    return Dropped(reason=DropReason(rule=rule))
