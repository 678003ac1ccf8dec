"""Publishes a version of any size for measuring: the rows of one real scripted run over and over, each with words of its own."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from selfinstruct import pipeline
from selfinstruct import recipe as recipes
from selfinstruct.catalogue.papers import write_papers
from selfinstruct.catalogue.place import Catalogue, Published
from selfinstruct.catalogue.publish import publish_run
from selfinstruct.catalogue.shards import Shards
from selfinstruct.catalogue.version import MANIFEST, VIEWS, File, Ref
from selfinstruct.files import sha256
from selfinstruct.runs import open_stored

SOURCE_ROWS = 1000
WORDS = (
    "amber",
    "birch",
    "copper",
    "delta",
    "ember",
    "fjord",
    "garnet",
    "harbour",
    "indigo",
    "juniper",
    "서울",
    "부산",
)


def make(folder: Path, rows: int, *, lineage: bool = True) -> Published:
    """Publish `large`, of `rows` rows, into a trial catalogue in `folder`."""
    run = folder / "run"
    pipeline.run_sync(recipes.load("demo", environment={}), run, target=SOURCE_ROWS)
    root = folder / "catalogue"
    licences = {"dataset": "cc0-1.0", "writer": "none", "judge": "none"}
    source = publish_run(run, "source", str(root), licences=licences, trial=True)
    wanted = [view for view in VIEWS if lineage or view != "lineage"]
    tables = {view: list(source.rows(view)) for view in wanted}
    place = root / "large" / "1"
    with Shards(place, earlier={}) as shards:
        for copy in range(-(-rows // SOURCE_ROWS)):
            for view in wanted:
                if view == "seeds" and copy:
                    continue
                for row in tables[view]:
                    shards.add(view, _varied(row, view, copy))
    counts = {view: sum(n for path, n in shards.rows.items() if path.split("/")[1] == view) for view in VIEWS}
    files = {
        path: File(sha256=sha256(place / path), bytes=(place / path).stat().st_size, rows=count)
        for path, count in shards.rows.items()
    }
    update = {"name": "large", "version": 1, "rows": counts, "added": counts, "files": files}
    draft = source.manifest.model_copy(update=update | {"created": datetime.now(UTC).isoformat(timespec="seconds")})
    with open_stored(run) as stored:  # its papers tell of the source's thousand rows: what is measured is the rows
        write_papers(stored, place, draft, base=None, cut=None)
    papers = {
        path.relative_to(place).as_posix(): File(sha256=sha256(path), bytes=path.stat().st_size)
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.relative_to(place).as_posix() not in files
    }
    manifest = draft.model_copy(update={"files": {**files, **papers}})
    (place / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return Catalogue(str(root)).version(Ref("large"))


def _varied(row: dict[str, object], view: str, copy: int) -> dict[str, object]:
    """Return a row of a copy: another id, and other words where it is about text."""
    if not copy or view == "seeds":
        return row
    extra = f" {WORDS[copy % len(WORDS)]} {WORDS[copy // len(WORDS) % len(WORDS)]} {copy}"
    changed = {**row, "id": f"{copy:04x}{str(row['id'])[4:]}"}
    for name in ("instruction", "text"):
        if name in row:
            changed[name] = f"{row[name]}{extra}"
    if view == "preference":
        changed["row"] = f"{copy:04x}{str(row['row'])[4:]}"
    if view == "lineage":
        changed["lineage"] = str(row["lineage"]).replace(str(row["id"]), str(changed["id"]))
    return changed
