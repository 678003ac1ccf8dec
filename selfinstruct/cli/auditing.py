"""Command that looks for defects in instruction data that exists: audit."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfinstruct.cli._shared import Json, Quiet, app, say
from selfinstruct.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PAGES = (".md", ".json")


@app.command()
def audit(
    file: Annotated[
        Path, typer.Argument(help="JSON, JSONL, CSV, Parquet, or a folder of them; or a run.", metavar="FILE|RUN")
    ],
    out: Annotated[Path | None, typer.Option("-o", help="Also write the report: PATH.md or PATH.json.")] = None,
    rows: Annotated[
        Path | None, typer.Option("--rows", help="Also write every finding, one JSON object a line: PATH.jsonl.")
    ] = None,
    columns: Annotated[
        str, typer.Option("--columns", help="Columns of other names: instruction=question,output=answer.")
    ] = "",
    clean: Annotated[
        Path | None, typer.Option("--clean", help="Also write the rows that break none of the rules of --drop.")
    ] = None,
    drop: Annotated[
        str, typer.Option("--drop", help="With --clean: rule,rule. Dropped rows go to OUT.dropped.jsonl.")
    ] = "",
    examples: Annotated[int, typer.Option("--examples", min=0, help="Rows shown of each rule.")] = 3,
    *,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Count the defects of any dataset, or show what a run's judge did: each bias with its interval.

    Of a file: empty, cut, doubled, refused, leaked, in the wrong language, one-sided. Reads Alpaca, messages, prompt and
    completion, preferences (DPO). Asks no model; takes seconds, so it begins anew each time.
    """
    from selfinstruct.store import has_run

    if has_run(file):
        if rows or clean or drop or columns:
            msg = f"{file} is a run: --rows, --clean, --drop and --columns are about files"
            raise BadInputError(msg, remedy=f"selfinstruct audit {file}; or audit an export of it")
        audit_run(file, out=out, as_json=as_json, quiet=quiet)
        return
    audit_dataset(
        file,
        out=out,
        rows=rows,
        columns=columns,
        clean=clean,
        drop=drop,
        examples=examples,
        as_json=as_json,
        quiet=quiet,
    )


def audit_run(folder: Path, *, out: Path | None, as_json: bool, quiet: bool) -> None:
    """Carry out `audit` on a run.

    Raises:
        BadInputError: no judge in it, an output of another kind. NoRoomError: the output cannot be written.
    """
    from selfinstruct.files import publish
    from selfinstruct.judging.audit import audit as look
    from selfinstruct.judging.audit import can_audit
    from selfinstruct.judging.page import page
    from selfinstruct.runs import open_stored

    _check_outputs(folder, ((out, _PAGES),))
    with open_stored(folder) as stored:
        if not can_audit(stored):
            msg = f"{folder}: no stage of this run judges"
            raise BadInputError(msg, remedy="audit one of its exports, or judge it: selfinstruct judge FILE -o OUT")
        found = look(stored)
    text, data = page(found), found.model_dump_json(indent=2) + "\n"
    if out is not None:
        replaced = out.exists()
        with publish(out) as half:
            half.write_text(text if out.suffix.lower() == ".md" else data, encoding="utf-8")
        say(_written(out, replaced=replaced), quiet=quiet)
    typer.echo(found.model_dump_json() if as_json else text)


def audit_dataset(
    file: Path,
    *,
    out: Path | None = None,
    rows: Path | None = None,
    columns: str = "",
    clean: Path | None = None,
    drop: str = "",
    examples: int = 3,
    as_json: bool = False,
    quiet: bool = False,
) -> None:
    """Carry out `audit` on a file or a folder of files: its options are these.

    Raises:
        BadInputError: unreadable as a whole, columns that cannot be mapped, an output of another kind or that is an input.
        NoRoomError: an output cannot be written.
    """
    from rich.console import Console

    from selfinstruct.census import census
    from selfinstruct.census.clean import checked_rules, dropped_file
    from selfinstruct.census.page import markdown, screen
    from selfinstruct.files import publish
    from selfinstruct.tables import SUFFIXES
    from selfinstruct.tables.layouts import parse_columns

    beside = dropped_file(clean) if clean else None
    _check_outputs(file, ((out, _PAGES), (rows, (".jsonl",)), (clean, SUFFIXES), (beside, (".jsonl",))))
    if drop and clean is None:
        raise BadInputError("--drop says nothing without --clean", remedy="add --clean PATH")
    rules = checked_rules(drop) if clean else frozenset[str]()
    outputs = [path for path in (out, rows, clean, beside) if path]
    replaced = {path for path in outputs if path.exists()}
    with _progress(quiet=quiet) as watch:
        report = census(
            file, named=parse_columns(columns), examples=examples, rows_file=rows, clean=clean, drop=rules, watch=watch
        )
    if out is not None:
        text = (
            markdown(report) if out.suffix.lower() == ".md" else json.dumps(report, ensure_ascii=False, indent=1) + "\n"
        )
        with publish(out) as half:
            half.write_bytes(text.encode(errors="replace"))
    if as_json:
        typer.echo(json.dumps(report))
    else:
        Console().print(screen(report))
    for path in outputs:
        say(_written(path, replaced=path in replaced), quiet=quiet)


def _written(path: Path, *, replaced: bool) -> str:
    return f"written: {path}" + " (in place of what was there)" * replaced


def _check_outputs(file: Path, outputs: tuple[tuple[Path | None, tuple[str, ...]], ...]) -> None:
    given = [path.resolve() for path, _ in outputs if path is not None]
    for path, kinds in outputs:
        if path is None:
            continue
        if path.suffix.lower() not in kinds or path.is_dir():
            msg = f"{path}: {'a folder' if path.is_dir() else path.suffix or 'no suffix'} is no place for it"
            raise BadInputError(msg, remedy=f"give a path that ends in {' or '.join(kinds)}")
        there = path.resolve()
        if there == file.resolve() or file.resolve() in there.parents or given.count(there) > 1:
            msg = f"{path} is {'given twice' if given.count(there) > 1 else 'what is read, or inside it'}"
            raise BadInputError(msg, remedy="give another path")


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[float], None]]:
    """Yield what shows a share, 0 to 1: a bar on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("auditing", total=1.0)
        yield lambda share: bar.update(task, completed=share)
