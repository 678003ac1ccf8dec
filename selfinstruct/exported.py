"""What an export is where it lies: its names, its manifest, whether it is as it was written. Knows no run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from selfinstruct import kinds
from selfinstruct.files import sha256
from selfinstruct.recipe import EXPORTERS
from selfinstruct.records import Frozen
from selfinstruct.tables import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator

TRAINERS = "trainers"
"""Folder of the fragments. In one called `train`, `datasets` would look for the rows of that split."""
AUDITS = ("audit.json", "audit.md")
"""What stands beside rows that a model judged."""


class Manifest(Frozen):
    """What an export is: beside the data, so that `verify` and a reader can check it."""

    format: str
    rows: int
    files: dict[str, str]
    """Path in the folder -> sha256; of a single file, those of its neighbours."""
    fragments: dict[str, str] | None = None
    """File in `trainers` -> sha256, so that nothing else there is ever replaced; None in manifests older than this field."""
    split: dict[str, int] = Field(default_factory=dict)
    """Side -> rows, where the export was split."""
    left_out: dict[str, int] = Field(default_factory=dict)
    """Rule -> what the format has no row for; `near_both_sides`: records that are on neither side of a split."""
    recipe: str
    """Digest of everything that decides what the run makes."""
    scripted: bool
    """True: made by the scripted engine, for trying out; never to be published."""
    reasoning: bool = False
    """True: traces of reasoning models stand before their answers."""
    cut: dict[str, float] | None = None
    """Thresholds that were asked for instead of the run's own (`refilter`); None for the run's own."""
    published: str | None = None
    """NAME@VERSION that the rows were downloaded from; None where they come from a run."""


def formats() -> list[str]:
    """Return the names of all formats, as the command line writes them."""
    return [name.replace("_", "-") for name in kinds.known(EXPORTERS)]


def is_file(path: Path) -> bool:
    """Say whether an export to `path` is one file; else it is a folder, also one with a dot in its name (`kept-4.5`)."""
    return path.suffix.lower() in SUFFIXES


def manifest_path(path: Path) -> Path:
    """Return where the manifest of an export stands."""
    return path / "manifest.json" if path.is_dir() else beside(path, "manifest.json")


def verify_export(path: Path) -> Iterator[str]:
    """Yield a line for every file of an export that is missing or not what the manifest says."""
    place = manifest_path(path)
    try:
        manifest = read_manifest(path)
    except (OSError, ValueError) as error:
        yield f"{place}: no readable manifest ({' '.join(str(error).split())[:120]})"
        return
    folder = path if path.is_dir() else path.parent
    for name, digest in manifest.files.items():
        file = folder.joinpath(*(part for part in Path(name).parts if part not in {"/", ".."}))
        if not file.is_file():
            yield f"{file}: missing"
        elif sha256(file) != digest:
            yield f"{file}: bytes are not those of the manifest"


def beside(path: Path, name: str) -> Path:
    """Return where a paper of a single file stands."""
    return path.with_name(f"{path.name}.{name}")


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of the export at `path`.

    Raises:
        OSError, ValueError: there is none.
    """
    return Manifest.model_validate_json(manifest_path(path).read_bytes())
