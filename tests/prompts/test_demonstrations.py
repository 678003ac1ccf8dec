"""The demonstrations keep the published shapes and counts, differ from every published task, and obey our own rules."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from selfinstruct import prompts, seeds
from selfinstruct.text.rouge import rouge_l
from selfinstruct.text.tokens import rouge_tokens

NAMES = ("classify", "input_first", "label_first")
WITH_INSTANCES = ("input_first", "label_first")
PUBLIC = Path(__file__).parents[3] / "shared/data/self_instruct_seed_tasks.jsonl"
NEAR = 0.5
"""From this ROUGE-L F on, a task would be a rewording of another."""


def instructions(*names: str) -> list[str]:
    return [one["instruction"] for name in names for one in prompts.demonstrations(name)]


def instances(name: str) -> list[tuple[str, dict[str, str]]]:
    """Each instance with its instruction."""
    return [(task["instruction"], one) for task in prompts.demonstrations(name) for one in task["instances"]]


def instructions_of(path: Path) -> list[str]:
    return [json.loads(line)["instruction"] for line in path.read_text(encoding="utf-8").splitlines()]


def too_near(tasks: list[str], others: list[str]) -> list[tuple[str, str]]:
    """Pairs that score `NEAR` or more."""
    tokens = {text: rouge_tokens(text) for text in {*tasks, *others}}
    return [(one, other) for one in tasks for other in others if rouge_l(tokens[one], tokens[other]) >= NEAR]


def is_text(value: Any) -> bool:
    return isinstance(value, str) and value == value.strip() and "\N{REPLACEMENT CHARACTER}" not in value


@pytest.mark.parametrize("name", NAMES)
def test_instructions_are_one_line_that_ends_a_sentence(name: str) -> None:
    """A line break or a trailing colon would break the layout of the completion prompts."""
    for text in instructions(name):
        assert is_text(text)
        assert "\n" not in text
        assert text.endswith((".", "?"))


def test_classify_has_12_yes_and_19_no_in_mixed_order() -> None:
    """Published counts (clf_task_template.py); an order by answer would teach the order."""
    rows = prompts.demonstrations("classify")
    assert all(set(row) == {"instruction", "is_classification"} for row in rows)
    answers = [row["is_classification"] for row in rows]
    assert Counter(answers) == {True: 12, False: 19}
    assert sum(one is not other for one, other in pairwise(answers)) >= 10


def test_input_first_has_11_tasks_some_without_an_input() -> None:
    """Published count (instance_gen_template.py); a task without an input has one instance."""
    rows = prompts.demonstrations("input_first")
    assert len(rows) == 11
    assert all(1 <= len(row["instances"]) <= 3 for row in rows)
    bare = [row for row in rows if not all(one["input"] for one in row["instances"])]
    assert 2 <= len(bare) <= 3
    assert all(len(row["instances"]) == 1 for row in bare)


def test_label_first_has_16_tasks_and_34_labels() -> None:
    """Published counts (instance_gen_template.py)."""
    assert len(prompts.demonstrations("label_first")) == 16
    assert len(instances("label_first")) == 34


def test_no_label_comes_twice() -> None:
    """Within a task the labels differ, and one set for several tasks would teach that set."""
    labels = [one["output"] for _, one in instances("label_first")]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(("task", "instance"), instances("label_first"))
def test_label_is_named_by_the_task_and_not_by_its_input(task: str, instance: dict[str, str]) -> None:
    """The label must be allowed, and earned by the input rather than read off it."""
    assert instance["output"] in task
    assert instance["output"].lower() not in instance["input"].lower()


@pytest.mark.parametrize("name", WITH_INSTANCES)
def test_instances_obey_the_rules_that_instances_are_held_to(name: str) -> None:
    """What is shown must not be what the instance rules drop."""
    for task in prompts.demonstrations(name):
        assert set(task) == {"instruction", "instances"}
        inputs = [one["input"] for one in task["instances"]]
        assert len(set(inputs)) == len(inputs)
        for one in task["instances"]:
            assert set(one) == {"input", "output"}
            assert is_text(one["input"])
            assert is_text(one["output"])
            assert one["output"]
            assert one["input"] != one["output"]
            assert not one["input"].endswith(":")
            assert not one["output"].endswith(":")


@pytest.mark.parametrize("name", WITH_INSTANCES)
def test_instances_hold_no_mark_of_the_completion_layout(name: str) -> None:
    """A heading or a stop inside a demonstration would teach the model to cut itself off."""
    marks = ("Task:", "Example ", "Input:", "Output:", "Class label:")
    for _, one in instances(name):
        assert not [mark for mark in marks if mark in one["input"] + "\n" + one["output"]]


def test_no_instruction_twice_nor_nearly() -> None:
    """58 different tasks over the three files."""
    tasks = instructions(*NAMES)
    assert len(set(tasks)) == len(tasks) == 31 + 11 + 16
    assert not [pair for place, task in enumerate(tasks) for pair in too_near([task], tasks[:place])]


def test_no_demonstration_is_one_of_our_seed_tasks() -> None:
    """A seed task that is also a demonstration would be classified by its own answer."""
    assert too_near(instructions(*NAMES), instructions_of(seeds.shipped("en"))) == []


@pytest.mark.skipif(not PUBLIC.is_file(), reason="the public seed file lies outside the repository")
def test_no_demonstration_rewords_a_published_task() -> None:
    """Own wording: ROUGE-L F below 0.5 to each of the 175 published seed tasks."""
    published = instructions_of(PUBLIC)
    assert len(published) == 175
    assert too_near(instructions(*NAMES), published) == []
