"""One test per published number: the paper presets say what the papers did."""

from __future__ import annotations

from typing import Any

import pytest

from selfinstruct import prompts
from selfinstruct import recipe as recipes

KEYWORDS = "image images graph graphs picture pictures file files map maps draw plot".split()  # noqa: SIM905 - a list of words


def value(recipe: str, key: str) -> Any:
    loaded = recipes.load(recipe, environment={})
    place: Any = {stage.label: stage for stage in loaded.stages} | {"seed": loaded.seed}
    for part in key.split("."):
        if isinstance(place, tuple):
            place = next(gate for gate in place if gate.kind == part)
        else:
            place = place[part] if isinstance(place, dict) else getattr(place, part)
    return place


SELF_INSTRUCT = {
    "seed": 42,
    "bootstrap.human": 6,
    "bootstrap.machine": 2,
    "bootstrap.lag": 5,
    "bootstrap.rounds": True,
    "bootstrap.capitalize": True,
    "bootstrap.sampling.max_tokens": 1024,
    "bootstrap.sampling.temperature": 0.7,
    "bootstrap.sampling.top_p": 0.5,
    "bootstrap.sampling.frequency_penalty": 0,
    "bootstrap.sampling.presence_penalty": 2,
    "bootstrap.sampling.stop": ("\n\n", "\n16", "16.", "16 ."),
    "bootstrap.gates.heuristics.least_words": 4,
    "bootstrap.gates.heuristics.most_words": 150,
    "bootstrap.gates.heuristics.keywords": (*KEYWORDS, "go to"),
    "bootstrap.gates.heuristics.prefixes": ("Write a program",),
    "bootstrap.gates.heuristics.ascii_start": True,
    "bootstrap.gates.rouge.threshold": 0.7,
    "bootstrap.gates.rouge.tokenizer": "rouge",
    "classify.sampling.max_tokens": 3,
    "classify.sampling.temperature": 0,
    "classify.sampling.top_p": 0,
    "classify.sampling.presence_penalty": 0,
    "classify.sampling.frequency_penalty": 0,
    "classify.sampling.stop": ("\n", "Task"),
    "instances.sampling.temperature": 0,
    "instances.sampling.top_p": 0,
    "instances.sampling.frequency_penalty": 0,
    "instances.sampling.presence_penalty": 1.5,
    "instances.sampling.max_tokens": 350,
    "instances.label_first_max_tokens": 300,
    "instances.sampling.stop": ("Example 6", "Task:"),
    "instances.at_most": 5,
    "instances.top_up": None,
    "select.answer": "own",
}
ALPACA = {
    "bootstrap.human": 3,
    "bootstrap.machine": 0,
    "bootstrap.count": 20,
    "bootstrap.lag": 5,
    "bootstrap.sampling.temperature": 1.0,
    "bootstrap.sampling.top_p": 1.0,
    "bootstrap.sampling.max_tokens": 3072,
    "bootstrap.sampling.stop": ("\n20", "20.", "20."),
    "bootstrap.sampling.logit_bias": {"50256": -100},
    "bootstrap.gates.heuristics.least_words": 4,
    "bootstrap.gates.heuristics.most_words": 150,
    "bootstrap.gates.heuristics.keywords": (
        *KEYWORDS,
        "go to",
        "video",
        "audio",
        "music",
        "flowchart",
        "diagram",
    ),
    "bootstrap.gates.heuristics.prefixes": ("Write a program",),
    "bootstrap.gates.heuristics.ascii_start": True,
    "bootstrap.gates.rouge.threshold": 0.7,
    "bootstrap.gates.rouge.tokenizer": "rouge",
}
ALPAGASUS = {
    "judge.rubric": "accuracy",
    "judge.sampling.temperature": 0.0,
    "judge.sampling.top_p": 1.0,
    "judge.sampling.max_tokens": 256,
    "judge.scale": (0.0, 5.0),
    "select.gates.score.least": 4.5,
}
CHAT = {
    "bootstrap.human": 6,
    "bootstrap.machine": 2,
    "bootstrap.gates.rouge.threshold": 0.7,
    "instances.at_most": 5,
    "respond.n": 4,
    "judge.rubric": "accuracy",
    "judge.sampling.temperature": 0,
    "select.gates.score.least": 4.5,
    "pair.strategy": "zephyr",
}
CASES = [
    (name, key, wanted)
    for name, values in (
        ("self-instruct", SELF_INSTRUCT),
        ("alpaca", ALPACA),
        ("alpagasus", ALPAGASUS),
        ("chat", CHAT),
    )
    for key, wanted in values.items()
]


@pytest.mark.parametrize(("recipe", "key", "wanted"), CASES, ids=[f"{name}-{key}" for name, key, _ in CASES])
def test_published_number(recipe: str, key: str, wanted: Any) -> None:
    """The preset holds the published value."""
    assert value(recipe, key) == wanted


def test_classification_demonstrations() -> None:
    """12 yes and 19 no (templates/clf_task_template.py)."""
    kinds = [one["is_classification"] for one in prompts.demonstrations("classify")]
    assert (kinds.count(True), kinds.count(False)) == (12, 19)


def test_instance_demonstrations() -> None:
    """11 input-first tasks; 16 label-first tasks with 34 labels (templates/instance_gen_template.py)."""
    assert len(prompts.demonstrations("input_first")) == 11
    tasks = prompts.demonstrations("label_first")
    assert len(tasks) == 16
    assert sum(len(one["instances"]) for one in tasks) == 34


def test_rounds_of_five() -> None:
    """Five requests start together and see the pool of the rounds before them."""
    bootstrap = recipes.load("self-instruct", environment={}).stages[0]
    assert [bootstrap.sees(number) for number in range(11)] == [0, 0, 0, 0, 0, 5, 5, 5, 5, 5, 10]
