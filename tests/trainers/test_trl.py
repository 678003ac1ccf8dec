"""TRL's own trainers, started by the scripts that we write, on files that we exported: what they see is what we meant.

Files that are wrong in the ways known to train without an error lie beside ours, and the same checks find each of them.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.trainers.make_environment import PYTHON
from tests.trainers.make_environment import main as make_environment

pytestmark = pytest.mark.timeout(1200)
FORMATS = ("prompt-completion", "messages", "dpo", "dpo-conversations", "dpo-text", "reward", "kto")
Rows = list[dict[str, Any]]
Seen = list[tuple[str, str]]
"""All text of a row, and the part of it that has a loss."""


def chat(question: str, answer: str) -> tuple[str, str]:
    """The tiny model's template, by hand."""
    whole = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n"
    return whole, f"{answer}<|im_end|>\n"


def pairs(rows: Rows) -> Seen:
    """DPO's batches: all chosen answers, then all rejected ones."""
    return [
        chat(row["prompt"][0]["content"], row[side][0]["content"]) for side in ("chosen", "rejected") for row in rows
    ]


def wholly(seen: Seen) -> Seen:
    return [(whole, whole) for whole, _ in seen]


def sft(rows: Rows) -> Seen:
    return [chat(row["prompt"][0]["content"], row["completion"][0]["content"]) for row in rows]


def plain(rows: Rows) -> Seen:
    answers = [(row["prompt"], row[side]) for side in ("chosen", "rejected") for row in rows]
    return [(f"{question}{answer}<|im_end|>", f"{answer}<|im_end|>") for question, answer in answers]


WANTED: dict[str, Callable[[Rows], Seen]] = {
    "prompt-completion": sft,
    "kto": sft,
    "messages": lambda rows: wholly([chat(*(turn["content"] for turn in row["messages"])) for row in rows]),
    "dpo": pairs,
    "dpo-conversations": lambda rows: [
        chat(*(turn["content"] for turn in row[side])) for side in ("chosen", "rejected") for row in rows
    ],
    "dpo-text": plain,
    "reward": lambda rows: wholly(pairs(rows)),
}


def twice(row: dict[str, Any]) -> dict[str, Any]:
    """Whole conversations under an explicit prompt."""
    return row | {side: row["prompt"] + row[side] for side in ("chosen", "rejected")}


def equal(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"rejected": row["chosen"]}


def alpaca(row: dict[str, Any]) -> dict[str, Any]:
    """The prompt under a name that TRL does not know."""
    sides = {side: row[side][0]["content"] for side in ("chosen", "rejected")}
    return {"instruction": row["prompt"][0]["content"], "input": "", **sides}


def silent(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"completion": [{"role": "assistant", "content": ""}]}


def unlabelled(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "label"}


def joined(row: dict[str, Any]) -> dict[str, Any]:
    """One conversation instead of prompt and completion: TRL then puts the loss on all of it."""
    return {"messages": row["prompt"] + row["completion"]}


WRONG = [
    ("dpo", twice, "the prompt stands there 2 times"),
    ("dpo", equal, "no gradient"),
    ("dpo", alpaca, "the prompt stands there 0 times"),
    ("reward", equal, "no gradient"),
    ("prompt-completion", silent, "an answer is missing"),
    ("prompt-completion", joined, "the prompt is learned"),
    ("kto", unlabelled, "refused"),
]


def read(folder: Path, side: str) -> Rows:
    return [json.loads(line) for line in (folder / f"{side}.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A demo run, exported in every format with a validation side; the wrong files; and what TRL made of all of them."""
    make_environment()
    folder = tmp_path_factory.mktemp("trl")
    command = (sys.executable, "-m", "selfinstruct")
    subprocess.run([*command, "demo", "-n", "60", "-o", folder / "run", "-q"], check=True, stdout=subprocess.DEVNULL)
    for form in FORMATS:
        told = ["export", str(folder / "run"), "--format", form, "-o", str(folder / form), "--split", "0.2"]
        subprocess.run([*command, *told], check=True, capture_output=True)
    for form, spoil, _ in WRONG:
        shutil.copytree(folder / form / "trainers", folder / f"{form}.{spoil.__name__}" / "trainers")
        for side in ("train", "validation"):
            lines = [json.dumps(spoil(row)) + "\n" for row in read(folder / form, side)]
            (folder / f"{form}.{spoil.__name__}" / f"{side}.jsonl").write_text("".join(lines), encoding="utf-8")
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home"), "TRANSFORMERS_VERBOSITY": "error"}
    script = Path(__file__).parent / "train.py"
    with (folder / "talk").open("w") as talk:
        done = subprocess.run(
            [PYTHON, script, folder], env=os.environ | offline, cwd=folder, stdout=talk, stderr=talk, check=False
        )
    assert done.returncode == 0, (folder / "talk").read_text()[-4000:]
    return folder, json.loads((folder / "facts.json").read_text(encoding="utf-8"))


def problems(facts: dict[str, Any], wanted: Seen) -> Iterator[str]:
    """What keeps a file from teaching what its rows mean."""
    if "error" in facts:
        yield f"refused: {facts['error']}"
        return
    if len(facts["losses"]) != 3 or not all(map(math.isfinite, [*facts["losses"], facts["evaluated"]])):
        yield "no finite loss"
    if not all(step > 1e-6 for step in facts["gradients"]):
        yield "no gradient"
    seen = [(row["whole"], row["learned"]) for row in facts["seen"]]
    if len(seen) != len(wanted):
        yield f"{len(seen)} rows instead of {len(wanted)}"
    for (whole, learned), (meant, lesson) in zip(seen, wanted, strict=False):
        question = meant.removesuffix(lesson) if lesson != meant else meant.partition("<|im_start|>assistant")[0]
        question = question.removeprefix("<|im_start|>user\n").partition("<|im_end|>")[0]
        if (times := whole.count(question)) != 1:
            yield f"the prompt stands there {times} times"
        elif lesson != meant and question in learned:
            yield "the prompt is learned"
        elif lesson not in learned:
            yield "an answer is missing"
        elif (whole, learned) != (meant, lesson):
            yield f"{whole!r}, learned {learned!r}"


def wanted(folder: Path, form: str) -> Seen:
    """What a trainer should see first of the validation file: 8 rows, or 8 pairs."""
    return WANTED[form](read(folder / form, "validation")[:8])


@pytest.mark.parametrize("form", FORMATS)
def test_a_trainer_learns_the_answers_and_sees_the_prompt_once(trained: tuple[Path, dict[str, Any]], form: str) -> None:
    """Three steps with finite losses and gradients; every token is what the row says, and the loss where it belongs."""
    folder, facts = trained
    assert list(problems(facts[form], wanted(folder, form))) == []


@pytest.mark.parametrize(("form", "spoil", "told"), WRONG)
def test_a_wrong_file_is_noticed(
    trained: tuple[Path, dict[str, Any]], form: str, spoil: Callable[..., Any], told: str
) -> None:
    """The same checks on files that TRL takes in silence: each is found, and for its own reason."""
    folder, facts = trained
    found = list(problems(facts[f"{form}.{spoil.__name__}"], wanted(folder, form)))
    assert any(one.startswith(told) for one in found), found


def test_labels_and_margins_arrive(trained: tuple[Path, dict[str, Any]]) -> None:
    """KTO's labels and the reward trainer's margins are those of the file; both labels are there."""
    folder, facts = trained
    rows = read(folder / "kto", "validation")[:8]
    assert [row["label"] for row in facts["kto"]["seen"]] == [row["label"] for row in rows]
    assert {row["label"] for row in rows} == {True, False}
    margins = [row["margin"] for row in read(folder / "reward", "validation")[:8]]
    assert [row["margin"] for row in facts["reward"]["seen"][:8]] == margins
    assert min(margins) > 0


def test_dpo_reads_both_layouts_alike(trained: tuple[Path, dict[str, Any]]) -> None:
    """Explicit prompt and whole conversations give the same losses to the last bit: it is one dataset."""
    _, facts = trained
    assert facts["dpo"]["losses"] == facts["dpo-conversations"]["losses"]
    assert facts["dpo"]["seen"] == facts["dpo-conversations"]["seen"]
