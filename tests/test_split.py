"""Training and validation: nothing of the one is like anything of the other, in any format, and it stays so."""

from __future__ import annotations

import json
from collections import Counter
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from selfinstruct import export, exported, pipeline, recipe, runs
from selfinstruct.errors import BadInputError, NothingToExportError
from selfinstruct.judging import stored
from selfinstruct.records import content_id
from selfinstruct.seeds import load, shipped
from selfinstruct.split import NEAR, Side, sides
from selfinstruct.text.rouge import rouge_l
from selfinstruct.text.tokens import unicode_tokens

WORDS = [
    f"{first}{second}" for first, second in product(("ba", "do", "ki", "lu", "me"), ("ra", "so", "ti", "vu", "na"))
]


def families() -> list[dict[str, str]]:
    """Tasks in threes: the first two are strangers (F 0.5), the third lies between them (0.8 and 0.7); some with inputs."""
    rng = Random(3)
    rows = []
    for number in range(60):
        words = [f"{rng.choice(WORDS)}{rng.choice(WORDS)}" for _ in range(10)]
        other = [word if place < 5 else word[::-1] for place, word in enumerate(words)]
        middle = [word if place < 8 else word[::-1] for place, word in enumerate(words)]
        rows += [{"instruction": " ".join(text), "input": "", "output": "Done."} for text in (words, other, middle)]
        story = " ".join(rng.choice(WORDS) for _ in range(30))
        rows += [
            {"instruction": f"Weigh {number} against the rest.", "input": story, "output": "Heavy."},
            {"instruction": f"Retell it for {words[0]}, please.", "input": story, "output": "Once."},
            {"instruction": f"Weigh {number} against the rest.", "input": words[1], "output": "Light."},
        ]
    return rows + [{"instruction": one, "input": "", "output": "Yes."} for pair in imitations() for one in pair]


def imitations() -> list[tuple[str, str]]:
    """Tasks in twos, each near to a seed (F about 0.7) and not to the other (0.4)."""
    seeds = [words for seed in load(shipped())[0] if 10 <= len(words := seed.instruction.split()) <= 20][:12]
    new = [f"xy{word}" for word in WORDS]
    cuts = [(words, round(len(words) * 0.7)) for words in seeds]
    return [
        (" ".join([*words[:cut], *new[: len(words) - cut]]), " ".join([*new[: len(words) - cut], *words[-cut:]]))
        for words, cut in cuts
    ]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A judged file whose rows are much alike."""
    folder = tmp_path_factory.mktemp("crowded")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in families()))
    settings = [
        "engines.writer={kind: scripted}",
        f"stages.given.file={folder / 'rows.jsonl'}",
        "stages.select.gates=[]",
    ]
    pipeline.run_sync(recipe.load("alpagasus", environment={}, sets=settings), folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "run"
    pipeline.run_sync(recipe.load("demo", environment={}, sets=["exports=[]"]), folder, target=60)
    return folder


def texts(task: Any) -> list[list[str]]:
    return [unicode_tokens(one) for one in {task.instruction, f"{task.instruction}\n\n{task.input}".strip()}]


def straddling(found: dict[Side | None, list[Any]]) -> int:
    """How many pairs across the sides are near, by the reference's arithmetic and one by one."""
    return sum(
        any(rouge_l(one, other) > NEAR for one, other in product(texts(first), texts(second)))
        for first, second in product(found[Side.TRAIN], found[Side.VALIDATION])
    )


def sorted_by_side(folder: Path, share: float) -> dict[Side | None, list[Any]]:
    found: dict[Side | None, list[Any]] = {Side.TRAIN: [], Side.VALIDATION: [], None: []}
    with runs.open_stored(folder) as run:
        lies = sides(run, share)
        for task in stored.tasks(run):
            found[lies.of(task.path)].append(task)
    return found


def test_nothing_near_lies_across(crowded: Path) -> None:
    """No task of one side is near to one of the other; who is near to both is on neither; a plain draw would leak."""
    found = sorted_by_side(crowded, 0.5)
    assert straddling(found) == 0
    assert len(found[None]) > 10
    assert min(len(found[side]) for side in Side) > 50
    everyone = [task for tasks in found.values() for task in tasks]
    drawn: dict[Side | None, list[Any]] = {side: [] for side in Side}
    for task in everyone:
        drawn[Side.TRAIN if int(content_id(task.id), 16) % 2 else Side.VALIDATION].append(task)
    assert straddling(drawn) > 50


def test_one_instruction_one_side(crowded: Path) -> None:
    """All instances of an instruction, whatever their inputs, lie on one side; so do those that imitate one seed."""
    found = sorted_by_side(crowded, 0.5)
    at = {side: {task.instruction for task in found[side]} for side in Side}
    assert not at[Side.TRAIN] & at[Side.VALIDATION]
    for first, second in imitations():
        assert rouge_l(unicode_tokens(first), unicode_tokens(second)) < NEAR
        assert len({side for side, there in at.items() if there & {first, second}}) == 1


def test_equal_texts_without_a_token_lie_together(tmp_path: Path) -> None:
    """ROUGE-L has nothing to say of `???`: equal it is all the same, whatever its inputs."""
    asked = ["???", "!!", "...", "#!", "-->"]
    rows = [
        {"instruction": text, "input": f"a{number} b{number}" * (number % 3 > 0), "output": f"Answer {number}."}
        for number, text in enumerate(asked * 5)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = [
        "engines.writer={kind: scripted}",
        f"stages.given.file={tmp_path / 'rows.jsonl'}",
        "stages.select.gates=[]",
    ]
    pipeline.run_sync(recipe.load("alpagasus", environment={}, sets=settings), tmp_path / "run")
    found = sorted_by_side(tmp_path / "run", 0.5)
    at = {side: {task.instruction for task in found[side]} for side in Side}
    assert at[Side.TRAIN] | at[Side.VALIDATION] == {*asked}
    assert not at[Side.TRAIN] & at[Side.VALIDATION]
    assert not found[None]


def test_all_formats_agree(demo: Path, tmp_path: Path) -> None:
    """A task that is in several formats is on one side in all of them, and all its answers and pairs are."""
    asked: dict[Side, set[str]] = {side: set() for side in Side}
    with runs.open_stored(demo) as run:
        for form in ("prompt-completion", "dpo", "reward", "kto", "ranked"):
            manifest = export.export(run, form, tmp_path / form, split=0.3)
            assert list(export.verify_export(tmp_path / form)) == []
            for side in Side:
                lines = (tmp_path / form / f"{side}.jsonl").read_text(encoding="utf-8").splitlines()
                assert len(lines) == manifest.split[side]
                asked[side] |= {json.loads(line)["prompt"][0]["content"] for line in lines}
            assert sum(manifest.split.values()) == manifest.rows
    assert asked[Side.TRAIN]
    assert asked[Side.VALIDATION]
    assert not asked[Side.TRAIN] & asked[Side.VALIDATION]


def test_every_row_is_on_a_side_or_counted(crowded: Path, tmp_path: Path) -> None:
    """Rows of both sides and those near to both add up to the rows of the run."""
    with runs.open_stored(crowded) as run:
        whole = export.export(run, "messages", tmp_path / "whole")
        halves = export.export(run, "messages", tmp_path / "halves", split=0.5)
    assert halves.left_out["near_both_sides"] > 10
    assert halves.rows + halves.left_out["near_both_sides"] == whole.rows
    assert whole.left_out == {}
    assert set(halves.files) == {"train.jsonl", "validation.jsonl", *exported.AUDITS}


def test_a_side_stays_when_the_run_grows(tmp_path: Path) -> None:
    """Ten more orders of rows: what was decided for the earlier ones is decided alike."""
    loaded = recipe.load("demo", environment={}, sets=["exports=[]"])
    before: dict[str, Side | None] = {}
    for target in (15, 40, 80):
        pipeline.run_sync(loaded, tmp_path / "run", target=target)
        with runs.open_stored(tmp_path / "run") as run:
            lies = sides(run, 0.3)
            now = {task.path: lies.of(task.path) for task in stored.tasks(run)}
        assert {path: now[path] for path in before} == before
        assert len(now) > len(before)
        before = now
    assert Counter(before.values())[Side.VALIDATION] > 5


def test_bad_splits_are_refused(demo: Path, tmp_path: Path) -> None:
    """No side without rows, no share out of range, no two sides in one file; and nothing is left behind."""
    with runs.open_stored(demo) as run:
        for share in (1.0, -0.1, 7.0):
            with pytest.raises(BadInputError, match="between 0 and 1"):
                export.export(run, "dpo", tmp_path / "out", split=share)
        with pytest.raises(NothingToExportError, match="no row for validation"):
            export.export(run, "dpo", tmp_path / "out", split=0.0001)
        with pytest.raises(BadInputError, match="makes two") as caught:
            export.export(run, "dpo", tmp_path / "out.jsonl", split=0.1)
        with pytest.raises(BadInputError, match="belongs to no instance"):
            sides(run, 0.1).of("99999999.0000.0000.0000")
    assert caught.value.remedy.endswith("/out")
    assert not list(tmp_path.iterdir())


def test_the_share_is_about_what_was_asked_for(demo: Path) -> None:
    """More is more, and half is about half where tasks are unlike each other."""
    found = [sorted_by_side(demo, share) for share in (0.05, 0.2, 0.5)]
    counts = [len(one[Side.VALIDATION]) for one in found]
    assert counts == sorted(counts)
    assert 0.3 < counts[-1] / sum(map(len, found[-1].values())) < 0.7


@pytest.mark.filterwarnings("ignore")  # datasets' own
def test_datasets_finds_both_sides_in_the_folder(demo: Path, tmp_path: Path) -> None:
    """load_dataset(folder) takes the two splits, whatever else lies there."""
    from datasets import load_dataset

    with runs.open_stored(demo) as run:
        manifest = export.export(run, "messages", tmp_path / "out", split=0.3)
    loaded = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(part) for name, part in loaded.items()} == manifest.split
