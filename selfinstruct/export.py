"""Writes a run's rows in a format, whole or not at all, with a manifest that names the bytes. Equal runs, equal bytes.

Rows that a model judged come with the audit of the judge, for people (`audit.md`) and for programs (`audit.json`).
"""

from __future__ import annotations

import itertools
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfinstruct import kinds
from selfinstruct.errors import BadInputError, DamageError
from selfinstruct.files import leftovers, publish, sha256
from selfinstruct.judging.audit import Audit, audit, can_audit
from selfinstruct.judging.page import page
from selfinstruct.recipe import EXPORTERS
from selfinstruct.records import Fate, Frozen, PreferencePair
from selfinstruct.stage import Exporter
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.records import Row
    from selfinstruct.runs import StoredRun

PARQUET_GROUP = 2000
"""Rows per Parquet row group: a viewer reads 50 rows without the rest."""
AUDITS = ("audit.json", "audit.md")
"""What stands beside rows that a model judged."""


class NothingToExportError(BadInputError):
    """The run can give this format, but has no record for it."""


class Manifest(Frozen):
    """What an export is: beside the data, so that `verify` and a reader can check it."""

    format: str
    rows: int
    files: dict[str, str]
    """File name -> sha256."""
    recipe: str
    """Digest of everything that decides what the run makes."""
    scripted: bool
    """True: made by the scripted engine, for trying out; never to be published."""
    reasoning: bool = False
    """True: traces of reasoning models stand before their answers."""


def formats() -> list[str]:
    """Return the names of all formats, as the command line writes them."""
    return [name.replace("_", "-") for name in kinds.known(EXPORTERS)]


def export(run: StoredRun, kind: str, path: Path, *, reasoning: bool = False, audited: Audit | None = None) -> Manifest:
    """Write the rows of `run` to `path`: one file when it has a suffix, else a folder with data, manifest, `train/`.

    With `reasoning` the traces of reasoning models stand before their answers; never without. Manifest and audit of a single
    file stand beside it, under its name. `audited` is the run's audit where it is known.

    Raises:
        BadInputError: unknown format, or one without a place for traces that are asked for; nothing to export; something else
            already stands at `path`.
        NoRoomError: the disk refused; nothing is left.
    """
    exporter = _exporter(kind, reasoning=reasoning)
    rows = _checked(run, exporter, kind)
    if reasoning:
        rows = _with_traces(rows, run)
    single = bool(path.suffix)
    _refuse_foreign(path, single=single)
    pages = _pages(audited or (audit(run) if can_audit(run) else None))
    if single:
        with publish(path) as temporary, ExitStack() as beside:
            count = _write(exporter, rows, temporary)
            files = {path.name: sha256(temporary)}
            for name, text in pages.items():
                place = beside.enter_context(publish(_beside(path, name)))
                place.write_text(text, encoding="utf-8")
                files[_beside(path, name).name] = sha256(place)
            manifest = _manifest(run, kind, count, files, reasoning=reasoning)
            with publish(manifest_path(path)) as first:  # its name first: see _is_ours
                _write_manifest(manifest, first)
        for name in AUDITS:
            if name not in pages:
                _beside(path, name).unlink(missing_ok=True)  # of an earlier export, whose rows were judged
        return manifest
    with publish(path) as folder:
        folder.mkdir()
        data = folder / f"train{exporter.suffix}"
        count = _write(exporter, rows, data)
        for name, text in pages.items():
            (folder / name).write_text(text, encoding="utf-8")
        files = {name: sha256(folder / name) for name in (data.name, *pages)}
        manifest = _manifest(run, kind, count, files, reasoning=reasoning)
        _write_manifest(manifest, folder / "manifest.json")
        fragments = exporter.fragments(data.name)
        for name, text in fragments.items():
            (folder / "train").mkdir(exist_ok=True)
            (folder / "train" / name).write_text(text, encoding="utf-8")
    return manifest


def _exporter(kind: str, *, reasoning: bool) -> Exporter:
    found, name = _found(kind), kind.replace("-", "_")
    if not reasoning:
        return found(kind=name)
    if "reasoning" not in found.model_fields:
        able = [one for one in formats() if "reasoning" in _found(one).model_fields]
        msg = f"{kind} has no place for what a model thought before it answered"
        raise BadInputError(msg, remedy=f"leave out --reasoning, or take --format {' or '.join(able)}")
    return found.model_validate({"kind": name, "reasoning": True})


def _found(kind: str) -> type[Exporter]:
    found: type[Exporter] = kinds.resolve(kind.replace("-", "_"), Exporter, folders=EXPORTERS)
    return found


def _with_traces(rows: Iterator[Row], run: StoredRun) -> Iterator[Row]:
    """Pass the rows on; raise at their end when none of them has a trace."""
    some = False
    for row in rows:
        some = some or bool(row.reasoning)
        yield row
    if not some:
        msg = f"no answer in {run.folder} has a trace: its models do not reason, or it is older than this field"
        raise NothingToExportError(msg, remedy="leave out --reasoning")


def manifest_path(path: Path) -> Path:
    """Return where the manifest of an export stands."""
    return path / "manifest.json" if path.is_dir() else _beside(path, "manifest.json")


def verify_export(path: Path) -> Iterator[str]:
    """Yield a line for every file of an export that is missing or not what the manifest says."""
    place = manifest_path(path)
    try:
        manifest = _read_manifest(path)
    except (OSError, ValueError) as error:
        yield f"{place}: no readable manifest ({' '.join(str(error).split())[:120]})"
        return
    folder = path if path.is_dir() else path.parent
    for name, digest in manifest.files.items():
        file = folder / Path(name).name
        if not file.is_file():
            yield f"{file}: missing"
        elif sha256(file) != digest:
            yield f"{file}: bytes are not those of the manifest"


def _checked(run: StoredRun, exporter: Exporter, kind: str) -> Iterator[Any]:
    """Return an iterator over the records, having made sure that there is at least one."""
    label = run.writer_of(exporter.reads)
    if label is None:
        add = "`pair` (after `respond` and a judge)" if exporter.reads is PreferencePair else "`select`"
        msg = f"{run.folder} cannot give {kind}: its recipe makes no {exporter.reads.__name__} records"
        raise BadInputError(msg, remedy=f"add the stage {add} to the recipe and start a new run")
    records = (
        exporter.reads.model_validate(body["record"])
        for _, body in run.store.scan(label, fate=Fate.ACCEPTED, upto=run.closing)
    )
    first = next(records, None)
    if first is None:
        msg = f"{run.folder} has nothing to export as {kind}: stage {label} accepted nothing"
        raise NothingToExportError(msg, remedy=f"selfinstruct drops {run.folder}")
    return itertools.chain([first], records)


def _write(exporter: Exporter, records: Iterator[Any], path: Path) -> int:
    rows = exporter.rows(records)
    return _write_parquet(exporter, rows, path) if exporter.suffix == ".parquet" else _write_jsonl(rows, path)


def _write_jsonl(rows: Iterator[dict[str, Any]], path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for count, row in enumerate(rows, 1):  # noqa: B007 - the last count is the number of rows
            file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
    return count


def _write_parquet(exporter: Exporter, rows: Iterator[dict[str, Any]], path: Path) -> int:
    import pyarrow as pa  # noqa: PLC0415 - 188 ms, wanted only here
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in exporter.columns.items()])
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_index=True) as writer:
        while group := list(itertools.islice(rows, PARQUET_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            count += len(group)
    return count


def _pages(audited: Audit | None) -> dict[str, str]:
    """Return file name -> text of what says how the rows were judged; nothing where no model judged them."""
    if audited is None:
        return {}
    return {AUDITS[0]: audited.model_dump_json(indent=2) + "\n", AUDITS[1]: page(audited)}


def _beside(path: Path, name: str) -> Path:
    return path.with_name(f"{path.name}.{name}")


def _manifest(run: StoredRun, kind: str, rows: int, files: dict[str, str], *, reasoning: bool) -> Manifest:
    return Manifest(
        format=kind, rows=rows, files=files, recipe=run.digest, scripted=run.recipe.scripted, reasoning=reasoning
    )


def _write_manifest(manifest: Manifest, path: Path) -> None:
    path.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _refuse_foreign(path: Path, *, single: bool) -> None:
    """Only an earlier export is ever replaced, and nothing that somebody has put into it."""
    beside = [_beside(path, name) for name in AUDITS] if single and not path.is_dir() else []
    present = [place for place in (path, *beside) if place.exists()]
    if not present:
        return
    try:
        files = _read_manifest(path).files
    except (OSError, ValueError):
        files = {}
    for place in present:
        if not files or (place in beside and place.name not in files):
            msg = f"{place} exists and is not an export of ours"
            raise BadInputError(msg, remedy="give another path with -o, or move it away")
    if path.exists() and path.is_dir() == single:
        msg = f"{path} is a {'folder' if single else 'file'}"
        raise BadInputError(msg, remedy="give another path with -o")
    for place in present:
        if place.is_file() and not _is_ours(place, files[place.name]):
            msg = f"{place} was changed since it was exported"
            raise DamageError(msg, remedy="move it away, or give another path with -o")
    ours = {*files, "manifest.json", "train"}
    if path.is_dir() and (others := sorted(one.name for one in path.iterdir() if one.name not in ours)):
        msg = f"{path} also holds {printable(', '.join(others), longest=200)}, which would be lost"
        raise BadInputError(msg, remedy="move it away, or give another path with -o")


def _is_ours(place: Path, wanted: str) -> bool:
    """Say whether a file is what the manifest names, or what it names waits beside it: a process of ours ended in between."""
    return any(one.is_file() and sha256(one) == wanted for one in (place, *leftovers(place)))


def _read_manifest(path: Path) -> Manifest:
    return Manifest.model_validate_json(manifest_path(path).read_bytes())
