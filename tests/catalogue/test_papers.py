"""What stands beside the data of a version: all of it, of the right rows, and in the manifest."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.publish import write_version
from selfinstruct.catalogue.version import AUDIT, CARD, CROISSANT, DIFF, FIGURES, RECIPE, Ref
from selfinstruct.figures.count import of_run
from selfinstruct.figures.model import Figures
from selfinstruct.judging.cut import Cut
from selfinstruct.runs import open_stored
from tests.support.published import LICENCES, make_catalogue


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return make_catalogue(tmp_path_factory.mktemp("papers"), versions=2)


def _run(catalogue: Catalogue, number: int) -> Path:
    return Path(catalogue.root).parent / f"run-{number}"


def test_every_paper_is_there_and_in_the_manifest(catalogue: Catalogue) -> None:
    """With its digest; the diff from the second version on."""
    for number, more in ((1, ()), (2, DIFF)):
        found = catalogue.version(Ref("tiny", number))
        papers = {name for name in found.manifest.files if "/" not in name}
        assert papers == {CARD, CROISSANT, FIGURES, RECIPE, *AUDIT, *more}
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
