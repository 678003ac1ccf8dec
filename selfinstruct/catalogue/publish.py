"""Makes a version of a run: shards, papers, manifest; whole or invisible. What is published is never changed again."""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from selfinstruct import __version__
from selfinstruct.catalogue import kinship
from selfinstruct.catalogue.admission import How, check_run, plan
from selfinstruct.catalogue.papers import write_papers
from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.placing import placed, writing
from selfinstruct.catalogue.shards import Shards
from selfinstruct.catalogue.version import MANIFEST, VIEWS, File, Version, ref
from selfinstruct.catalogue.views import views
from selfinstruct.files import sha256
from selfinstruct.runs import open_stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from selfinstruct.catalogue.place import Published
    from selfinstruct.catalogue.version import Licences
    from selfinstruct.judging.cut import Cut
    from selfinstruct.runs import StoredRun


def publish_run(  # noqa: PLR0913 - a run, its terms, and what may become of a dataset that exists
    folder: Path,
    name: str,
    url: str,
    *,
    licences: Mapping[str, str] | None = None,
    source: Licences | None = None,
    cut: Cut | None = None,
    add: bool = False,
    replace: bool = False,
    trial: bool = False,
    new_lineage: bool = False,
) -> Published:
    """Publish the run in `folder` as the next version of `name` in the catalogue at `url`; return the version.

    `licences` as `licences.parse` gives them; what the latest version says of the same models need not be said again. Of a run
    that judged the rows of another version, `source` says the terms of that one: they hold for this one, too. With `cut`, the
    rows and pairs that it keeps. Of a dataset that exists, `add` makes a version that holds the rows of the latest, too, and
    `replace` one that stands alone. `new_lineage` allows a changed recipe in what is added; the version tells it. `trial` makes
    a catalogue that is absent one for trying out: there, and only there, belong runs of the scripted engine.

    Raises:
        BadInputError: a name that is none, a version that exists, an unknown licence, a run that goes on or was killed, of the
            scripted engine, not made against the latest version (`add`), by another recipe, or just what the latest version is
            (`replace`). NothingToExportError: no row.
        DamageError: the run is not sound, or something else has the version's place. NoRoomError: it cannot be written.
    """
    wanted, catalogue = ref(name), Catalogue(url)
    how = How(cut=cut, source=source, add=add, replace=replace, trial=trial, new_lineage=new_lineage)
    with open_stored(folder) as run:
        check_run(run, cut)
        plan(run, catalogue, wanted, how, licences or {})
        with writing(catalogue, trial=trial):
            # Once more: another process may have published meanwhile.
            found = plan(run, Catalogue(url), wanted, how, licences or {})
            with placed(catalogue, found.ref) as place:
                write_version(
                    run,
                    place,
                    name=wanted.name,
                    version=found.number,
                    licences=found.licences,
                    base=found.base,
                    cut=cut,
                    changed=found.changed,
                )
    return Catalogue(url).version(found.ref)


def write_version(
    run: StoredRun,
    folder: Path,
    *,
    name: str,
    version: int,
    licences: Licences,
    base: Published | None = None,
    cut: Cut | None = None,
    changed: Iterable[str] = (),
) -> Version:
    """Write a version with the rows of `run`, those of `base` before them, to the new folder `folder`; return its manifest.

    The shards of a base at a URL are named in the manifest and not brought here.
    """
    folder.mkdir(parents=True)
    inputs, against = kinship.split(kinship.inputs_of(run))
    earlier = _bring_shards(base, folder) if base is not None else {}
    there = set() if base is None else {_task(row) for row in base.rows("seeds")}
    with Shards(folder, earlier=Counter(path.split("/")[1] for path in earlier)) as shards:
        for view, row in views(run, version=version, cut=cut):
            if view != "seeds" or _task(row) not in there:
                shards.add(view, row)
    rows = {**{path: file.rows or 0 for path, file in earlier.items()}, **shards.rows}
    draft = Version(
        name=name,
        version=version,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        base=None if base is None else base.manifest.version,
        rows=_by_view(rows),
        added=_by_view(shards.rows),
        files={**earlier, **_files(folder, rows, known=earlier)},
        licences=licences,
        recipe=run.digest,
        inputs=inputs,
        against=against,
        changed=tuple(changed),
        ended=run.ended,
        ordered=run.target,
        language=run.recipe.language,
        trial=run.recipe.scripted,
        cut=None if cut is None else cut.asked(),
        made_by=__version__,
    )
    write_papers(run, folder, draft, base=base, cut=cut)
    manifest = draft.model_copy(update={"files": {**draft.files, **_files(folder, rows, known=draft.files)}})
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def _task(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return all of a seed task: one that was changed may keep its id, and comes in addition, with its version."""
    return tuple(row[name] for name in VIEWS["seeds"] if name != "version")


def _by_view(rows: Mapping[str, int]) -> dict[str, int]:
    return {view: sum(count for path, count in rows.items() if path.split("/")[1] == view) for view in VIEWS}


def _bring_shards(base: Published, folder: Path) -> dict[str, File]:
    """Return the shards of an earlier version; in a folder they are linked: the same bytes under the same names."""
    found = {path: file for path, file in base.manifest.files.items() if path.startswith("data/")}
    if base.folder is not None:
        for path in found:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            try:
                (folder / path).hardlink_to(base.folder / path)  # nobody ever writes to either
            except OSError:  # a file system without links, or somebody else's file
                shutil.copyfile(base.folder / path, folder / path)
    return found


def _files(folder: Path, rows: dict[str, int], *, known: dict[str, File]) -> dict[str, File]:
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name: File(sha256=sha256(path), bytes=path.stat().st_size, rows=rows.get(name))
        for name, path in paths.items()
        if name not in known
    }
