"""The words between stages and engines: a request, a reply, and the Engine that turns one into the other.

An engine knows HTTP (or a script); it knows no stage, prompt file or store.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from enum import StrEnum, auto
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import Field

from selfinstruct.records import Frozen
from selfinstruct.text.reasoning import split_reasoning

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from collections.abc import Set as AbstractSet
    from types import TracebackType


T = TypeVar("T")


class FinishReason(StrEnum):
    """Why the model stopped (vLLM 0.32). Only STOP is a whole answer."""

    STOP = "stop"
    LENGTH = "length"
    REPETITION = "repetition"
    CONTENT_FILTER = "content_filter"
    ABORT = "abort"
    UNKNOWN = "unknown"


class Message(Frozen):
    """One chat turn."""

    role: Literal["system", "user", "assistant"]
    content: str


Prompt = str | tuple[Message, ...]
"""Text goes to the completions endpoint, messages to the chat endpoint."""


async def together(*awaitables: Awaitable[T]) -> list[T]:
    """Await all of them, whatever becomes of any; then raise what the first of those that failed raised.

    A plain gather leaves the others running, with places that are counted as free and answers that nobody keeps.
    """
    done = await asyncio.gather(*awaitables, return_exceptions=True)
    for one in done:
        if isinstance(one, BaseException):
            raise one
    return [one for one in done if not isinstance(one, BaseException)]


def user(text: str) -> tuple[Message, ...]:
    """Return `text` as a conversation of one user turn."""
    return (Message(role="user", content=text),)


class RepetitionDetection(Frozen):
    """Ends an answer that goes round in circles, blanks in JSON included. Names and ranges are vLLM's (0.32).

    4 repetitions, as in its documentation, would have ended 1.3 % of 9,745 honest answers (Alpaca's and our seeds'): tables,
    rulers, indented code. 16 end 0.12 % of them where each blank and dash counts as a token, and none where 16 of
    them are one, as in most vocabularies; a loop of one sentence still ends within 320 tokens.
    """

    max_pattern_size: Annotated[int, Field(ge=1)] = 20
    """Longest pattern looked for, in tokens; the shortest is one."""
    min_count: Annotated[int, Field(ge=2)] = 16
    """So many times in a row end the answer."""


class Sampling(Frozen):
    """How to draw tokens. Names and ranges are vLLM's; fields left at None are not sent."""

    max_tokens: Annotated[int, Field(ge=1)]
    """Longest answer, in tokens. Always sent: without it a server runs on to the context limit."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    """0 takes the likeliest token."""
    top_p: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Probability mass drawn from. The published 0 is sent as the smallest mass a server takes."""
    top_k: Annotated[int, Field(ge=0)] | None = None
    """Number of likeliest tokens drawn from."""
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Least probability, relative to the likeliest token."""
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    """Subtracted once from every token already present."""
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    """Subtracted per occurrence."""
    repetition_penalty: Annotated[float, Field(gt=0, le=2)] | None = None
    """Multiplicative penalty on tokens already present."""
    stop: tuple[str, ...] = ()
    """The answer ends before any of these."""
    logit_bias: dict[str, float] = Field(default_factory=dict)
    """Token id (as text) to bias, -100 to 100."""
    repetition_detection: RepetitionDetection | None = RepetitionDetection()
    """When an answer counts as runaway; null never. Sent to vLLM alone: others refuse what they do not know."""


class Choice(Frozen):
    """The answer is one of these texts."""

    choices: tuple[str, ...]


class JsonSchema(Frozen):
    """The answer is JSON of this schema. Bound every string and array: a weak model fills whatever it is given."""

    schema_: dict[str, Any]


class Regex(Frozen):
    """The answer matches this expression."""

    pattern: str


Constraint = Choice | JsonSchema | Regex


class CompletionRequest(Frozen):
    """One call: `n` answers to one prompt."""

    id: str
    """Sent as X-Request-Id: the id of the record that is being worked on, with the try."""
    prompt: Prompt
    sampling: Sampling
    n: Annotated[int, Field(ge=1)] = 1
    seed: int | None = None
    constraint: Constraint | None = None
    top_logprobs: int = 0
    """Ask for this many alternatives per token; 0 asks for none."""


class Completion(Frozen):
    """One answer. `logprobs`: per token, alternative -> log-probability; empty when not asked for."""

    text: str
    finish_reason: FinishReason
    logprobs: tuple[dict[str, float], ...] = ()
    reasoning: str = ""
    """What a reasoning model thought before it answered; no part of the text."""

    @classmethod
    def told(
        cls,
        text: str,
        finish_reason: FinishReason,
        *,
        reasoning: str = "",
        logprobs: tuple[dict[str, float], ...] = (),
    ) -> Completion:
        """Return what a model wrote, its trace apart; `reasoning` is what the server had split off already.

        Beside a trace log-probabilities are left out: they begin with its tokens, and nobody knows where the answer's do.
        """
        thought, answer = split_reasoning(text)
        thought = "\n\n".join(filter(None, (reasoning.strip(), thought)))
        return cls.model_construct(  # nothing left to validate: the hot path
            text=answer,
            finish_reason=finish_reason,
            logprobs=() if thought or answer != text else logprobs,
            reasoning=thought,
        )


class Usage(Frozen):
    """Tokens that the server counted."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Reply(Frozen):
    """All answers to one request, in the server's order."""

    completions: tuple[Completion, ...]
    model: str
    usage: Usage = Usage()
    scripted: bool = False


class ServerState(Frozen):
    """One server as last seen: our calls there, and what its own metrics say (None where it tells nothing)."""

    url: str
    healthy: bool = True
    in_flight: int = 0
    """Our answers that it has not given yet: a call for four counts four."""
    refused: int = 0
    """Our calls that it turned away for want of room (429, 503), since this engine was opened."""
    running: int | None = None
    """Sequences that it is generating, everybody's."""
    waiting: int | None = None
    """Sequences that it has queued."""
    kv_cache: float | None = None
    """Share of its KV cache in use, 0 to 1."""
    prefix_queries: int | None = None
    """Prompt tokens looked up in its prefix cache since this engine was opened ..."""
    prefix_hits: int | None = None
    """... and found there."""
    preemptions: int | None = None
    """Sequences it had to put back for want of memory, since this engine was opened."""


class Ability(StrEnum):
    """What a stage wants of a server, beside an answer."""

    CHAT = auto()
    COMPLETIONS = auto()
    SEVERAL = auto()
    """Several answers to one request."""
    STRUCTURED = auto()
    """Answers that keep to a constraint."""


class Engine(Frozen):
    """Its own configuration plus `complete`. Used as an async context manager; one event loop, many calls at once."""

    kind: str
    scripted: ClassVar[bool] = False
    operational: ClassVar[frozenset[str]] = frozenset()
    """Fields that change how it is reached, not what it answers: free to change between two calls of one run."""

    @property
    @abstractmethod
    def model_name(self) -> str:
        """Name of the model that answers: part of every fingerprint."""

    @abstractmethod
    async def complete(self, request: CompletionRequest) -> Reply:
        """Answer `request`.

        Raises:
            CallError: this request cannot be answered (refused, or failed too often): the record fails.
            UnreachableError: the server is gone for longer than patience allows: the run stops, resumable.
            BadInputError: the key or the model is refused: the run stops.
        """

    async def prepare(self, wanted: AbstractSet[Ability]) -> Sequence[str]:
        """Find out whether it can do what a run wants, and get round what it cannot; return what a user should know.

        Raises:
            BadInputError: it cannot, and nothing gets round it.
        """
        del wanted
        return ()

    def servers(self) -> tuple[ServerState, ...]:
        """Return what is known of the servers behind it; nothing for an engine without any."""
        return ()

    async def __aenter__(self) -> Self:
        """Open what the engine needs (a connection pool, the model's name)."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
