"""Commands that make versions of datasets: publish, extend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfinstruct.cli._shared import (
    Against,
    Events,
    Folder,
    GpuHour,
    Json,
    MaxCost,
    MaxTime,
    MaxTokens,
    Metrics,
    Model,
    PriceIn,
    PriceOut,
    Quiet,
    Sets,
    Urls,
    app,
    carry_out,
    limits_of,
    say,
)
from selfinstruct.errors import BadInputError

if TYPE_CHECKING:
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
        help="Of dataset, writer, judge, seeds, source (rows that were judged), or a model by name; said once, it holds on.",
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
    """Print where a new version lies, tell what is in it, and what of it drifted too far from what was there."""
    from selfinstruct.catalogue.papers import alarms_of

    manifest, crossed = made.manifest, alarms_of(made)
    if as_json:
        typer.echo(json.dumps({"path": made.where, "alarms": crossed, **manifest.model_dump(mode="json")}))
    else:
        typer.echo(made.where)
    counts = ", ".join(f"{count:,} {view}" for view, count in manifest.rows.items() if view != "lineage")
    say(
        f"{manifest.ref}: {counts}" + f"; {manifest.added['sft']:,} sft rows new" * (manifest.base is not None),
        quiet=quiet,
    )
    if manifest.trial:
        say("made by the scripted engine: for trying out, never sent to the Hub", quiet=quiet)
    for line in manifest.changed:
        say(f"new lineage: {line}", quiet=quiet)
    for line in crossed:
        say(f"alarm: {line}")


@app.command()
def extend(  # noqa: PLR0913 - one parameter per option
    name: Annotated[str, typer.Argument(help="Of the dataset, as `datasets list` has it.", metavar="NAME")],
    n: Annotated[int, typer.Option("-n", min=1, help="New rows wanted, after every gate.")],
    catalogue: Place = None,
    base_url: Urls = None,
    model: Model = None,
    against: Against = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="Shipped recipe or YAML file [default: that of the latest version].")
    ] = None,
    sets: Sets = None,
    out: Annotated[Path, typer.Option("-o", help="Folder of run folders: NAME-VERSION is made there.")] = Path("runs"),
    *,
    licence: Said = None,
    max_time: MaxTime = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    price_in: PriceIn = 0,
    price_out: PriceOut = 0,
    gpu_hour: GpuHour = 0,
    events: Events = None,
    metrics: Metrics = None,
    new_lineage: NewLineage = False,
    whole: Annotated[
        bool, typer.Option("--whole", help="Publish nothing until all rows have come; the same command goes on.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Add rows to a published dataset, near to none of its rows, and publish the next version.

    Killed or interrupted, the same command goes on. At a cap, or when almost nothing new comes any more, what has come is
    published all the same, and the exit status is still 4 or 5.
    """
    from selfinstruct.catalogue.forehand import check_order
    from selfinstruct.catalogue.licences import parse
    from selfinstruct.errors import Exit
    from selfinstruct.extend import plan

    licences = parse(licence or ())
    limits = limits_of(max_time, max_tokens, max_cost, price=(price_in, price_out, gpu_hour))
    night = plan(
        name,
        place_of(catalogue),
        folder=out,
        against=against or (),
        recipe=recipe,
        sets=sets or (),
        flags={"n": n, "engines.writer.base_url": base_url, "engines.writer.model": model},
        new_lineage=new_lineage,
    )
    check_order(night.recipe, night.base.catalogue, night.ref.name, licences, trial=False)
    report = carry_out(
        night.recipe, night.folder, n=n, limits=limits, quiet=quiet, events=events, metrics=metrics,
        again="the same command again", tell_exports=False,
    )  # fmt: skip
    rows, status = report.accounts.ledger.accepted, report.exit_status
    if status is Exit.DONE or (rows and status in {Exit.BUDGET, Exit.SHORT} and not whole):
        tell_version(night.publish(licences=licences), as_json=as_json, quiet=quiet)
        if status is not Exit.DONE:
            say(f"{night.ref} is published with what came; the same command again begins the next version")
    else:
        say(f"{night.ref} is not published: {report.message}", quiet=quiet)
    raise typer.Exit(status)
