"""Another threshold for a run that exists: the same rows at its own one, balanced books at any, and the run stays as it is."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from selfinstruct import pipeline, recipe
from selfinstruct.errors import BadInputError, DamageError
from selfinstruct.export import export, verify_export
from selfinstruct.files import sha256
from selfinstruct.judging.audit import audit
from selfinstruct.judging.cut import Cut
from selfinstruct.judging.refilter import refilter
from selfinstruct.judging.repaired import pairs
from selfinstruct.judging.scored import load
from selfinstruct.judging.sweep import chosen_scores
from selfinstruct.records import DropReason, Fate, PreferencePair
from selfinstruct.runs import StoredRun, open_stored


def made_of(run: StoredRun, cut: Cut) -> list[PreferencePair | DropReason]:
    return [made for _, made in pairs(run, cut)]


FORMATS = ("messages", "alpaca", "parquet", "dpo")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with drops of every kind, unscored rows, and pairs."""
    path = tmp_path_factory.mktemp("run") / "run"
    sets = ["engines.writer.unreadable_verdicts=0.6", "stages.respond.n=2", "exports=[]"]
    pipeline.run_sync(recipe.load("demo", environment={}, sets=sets), path, target=60)
    return path


@pytest.mark.parametrize("form", FORMATS)
def test_its_own_threshold_gives_its_own_export(folder: Path, tmp_path: Path, form: str) -> None:
    """Byte for byte, rows and pairs."""
    suffix = ".parquet" if form == "parquet" else ".jsonl"
    with open_stored(folder) as run:
        own = export(run, form, tmp_path / f"own{suffix}")
        cut = export(run, form, tmp_path / f"cut{suffix}", cut=Cut(min_score=4.5))
    assert (tmp_path / f"own{suffix}").read_bytes() == (tmp_path / f"cut{suffix}").read_bytes()
    assert own.cut is None
    assert cut.cut == {"min_score": 4.5}
    assert not list(verify_export(tmp_path / f"cut{suffix}"))


@pytest.mark.parametrize("least", [0, 2, 3.5, 4, 4.5, 5])
def test_books_balance(folder: Path, least: float) -> None:
    """Every row that reached the verdict stands on one side, as the run's own ledger counts them."""
    with open_stored(folder) as run:
        books = refilter(run, Cut(min_score=least))
        ledger = run.accounts().stages["select"]
        scores = [body["record"].get("score") for _, body in run.store.scan("select", upto=run.closing)]
    assert books.balanced
    assert books.reached == ledger.generated
    assert books.unscored == ledger.failed > 0
    assert books.before == ledger.accepted == 60
    assert books.kept == sum(score is not None and score >= least for score in scores)
    assert set(books.dropped) <= {"score"}


def test_a_lower_threshold_keeps_all_that_come(folder: Path, tmp_path: Path) -> None:
    """More rows than were ordered, the old ones among them, in the order of the run."""
    with open_stored(folder) as run:
        export(run, "parquet", tmp_path / "own.parquet")
        export(run, "parquet", tmp_path / "low.parquet", cut=Cut(min_score=2))
    from pyarrow import parquet

    own, low = (parquet.read_table(tmp_path / f"{name}.parquet").to_pylist() for name in ("own", "low"))
    assert len(low) > len(own) == 60
    assert [row for row in low if row["score"] >= 4.5] == own


def test_pairs_follow_the_cut(folder: Path) -> None:
    """A lower threshold makes pairs that the run refused, a higher margin fewer; each as it says, each refusal with its rule."""
    with open_stored(folder) as run:
        stored = [body["record"] for _, body in run.store.scan("pair", fate=Fate.ACCEPTED, upto=run.closing)]
        low = made_of(run, Cut(min_score=0))
        wide = made_of(run, Cut(min_score=0, min_margin=1))
    made = [one for one in low if isinstance(one, PreferencePair)]
    assert len(made) > len(stored)
    assert {record["chosen"] for record in stored} <= {one.chosen for one in made}
    assert 0 < sum(isinstance(one, PreferencePair) for one in wide) < len(made)
    assert all(one.margin >= 1 for one in wide if isinstance(one, PreferencePair))
    assert {one.rule for one in wide if isinstance(one, DropReason)} >= {"margin"}
    assert len(wide) == len(low)


@pytest.mark.parametrize("least", [-0.5, 5.5, float("nan"), float("inf")])
def test_a_threshold_outside_of_the_scale(folder: Path, least: float) -> None:
    """Refused, and the scale is named."""
    with open_stored(folder) as run, pytest.raises(BadInputError, match="the judge's scale, 0 to 5"):
        refilter(run, Cut(min_score=least))


def test_a_run_without_a_judge(tmp_path: Path) -> None:
    """There is nothing to compare: said, with what to add."""
    sets = ["engines.writer={kind: scripted}", "exports=[]"]
    pipeline.run_sync(recipe.load("self-instruct", environment={}, sets=sets), tmp_path / "run", target=5)
    with open_stored(tmp_path / "run") as run, pytest.raises(BadInputError, match="has no scores"):
        refilter(run, Cut(min_score=4))


def test_the_run_stays_as_it_is(folder: Path, tmp_path: Path) -> None:
    """Byte for byte, and nothing beside it."""
    before = {path.name: sha256(path) for path in folder.iterdir()}
    with open_stored(folder) as run:
        refilter(run, Cut(min_score=2))
        export(run, "dpo", tmp_path / "pairs", cut=Cut(min_score=2, min_margin=1))
    assert {path.name: sha256(path) for path in folder.iterdir()} == before
    assert json.loads((tmp_path / "pairs/manifest.json").read_text())["cut"] == {"min_score": 2, "min_margin": 1}


def test_the_audit_beside_says_what_was_asked(folder: Path, tmp_path: Path) -> None:
    """In words and in figures, beside a file too; an export of the run's own rows says nothing of a cut."""
    with open_stored(folder) as run:
        export(run, "messages", tmp_path / "own.jsonl")
        export(run, "messages", tmp_path / "low.jsonl", cut=Cut(min_score=3), audited=audit(run))
    assert "cut anew: min_score 3.**" in (tmp_path / "low.jsonl.audit.md").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "low.jsonl.audit.json").read_text(encoding="utf-8"))["cut"] == {"min_score": 3}
    assert "cut anew" not in (tmp_path / "own.jsonl.audit.md").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "own.jsonl.audit.json").read_text(encoding="utf-8"))["cut"] is None


def test_damage_is_found_by_it_too(folder: Path, tmp_path: Path) -> None:
    """A row whose bytes were changed is not believed."""
    shutil.copytree(folder, tmp_path / "run")
    first = "SELECT min(rowid) FROM records WHERE stage = 'select' AND fate = 'accepted'"
    with closing(sqlite3.connect(tmp_path / "run/run.db")) as database, database:
        database.execute(f"UPDATE records SET fate = 'dropped', rule = 'score' WHERE rowid = ({first})")  # noqa: S608
    with open_stored(tmp_path / "run") as run, pytest.raises(DamageError, match="do not match their digest"):
        refilter(run, Cut(min_score=4))


def test_a_run_that_keeps_everything(tmp_path: Path) -> None:
    """Judged, but without a score gate: all rows are its own, what counts as good is 4.5, and a gate behind is named."""
    sets = ["stages.select.gates=[]", "exports=[]"]
    pipeline.run_sync(recipe.load("demo", environment={}, sets=sets), tmp_path / "run", target=20)
    table = load(tmp_path / "run")
    assert (table.threshold, table.good) == (0, 4.5)
    with open_stored(tmp_path / "run") as run:
        books = refilter(run, Cut(min_score=4.5))
    assert (books.before, books.balanced, books.unasked) == (20, True, ())
    assert books.kept == sum(row.score >= 4.5 for row in table.rows)


ULTRAFEEDBACK = ["engines.writer.kind=scripted", "engines.writer.unreadable_verdicts=0.05", "exports=[]"]


def test_four_aspects_without_a_judge_of_orders(tmp_path: Path) -> None:
    """Means of four verdicts: the run's own cut gives its own pairs, an answer that one aspect missed has no score here too."""
    whole = recipe.load("ultrafeedback", environment={}, sets=ULTRAFEEDBACK)
    stages = tuple(stage for stage in whole.stages if stage.label != "pairwise")
    pipeline.run_sync(whole.model_copy(update={"stages": stages}), tmp_path / "run", target=40)
    with open_stored(tmp_path / "run") as run:
        own = export(run, "dpo", tmp_path / "own.jsonl")
        cut = export(run, "dpo", tmp_path / "cut.jsonl", cut=Cut(min_score=4))
        refusals = Counter(one.rule for one in made_of(run, Cut(min_score=4)) if isinstance(one, DropReason))
        stored = Counter(row.rule for row, _ in run.store.scan("pair", fate=Fate.DROPPED, upto=run.closing))
        assert refilter(run, Cut(min_score=4)).balanced
        with pytest.raises(BadInputError, match="scale, 1 to 5"):
            refilter(run, Cut(min_score=0))
    assert own.rows == cut.rows > 0
    assert (tmp_path / "own.jsonl").read_bytes() == (tmp_path / "cut.jsonl").read_bytes()
    assert refusals == stored


def test_pairs_that_were_shown_in_both_orders(tmp_path: Path) -> None:
    """They are taken as stored; what the judge of orders never saw cannot be had without a call, and that is said."""
    loaded = recipe.load("ultrafeedback", environment={}, sets=ULTRAFEEDBACK)
    pipeline.run_sync(loaded, tmp_path / "run", target=40)
    with open_stored(tmp_path / "run") as run:
        own = [one for one in made_of(run, Cut(min_score=4)) if isinstance(one, PreferencePair)]
        widest = max(one.margin for one in own)
        high = made_of(run, Cut(min_score=4, min_margin=widest))
        stored = [body["record"]["id"] for _, body in run.store.scan("pairwise", fate=Fate.ACCEPTED, upto=run.closing)]
        assert [one.id for one in own] == stored
        assert high == [one for one in own if one.margin == widest]
        assert len(high) < len(own)
        assert chosen_scores(run, 1) == [one.chosen_score for one in own]
        for low in (Cut(min_score=3.5), Cut(min_score=4, min_margin=0.25), Cut(min_score=4, max_length_ratio=9)):
            with pytest.raises(BadInputError, match="judged in both orders"):
                made_of(run, low)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"min_margin": 0}, "a tie is no pair"),
        ({"min_margin": 6}, "a tie is no pair"),
        ({"min_margin": float("nan")}, "a tie is no pair"),
        ({"max_length_ratio": 1}, "never agree so well"),
    ],
)
def test_a_cut_that_nothing_can_be_held_against(folder: Path, asked: dict[str, float], words: str) -> None:
    """Said before anything is written."""
    with open_stored(folder) as run, pytest.raises(BadInputError, match=words):
        refilter(run, Cut(min_score=4, **asked))


def test_a_cap_on_lengths(folder: Path) -> None:
    """The nearer the lengths have to be, the fewer pairs, and the refusals say so."""
    with open_stored(folder) as run:
        tight = made_of(run, Cut(min_score=0, max_length_ratio=1.05))
        loose = made_of(run, Cut(min_score=0, max_length_ratio=50))
    assert sum(isinstance(one, PreferencePair) for one in tight) < sum(isinstance(one, PreferencePair) for one in loose)
    assert "length_gap" in {one.rule for one in tight if isinstance(one, DropReason)}
