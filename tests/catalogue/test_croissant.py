"""Croissant metadata as those read it who know nothing of us: mlcroissant validates it and reads every view through it."""

from __future__ import annotations

import json
import socket
from typing import Any, NoReturn

import pytest

from selfinstruct.catalogue.place import Published
from selfinstruct.catalogue.version import MANIFEST, VIEWS, Ref
from tests.support.published import make_catalogue

pytestmark = pytest.mark.filterwarnings("ignore")  # of rdflib and pandas, on their own terms


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return make_catalogue(tmp_path_factory.mktemp("croissant"), versions=2).version(Ref("tiny", 2))


@pytest.fixture
def dataset(published: Published, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The version, opened by mlcroissant, which may reach nothing outside."""

    def refuse(*_: object) -> NoReturn:
        raise AssertionError

    monkeypatch.setattr(socket.socket, "connect", refuse)
    import mlcroissant

    assert published.folder is not None
    return mlcroissant.Dataset(jsonld=str(published.folder / "croissant.json"))


def test_mlcroissant_finds_nothing_wrong(dataset: Any) -> None:
    """No error and no warning: everything that is asked for and recommended is there."""
    assert not dataset.metadata.issues.errors
    assert not dataset.metadata.issues.warnings
    assert str(dataset.metadata.version) == "2.0.0"
    assert [str(one) for one in dataset.metadata.license] == ["cc0-1.0"]


@pytest.mark.parametrize("view", VIEWS)
def test_mlcroissant_reads_the_rows(dataset: Any, published: Published, view: str) -> None:
    """The records of every view are its rows, old and new, with every column."""
    read = [
        {name.partition("/")[2]: one.decode() if isinstance(one, bytes) else one for name, one in record.items()}
        for record in dataset.records(view)
    ]
    rows = list(published.rows(view))
    assert len(read) == published.manifest.rows[view]
    assert {one["id"] for one in read} == {one["id"] for one in rows}
    by_id = {one["id"]: one for one in rows}
    for one in read[:5]:
        assert {name: value for name, value in one.items() if by_id[one["id"]][name] is not None} == {
            name: value for name, value in by_id[one["id"]].items() if value is not None
        }


def test_every_file_stands_in_it_with_its_digest(published: Published) -> None:
    """All files but the manifest, which holds Croissant's own digest, and Croissant itself."""
    told = json.loads(published.text("croissant.json"))["distribution"]
    files = {one["contentUrl"]: one["sha256"] for one in told if one["@type"] == "cr:FileObject"}
    wanted = {name: file.sha256 for name, file in published.manifest.files.items() if name != "croissant.json"}
    assert files == wanted
    assert MANIFEST not in files


def test_nobody_is_said_to_have_written_the_seeds(published: Published) -> None:
    """Seeds may come from anywhere, those that are shipped came from a language model: neither paper tells an author."""
    for paper in ("croissant.json", "README.md"):
        told = published.text(paper)
        assert "The tasks from which all others grew" in told
        assert "by people" not in told
