"""Gets answers: from the journal where they were given before, else from an engine when it has a place. Knows no stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from selfinstruct.errors import DamageError
from selfinstruct.records import content_id
from selfinstruct.slots import Lane, Slots
from selfinstruct.store import CallRow

if TYPE_CHECKING:
    import asyncio

    from selfinstruct.engines.base import CompletionRequest, Engine, Reply
    from selfinstruct.runner.plan import Tally
    from selfinstruct.stage import Ask
    from selfinstruct.store import RunStore

Answers = dict[str, tuple[str, "Reply"]]
"""Call -> digest of what was asked, and the reply."""

FIRST = -1
"""Priority of a first stage's calls. What was begun first is finished first, but requests are admitted in order: one that
waits holds up all later ones."""


class Asker:
    """The journal and the lanes of one process."""

    def __init__(
        self,
        lanes: Mapping[str, Lane],
        *,
        store: RunStore,
        tally: Tally,
        go_on: Callable[[], None],
        changed: asyncio.Event,
    ) -> None:
        """`go_on` raises StopError when no further call may be sent; `changed` is set whenever a place has become free."""
        self.answers: Answers = {}
        self.lanes = lanes
        self._store, self._tally, self._go_on, self._changed = store, tally, go_on, changed

    def ask_for(self, stage: str, request: int, work_id: str, *, priority: int) -> Ask:
        """Return what a piece of work asks with."""
        return partial(self._ask, stage, request, work_id, priority)

    async def _ask(
        self, stage: str, number: int, work_id: str, priority: int, engine: str, request: CompletionRequest
    ) -> Reply:
        """Answer from the journal, or ask the engine and write the answer down."""
        prompt, known = recall(self.answers, request, stage=stage)
        if known is not None:
            self._tally.reused += 1
            return known
        lane = self.lanes[engine]
        try:
            async with lane.slots.take(request.n, priority=priority):
                self._go_on()
                reply = await lane.engine.complete(request)
        finally:
            self._changed.set()
        usage = reply.usage
        lane.tokens += usage.completion_tokens
        body = reply.model_dump_json()
        self._store.append_call(
            CallRow(request.id, work_id, stage, number, prompt, usage.prompt_tokens, usage.completion_tokens, body)
        )
        self._tally.calls += 1
        self._tally.prompt_tokens += usage.prompt_tokens
        self._tally.completion_tokens += usage.completion_tokens
        return reply


def recall(
    answers: Mapping[str, tuple[str, Reply]], request: CompletionRequest, *, stage: str
) -> tuple[str, Reply | None]:
    """Return the digest of what is asked, and the answer in the journal (call -> digest, reply) when there is one.

    Raises:
        DamageError: it was given to another prompt.
    """
    prompt = content_id(request.model_dump_json(exclude={"id"}))
    asked, reply = answers.get(request.id, (prompt, None))
    if asked != prompt:
        msg = f"call {request.id} of stage {stage} was answered for another prompt"
        raise DamageError(msg, remedy="selfinstruct verify RUN")
    return prompt, reply


def open_lanes(engines: Mapping[str, Engine], concurrency: int | None) -> dict[str, Lane]:
    """Return the lane of each engine by name; names of one engine share it, and a fixed number is shared by all."""
    opened = {id(engine): Lane.open(engine, concurrency) for engine in engines.values()}
    if concurrency is not None:
        shared = Slots(concurrency)
        for lane in opened.values():
            lane.slots = shared
    return {name: opened[id(engine)] for name, engine in engines.items()}
