"""Writes a run's rows in a format, whole or not at all, with a manifest that names the bytes. Equal runs, equal bytes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfinstruct import kinds
from selfinstruct.errors import BadInputError, DamageError
from selfinstruct.files import leftovers, publish, sha256
from selfinstruct.judging import refilter
from selfinstruct.judging.cut import Cut
from selfinstruct.recipe import EXPORTERS
from selfinstruct.records import Fate, Frozen, PreferencePair
from selfinstruct.stage import Exporter
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.runs import StoredRun

PARQUET_GROUP = 2000
"""Rows per Parquet row group: a viewer reads 50 rows without the rest."""


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
    cut: dict[str, float] | None = None
    """Thresholds that were asked for instead of the run's own (`refilter`); None for the run's own."""


def formats() -> list[str]:
    """Return the names of all formats, as the command line writes them."""
    return [name.replace("_", "-") for name in kinds.known(EXPORTERS)]


def export(run: StoredRun, kind: str, path: Path, *, cut: Cut | None = None) -> Manifest:
    """Write the rows of `run` to `path`: one file when it has a suffix, else a folder with data, manifest, `train/`.

    With `cut`, the rows and pairs that it keeps instead of those that the run kept.

    Raises:
        BadInputError: unknown format, nothing to export, or something else already stands at `path`.
        NoRoomError: the disk refused; nothing is left.
    """
    exporter = kinds.resolve(kind.replace("-", "_"), Exporter, folders=EXPORTERS)(kind=kind.replace("-", "_"))
    rows = _checked(run, exporter, kind, cut)
    single = bool(path.suffix)
    _refuse_foreign(path, single=single)
    if single:
        with publish(path) as temporary:
            count = _write(exporter, rows, temporary)
            manifest = _manifest(run, kind, count, {path.name: sha256(temporary)}, cut)
            with publish(manifest_path(path)) as beside:  # its name first: see _half_done
                _write_manifest(manifest, beside)
        return manifest
    with publish(path) as folder:
        folder.mkdir()
        data = folder / f"train{exporter.suffix}"
        count = _write(exporter, rows, data)
        manifest = _manifest(run, kind, count, {data.name: sha256(data)}, cut)
        _write_manifest(manifest, folder / "manifest.json")
        fragments = exporter.fragments(data.name)
        for name, text in fragments.items():
            (folder / "train").mkdir(exist_ok=True)
            (folder / "train" / name).write_text(text, encoding="utf-8")
    return manifest


def manifest_path(path: Path) -> Path:
    """Return where the manifest of an export stands."""
    return path / "manifest.json" if path.is_dir() else path.with_name(f"{path.name}.manifest.json")


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


def _checked(run: StoredRun, exporter: Exporter, kind: str, cut: Cut | None) -> Iterator[Any]:
    """Return an iterator over the records, having made sure that there is at least one."""
    label = run.writer_of(exporter.reads)
    if label is None:
        add = "`pair` (after `respond` and a judge)" if exporter.reads is PreferencePair else "`select`"
        msg = f"{run.folder} cannot give {kind}: its recipe makes no {exporter.reads.__name__} records"
        raise BadInputError(msg, remedy=f"add the stage {add} to the recipe and start a new run")
    records: Iterator[Any] = (
        exporter.reads.model_validate(body["record"])
        for _, body in run.store.scan(label, fate=Fate.ACCEPTED, upto=run.closing)
    )
    if cut is not None:
        records = refilter.records(run, cut, exporter.reads)
    first = next(records, None)
    if first is None:
        kept = "accepted nothing" if cut is None else f"has nothing of a score of {cut.min_score:g}"
        msg = f"{run.folder} has nothing to export as {kind}: stage {label} {kept}"
        raise NothingToExportError(msg, remedy=f"selfinstruct {'drops' if cut is None else 'sweep'} {run.folder}")
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


def _manifest(run: StoredRun, kind: str, rows: int, files: dict[str, str], cut: Cut | None) -> Manifest:
    asked = None if cut is None else cut.asked()
    return Manifest(format=kind, rows=rows, files=files, recipe=run.digest, scripted=run.recipe.scripted, cut=asked)


def _write_manifest(manifest: Manifest, path: Path) -> None:
    path.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _refuse_foreign(path: Path, *, single: bool) -> None:
    """Only an earlier export is ever replaced, and nothing that somebody has put into it."""
    if not path.exists():
        return
    try:
        _read_manifest(path)
    except (OSError, ValueError):
        msg = f"{path} exists and is not an export of ours"
        raise BadInputError(msg, remedy="give another path with -o, or move it away") from None
    if path.is_dir() == single:
        msg = f"{path} is a {'folder' if single else 'file'}"
        raise BadInputError(msg, remedy="give another path with -o")
    if path.is_file() and next(verify_export(path), None) and not _half_done(path):
        msg = f"{path} was changed since it was exported"
        raise DamageError(msg, remedy="move it away, or give another path with -o")
    ours = {*_read_manifest(path).files, "manifest.json", "train"}
    if path.is_dir() and (others := sorted(one.name for one in path.iterdir() if one.name not in ours)):
        msg = f"{path} also holds {printable(', '.join(others), longest=200)}, which would be lost"
        raise BadInputError(msg, remedy="move it away, or give another path with -o")


def _half_done(path: Path) -> bool:
    """Say whether a process of ours ended between naming the manifest of a file and naming the file."""
    wanted = _read_manifest(path).files.get(path.name)
    return any(one.is_file() and sha256(one) == wanted for one in leftovers(path))


def _read_manifest(path: Path) -> Manifest:
    return Manifest.model_validate_json(manifest_path(path).read_bytes())
