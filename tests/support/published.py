"""A small catalogue, made by the real pipeline on the scripted engine."""

from __future__ import annotations

from pathlib import Path

from selfinstruct import pipeline
from selfinstruct import recipe as recipes
from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.publish import write_version
from selfinstruct.catalogue.version import Licences, Ref
from selfinstruct.runs import open_stored

LICENCES = Licences(dataset="cc0-1.0", writers={"scripted": "none"}, judges={"scripted": "none"}, seeds="apache-2.0")


def make_run(folder: Path, *, n: int = 20, seed: int = 42) -> Path:
    """Make a run of `n` rows in `folder`."""
    pipeline.run_sync(recipes.load("demo", environment={}, flags={"seed": seed}), folder, target=n)
    return folder


def make_catalogue(folder: Path, *, name: str = "tiny", versions: int = 1, n: int = 20) -> Catalogue:
    """Publish `versions` versions of one dataset, each with `n` rows more than the one before, into `folder`/catalogue."""
    root = folder / "catalogue"
    root.mkdir(parents=True, exist_ok=True)
    (root / "catalogue.json").write_text('{"format": 1, "trial": true}\n', encoding="utf-8")
    for number in range(1, versions + 1):
        base = Catalogue(str(root)).version(Ref(name, number - 1)) if number > 1 else None
        run = make_run(folder / f"run-{number}", n=n, seed=41 + number)
        with open_stored(run) as stored:
            write_version(stored, root / name / str(number), name=name, version=number, licences=LICENCES, base=base)
    return Catalogue(str(root))
