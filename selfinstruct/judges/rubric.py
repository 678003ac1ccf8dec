"""Scores one answer by a rubric: AlpaGasus' accuracy by default. A verdict that cannot be read is never a score.

One judge or several, once or several times; what they do not agree on can go to another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field, field_validator

from selfinstruct import prompts, rubrics
from selfinstruct.engines.base import Ability, Choice, Completion, Constraint, Reply, Sampling
from selfinstruct.errors import UnreadableError
from selfinstruct.judges import _verdict as verdict
from selfinstruct.judges._judge import Judge, schema, whole
from selfinstruct.records import Instance, Instruction, Judgement, Response, Vote
from selfinstruct.text.addresses import talks
from selfinstruct.text.fence import fence
from selfinstruct.text.reply import harmless
from selfinstruct.text.score import expectation, read_score

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from selfinstruct.rubrics import Rubric
    from selfinstruct.stage import Work

ALTERNATIVES = 20
"""Log-probabilities asked for per token: the most that a server gives (vLLM 0.32), more than any scale has first tokens."""


class _Reading(NamedTuple):
    """One verdict as it was read."""

    score: float
    rationale: str
    expected: tuple[float, float] | None = None
    """Mean by the probabilities, and their entropy."""


class RubricJudge(Judge[Response, Judgement]):
    """One rubric, one answer a call; the score first, and a short reason after it."""

    kind: Literal["rubric"] = "rubric"
    prompt: str = "judge"
    format: Literal["auto", "json", "text", "score"] = "json"
    """json: constrained where the server can. text: the score alone on the first line, as published. auto: whichever a trial
    finds readable. score: nothing but the score, with its probabilities where the server gives them; fastest, no reasons."""
    take: Literal["stated", "expected"] = "stated"
    """expected: the mean of the scale by the probabilities of its scores is the score (format score), the stated one else."""
    sampling: Sampling = Sampling(max_tokens=256, temperature=0)
    """How to draw (AlpaGasus: temperature 0, 256 tokens)."""
    judges: tuple[str, ...] = ()
    """Engines that vote; `engine` alone when there is none."""
    votes: Annotated[int, Field(ge=1, le=32)] = 1
    """Verdicts of each, by one request; the median counts. More than one wants a temperature above 0."""
    doubt: Annotated[float, Field(gt=0)] = 1.0
    """Votes that lie so far apart make an answer doubtful ..."""
    referee: str = ""
    """... and this engine, where one is named, decides on it."""

    forms: ClassVar[tuple[str, ...]] = ("json", "text")

    def engines(self) -> tuple[str, ...]:
        """Return every engine that votes or decides."""
        return tuple(dict.fromkeys([*self.voters(), *([self.referee] if self.referee else [])]))

    def named(self) -> tuple[str, ...]:
        """Several judges are several engines: one that is misspelt must not be the writer once more."""
        return self.engines() if len(self.engines()) > 1 else ()

    @field_validator("judges")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            msg = "a judge is named twice: `votes` asks the same one several times"
            raise ValueError(msg)
        return names

    def voters(self) -> tuple[str, ...]:
        """Return the engines that vote."""
        return self.judges or (self.engine,)

    def wants(self) -> AbstractSet[Ability]:
        """Return what its form of answer takes."""
        wanted: AbstractSet[Ability] = {Ability.CHAT} if self.format == "text" else super().wants()
        return wanted | {Ability.SEVERAL} if self.votes > 1 else wanted

    def cautions(self, *, models: Mapping[str, str], writers: Sequence[str]) -> Iterator[str]:
        """Warn of a judge of a writer's family, and of votes that cannot differ."""
        yield from super().cautions(models=models, writers=writers)
        if self.votes > 1 and self.sampling.temperature == 0:
            yield f"stage {self.label}: {self.votes} votes at temperature 0 are one vote {self.votes} times; raise it"

    async def process(self, record: Response, work: Work) -> Sequence[Judgement]:
        """Ask every judge. The texts under judgement are fenced with a nonce that stands in none of them.

        It is one nonce for all answers to an instance: their prompts then differ from the answer on, and not before.
        """
        rubric = rubrics.load(self.rubric, language=work.language)
        task, given = work.ancestor(Instruction).text, work.ancestor(Instance).input
        nonce, shown = fence(task, given, record.text, key=f"{work.run_seed}:{record.parent}")
        text = prompts.render(
            self.prompt,
            language=work.language,
            **verdict.shown(rubric),
            **dict(zip(("instruction", "input", "answer"), shown, strict=True)),
            nonce=nonce,
            form=self.format,
        )
        found: list[tuple[Vote, _Reading]] = []
        for engine in self.voters():
            found += self._votes(await self._ask(work, text, engine, rubric, n=self.votes), rubric)
        writer = record.provenance.model
        flags = ["addresses_judge"] if talks(record.text, task=task, given=given) else []
        scores = [vote.score for vote, _ in found]
        decided: list[tuple[Vote, _Reading]] = []
        if max(scores) - min(scores) >= self.doubt:
            flags.append("doubtful")
            if self.referee:
                decided = self._votes(await self._ask(work, text, self.referee, rubric, n=1), rubric)
        if any(self.own(vote.judge, writer) for vote, _ in (*decided, *found)):
            flags.append("own_family")
        if decided:
            return [self._judgement(work, decided[0][0].score, [*decided, *found], flags)]
        weights = verdict.weights([vote for vote, _ in found], writer, own_family=self.own_family, table=self.families)
        score = verdict.weighted_median([vote for vote, _ in found], weights)
        return [self._judgement(work, score, sorted(found, key=lambda one: abs(one[0].score - score)), flags)]

    def _judgement(
        self, work: Work, score: float, found: Sequence[tuple[Vote, _Reading]], flags: Sequence[str]
    ) -> Judgement:
        """Return the verdict, with the reason and the probabilities of the first of `found`: the one that is nearest to it."""
        nearest, reading = found[0]
        if verdict.other_language(reading.rationale, work.language):
            flags = (*flags, "other_language")
        expected, entropy = reading.expected or (None, None)
        return work.make(
            Judgement,
            score=score,
            rationale=reading.rationale,
            judge=nearest.judge,
            expected=expected,
            entropy=entropy,
            votes=tuple(vote for vote, _ in found) if len(found) > 1 else (),
            flags=tuple(flags),
        )

    async def _ask(self, work: Work, text: str, engine: str, rubric: Rubric, *, n: int) -> Reply:
        alternatives = ALTERNATIVES if self.format == "score" else 0
        return await self.ask(
            work, text, self.sampling, self._constraint(rubric), engine=engine, n=n, top_logprobs=alternatives
        )

    def _constraint(self, rubric: Rubric) -> Constraint | None:
        if self.format == "score":
            return Choice(choices=tuple(map(verdict.number, rubric.scores)))
        if self.format == "text":
            return None
        properties = {"score": verdict.score_schema(rubric), "rationale": verdict.RATIONALE}
        return schema("Verdict", properties)

    def _votes(self, reply: Reply, rubric: Rubric) -> list[tuple[Vote, _Reading]]:
        """Read the verdicts of one reply.

        Raises:
            UnreadableError: half of them or more cannot be read: a median of the rest would be somebody's choice.
        """
        found, unread = [], []
        for one in reply.completions:
            try:
                reading = self._read(one, rubric)
            except UnreadableError as error:
                unread.append(error)
            else:
                found.append((Vote(judge=reply.model, score=reading.score), reading))
        if 2 * len(unread) >= len(reply.completions):
            raise unread[0]
        return found

    def _read(self, completion: Completion, rubric: Rubric) -> _Reading:
        """Read one verdict. Of one in plain text the first line must be whole, in JSON all of it."""
        text = completion.text.strip()
        if self.format != "text" or "\n" not in text:
            text = whole(completion)
        if self.format == "json":
            return _Reading(*verdict.read_entry(verdict.read_object(text), rubric))
        score = verdict.on_scale(read_score(text, lowest=rubric.lowest, highest=rubric.highest), rubric)
        if self.format == "text":
            return _Reading(score, harmless(text.partition("\n")[2].strip()))
        expected = expectation(completion.logprobs, text, scores=rubric.scores)
        return _Reading(expected[0] if expected and self.take == "expected" else score, "", expected)
