"""Writes a run's rows in a format, whole or not at all, with a manifest that names the bytes. Equal runs, equal bytes.

Rows that a model judged come with the audit of the judge, for people (`audit.md`) and for programs (`audit.json`).
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from selfinstruct import kinds
from selfinstruct.datafile import write
from selfinstruct.errors import BadInputError, DamageError, NothingToExportError
from selfinstruct.exported import (
    AUDITS,
    TRAINERS,
    Manifest,
    beside,
    formats,
    is_file,
    manifest_path,
    read_manifest,
    verify_export,
)
from selfinstruct.files import check_name, leftovers, publish, sha256
from selfinstruct.judged import JudgedTask
from selfinstruct.judging import refilter
from selfinstruct.judging.audit import Audit, audit, can_audit
from selfinstruct.judging.cut import Cut
from selfinstruct.judging.page import page
from selfinstruct.judging.stored import tasks
from selfinstruct.recipe import EXPORTERS
from selfinstruct.records import Fate, Judgement, PreferencePair
from selfinstruct.split import Side, sides
from selfinstruct.stage import Exporter
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from selfinstruct.runs import StoredRun

__all__ = ["Manifest", "export", "formats", "is_file", "kept_records", "manifest_path", "verify_export"]

_OLDER = re.compile(r"(train|trainers)/(dataset_info\.json|axolotl\.yaml|trl_[a-z]+\.py)")
"""The fragments of an export whose manifest names none."""


def export(
    run: StoredRun,
    kind: str,
    path: Path,
    *,
    split: float = 0.0,
    reasoning: bool = False,
    options: Mapping[str, Any] | None = None,
    cut: Cut | None = None,
    audited: Audit | None = None,
) -> Manifest:
    """Write the rows of `run` to `path`: one file when its suffix is a dataset's, else a folder with data, manifest, `trainers/`.

    `split` is the share of instances whose rows go to `validation` instead of `train` (see `split.py`), 0 for none.
    `options` are fields of the exporter.

    With `reasoning` the traces of reasoning models stand before their answers; never without. Manifest and audit of a single
    file stand beside it, under its name. `audited` is the run's audit where it is known. With `cut`,
    the rows and pairs that it keeps instead of those that the run kept.

    Raises:
        BadInputError: unknown format or option, or one without a place for traces that are asked for; nothing to export;
            a suffix of another format; something else already stands at `path`, or in it.
        DamageError: what would be replaced was changed since it was exported.
        NoRoomError: the disk refused; nothing is left.
    """
    check_name(path)
    exporter = _exporter(run, kind, options or {}, reasoning=reasoning)
    single = is_file(path)
    if single and path.suffix.lower() != exporter.suffix:
        msg = f"{path}: {kind} writes {exporter.suffix}, not {path.suffix}"
        raise BadInputError(msg, remedy=f"give another path: -o {path.with_suffix(exporter.suffix)}")
    if single and split:
        msg = f"{path} is one file, and a split makes two"
        raise BadInputError(msg, remedy=f"give a folder: -o {path.with_suffix('')}")
    if reasoning and not any(row.reasoning for _, row in _checked(run, exporter, kind, cut)):
        msg = f"no answer in {run.folder} has a trace: its models do not reason, or it is older than this field"
        raise NothingToExportError(msg, remedy="leave out --reasoning")
    left_out: Counter[str] = Counter()
    parts = _parts(run, exporter, kind, split, left_out, cut)
    _refuse_foreign(path, single=single)
    pages = _pages((audited or audit(run)).under(cut) if audited or can_audit(run) else None)
    if single:
        with publish(path) as temporary, ExitStack() as stack:
            counts = {path.name: write(exporter, parts[Side.TRAIN], temporary, left_out)}
            _refuse_empty(run, kind, counts, left_out)
            digests = {path.name: sha256(temporary)}
            for name, text in pages.items():
                place = stack.enter_context(publish(beside(path, name)))
                place.write_text(text, encoding="utf-8")
                digests[beside(path, name).name] = sha256(place)
            manifest = _manifest(run, exporter, kind, counts, digests, {}, left_out, cut)
            with publish(manifest_path(path)) as first:  # its name first: see _is_ours
                _write_manifest(manifest, first)
        for name in AUDITS:
            if name not in pages:
                beside(path, name).unlink(missing_ok=True)  # of an earlier export, whose rows were judged
        return manifest
    with publish(path) as folder:
        folder.mkdir()
        files = {side: folder / f"{side}{exporter.suffix}" for side in parts}
        counts = {side: write(exporter, parts[side], file, left_out) for side, file in files.items()}
        _refuse_empty(run, kind, counts, left_out)
        for name, text in pages.items():
            (folder / name).write_text(text, encoding="utf-8")
        digests = {name: sha256(folder / name) for name in (*(one.name for one in files.values()), *pages)}
        fragments = exporter.fragments(*(one.name for one in files.values()))
        for name, text in fragments.items():
            (folder / TRAINERS).mkdir(exist_ok=True)
            (folder / TRAINERS / name).write_text(text, encoding="utf-8")
        lines = {name: sha256(folder / TRAINERS / name) for name in fragments}
        manifest = _manifest(run, exporter, kind, counts, digests, lines, left_out, cut)
        _write_manifest(manifest, folder / "manifest.json")
    return manifest


def _exporter(run: StoredRun, kind: str, options: Mapping[str, Any], *, reasoning: bool) -> Exporter:
    """Return the exporter, set up for the run."""
    name = kind.replace("-", "_")
    found = _found(kind)
    if reasoning and "reasoning" not in found.model_fields:
        able = [one for one in formats() if "reasoning" in _found(one).model_fields]
        msg = f"{kind} has no place for what a model thought before it answered"
        raise BadInputError(msg, remedy=f"leave out --reasoning, or take --format {' or '.join(able)}")
    options = {**options, "reasoning": True} if reasoning else options
    try:
        exporter: Exporter = found(**{**options, "kind": name})
    except ValidationError as error:
        first = error.errors()[0]
        msg = f"{kind}: option {'.'.join(map(str, first['loc']))}: {first['msg']}"
        known = ", ".join(one for one in found.model_fields if one != "kind")
        raise BadInputError(msg, remedy=f"options of {kind}: {known or 'none'}") from None
    return exporter.fitted(run.recipe.stages)


def _found(kind: str) -> type[Exporter]:
    found: type[Exporter] = kinds.resolve(kind.replace("-", "_"), Exporter, folders=EXPORTERS)
    return found


def _tells_traces(exporter: Exporter) -> bool:
    return bool(getattr(exporter, "reasoning", False))


def _parts(
    run: StoredRun, exporter: Exporter, kind: str, split: float, left_out: Counter[str], cut: Cut | None
) -> dict[Side, Iterator[Any]]:
    """Return the records of each side; of training alone where there is no split."""
    found = _checked(run, exporter, kind, cut)
    if not split:
        return {Side.TRAIN: (record for _, record in found)}
    lies = sides(run, split)
    left_out["near_both_sides"] = sum(lies.of(path) is None for path, _ in found)

    def part(side: Side) -> Iterator[Any]:
        yield from (record for path, record in _checked(run, exporter, kind, cut) if lies.of(path) is side)

    return {side: part(side) for side in Side}


def _checked(run: StoredRun, exporter: Exporter, kind: str, cut: Cut | None) -> Iterator[tuple[str, Any]]:
    """Return an iterator over paths and records, having made sure that there is at least one."""
    needed: type[Any] = Judgement if exporter.reads is JudgedTask else exporter.reads
    label = run.writer_of(needed)
    if label is None:
        add: dict[type[Any], str] = {
            PreferencePair: "`pair` (after `respond` and a judge)",
            Judgement: "`rubric` (after `respond`)",
        }
        msg = f"{run.folder} cannot give {kind}: its recipe makes no {needed.__name__} records"
        remedy = f"add the stage {add.get(needed, '`select`')} to the recipe and start a new run"
        raise BadInputError(msg, remedy=remedy)
    records = _records(run, exporter.reads, label, cut)
    first = next(records, None)
    if first is None:
        kept = "accepted nothing" if cut is None else f"has nothing of a score of {cut.min_score:g}"
        msg = f"{run.folder} has nothing to export as {kind}: stage {label} {kept}"
        raise NothingToExportError(msg, remedy=f"selfinstruct {'drops' if cut is None else 'sweep'} {run.folder}")
    return itertools.chain([first], records)


def kept_records(run: StoredRun, wanted: type[Any], cut: Cut | None = None) -> Iterator[tuple[str, Any]]:
    """Yield (path, record) of the rows or pairs (`wanted`) that the run kept, or that `cut` keeps, in admission order."""
    label = run.writer_of(wanted)
    if label is not None:
        yield from _records(run, wanted, label, cut)


def _records(run: StoredRun, wanted: type[Any], label: str, cut: Cut | None) -> Iterator[tuple[str, Any]]:
    if cut is not None:
        yield from refilter.records(run, cut, wanted)
    elif wanted is JudgedTask:
        yield from ((task.path, task) for task in tasks(run))
    else:
        for row, body in run.store.scan(label, fate=Fate.ACCEPTED, upto=run.closing):
            yield row.path, wanted.model_validate(body["record"])


def _refuse_empty(run: StoredRun, kind: str, counts: Mapping[str, int], left_out: Mapping[str, int]) -> None:
    """No trainer loads a file without rows, and `datasets` says so in words that help nobody."""
    for name, count in counts.items():
        if not count:
            told = ", ".join(f"{rule} {number}" for rule, number in sorted(left_out.items()) if number)
            msg = f"{run.folder} gives {kind} no row for {name}" + f" (left out: {told})" * bool(told)
            remedy = "a larger share, or more rows" if len(counts) > 1 else f"selfinstruct stats {run.folder}"
            raise NothingToExportError(msg, remedy=remedy)


def _pages(audited: Audit | None) -> dict[str, str]:
    """Return file name -> text of what says how the rows were judged; nothing where no model judged them."""
    if audited is None:
        return {}
    return {AUDITS[0]: audited.model_dump_json(indent=2) + "\n", AUDITS[1]: page(audited)}


def _manifest(
    run: StoredRun,
    exporter: Exporter,
    kind: str,
    counts: Mapping[str, int],
    files: dict[str, str],
    fragments: dict[str, str],
    left_out: Mapping[str, int],
    cut: Cut | None,
) -> Manifest:
    return Manifest(
        format=kind,
        rows=sum(counts.values()),
        files=files,
        fragments=fragments,
        split=dict(counts) if len(counts) > 1 else {},
        left_out={rule: number for rule, number in sorted(left_out.items()) if number},
        recipe=run.digest,
        scripted=run.recipe.scripted,
        reasoning=_tells_traces(exporter),
        cut=None if cut is None else cut.asked(),
    )


def _write_manifest(manifest: Manifest, path: Path) -> None:
    path.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _refuse_foreign(path: Path, *, single: bool) -> None:
    """Only an earlier export is ever replaced, as it was written, and nothing that somebody has put into it."""
    if path.exists() and path.is_dir() == single:
        msg = f"{path} is a {'folder' if single else 'file'}"
        raise BadInputError(msg, remedy="give another path with -o")
    papers = [place for name in ("manifest.json", *AUDITS) if (place := beside(path, name)).exists()]
    present = [path, *papers] if path.exists() else papers
    if not single:
        present = sorted(one for one in path.rglob("*") if one.is_symlink() or not one.is_dir())
    if not present and not path.exists():
        return
    try:
        manifest = read_manifest(path)
    except (OSError, ValueError):
        msg = f"{present[0] if single else path} exists and is not an export of ours"
        raise BadInputError(msg, remedy="give another path with -o, or move it away") from None
    folder = path.parent if single else path
    digests = {folder / name: digest for name, digest in manifest.files.items()}
    digests |= {folder / TRAINERS / name: digest for name, digest in (manifest.fragments or {}).items()}
    known = {*digests, manifest_path(path)}
    others = [place.relative_to(folder).as_posix() for place in present if place not in known]
    if manifest.fragments is None:
        others = [name for name in others if not _OLDER.fullmatch(name)]
    if others:
        what = f"{path} also holds {printable(', '.join(others), longest=200)}, which would be lost"
        msg = f"{folder / others[0]} exists and is not an export of ours" if single else what
        raise BadInputError(msg, remedy="move it away, or give another path with -o")
    for place in present:
        if place in digests and not _is_ours(place, digests[place]):
            msg = f"{place} was changed since it was exported"
            raise DamageError(msg, remedy="move it away, or give another path with -o")


def _is_ours(place: Path, wanted: str) -> bool:
    """Say whether a file is what the manifest names, or what it names waits beside it: a process of ours ended in between."""
    return any(one.is_file() and sha256(one) == wanted for one in (place, *leftovers(place)))
