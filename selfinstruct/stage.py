"""Stage, Gate, Exporter: one abstract method each, and the Work that a stage is handed.

Knows no store, retry, concurrency, file or schedule.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Protocol, Self, TypeVar, cast

from pydantic import Field, InstanceOf, SerializeAsAny

from selfinstruct import prompts
from selfinstruct.engines.base import (
    Ability,
    Completion,
    CompletionRequest,
    Constraint,
    FinishReason,
    Prompt,
    Reply,
    Sampling,
)
from selfinstruct.errors import BadInputError, UnreadableError
from selfinstruct.records import (
    Dropped,
    DropReason,
    Frozen,
    Provenance,
    Record,
    Request,
    Row,
    SeedTask,
    content_id,
)
from selfinstruct.text.fence import fence
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from selfinstruct.pool import Pool

In = TypeVar("In", bound=Record)
Out = TypeVar("Out", bound=Record)
R = TypeVar("R", bound=Record)

Ask = Callable[[str, CompletionRequest], Awaitable[Reply]]
"""(engine name, request) -> reply: given by the runner, which keeps the journal."""

AGAIN = "again"
"""Prompt file that shows a model its unreadable answer."""
SHOWN = 800
"""Characters of it that are shown: its form is seen at the beginning."""


@dataclass(frozen=True, slots=True)
class Unread:
    """An answer that could not be read: the next try shows it to the model, with what was wrong."""

    call: int
    """Which of the work's calls gave it."""
    answer: str
    why: str


@dataclass(slots=True)
class Work:
    """One input of one stage: the record, what it descends from, what was made below it, and a way to ask a model."""

    id: str
    stage: str
    record: Record
    ancestors: tuple[Record, ...]
    below: tuple[Record, ...]
    failed_below: int
    pool: Pool
    run_seed: int
    language: str
    attempt: int
    ask: Ask
    outputs: Sequence[Record | Dropped] = ()
    """What `process` returned: gates see the siblings of a record here."""
    aspects: int = 1
    """How many judge stages the run has: an answer has a score when each of them gave one."""
    unread: Unread | None = None
    """What the try before this one could not read."""
    _provenance: Provenance | None = None
    _calls: int = 0
    _answer: str = ""
    _made: int = field(default=0)

    def ancestor(self, kind: type[R]) -> R:
        """Return the nearest record of `kind` on the way up, the work's own record included."""
        return next(r for r in (self.record, *reversed(self.ancestors)) if isinstance(r, kind))

    def find_below(self, kind: type[R]) -> list[R]:
        """Return the accepted records of `kind` among the descendants, in path order."""
        return [r for r in self.below if isinstance(r, kind)]

    async def complete(
        self,
        prompt: Prompt,
        sampling: Sampling,
        *,
        engine: str,
        n: int = 1,
        constraint: Constraint | None = None,
        top_logprobs: int = 0,
    ) -> Reply:
        """Ask `engine`. The sampling seed follows from run seed, work and try; an answered call is never sent again."""
        call = f"{self.id}-{self.attempt}-{self._calls}"
        if self.unread is not None and self.unread.call == self._calls:
            prompt = self._again(prompt, self.unread)
        self._calls += 1
        seed = int(content_id(self.run_seed, call), 16) >> 1
        reply = await self.ask(
            engine,
            CompletionRequest(
                id=call,
                prompt=prompt,
                sampling=sampling,
                n=n,
                seed=seed,
                constraint=constraint,
                top_logprobs=top_logprobs,
            ),
        )
        self._provenance = Provenance(stage=self.stage, model=reply.model, seed=seed, scripted=reply.scripted)
        self._answer = reply.completions[0].text
        return reply

    @property
    def provenance(self) -> Provenance:
        """Where the latest answer came from. Who asks for several at once takes it before the next one comes."""
        return self._provenance or self._inherited()

    @property
    def answer(self) -> str:
        """What the latest call was answered."""
        return self._answer

    def unreadable(self, error: UnreadableError) -> Unread | None:
        """Return what the next try shows of the latest answer; None after the first try.

        A model that was shown its mistake and repeats it is asked the third time as if for the first.
        """
        return Unread(self._calls - 1, self._answer, str(error)) if self.attempt == 1 and self._calls else None

    def _again(self, prompt: Prompt, unread: Unread) -> Prompt:
        """Return a chat prompt with the unreadable answer after it; its beginning stays as the server has it cached."""
        if isinstance(prompt, str):
            return prompt
        key = f"{self.run_seed}:{AGAIN}:{self.id}"
        nonce, (why, answer) = fence(printable(unread.why), unread.answer[:SHOWN], key=key)
        told = prompts.render(AGAIN, language=self.language, why=why, answer=answer, nonce=nonce)
        *before, last = prompt
        return (*before, last.model_copy(update={"content": f"{last.content}\n\n{told}"}))

    def make(self, kind: type[R], **values: object) -> R:
        """Make the next record: its id follows from this work and its position, its parent is the work's record."""
        record = kind.model_validate(
            {
                "id": content_id(self.id, self._made),
                "parent": self.record.id,
                "provenance": self.provenance,
                **values,
            }
        )
        self._made += 1
        return record

    def _inherited(self) -> Provenance:
        # A stage that asks no model passes on where its material came from.
        source = self.below[-1] if self.below else self.record
        return source.provenance.model_copy(update={"stage": self.stage})


def unfinished(completion: Completion) -> DropReason | None:
    """Return why an answer is not a whole one: cut, runaway (it repeated itself), or what else ended it."""
    reason = completion.finish_reason
    if reason is FinishReason.STOP:
        return None
    rules = {FinishReason.LENGTH: "cut", FinishReason.REPETITION: "runaway"}
    return DropReason(rule=rules.get(reason, reason.value), figure=reason.value, threshold="stop")


class Gate(Frozen):
    """Decides over one record. Its own config plus one method; counting and keeping the evidence is the runner's."""

    novelty: ClassVar[bool] = False
    """Whether it drops what is too near to what was there before: the stop rule watches such drops."""

    located: ClassVar[frozenset[str]] = frozenset()
    """Fields that list files: their bytes count, which `inputs` has the digests of, not where they lie."""

    kind: str

    @abstractmethod
    def reason_to_drop(self, record: Any, work: Work) -> DropReason | None:  # noqa: ANN401 - a gate names its record
        """Return why `record` must go, or None. `work` has its siblings, ancestors and the pool."""

    def inputs(self) -> dict[str, str]:
        """Return the digests of the files it reads, by name: a run whose files have changed is refused."""
        return {}

    def thresholds(self) -> dict[str, float]:
        """Return the scores that it compares with, by field."""
        return {}

    def caution(self, seeds: Sequence[SeedTask]) -> str:  # noqa: ARG002 - for those who have something to say
        """Return what a user should be told before a run from these seeds; nothing as a rule."""
        return ""


class Stage(Frozen, Generic[In, Out]):
    """Makes records of one kind from records of another. Its own config plus one method."""

    kind: str
    name: str = ""
    """Name in ledgers and paths; the kind when empty."""
    gates: tuple[SerializeAsAny[InstanceOf[Gate]], ...] = ()
    """Asked in order about each record made; the first reason drops it."""
    engine: str = "writer"
    """Which of the recipe's engines answers."""
    tries: Annotated[int, Field(ge=1)] = 3
    """How often an unreadable answer is asked for before the record fails."""
    prompt: str = ""
    """Prompt file in the folder of its language."""
    language: str = ""
    """Folder of its prompts and rubrics; the recipe's when empty."""

    free: ClassVar[bool] = False
    """Asks no model: worked out afresh on resume, so that it follows what is below its record."""
    forms: ClassVar[tuple[str, ...]] = ()
    """What `format: auto` chooses from, the preferred one first; nothing for a stage without that choice."""

    @abstractmethod
    async def process(self, record: In, work: Work) -> Sequence[Out | Dropped]:
        """Return what `record` gives, at least one thing: a record, or a Dropped with its reason.

        Raises:
            UnreadableError: the answer made no sense; ask again, then fail.
            CallError: this record cannot be worked on; fail.
        """

    def admitted(self, record: Out, work: Work) -> None:
        """Hook for the one feedback loop (bootstrap): `record` passed all gates, in admission order."""

    def requests(self) -> int | None:
        """Return how many requests there are in all; None when a model can be asked for ever (first stage only)."""
        return None

    def sees(self, number: int) -> int:
        """Return how many requests must be admitted before request `number` may start (first stage only)."""
        del number
        return 0

    @property
    def label(self) -> str:
        """Name used in ledgers."""
        return self.name or self.kind

    @property
    def scale(self) -> tuple[float, float] | None:
        """Lowest and highest score of a judge; None for a stage that gives none."""
        return None

    def answers(self) -> int:
        """Return how many answers it writes to an instance, 0 when it writes none ..."""
        return 0

    def takes(self) -> int | None:
        """... and how many of them it judges in one call; None for any number."""
        return None

    def thresholds(self) -> dict[str, float]:
        """Return the scores that it or its gates compare with, by field: they must lie on the judge's scale."""
        found = ((place, gate.thresholds()) for place, gate in enumerate(self.gates))
        return {f"gates.{place}.{name}": value for place, values in found for name, value in values.items()}

    def margins(self) -> dict[str, float]:
        """Return the differences of scores that it asks for, by field: a judge must be able to give them."""
        return {}

    def cautions(self, *, models: Mapping[str, str], writers: Sequence[str]) -> Iterator[str]:  # noqa: ARG002 - for judges
        """Yield what a user should be told before the run; `models` by engine name, `writers` those that write answers.

        Raises:
            BadInputError: it must not work with these models.
        """
        yield from ()

    @classmethod
    def reads(cls) -> type[Record]:
        """Return the record type it takes."""
        return cls._types()[0]

    @classmethod
    def writes(cls) -> type[Record]:
        """Return the record type it makes."""
        return cls._types()[1]

    @classmethod
    def _types(cls) -> tuple[type[Record], type[Record]]:
        for base in cls.__mro__:
            found = getattr(base, "__pydantic_generic_metadata__", {}).get("args")
            if found:
                return cast("tuple[type[Record], type[Record]]", found)
        msg = f"{cls.__name__} must say what it reads and writes: class {cls.__name__}(Stage[In, Out])"
        raise TypeError(msg)

    def prompt_files(self) -> tuple[str, ...]:
        """Names of the prompt files whose text belongs to the fingerprint."""
        return (self.prompt,) if self.prompt else ()

    def demonstration_files(self) -> tuple[str, ...]:
        """Names of the demonstration files that belong to the fingerprint too."""
        return ()

    def engines(self) -> tuple[str, ...]:
        """Names of the engines it asks."""
        return () if self.free else (self.engine,)

    def named(self) -> tuple[str, ...]:
        """Names of the engines that must stand in the recipe: the writer takes the place of any other that does not."""
        return ()

    def wants(self) -> AbstractSet[Ability]:
        """Return what it wants of a server beside an answer: asked about before the run."""
        return frozenset()

    def inputs(self, *, language: str) -> dict[str, str]:
        """Return what it reads beside its config, by name: digests of its prompt, demonstration and gate files."""
        language = self.language or language
        again = () if self.free or self.tries == 1 else (AGAIN,)
        texts = {f"prompt {name}": prompts.source(name, language=language) for name in (*self.prompt_files(), *again)}
        shown = {name: prompts.demonstrations(name, language=language) for name in self.demonstration_files()}
        digests = {name: content_id(text) for name, text in texts.items()}
        digests |= {f"demonstrations {name}": content_id(json.dumps(rows)) for name, rows in shown.items()}
        return digests | {name: digest for gate in self.gates for name, digest in gate.inputs().items()}

    def essence(self) -> dict[str, Any]:
        """Return its config and that of its gates, without where files lie."""
        data = self.model_dump(mode="json")
        for gate, config in zip(self.gates, data["gates"], strict=True):
            config |= {field: [] for field in gate.located}
        return data

    def fingerprint(self, *, models: Mapping[str, str], language: str) -> str:
        """Return what its ids depend on: config, gates, prompts, demonstrations, models.

        Raises:
            BadInputError: its form of answer is not settled yet.
        """
        if getattr(self, "format", None) == "auto":
            msg = f"stage {self.label}: `format: auto` was not settled before the run"
            raise BadInputError(msg, remedy=f"name one: {', '.join(self.forms)}; or see formats.settle")
        config = json.dumps(self.essence(), sort_keys=True)
        inputs = json.dumps(self.inputs(language=language), sort_keys=True)
        return content_id(config, inputs, *(models[name] for name in self.engines()))


class Exporter(Frozen):
    """Makes rows of a format from finished records. Writing, naming and publishing them is `export.py`'s."""

    kind: str
    reads: ClassVar[type[Any]] = Row
    """A record type; or `judged.JudgedTask`: every accepted instance with its answers and their verdicts."""
    suffix: ClassVar[str] = ".jsonl"
    columns: ClassVar[dict[str, str]] = {}
    """Column -> Arrow type, for formats that have types."""

    @abstractmethod
    def rows(self, records: Iterator[Any]) -> Iterator[dict[str, Any] | Dropped]:
        """Yield one dict per row, every key in every row; a Dropped for what the format has no row for: it is counted."""

    def fitted(self, stages: Sequence[Stage[Any, Any]]) -> Self:
        """Return it with what follows from the stages of the run; itself as a rule.

        Raises:
            BadInputError: they leave open what it must know.
        """
        del stages
        return self

    def fragments(self, train: str, validation: str = "") -> Mapping[str, str]:
        """Return configuration for trainers, file name -> text. They lie in a folder of their own beside the data files."""
        del train, validation
        return {}


def answer_text(row: Row, *, reasoning: bool) -> str:
    """Return a row's answer; where `reasoning` is asked for, its trace before it, as DeepSeek-R1 and Qwen3 write it."""
    return f"<think>\n{row.reasoning}\n</think>\n\n{row.output}" if reasoning and row.reasoning else row.output


def least_kept(stages: Sequence[Stage[Any, Any]]) -> float | None:
    """Return the lowest score of a row that passes every score gate of `stages`; None where there is no such gate."""
    gates = (gate for stage in stages if stage.writes() is Row for gate in stage.gates if gate.kind == "score")
    return max((gate.thresholds()["least"] for gate in gates), default=None)


class HasTask(Protocol):
    """A row, a pair or a judged task: something that a user asked."""

    @property
    def instruction(self) -> str:
        """The task."""

    @property
    def input(self) -> str:
        """What it is about; empty where it needs nothing."""


def task_text(row: HasTask) -> str:
    """Return what a user would send: the instruction, and the input after a blank line where there is one."""
    return f"{row.instruction}\n\n{row.input}" if row.input else row.instruction


def stage_parents(stages: Sequence[Stage[Any, Any]]) -> dict[str, str | None]:
    """Return label -> label of the stage whose records it reads: the latest earlier one that writes that type.

    Raises:
        BadInputError: a stage reads what no earlier stage writes, or two stages share a label.
    """
    parents: dict[str, str | None] = {}
    for position, stage in enumerate(stages):
        if stage.label in parents:
            msg = f"two stages are called {stage.label!r}"
            raise BadInputError(msg, remedy=f"give one of them another `name` (stages.{position}.name)")
        if stage.reads() is Request:
            parents[stage.label] = None
            continue
        writers = [s.label for s in stages[:position] if s.writes() is stage.reads()]
        if not writers:
            msg = f"stage {stage.label!r} reads {stage.reads().__name__} records, which no earlier stage writes"
            raise BadInputError(msg, remedy=f"put a stage that writes {stage.reads().__name__} before it")
        parents[stage.label] = writers[-1]
    return parents
