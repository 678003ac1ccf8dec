"""Finds out what a server can do by asking it, for `doctor`: each finding is a sentence, and a remedy when it is bad."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from selfinstruct.engines.base import Choice, CompletionRequest, JsonSchema, Prompt, Reply, Sampling, user
from selfinstruct.errors import BadInputError, CallError
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from selfinstruct.engines.http import HttpEngine


ANSWER_SECONDS = 60.0
"""For one question: a doctor does not wait as a run does. A server's first answer may take half of that."""

PATIENCE_SECONDS = 10.0
"""For a server that is busy or away."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    good: bool
    text: str
    remedy: str = ""


async def probe(engine: HttpEngine) -> list[Finding]:
    """Ask an open engine some ten short questions; a negative finding is no error.

    Raises:
        UnreachableError: the server went away. BadInputError: it refuses the key or the model.
    """
    engine = engine.model_copy(update={"attempts": 2, "patience": min(engine.patience, PATIENCE_SECONDS)})
    _, version = await engine.get("/../version")
    number = version.get("version", "unknown") if isinstance(version, dict) else "unknown"
    found = [
        Finding(good=True, text=f"server at {', '.join(engine.urls)}, version {number}, model {engine.model_name}")
    ]
    found.append(await _context(engine))
    found.append(await _timed(engine))
    found.append(await _completions(engine))
    found.append(await _several(engine))
    found.append(await _constrained(engine))
    found.append(await _logprobs(engine))
    return found


async def _ask(engine: HttpEngine, prompt: Prompt, tokens: int, **options: Any) -> Reply | str:  # noqa: ANN401
    """Return the reply, or what the server said instead."""
    sampling = Sampling(max_tokens=tokens, temperature=1.0)
    request = CompletionRequest(id="doctor", prompt=prompt, sampling=sampling, seed=1, **options)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await engine.complete(request)
    except TimeoutError:
        return f"no answer within {ANSWER_SECONDS:g} s"
    except (BadInputError, CallError) as error:  # an endpoint that is not there is a finding
        return str(error)


async def _context(engine: HttpEngine) -> Finding:
    _, models = await engine.get("/models")
    entries = models.get("data") if isinstance(models, dict) else None
    lengths = {one.get("id"): one.get("max_model_len") for one in entries or () if isinstance(one, dict)}
    length = lengths.get(engine.model_name)
    if not isinstance(length, int):
        return Finding(good=True, text="context length not told")
    good = length >= 4096  # noqa: PLR2004 - the longest prompt, 31 demonstrations, and 2,048 tokens of answer
    return Finding(
        good=good, text=f"context of {length} tokens", remedy="" if good else "serve with --max-model-len 4096"
    )


async def _timed(engine: HttpEngine) -> Finding:
    started = time.monotonic()
    reply = await _ask(engine, user("Say hello."), 16)
    if isinstance(reply, str):
        remedy = "the model has no chat template: use the recipe self-instruct or alpaca"
        return Finding(good=False, text=f"chat does not work: {reply}", remedy=remedy)
    seconds = time.monotonic() - started
    return Finding(good=True, text=f"chat works; {reply.usage.completion_tokens} tokens in {seconds * 1000:.0f} ms")


async def _completions(engine: HttpEngine) -> Finding:
    reply = await _ask(engine, "Once upon a time", 4)
    text = f"completions do not work: {reply}" if isinstance(reply, str) else "completions work"
    return Finding(good=True, text=text)


async def _several(engine: HttpEngine) -> Finding:
    reply = await _ask(engine, user("Say something."), 8, n=2)
    good = not isinstance(reply, str)
    return Finding(good=good, text=f"n answers in one request: {'yes' if good else reply}", remedy="" if good else (
        "set stages.respond.n=1 and name several models, or serve with vLLM"))  # fmt: skip


async def _constrained(engine: HttpEngine) -> Finding:
    """An unknown or outdated parameter name is accepted and ignored: look at the answer, not at the status."""
    if engine.structured_outputs == "none":
        return Finding(good=True, text="structured outputs are switched off")
    words = ("quartz", "bramble")
    asked = []
    if engine.structured_outputs == "vllm":  # the other dialect has no choice
        asked.append(await _ask(engine, user("Say hello."), 8, constraint=Choice(choices=words)))
    schema = {"type": "object", "properties": {"k": {"enum": list(words)}}, "required": ["k"], "title": "Probe"}
    asked.append(await _ask(engine, user("Say hello."), 32, constraint=JsonSchema(schema_=schema)))
    told = [one if isinstance(one, str) else one.completions[0].text.strip() for one in asked]
    if all(not isinstance(one, str) for one in asked) and all(any(word in text for word in words) for text in told):
        return Finding(good=True, text="structured outputs really constrain")
    remedy = "vLLM 0.12 or newer, or --set engines.writer.structured_outputs=openai|none"
    shown = " and ".join(repr(printable(text, longest=80)) for text in told)
    return Finding(good=False, text=f"structured outputs do not constrain: got {shown}", remedy=remedy)


async def _logprobs(engine: HttpEngine) -> Finding:
    reply = await _ask(engine, user("Say hello."), 1, top_logprobs=5)
    good = not isinstance(reply, str) and bool(reply.completions[0].logprobs)
    return Finding(good=True, text=f"log-probabilities: {'yes' if good else 'no (classification margins stay empty)'}")
