"""What labels say of the judge: true of the whole run, although the rows were drawn by score."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from random import Random

import pytest

from selfinstruct.judging.agreement import kappa
from selfinstruct.judging.calibration import Calibration, calibrate
from selfinstruct.judging.drawn import order
from selfinstruct.judging.scored import ScoredRow, ScoredTable
from selfinstruct.judging.sheet import Header, Label, Sheet
from selfinstruct.judging.told import told

GOOD = {5.0: 0.97, 4.5: 0.8, 4.0: 0.5, 3.0: 0.1, 1.0: 0.0}
"""Share of rows of a score that the person would keep."""
SIZES = {5.0: 400, 4.5: 1000, 4.0: 300, 3.0: 200, 1.0: 100}


def rows_of(sizes: dict[float, int]) -> ScoredTable:
    rows = [
        ScoredRow(f"{score}-{k}", "Do.", "", f"Done {k}.", score) for score, size in sizes.items() for k in range(size)
    ]
    return ScoredTable(Path("run"), "digest", (0.0, 5.0), 4.5, rows, len(rows))


def truth(table: ScoredTable) -> dict[str, bool]:
    draw = Random(7)
    return {row.id: draw.random() < GOOD[row.score] for row in table.rows}


def labelled(table: ScoredTable, n: int, *, scores: bool = False) -> Calibration:
    """A person who is always right labels the first n rows."""
    right = truth(table)
    labels = {
        row.id: Label(
            row=row.id, text=row.text_id, keep=right[row.id], score=(5.0 if right[row.id] else 3.0) if scores else None
        )
        for row in islice(order(table), n)
    }
    found = calibrate(table, Sheet(Path("sheet"), Header(run="digest", good=4.5), labels))
    assert found is not None
    return found


def test_all_rows_labelled_give_the_truth() -> None:
    """Every figure is then the plain count over the run."""
    table, right = rows_of(SIZES), truth(rows_of(SIZES))
    found = labelled(table, len(table.rows))
    kept = [row for row in table.rows if row.score >= 4.5]
    dropped = [row for row in table.rows if row.score < 4.5]
    assert found.wrong_keep is not None
    assert found.wrong_drop is not None
    assert found.wrong_keep.share == pytest.approx(sum(not right[row.id] for row in kept) / len(kept))
    assert found.wrong_drop.share == pytest.approx(sum(right[row.id] for row in dropped) / len(dropped))
    assert found.wrong_keep.effective == pytest.approx(len(kept))
    assert found.verdicts.kappa == pytest.approx(kappa([(row.score >= 4.5, right[row.id]) for row in table.rows]))
    assert found.table["keep/keep"] + found.table["keep/drop"] == len(kept)
    assert sum(found.table.values()) == len(table.rows)
    assert found.unseen == 0


def test_few_labels_stand_for_the_whole_run() -> None:
    """A sample drawn by score is weighed back: the interval holds the truth, and the plain share of the labels is off."""
    table, right = rows_of({**SIZES, 5.0: 20_000}), truth(rows_of({**SIZES, 5.0: 20_000}))
    found = labelled(table, 120)
    kept = [row for row in table.rows if row.score >= 4.5]
    real = sum(not right[row.id] for row in kept) / len(kept)
    assert found.wrong_keep is not None
    assert found.wrong_keep.low <= real <= found.wrong_keep.high
    plain = found.table["keep/drop"] / (found.table["keep/keep"] + found.table["keep/drop"])
    assert abs(found.wrong_keep.share - real) < abs(plain - real)
    assert found.wrong_keep.effective < found.wrong_keep.labels
    assert found.wrong_keep.rows == len(kept)


def test_the_threshold_that_reaches_a_precision() -> None:
    """4.5 holds some 85 % and 5 some 97 %: for 90 % it is 5, with enough labels for sure; with few it is said that they are few."""
    table = rows_of(SIZES)
    many, few = labelled(table, 1500), labelled(table, 40)
    assert (many.reaches, many.sure) == (5.0, True)
    assert "with its whole interval is 5." in told(many, source=Path("x.jsonl"))
    assert (few.reaches, few.sure) == (5.0, False)
    assert few.more is None or few.more > 0
    assert "40 labels cannot make sure of it" in told(few, source=Path("x.jsonl"))
    precisions = [one.precision.share for one in many.thresholds if one.precision is not None]
    assert precisions == sorted(precisions)


def test_nothing_is_said_below_the_lowest_label(tmp_path: Path) -> None:
    """Two good labels at the top say nothing of the rows far below: no precision there, and no command that would take them."""
    table = rows_of(SIZES)
    top = [next(row for row in table.rows if row.score == score) for score in (5.0, 4.5)]
    labels = {row.id: Label(row=row.id, text=row.text_id, keep=True) for row in top}
    found = calibrate(table, Sheet(Path("sheet"), Header(run="digest", good=4.5), labels))
    assert found is not None
    assert [one.least for one in found.thresholds if one.precision is not None] == [4.5, 5.0]
    assert (found.reaches, found.sure) == (4.5, False)
    assert "refilter" not in told(found, source=tmp_path)
    assert f"refilter {tmp_path} --min-score 5" in told(labelled(table, 1500), source=tmp_path)


def test_a_long_scale_with_one_label_between_two_thresholds() -> None:
    """No threshold keeps only scores that have a label: said, and none is named."""
    rows = [ScoredRow(f"{score}", "Do.", "", f"Done {score}.", float(score)) for score in range(60, 65)]
    table = ScoredTable(Path("run"), "digest", (0.0, 100.0), 90.0, rows, len(rows))
    labels = {"63": Label(row="63", text=rows[3].text_id, keep=True)}
    found = calibrate(table, Sheet(Path("sheet"), Header(run="digest", good=90), labels))
    assert found is not None
    assert found.reaches is None
    assert "scores that nobody has labelled" in told(found, source=Path())


def test_no_threshold_reaches_it() -> None:
    """A judge whose best scores are no better than the others: said, and no command offered; few labels cannot rule it out."""
    table = rows_of({5.0: 50, 4.0: 50})
    labels = {
        row.id: Label(row=row.id, text=row.text_id, keep=number % 2 == 0) for number, row in enumerate(table.rows)
    }
    found = calibrate(table, Sheet(Path("sheet"), Header(run="digest", good=4.5), labels))
    assert found is not None
    assert (found.reaches, found.sure, found.more) == (None, False, None)
    assert "No threshold reaches a precision of 90%" in told(found, source=Path())
    assert "no threshold will" in told(found, source=Path())
    few = dict(list(labels.items())[:3])
    unsure = calibrate(table, Sheet(Path("sheet"), Header(run="digest", good=4.5), few))
    assert unsure is not None
    assert unsure.reaches is None
    assert "3 labels cannot rule it out" in told(unsure, source=Path())
    assert "refilter" not in told(found, source=Path())


def test_scores_skips_and_rows_nobody_saw() -> None:
    """Scores have their own agreement; a skip is no label; scores without one label are named."""
    table = rows_of({5.0: 30, 4.0: 30, 1.0: 40})
    five, four = table.rows[:30], table.rows[30:60]
    said = [(row, 5.0, True) for row in five[:12]] + [(row, 4.0, False) for row in four[:11]] + [(four[11], 5.0, True)]
    labels = {row.id: Label(row=row.id, text=row.text_id, keep=keep, score=score) for row, score, keep in said}
    labels[five[20].id] = Label(row=five[20].id, text=five[20].text_id)
    labels[five[21].id] = Label(row=five[21].id, text="of an answer that was replaced", keep=True)
    found = calibrate(table, Sheet(Path("sheet"), Header(run="digest", good=4.5), labels))
    assert found is not None
    assert (found.labels, found.skipped, found.stale, found.exact) == (24, 1, 1, 23)
    assert found.unseen == 0.4
    assert found.scores is not None
    assert found.scores.kappa == pytest.approx(kappa([(row.score, score) for row, score, _ in said]))
    assert found.scores.low is not None
    assert found.scores.high is not None
    assert found.scores.low < (found.scores.kappa or 0) <= found.scores.high
    assert "40.0% of the rows" in told(found, source=Path())


def test_too_few_labels_have_no_interval() -> None:
    """Three labels: counted, and said to be too few; none at all: nothing to tell."""
    table = rows_of(SIZES)
    few = labelled(table, 3)
    assert few.verdicts.low is None
    assert "too few labels for an interval" in told(few, source=Path()) or few.verdicts.kappa is None
    assert calibrate(table, Sheet(Path("sheet"), Header(run="digest", good=4.5), {})) is None
