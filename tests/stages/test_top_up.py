"""The further round for labels that are short: when it is asked for, what is kept of both answers, what a bad one costs."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from selfinstruct import pipeline, recipe
from selfinstruct.engines.base import CompletionRequest, FinishReason, Reply
from selfinstruct.errors import BadInputError, Exit, RefusedError, UnreachableError
from selfinstruct.gates.instance_rules import InstanceRules
from selfinstruct.records import Dropped, Instance
from selfinstruct.runner import Limits
from selfinstruct.runs import open_stored
from selfinstruct.stages.instances import Instances
from tests.support.canned import Canned, classification, completion, instruction, work

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from selfinstruct.engines.base import Completion
    from selfinstruct.records import Record

TOP_UP = Instances(top_up=0.6)
TASK = "Is the remark about the tram polite or rude?"


def answer(*pairs: str) -> str:
    """An answer in JSON: "label input" each."""
    rows = [dict(zip(("output", "input"), pair.split(" ", 1), strict=True)) for pair in pairs]
    return json.dumps({"instances": rows})


async def outputs(
    *answers: Completion | str, stage: Instances = TOP_UP, task: str = TASK, yes: bool = True
) -> tuple[Sequence[Record | Dropped], Canned]:
    canned, record = Canned(*answers), classification(yes=yes)
    return await stage.process(record, work(record, canned, ancestors=[instruction(task)])), canned


def told(made: Sequence[Record | Dropped]) -> list[str]:
    """Return "label input" of instances, and the rule of drops."""
    return [
        one.reason.rule if isinstance(one, Dropped) else f"{one.output} {one.input}"
        for one in made
        if isinstance(one, Dropped | Instance)
    ]


ONE_SIDED = answer("polite 1", "Polite. 2", "polite 3", "polite 4", "polite 5")


async def test_a_skew_is_asked_about_once_and_evened() -> None:
    """Five of one label: two of the other are asked for, and take the places of the last two, which are drops with figures."""
    made, canned = await outputs(ONE_SIDED, answer("rude 6", "rude 7"))
    assert told(made) == ["polite 1", "Polite. 2", "polite 3", "label_surplus", "label_surplus", "rude 6", "rude 7"]
    assert canned.prompt.endswith(f'Task: {TASK}\nEnough of: ["polite"]\nWanted: 2 of ["rude"]')
    assert len(canned.asked) == 2
    first = made[3]
    assert isinstance(first, Dropped)
    assert (first.text, first.reason.figure, first.reason.threshold) == ("4", 5, 3)
    assert first.reason.evidence == {"label": "polite"}
    assert len({one.provenance.seed for one in made if isinstance(one, Instance)}) == 2


async def test_other_labels_are_wanted_where_the_task_names_none() -> None:
    """One known label: the model is asked for inputs that deserve another one that the task allows."""
    made, canned = await outputs(answer("jazz 1", "jazz 2"), answer("folk 3", "punk 4"), task="Name the genre.")
    assert canned.prompt.endswith('Enough of: ["jazz"]\nWanted: 2 of any other label that the task allows')
    assert told(made) == ["jazz 1", "jazz 2", "folk 3", "punk 4"]


@pytest.mark.parametrize(
    ("first", "options"),
    [
        (answer("polite 1", "rude 2"), {}),
        (answer("polite 1", "polite 2", "rude 3"), {}),
        (ONE_SIDED, {"stage": Instances()}),
        (ONE_SIDED, {"yes": False}),
        (answer("jazz 1"), {"task": "Name the genre."}),
    ],
)
async def test_no_call_without_a_skew(first: str, options: dict[str, Any]) -> None:
    """Even labels, no classification task, or no top_up in the recipe: one call, and its instances as they came."""
    made, canned = await outputs(first, **options)
    assert len(canned.asked) == 1
    assert all(isinstance(one, Instance) for one in made)


async def test_surplus_of_the_further_answer_is_a_drop_too() -> None:
    """Whatever comes beyond the places, of whichever label and answer, has a fate."""
    made, _ = await outputs(ONE_SIDED, answer("rude 6", "polite 7", "rude 8", "rude 9"))
    kept = Counter(one.output.strip(".").lower() for one in made if isinstance(one, Instance))
    assert kept == {"polite": 3, "rude": 2}
    assert told(made)[5:] == ["rude 6", "label_surplus", "rude 8", "label_surplus"]
    assert len(made) == 9


async def test_an_input_that_is_there_already_costs_its_twin_nothing() -> None:
    """The gate would drop both as one input with two outputs: the new one goes before that."""
    made, canned = await outputs(answer("polite 1", "polite 2"), answer("rude 2", "rude 3"))
    assert told(made) == ["polite 1", "polite 2", "rude 3", "repetition"]
    at = work(classification(yes=True), canned, outputs=made)
    assert [InstanceRules().reason_to_drop(one, at) for one in made if isinstance(one, Instance)] == [None] * 3


async def test_instances_without_a_label_take_no_place() -> None:
    """They stay for the gate that drops them, and push no good one out."""
    made, _ = await outputs(
        answer("polite 1", " 2", "polite 3", "polite 4", "polite 5"), answer("rude 6", "rude 7", "rude 8")
    )
    assert told(made) == [
        *("polite 1", " 2", "polite 3", "polite 4", "label_surplus", "rude 6", "rude 7"),
        "label_surplus",
    ]


@pytest.mark.parametrize("second", ["Sorry, no.", answer(), '{"instances":[{"output":"rude"}]}'])
async def test_an_unreadable_further_answer_is_a_drop_and_costs_nothing(second: str) -> None:
    """The first answer stands as it came; the second is told as `no_top_up`, with its text. It is not asked for again."""
    made, canned = await outputs(ONE_SIDED, second)
    assert told(made)[-1] == "no_top_up"
    assert [one for one in made if isinstance(one, Instance)] == list(made[:5])
    lost = made[-1]
    assert isinstance(lost, Dropped)
    assert (lost.text, lost.reason.figure, lost.reason.threshold) == (second, 1.0, 0.6)
    assert lost.reason.evidence["wanted"] == ("rude",)
    assert lost.reason.evidence["why"]
    assert len(canned.asked) == 2


async def test_a_cut_further_answer_loses_its_end() -> None:
    """JSON: all of it, told as cut. Lines: the pairs before the cut are used."""
    made, _ = await outputs(ONE_SIDED, completion('{"instances":[{"output":"ru', FinishReason.LENGTH))
    assert told(made)[5:] == ["cut"]
    made, _ = await outputs(
        "Label: polite\nInput: 1\n###\nLabel: polite\nInput: 2\n###",
        completion("Label: rude\nInput: 3\n###\nLabel: ru", FinishReason.LENGTH),
        stage=Instances(top_up=0.6, format="lines"),
    )
    assert told(made) == ["polite 1", "polite 2", "rude 3", "cut"]


async def test_a_refused_further_question_costs_nothing_and_an_absent_server_ends_it() -> None:
    """What the server refuses is told as `no_top_up`; that there is no server is no finding about a record."""

    class Refusing(Canned):
        problem: Exception = RefusedError("400: too long")

        async def __call__(self, engine: str, request: CompletionRequest) -> Reply:
            if self.asked:
                raise self.problem
            return await super().__call__(engine, request)

    record = classification(yes=True)
    made = await TOP_UP.process(record, work(record, Refusing(ONE_SIDED), ancestors=[instruction(TASK)]))
    assert told(made)[5:] == ["no_top_up"]
    gone = Refusing(ONE_SIDED)
    gone.problem = UnreachableError("nobody there")
    with pytest.raises(UnreachableError):
        await TOP_UP.process(record, work(record, gone, ancestors=[instruction(TASK)]))


def test_completion_models_have_no_such_prompt() -> None:
    """Told when the recipe is read, not in the middle of a run."""
    with pytest.raises(BadInputError, match="top_up"):
        recipe.load("self-instruct", environment={}, sets=["stages.instances.top_up=0.6"])


def test_off_it_changes_no_fingerprint_by_its_prompt() -> None:
    """The prompt file of what is not asked belongs to no run."""
    assert "prompt label_top_up" in TOP_UP.inputs(language="en")
    assert "prompt label_top_up" not in Instances().inputs(language="en")


SKEWED = ("engines.writer.skewed_labels=0.7", "engines.writer.broken_json=0.4")


def test_in_a_run_every_row_has_a_fate_however_it_went(tmp_path: Path) -> None:
    """Many skews and answers that cannot be read: any concurrency, and a run that was stopped twice, give the same rows."""
    loaded = recipe.load("demo", environment={}, sets=SKEWED)
    alone = recipe.load("demo", environment={}, sets=[*SKEWED, "concurrency=1"])
    whole = pipeline.run_sync(loaded, tmp_path / "whole", target=100)
    slow = pipeline.run_sync(alone, tmp_path / "slow", target=100)
    for tokens in (60_000, 200_000):
        stopped = pipeline.run_sync(loaded, tmp_path / "stopped", target=100, limits=Limits(tokens=tokens))
        assert stopped.exit_status is Exit.BUDGET
    resumed = pipeline.run_sync(loaded, tmp_path / "stopped", target=100)
    for report in (slow, resumed):
        assert report.accounts.ledger == whole.accounts.ledger
        assert report.accounts.drops == whole.accounts.drops
        assert report.exports["messages"][1].files == whole.exports["messages"][1].files
    assert {"label_surplus", "no_top_up"} <= whole.accounts.drops.keys()
    with open_stored(tmp_path / "whole") as run:
        found = list(run.store.scan("instances", upto=run.closing))
        assert max(Counter(row.parent for row, _ in found).values()) > 5
        assert max(Counter(row.parent for row, body in found if body["drop"] is None).values()) <= 5
