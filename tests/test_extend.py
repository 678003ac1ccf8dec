"""`extend`: a night adds only rows that are near to nothing that was published before, and can be stopped anywhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from selfinstruct import recipe as recipes
from selfinstruct.catalogue import kinship
from selfinstruct.catalogue.place import Catalogue, Published
from selfinstruct.catalogue.publish import publish_run
from selfinstruct.catalogue.version import Ref
from selfinstruct.cli import main  # noqa: F401 - registers the commands
from selfinstruct.cli._shared import app
from selfinstruct.errors import BadInputError
from selfinstruct.export import kept_records
from selfinstruct.extend import plan
from selfinstruct.pipeline import run_sync
from selfinstruct.records import Row
from selfinstruct.runs import open_stored
from selfinstruct.text.rouge import NoveltyIndex
from tests.support.published import make_run
from tests.support.running import command, eventually


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = str(tmp_path / "catalogue")
    publish_run(make_run(tmp_path / "first", n=20), "tiny", url, trial=True)
    return url


def extend(url: str, folder: Path, *, n: int, **options: object) -> Published:
    night = plan("tiny", url, folder=folder, **options)  # type: ignore[arg-type]
    run_sync(night.recipe, night.folder, target=n)
    return night.publish()


def test_every_night_adds_what_is_new(url: str, tmp_path: Path) -> None:
    """Three nights: so many rows more each, no id twice, no new instruction near to an earlier one, other requests each night."""
    for night in (1, 2, 3):
        made = extend(url, tmp_path / "runs", n=10)
        assert (made.manifest.version, made.manifest.base) == (night + 1, night)
        assert (made.manifest.rows["sft"], made.manifest.added["sft"]) == (20 + 10 * night, 10)
        assert kinship.recipe_of(made).seed == 42 + night
    rows = list(made.rows("sft"))
    assert len({row["id"] for row in rows}) == 50
    index = NoveltyIndex(0.7, tokenizer="unicode")
    for version in (1, 2, 3, 4):
        new = {row["instruction"] for row in rows if row["version"] == version}
        assert [one for one in new if index.rival(one)] == []
        index.extend(new)
    assert [row["version"] for row in rows] == sorted(row["version"] for row in rows)


def test_rows_of_replaced_versions_count_as_earlier_too(url: str, tmp_path: Path) -> None:
    """A version that stands alone holds no earlier rows: those of the versions before it are compared with as well."""
    publish_run(make_run(tmp_path / "other", n=5, seed=7), "tiny", url, replace=True)
    made = extend(url, tmp_path / "runs", n=5)
    assert (made.manifest.base, made.manifest.rows["sft"]) == (2, 10)
    catalogue = Catalogue(url)
    for number in (1, 2):
        before = catalogue.version(Ref("tiny", number)).manifest
        assert {before.files[shard].sha256 for shard in before.shards("sft")} <= set(made.manifest.against)


def test_the_command_of_a_card_makes_the_same_rows(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though later versions are there, and in any place: what the card says gives the rows that the version added."""
    (tmp_path / "mine.jsonl").write_text('{"instruction": "Name a river."}\n')
    made = extend(url, tmp_path / "runs", n=5, against=[tmp_path / "mine.jsonl"])
    assert "1 more file(s) counted as earlier texts" in made.text("README.md")
    made = extend(url, tmp_path / "runs", n=5)
    extend(url, tmp_path / "runs", n=5)
    card = made.text("README.md")
    assert "counted as earlier" not in card
    (line,) = [one for one in card.splitlines() if one.startswith("selfinstruct run ")]
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    Path("recipe.yaml").write_text(made.text("recipe.yaml"))
    shutil.copytree(url, "path/to")
    done = CliRunner().invoke(app, [*line.split()[1:], "-q"])
    assert done.exit_code == 0, done.stderr
    with open_stored(Path("runs/tiny-3")) as again:
        ids = [row.id for _, row in kept_records(again, Row, None)]
    assert ids == [row["id"] for row in made.rows("sft") if row["version"] == 3]


def test_what_goes_on_with_a_removed_version_can_be_extended(url: str, tmp_path: Path) -> None:
    """The latest version holds its rows: nobody needs the old one, nor one that was replaced and is gone, too."""
    extend(url, tmp_path / "runs", n=5)
    shutil.rmtree(Path(url) / "tiny" / "1")
    made = extend(url, tmp_path / "runs", n=5)
    assert (made.manifest.base, made.manifest.rows["sft"]) == (2, 30)


def test_the_same_night_elsewhere_gives_the_same_rows(url: str, tmp_path: Path) -> None:
    """Where a catalogue lies is no part of what is made: a copy gives the same shard, and one moved at night goes on."""
    copy, moved = (str(tmp_path / "far" / name) for name in ("copy", "moved"))
    shutil.copytree(url, copy)
    night = plan("tiny", url, folder=tmp_path / "runs")
    run_sync(night.recipe, night.folder, target=3)
    shutil.move(url, moved)
    shards = []
    for place, folder in ((moved, tmp_path / "runs"), (copy, tmp_path / "others")):
        made = extend(place, folder, n=10)
        shards.append(made.manifest.files["data/sft/train-00001.parquet"])
    assert shards[0] == shards[1]


def test_other_files_count_as_earlier(url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What `--against` names is dropped though no version has it; the next night is told when it is forgotten."""
    free = plan("tiny", url, folder=tmp_path / "free")
    run_sync(free.recipe, free.folder, target=5)
    texts = [
        json.loads(line)["instruction"]
        for line in (free.folder / "exports/alpaca/train.jsonl").read_text().splitlines()
    ]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps({"instruction": text}) + "\n" for text in texts))
    made = extend(url, tmp_path / "runs", n=5, against=[tmp_path / "mine.jsonl"])
    assert not {row["instruction"] for row in made.rows("sft") if row["version"] == 2} & set(texts)
    assert len(made.manifest.against) == 2
    plan("tiny", url, folder=tmp_path / "runs", against=[tmp_path / "mine.jsonl"])
    assert "also held against" not in caplog.text
    plan("tiny", url, folder=tmp_path / "runs")
    assert "tiny@2 was also held against 1 file(s) that are not given now" in caplog.text


def test_a_changed_recipe_is_refused_by_name_or_told(url: str, tmp_path: Path) -> None:
    """Each changed field; nothing is begun. As a new lineage it is made, and the version says what was changed."""
    sets = ["stages.respond.n=2", "stages.select.gates.score.least=4"]
    with pytest.raises(BadInputError) as caught:
        plan("tiny", url, folder=tmp_path / "runs", sets=sets)
    assert "stages.respond.n: 4 -> 2" in str(caught.value)
    assert "stages.select.gates.0.least: 4.5 -> 4" in str(caught.value)
    assert not (tmp_path / "runs").exists()
    with pytest.raises(BadInputError, match="model of writer: scripted -> other"):
        plan("tiny", url, folder=tmp_path / "runs", sets=["engines.writer.model=other"])
    made = extend(url, tmp_path / "runs", n=5, sets=sets, new_lineage=True)
    assert made.manifest.changed == ("stages.respond.n: 4 -> 2", "stages.select.gates.0.least: 4.5 -> 4.0")
    assert not extend(url, tmp_path / "runs", n=5, sets=sets).manifest.changed


def test_a_wrong_setting_is_told_of_the_version(url: str, tmp_path: Path) -> None:
    """The recipe is that of a version, read from a copy of no concern to anybody: the mistake is in --set, and is told so."""
    with pytest.raises(BadInputError, match="unknown key") as caught:
        plan("tiny", url, folder=tmp_path / "runs", sets=["judge.extra_key=3"])
    assert str(caught.value).startswith("recipe of tiny@1, with --set, judge")
    assert "/selfinstruct-" not in str(caught.value)


def test_the_shipped_recipe_is_the_same_as_what_was_settled_from_it(url: str, tmp_path: Path) -> None:
    """A recipe given by name that made the version changes nothing; what only says how to run it may change."""
    night = plan(
        "tiny", url, folder=tmp_path / "runs", recipe="demo", sets=["concurrency=3", "engines.writer.latency=0.001"]
    )
    assert night.ref == Ref("tiny", 2)
    assert night.recipe.seed == recipes.load("demo", environment={}).seed + 1


def test_a_killed_night_goes_on(url: str, tmp_path: Path) -> None:
    """`kill -9` in mid-run: the same command ends it, in the same folder, and publishes once."""
    line = [sys.executable, "-m", "selfinstruct", "extend", "tiny", "-n", "30", "--catalogue", url, "-q"]
    line += ["-o", str(tmp_path / "runs"), "--set", "engines.writer.latency=0.02"]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    eventually(lambda: calls(tmp_path / "runs" / "tiny-2") or None)
    process.kill()
    process.wait()
    assert Catalogue(url).versions("tiny") == [1]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, str(Path(url) / "tiny" / "2")), done.stderr
    assert Catalogue(url).version(Ref("tiny")).manifest.added["sft"] == 30
    assert sorted(os.listdir(tmp_path / "runs")) == ["tiny-2"]  # noqa: PTH208 - names alone


def calls(folder: Path) -> int:
    done = command("stats", folder, "--json")
    return int(json.loads(done.stdout.splitlines()[-1])["calls"]["total"]) if done.returncode == 0 else 0


def test_a_short_night_is_published_and_says_so(url: str, tmp_path: Path) -> None:
    """At a cap what came is a version, the status still 4; with --whole nothing is, until the same command has all rows."""
    line = ["extend", "tiny", "-n", "2000", "--catalogue", url, "-q", "-o", str(tmp_path / "runs")]
    line += ["--max-tokens", "300000", "--set", "concurrency=4"]
    held = CliRunner().invoke(app, [*line, "--whole"])
    assert (held.exit_code, held.stdout) == (4, ""), held.stderr
    assert Catalogue(url).versions("tiny") == [1]
    done = CliRunner().invoke(app, line)
    assert (done.exit_code, "tiny@2 is published with what came" in done.stderr) == (4, True), done.stderr
    manifest = Catalogue(url).version(Ref("tiny")).manifest
    assert (manifest.version, manifest.ended, manifest.ordered) == (2, "tokens", 2000)
    assert 0 < manifest.added["sft"] < 2000


def test_what_cannot_be_published_is_not_begun(url: str, tmp_path: Path) -> None:
    """A licence of a model that has no part in it is refused before a row is made, not after the last one."""
    line = ["extend", "tiny", "-n", "5", "--catalogue", url, "-o", str(tmp_path / "runs"), "--licence", "other=mit"]
    refused = CliRunner().invoke(app, line)
    assert isinstance(refused.exception, BadInputError)
    assert "nothing of that name" in str(refused.exception)
    assert not (tmp_path / "runs").exists()


def test_only_the_latest_version_is_extended(url: str, tmp_path: Path) -> None:
    """Another one, or a name that is not there: refused, and nothing is begun."""
    extend(url, tmp_path / "runs", n=3)
    for name in ("tiny@1", "none", "tiny@7", "../tiny"):
        with pytest.raises(BadInputError):
            plan(name, url, folder=tmp_path / "more")
    assert plan("tiny@2", url, folder=tmp_path / "more").ref == Ref("tiny", 3)
    assert not (tmp_path / "more").exists()


def test_a_night_that_somebody_overtook_is_not_published(url: str, tmp_path: Path) -> None:
    """Its rows were never compared with those of the version that came meanwhile."""
    night = plan("tiny", url, folder=tmp_path / "runs")
    run_sync(night.recipe, night.folder, target=3)
    extend(url, tmp_path / "others", n=3)
    with pytest.raises(BadInputError, match="tiny@2 exists, and is never changed"):
        night.publish()
    assert Catalogue(url).versions("tiny") == [1, 2]
