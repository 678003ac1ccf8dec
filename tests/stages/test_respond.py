"""Who answers an instance, and how: weights, caps and spread, the same for any order in which answers come."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from selfinstruct import recipe
from selfinstruct.engines.base import Completion, CompletionRequest, FinishReason, Reply, Sampling
from selfinstruct.errors import BadInputError
from selfinstruct.records import Dropped, Response
from selfinstruct.stages.respond import Respond
from tests.support.canned import Canned, completion, instance, instruction, work


class Said:
    """Answers under the engine's name with its place, the later a call the sooner; remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, CompletionRequest]] = []

    async def __call__(self, engine: str, request: CompletionRequest) -> Reply:
        self.asked.append((engine, request))
        for _ in range(9 - len(self.asked)):
            await asyncio.sleep(0)
        texts = [f"{engine} {request.sampling.temperature} {place}" for place in range(request.n)]
        stop = FinishReason.STOP
        return Reply(completions=tuple(Completion(text=one, finish_reason=stop) for one in texts), model=f"m-{engine}")

    @property
    def calls(self) -> list[tuple[str, float, int]]:
        return [(engine, one.sampling.temperature, one.n) for engine, one in self.asked]


async def answers(stage: Respond, name: str = "n") -> tuple[list[Response], Said]:
    said, record = Said(), instance().model_copy(update={"id": name})
    made = await stage.process(record, work(record, said, ancestors=[instruction()], id=f"w{name}"))
    assert all(isinstance(one, Response) for one in made)
    return [one for one in made if isinstance(one, Response)], said


async def drawn(stage: Respond, instances: int = 600) -> list[tuple[str, ...]]:
    return [tuple(e for e, _, _ in (await answers(stage, str(number)))[1].calls) for number in range(instances)]


async def test_the_default_is_one_request_as_ever() -> None:
    """One model, n answers, its own sampling: nothing is said of it in the records."""
    made, said = await answers(Respond(n=3))
    assert said.calls == [("writer", 1.0, 3)]
    assert [one.provenance.sampling for one in made] == [None] * 3
    assert {one.provenance.model for one in made} == {"m-writer"}


async def test_each_answer_knows_its_writer_whoever_is_first() -> None:
    """Asked together and answered in reverse: records, ids and sampling seeds as if one had come after the other."""
    stage = Respond(models=("a", "b", "c"), n=2)
    made, said = await answers(stage)
    assert said.calls == [("a", 1.0, 2), ("b", 1.0, 2), ("c", 1.0, 2)]
    assert [one.text[0] for one in made] == [one.provenance.model[-1] for one in made] == [*"aabbcc"]
    seeds = {engine: request.seed for engine, request in said.asked}
    assert [one.provenance.seed for one in made] == [seeds[one.text[0]] for one in made]
    assert len({*seeds.values()}) == 3
    assert [one.id for one in made] == [one.id for one in (await answers(stage))[0]]


async def test_models_are_drawn_by_weight_none_twice() -> None:
    """Two of three, weights 4, 2, 1: as often as drawing from a hat without putting back, and the same each time."""
    stage = Respond(models={"a": 4, "b": 2, "c": 1}, draw=2, n=1)
    found = await drawn(stage)
    assert found[:50] == await drawn(stage, 50)
    assert all(len({*one}) == 2 for one in found)
    share = {one: count / len(found) for one, count in Counter(found).items()}
    # By hand: P(a, b) = 4/7 * 2/3 + 2/7 * 4/5, and so on.
    wanted = {("a", "b"): 0.610, ("a", "c"): 0.286, ("b", "c"): 0.105}
    assert share == pytest.approx(wanted, abs=0.06)


async def test_an_order_of_names_means_nothing() -> None:
    """A mapping written the other way round is the same recipe, with the same fingerprint: it must do the same."""
    one, other = Respond(models={"a": 1, "b": 2}, draw=2), Respond(models={"b": 2, "a": 1}, draw=2)
    models = {"a": "x", "b": "y"}
    assert one.fingerprint(models=models, language="en") == other.fingerprint(models=models, language="en")
    assert (await answers(one))[1].calls == (await answers(other))[1].calls


async def test_caps_bound_the_share_of_a_model() -> None:
    """The heaviest model at a quarter of the instances at most; without `draw` too; the others take its places."""
    found = await drawn(Respond(models={"a": 100, "b": 1, "c": 1}, draw=1, n=1, caps={"a": 0.25}))
    assert sum("a" in one for one in found) / len(found) == pytest.approx(0.25, abs=0.06)
    assert all(len(one) == 1 for one in found)
    every = await drawn(Respond(models=("a", "b"), n=1, caps={"b": 0.25}))
    assert {*every} == {("a",), ("a", "b")}
    assert sum("b" in one for one in every) / len(every) == pytest.approx(0.25, abs=0.06)


async def test_candidates_are_dealt_the_spread() -> None:
    """In turn, alike ones in one request; beginning anywhere, so that every model meets every change."""
    changes: Any = [{"temperature": 0.6}, {"temperature": 1.2, "top_p": 0.95}, {}]
    stage = Respond(models=("a", "b"), n=4, spread=changes)
    met: set[tuple[str, float]] = set()
    for number in range(12):
        made, said = await answers(stage, str(number))
        assert sorted(n for _, _, n in said.calls) == [1, 1, 1, 1, 2, 2]
        assert len(made) == 8
        most = {engine: temperature for engine, temperature, n in said.calls if n == 2}
        assert most["a"] != most["b"]
        met |= {*most.items()}
        for one in made:
            temperature = float(one.text.split()[1])
            told = {0.6: {"temperature": 0.6}, 1.2: {"temperature": 1.2, "top_p": 0.95}, 1.0: None}
            assert one.provenance.sampling == told[temperature]
    assert len(met) == 6


async def test_equal_changes_go_together() -> None:
    """What is drawn alike is one request, however it is written: the server works the prompt out once."""
    same: Any = [{}, {"temperature": 1.0}, {"top_p": 1}]
    _, said = await answers(Respond(n=6, spread=same))
    assert said.calls == [("writer", 1.0, 6)]


async def test_traces_are_kept_beside_the_answer() -> None:
    """The record holds both; an answer that is all trace is empty; a tag in its middle is a drop, with the text."""
    canned = Canned(
        Completion.told("<think>A river.</think>The Loire.", FinishReason.STOP),
        Completion.told("<think>A river. Wh", FinishReason.LENGTH),
        Completion.told("<think>A river.", FinishReason.STOP),
        completion("Sure.\n<think>A river.</think>\nThe Loire."),
        completion("Write `<think>` first."),
    )
    outputs = await Respond(n=5).process(instance(), work(instance(), canned, ancestors=[instruction()]))
    rules = [one.reason.rule if isinstance(one, Dropped) else (one.text, one.reasoning) for one in outputs]
    assert rules == [("The Loire.", "A river."), "cut", "empty", "trace", ("Write `<think>` first.", "")]
    assert isinstance(outputs[3], Dropped)
    assert "<think>" in outputs[3].text


RESPOND: dict[str, Any] = {"kind": "respond"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models": {"writer": 2, "other": 0}, "draw": 1}, "weight of 'other' is 0"),
        ({"models": {"writer": 2, "other": "much"}, "draw": 1}, "weight of 'other' is 'much'"),
        ({"models": {"writer": True, "other": 1}, "draw": 1}, "weight of 'writer' is True"),
        ({"models": []}, "no model is named"),
        ({"models": ["writer", "writer"]}, "named twice"),
        ({"models": {"writer": 2, "other": 1}}, "`draw: 1`"),
        ({"models": ["writer", "other"], "draw": 3}, "draw: 3 of 2 models"),
        ({"models": ["writer", "other"], "draw": 2, "caps": {"other": 0.5}}, "1 of them capped"),
        ({"caps": {"writer": 0.5}}, "1 of them capped"),
        ({"caps": {"writr": 0.5}}, "'writr' is none of the models writer"),
        ({"models": ["writer", "other"], "caps": {"other": 500}}, "caps.other: Input should be less than 1"),
        ({"spread": [{"temprature": 1}]}, "spread: temprature"),
        ({"spread": [{"temperature": 9}]}, "spread: temperature: Input should be less than or equal to 2"),
        ({"models": ["writer", "othr"]}, "no engine is called 'othr'"),
        ({"models": {"writer": 1, "othr": 1}, "draw": 1}, "no engine is called 'othr'"),
    ],
)
def test_recipes_that_cannot_be_meant(changes: dict[str, Any], said: str) -> None:
    """Each is told in words, with its place, before a call is paid for."""
    demo = recipe.load("demo", environment={}).model_dump(mode="json")
    demo["engines"]["other"] = {"kind": "scripted"}
    demo["stages"] = [{**one, **changes} if one["kind"] == "respond" else one for one in demo["stages"]]
    with pytest.raises(BadInputError) as caught:
        recipe.build(demo)
    assert said in str(caught.value)
    assert "stages.3" in str(caught.value)


def test_all_models_are_engines_of_the_stage() -> None:
    """Each is opened and asked what it can do; one model alone may still be the writer under another name."""
    assert Respond(models={"b": 1, "a": 3}, draw=1).engines() == ("a", "b")
    assert Respond(models=("b", "a")).engines() == ("b", "a")
    assert Respond(models=("else",)).named() == ()
    assert Respond().drawn({"temperature": 0.5}) == Sampling(max_tokens=1024, temperature=0.5)
