"""Answers an instance several times, by one model or several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from selfinstruct import prompts
from selfinstruct.engines.base import Ability, Completion, Sampling, user
from selfinstruct.records import Dropped, DropReason, Instance, Instruction, Response
from selfinstruct.stage import Stage, unfinished

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from selfinstruct.stage import Work


class Respond(Stage[Instance, Response]):
    """N answers in one request per model; whole answers only."""

    kind: Literal["respond"] = "respond"
    prompt: str = "respond"
    models: Annotated[tuple[str, ...], Field(min_length=1)] = ("writer",)
    """Engines that answer, each `n` times."""
    n: Annotated[int, Field(ge=1, le=64)] = 4
    """Answers per model."""
    sampling: Sampling = Sampling(max_tokens=1024)
    """How to draw."""

    def engines(self) -> tuple[str, ...]:
        """Return every engine that answers."""
        return self.models

    def wants(self) -> AbstractSet[Ability]:
        """Return what it takes to write `n` answers."""
        return {Ability.CHAT, Ability.SEVERAL} if self.n > 1 else {Ability.CHAT}

    async def process(self, record: Instance, work: Work) -> Sequence[Response | Dropped]:
        """Ask each model; an answer that is cut, runaway or empty is a drop, its neighbours stay."""
        text = prompts.render(
            self.prompt, language=work.language, instruction=work.ancestor(Instruction).text, input=record.input
        )
        answers: list[Response | Dropped] = []
        for model in self.models:
            reply = await work.complete(user(text), self.sampling, engine=model, n=self.n)
            answers.extend(_incomplete(one) or work.make(Response, text=one.text.strip()) for one in reply.completions)
        return answers


def _incomplete(completion: Completion) -> Dropped | None:
    reason = unfinished(completion)
    if reason is None and not completion.text.strip():
        reason = DropReason(rule="empty", figure=0, threshold=1)
    return None if reason is None else Dropped(reason=reason, text=completion.text)
