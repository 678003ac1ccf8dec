"""A forecast on a terminal: short figures, few columns, nothing of a model unescaped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from selfinstruct import pipeline, recipe, runs
from selfinstruct.forecast import Range, Sample, forecast, sample, sheet, table
from selfinstruct.forecast.model import DropExample, Example
from selfinstruct.forecast.table import short, span, within
from selfinstruct.price import Price


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (7, "7"), (940, "940"), (999.6, "1.0k"), (1234, "1.2k"), (9960, "10k"), (45_000, "45k"),
     (999_600, "1.0M"), (3_100_000, "3.1M"), (2e9, "2.0G")],
)  # fmt: skip
def test_a_count_takes_two_or_three_figures(count: float, text: str) -> None:
    """No more than is known."""
    assert short(count) == text


def test_a_range_says_which_side_is_known() -> None:
    """Both, the upper one, the lower one, none."""
    assert within(Range(low=900, middle=1200, high=1500), short) == "1.2k (900-1.5k)"
    assert within(Range(low=0, middle=100, high=200), short) == "up to 200"
    assert within(Range(low=900, middle=None, high=None), short) == "at least 900"
    assert within(Range(low=0, middle=0, high=0), short) == "0"
    assert span(Range(low=0, middle=3600, high=5400), full=False) == "at most 1.5h"
    assert span(Range(low=3000, middle=3600, high=5400), full=True) == "1.0h (50m-1.5h)"


def test_a_table_fits_a_terminal(tmp_path: Path) -> None:
    """At most 80 columns, 100 with a price; a line for each stage, the surplus and the total."""
    loaded = recipe.load("demo", environment={}, sets=["exports=[]"])
    pipeline.run_sync(loaded, tmp_path / "run", target=60)
    with runs.open_stored(tmp_path / "run") as stored:
        plain, priced = (
            forecast(stored, 20_000_000, price=price) for price in (None, Price(per_million_in=1, per_gpu_hour=100))
        )
    assert plain is not None
    assert priced is not None
    for told, most in ((plain, 80), (priced, 100)):
        rows = table(told).splitlines()[1:11]
        assert [row.split()[0] for row in rows] == ["stage", *(one.name for one in told.stages), "surplus", "total"]
        assert max(map(len, rows)) <= most
    assert "cost" not in table(plain).splitlines()[1]
    assert table(priced).splitlines()[1].endswith("cost")


def test_model_text_is_shown_on_one_line_without_its_controls() -> None:
    """What a model writes must not move the cursor, hide a line or fill the screen."""
    row = Example(instruction="Say \x1b[31mred\x1b[0m\nnow", input="\u202eabc", output="x" * 5000, score=4.5)
    drop = DropExample(stage="bootstrap", rule="\x1b]0;title\x07", count=3, figure="\x07", threshold=None, text="a\rb")
    lines = list(sheet(Sample(rows=(row,), drops=(drop,)), width=80))
    assert all(line.isprintable() and len(line) <= 80 for line in lines)
    assert [line.split()[0] for line in lines] == ["4.5", "with", "->", "dropped:", "3"]


def test_a_sample_has_one_drop_of_each_rule(tmp_path: Path) -> None:
    """As many as the books say, and the first rows in the order of the export."""
    loaded = recipe.load("demo", environment={})
    report = pipeline.run_sync(loaded, tmp_path / "run", target=60)
    with runs.open_stored(tmp_path / "run") as stored:
        found = sample(stored, 5)
    by_stage = report.accounts.drops_by_stage
    assert {(one.stage, one.rule): one.count for one in found.drops} == {
        (stage, rule): count for stage, rules in by_stage.items() for rule, count in rules.items()
    }
    assert [one.count for one in found.drops] == sorted((one.count for one in found.drops), reverse=True)
    assert all(row.score is not None and row.score >= 4.5 for row in found.rows)
    folder, _ = report.exports["alpaca"]
    exported = [json.loads(line) for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()[:5]]
    fields = ("instruction", "input", "output")
    assert [[getattr(row, name) for name in fields] for row in found.rows] == [
        [one[name] for name in fields] for one in exported
    ]
