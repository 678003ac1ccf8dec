"""Requests and replies on the wire: what a server sends is read whole, made harmless, or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from selfinstruct.engines import _wire as wire
from selfinstruct.engines.base import CompletionRequest, FinishReason, Sampling, Usage, user
from selfinstruct.errors import UnreadableError


def ask(**changes: Any) -> CompletionRequest:
    return CompletionRequest(**{"id": "r", "prompt": user("Hi"), "sampling": Sampling(max_tokens=8), **changes})


def choice(**changes: Any) -> dict[str, Any]:
    return {"index": 0, "finish_reason": "stop", "message": {"content": "ok"}, **changes}


def test_runaway_answers_are_ended_where_the_server_can() -> None:
    """A vLLM is told when; others, which may refuse what they do not know, are not; null is not sent."""
    wanted = {"max_pattern_size": 20, "min_count": 16}
    assert wire.body(ask(), model="m", dialect="vllm")["repetition_detection"] == wanted
    for dialect in ("openai", "none"):
        assert "repetition_detection" not in wire.body(ask(), model="m", dialect=dialect)
    never = ask(sampling=Sampling(max_tokens=8, repetition_detection=None))
    assert "repetition_detection" not in wire.body(never, model="m", dialect="vllm")


def test_unpaired_surrogates_and_nul_become_replacement_characters() -> None:
    """They can be neither encoded nor stored; everything else stays as it came."""
    value = json.loads(
        r'{"choices":[{"finish_reason":"stop","message":{"content":"a\ud800b\u0000c\ud83d\ude00\u001b"}}]}'
    )
    (one,), _ = wire.read(ask(), value)
    assert one.text == "a\ufffdb\ufffdc\U0001f600\x1b"


def test_choices_come_in_the_order_of_their_index() -> None:
    """Whatever order the server sends."""
    value = {"choices": [choice(index=i, message={"content": str(i)}) for i in (2, 0, 1)]}
    completions, _ = wire.read(ask(n=3), value)
    assert [one.text for one in completions] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [("stop", "stop"), ("length", "length"), ("repetition", "repetition"), ("abort", "abort"),
     ("content_filter", "content_filter"), ("tool_calls", "unknown"), (None, "unknown")],
)  # fmt: skip
def test_finish_reasons(sent: str | None, reason: str) -> None:
    """Known ones by name, all others unknown: never taken for a whole answer."""
    (one,), _ = wire.read(ask(), {"choices": [choice(finish_reason=sent)]})
    assert one.finish_reason is FinishReason(reason)


@pytest.mark.parametrize(
    "value",
    [
        None, [], "text", {}, {"choices": None}, {"choices": []}, {"choices": [None]}, {"choices": [choice(), choice()]},
        {"choices": [choice(message=None)]}, {"choices": [choice(message={"content": 0})]},
        {"choices": [choice(message={"content": []})]}, {"choices": [choice(finish_reason=["stop"])]},
        {"choices": [choice()], "usage": {"prompt_tokens": float("inf")}},
        {"choices": [choice()], "usage": {"prompt_tokens": float("nan")}},
        {"choices": [choice()], "usage": {"prompt_tokens": 10**30}},
        {"choices": [choice()], "usage": {"completion_tokens": -1}}, {"choices": [choice()], "usage": ["x"]},
    ],
)  # fmt: skip
def test_other_shapes_are_unreadable(value: Any) -> None:
    """One error, whatever is wrong: the engine asks again, and nothing odd reaches a record."""
    with pytest.raises(UnreadableError):
        wire.read(ask(), value)


def test_usage_is_zero_where_it_is_absent() -> None:
    """Absent, null, or without a field."""
    for usage in ({}, {"usage": None}, {"usage": {"prompt_tokens": None}}):
        assert wire.read(ask(), {"choices": [choice()], **usage})[1] == Usage()


def test_logprobs_of_both_dialects() -> None:
    """Per token, alternative to log-probability; tokens made harmless."""
    top = [{"token": "a", "logprob": -1}, {"token": "\ud800", "logprob": -9999.0}]
    chat = {"choices": [choice(logprobs={"content": [{"token": "a", "logprob": -1, "top_logprobs": top}]})]}
    text = {"choices": [{"text": "a", "finish_reason": "stop", "logprobs": {"top_logprobs": [None, {"a": -1}]}}]}
    assert wire.read(ask(top_logprobs=2), chat)[0][0].logprobs == ({"a": -1.0, "\ufffd": -9999.0},)
    assert wire.read(ask(top_logprobs=1, prompt="P"), text)[0][0].logprobs == ({}, {"a": -1.0})


@pytest.mark.parametrize("logprobs", [None, {}, {"content": None}, {"content": []}, {"refusal": None}, []])
def test_missing_logprobs_cost_no_answer(logprobs: Any) -> None:
    """Servers that have none send many kinds of nothing."""
    (one,), _ = wire.read(ask(top_logprobs=5), {"choices": [choice(logprobs=logprobs)]})
    assert (one.text, one.logprobs) == ("ok", ())


def test_logprobs_that_nobody_asked_for_are_not_read() -> None:
    """Their shape is the server's own business."""
    (one,), _ = wire.read(ask(), {"choices": [choice(logprobs={"content": [{"odd": 1}]})]})
    assert (one.text, one.logprobs) == ("ok", ())


@pytest.mark.parametrize("number", [float("nan"), float("-inf"), "x", None, True])
def test_logprobs_that_are_no_numbers_are_unreadable(number: Any) -> None:
    """They would become a margin."""
    top = [{"token": "a", "logprob": number}]
    with pytest.raises(UnreadableError):
        wire.read(ask(top_logprobs=1), {"choices": [choice(logprobs={"content": [{"top_logprobs": top}]})]})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "too long", "code": 400}}', "too long"),
        (b'{"error": "slow down"}', "slow down"),
        (b'{"message": "no"}', "no"),
        (b"<html>\x1b[31m\nsorry</html>", "<html>\\u001b[31m sorry</html>"),
        ('{"error": {"message": "a\u202eb"}}'.encode(), "a\\u202eb"),
        (b"", ""),
    ],
)
def test_a_refusal_is_one_safe_line(body: bytes, said: str) -> None:
    """The server's sentence wherever it stands, control and bidi characters escaped."""
    assert wire.sentence(body) == said


def test_a_refusal_is_short() -> None:
    """A page of HTML does not fill the terminal."""
    assert len(wire.sentence(b"x" * 100_000)) == len(wire.sentence(json.dumps({"error": "y" * 9000}).encode())) == 300


def test_model_names() -> None:
    """From /models; None when it is another page."""
    assert wire.model_names({"data": [{"id": "a"}, {"object": "model"}, {"id": "b\ud800"}]}) == ["a", "b\ufffd"]
    assert wire.model_names({"data": {}}) is wire.model_names([]) is wire.model_names(None) is None
