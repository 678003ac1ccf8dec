"""Makes a version of a run: shards, papers, manifest; whole or invisible. What is published is never changed again."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from selfinstruct import __version__
from selfinstruct.catalogue.shards import Shards
from selfinstruct.catalogue.version import AUDIT, MANIFEST, RECIPE, VIEWS, File, Licences, Version
from selfinstruct.catalogue.views import views
from selfinstruct.files import sha256
from selfinstruct.judging.audit import audit, can_audit
from selfinstruct.judging.page import page

if TYPE_CHECKING:
    from pathlib import Path

    from selfinstruct.catalogue.place import Published
    from selfinstruct.judging.cut import Cut
    from selfinstruct.runs import StoredRun


def write_version(
    run: StoredRun,
    folder: Path,
    *,
    name: str,
    version: int,
    licences: Licences,
    base: Published | None = None,
    cut: Cut | None = None,
) -> Version:
    """Write a version with the rows of `run`, those of `base` before them, to the new folder `folder`; return its manifest."""
    folder.mkdir(parents=True)
    earlier = _copy_shards(base, folder) if base is not None else {}
    with Shards(folder, earlier=Counter(path.split("/")[1] for path in earlier)) as shards:
        for view, row in views(run, version=version, cut=cut):
            if not (base is not None and view == "seeds"):
                shards.add(view, row)
    _write_papers(run, folder, cut)
    rows = {**{path: file.rows or 0 for path, file in earlier.items()}, **shards.rows}
    manifest = Version(
        name=name,
        version=version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        base=None if base is None else base.manifest.version,
        rows={view: sum(count for path, count in rows.items() if path.split("/")[1] == view) for view in VIEWS},
        added={view: sum(count for path, count in shards.rows.items() if path.split("/")[1] == view) for view in VIEWS},
        files={**earlier, **_files(folder, rows, known=earlier)},
        licences=licences,
        recipe=run.digest,
        language=run.recipe.language,
        trial=run.recipe.scripted,
        cut=None if cut is None else cut.asked(),
        made_by=__version__,
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def _copy_shards(base: Published, folder: Path) -> dict[str, File]:
    """Bring the shards of an earlier version over; they are the same bytes under the same names."""
    found = {path: file for path, file in base.manifest.files.items() if path.startswith("data/")}
    for path in found:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if base.folder is not None:
            (folder / path).hardlink_to(base.folder / path)  # nobody ever writes to either
        else:
            base.catalogue.files.get_file(f"{base.root}/{path}", str(folder / path))
    return found


def _write_papers(run: StoredRun, folder: Path, cut: Cut | None) -> None:
    """Write what stands beside the data."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - wanted only where something is published

    with (folder / RECIPE).open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(run.recipe.model_dump(mode="json"), file)
    if can_audit(run):
        audited = audit(run).under(cut)
        for name, text in zip(AUDIT, (audited.model_dump_json(indent=2) + "\n", page(audited)), strict=True):
            (folder / name).write_text(text, encoding="utf-8")


def _files(folder: Path, rows: dict[str, int], *, known: dict[str, File]) -> dict[str, File]:
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name: File(sha256=sha256(path), bytes=path.stat().st_size, rows=rows.get(name))
        for name, path in paths.items()
        if name not in known
    }
