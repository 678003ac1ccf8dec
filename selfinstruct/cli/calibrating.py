"""Commands about the threshold: sweep, refilter, label."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfinstruct.cli._shared import Folder, Json, app, say
from selfinstruct.errors import BadInputError

if TYPE_CHECKING:
    from selfinstruct.judging.refilter import Books, Cut
    from selfinstruct.runs import StoredRun

Source = Annotated[
    Path, typer.Argument(help="Run folder, or a file with instruction, output and score.", metavar="RUN|FILE")
]
Scale = Annotated[
    tuple[float, float] | None, typer.Option("--scale", help="Lowest and highest score of a FILE [default: 0 5].")
]


@app.command()
def sweep(source: Source, scale: Scale = None, *, as_json: Json = False) -> None:
    """Show what every threshold would keep: rows, length, scripts, classification tasks and their labels, pairs."""
    from selfinstruct.judging import scored
    from selfinstruct.judging.sweep import chart, chosen_scores
    from selfinstruct.judging.sweep import sweep as look
    from selfinstruct.runs import open_stored

    table, chosen = scored.load(source, scale=scale), None
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
        float | None, typer.Option("--min-margin", min=0, help="Lowest margin of a preference pair [default: the run's].")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Apply another threshold to a run that exists: no call is made, and the run stays as it is."""
    from selfinstruct.judging.refilter import Cut
    from selfinstruct.judging.refilter import refilter as count
    from selfinstruct.runs import open_stored

    if forms and out is None:
        msg = "--format without a place to write to"
        raise BadInputError(msg, remedy="add -o OUT")
    cut = Cut(min_score=min_score, min_margin=min_margin)
    with open_stored(folder) as run:
        books = count(run, cut)
        written = {} if out is None else _write(run, cut, forms or ["messages"], out)
    if as_json:
        told = {str(path): rows for path, rows in written.items()}
        typer.echo(json.dumps({**books.model_dump(mode="json"), "written": told}))
        return
    for path in written:
        typer.echo(path)
    _tell(books)


def _write(run: StoredRun, cut: Cut, forms: list[str], out: Path) -> dict[Path, int]:
    """Write one format to `out`, or several each into its own folder there; return their rows."""
    from selfinstruct.export import export

    if out.resolve().is_relative_to(run.folder.resolve()):
        msg = f"{out} lies in the run, which stays as it is"
        raise BadInputError(msg, remedy="give another place with -o")
    if len(forms) > 1 and out.suffix:
        msg = f"{len(forms)} formats do not go into one file, {out}"
        raise BadInputError(msg, remedy="give a folder with -o, or one --format")
    places = {out: forms[0]} if len(forms) == 1 else {out / form: form for form in forms}
    return {place: export(run, form, place, cut=cut).rows for place, form in places.items()}


def _tell(books: Books) -> None:
    rules = ", ".join(f"{rule} {count:,}" for rule, count in books.dropped.items())
    dropped = f"{sum(books.dropped.values()):,} dropped" + (f" ({rules})" if rules else "")
    typer.echo(f"{books.reached:,} rows judged: {books.kept:,} kept, {dropped}, {books.unscored:,} unscored")
    say(f"the run itself keeps {books.before:,}")
    if books.kept > books.target:
        say(f"more than the {books.target:,} that were ordered: all of them are kept")
    if books.unasked:
        say(f"never asked about the rows that come in addition: {', '.join(books.unasked)} (after score in the recipe)")
