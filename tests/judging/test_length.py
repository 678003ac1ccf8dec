"""What a judge gives for length is taken off; what it gave is kept beside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from selfinstruct import judged, pipeline, recipe
from selfinstruct.cli import main  # noqa: F401 - registers the commands
from selfinstruct.cli._shared import app
from selfinstruct.errors import BadInputError
from selfinstruct.judging.audit import audit
from selfinstruct.judging.cut import Cut
from selfinstruct.judging.length import at_equal_length, raw_score
from selfinstruct.judging.refilter import records, refilter
from selfinstruct.records import PreferencePair, Row
from selfinstruct.runs import open_stored
from tests.support.canned import Canned, instance, instruction, work
from tests.support.canned import judged as answers

if TYPE_CHECKING:
    from pathlib import Path

SCALE = (0.0, 5.0)


def test_the_longer_of_two_equal_answers_loses_its_lead() -> None:
    """A doubling apart, half a point a doubling: both come to the middle; the stored judgements stay."""
    below = answers(("x" * 99, 4.0), ("y" * 199, 4.5))
    before = work(instance(), Canned(), ancestors=[instruction()], below=below)
    after = at_equal_length(before, 0.5, SCALE)
    assert [one.score for one in judged.below(after)] == pytest.approx([4.25, 4.25])
    assert [one.score for one in judged.below(before)] == [4.0, 4.5]
    assert raw_score(before, "y" * 199) == 4.5


def test_scores_stay_on_their_scale_and_lone_answers_as_they_are() -> None:
    """A short answer with full marks cannot get more; where there is nothing to compare with, nothing is taken off."""
    below = answers(("x", 5.0), ("y" * 5000, 0.5))
    after = at_equal_length(work(instance(), Canned(), below=below), 1.0, SCALE)
    assert [one.score for one in judged.below(after)] == [5.0, 0.0]
    alone = work(instance(), Canned(), below=answers(("x" * 5000, 3.0)))
    assert [one.score for one in judged.below(at_equal_length(alone, 1.0, SCALE))] == [3.0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("length") / "run"
    sets = ["exports=[]", "engines.writer.unreadable_verdicts=0.3"]
    pipeline.run_sync(recipe.load("demo", environment={}, sets=sets), made, target=80)
    return made


def test_books_balance_and_what_the_judge_said_is_kept(folder: Path) -> None:
    """Every row is kept, dropped or unscored; each kept one has the corrected score and the judge's own."""
    with open_stored(folder) as run:
        cut = Cut(min_score=4.5, per_doubling=0.3)
        books = refilter(run, cut)
        rows = [one for _, one in records(run, cut, Row) if isinstance(one, Row)]
        pairs = [one for _, one in records(run, cut, PreferencePair) if isinstance(one, PreferencePair)]
    assert books.balanced
    assert books.kept == len(rows) < books.reached
    assert {row.raw_score for row in rows} <= {half / 2 for half in range(11)}
    assert any(row.score != row.raw_score for row in rows)
    assert all((row.score or 0) >= 4.5 for row in rows)
    assert pairs
    assert all(one.margin >= 0.5 for one in pairs)


def test_a_correction_too_small_to_matter_changes_no_row(folder: Path) -> None:
    """Answers worked out again score what those did that the run chose: of equals the shorter may go before the earlier."""
    with open_stored(folder) as run:
        tiny, plain = (list(records(run, Cut(min_score=3.75, per_doubling=off), Row)) for off in (1e-12, 0.0))
    again = [one.raw_score for _, one in tiny if isinstance(one, Row)]
    assert again == [one.score for _, one in plain if isinstance(one, Row)]


def test_the_command_takes_what_the_audit_says(folder: Path, tmp_path: Path) -> None:
    """And tells it; the manifest carries it."""
    with open_stored(folder) as run:
        per_doubling = audit(run).per_doubling
    options = ["--min-score", "4.5", "--length-corrected", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["refilter", str(folder), *options])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "out/manifest.json").read_text(encoding="utf-8")
    assert (f'"per_doubling": {per_doubling}' in text) == bool(per_doubling)
    told = (tmp_path / "out/audit.md").read_text(encoding="utf-8")
    assert ("are corrected by this" in told) == bool(per_doubling)
    assert "points per doubling" in done.output or "no length bias is sure" in done.output


def test_pairs_confirmed_by_a_judge_are_not_chosen_anew(tmp_path: Path) -> None:
    """Nobody was asked about the others."""
    loaded = recipe.load("ultrafeedback", environment={}, sets=["engines.writer.kind=scripted", "exports=[]"])
    pipeline.run_sync(loaded, tmp_path / "run", target=10)
    with open_stored(tmp_path / "run") as run, pytest.raises(BadInputError, match="both orders"):
        list(records(run, Cut(min_score=4, per_doubling=0.2), PreferencePair))
