"""Finds out what a server can do by asking it: in sentences for `doctor`, as decisions for a run (`survey`)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from selfinstruct.engines.base import (
    Ability,
    Choice,
    CompletionRequest,
    FinishReason,
    JsonSchema,
    Prompt,
    Reply,
    Sampling,
    together,
    user,
)
from selfinstruct.errors import BadInputError, CallError, RefusedError, UnreachableError
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from selfinstruct.engines.http import HttpEngine


ANSWER_SECONDS = 60.0
"""For one question: who asks does not wait as a run does. A server's first answer may take half of that."""

PATIENCE_SECONDS = 10.0
"""For a server that is busy or away, of a doctor."""

LEAST_CONTEXT = 4096
"""Tokens: the longest prompt, 31 demonstrations, and 2,048 tokens of answer."""
LONGER = f"serve with --max-model-len {LEAST_CONTEXT}"

WORDS = ("quartz", "bramble")
"""What no model says of its own: an answer with one of these was constrained."""
SCHEMA = {"type": "object", "properties": {"k": {"enum": list(WORDS)}}, "required": ["k"], "title": "Probe"}
CONSTRAINED = "vLLM 0.12 or newer, or --set engines.writer.structured_outputs=openai|none"

ROOM = (
    "give every stage room for them (--set stages.classify.sampling.max_tokens=2048 and so on), or serve it without: "
    """--default-chat-template-kwargs '{"enable_thinking": false}'"""
)
"""What to do about a reasoning model; the switch is vLLM's, its value that of Qwen3's and most other templates."""

PLAIN = Sampling(max_tokens=8, temperature=1.0, repetition_detection=None)
"""Nothing that a server need not know."""
AT_ONCE = 32
"""Questions asked together, to see whether they are answered together ..."""
QUICK_SECONDS = 1.0
"""... which does not matter if they take no longer."""

LONG = Sampling(max_tokens=32, temperature=1.0)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    good: bool
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a run does about a server, and what its user should know."""

    dialect: str
    """How constraints are written."""
    singly: bool
    """Whether several answers are asked for one by one."""
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _No:
    """What came instead of a reply."""

    text: str
    refused: bool = False
    """It would come again."""
    passing: bool = False
    """It took too long: another time it may not."""


# -- for a run ----------------------------------------------------------------------------------------------------


async def survey(engine: HttpEngine, wanted: AbstractSet[Ability]) -> Survey:
    """Ask an open engine what a run must know, all at once; what fails in passing decides nothing.

    Raises:
        BadInputError: no chat, or no completions, where they are wanted; a key or model is refused.
        UnreachableError: gone for longer than patience, if that is shorter than what a question may take.
    """
    refusals = asyncio.create_task(_refusals(engine, wanted))
    ways, told = asyncio.create_task(_dialects(engine, wanted)), asyncio.create_task(_length(engine))
    thinking = asyncio.create_task(_thinks(engine, wanted))
    await together(refusals, ways, told, thinking)
    (chat, text, several), dialects, length = refusals.result(), ways.result(), told.result()
    if chat:
        msg = f"the server does not chat as {engine.model_name}: {chat}"
        raise BadInputError(
            msg, remedy="serve a model with a chat template, or take the recipe self-instruct or alpaca"
        )
    if text:
        msg = f"the server does not complete text as {engine.model_name}: {text}"
        raise BadInputError(msg, remedy="serve it with vLLM, or take the recipe chat")
    notes = []
    if several:
        notes.append(f"the server writes one answer a request ({several}): several are asked for one by one")
    if not dialects:
        notes.append(f"the server keeps to no constraint: JSON is asked for in words alone; better: {CONSTRAINED}")
    elif engine.structured_outputs == "auto" and dialects[0] != "vllm":
        notes.append(f"constraints are written as {dialects[0]} has them: the server ignores vLLM's")
    if thinking.result():
        notes.append(f"the model thinks before it answers, and its thoughts count as tokens: {ROOM}")
    if length is not None and length < LEAST_CONTEXT:
        notes.append(f"a context of {length} tokens is short: long prompts may be refused; better: {LONGER}")
    return Survey(dialect=dialects[0] if dialects else "none", singly=bool(several), notes=tuple(notes))


async def _refusals(engine: HttpEngine, wanted: AbstractSet[Ability]) -> list[str]:
    """Return how the server refuses to chat, to complete text and to give several answers; empty where it does not."""
    return await together(
        _refusal(engine, user("Say hello."), wanted=Ability.CHAT in wanted),
        _refusal(engine, "Once upon a time", wanted=Ability.COMPLETIONS in wanted),
        _alone(engine, wanted=Ability.SEVERAL in wanted),
    )


async def _thinks(engine: HttpEngine, wanted: AbstractSet[Ability]) -> bool:
    """Say whether an answer begins with a trace. One whose beginning is in the prompt shows only where it ends."""
    if Ability.CHAT not in wanted:
        return False
    reply = await _ask(engine, user("Say hello."), LONG, number=2)
    return isinstance(reply, Reply) and bool(reply.completions[0].reasoning)


async def _alone(engine: HttpEngine, *, wanted: bool) -> str:
    """Return why a server that gives one answer does not give two: some refuse, some give one all the same."""
    if not wanted:
        return ""
    hasty = engine.model_copy(update={"attempts": 2})
    one, two = await together(*(_ask(hasty, user("Say something."), PLAIN, n=n, number=n) for n in (1, 2)))
    return two.text if isinstance(one, Reply) and isinstance(two, _No) and not two.passing else ""


async def _refusal(engine: HttpEngine, prompt: Prompt, *, wanted: bool) -> str:
    """Return how the server refuses to answer, twice over; empty when it does not, or is not asked."""
    said = ""
    for number in range(2 * wanted):
        reply = await _ask(engine, prompt, PLAIN, number=number)
        if isinstance(reply, Reply) or not reply.refused:
            return ""
        said = reply.text
    return said


async def _dialects(engine: HttpEngine, wanted: AbstractSet[Ability]) -> list[str]:
    """Return the ways of writing constraints that the server keeps to, of those that may be used, the best first.

    One that could not be asked about counts as kept to. Where no constraints are wanted, vLLM's way still has other fields
    of its own, which the server must not refuse.
    """
    ways: list[str] = ["vllm", "openai"] if engine.structured_outputs == "auto" else [engine.structured_outputs]
    if not wanted or ways == ["none"]:
        return ways
    if Ability.STRUCTURED not in wanted:
        prompt: Prompt = user("Say hello.") if Ability.CHAT in wanted else "Once upon a time"
        reply = await _ask(engine.model_copy(update={"structured_outputs": ways[0]}), prompt, LONG)
        return ways[1:] if isinstance(reply, _No) and reply.refused and len(ways) > 1 else ways
    asked = await together(*(_constrained(engine, way) for way in ways))
    return [way for way, replies in zip(ways, asked, strict=True) if all(map(_kept, replies))]


async def _constrained(engine: HttpEngine, way: str) -> list[Reply | _No]:
    """Ask for answers that no model gives unconstrained, in one of the ways to say so."""
    spoken = engine.model_copy(update={"structured_outputs": way})
    constraints = [JsonSchema(schema_=SCHEMA)]
    asked = [_ask(spoken, user("Say hello."), LONG, constraint=one) for one in constraints]
    if way == "vllm":  # the other has no choice
        asked.append(_ask(spoken, user("Say hello."), LONG, constraint=Choice(choices=WORDS), number=1))
    return await together(*asked)


def _kept(reply: Reply | _No) -> bool:
    """Say whether a constraint held. An unknown or outdated name for it is ignored: look at the answer, not the status."""
    if isinstance(reply, _No):
        return not reply.refused
    text = reply.completions[0].text.strip()
    if reply.completions[0].finish_reason is FinishReason.LENGTH and (not text or text.startswith("{")):
        return True  # it thinks first, or fills JSON with blanks: undecided
    return any(word in text for word in WORDS)


async def _ask(
    engine: HttpEngine,
    prompt: Prompt,
    sampling: Sampling,
    *,
    number: int = 0,
    **options: Any,  # noqa: ANN401 - fields of a request
) -> Reply | _No:
    request = CompletionRequest(id=f"probe-{number}", prompt=prompt, sampling=sampling, seed=1 + number, **options)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await engine.complete(request)
    except TimeoutError:
        return _No(f"no answer within {ANSWER_SECONDS:g} s", passing=True)
    except CallError as error:
        return _No(str(error), refused=isinstance(error, RefusedError))


async def _length(engine: HttpEngine) -> int | None:
    """Return the context length in tokens; None when it is not told."""
    try:
        _, models = await engine.get("/models")
    except UnreachableError:  # just now; calls are more patient
        return None
    entries = models.get("data") if isinstance(models, dict) else None
    lengths = {one.get("id"): one.get("max_model_len") for one in entries or () if isinstance(one, dict)}
    length = lengths.get(engine.model_name)
    return length if isinstance(length, int) else None


# -- for a doctor -------------------------------------------------------------------------------------------------


async def probe(engine: HttpEngine) -> list[Finding]:
    """Ask an open engine some ten short questions; a negative finding is no error.

    Raises:
        UnreachableError: the server went away. BadInputError: it refuses the key or the model.
    """
    engine = engine.model_copy(update={"attempts": 2, "patience": min(engine.patience, PATIENCE_SECONDS)})
    _, version = await engine.get("/../version")
    number = version.get("version", "unknown") if isinstance(version, dict) else "unknown"
    return [
        Finding(good=True, text=f"server at {', '.join(engine.urls)}, version {number}, model {engine.model_name}"),
        await _context(engine),
        await _timed(engine),
        await _completions(engine),
        await _several(engine),
        await _structured(engine),
        await _logprobs(engine),
        await _at_once(engine),
    ]


async def _said(engine: HttpEngine, prompt: Prompt, **options: Any) -> Reply | str:  # noqa: ANN401
    """Return the reply, or what the server said instead: an endpoint that is not there is a finding too."""
    try:
        reply = await _ask(engine, prompt, PLAIN, **options)
    except BadInputError as error:
        return str(error)
    return reply.text if isinstance(reply, _No) else reply


async def _context(engine: HttpEngine) -> Finding:
    length = await _length(engine)
    if length is None:
        return Finding(good=True, text="context length not told")
    good = length >= LEAST_CONTEXT
    return Finding(good=good, text=f"context of {length} tokens", remedy="" if good else LONGER)


async def _timed(engine: HttpEngine) -> Finding:
    started = time.monotonic()
    reply = await _said(engine, user("Say hello."))
    if isinstance(reply, str):
        remedy = "the model has no chat template: use the recipe self-instruct or alpaca"
        return Finding(good=False, text=f"chat does not work: {reply}", remedy=remedy)
    seconds = time.monotonic() - started
    return Finding(good=True, text=f"chat works; {reply.usage.completion_tokens} tokens in {seconds * 1000:.0f} ms")


async def _completions(engine: HttpEngine) -> Finding:
    reply = await _said(engine, "Once upon a time")
    text = f"completions do not work: {reply}" if isinstance(reply, str) else "completions work"
    return Finding(good=True, text=text)


async def _several(engine: HttpEngine) -> Finding:
    reply = await _said(engine, user("Say something."), n=2)
    if isinstance(reply, str):
        return Finding(good=True, text=f"one answer a request, several are asked for one by one: {reply}")
    return Finding(good=True, text="n answers in one request: yes")


async def _structured(engine: HttpEngine) -> Finding:
    if engine.structured_outputs == "none":
        return Finding(good=True, text="structured outputs are switched off")
    told = []
    for way in ("vllm", "openai") if engine.structured_outputs == "auto" else (engine.structured_outputs,):
        try:
            replies = await _constrained(engine, way)
        except BadInputError as error:
            return Finding(good=False, text=f"structured outputs do not constrain: {error}", remedy=CONSTRAINED)
        if all(isinstance(one, Reply) and _kept(one) for one in replies):
            return Finding(good=True, text=f"structured outputs really constrain, written as {way} has them")
        shown = [one.text if isinstance(one, _No) else one.completions[0].text.strip() for one in replies]
        told.append(f"{way} got {' and '.join(repr(printable(text, longest=80)) for text in shown)}")
    return Finding(good=False, text=f"structured outputs do not constrain: {', '.join(told)}", remedy=CONSTRAINED)


async def _logprobs(engine: HttpEngine) -> Finding:
    reply = await _said(engine, user("Say hello."), top_logprobs=5)
    good = not isinstance(reply, str) and bool(reply.completions[0].logprobs)
    return Finding(good=True, text=f"log-probabilities: {'yes' if good else 'no (classification margins stay empty)'}")


async def _at_once(engine: HttpEngine) -> Finding:
    """Tell how much longer many short answers take together than one alone: below half of their number, they share."""
    alone = await _seconds(engine, 1)
    together = await _seconds(engine, AT_ONCE)
    if alone is None or together is None:
        return Finding(good=True, text="how many answers at once: not found out")
    ratio = together / alone
    text = f"{AT_ONCE} short answers at once take {ratio:.1f} times as long as one"
    good = ratio < AT_ONCE / 2 or together < QUICK_SECONDS
    return Finding(
        good=good, text=text, remedy="" if good else "the server answers one after the other: serve with vLLM"
    )


async def _seconds(engine: HttpEngine, count: int) -> float | None:
    started = time.monotonic()
    replies = await asyncio.gather(*(_said(engine, user("Say hello."), number=one) for one in range(count)))
    return None if any(isinstance(one, str) for one in replies) else time.monotonic() - started
