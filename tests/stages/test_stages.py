"""Each stage on given answers: what it asks, what it reads, what it drops, what it refuses to read."""

from __future__ import annotations

from math import exp, isclose, log
from pathlib import Path
from typing import Any

import pytest

from selfinstruct import pipeline, recipe
from selfinstruct.engines.base import Choice, Completion, CompletionRequest, FinishReason, JsonSchema, Reply
from selfinstruct.engines.scripted import ScriptedEngine
from selfinstruct.errors import CallError, UnreadableError
from selfinstruct.pool import Pool
from selfinstruct.records import Dropped, Instance, Instruction, PreferencePair, Response, Row
from selfinstruct.stages.bootstrap import Bootstrap
from selfinstruct.stages.classify import Classify
from selfinstruct.stages.instances import Instances
from selfinstruct.stages.pair import Pair
from selfinstruct.stages.respond import Respond
from selfinstruct.stages.select import Select
from tests.support.canned import SEEDS, Canned, classification, completion, instance, instruction, judged, request, work


def stage(name: str, kind: str) -> Any:
    return next(one for one in recipe.load(name, environment={}).stages if one.kind == kind)


def rules(outputs: object) -> list[str]:
    assert isinstance(outputs, list)
    return [one.reason.rule if isinstance(one, Dropped) else "" for one in outputs]


# -- bootstrap ----------------------------------------------------------------------------------------------------------


async def test_first_requests_show_eight_seeds_later_ones_six_and_two() -> None:
    """8 human until there are machine ones, then 6 and 2; the draw depends on seed and number alone."""
    canned = Canned('{"tasks":["A task."]}', '{"tasks":["A task."]}', '{"tasks":["A task."]}')
    (first,) = await Bootstrap().process(request(), work(request(), canned))
    assert isinstance(first, Instruction)
    human = {seed.id for seed in SEEDS}
    assert len(set(first.shown)) == 8
    assert set(first.shown) <= human
    pool = Pool(SEEDS)
    for number in range(5):
        pool.admit(instruction(f"Machine task number {number}.", name=f"m{number}"))
        pool.close_request()
    later = request(40)
    for _ in range(35):
        pool.close_request()
    (made,) = await Bootstrap().process(later, work(later, canned, pool=pool))
    assert isinstance(made, Instruction)
    assert len(set(made.shown) & human) == 6
    assert len(set(made.shown) - human) == 2
    (again,) = await Bootstrap().process(later, work(later, canned, pool=pool))
    assert again == made


async def test_a_request_does_not_see_what_came_after_its_lag() -> None:
    """Request k sees the pool after request k - lag, however far admission has gone."""
    pool = Pool(SEEDS)
    pool.close_request()
    pool.admit(instruction("Too new to be shown."))
    pool.close_request()
    canned = Canned('{"tasks":["A task."]}')
    (made,) = await Bootstrap(lag=4).process(request(4), work(request(4), canned, pool=pool))
    assert isinstance(made, Instruction)
    assert Bootstrap(lag=4).sees(4) == 1
    assert "i" not in made.shown


def test_a_long_lag_is_worked_up_to() -> None:
    """64 requests at first, one more for every two admitted, at most `lag`; what a request sees never shrinks."""
    bootstrap = Bootstrap(lag=256)
    seen = [bootstrap.sees(number) for number in range(2000)]
    assert seen[:64] == [0] * 64
    assert seen == sorted(seen)
    assert max(number + 1 - one for number, one in enumerate(seen)) == 256
    assert [bootstrap.sees(number) for number in (200, 1000)] == [37, 745]


async def test_json_answers() -> None:
    """A constrained list; whitespace collapses; "NASA" stays as it is; what is no text is left out."""
    canned = Canned('{"tasks":["Explain  what\\nNASA does.", 7, "  "]}')
    (made,) = await Bootstrap(count=3).process(request(), work(request(), canned))
    assert isinstance(made, Instruction)
    assert made.text == "Explain what NASA does."
    constraint = canned.asked[0][1].constraint
    assert isinstance(constraint, JsonSchema)
    assert constraint.schema_["properties"]["tasks"]["maxItems"] == 3


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (completion('{"tasks":["Half', FinishReason.LENGTH), "cut"),
        (completion("Sure! Here:"), "unreadable"),
        (completion('{"tasks":[]}'), "unreadable"),
    ],
)
async def test_answers_without_a_list_are_one_drop(answer: object, rule: str) -> None:
    """Cut or unreadable: one drop that keeps the text."""
    outputs = await Bootstrap().process(request(), work(request(), Canned(answer)))  # type: ignore[arg-type]
    assert rules(outputs) == [rule]
    assert isinstance(outputs[0], Dropped)
    assert outputs[0].text == answer.text  # type: ignore[attr-defined]


async def test_numbered_answers_as_published() -> None:
    """The prompt ends with 9.; items are capitalised the published way; a cut reply is dropped whole."""
    published = stage("self-instruct", "bootstrap")
    canned = Canned(" Explain what NASA does.\n10. List rivers.", completion(" One.\n10. Tw", FinishReason.LENGTH))
    outputs = await published.process(request(), work(request(), canned))
    assert [one.text for one in outputs] == ["Explain what nasa does.", "List rivers."]
    assert canned.prompt.endswith("9.")
    assert rules(await published.process(request(), work(request(), canned))) == ["cut"]


async def test_blocks_as_published() -> None:
    """Three seeds, 20 asked for; a block of another shape is dropped; a cut answer loses its last block."""
    published = stage("alpaca", "bootstrap")
    text = " Name it.\n4. Input:\n<noinput>\n4. Output:\nA lynx.\n###\n5. Instruction: Broken.\n###\n6. Instruction: Add.\n6. Input:\n1 2\n6. Output:\n3"
    canned = Canned(text, completion(text, FinishReason.LENGTH))
    outputs = await published.process(request(), work(request(), canned))
    assert rules(outputs) == ["", "unreadable", ""]
    assert (outputs[2].text, outputs[2].input, outputs[2].output) == ("Add.", "1 2", "3")
    assert len(outputs[0].shown) == 3
    assert canned.prompt.endswith("###\n4. Instruction:")
    assert rules(await published.process(request(), work(request(), canned))) == ["", "unreadable", "cut"]


# -- classify -----------------------------------------------------------------------------------------------------------


async def test_classify_is_constrained_and_keeps_its_margin() -> None:
    """Yes or no, with log P(yes) - log P(no) summed over the tokens that begin each word."""
    top = {"No": log(0.375), " Y": log(0.25), "n": log(0.125), "yes": log(0.05), "x": log(0.2)}
    canned = Canned(completion("no", top=top))
    (made,) = await Classify().process(instruction(), work(instruction(), canned))
    assert made.is_classification is False
    assert made.margin is not None
    assert isclose(exp(made.margin), 0.3 / 0.5)
    assert canned.asked[0][1].constraint == Choice(choices=("yes", "no"))
    assert canned.prompt.count("Classification:") == 31


async def test_classify_never_guesses() -> None:
    """A word that is neither is unreadable; in the published preset anything but yes is no."""
    with pytest.raises(UnreadableError):
        await Classify().process(instruction(), work(instruction(), Canned("maybe")))
    published = stage("self-instruct", "classify")
    for text, wanted in ((" Yes", True), (" YES", True), (" No", False), (" Perhaps", False)):
        canned = Canned(text)
        (made,) = await published.process(instruction(), work(instruction(), canned))
        assert made.is_classification is wanted
        assert canned.prompt.endswith("Is it classification?")


# -- instances ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("yes", [True, False])
async def test_instances_label_first_or_input_first(yes: bool) -> None:  # noqa: FBT001 - a table of cases
    """Classification tasks get the label first, in prompt and schema; the others the input."""
    canned = Canned('{"instances":[{"output":"warm","input":"25 degrees"}]}')
    record = classification(yes=yes)
    (made,) = await Instances().process(record, work(record, canned, ancestors=[instruction()]))
    assert isinstance(made, Instance)
    assert (made.input, made.output) == ("25 degrees", "warm")
    constraint = canned.asked[0][1].constraint
    assert isinstance(constraint, JsonSchema)
    keys = list(constraint.schema_["properties"]["instances"]["items"]["properties"])
    assert keys == (["output", "input"] if yes else ["input", "output"])
    assert canned.prompt.endswith("Task: Name a river.")


async def test_instances_as_published() -> None:
    """300 tokens for classification, 350 otherwise; at most five; the last of a cut answer is dropped."""
    published = stage("self-instruct", "instances")
    six = "\n".join(f"Example {n}\nInput: {n}\nOutput: o{n}" for n in range(1, 7))
    canned = Canned(six, completion("Class label: a\nInput: x\nClass label: b\nInput: y", FinishReason.LENGTH))
    record = classification(yes=False)
    outputs = await published.process(record, work(record, canned, ancestors=[instruction()]))
    assert [one.output for one in outputs] == ["o1", "o2", "o3", "o4", "o5"]
    assert canned.asked[-1][1].sampling.max_tokens == 350
    record = classification(yes=True)
    outputs = await published.process(record, work(record, canned, ancestors=[instruction()]))
    assert rules(outputs) == ["", "cut"]
    assert canned.asked[-1][1].sampling.max_tokens == 300


@pytest.mark.parametrize("text", ["", "{}", '{"instances":[]}', '{"instances":[{"input":"a"}]}', '{"instances":["a"]}'])
async def test_instances_that_cannot_be_read(text: str) -> None:
    """They are asked for again, never filled in."""
    record = classification(yes=False)
    with pytest.raises(UnreadableError):
        await Instances().process(record, work(record, Canned(text), ancestors=[instruction()]))


# -- respond, select, pair ----------------------------------------------------------------------------------------------


async def test_respond_asks_each_model_once_for_n() -> None:
    """N answers in one request per model; cut and empty ones are drops, their neighbours stay and know their model."""
    answers: list[Completion | str] = [
        "Good.",
        completion("Cu", FinishReason.LENGTH),
        " ",
        completion("x", FinishReason.CONTENT_FILTER),
        "Fine.",
        "Well.",
    ]
    canned = Canned(*answers)
    chosen = Respond(n=3, models=("one", "two"))
    outputs = await chosen.process(instance("Loire"), work(instance("Loire"), canned, ancestors=[instruction()]))
    assert rules(outputs) == ["", "cut", "empty", "content_filter", "", ""]
    assert [name for name, _ in canned.asked] == ["one", "two"]
    assert canned.prompt == "Name a river.\n\nLoire"
    assert [one.provenance.model for one in outputs if isinstance(one, Response)] == ["one", "two", "two"]
    assert len({one.provenance.seed for one in outputs if isinstance(one, Response)}) == 2


async def test_select_takes_the_best_and_the_earliest_among_equals() -> None:
    """Best of N; without a judged answer a drop, or a failure when judging failed."""
    below = judged(("weak", 2.0), ("good", 4.5), ("also good", 4.5))
    ancestors = [instruction(), classification(yes=True)]
    (row,) = await Select().process(instance(), work(instance(), Canned(), ancestors=ancestors, below=below))
    assert isinstance(row, Row)
    assert (row.output, row.score, row.is_classification) == ("good", 4.5, True)
    assert rules(await Select().process(instance(), work(instance(), Canned(), ancestors=ancestors))) == ["no_answer"]
    with pytest.raises(CallError):
        await Select().process(instance(), work(instance(), Canned(), ancestors=ancestors, failed_below=2))


@pytest.mark.parametrize(
    ("pairs", "rule"),
    [
        ([("a", 5.0), ("b", 2.0)], ""),
        ([("a", 5.0)], "too_few_answers"),
        ([("a", 4.0), ("b", 2.0)], "chosen_score"),
        ([("a", 5.0), ("b", 5.0)], "margin"),
        ([("a", 5.0), ("a", 2.0)], "equal_text"),
    ],
)
async def test_pair_guards(pairs: list[tuple[str, float]], rule: str) -> None:
    """No tie, no equal texts, no chosen answer that is not good: each refused by name."""
    outputs = await Pair().process(
        instance(), work(instance(), Canned(), ancestors=[instruction()], below=judged(*pairs))
    )
    assert rules(outputs) == [rule]


async def test_pair_strategies() -> None:
    """max-min takes the worst; zephyr a random other one, the same each time."""
    below = judged(*((f"t{score}", score) for score in (5.0, 4.0, 3.0, 2.0, 1.0)))
    (worst,) = await Pair(strategy="max-min").process(
        instance(), work(instance(), Canned(), ancestors=[instruction()], below=below)
    )
    assert isinstance(worst, PreferencePair)
    assert (worst.chosen, worst.rejected, worst.margin) == ("t5.0", "t1.0", 4.0)
    drawn = set()
    for number in range(40):
        one = instance().model_copy(update={"id": str(number)})
        for _ in range(2):
            (pair,) = await Pair().process(one, work(one, Canned(), ancestors=[instruction()], below=below))
            assert isinstance(pair, PreferencePair)
            drawn.add((number, pair.rejected))
    assert len(drawn) == 40
    assert len({text for _, text in drawn}) == 4


# -- whatever ends an answer, whatever form it has ----------------------------------------------------------------------


BOUNDS = {"string": "maxLength", "array": "maxItems"}


def unbounded(schema: Any) -> list[Any]:
    """The parts of a schema that let a model write for ever: texts, lists and objects without an end."""
    if isinstance(schema, list):
        return [one for part in schema for one in unbounded(part)]
    if not isinstance(schema, dict):
        return []
    kind = schema.get("type")
    bad = kind in BOUNDS and BOUNDS[kind] not in schema
    bad |= kind == "object" and schema.get("additionalProperties") is not False
    bad |= kind in {"integer", "number"} and "maximum" not in schema
    return [schema] * bad + [one for part in schema.values() for one in unbounded(part)]


def test_every_schema_that_is_sent_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a whole run, none left out: every string, list and object ends, a weak model fills whatever it is given."""
    sent: dict[str, Any] = {}
    answer = ScriptedEngine.complete

    async def noted(engine: ScriptedEngine, request: CompletionRequest) -> Reply:
        if isinstance(request.constraint, JsonSchema):
            sent[request.constraint.schema_["title"]] = request.constraint.schema_
        return await answer(engine, request)

    monkeypatch.setattr(ScriptedEngine, "complete", noted)
    pipeline.run_sync(recipe.load("demo", environment={}), tmp_path / "run", target=20)
    assert set(sent) == {"Tasks", "Instances", "LabelledInstances", "Verdict"}
    assert [part for schema in sent.values() for part in unbounded(schema)] == []
    endless = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "array", "maxItems": 2}}}
    assert len(unbounded(endless)) == 2


RUNAWAY = "and on and on " * 40


@pytest.mark.parametrize("form", ["json", "lines", "numbered", "blocks"])
async def test_a_runaway_list_of_tasks(form: str) -> None:
    """An answer that the server ended for its repetitions is a drop of its own kind, with its text, and no instruction."""
    canned = Canned(completion(f"Task: Go {RUNAWAY}", FinishReason.REPETITION))
    outputs = await Bootstrap(format=form).process(request(), work(request(), canned))
    assert rules(outputs) == ["runaway"]
    assert isinstance(outputs[0], Dropped)
    assert RUNAWAY in outputs[0].text


@pytest.mark.parametrize("form", ["json", "lines", "examples"])
@pytest.mark.parametrize("yes", [True, False])
async def test_runaway_instances(form: str, yes: bool) -> None:  # noqa: FBT001 - a table of cases
    """The same for instances: no row is made of the end of a runaway answer."""
    text = '{"instances":[{"input":"' if form == "json" else "Class label: a\nInput: " if yes else "Input: "
    record = classification(yes=yes)
    outputs = await Instances(format=form).process(
        record, work(record, Canned(completion(text + RUNAWAY, FinishReason.REPETITION)), ancestors=[instruction()])
    )
    assert rules(outputs) == ["runaway"]


async def test_a_runaway_response() -> None:
    """Beside good ones: only it is dropped."""
    canned = Canned("Good.", completion(RUNAWAY, FinishReason.REPETITION), "Fine.")
    outputs = await Respond(n=3).process(instance(), work(instance(), canned, ancestors=[instruction()]))
    assert rules(outputs) == ["", "runaway", ""]


@pytest.mark.parametrize(
    "stages", [one for name in recipe.names() for one in recipe.load(name, environment={}).stages], ids=str
)
def test_where_text_is_generated_runaways_are_ended(stages: Any) -> None:
    """Every stage of every recipe asks for it, but for the papers' presets: those send what the papers sent."""
    if hasattr(stages, "sampling"):
        paper = stages.prompt.endswith("_completion")
        assert (stages.sampling.repetition_detection is None) == paper


async def test_tasks_as_lines() -> None:
    """One a line after `Task:`, talk around them left out; a cut answer loses its last one; none at all is a drop."""
    text = "Sure, here they are:\nTask: Name  a river.\nTask: Name a\n  town.\n\nI hope these help!"
    canned = Canned(text, completion("Task: One.\nTask: Tw", FinishReason.LENGTH), "Sure!")
    lines = Bootstrap(format="lines", count=2)
    outputs = await lines.process(request(), work(request(), canned))
    assert [one.text for one in outputs if isinstance(one, Instruction)] == ["Name a river.", "Name a town."]
    assert canned.asked[0][1].constraint is None
    assert not isinstance(canned.asked[0][1].prompt, str)
    assert rules(await lines.process(request(), work(request(), canned))) == ["", "cut"]
    assert rules(await lines.process(request(), work(request(), canned))) == ["unreadable"]


async def test_instances_as_lines() -> None:
    """Marked texts, each pair ended by ###: texts of several lines, no input, label first; a cut one loses its last pair."""
    lines, ancestors = Instances(format="lines"), [instruction()]
    canned = Canned(
        "Input: 3\n4\nOutput: a\n\nb\n###\nInput: (none)\nOutput: c",
        "Label: warm\nInput: 25 degrees\n###\nLabel: cold\nInput: -3 degrees\n###\nThat is all.",
        completion("Input: 1\nOutput: 2\n###\nInput: 2\nOutput: 4 or", FinishReason.LENGTH),
        "Input: 1\n###",
        "I cannot do that.",
    )
    outputs = await lines.process(
        classification(yes=False), work(classification(yes=False), canned, ancestors=ancestors)
    )
    assert [(one.input, one.output) for one in outputs if isinstance(one, Instance)] == [("3\n4", "a\n\nb"), ("", "c")]
    outputs = await lines.process(classification(yes=True), work(classification(yes=True), canned, ancestors=ancestors))
    assert [(one.input, one.output) for one in outputs if isinstance(one, Instance)] == [
        ("25 degrees", "warm"),
        ("-3 degrees", "cold"),
    ]
    assert not isinstance(canned.asked[0][1].prompt, str)
    record = classification(yes=False)
    assert rules(await lines.process(record, work(record, canned, ancestors=ancestors))) == ["", "cut"]
    for _ in range(2):
        with pytest.raises(UnreadableError):
            await lines.process(record, work(record, canned, ancestors=ancestors))
