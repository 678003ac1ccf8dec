"""Label balance: the figures on known labels, the same read from a run, alarms where there is a skew and none where not."""

from __future__ import annotations

import json
import logging
from collections import Counter
from math import log
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from selfinstruct import pipeline, recipe
from selfinstruct.cli._shared import app
from selfinstruct.engines._grammar import labels_of
from selfinstruct.judging import balance
from selfinstruct.judging.balance import Balance, spread
from selfinstruct.records import Fate
from selfinstruct.runs import open_stored
from selfinstruct.text.labels import plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def run(folder: Path, *sets: str, name: str = "demo", rows: int = 40) -> Path:
    settings = [*sets] if name == "demo" else ["engines.writer={kind: scripted}", *sets]
    pipeline.run_sync(recipe.load(name, environment={}, sets=settings), folder, target=rows)
    return folder


def labelled(*tasks: str) -> Iterator[tuple[str, str]]:
    """Yield (task, label) of tasks written as their labels."""
    for number, labels in enumerate(tasks):
        yield from ((str(number), label) for label in labels.split())


def stats(folder: Path, *options: str) -> Any:
    return CliRunner().invoke(app, ["stats", str(folder), *options], env={"COLUMNS": "200"})


def test_figures_of_known_labels() -> None:
    """Tasks, rows, tasks of one label, evenness, the most frequent labels, polar pairs: worked out by hand."""
    found = spread(labelled("yes no", "Yes. yes", "a a a b", "no", "c"))
    assert (found.tasks, found.rows, found.several) == (5, 10, 3)
    assert found.one_label == pytest.approx(1 / 3)
    three_to_one = -(0.75 * log(0.75) + 0.25 * log(0.25)) / log(2)
    assert found.evenness == pytest.approx((1 + 0 + three_to_one) / 3)
    assert found.most[:2] == (("a", 0.3), ("yes", 0.3))
    (pole,) = found.poles
    assert (pole.more, pole.less, pole.share, pole.rows) == ("yes", "no", 0.6, 5)


def test_no_labels_no_figures() -> None:
    """Nothing, empty labels, texts far too long for a label: no division by nothing, no long text shown."""
    assert spread([]).model_dump() == {
        "tasks": 0, "rows": 0, "several": 0, "one_label": 0.0, "evenness": 0.0, "most": (), "poles": (),
    }  # fmt: skip
    assert spread([("1", " ")]).tasks == 0
    long = spread([("1", "x" * 500), ("1", "y" * 500)])
    assert (long.rows, long.most, long.evenness) == (2, (), 1.0)


def made(written: list[str], kept: list[str], *, rounds: bool = False) -> Balance:
    return Balance(written=spread(labelled(*written)), kept=spread(labelled(*kept)), topped_up=0, rounds=rounds)


EVEN = ["yes no"] * 50
MANY_ALIKE = [*(["a a"] * 6), *(["a b"] * 14)]


@pytest.mark.parametrize(
    ("written", "kept", "wanted"),
    [
        (EVEN, EVEN, []),
        (MANY_ALIKE, [], ["instances: 30% of 20 classification tasks have one label only (limit 25%)"]),
        (MANY_ALIKE[:-1], [], []),
        ([*MANY_ALIKE[1:], "a b"], [], []),
        (["yes yes no"] * 34, [], ["instances: 67% of 102 rows labelled yes or no are yes (limit 65%)"]),
        (["yes yes no"] * 33, [], []),
        (
            ["positive positive negative"] * 40,
            [],
            ["instances: 67% of 120 rows labelled positive or negative are positive"],
        ),
        (EVEN, ["no"] * 70 + ["yes"] * 30, ["rows: 70% of 100 rows labelled no or yes are no"]),
        (["yes yes no"] * 40, ["yes"] * 120, ["instances: 67%"]),
    ],
)
def test_alarms(written: list[str], kept: list[str], wanted: list[str]) -> None:
    """Past a limit and among enough of them; what was written so is told of the writing, else of the judging."""
    alarms = [alarm for alarm, _ in made(written, kept).alarms()]
    assert len(alarms) == len(wanted)
    assert all(alarm.startswith(start) for alarm, start in zip(alarms, wanted, strict=True))


def test_each_alarm_has_its_remedy() -> None:
    """A further round where the run has none, another writer where it has, another judge where the writing was even."""
    ((_, remedy),) = made(MANY_ALIKE, []).alarms()
    assert "top_up=0.6" in remedy
    ((_, remedy),) = made(MANY_ALIKE, [], rounds=True).alarms()
    assert "writer" in remedy
    ((_, remedy),) = made(EVEN, ["no"] * 100).alarms()
    assert "judge" in remedy


def test_a_run_says_what_its_store_holds(tmp_path: Path) -> None:
    """Instances and rows of classification tasks and of no others, up to the last row of the order; whole tasks."""
    folder = run(tmp_path / "run", "engines.writer.skewed_labels=0.4", "engines.writer.weak_answers=0.8", rows=80)
    with open_stored(folder) as stored:
        found = balance.of_run(stored)
        kinds = {row.id: body["record"] for row, body in stored.store.scan("classify", fate=Fate.ACCEPTED)}
        instances = [
            (row.parent, plain(body["record"]["output"]))
            for row, body in stored.store.scan("instances", fate=Fate.ACCEPTED, upto=stored.closing)
            if kinds[row.parent]["is_classification"]
        ]
        rows = [
            body["record"]
            for _, body in stored.store.scan("select", fate=Fate.ACCEPTED, upto=stored.closing)
            if body["record"]["is_classification"]
        ]
    assert found.there
    assert found.rounds
    assert found.written == spread(instances)
    assert 0 < found.topped_up < found.written.tasks
    assert found.kept.rows == len(rows) < found.written.rows
    said = Counter(plain(row["output"]) for row in rows)
    assert all(said[label] for label, _ in found.kept.most)
    assert all(label in labels_of(row["instruction"]) for row in rows for label in [plain(row["output"])])


def test_the_label_in_a_sentence() -> None:
    """A talking model's label is read from its words when there is one; otherwise the input's own label counts."""
    labels = {"p": "positive", "q": "not clear"}
    for output, wanted in (
        ("Positive.", "positive"),
        ("The review is positive, I think.", "positive"),
        ("It is not clear.", "not clear"),
        ("Positive? It is not clear.", "not clear"),
        ("Unpositive", "not clear"),
        ("", "not clear"),
    ):
        assert balance.label_of(output, labels, "q") == wanted


def test_a_further_round_evens_what_label_first_leaves(tmp_path: Path) -> None:
    """The same skewed script without and with `top_up`: fewer tasks of one label, more evenness."""
    found = []
    for top_up in ("null", "0.6"):
        folder = run(
            tmp_path / top_up, f"stages.instances.top_up={top_up}", "engines.writer.skewed_labels=0.5", rows=250
        )
        with open_stored(folder) as stored:
            found.append(balance.of_run(stored))
    without, topped = found
    assert (without.rounds, without.topped_up) == (False, 0)
    assert topped.written.one_label < without.written.one_label / 2
    assert topped.written.evenness > without.written.evenness + 0.1


def test_stats_shows_it_and_alarms(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A skewed run: told with the remedy at its end and in `stats`, which goes on to print its table and key `labels`."""
    with caplog.at_level(logging.WARNING):
        folder = run(tmp_path / "a", "stages.instances.top_up=null", "engines.writer.skewed_labels=0.9", rows=300)
    (told,) = [one.getMessage() for one in caplog.records if "skewed labels" in one.getMessage()]
    assert "one label only" in told
    assert "stages.instances.top_up=0.6" in told
    shown = stats(folder)
    assert shown.exit_code == 0
    assert "as written" in shown.stdout
    assert "as selected" in shown.stdout
    assert "skewed labels: instances: " in shown.stderr
    assert "top_up=0.6" in shown.stderr
    document = json.loads(stats(folder, "--json").stdout.splitlines()[-1])
    assert {"ledger", "stages", "drops", "calls", "labels"} <= document.keys()
    assert document["labels"]["written"]["one_label"] > balance.MOST_LOPSIDED
    assert Balance.model_validate(document["labels"]).kept.rows == document["labels"]["kept"]["rows"]


def test_a_run_without_classification_tasks(tmp_path: Path) -> None:
    """No table, no alarm, and null in JSON."""
    folder = run(tmp_path / "run", name="alpaca", rows=20)
    assert json.loads(stats(folder, "--json").stdout)["labels"] is None
    shown = stats(folder)
    assert "as written" not in shown.stdout
    assert shown.stderr == ""
