"""A catalogue that is made once, and the viewer over it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from selfinstruct.catalogue.place import Catalogue
from selfinstruct.viewer.library import Library
from tests.support.postgres import postgres
from tests.support.published import make_catalogue
from tests.support.viewing import Viewer, browse

__all__ = ["postgres"]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with run-1, run-2 and a catalogue of their two versions."""
    folder = tmp_path_factory.mktemp("made")
    make_catalogue(folder, versions=2, n=20)
    return folder


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing of the tests lies in the user's cache."""
    place = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(place))
        yield place


@pytest.fixture(scope="session")
def catalogue(made: Path) -> Catalogue:
    return Catalogue(str(made / "catalogue"))


@pytest.fixture(scope="session")
def library(catalogue: Catalogue, cache: Path) -> Library:
    del cache
    return Library(catalogue)


@pytest.fixture(scope="session")
def viewer(library: Library) -> Iterator[Viewer]:
    with browse(library) as found:
        yield found
