"""Scores all answers to an instance in one call, as UltraFeedback does. Each score is keyed by its answer, and counted."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from selfinstruct import prompts, rubrics
from selfinstruct.engines.base import JsonSchema, Sampling
from selfinstruct.errors import CallError, UnreadableError
from selfinstruct.judges import _verdict as verdict
from selfinstruct.judges._judge import Judge, schema, whole
from selfinstruct.records import Dropped, DropReason, Instance, Instruction, Judgement, Response
from selfinstruct.text.addresses import talks
from selfinstruct.text.fence import fence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfinstruct.rubrics import Rubric
    from selfinstruct.stage import Work

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Names of answers in a prompt; so many fit into one call."""


class Ratings(Judge[Instance, Judgement]):
    """One aspect, all answers, in an order shuffled for it (UltraFeedback: once for all aspects). Several of these: several."""

    kind: Literal["ratings"] = "ratings"
    prompt: str = "ratings"
    rubric: str = "instruction-following"
    """Name of a shipped rubric, or the path of a file like them. There is one vote: own_family only warns, or refuses."""
    sampling: Sampling = Sampling(max_tokens=1024, temperature=0, top_p=0.6)
    """How to draw (UltraFeedback: temperature 0, top_p 0.6)."""
    tries: Annotated[int, Field(ge=1)] = 2
    """A list with an answer missing or twice is asked for once more; then no answer of the instance has a score."""

    def takes(self) -> int:
        """Return how many letters there are."""
        return len(LETTERS)

    async def process(self, record: Instance, work: Work) -> Sequence[Judgement | Dropped]:
        """Ask for the scores of all answers at once; without an answer there is a drop.

        Raises:
            CallError: the answers failed, or there are too many for one call.
        """
        responses = work.find_below(Response)
        if not responses and work.failed_below:
            msg = "no answer to rate: writing them failed"
            raise CallError(msg)
        if not responses:
            return [Dropped(reason=DropReason(rule="no_answer", figure=0, threshold=1))]
        if len(responses) > len(LETTERS):
            msg = f"{len(responses)} answers to rate in one call, at most {len(LETTERS)} can be"
            raise CallError(msg, remedy="lower n of the stage that responds")
        rubric = rubrics.load(self.rubric, language=work.language)
        draw = Random(f"{work.run_seed}:{work.stage}:{record.id}")  # noqa: S311 - repeatable sampling, not secrecy
        shuffled = dict(zip(LETTERS, draw.sample(responses, len(responses)), strict=False))
        texts = (work.ancestor(Instruction).text, record.input, *(one.text for one in shuffled.values()))
        nonce, (instruction, given, *answers) = fence(*texts, key=f"{work.run_seed}:{record.id}")
        text = prompts.render(
            self.prompt,
            language=work.language,
            **verdict.shown(rubric),
            count=len(shuffled),
            instruction=instruction,
            input=given,
            answers=[{"letter": letter, "text": one} for letter, one in zip(shuffled, answers, strict=True)],
            nonce=nonce,
        )
        reply = await self.ask(work, text, self.sampling, _schema(rubric, tuple(shuffled)))
        scores = _read(whole(reply.completions[0]), rubric, shuffled)
        letters = {one.id: letter for letter, one in shuffled.items()}
        return [self._judgement(work, one, *scores[letters[one.id]], judge=reply.model) for one in responses]

    def _judgement(self, work: Work, one: Response, score: float, rationale: str, *, judge: str) -> Judgement:
        flags = ["own_family"] if self.own(judge, one.provenance.model) else []
        if talks(one.text, task=work.ancestor(Instruction).text, given=work.ancestor(Instance).input):
            flags.append("addresses_judge")
        if verdict.other_language(rationale, work.language):
            flags.append("other_language")
        return work.make(Judgement, of=one.id, score=score, rationale=rationale, judge=judge, flags=tuple(flags))


def _schema(rubric: Rubric, letters: tuple[str, ...]) -> JsonSchema:
    """Return an object with a key for each answer: a list would let a weak judge rate one answer twice and another never."""
    entry = verdict.object_schema("Rating", {"score": verdict.score_schema(rubric), "rationale": verdict.RATIONALE})
    return schema("Ratings", {"ratings": verdict.object_schema("Letters", dict.fromkeys(letters, entry))})


def _read(text: str, rubric: Rubric, letters: Mapping[str, object]) -> dict[str, tuple[float, str]]:
    """Return letter -> (score, rationale): every letter exactly once, whatever their order.

    Raises:
        UnreadableError: one is missing, twice, unknown or without a score. No score is ever given to a neighbour.
    """
    entries = verdict.read_object(text).get("ratings")
    if not isinstance(entries, dict) or not all(isinstance(one, dict) for one in entries.values()):
        msg = "no ratings by letter in the verdict"
        raise UnreadableError(msg)
    if sorted(entries) != sorted(letters):
        msg = f"{len(letters)} answers ({', '.join(letters)}) and ratings of {', '.join(entries)[:80] or 'none'}"
        raise UnreadableError(msg)
    return {name: verdict.read_entry(one, rubric) for name, one in entries.items()}
