"""Planted biases are found within their intervals, absent ones are not, and what cannot be known is said to be so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from selfinstruct.judged import Candidate, JudgedTask
from selfinstruct.judging.bias import ACROSS, corrected, doublings, length_slope, own_family, taken
from selfinstruct.judging.estimate import Estimate
from selfinstruct.records import Judgement, Provenance
from tests.support.biased import World

ONE = World(judges=("exaone-j",))
"""One judge, of nobody's family."""


def holds(found: Estimate, wanted: float) -> bool:
    assert found.value is not None, found.why
    assert found.low is not None
    assert found.high is not None
    return found.low <= wanted <= found.high


def answer(text: str, score: float | None, *, name: str = "a", model: str = "m", judge: str = "j") -> Candidate:
    told: dict[str, Any] = {"rationale": "", "judge": judge, "provenance": Provenance(stage="judge")}
    verdicts = () if score is None else (Judgement(id="j", parent=name, score=score, **told),)
    return Candidate(name, text, model, verdicts)


def tasks(*answers: Sequence[tuple[str, float | None]]) -> list[JudgedTask]:
    return [
        JudgedTask(f"{number}", f"{number}", "i", "", tuple(answer(*one, name=f"{at}") for at, one in enumerate(some)))
        for number, some in enumerate(answers)
    ]


@pytest.mark.parametrize("slope", [-0.2, 0.0, 0.3])
def test_length_is_found_within_its_interval(slope: float) -> None:
    """Judges of a known slope, half points and noise: in nine of ten worlds, and no slope is seen where there is none."""
    found = [length_slope(replace(ONE, seed=seed, tasks=60, slope=slope).table()[0]) for seed in range(30)]
    assert sum(holds(one, slope) for one in found) >= 27
    assert sum(one.is_sure for one in found) >= 28 if slope else sum(one.is_sure for one in found) <= 3


def test_hard_tasks_and_good_writers_are_no_length_bias() -> None:
    """Long answers to easy tasks, and a model that writes better and longer: no slope within tasks and writers."""
    table = tasks(
        *(
            [("x" * (2 ** (5 + number % 4) + at * (number % 3 - 1)), 1.0 + number % 4) for at in range(3)]
            for number in range(60)
        )
    )
    assert length_slope(table).value == pytest.approx(0, abs=1e-6)
    two = [
        JudgedTask(f"{n}", f"{n}", "i", "", (
            answer("x" * (100 + n % 7), 2.0, model="short"), answer("x" * (400 + n % 5), 4.0, model="long"),
            answer("x" * (90 + n % 3), 2.0, model="short"), answer("x" * (420 + n % 11), 4.0, model="long"),
        )) for n in range(60)
    ]  # fmt: skip
    found = length_slope(two)
    assert found.how == "within tasks and writers"
    assert found.value == pytest.approx(0, abs=1e-6)


def test_one_answer_a_task_is_named_as_such_and_never_corrected() -> None:
    """A slope across tasks is confounded: it is told, with its name, and nothing is taken off for it."""
    table = tasks(*([("x" * 2 ** (3 + number % 5), 1.0 + number % 5 / 2)] for number in range(50)))
    found = length_slope(table)
    assert found.how == ACROSS
    assert found.value == pytest.approx(0.5, abs=0.05)
    assert found.is_sure
    assert taken(found) == 0
    assert [scores["0"] for _, scores in corrected(table, found)] == [1.0 + number % 5 / 2 for number in range(50)]


@pytest.mark.parametrize(
    "table",
    [
        [],
        tasks([("a", 1.0), ("bbb", 2.0)]),
        tasks(*([("same", 3.0), ("size", 4.0)] for _ in range(40))),
        tasks(*([("a", None), ("bbb", None)] for _ in range(40))),
        tasks(*([] for _ in range(40))),
    ],
    ids=["none", "one", "one length", "no score", "no answer"],
)
def test_what_cannot_be_known_has_a_reason(table: list[JudgedTask]) -> None:
    """No number, an explanation, and a correction that changes nothing."""
    found = length_slope(table)
    assert (found.value, found.low, found.high) == (None, None, None)
    assert found.why
    for task, scores in corrected(table, found):
        assert scores == {one.id: one.score for one in task.scored}
    assert all(one.value is None and one.why for one in own_family(table))


def test_equal_scores_are_no_bias() -> None:
    """A judge who gives everybody a 4 prefers no length: zero, from zero to zero."""
    found = length_slope(tasks(*([("a", 4.0), ("bbb", 4.0)] for _ in range(40))))
    assert (found.value, found.low, found.high, found.is_sure) == (0, 0, 0, False)


def test_correction_takes_what_is_sure() -> None:
    """Nothing where the interval includes zero, nearly all where it is far from it, and never more than the slope."""
    assert taken(Estimate(value=0.1, low=-0.1, high=0.3)) == 0
    assert taken(Estimate(value=0.1, low=0.0, high=0.2)) == 0
    assert 0 < taken(Estimate(value=0.1, low=0.001, high=0.199)) < 0.005
    assert 0.29 < taken(Estimate(value=0.3, low=0.27, high=0.33)) < 0.3
    assert -0.3 < taken(Estimate(value=-0.3, low=-0.33, high=-0.27)) < -0.29


def test_corrected_scores_stay_beside_the_raw_ones() -> None:
    """At the mean length of the task nothing changes; raw scores stay; the scale is kept."""
    slope = Estimate(value=1.0, low=1.0, high=1.0, how="within tasks")
    table = tasks([("x" * 7, 2.0), ("x" * 15, 2.0), ("x" * 31, 2.0), ("", None)], [("x" * 7, 5.0), ("x" * 31, 0.0)])
    found = list(corrected(table, slope, scale=(0, 5)))
    assert [task for task, _ in found] == table
    assert [scores for _, scores in found] == [{"0": 3.0, "1": 2.0, "2": 1.0}, {"0": 5.0, "1": 0.0}]
    assert doublings("x" * 7) == 3


def test_correction_comes_nearer_to_the_truth() -> None:
    """Of a judge who likes length, the best answer after correction is more often the one that deserves it."""
    table, truth = replace(ONE, tasks=300, slope=0.5).table()
    right = {"raw": 0, "corrected": 0}
    for task, scores in corrected(table, length_slope(table), scale=(0, 5)):
        best = max(task.candidates, key=lambda one: truth[one.id]).id
        right["raw"] += task.scored[0].id == best
        right["corrected"] += max(scores, key=lambda one: scores[one]) == best
    assert right["corrected"] > right["raw"] + 10


@pytest.mark.parametrize("lift", [0.0, 0.5])
@pytest.mark.parametrize("judges", [("qwen-j", "llama-j"), ("qwen-j", "exaone-j"), ("qwen-j", "gemma-j", "exaone-j")])
def test_the_lift_is_found_whoever_writes_better(judges: tuple[str, ...], lift: float) -> None:
    """Writers differ in quality and length, judges like length: the lift is held against judges of other families."""
    worlds = [World(seed=seed, tasks=50, judges=judges, lift=lift, slope=0.2) for seed in range(16)]
    found = [own_family(world.table()[0])[0] for world in worlds]
    assert sum(holds(one, lift) for one in found) >= 14
    assert sum(one.is_sure for one in found) >= 15 if lift else sum(one.is_sure for one in found) <= 2


def test_one_judge_shows_a_gap_and_no_lift() -> None:
    """With judges of one family the gap is told; whether it is earned cannot be."""
    lift, gap = own_family(World(judges=("gemma-j",), lift=0.4).table()[0])
    assert gap.is_sure
    assert "only gemma judged" in lift.why


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"writers": ("qwen-w", "qwen-v")}, "only qwen wrote"),
        ({"judges": ("exaone-j", "solar-j")}, "no answer was judged by its writer's own family"),
        ({"writers": ("", "")}, "no scored answer says which model wrote it"),
        ({"tasks": 5}, "it takes 10 tasks"),
    ],
)
def test_why_a_lift_cannot_be_known(change: dict[str, Any], why: str) -> None:
    """Each reason is named."""
    lift, gap = own_family(replace(World(), **change).table()[0])
    assert (lift.value, gap.value) == (None, None)
    assert why in lift.why
    assert why in gap.why


def test_the_users_families_count() -> None:
    """Names that say nothing are told by a mapping."""
    table = World(writers=("one", "two"), judges=("three", "four")).table()[0]
    assert "no answer was judged by its writer's own family" in own_family(table)[0].why
    assert holds(own_family(table, {"one": "acme", "three": "acme", "two": "Zeta", "four": "zeta"})[0], 0)
