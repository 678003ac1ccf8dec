"""Thresholds side by side: each line counts what that threshold keeps, of a run and of a file."""

from __future__ import annotations

from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from selfinstruct import pipeline, recipe
from selfinstruct.errors import BadInputError
from selfinstruct.judging import scored
from selfinstruct.judging.cut import Cut
from selfinstruct.judging.refilter import refilter
from selfinstruct.judging.sweep import chart, chosen_scores, script, sweep
from selfinstruct.runs import open_stored
from selfinstruct.tables import write_table

ROWS: list[dict[str, Any]] = [
    {"instruction": "Name a fruit.", "input": "", "output": "An apple.", "score": 5},
    {"instruction": "과일 하나를 말해 줘.", "input": "", "output": "사과입니다, apple.", "score": 4.5},
    {"instruction": "Name two.", "input": "", "output": "Apples and pears, both ripe.", "score": 4.5},
    {"instruction": "果物は？", "input": "", "output": "りんご", "score": 3},
    {"instruction": "Say nothing.", "input": "", "output": "-", "score": 0},
    {"instruction": "Unscored.", "input": "", "output": "Nobody judged me.", "score": None},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "run"
    pipeline.run_sync(recipe.load("demo", environment={}, sets=["exports=[]"]), path, target=40)
    return path


def test_each_line_is_what_refilter_keeps(folder: Path) -> None:
    """Every half point of the scale; the mark stands at the run's own; pairs are those of its pairing at that score."""
    table = scored.load(folder)
    with open_stored(folder) as run:
        steps = sweep(table, chosen_scores(run, 0))
        assert [step.kept for step in steps] == [refilter(run, Cut(min_score=step.least)).kept for step in steps]
        own = run.accounts().stages["pair"].accepted
    assert [step.least for step in steps] == [half / 2 for half in range(11)]
    assert [step.least for step in steps if step.in_use] == [4.5]
    assert steps[9].pairs == own
    known = [row for row in table.rows if row.score >= 4.5]
    assert steps[9].classification == sum(bool(row.is_classification) for row in known) / len(known)
    assert 0 < (steps[9].top_label or 0) <= 1
    assert len(chart(steps).splitlines()) == 12
    assert chart(steps).count("<- in use") == 1


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv", ".parquet"])
def test_any_judged_file(tmp_path: Path, suffix: str) -> None:
    """The same figures from every kind of file; a row without a score is counted apart."""
    write_table(tmp_path / f"in{suffix}", ROWS)
    table = scored.load(tmp_path / f"in{suffix}")
    assert (table.reached, table.unscored, len(table.rows)) == (6, 1, 5)
    by_least = {step.least: step for step in sweep(table)}
    assert {least: step.kept for least, step in by_least.items() if least in {0, 3, 4.5, 5}} == {
        0: 5,
        3: 4,
        4.5: 3,
        5: 1,
    }
    assert by_least[4.5].share == 3 / 5
    assert by_least[5].words == 2
    assert by_least[3].scripts == {"hangul": 1 / 4, "latin": 2 / 4, "other": 1 / 4}
    assert by_least[4.5].classification is None
    assert by_least[4.5].pairs is None


def test_scripts() -> None:
    """By most letters; text without any is of none."""
    assert [script(one) for one in ("Yes.", "네, OK는 아니에요", "Ça été", "да", "42!", "…", "")] == [
        "latin", "hangul", "latin", "other", "other", "other", "other",
    ]  # fmt: skip


@pytest.mark.parametrize("bad", [9, -1, "high", True, float("nan")])
def test_a_score_that_is_none(tmp_path: Path, bad: object) -> None:
    """Named with its place and value."""
    rows = [*ROWS[:2], {**ROWS[2], "score": bad}]
    import json

    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(BadInputError, match=r"line 3: score .* is no number from 0 to 5"):
        scored.load(tmp_path / "in.jsonl")


def test_scales_and_columns_of_files(tmp_path: Path) -> None:
    """Another scale by option, with steps for it; one of a run is its own; a missing column is named."""
    write_table(tmp_path / "ten.jsonl", [{**row, "score": 2 * (row["score"] or 0)} for row in ROWS])
    table = scored.load(tmp_path / "ten.jsonl", scale=(0, 10))
    assert len(sweep(table)) == 21
    assert table.threshold == 9
    assert len(scored.load(tmp_path / "ten.jsonl", scale=(0, 100)).steps()) == 21
    for none in ((5, 0), (0, inf), (-inf, 5), (nan, 5), (0, 1.7e308)):
        with pytest.raises(BadInputError, match="lowest score comes first"):
            scored.load(tmp_path / "ten.jsonl", scale=none)
    write_table(tmp_path / "none.jsonl", [{"instruction": "Do.", "output": "Done."}])
    with pytest.raises(BadInputError, match="no column 'score'"):
        scored.load(tmp_path / "none.jsonl")
    write_table(tmp_path / "empty.jsonl", [{**ROWS[0], "score": None}])
    with pytest.raises(BadInputError, match="no scored row"):
        scored.load(tmp_path / "empty.jsonl")


def test_other_layouts_of_files(tmp_path: Path) -> None:
    """Messages and named columns are read like Alpaca's; two answers a row with one score are refused."""
    turns = [{"role": "user", "content": "Name a fruit."}, {"role": "assistant", "content": "An apple."}]
    write_table(tmp_path / "chat.jsonl", [{"messages": turns, "score": 5}])
    assert scored.load(tmp_path / "chat.jsonl").rows[0][1:] == ("Name a fruit.", "", "An apple.", 5.0, None)
    write_table(tmp_path / "mine.csv", [{"ask": "Name a fruit.", "said": "An apple.", "points": "4,5"}])
    write_table(tmp_path / "mine.jsonl", [{"ask": "Name a fruit.", "said": "An apple.", "points": 4.5}])
    named: Any = {"columns": "instruction=ask,output=said", "score": "points"}
    assert scored.load(tmp_path / "mine.jsonl", **named).rows[0].score == 4.5
    with pytest.raises(BadInputError, match=r"line 2: points '4,5' is no number"):
        scored.load(tmp_path / "mine.csv", **named)
    pair = {"prompt": "Name a fruit.", "chosen": "An apple.", "rejected": "No.", "score": 5}
    write_table(tmp_path / "pairs.jsonl", [pair])
    with pytest.raises(BadInputError, match="holds preferences"):
        scored.load(tmp_path / "pairs.jsonl")


def test_a_run_knows_its_scale(folder: Path) -> None:
    """It is not to be told another one."""
    with pytest.raises(BadInputError, match="it knows its scale"):
        scored.load(folder, scale=(1, 10))
