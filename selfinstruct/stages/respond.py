"""Answers an instance several times, by one model or several. Who answers what, and how, follows from seed and instance."""

from __future__ import annotations

from collections import Counter
from math import log
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from selfinstruct import prompts
from selfinstruct.engines.base import Ability, Completion, Prompt, Reply, Sampling, together, user
from selfinstruct.records import Dropped, DropReason, Instance, Instruction, Provenance, Response
from selfinstruct.stage import Stage, unfinished
from selfinstruct.text.reasoning import has_trace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from selfinstruct.stage import Work

Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Change = dict[str, Any]
"""Fields of a sampling -> other values."""


class Respond(Stage[Instance, Response]):
    """N answers of each model, all that are drawn alike in one request; whole answers only."""

    kind: Literal["respond"] = "respond"
    prompt: str = "respond"
    models: tuple[str, ...] | dict[str, Weight] = ("writer",)
    """Engines that answer, each `n` times; with their weights where `draw` chooses among them."""
    draw: Annotated[int, Field(ge=1)] | None = None
    """So many of the models answer an instance, drawn by weight, none twice (UltraFeedback: 4 of 17); None asks all."""
    caps: dict[str, Annotated[float, Field(gt=0, lt=1)]] = Field(default_factory=dict)
    """Model -> share of the instances at which it may be asked at all. A share and no number: which instances those are must
    not depend on which answer comes first."""
    n: Annotated[int, Field(ge=1, le=64)] = 4
    """Answers per model."""
    sampling: Sampling = Sampling(max_tokens=1024)
    """How to draw."""
    spread: tuple[Change, ...] = ()
    """Changes of `sampling`, dealt out to the candidates of an instance in turn, for instance [{temperature: 0.6}, {}]. Each
    instance begins at another one, so that no model is always drawn the same way."""

    @field_validator("models", mode="before")
    @classmethod
    def _weighed(cls, value: object) -> object:
        """Say in one sentence what is wrong with weights: a union of two shapes says it in six."""
        if not value:
            msg = "no model is named"
            raise ValueError(msg)
        for name, weight in value.items() if isinstance(value, dict) else ():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
                msg = (
                    f"the weight of {name!r} is {weight!r}; a number above 0 is wanted (leave out who shall not answer)"
                )
                raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _possible(self) -> Self:
        names = list(self.models)
        if len({*names}) < len(names):
            msg = f"models: one is named twice in {', '.join(names)}; raise `n` for more answers of it"
            raise ValueError(msg)
        if isinstance(self.models, dict) and self.draw is None:
            msg = "models: weights decide who is drawn; say how many with `draw: 1`, or list the names alone"
            raise ValueError(msg)
        if unknown := [name for name in self.caps if name not in names]:
            msg = f"caps: {unknown[0]!r} is none of the models {', '.join(names)}"
            raise ValueError(msg)
        if len(names) - len(self.caps) < (self.draw or 1):
            msg = f"draw: {self.draw or 1} of {len(names)} models"
            if self.caps:
                msg += f", {len(self.caps)} of them capped: at some instances too few would be left"
            raise ValueError(msg)
        for change in self.spread:
            self.drawn(change)
        return self

    def engines(self) -> tuple[str, ...]:
        """Return every engine that may answer; of weighted ones by name, since a mapping has no order of its own."""
        return tuple(sorted(self.models)) if isinstance(self.models, dict) else self.models

    def answers(self) -> int:
        """Return `n` for each model that is asked."""
        return self.n * (self.draw or len(self.models))

    def named(self) -> tuple[str, ...]:
        """Several models are several engines: one that is misspelt must not be the writer once more."""
        return self.engines() if len(self.models) > 1 else ()

    def wants(self) -> AbstractSet[Ability]:
        """Return what it takes to write `n` answers."""
        return {Ability.CHAT, Ability.SEVERAL} if self.n > 1 else {Ability.CHAT}

    def drawn(self, change: Change) -> Sampling:
        """Return `sampling` with a change of `spread`.

        Raises:
            ValueError: there is no such field, or no such value of it.
        """
        try:
            return Sampling.model_validate({**self.sampling.model_dump(), **change})
        except ValidationError as error:
            first = error.errors()[0]
            msg = f"spread: {'.'.join(map(str, first['loc']))}: {first['msg']}"
            raise ValueError(msg) from None

    async def process(self, record: Instance, work: Work) -> Sequence[Response | Dropped]:
        """Ask all at once; an answer that is cut, runaway or empty is a drop, its neighbours stay."""
        prompt = user(
            prompts.render(
                self.prompt, language=work.language, instruction=work.ancestor(Instruction).text, input=record.input
            )
        )
        chance = Random(f"{work.run_seed}:{record.id}:models")  # noqa: S311 - repeatable sampling, not secrecy
        models = self._answering(chance)
        start = chance.randrange(len(self.spread)) if self.spread else 0
        replies = await together(
            *(
                self._ask(work, prompt, sampling, engine=model, n=n)
                for number, model in enumerate(models)
                for sampling, n in self._dealt(start + number * self.n)
            )
        )
        return [_response(one, work, provenance) for reply, provenance in replies for one in reply.completions]

    def _answering(self, chance: Random) -> list[str]:
        """Return the models that answer an instance, in the order of `engines`."""
        hat = [name for name in self.engines() if name not in self.caps or chance.random() < self.caps[name]]
        if self.draw is None:
            return hat
        weights = self.models if isinstance(self.models, dict) else dict.fromkeys(self.models, 1.0)
        # The first `draw` to ring of alarms with these rates: drawing by weight without putting back (Efraimidis, Spirakis).
        rings = {name: -log(1 - chance.random()) / weights[name] for name in hat}
        drawn = {*sorted(hat, key=rings.__getitem__)[: self.draw]}
        return [name for name in hat if name in drawn]

    def _dealt(self, start: int) -> list[tuple[Sampling, int]]:
        """Return how the `n` candidates of a model are drawn, and how many of them so: each is one request."""
        if not self.spread:
            return [(self.sampling, self.n)]
        ways = [self.drawn(change) for change in self.spread]
        counts = Counter(ways.index(ways[(start + place) % len(ways)]) for place in range(self.n))
        return [(ways[way], count) for way, count in counts.items()]

    async def _ask(
        self, work: Work, prompt: Prompt, sampling: Sampling, *, engine: str, n: int
    ) -> tuple[Reply, Provenance]:
        reply = await work.complete(prompt, sampling, engine=engine, n=n)
        if sampling == self.sampling:
            return reply, work.provenance
        usual = self.sampling.model_dump()
        changed = {name: value for name, value in sampling.model_dump().items() if value != usual[name]}
        return reply, work.provenance.model_copy(update={"sampling": changed})


def _response(completion: Completion, work: Work, provenance: Provenance) -> Response | Dropped:
    text = completion.text.strip()
    reason = unfinished(completion)
    if reason is None and not text:
        reason = DropReason(rule="empty", figure=0, threshold=1)
    if reason is None and has_trace(text):  # talk about tags, or thoughts that would leak: nobody can tell
        reason = DropReason(rule="trace")
    if reason is not None:
        return Dropped(reason=reason, text=completion.text)
    return work.make(Response, text=text, reasoning=completion.reasoning, provenance=provenance)
