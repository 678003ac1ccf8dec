"""Commands about the threshold of a judge: sweep, refilter, label."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfinstruct.cli._shared import Folder, Json, app, say
from selfinstruct.errors import BadInputError

if TYPE_CHECKING:
    from selfinstruct.exported import Manifest
    from selfinstruct.judging.cut import Cut
    from selfinstruct.judging.refilter import Books
    from selfinstruct.judging.scored import ScoredTable
    from selfinstruct.judging.sheet import Sheet
    from selfinstruct.runs import StoredRun

Source = Annotated[Path, typer.Argument(help="Run folder, or a file of judged rows.", metavar="RUN|FILE")]
Scale = Annotated[
    tuple[float, float] | None, typer.Option("--scale", help="Lowest and highest score of a FILE [default: 0 5].")
]
Columns = Annotated[
    str, typer.Option("--columns", help="Roles of a FILE's columns that do not tell them: output=answer.")
]
Scored = Annotated[str, typer.Option("--score", help="Column of a FILE that has the score.")]


@app.command()
def sweep(
    source: Source, scale: Scale = None, columns: Columns = "", score: Scored = "score", *, as_json: Json = False
) -> None:
    """Show what every threshold would keep: rows, length, scripts, classification tasks and their labels, pairs."""
    from selfinstruct.judging import scored
    from selfinstruct.judging.sweep import chart, chosen_scores
    from selfinstruct.judging.sweep import sweep as look
    from selfinstruct.runs import open_stored

    table, chosen = scored.load(source, scale=scale, columns=columns, score=score), None
    if source.is_dir():
        with open_stored(source) as run:
            chosen = chosen_scores(run, table.scale[0])
    steps = look(table, chosen)
    if as_json:
        told = {"reached": table.reached, "unscored": table.unscored, "dropped": table.dropped, "scale": table.scale}
        typer.echo(json.dumps({**told, "steps": [step.model_dump(mode="json") for step in steps]}))
        return
    typer.echo(chart(steps))
    other = "".join(f", {count:,} dropped by {rule}" for rule, count in table.dropped.items())
    say(f"{len(table.rows):,} of {table.reached:,} rows have a score, {table.unscored:,} have none{other}")
    if source.is_dir():
        say(f"  to take another threshold: selfinstruct refilter {source} --min-score S -o OUT")


@app.command()
def refilter(
    folder: Folder,
    min_score: Annotated[float, typer.Option("--min-score", help="Lowest score kept, of a chosen answer too.")],
    out: Annotated[
        Path | None, typer.Option("-o", help="Also write it: file or folder; with several formats a folder of them.")
    ] = None,
    forms: Annotated[
        list[str] | None, typer.Option("--format", help="As for export [default: messages]; several may be given.")
    ] = None,
    min_margin: Annotated[
        float | None, typer.Option("--min-margin", help="Lowest margin of a preference pair [default: the run's].")
    ] = None,
    max_length_ratio: Annotated[
        float | None,
        typer.Option("--max-length-ratio", help="Of the answers of a pair, as for `pair` [default: the run's]."),
    ] = None,
    *,
    length_corrected: Annotated[
        bool, typer.Option("--length-corrected", help="Take off what the audit says the judge gives for length.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Apply another threshold to a run that exists: no call is made, and the run stays as it is."""
    from selfinstruct.judging.cut import Cut
    from selfinstruct.judging.formats import cuts
    from selfinstruct.judging.refilter import refilter as count
    from selfinstruct.runs import open_stored

    if forms and out is None:
        msg = "--format without a place to write to"
        raise BadInputError(msg, remedy="add -o OUT")
    with open_stored(folder) as run:
        per_doubling = per_doubling_of(run) if length_corrected else 0.0
        cut = Cut(
            min_score=min_score, min_margin=min_margin, max_length_ratio=max_length_ratio, per_doubling=per_doubling
        )
        books = count(run, cut)
        found = cuts(run, cut, [] if out is None else forms or ["messages"])
        written = {} if out is None else _write(run, found, out)
    if as_json:
        told = {str(path): one.rows for path, one in written.items()}
        typer.echo(json.dumps({**books.model_dump(mode="json"), "written": told}))
        return
    for path in written:
        typer.echo(path)
    _tell(books)
    for path, one in written.items():
        say(f"{path}: {one.rows:,} rows of {one.format}")


def per_doubling_of(run: StoredRun) -> float:
    """Return what is taken off per doubling of length, and tell it."""
    from selfinstruct.judging.audit import audit, can_audit

    found = audit(run) if can_audit(run) else None
    if found is None or not found.per_doubling:
        why = (
            "" if found is None else f": {found.length.why or 'its interval includes 0, or tasks have one answer each'}"
        )
        say(f"no length bias is sure{why}; the scores stay as they are")
        return 0.0
    say(f"{found.per_doubling:+.2f} points per doubling of length are taken off (selfinstruct audit {run.folder})")
    return found.per_doubling


def _write(run: StoredRun, cuts: dict[str, Cut], out: Path) -> dict[Path, Manifest]:
    """Write one format to `out`, or several each into its own folder there, each with its cut."""
    from selfinstruct.export import export, is_file
    from selfinstruct.judging.audit import audit, can_audit

    if out.resolve().is_relative_to(run.folder.resolve()):
        msg = f"{out} lies in the run, which stays as it is"
        raise BadInputError(msg, remedy="give another place with -o")
    if len(cuts) > 1 and is_file(out):
        msg = f"{len(cuts)} formats do not go into one file, {out}"
        raise BadInputError(msg, remedy="give a folder with -o, or one --format")
    places = {out if len(cuts) == 1 else out / form: form for form in cuts}
    audited = audit(run) if can_audit(run) else None
    return {place: export(run, form, place, cut=cuts[form], audited=audited) for place, form in places.items()}


def _tell(books: Books) -> None:
    rules = ", ".join(f"{rule} {count:,}" for rule, count in books.dropped.items())
    dropped = f"{sum(books.dropped.values()):,} dropped" + (f" ({rules})" if rules else "")
    typer.echo(f"{books.reached:,} rows judged: {books.kept:,} kept, {dropped}, {books.unscored:,} unscored")
    say(f"the run itself keeps {books.before:,}")
    if books.kept > books.target:
        say(f"more than the {books.target:,} that were ordered: all of them are kept")
    if books.unasked:
        say(f"never asked about the rows that come in addition: {', '.join(books.unasked)} (after score in the recipe)")


@app.command()
def label(  # noqa: PLR0913 - one parameter per option
    source: Source,
    n: Annotated[int, typer.Option("-n", min=1, help="Labels wanted, those of earlier sittings among them.")] = 50,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", help="Label sheet [default: RUN/labels.jsonl or FILE.labels.jsonl].")
    ] = None,
    to_csv: Annotated[Path | None, typer.Option("--csv", help="Write a sheet to fill in elsewhere, and end.")] = None,
    from_csv: Annotated[Path | None, typer.Option("--from", help="Take over a sheet that was filled in.")] = None,
    precision: Annotated[
        float, typer.Option("--precision", min=0.01, max=1, help="Share of the kept rows that you would keep too.")
    ] = 0.9,
    scale: Scale = None,
    columns: Columns = "",
    score: Scored = "score",
    *,
    report: Annotated[bool, typer.Option("--report", help="Only tell what the labels say.")] = False,
    as_json: Json = False,
) -> None:
    """Label rows yourself, a key each, and learn how far the judge can be believed and which threshold to take.

    Rows are drawn by score, more of them near the threshold in use; the judge's verdict is never shown. Every key is saved
    at once: stop with q, and the same command goes on.
    """
    from selfinstruct.judging import scored
    from selfinstruct.judging.calibration import calibrate
    from selfinstruct.judging.sheet import open_sheet, read_sheet
    from selfinstruct.judging.told import told

    if sum(map(bool, (to_csv, from_csv, report))) > 1:
        msg = "--csv, --from and --report are three different things to do"
        raise BadInputError(msg, remedy="give one of them at a time")
    table = scored.load(source, scale=scale, columns=columns, score=score)
    path = sheet or (source / "labels.jsonl" if source.is_dir() else source.with_name(f"{source.name}.labels.jsonl"))
    if to_csv is not None:
        _write_sheet(table, path, to_csv, n)
        return
    if report:
        labels = read_sheet(path, table)
    else:
        with open_sheet(path, table) as labels:
            if from_csv is not None:
                _take_over(table, labels, from_csv)
            else:
                from selfinstruct.cli._labelling import label_rows

                label_rows(table, labels, n)
                _tell_the_end(table, labels, n)
    found = calibrate(table, labels, precision=precision)
    if found is not None:
        typer.echo(found.model_dump_json() if as_json else told(found, source=source))
    elif report:
        msg = f"{path} has no label yet"
        raise BadInputError(msg, remedy=f"selfinstruct label {source}")
    else:
        say(f"{path} has no label yet")
        if as_json:
            typer.echo(json.dumps({"labels": 0}))


def _tell_the_end(table: ScoredTable, sheet: Sheet, n: int) -> None:
    """Say so when there are fewer rows than labels wanted."""
    current, _ = sheet.current(table)
    given = sum(one.keep is not None for _, one in current)
    if len(current) == len(table.rows) and given < n:
        say(f"\nall {len(current):,} rows have been shown: {given:,} of {n:,} labels, and there are no more")


def _write_sheet(table: ScoredTable, sheet: Path, out: Path, n: int) -> None:
    """Write the first `n` rows to label that have no label yet."""
    from itertools import islice

    from selfinstruct.judging.drawn import order
    from selfinstruct.judging.sheet import read_sheet
    from selfinstruct.judging.spreadsheet import write_csv

    known = read_sheet(sheet, table).labels if sheet.exists() else {}
    rows = list(islice((row for row in order(table) if row.id not in known), n))
    write_csv(out, rows)
    typer.echo(out)
    say(f"{len(rows)} rows: fill in `score` ({table.scale[0]:g} to {table.scale[1]:g}) or `keep` (yes, no), then:")
    say(f"  selfinstruct label {table.source} --from {out}")


def _take_over(table: ScoredTable, sheet: Sheet, filled: Path) -> None:
    """Append what the file says that the sheet does not say yet."""
    from selfinstruct.judging.spreadsheet import read_csv

    labels = read_csv(filled, table, good=sheet.header.good)
    new = [one for one in labels if sheet.labels.get(one.row) != one]
    for one in new:
        sheet.put(one)
    say(f"{len(labels)} labels in {filled}, {len(new)} of them new")
