"""A judge of known bias: a judged table with the truth beside it, and an engine that plays it in the real pipeline."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, Literal

from selfinstruct import recipe
from selfinstruct.engines import _asked as asked
from selfinstruct.engines.base import Completion, CompletionRequest, Reply
from selfinstruct.engines.scripted import ScriptedEngine
from selfinstruct.errors import UnreadableError
from selfinstruct.families import same_family
from selfinstruct.judged import Candidate, JudgedTask
from selfinstruct.judging.bias import doublings
from selfinstruct.records import Dropped, DropReason, Instance, Judgement, PreferencePair, Provenance, Vote
from selfinstruct.stage import Stage, Work
from selfinstruct.text.score import read_score

LOWEST, HIGHEST, MIDDLE = 0.0, 5.0, 8.0
"""Of the scale; and the length, in doublings, that a judge who likes length neither praises nor blames."""
READABLE = ("{}", "Score: {}", "**{}**", "{}/5", "{}\nIt answers what was asked.")
UNREADABLE = ("", "I would rather not say.", "Between {} and 5, say.", "Score: {}, or 1 if one is strict", "N/A", "17")


@dataclass(frozen=True)
class World:
    """Tasks, writers and judges; all that a judge adds to what an answer deserves."""

    seed: int = 0
    tasks: int = 200
    writers: tuple[str, ...] = ("qwen-w", "llama-w", "gemma-w")
    judges: tuple[str, ...] = ("qwen-j", "llama-j")
    votes: int = 1
    slope: float = 0.0
    """Points per doubling of length."""
    lift: float = 0.0
    """Points for an answer of the judge's own family."""
    position: float = 0.0
    """Points for the answer shown first."""
    noise: float = 0.4
    unreadable: float = 0.0
    centre: float = 2.5
    """Mean of what answers deserve."""
    rounded: bool = True
    """To half points, within the scale."""
    seen: dict[str, int] = field(default_factory=dict)
    """Counts: replies, unreadable ones, and those of them that were read as a score."""

    def table(self) -> tuple[list[JudgedTask], dict[str, float]]:
        """Return the judged tasks, and what each answer deserves, by its id."""
        draw, truth, tasks = Random(f"table {self.seed}"), {}, []
        for number in range(self.tasks):
            hard, answers = draw.gauss(0, 0.4), []
            for place, writer in enumerate(self.writers):
                name = f"{number}.{place}"
                truth[name] = self.centre + hard + 0.15 * place + draw.gauss(0, 0.4)  # writers differ in quality ...
                text = "x" * round(2 ** min(12, max(3, MIDDLE + 0.3 * place + draw.gauss(0, 1))))  # ... and in length
                answers.append(Candidate(name, text, writer, self._verdicts(truth[name], text, writer, draw)))
            tasks.append(JudgedTask(f"{number}", f"{number}", "i", "", tuple(answers)))
        return tasks, truth

    def _verdicts(self, deserved: float, text: str, writer: str, draw: Random) -> tuple[Judgement, ...]:
        votes = []
        for judge in self.judges:
            bias = self.slope * (doublings(text) - MIDDLE) + self.lift * same_family(judge, writer)
            for _ in range(self.votes):
                score = self._said(deserved + bias + draw.gauss(0, self.noise), draw)
                votes += [] if score is None else [Vote(judge=judge, score=score)]
        if not votes:
            return ()
        mean, made = sum(one.score for one in votes) / len(votes), Provenance(stage="judge", model=self.judges[0])
        told: dict[str, Any] = {"score": mean, "rationale": "", "judge": votes[0].judge, "provenance": made}
        return (Judgement(id="j", parent="r", votes=tuple(votes) if len(votes) > 1 else (), **told),)

    def _said(self, score: float, draw: Random) -> float | None:
        """Return the score as it is read from what the judge writes; None where nobody could read it."""
        if not self.rounded:
            return score
        score = min(max(round(2 * score) / 2, LOWEST), HIGHEST)
        unreadable = draw.random() < self.unreadable
        reply = draw.choice(UNREADABLE if unreadable else READABLE).format(f"{score:g}")
        read = None
        try:
            read = read_score(reply, lowest=LOWEST, highest=HIGHEST)
        except UnreadableError:
            assert unreadable, reply
        for name, one in (("replies", 1), ("unreadable", unreadable), ("believed", unreadable and read is not None)):
            self.seen[name] = self.seen.get(name, 0) + one
        return read

    def verdicts(self) -> Iterator[tuple[str, str]]:
        """Yield who won of pairs whose first deserves a little more, shown in one order and in the other."""
        draw = Random(f"orders {self.seed}")
        for _ in range(self.tasks):
            ahead = abs(draw.gauss(0, 0.5))
            one = ahead + self.position + draw.gauss(0, self.noise) > 0
            other = ahead - self.position + draw.gauss(0, self.noise) > 0
            yield ("chosen" if one else "rejected", "chosen" if other else "rejected")


class BiasedEngine(ScriptedEngine):
    """The scripted engine under the name of a model: its answers carry its family's style, which its verdicts reward."""

    kind: Literal["tests.support.biased:BiasedEngine"] = "tests.support.biased:BiasedEngine"  # type: ignore[assignment]
    model: str
    style: str = ""
    """How its family ends an answer."""
    slope: float = 0.0
    lift: float = 0.0

    @property
    def model_name(self) -> str:
        """As a server would tell it."""
        return self.model

    async def complete(self, request: CompletionRequest) -> Reply:
        """Answer as the scripted engine does, then sign answers and shift scores."""
        reply = await super().complete(request)
        prompt = asked.at_first(request.prompt if isinstance(request.prompt, str) else request.prompt[-1].content)
        wanted = asked.what(request, prompt)
        draw = Random(f"bias {self._key(request)}")  # the script draws from the bare key
        made = tuple(self._biased(one, wanted, prompt, draw) for one in reply.completions)
        return reply.model_copy(update={"completions": made})

    def _biased(self, one: Completion, wanted: asked.Asked, prompt: str, draw: Random) -> Completion:
        if wanted is asked.Asked.RESPOND and one.text.strip():
            padding = " Once more, in other words." * draw.choice([0, 0, 1, 3])  # lengths that no quality explains
            return one.model_copy(update={"text": f"{one.text}{padding} {self.style}"})
        if wanted is not asked.Asked.VERDICT:
            return one
        try:
            said = json.loads(one.text)
        except ValueError:
            return one
        if not isinstance(said, dict) or not isinstance(said.get("score"), int | float):
            return one
        answer = asked.material(prompt).answers[0]
        bias = self.slope * (doublings(answer) - 7) + self.lift * answer.endswith(self.style) + draw.gauss(0, 0.3)
        said["score"] = min(max(round(2 * (1.5 + 0.4 * said["score"] + bias)) / 2, LOWEST), HIGHEST)  # off the ends
        return one.model_copy(update={"text": json.dumps(said)})


class BothOrders(Stage[Instance, PreferencePair]):
    """Pairs as a pairwise judge leaves them: of ten, six agree, one is reversed, and of three flips two go to the first."""

    kind: Literal["tests.support.biased:BothOrders"] = "tests.support.biased:BothOrders"
    free: ClassVar[bool] = True

    async def process(self, record: Instance, work: Work) -> Sequence[PreferencePair | Dropped]:
        """Decide by the instance's number."""
        place = int(record.id, 16) % 10
        verdicts = {6: ("rejected", "rejected"), 7: ("rejected", "chosen")}.get(place, ("chosen", "rejected"))
        if place < 6:
            told: dict[str, Any] = {"chosen_score": 4.0, "rejected_score": 3.0, "verdicts": ("chosen", "chosen")}
            return [work.make(PreferencePair, instruction="i", input="", chosen="a", rejected="b", **told)]
        rule = "reversed" if place == 6 else "tie"
        return [Dropped(reason=DropReason(rule=rule, evidence={"verdicts": list(verdicts)}))]


STYLES = {"qwen-7b": "That is all there is to it.", "llama-8b": "Good luck with it, my friend!"}


def biased_recipe(*, slope: float, lift: float, unreadable: float = 0.05) -> recipe.Recipe:
    """Return `demo` with two writers, and their families as judges, each a stage of its own."""
    data = recipe.load("demo", environment={}).model_dump(mode="json")
    data["exports"] = ["messages", "dpo"]
    for name, style in STYLES.items():
        shared = {"kind": "tests.support.biased:BiasedEngine", "model": name, "style": style, "weak_answers": 0.3}
        judge = {"slope": slope, "lift": lift, "unreadable_verdicts": unreadable, "model": f"{name}-judge"}
        data["engines"] |= {name: shared, f"{name}-judge": {**shared, **judge}}
    stages = []
    for stage in data["stages"]:
        if stage["kind"] == "respond":
            stages.append({**stage, "models": list(STYLES), "n": 2})
        elif stage.get("name") == "judge":
            stages += [{**stage, "name": f"judge-{name}", "engine": f"{name}-judge"} for name in STYLES]
        elif stage["kind"] == "select":
            stages.append({**stage, "gates": [{"kind": "score", "least": 3}]})
        elif stage["kind"] == "pair":
            stages.append({**stage, "least_chosen": 3})
    data["stages"] = [one for one in data["stages"] if one["kind"] in {"bootstrap", "classify", "instances"}] + stages
    return recipe.build(data)
