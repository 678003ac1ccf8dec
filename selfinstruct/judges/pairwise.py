"""Shows a judge the two answers of a pair in both orders. What it does not say both times is a tie, and no pair."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from selfinstruct import prompts, rubrics
from selfinstruct.engines.base import Sampling
from selfinstruct.errors import UnreadableError
from selfinstruct.judges import _verdict as verdict
from selfinstruct.judges._judge import Judge, schema, whole
from selfinstruct.records import (
    Dropped,
    DropReason,
    PreferencePair,
)
from selfinstruct.text.fence import fence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfinstruct.stage import Work

CHOSEN, REJECTED, EQUAL = "chosen", "rejected", "equal"


class Pairwise(Judge[PreferencePair, PreferencePair]):
    """Two calls a pair. Confirmed pairs go on; `tie` and `reversed` are drops with both verdicts as evidence."""

    kind: Literal["pairwise"] = "pairwise"
    prompt: str = "pairwise"
    rubric: str = "helpfulness"
    """Name of a shipped rubric, or the path of a file like them: its criteria are used, its scale is not."""
    sampling: Sampling = Sampling(max_tokens=256, temperature=0)
    """How to draw."""

    @property
    def scale(self) -> None:
        """It gives no score."""

    async def process(self, record: PreferencePair, work: Work) -> Sequence[PreferencePair | Dropped]:
        """Ask in both orders, the chosen answer first and then second."""
        verdicts: list[str] = []
        reasons: list[str] = []
        for first, second in ((CHOSEN, REJECTED), (REJECTED, CHOSEN)):
            better, why = await self._ask(record, work, first=first, second=second)
            verdicts.append(better)
            reasons.append(why)
        said = set(verdicts)
        if said == {CHOSEN}:
            values = record.model_dump(exclude={"id", "parent", "provenance", "verdicts"})
            return [work.make(PreferencePair, **values, verdicts=tuple(verdicts))]
        rule = "reversed" if said == {REJECTED} else "tie"
        reason = DropReason(
            rule=rule,
            figure="/".join(verdicts),
            threshold=f"{CHOSEN}/{CHOSEN}",
            evidence={"verdicts": verdicts, "rationale": reasons[0], "rationale_swapped": reasons[1]},
        )
        return [Dropped(reason=reason, text=record.chosen)]

    async def _ask(self, record: PreferencePair, work: Work, *, first: str, second: str) -> tuple[str, str]:
        """Return which answer is better when they are shown in this order, and why."""
        rubric = rubrics.load(self.rubric, language=work.language)
        texts = (record.instruction, record.input, getattr(record, first), getattr(record, second))
        nonce, shown = fence(*texts, key=f"{work.run_seed}:{record.parent}")
        text = prompts.render(
            self.prompt,
            language=work.language,
            about=rubric.about,
            criteria=rubric.criteria,
            **dict(zip(("instruction", "input", "first", "second"), shown, strict=True)),
            nonce=nonce,
        )
        reply = await self.ask(work, text, self.sampling, _SCHEMA)
        value = verdict.read_object(whole(reply.completions[0]))
        named = {"A": first, "B": second, EQUAL: EQUAL}.get(str(value.get("better")))
        if named is None:
            msg = f"better {str(value.get('better'))[:40]!r} is none of A, B, {EQUAL}"
            raise UnreadableError(msg)
        return named, str(value.get("rationale", ""))[: 4 * verdict.LONGEST_RATIONALE]


_SCHEMA = schema("Preference", {"better": {"enum": ["A", "B", EQUAL]}, "rationale": verdict.RATIONALE})
