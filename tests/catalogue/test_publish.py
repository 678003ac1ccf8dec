"""`publish`: what becomes a version, what is refused, and that nothing half is ever seen."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from selfinstruct import recipe as recipes
from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.publish import publish_run
from selfinstruct.catalogue.version import VIEWS, Ref
from selfinstruct.cli import main  # noqa: F401 - registers the commands
from selfinstruct.cli._shared import app
from selfinstruct.errors import BadInputError, DamageError, Exit, SelfInstructError
from selfinstruct.files import sha256
from selfinstruct.judging.cut import Cut
from selfinstruct.pipeline import run_sync
from selfinstruct.records import Fate
from selfinstruct.runner import Limits
from selfinstruct.runs import open_stored
from tests.support.published import make_run
from tests.support.running import command, eventually, running


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run") / "run", n=20)


SMALL_FILES = """
import resource, signal
from selfinstruct.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (33_000, 33_000))  # room for what SQLite needs to read, not for the lineage
main()
"""


def everything(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): sha256(path) for path in sorted(root.rglob("*")) if path.is_file()}


def refused(folder: Path, name: str, url: str, **options: object) -> str:
    with pytest.raises(SelfInstructError) as caught:
        publish_run(folder, name, url, **options)  # type: ignore[arg-type]
    assert caught.value.remedy
    return str(caught.value)


def test_a_version_holds_what_the_run_kept_and_what_it_dropped(run: Path, tmp_path: Path) -> None:
    """Every row, pair and drop of the accounts stands in its view, once, in order; every file is named with its bytes."""
    made = publish_run(run, "tiny", str(tmp_path), trial=True)
    with open_stored(run) as stored:
        accounts = stored.accounts()
        kept = [
            body["record"] for _, body in stored.store.scan(stored.tree.rows, fate=Fate.ACCEPTED, upto=stored.closing)
        ]
    rows = list(made.rows("sft"))
    assert [row["id"] for row in rows] == [one["id"] for one in kept]
    assert [row["output"] for row in rows] == [one["output"] for one in kept]
    assert all(list(row) == list(VIEWS["sft"]) and row["version"] == 1 for row in rows)
    assert made.manifest.rows["dropped"] == sum(sum(one.values()) for one in accounts.drops_by_stage.values())
    assert made.manifest.rows["lineage"] == made.manifest.rows["sft"] == 20
    assert made.manifest.rows["seeds"] == 175
    assert (made.manifest.ended, made.manifest.ordered, made.manifest.base) == ("filled", 20, None)
    root = tmp_path / "tiny" / "1"
    assert {name: one.sha256 for name, one in made.manifest.files.items()} == {
        name: digest for name, digest in everything(root).items() if name != "manifest.json"
    }
    assert not any(path.stat().st_mode & 0o222 for path in root.rglob("*") if path.is_file())


def test_the_same_run_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    """A shard's sha256 says what rows it holds, not when it was written."""
    made = [publish_run(run, "tiny", str(tmp_path / place), trial=True).manifest for place in ("first", "second")]
    first, second = ({name: one.files[name] for name in one.files if name.startswith("data/")} for one in made)
    assert first == second


def test_a_dataset_that_exists_is_added_to_or_replaced_when_that_is_said(run: Path, tmp_path: Path) -> None:
    """Rows that were not made against the latest version are never put beside it; an extension is, and links its shards."""
    url = str(tmp_path / "catalogue")
    publish_run(run, "tiny", url, trial=True)
    before = everything(tmp_path / "catalogue")
    assert "published already" in refused(run, "tiny", url)
    other = make_run(tmp_path / "other", n=5, seed=7)
    assert "tiny exists" in refused(other, "tiny", url)
    assert "was not made against tiny@1" in refused(other, "tiny", url, add=True)
    assert "--add and --replace" in refused(other, "tiny", url, add=True, replace=True)
    assert "exists, and is never changed" in refused(other, "tiny@1", url, replace=True)
    assert "is not the next one: 2 is" in refused(other, "tiny@3", url, replace=True)
    assert everything(tmp_path / "catalogue") == before
    shards = str(tmp_path / "catalogue" / "tiny" / "1" / "data" / "sft")
    flags = {"seed": 43, "stages.bootstrap.gates.rouge.against": [shards]}
    run_sync(recipes.load("demo", environment={}, flags=flags), tmp_path / "next", target=6)
    added = publish_run(tmp_path / "next", "tiny@2", url, add=True)
    assert (added.manifest.base, added.manifest.rows["sft"], added.manifest.added["sft"]) == (1, 26, 6)
    assert [row["version"] for row in added.rows("sft")] == [1] * 20 + [2] * 6
    assert len({row["id"] for row in added.rows("sft")}) == 26
    first, second = (tmp_path / "catalogue" / "tiny" / one / "data/sft/train-00000.parquet" for one in "12")
    assert first.samefile(second)
    replaced = publish_run(other, "tiny", url, replace=True)
    assert (replaced.manifest.version, replaced.manifest.base, replaced.manifest.rows["sft"]) == (3, None, 5)
    after = everything(tmp_path / "catalogue")
    assert {name: digest for name, digest in after.items() if name in before} == before


def test_what_the_latest_version_is_already_is_not_made_twice(run: Path, tmp_path: Path) -> None:
    """Neither by a flow that is run again nor by a task that is tried again; held against other thresholds it is another."""
    url = str(tmp_path / "c")
    publish_run(run, "tiny", url, trial=True)
    assert "published already, as tiny@1: nothing of it would be different" in refused(run, "tiny", url, replace=True)
    cut = publish_run(run, "tiny", url, replace=True, cut=Cut(min_score=4))
    assert (cut.manifest.version, cut.manifest.cut) == (2, {"min_score": 4})
    assert "as tiny@2" in refused(run, "tiny", url, replace=True, cut=Cut(min_score=4))
    assert publish_run(run, "tiny", url, replace=True).manifest.version == 3
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    with open_stored(copy) as stored:
        recipe = stored.recipe
    run_sync(recipe, copy, target=25)
    assert publish_run(copy, "tiny", url, replace=True).manifest.rows["sft"] == 25


def test_scripted_rows_stay_in_catalogues_for_trying_out(run: Path, tmp_path: Path) -> None:
    """They are refused by a real catalogue whatever is said, and nothing is made of one that is absent."""
    assert "never published" in refused(run, "tiny", str(tmp_path / "real"))
    assert not (tmp_path / "real").exists()
    real = tmp_path / "real"
    real.mkdir()
    (real / "catalogue.json").write_text('{"format": 1, "trial": false}', encoding="utf-8")
    assert "catalogue of real datasets" in refused(run, "tiny", str(real), trial=True)
    assert "never published" in refused(run, "tiny", str(real))
    made = publish_run(run, "tiny", str(tmp_path / "trial"), trial=True)
    assert made.manifest.trial
    assert Catalogue(str(tmp_path / "trial")).trial


@pytest.mark.parametrize(
    "name", ["a/b", "../up", "A", "é", "한글", "", ".hidden", "-x", "a b", "a@0", "a@x", "a" * 65, "a\n"]
)
def test_hostile_names_are_refused(name: str, run: Path, tmp_path: Path) -> None:
    """A name becomes a folder and a part of a URL: nothing else than letters, digits, dot, dash, underscore."""
    assert "is not the name of a dataset" in refused(run, name, str(tmp_path / "catalogue"), trial=True)
    assert not (tmp_path / "catalogue").exists()


def test_a_run_that_goes_on_or_was_killed_is_refused(tmp_path: Path) -> None:
    """What it would hold is not settled; ended by a signal it may be published, and the version tells it."""
    with running(tmp_path / "run", "-q") as process:
        eventually(lambda: _calls(tmp_path / "run") or None)
        assert "has not ended" in refused(tmp_path / "run", "tiny", str(tmp_path / "c"), trial=True)
        process.kill()
        process.wait()
        assert "has not ended" in refused(tmp_path / "run", "tiny", str(tmp_path / "c"), trial=True)
    with open_stored(tmp_path / "run") as stored:
        recipe = stored.recipe
    report = run_sync(recipe, tmp_path / "run", target=1_000_000, limits=Limits(tokens=60_000))
    assert report.exit_status is Exit.BUDGET
    assert publish_run(tmp_path / "run", "tiny", str(tmp_path / "c"), trial=True).manifest.ended == "tokens"


def _calls(folder: Path) -> int:
    """Answers so far, as the command tells them: 0 while the run is not there yet."""
    done = command("stats", folder, "--json")
    return int(json.loads(done.stdout.splitlines()[-1])["calls"]["total"]) if done.returncode == 0 else 0


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("DELETE FROM work WHERE id = (SELECT work FROM records WHERE stage = 'select' LIMIT 1)", "the ledger says"),
        (
            "UPDATE records SET path = '9' || path WHERE id = (SELECT id FROM records WHERE stage = 'select' LIMIT 1)",
            "run",
        ),
    ],
)
def test_a_run_that_is_not_sound_is_refused(damage: str, told: str, tmp_path: Path) -> None:
    """Books that do not balance, or a row that is not what was written: no version comes of it."""
    folder = make_run(tmp_path / "run", n=5)
    with closing(sqlite3.connect(folder / "run.db")) as database, database:
        assert database.execute(damage).rowcount == 1
    with pytest.raises(DamageError, match=told):
        publish_run(folder, "tiny", str(tmp_path / "c"), trial=True)
    assert not (tmp_path / "c" / "tiny" / "1").exists()


def test_a_cut_publishes_what_it_keeps(run: Path, tmp_path: Path) -> None:
    """As `refilter` counts; what it drops stands among the dropped; thresholds stand in the manifest."""
    done = CliRunner().invoke(
        app, ["publish", str(run), "tiny", "--catalogue", str(tmp_path), "--trial", "--min-score", "5", "--json"]
    )
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    books = json.loads(CliRunner().invoke(app, ["refilter", str(run), "--min-score", "5", "--json"]).stdout)
    assert told["rows"]["sft"] == books["kept"] < 20
    assert told["cut"] == {"min_score": 5.0}
    made = Catalogue(str(tmp_path)).version(Ref("tiny"))
    assert all(row["score"] == 5 for row in made.rows("sft"))
    below = [row for row in made.rows("dropped") if row["rule"] == "score"]
    assert len(below) == books["dropped"]["score"]
    assert {row["threshold"] for row in below} == {"5.0"}
    for options in (["--min-margin", "1"], ["--min-score", "9"]):
        done = CliRunner().invoke(app, ["publish", str(run), "other", "--catalogue", str(tmp_path), *options])
        assert isinstance(done.exception, BadInputError)
    assert Catalogue(str(tmp_path)).names() == ["tiny"]


def test_no_room_leaves_nothing(run: Path, tmp_path: Path) -> None:
    """A disk that refuses in the middle: exit 3, no version, and the same command works once there is room."""
    folder = make_run(tmp_path / "run", n=60)
    done = subprocess.run(
        [sys.executable, "-c", SMALL_FILES, "publish", folder, "tiny", "--catalogue", tmp_path / "c", "--trial"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, "cannot write" in done.stderr) == (3, True), done.stderr
    assert Catalogue(str(tmp_path / "c")).names() == []
    assert list((tmp_path / "c" / "tiny").iterdir()) == []
    publish_run(folder, "tiny", str(tmp_path / "c"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInputError, match="a file, and no folder"):
        publish_run(run, "tiny", str(tmp_path / "file"), trial=True)


def test_a_newer_catalogue_is_not_written_to(run: Path, tmp_path: Path) -> None:
    """Its layout is not known here; a folder where the version would lie, that is none, is never touched."""
    (tmp_path / "catalogue.json").write_text('{"format": 99, "trial": true}')
    assert "format 99" in refused(run, "tiny", str(tmp_path))
    (tmp_path / "catalogue.json").write_text('{"format": 1, "trial": true}')
    mine = tmp_path / "tiny" / "1" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("x")
    with pytest.raises(DamageError):
        publish_run(run, "tiny", str(tmp_path))
    assert everything(tmp_path / "tiny") == {"1/mine.txt": sha256(mine)}


def test_two_publishers_never_make_the_same_version(run: Path, tmp_path: Path) -> None:
    """One makes version 1, the others wait, then see it and are refused; replacing, each gets a number of its own."""
    url, told = str(tmp_path), list[str]()

    def publish(cut: Cut | None) -> None:
        try:
            told.append(str(publish_run(run, "tiny", url, trial=True, replace=cut is not None, cut=cut).manifest.ref))
        except SelfInstructError as error:
            told.append(str(error))

    others = [Cut(min_score=score) for score in (3.0, 3.5, 4.0)]
    for cuts in ([None] * 3, others):
        threads = [threading.Thread(target=publish, args=(cut,)) for cut in cuts]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert sorted(told)[-4:] == ["tiny@1", "tiny@2", "tiny@3", "tiny@4"]
    assert sum("published already" in one for one in told) == 2
    assert sorted(one.name for one in (tmp_path / "tiny").iterdir()) == ["1", "2", "3", "4"]
