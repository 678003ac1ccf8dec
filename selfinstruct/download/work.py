"""A download from plan to folder: fetched beside it, then laid out or converted; the folder is there when it is whole."""

from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING

from selfinstruct import datafile
from selfinstruct.catalogue.version import MANIFEST, Version
from selfinstruct.download.fetch import fetch, room_of, there, waiting_room
from selfinstruct.download.plan import PAPERS, Plan, check_room
from selfinstruct.download.rows import read
from selfinstruct.download.source import WAITS, Source
from selfinstruct.download.watch import Watcher
from selfinstruct.errors import BadInputError, DamageError, NothingToExportError
from selfinstruct.exported import TRAINERS, Manifest, is_file, verify_export
from selfinstruct.files import check_name, publish, sha256

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

LICENCES = "licences.json"
"""What goes with converted rows beside the papers: the licences, as the version's manifest has them."""


def download(
    source: Source, plan: Plan, path: Path, *, watch: Watcher | None = None, waits: Sequence[float] = WAITS
) -> bool:
    """Make the folder `path` of what the plan says; False: it was there already. `waits`: seconds before each further try.

    Raises:
        BadInputError: something else is at `path`. DamageError: other bytes than the manifest says, or an earlier download
            that was changed. UnreachableError: not all of it came; what came waits beside `path` for the same call.
        NoRoomError: the disk refused. NothingToExportError: no row is left.
    """
    watch = watch or Watcher(quiet=True)
    if is_there(plan, path):
        shutil.rmtree(room_of(path), ignore_errors=True)  # of one that was killed in its last moment
        return False
    have = sum(there(room_of(path), file) for file in plan.files.values())
    check_room(plan, path, there=have)
    with waiting_room(path) as room:
        watch.begin("fetching", plan.bytes, done=have)
        places = {
            name: fetch(source, name, file, room, came=watch.came, waits=waits) for name, file in plan.files.items()
        }
        with publish(path) as folder:
            folder.mkdir()
            if plan.exporter is None:
                _lay_out(plan, places, folder)
            else:
                _convert(plan, places, folder, watch)
        shutil.rmtree(room)
    return True


def is_there(plan: Plan, path: Path) -> bool:
    """Say whether `path` holds what the plan says.

    Raises:
        BadInputError: it holds something else. DamageError: it did, and was changed.
    """
    check_name(path)
    if is_file(path):
        msg = f"{path} is the name of one file, and a download makes a folder"
        raise BadInputError(msg, remedy=f"give a folder: -o {path.with_suffix('')}")
    if not path.exists() and not path.is_symlink():
        return False
    try:
        problems = _problems(plan, path)
    except (OSError, ValueError):
        problems = None
    if problems is None:
        msg = f"{path} exists and is not this download of {plan.version.ref}"
        raise BadInputError(msg, remedy="give another path with -o, or move it away")
    if problems:
        raise DamageError(problems[0], remedy="move the folder away, or give another path with -o")
    return True


def _problems(plan: Plan, path: Path) -> list[str] | None:
    """Return what is not as it was downloaded; None where it is another download.

    Raises:
        OSError, ValueError: it is none.
    """
    text = (path / MANIFEST).read_bytes()
    if plan.exporter is None:
        if Version.model_validate_json(text) != plan.version:
            return None
        there = {one.relative_to(path).as_posix() for one in (path / "data").rglob("*.parquet")}
        if there - plan.files.keys() or _views(there) != _views(plan.files):
            return None  # more views than are wanted now, or fewer
        odd = [path / name for name, file in plan.files.items() if not _is(path / name, file.sha256)]
        return [f"{one} is not as it was downloaded" for one in odd]
    found = Manifest.model_validate_json(text)
    asked = (str(plan.version.ref), plan.version.recipe, plan.order.format, _cut(plan))
    if (found.published, found.recipe, found.format, found.cut) != asked:
        return None
    return list(verify_export(path))


def _views(files: Iterable[str]) -> set[str]:
    """Return the views that these are shards of."""
    return {name.split("/")[1] for name in files if name.startswith("data/") and name.endswith(".parquet")}


def _is(place: Path, digest: str) -> bool:
    return place.is_file() and sha256(place) == digest


def _lay_out(plan: Plan, places: Mapping[str, Path], folder: Path) -> None:
    """Give every file the name that it has in the version."""
    for name, place in places.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            (folder / name).hardlink_to(place)
        except OSError:  # a file system without
            shutil.copyfile(place, folder / name)
    (folder / MANIFEST).write_text(plan.version.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _convert(plan: Plan, places: Mapping[str, Path], folder: Path, watch: Watcher) -> None:
    """Write what `selfinstruct export` of the run would write, with the papers of the version."""
    version, exporter = plan.version, plan.exporter
    assert exporter is not None  # noqa: S101 - the caller has looked
    assert plan.order.format is not None  # noqa: S101 - the same
    train = f"train{exporter.suffix}"
    left_out: Counter[str] = Counter()
    watch.begin("converting", version.rows.get(plan.view, 0), rows=True)
    shards = [(name, places[name]) for name in version.shards(plan.view)]
    records = read(
        shards, plan.view, scripted=version.trial, least=plan.order.least, left_out=left_out, came=watch.came
    )
    rows = datafile.write(exporter, records, folder / train, left_out)
    if not rows:
        told = "" if plan.order.least is None else f" of a score of {plan.order.least:g}"
        msg = f"{version.ref} gives {plan.order.format} no row{told}"
        raise NothingToExportError(
            msg, remedy="a lower --min-score" if told else f"selfinstruct datasets info {version.ref}"
        )
    for name in places.keys() - dict(shards).keys():
        here = folder / PAPERS.get(name, name)
        here.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(places[name], here)
    (folder / LICENCES).write_text(version.licences.model_dump_json(indent=2) + "\n", encoding="utf-8")
    files = {one.relative_to(folder).as_posix(): sha256(one) for one in sorted(folder.rglob("*")) if one.is_file()}
    fragments = exporter.fragments(train)
    for name, text in fragments.items():
        (folder / TRAINERS).mkdir(exist_ok=True)
        (folder / TRAINERS / name).write_text(text, encoding="utf-8")
    manifest = Manifest(
        format=plan.order.format,
        rows=rows,
        files=files,
        fragments={name: sha256(folder / TRAINERS / name) for name in fragments},
        left_out=dict(sorted(left_out.items())),
        recipe=version.recipe,
        scripted=version.trial,
        cut=_cut(plan),
        published=str(version.ref),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _cut(plan: Plan) -> dict[str, float] | None:
    """Return the thresholds that the rows were held against; None where they are the run's own."""
    least = plan.order.least
    return plan.version.cut if least is None else {**(plan.version.cut or {}), "min_score": least}
