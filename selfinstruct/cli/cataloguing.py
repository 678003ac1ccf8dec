"""Commands on published datasets: publish."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from selfinstruct.cli._shared import Folder, Json, Quiet, app, say
from selfinstruct.errors import BadInputError

if TYPE_CHECKING:
    from pathlib import Path

    from selfinstruct.catalogue.place import Published
    from selfinstruct.judging.cut import Cut

Place = Annotated[
    str | None,
    typer.Option(
        "--catalogue", metavar="DIR|URL", help="Where datasets lie [default: SELFINSTRUCT_CATALOGUE, or ./catalogue]."
    ),
]
Said = Annotated[
    list[str] | None,
    typer.Option(
        "--licence",
        metavar="KEY=LICENCE",
        help="Of dataset, writer, judge, seeds, or of a model by name; said once, it holds for later versions.",
    ),
]
NewLineage = Annotated[
    bool, typer.Option("--new-lineage", help="Allow a changed recipe or model; the version tells what was changed.")
]


def place_of(catalogue: str | None) -> str:
    """Return the path or URL of the catalogue that is meant."""
    from selfinstruct.catalogue.place import default

    return catalogue or default()


@app.command()
def publish(  # noqa: PLR0913 - one parameter per option
    folder: Folder,
    name: Annotated[str, typer.Argument(help="Of the dataset: a-z, 0-9, dot, dash, underscore.", metavar="NAME")],
    catalogue: Place = None,
    licence: Said = None,
    min_score: Annotated[float | None, typer.Option("--min-score", help="As for refilter.")] = None,
    min_margin: Annotated[float | None, typer.Option("--min-margin", help="As for refilter.")] = None,
    max_length_ratio: Annotated[float | None, typer.Option("--max-length-ratio", help="As for refilter.")] = None,
    *,
    length_corrected: Annotated[bool, typer.Option("--length-corrected", help="As for refilter.")] = False,
    add: Annotated[
        bool, typer.Option("--add", help="NAME exists: its rows, then these, which were made against them.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="NAME exists: a version without its rows.")] = False,
    new_lineage: NewLineage = False,
    trial: Annotated[
        bool,
        typer.Option(
            "--trial", help="Make a catalogue for trying out: for rows of the scripted engine, never sent out."
        ),
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make an immutable version of a run: Parquet shards, recipe, card, audit, checksums, licences; whole or absent."""
    from selfinstruct.catalogue.licences import parse
    from selfinstruct.catalogue.publish import publish_run

    made = publish_run(
        folder,
        name,
        place_of(catalogue),
        licences=parse(licence or ()),
        cut=_cut(folder, min_score, min_margin, max_length_ratio, length_corrected=length_corrected),
        add=add,
        replace=replace,
        trial=trial,
        new_lineage=new_lineage,
    )
    tell_version(made, as_json=as_json, quiet=quiet)


def _cut(
    folder: Path, min_score: float | None, min_margin: float | None, ratio: float | None, *, length_corrected: bool
) -> Cut | None:
    if min_score is None:
        if min_margin is not None or ratio is not None or length_corrected:
            msg = "--min-margin, --max-length-ratio and --length-corrected go with --min-score"
            raise BadInputError(msg, remedy="add --min-score, or leave them out: the run's own thresholds hold")
        return None
    from selfinstruct.cli.calibrating import per_doubling_of
    from selfinstruct.judging.cut import Cut
    from selfinstruct.runs import open_stored

    with open_stored(folder) as run:
        per_doubling = per_doubling_of(run) if length_corrected else 0.0
    return Cut(min_score=min_score, min_margin=min_margin, max_length_ratio=ratio, per_doubling=per_doubling)


def tell_version(made: Published, *, as_json: bool, quiet: bool) -> None:
    """Print where a new version lies, tell what is in it."""
    manifest = made.manifest
    if as_json:
        typer.echo(json.dumps({"path": made.root, **manifest.model_dump(mode="json")}))
    else:
        typer.echo(made.root)
    counts = ", ".join(f"{count:,} {view}" for view, count in manifest.rows.items() if view != "lineage")
    say(
        f"{manifest.ref}: {counts}" + f"; {manifest.added['sft']:,} sft rows new" * (manifest.base is not None),
        quiet=quiet,
    )
    if manifest.trial:
        say("made by the scripted engine: for trying out, never sent to the Hub", quiet=quiet)
    for line in manifest.changed:
        say(f"new lineage: {line}", quiet=quiet)
