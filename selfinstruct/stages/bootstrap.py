"""Proposes instructions from demonstrations, and owns the one feedback loop: what is accepted is shown later on."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from selfinstruct import prompts
from selfinstruct.engines.base import Ability, Completion, JsonSchema, Sampling, user
from selfinstruct.errors import UnreadableError
from selfinstruct.pool import Member
from selfinstruct.records import Dropped, DropReason, Instruction, Request, SeedTask
from selfinstruct.stage import Stage, unfinished
from selfinstruct.text.reply import read_blocks, read_list, read_marked, read_numbered

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from selfinstruct.stage import Work


WINDOW = 64
"""Requests under way at the beginning, at most: each brings work for a hundred calls, and the pool should be seen soon."""


class Bootstrap(Stage[Request, Instruction]):
    """Self-Instruct's loop: 8 demonstrations in, new instructions out (bootstrap_instructions.py)."""

    kind: Literal["bootstrap"] = "bootstrap"
    prompt: str = "bootstrap"
    format: Literal["auto", "json", "lines", "numbered", "blocks"] = "json"
    """json: chat models, constrained. lines: chat models that do badly with JSON. auto: whichever of these two a trial finds
    readable. numbered: Self-Instruct's list. blocks: Alpaca's, with input and output."""
    sampling: Sampling = Sampling(max_tokens=1024)
    """How to draw."""
    human: Annotated[int, Field(ge=1)] = 6
    """Seed tasks shown; more while there are too few machine-made ones."""
    machine: Annotated[int, Field(ge=0)] = 2
    """Accepted instructions shown."""
    count: Annotated[int, Field(ge=1, le=100)] = 8
    """Instructions asked for in one request."""
    lag: Annotated[int, Field(ge=1)] = 32
    """A request sees the pool as it stood after request `number - lag`: the most requests that can be under way. Early
    ones see more, since a lag of more than WINDOW is worked up to: by one for every two requests."""
    rounds: bool = False
    """Published rounds: `lag` requests start together and see the same pool."""
    capitalize: bool = False
    """First letter upper, all others lower, as the published code has it ("NASA" becomes "nasa")."""

    forms: ClassVar[tuple[str, ...]] = ("json", "lines")

    def wants(self) -> AbstractSet[Ability]:
        """Return what its form of answer takes."""
        if self.format in {"auto", "json"}:
            return {Ability.CHAT, Ability.STRUCTURED}
        return {Ability.CHAT if self.format in self.forms else Ability.COMPLETIONS}

    def sees(self, number: int) -> int:
        """Return how many requests must be admitted before request `number` may start."""
        return (
            number // self.lag * self.lag if self.rounds else max(0, number + 1 - min(self.lag, WINDOW + number // 2))
        )

    async def process(self, record: Request, work: Work) -> Sequence[Instruction | Dropped]:
        """Ask for new instructions; an answer that is cut or cannot be read is one drop, with its text."""
        shown, ids = self._demonstrations(record.number, work)
        text = prompts.render(
            self.prompt, language=work.language, demonstrations=shown, count=self.count, form=self.format
        )
        reply = await work.complete(
            user(text) if self.format in self.forms else text,
            self.sampling,
            engine=self.engine,
            constraint=_schema(self.count) if self.format == "json" else None,
        )
        completion = reply.completions[0]
        return [
            self._cased(work.make(Instruction, **item, shown=ids)) if isinstance(item, dict) else item
            for item in self._read(completion, first=len(shown) + 1)
        ]

    def admitted(self, record: Instruction, work: Work) -> None:
        """Put an accepted instruction into the pool."""
        work.pool.admit(record)

    def _demonstrations(self, number: int, work: Work) -> tuple[list[Any], tuple[str, ...]]:
        """Draw demonstrations with a generator that depends on the run's seed and the request's number alone."""
        draw = Random(f"{work.run_seed}:{number}")  # noqa: S311 - repeatable sampling, not secrecy
        visible = work.pool.upto(self.sees(number))
        machine = draw.sample(visible, min(self.machine, len(visible)))
        human = draw.sample(work.pool.seeds, self.human + self.machine - len(machine))
        chosen: list[Member | SeedTask] = [*human, *machine]
        draw.shuffle(chosen)
        ids = tuple(one.id for one in chosen)
        if self.format == "blocks":
            return [_block(one) for one in chosen if isinstance(one, SeedTask)], ids
        texts = [one.text if isinstance(one, Member) else one.instruction for one in chosen]
        return [" ".join(text.split()).rstrip(":") for text in texts], ids

    def _read(self, completion: Completion, *, first: int) -> list[dict[str, str] | Dropped]:
        cut = unfinished(completion)
        if cut and self.format not in {"blocks", "lines"}:
            return [Dropped(reason=cut, text=completion.text)]
        items: list[dict[str, str] | Dropped]
        if self.format == "json":
            try:
                texts = [
                    " ".join(item.split()) for item in read_list(completion.text, name="tasks") if isinstance(item, str)
                ]
            except UnreadableError as error:
                return [_unreadable(completion, str(error))]
            items = [{"text": text} for text in texts if text]
        elif self.format == "blocks":
            items = [_drafted(block) for block in read_blocks(completion.text, first=first)]
        else:
            texts = (
                read_marked(completion.text, name="Task") if self.format == "lines" else read_numbered(completion.text)
            )
            items = [{"text": text} for text in texts]
        if cut:
            return [*items[:-1], Dropped(reason=cut, text=completion.text)]
        return items or [_unreadable(completion, "no instruction in the answer")]

    def _cased(self, record: Instruction) -> Instruction:
        return record.model_copy(update={"text": record.text.capitalize()}) if self.capitalize else record


def _schema(count: int) -> JsonSchema:
    task = {"type": "string", "minLength": 1, "maxLength": 800}
    tasks = {"type": "array", "items": task, "minItems": 1, "maxItems": count}
    return JsonSchema(
        schema_={
            "title": "Tasks",
            "type": "object",
            "properties": {"tasks": tasks},
            "required": ["tasks"],
            "additionalProperties": False,
        }
    )


def _block(seed: SeedTask) -> dict[str, str]:
    first = seed.instances[0]
    instruction = " ".join(seed.instruction.split()).rstrip(":")
    return {"instruction": instruction, "input": first.input, "output": first.output}


def _drafted(block: tuple[str, str, str] | None) -> dict[str, str] | Dropped:
    if block is None:
        return Dropped(reason=DropReason(rule="unreadable", evidence={"why": "not instruction, input and output"}))
    return dict(zip(("text", "input", "output"), block, strict=True))


def _unreadable(completion: Completion, why: str) -> Dropped:
    reason = completion.finish_reason.value
    return Dropped(
        reason=DropReason(rule="unreadable", figure=reason, threshold="stop", evidence={"why": why}),
        text=completion.text,
    )
