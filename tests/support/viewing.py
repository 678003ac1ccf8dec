"""A catalogue with figures, and the viewer over it."""

from __future__ import annotations

import time
from pathlib import Path

from starlette.testclient import TestClient

from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.version import FIGURES, MANIFEST, File, Ref, Version
from selfinstruct.figures.count import of_run
from selfinstruct.figures.model import Figures
from selfinstruct.files import sha256
from selfinstruct.runs import open_stored
from selfinstruct.viewer.library import Library
from selfinstruct.viewer.server import app
from tests.support.published import make_catalogue

HOST = "127.0.0.1:8000"


class Viewer(TestClient):
    """Comes again while an index is being built, as a browser does."""

    def page(self, url: str) -> str:
        for _ in range(200):
            answer = self.get(url)
            if answer.status_code != 202:
                assert answer.status_code == 200, f"{url}: {answer.status_code}"
                return str(answer.text)
            time.sleep(0.05)
        raise TimeoutError(url)


def browse(library: Library) -> Viewer:
    """Return the viewer over a library; to be entered."""
    return Viewer(app(library, hosts=[HOST]), base_url=f"http://{HOST}", follow_redirects=False)


def make_shown(folder: Path, *, name: str = "tiny", versions: int = 2, n: int = 20) -> Catalogue:
    """Publish as `make_catalogue` does; every version has its figures."""
    catalogue = make_catalogue(folder, name=name, versions=versions, n=n)
    figures = Figures()
    for number in range(1, versions + 1):
        published = catalogue.version(Ref(name, number))
        with open_stored(folder / f"run-{number}") as run:
            figures = figures + of_run(run)
        if FIGURES not in published.manifest.files:
            put(published.root, published.manifest, FIGURES, figures.model_dump_json())
    return catalogue


def put(root: str, manifest: Version, file: str, text: str) -> None:
    """Add a file to a published version, which nobody else ever does."""
    path = Path(root) / file
    path.write_text(text, encoding="utf-8")
    files = {**manifest.files, file: File(sha256=sha256(path), bytes=path.stat().st_size)}
    told = manifest.model_copy(update={"files": files}).model_dump_json(indent=2) + "\n"
    (Path(root) / MANIFEST).write_text(told, encoding="utf-8")
