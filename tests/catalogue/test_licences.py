"""Licences, on a run of a real HTTP engine: known or said, never guessed; what was said holds for later versions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfinstruct.catalogue.licences import parse
from selfinstruct.catalogue.one_file import one_file
from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.publish import publish_run
from selfinstruct.catalogue.version import Ref
from selfinstruct.dataset import judging
from selfinstruct.errors import BadInputError
from selfinstruct.extend import plan
from selfinstruct.pipeline import run_sync
from tests.support.killing import Server
from tests.support.running import command

SAID = ["dataset=cc-by-4.0", "writer=apache-2.0"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server") / "log.jsonl", latency_ms=0) as server:
        yield server


@pytest.fixture(scope="module")
def run(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    done = command("run", "chat", "-n", 15, "--base-url", server.base_url, "-o", folder, "-q")
    assert done.returncode == 0, done.stderr
    return folder


def test_a_licence_that_may_be_a_slip_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """A version cannot be changed any more: a word that no Hub knows is taken, and told; all that is usual goes without a word."""
    assert parse(["dataset=cc-by-4", "tiny=banana"]) == {"dataset": "cc-by-4", "tiny": "banana"}
    told = [record.getMessage() for record in caplog.records]
    assert told[0].startswith("--licence dataset=cc-by-4: no licence that the Hub knows by this name: is cc-by-")
    assert told[1] == "--licence tiny=banana: no licence that the Hub knows by this name"
    caplog.clear()
    parse(["dataset=CC-BY-4.0", "writer=unknown", "judge=other", "seeds=Apache-2.0", "tiny=cc-by-nc-nd-3.0"])
    assert not caplog.records


def test_an_unknown_licence_is_refused_and_told_how_to_say_it(run: Path, tmp_path: Path) -> None:
    """Everything that is missing at once; the command it proposes is the one that works; nothing is made before."""
    done = command("publish", run, "real", "--catalogue", tmp_path / "c")
    assert (done.returncode, done.stdout) == (2, "")
    assert "dataset, tiny" in done.stderr
    assert "--licence dataset=LICENCE --licence tiny=LICENCE" in done.stderr
    assert not (tmp_path / "c").exists()
    line = ["publish", run, "real", "--catalogue", tmp_path / "c", "--json"]
    made = command(*line, "--licence", "dataset=cc-by-4.0", "--licence", "tiny=unknown")
    assert made.returncode == 0, made.stderr
    told = json.loads(made.stdout)
    assert told["licences"] == {
        "dataset": "cc-by-4.0",
        "writers": {"tiny": "unknown"},
        "judges": {"tiny": "unknown"},
        "seeds": "apache-2.0",
        "source": "",
    }
    assert told["trial"] is False
    assert json.loads((tmp_path / "c" / "catalogue.json").read_text()) == {"format": 1, "trial": False}


def test_what_was_said_once_holds_for_the_next_night(server: Server, run: Path, tmp_path: Path) -> None:
    """The same models: nothing need be said again. A model that another one took the place of is refused at once."""
    url = str(tmp_path / "c")
    first = publish_run(run, "real", url, licences=parse([*SAID, "judge=mit"]))
    assert "base_url" not in first.text("recipe.yaml")
    assert server.base_url not in "".join(first.text(name) for name in ("recipe.yaml", "manifest.json"))
    night = plan("real", url, folder=tmp_path / "runs", flags={"engines.writer.base_url": server.base_url})
    run_sync(night.recipe, night.folder, target=5)
    second = night.publish()
    assert second.manifest.licences == first.manifest.licences
    assert (second.manifest.rows["sft"], second.manifest.inputs["model of writer"]) == (20, "tiny")
    with pytest.raises(BadInputError, match="model of writer: tiny -> huge"):
        plan("real", url, folder=tmp_path / "runs", flags={"engines.writer.model": "huge"})
    replaced = publish_run(run, "real", url, licences={"dataset": "cc0-1.0"}, replace=True)
    assert replaced.manifest.licences == first.manifest.licences.model_copy(update={"dataset": "cc0-1.0"})


def test_real_rows_do_not_go_into_a_catalogue_for_trying_out(run: Path, tmp_path: Path) -> None:
    """Nor does asking for one make one."""
    with pytest.raises(BadInputError, match="is a real run"):
        publish_run(run, "real", str(tmp_path / "c"), licences=parse(SAID), trial=True)
    assert not (tmp_path / "c").exists()


def test_seeds_of_ones_own_have_no_known_licence(server: Server, tmp_path: Path) -> None:
    """Another seed file than the shipped one: said or refused. Changed since the run: refused, for the version holds it."""
    from selfinstruct.seeds import shipped

    mine = tmp_path / "mine.jsonl"
    mine.write_text("".join(shipped().read_text(encoding="utf-8").splitlines(keepends=True)[:20]), encoding="utf-8")
    done = command(
        "run", "chat", "-n", 5, "--base-url", server.base_url, "-o", tmp_path / "run", "-q", "--set", f"seeds={mine}"
    )
    assert done.returncode == 0, done.stderr
    licences = parse([*SAID, "judge=mit"])
    with pytest.raises(BadInputError, match="stand: seeds"):
        publish_run(tmp_path / "run", "real", str(tmp_path / "c"), licences=licences)
    mine.write_text(mine.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(BadInputError, match="the seed file has changed"):
        publish_run(tmp_path / "run", "real", str(tmp_path / "c"), licences={**licences, "seeds": "mit"})
    mine.write_text(mine.read_text(encoding="utf-8")[:-1], encoding="utf-8")
    publish_run(tmp_path / "run", "real", str(tmp_path / "c"), licences={**licences, "seeds": "mit"})
    manifest = Catalogue(str(tmp_path / "c")).version(Ref("real")).manifest
    assert (manifest.licences.seeds, manifest.rows["seeds"]) == ("mit", 20)


def test_a_changed_seed_file_adds_what_it_changed(server: Server, run: Path, tmp_path: Path) -> None:
    """Tasks that are there are not written again; one that was changed stands beside the old one; both files' terms hold."""
    from selfinstruct.seeds import shipped

    url, mine = str(tmp_path / "c"), tmp_path / "mine.jsonl"
    publish_run(run, "real", url, licences=parse([*SAID, "judge=mit"]))
    first, *others = shipped().read_text(encoding="utf-8").splitlines(keepends=True)
    task = json.loads(first)
    mine.write_text("".join([json.dumps({**task, "instruction": "Name a river."}) + "\n", *others]), encoding="utf-8")
    flags = {"engines.writer.base_url": server.base_url, "seeds": str(mine)}
    night = plan("real", url, folder=tmp_path / "runs", flags=flags, new_lineage=True)
    run_sync(night.recipe, night.folder, target=5)
    with pytest.raises(BadInputError, match="stand: seeds"):
        night.publish()
    made = night.publish(licences={"seeds": "mit"})
    assert (made.manifest.licences.seeds, made.manifest.added["seeds"]) == ("apache-2.0 AND mit", 1)
    found = [row for row in made.rows("seeds") if row["id"] == task["id"]]
    assert [(row["version"], row["instruction"]) for row in found] == [(1, task["instruction"]), (2, "Name a river.")]
    rows = list(made.rows("seeds"))
    assert len(rows) == len({(row["id"], row["version"]) for row in rows}) == 176


@pytest.mark.parametrize(
    "said", ["", "=", "mit", "dataset=", "=mit", "dataset=a\nb", "dataset=" + "x" * 101, "dataset=\x1b[31m"]
)
def test_a_licence_that_is_none_is_refused(said: str) -> None:
    """KEY=LICENCE, printable, a few words."""
    with pytest.raises(BadInputError, match="is not KEY=LICENCE"):
        parse([said])


def test_each_is_said_once_and_of_something(run: Path, tmp_path: Path) -> None:
    """Twice, or of a model that had no part: a mistake, not a wish. A name with = in it is one."""
    with pytest.raises(BadInputError, match="given twice"):
        parse(["dataset=mit", "dataset=apache-2.0"])
    assert parse(["org/model=v2=mit"]) == {"org/model=v2": "mit"}
    with pytest.raises(BadInputError, match="huge"):
        publish_run(run, "real", str(tmp_path), licences=parse([*SAID, "huge=mit"]))


def test_rows_that_were_given_stand_under_terms_that_somebody_said(server: Server, tmp_path: Path) -> None:
    """A judged file: no seed task grew into it, its source's licence is said or refused, its writer is who is said to be."""
    rows = [{"instruction": f"Name river {n}.", "output": f"The river number {n} is long and wide."} for n in range(4)]
    file, out, url = tmp_path / "data.jsonl", tmp_path / "kept.jsonl", str(tmp_path / "c")
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    line = ["judge", file, "-o", out, "--base-url", server.base_url, "--min-score", 0, "-q", "--written-by", "org/old"]
    done = command(*line)
    assert done.returncode == 0, done.stderr
    folder, said = tmp_path / "kept.jsonl.run", parse(["dataset=mit", "judge=mit"])
    with pytest.raises(BadInputError, match="stand: org/old, source"):
        publish_run(folder, "judged", url, licences=said)
    with pytest.raises(BadInputError, match=r"seeds=\.\.\."):
        publish_run(folder, "judged", url, licences={**said, "seeds": "mit"})
    made = publish_run(folder, "judged", url, licences={**said, "source": "cc-by-4.0", "org/old": "gpl-3.0"})
    told = made.manifest.licences
    assert (told.seeds, told.source, told.writers) == ("", "cc-by-4.0", {"org/old": "gpl-3.0"})
    assert (made.manifest.rows["sft"], made.manifest.rows["seeds"]) == (4, 0)
    assert {row["model"] for row in made.rows("sft")} == {"org/old"}
    papers = made.text("README.md") + made.text("croissant.json")
    assert "rows that were given: `cc-by-4.0`" in papers
    assert "seed tasks" not in papers


def test_the_terms_of_a_version_hold_for_what_is_judged_of_it(server: Server, run: Path, tmp_path: Path) -> None:
    """Its seeds, its writers, and its own licence as that of the rows that were given; only a new judge's is to be said."""
    url = str(tmp_path / "c")
    first = publish_run(run, "real", url, licences=parse([*SAID, "judge=mit"]))
    file = one_file(first, "sft", tmp_path / "rows.parquet")
    flags = {"engines.writer.base_url": server.base_url}
    recipe = judging(file, rubric="accuracy", min_score=0, written_by="tiny", flags=flags)
    run_sync(recipe, tmp_path / "judged")
    second = publish_run(tmp_path / "judged", "kept", url, source=first.manifest.licences)
    assert second.manifest.licences.model_dump() == {
        "dataset": "cc-by-4.0",
        "writers": {"tiny": "apache-2.0"},
        "judges": {"tiny": "mit"},
        "seeds": "apache-2.0",
        "source": "cc-by-4.0",
    }
