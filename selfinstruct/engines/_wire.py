"""Writes requests and reads replies in the two dialects (chat, completions) as vLLM 0.32 has them. Pure functions.

Knows no socket, no retry and no key; what a server sends is data, and is made harmless here.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import TYPE_CHECKING, Any

from selfinstruct.engines.base import (
    Choice,
    Completion,
    CompletionRequest,
    Constraint,
    FinishReason,
    JsonSchema,
    Reply,
    Usage,
)
from selfinstruct.errors import UnreadableError
from selfinstruct.text.reply import harmless
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_TOP_P = 1e-6
"""Sent for a top_p of 0, which servers refuse although the papers have it: the likeliest token alone, either way."""

MOST_TOKENS = 2**63 - 1
"""The largest count that a store can hold."""

_REASONS = {one.value: one for one in FinishReason}


def body(request: CompletionRequest, *, model: str, dialect: str) -> dict[str, Any]:
    """Return the JSON body of `request`; `dialect` is how constraints are written: vllm, openai or none."""
    sampling = request.sampling
    written: dict[str, Any] = {
        "model": model,
        "n": request.n,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": max(sampling.top_p, LEAST_TOP_P),
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
    }
    for name in ("top_k", "min_p", "repetition_penalty"):
        if getattr(sampling, name) is not None:
            written[name] = getattr(sampling, name)
    if sampling.stop:
        written["stop"] = list(dict.fromkeys(sampling.stop))
    if sampling.logit_bias:
        written["logit_bias"] = sampling.logit_bias
    if request.seed is not None:
        written["seed"] = request.seed
    if sampling.repetition_detection is not None and dialect == "vllm":
        written["repetition_detection"] = sampling.repetition_detection.model_dump()
    if request.constraint is not None:
        written |= _constraint(request.constraint, dialect)
    return written | _asked(request)


def _asked(request: CompletionRequest) -> dict[str, Any]:
    """Return the fields in which the two endpoints differ."""
    top = request.top_logprobs
    if isinstance(request.prompt, str):
        return {"prompt": request.prompt} | ({"logprobs": top} if top else {})
    messages = [{"role": one.role, "content": one.content} for one in request.prompt]
    return {"messages": messages} | ({"logprobs": True, "top_logprobs": top} if top else {})


def singly(request: CompletionRequest) -> list[CompletionRequest]:
    """Return `n` requests for one answer each, for a server that writes but one; each draws for itself."""
    return [
        request.model_copy(
            update={
                "id": f"{request.id}.{place}",
                "n": 1,
                "seed": None if request.seed is None else request.seed + place,
            }
        )
        for place in range(request.n)
    ]


def joined(replies: Sequence[Reply]) -> Reply:
    """Return their answers as one reply's."""
    return replies[0].model_copy(
        update={
            "completions": tuple(one for reply in replies for one in reply.completions),
            "usage": Usage(
                prompt_tokens=sum(reply.usage.prompt_tokens for reply in replies),
                completion_tokens=sum(reply.usage.completion_tokens for reply in replies),
            ),
        }
    )


def _constraint(constraint: Constraint, dialect: str) -> dict[str, Any]:
    if dialect == "vllm":
        if isinstance(constraint, Choice):
            return {"structured_outputs": {"choice": list(constraint.choices)}}
        if isinstance(constraint, JsonSchema):
            return {"structured_outputs": {"json": constraint.schema_}}
        return {"structured_outputs": {"regex": constraint.pattern}}
    if dialect == "openai" and isinstance(constraint, JsonSchema):
        schema = {"name": constraint.schema_.get("title", "answer"), "strict": True, "schema": constraint.schema_}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}
    return {}


def read(request: CompletionRequest, value: Any) -> tuple[tuple[Completion, ...], Usage]:  # noqa: ANN401 - the server's
    """Return the answers, in the order of their index, and the tokens counted.

    Raises:
        UnreadableError: not n choices, or a part of another shape.
    """
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list) or len(choices) != request.n:
        msg = f"without {request.n} choices"
        raise UnreadableError(msg)
    try:
        ordered = sorted(choices, key=lambda one: one.get("index", 0))
        usage = value.get("usage") or {}
        counts = Usage(
            prompt_tokens=_count(usage.get("prompt_tokens")), completion_tokens=_count(usage.get("completion_tokens"))
        )
        return tuple(_completion(one, request) for one in ordered), counts
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        msg = f"of another shape: {type(error).__name__}"
        raise UnreadableError(msg) from None


def _completion(choice: dict[str, Any], request: CompletionRequest) -> Completion:
    chat = not isinstance(request.prompt, str)
    text = choice["message"].get("content") if chat else choice["text"]
    return Completion.told(
        "" if text is None else harmless(text),
        _REASONS.get(choice.get("finish_reason") or "", FinishReason.UNKNOWN),
        reasoning=_reasoning(choice["message"]) if chat else "",
        # Some servers send them unasked, in shapes of their own: not asked for, not read.
        logprobs=_logprobs(choice.get("logprobs"), chat=chat) if request.top_logprobs else (),
    )


_TOLD = ("reasoning", "reasoning_content")
"""Where a server with a reasoning parser puts the trace. vLLM 0.32 has the first name alone (read), by their documentation
0.10 the second and 0.11.2 both; other servers still have the second.

While such a parser is at work, vLLM's constraints hold for what follows the trace (`enable_in_reasoning` is off by default,
read in 0.32), and without one from the first token: either way constrained JSON needs nothing more here.
"""


def _reasoning(message: dict[str, Any]) -> str:
    """Return what the server split off; nothing where it sends none, or in a shape of its own."""
    return next((harmless(told) for name in _TOLD if isinstance(told := message.get(name), str) and told), "")


def _logprobs(value: Any, *, chat: bool) -> tuple[dict[str, float], ...]:  # noqa: ANN401
    """Return them per token; empty when the server sends none, which is its right."""
    if not isinstance(value, dict):
        return ()
    if chat:
        tops = [[(x["token"], x["logprob"]) for x in one["top_logprobs"]] for one in value.get("content") or ()]
    else:
        tops = [list((one or {}).items()) for one in value.get("top_logprobs") or ()]
    return tuple({harmless(token): _finite(number) for token, number in top} for top in tops)


def _finite(number: object) -> float:
    if isinstance(number, bool) or not isinstance(number, int | float) or not isfinite(number):
        msg = "not a log-probability"
        raise ValueError(msg)
    return float(number)


def _count(number: Any) -> int:  # noqa: ANN401
    """Return a number of tokens; 0 when the server counts none."""
    count = int(number or 0)
    if not 0 <= count <= MOST_TOKENS:
        msg = "not a count"
        raise ValueError(msg)
    return count


def json_or_none(text: bytes) -> Any:  # noqa: ANN401
    """Return the JSON value; None when it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def sentence(text: bytes) -> str:
    """Return what a server says of its refusal: one line of at most 300 characters, safe to show."""
    value = json_or_none(text[:20_000])
    if isinstance(value, dict):
        error = value.get("error", value)
        value = error.get("message", error) if isinstance(error, dict) else error
    return printable(value if value is not None else text[:300].decode("utf-8", "replace"), longest=300)


def model_names(value: Any) -> list[str] | None:  # noqa: ANN401
    """Return the names in an answer to /models; None when it is no such answer."""
    entries = value.get("data") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        return None
    return [harmless(str(one["id"])) for one in entries if isinstance(one, dict) and "id" in one]
