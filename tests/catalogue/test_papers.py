"""What stands beside the data of a version: all of it, of the right rows, and in the manifest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from selfinstruct import pipeline
from selfinstruct import recipe as recipes
from selfinstruct.catalogue.papers import alarms_of
from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.publish import write_version
from selfinstruct.catalogue.version import AUDIT, CARD, CROISSANT, DIFF, FIGURES, RECIPE, Ref
from selfinstruct.cli._shared import app
from selfinstruct.figures.count import of_run
from selfinstruct.figures.model import Figures
from selfinstruct.judging.cut import Cut
from selfinstruct.runs import open_stored
from tests.support.published import LICENCES, make_catalogue
from tests.support.running import command


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return make_catalogue(tmp_path_factory.mktemp("papers"), versions=2)


def _run(catalogue: Catalogue, number: int) -> Path:
    return Path(catalogue.root).parent / f"run-{number}"


def test_every_paper_is_there_and_in_the_manifest(catalogue: Catalogue) -> None:
    """With its digest; the diff from the second version on."""
    for number, more in ((1, ()), (2, DIFF)):
        found = catalogue.version(Ref("tiny", number))
        papers = {name for name in found.manifest.files if not name.startswith("data/")}
        assert papers == {"card/verbs.svg", CARD, CROISSANT, FIGURES, RECIPE, *AUDIT, *more}
        for name in papers:
            with found.open(name) as file:
                assert hashlib.sha256(file.read()).hexdigest() == found.manifest.files[name].sha256


def test_figures_of_a_version_are_the_sum_of_its_nights(catalogue: Catalogue) -> None:
    """Of the base and of the run, without reading a row of the base again."""
    with open_stored(_run(catalogue, 1)) as one, open_stored(_run(catalogue, 2)) as other:
        first, second = of_run(one), of_run(other)
    assert Figures.model_validate_json(catalogue.version(Ref("tiny", 1)).text(FIGURES)) == first
    both = Figures.model_validate_json(catalogue.version(Ref("tiny", 2)).text(FIGURES))
    assert both == first + second
    assert both.rows == catalogue.version(Ref("tiny", 2)).manifest.rows["sft"]


def test_papers_of_a_cut_are_of_the_rows_that_it_keeps(catalogue: Catalogue, tmp_path: Path) -> None:
    """Figures, card and audit tell what lies beside them, not what the run kept."""
    with open_stored(_run(catalogue, 1)) as run:
        made = write_version(run, tmp_path / "cut", name="cut", version=1, licences=LICENCES, cut=Cut(min_score=5))
    figures = Figures.model_validate_json((tmp_path / "cut" / FIGURES).read_bytes())
    assert figures.rows == made.rows["sft"] < 20
    assert f"| `sft` | {figures.rows} | {figures.rows} |" in (tmp_path / "cut" / CARD).read_text(encoding="utf-8")
    assert "Kept from 5 on." in (tmp_path / "cut" / CARD).read_text(encoding="utf-8")
    assert "cut anew: min_score 5" in (tmp_path / "cut" / AUDIT[1]).read_text(encoding="utf-8")


def test_a_night_that_went_astray_says_so(tmp_path: Path) -> None:
    """`extend` tells each crossed limit, on stderr and in its JSON, as the diff of the version does; the version stands."""
    place = str(tmp_path / "catalogue")
    make_catalogue(tmp_path, n=60)
    strict = ["--set", "stages.bootstrap.gates.rouge.threshold=0.25", "--new-lineage"]
    options = ["-n", "40", "--catalogue", place, "-o", str(tmp_path / "runs"), *strict, "--json", "--quiet"]
    done = CliRunner().invoke(app, ["extend", "tiny", *options])
    assert done.exit_code == 0, done.stderr
    made = Catalogue(place).version(Ref("tiny", 2))
    assert alarms_of(made)
    assert json.loads(done.stdout)["alarms"] == alarms_of(made)
    assert [line for line in done.stderr.splitlines() if line.startswith("alarm: ")] == [
        f"alarm: {one}" for one in alarms_of(made)
    ]
    assert "`stages.bootstrap.gates.1.threshold: 0.7 -> 0.25`" in made.text(DIFF[1])
    assert f"- **{alarms_of(made)[0]}**" in made.text(CARD)
    assert alarms_of(Catalogue(place).version(Ref("tiny", 1))) == []


def test_damaged_figures_are_named(tmp_path: Path) -> None:
    """A base whose figures cannot be read is no base: told with the file, and nothing is published."""
    place = make_catalogue(tmp_path)
    (Path(place.root) / "tiny" / "1" / FIGURES).write_text('{"rows": "many"}', encoding="utf-8")
    options = ["-n", "20", "--catalogue", place.root, "-o", str(tmp_path / "runs"), "--quiet"]
    done = command("extend", "tiny", *options)
    assert done.returncode == 1
    assert "tiny/1/figures.json: not what it should be" in done.stderr
    assert "Traceback" not in done.stderr
    assert Catalogue(place.root).versions("tiny") == [1]


def test_a_version_without_judge_and_pairs_has_its_papers_too(tmp_path: Path) -> None:
    """The published Self-Instruct recipe: no score, no audit, and no word of what there is not."""
    data = recipes.load("self-instruct", environment={}).model_dump(mode="json")
    recipe = recipes.build({**data, "engines": {"writer": {"kind": "scripted"}}})
    pipeline.run_sync(recipe, tmp_path / "run", target=20)
    with open_stored(tmp_path / "run") as run:
        made = write_version(run, tmp_path / "bare", name="bare", version=1, licences=LICENCES)
    text = (tmp_path / "bare" / CARD).read_text(encoding="utf-8")
    assert not {*AUDIT, *DIFF} & set(made.files)
    assert "20 rows to train on. Every" in text
    assert not any(word in text for word in ("## Scores", "## The judge", "audit.md", "judged by", "preference"))
    assert all(
        f"## {word}" in text
        for word in ("Novelty", "Lengths", "Scripts and topics", "Cost", "Licences", "Make it again")
    )
