"""The figures of a run are those that `stats`, `refilter`, the balance of labels and the store tell, counted in one pass."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from selfinstruct import pipeline, recipe
from selfinstruct.cli import main  # noqa: F401 - registers the commands
from selfinstruct.cli._shared import app
from selfinstruct.errors import BadInputError
from selfinstruct.figures.bins import hundredths, length_bin
from selfinstruct.figures.count import UNKNOWN, main_script, of_run
from selfinstruct.figures.model import EXAMPLES, NONE, Figures, Nearness, Scores
from selfinstruct.judging import balance, refilter, scored
from selfinstruct.judging.cut import Cut
from selfinstruct.novelty import novelty
from selfinstruct.records import Fate, Row
from selfinstruct.runs import open_stored
from selfinstruct.tables import write_table
from selfinstruct.text.verbs import verb_noun

if TYPE_CHECKING:
    from pathlib import Path


def made(folder: Path, *sets: str, name: str = "demo", rows: int = 60) -> Path:
    settings = [*sets] if name == "demo" else ["engines.writer={kind: scripted}", *sets]
    pipeline.run_sync(recipe.load(name, environment={}, sets=settings), folder, target=rows)
    return folder


def figures(folder: Path, cut: Cut | None = None) -> Figures:
    with open_stored(folder) as run:
        return of_run(run, cut)


def kept_rows(folder: Path) -> list[dict[str, Any]]:
    with open_stored(folder) as run:
        found = run.store.scan(run.tree.rows, fate=Fate.ACCEPTED, upto=run.closing)
        return [body["record"] for _, body in found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with drops of every kind, unscored rows, several instances to a task, and pairs."""
    path = tmp_path_factory.mktemp("run") / "run"
    return made(path, "engines.writer.unreadable_verdicts=0.6", "stages.respond.n=2", "exports=[]")


def test_the_funnel_is_that_of_stats(folder: Path) -> None:
    """Stages in order, fates, drops by rule, calls and rows beyond the order."""
    found = figures(folder)
    with open_stored(folder) as run:
        accounts = run.accounts()
    assert list(found.funnel) == list(accounts.stages)
    for label, stage in accounts.stages.items():
        told = found.funnel[label].model_dump()
        assert told == {**stage.model_dump(), "drops": accounts.drops_by_stage[label]}
    assert found.ledger.model_dump() == accounts.ledger.model_dump()
    assert found.drops == accounts.drops
    assert found.usage.model_dump() == {"calls": accounts.calls.pop("total"), **accounts.calls}
    assert found.usage.calls == sum(one.calls for one in found.usage_by_stage.values())
    assert found.usage == found.usage_by_model["scripted"]
    assert found.surplus == accounts.surplus
    assert (found.rows, found.scripted_rows, found.runs) == (60, 60, 1)
    assert found.pairs == accounts.stages["pair"].accepted > 0


def test_scores_are_those_of_the_sweep(folder: Path) -> None:
    """Kept, dropped and unscored rows, and what any threshold would keep."""
    found = figures(folder).scores
    with open_stored(folder) as run:
        table = scored.of_run(run)
    assert found.thresholds == (table.threshold,)
    assert found.scales == (table.scale,)
    assert found.unscored == table.unscored > 0
    assert found.all() == Counter(round(100 * row.score) for row in table.rows)
    for least in table.steps():
        assert found.kept_at(least) == sum(row.score >= least for row in table.rows)
    assert sum(found.kept.values()) == found.kept_at(table.threshold) == 60


def test_texts_are_measured(folder: Path) -> None:
    """Each kept row counts once in every figure of its texts."""
    found, rows = figures(folder), kept_rows(folder)
    assert found.output.characters == Counter(length_bin(len(row["output"])) for row in rows)
    assert found.instruction.rows == found.input.rows == found.rows
    assert found.scripts == Counter(main_script(row["instruction"]) for row in rows)
    verbs = Counter(verb_noun(row["instruction"]) for row in rows)
    assert {(verb, noun): n for verb, nouns in found.verbs.items() for noun, n in nouns.items()} == verbs
    assert found.classification == Counter("yes" if row["is_classification"] else "no" for row in rows)


def test_labels_are_those_of_the_balance(folder: Path) -> None:
    """As written and as kept."""
    found = figures(folder)
    with open_stored(folder) as run:
        told = balance.of_run(run)
    for ours, theirs in ((found.labels, told.kept), (found.labels_written, told.written)):
        assert (ours.tasks, ours.rows, ours.several) == (theirs.tasks, theirs.rows, theirs.several)
        assert (ours.mean_evenness or 0) == pytest.approx(theirs.evenness)
        assert (ours.one_label_share or 0) == pytest.approx(theirs.one_label)
        assert all(ours.labels[label] / ours.rows == share for label, share in theirs.most)


def test_likenesses_are_those_of_novelty(folder: Path) -> None:
    """The same bins as `selfinstruct novelty` tells, in hundredths."""
    found = figures(folder).nearness
    with open_stored(folder) as run:
        told = novelty(run)
    assert [(found.kept.get(5 * at, 0), found.dropped.get(5 * at, 0)) for at in range(20)] == [
        (one.kept, one.dropped) for one in told.bins
    ]
    assert (found.thresholds, found.tokenizers) == ((told.threshold,), (told.tokenizer,))


def test_who_wrote_and_judged(folder: Path) -> None:
    """Every kept row has a model for its instruction and its answer, and the judge of the answer that was chosen."""
    found = figures(folder)
    assert found.models == {role: {"scripted": 60} for role in ("instruction", "answer", "judge")}
    assert found.flags["own_family"] >= 60


def test_examples_are_the_first_drops(folder: Path) -> None:
    """At most three of each rule, in the order of `selfinstruct drops`, each with a text; evidence where there is some."""
    found = figures(folder)
    with open_stored(folder) as run:
        wanted = {rule: [row.id for row, _ in run.drops(rule)][:EXAMPLES] for rule in found.drops}
    assert {rule: [one.id for one in shown] for rule, shown in found.examples.items()} == wanted
    assert all(one.text for rule, shown in found.examples.items() if rule != "empty" for one in shown)
    assert all(one.evidence for rule in ("rouge", "score") for one in found.examples[rule])


@pytest.mark.parametrize("cut", [Cut(min_score=3), Cut(min_score=5), Cut(min_score=4.5, per_doubling=0.3)])
def test_a_cut_is_counted_as_if_it_had_been_asked(folder: Path, cut: Cut) -> None:
    """Rows as `refilter` keeps them; the ledger balances; pairs and the example drops are those of the cut."""
    found = figures(folder, cut)
    with open_stored(folder) as run:
        books = refilter.refilter(run, cut)
        rows = [row for _, row in refilter.records(run, cut, Row)]
    assert found.rows == books.kept == found.output.rows == sum(found.scores.kept.values()) == found.ledger.accepted
    assert all(one.balanced for one in (found.ledger, *found.funnel.values()))
    assert sum(found.funnel["select"].drops.values()) == found.funnel["select"].dropped
    assert found.scores.thresholds == (cut.min_score,)
    assert found.scores.unscored == books.unscored
    scores = Counter(hundredths(row.score) for row in rows if isinstance(row, Row) and row.score is not None)
    assert found.scores.kept == scores
    assert found.labels_written == figures(folder).labels_written


def test_its_own_threshold_changes_nothing(folder: Path) -> None:
    """The cut that the run made is the run."""
    assert figures(folder, Cut(min_score=4.5)) == figures(folder)


def test_nights_add_up(folder: Path, tmp_path: Path) -> None:
    """The sum of two runs has the rows, drops and scores of both, in one balanced ledger."""
    one, two = figures(folder), figures(made(tmp_path / "second", "seed=7", "exports=[]", rows=30))
    both = one + two
    assert (both.rows, both.runs, both.output.rows) == (90, 2, 90)
    assert both.ledger.balanced
    assert both.scores.kept_at(4.5) == one.scores.kept_at(4.5) + two.scores.kept_at(4.5)
    assert both.drops["score"] == one.drops["score"] + two.drops["score"]
    assert both.examples["score"] == one.examples["score"]
    assert Figures.model_validate_json(both.model_dump_json()) == both


def test_a_recipe_without_a_judge(tmp_path: Path) -> None:
    """Nothing was scored: no scores, no judge, and a cut is refused."""
    path = made(tmp_path / "run", "exports=[]", name="self-instruct", rows=20)
    found = figures(path)
    assert found.rows == found.output.rows == 20
    assert found.scores == Scores()
    assert "judge" not in found.models
    assert found.models["answer"] == {"scripted": 20}
    assert found.nearness.total
    with pytest.raises(BadInputError, match="no scores"):
        figures(path, Cut(min_score=3))


def test_a_judged_file(tmp_path: Path) -> None:
    """`judge FILE` leaves a run without a novelty gate whose writer nobody knows: what is there is counted."""
    good, weak = "A careful answer that keeps to the task. " * 3, "It depends."
    rows = [{"instruction": f"Name river {number}.", "output": good if number % 2 else weak} for number in range(6)]
    write_table(tmp_path / "in.jsonl", [*rows, {"instruction": "Nothing.", "output": ""}])
    out = tmp_path / "out.jsonl"
    sets = "engines.writer={kind: scripted, cut: 0, empty: 0, broken_json: 0, unreadable_verdicts: 0}"
    done = CliRunner().invoke(
        app, ["judge", str(tmp_path / "in.jsonl"), "-o", str(out), "--min-score", "4", "--set", sets, "-q", "--json"]
    )
    assert done.exit_code == 0, done.output
    (run,) = (path.parent for path in tmp_path.rglob("run.db"))
    found = figures(run)
    kept = json.loads(done.stdout.splitlines()[-1])["kept"]
    assert (found.rows, found.ledger.accepted) == (kept, kept)
    assert found.nearness == Nearness()
    assert found.models["answer"] == {UNKNOWN: kept}
    assert found.models["judge"] == {"scripted": kept}
    assert found.verbs == {"name": {"river": kept}}
    assert found.classification == {UNKNOWN: kept}
    assert "empty" in found.drops


@pytest.mark.parametrize(
    ("text", "script"),
    [("Hello.", "Latin"), ("한국어로 write", "Hangul"), ("1 + 1 = 2", NONE), ("Привет", "Cyrillic"), ("", NONE)],
)
def test_script_of_most_letters(text: str, script: str) -> None:
    """The script of most letters; none where there are no letters."""
    assert main_script(text) == script
