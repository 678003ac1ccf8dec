"""Commands that look at published datasets: datasets list, info, verify."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from selfinstruct.cli._shared import Json, Quiet, app, say
from selfinstruct.cli.cataloguing import Place, place_of
from selfinstruct.errors import BadInputError, DamageError, Exit
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.catalogue.place import Catalogue, Published
    from selfinstruct.catalogue.version import Version

datasets_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Published datasets.")
app.add_typer(datasets_app, name="datasets")

Wanted = Annotated[str, typer.Argument(help="NAME, or NAME@3 for its third version.", metavar="NAME[@V]")]


@datasets_app.command("list")
def datasets_list(catalogue: Place = None, *, as_json: Json = False) -> None:
    """List the datasets of a catalogue with their latest versions."""
    from selfinstruct.catalogue.place import Catalogue

    place = Catalogue(place_of(catalogue))
    found: list[tuple[Published, list[int]]] = []
    damaged: list[Exception] = []
    for name in place.names():
        try:
            found.append((_latest(place, name), place.versions(name)))
        except (BadInputError, DamageError) as error:
            damaged.append(error)
    if as_json:
        told = [{"versions": versions, **_facts(latest)} for latest, versions in found]
        typer.echo(json.dumps({"catalogue": place.where, "trial": place.trial, "datasets": told}))
    else:
        for latest, _ in found:
            typer.echo(_line(latest.manifest))
        if not found and not damaged:
            say(f"nothing is published in {place.where}")
            say("  try: selfinstruct publish RUN NAME; or another --catalogue")
    for one in damaged:
        say(f"cannot be read: {printable(one, longest=500)}")
    raise typer.Exit(Exit.FAILED if damaged else Exit.DONE)


def _latest(place: Catalogue, name: str) -> Published:
    from selfinstruct.catalogue.version import Ref

    return place.version(Ref(name))


def _facts(version: Published) -> dict[str, object]:
    return {"path": version.where, **version.manifest.model_dump(mode="json", exclude={"files", "inputs"})}


def _line(one: Version) -> str:
    licence = printable(one.licences.dataset, longest=30)
    counts = f"{one.rows['sft']:>10,} rows {one.rows['preference']:>10,} pairs"
    return f"{one.ref!s:<32} {counts}  {one.created[:10]}  {one.language}  {licence}" + "  for trying out" * one.trial


@datasets_app.command("info")
def datasets_info(wanted: Wanted, catalogue: Place = None, *, as_json: Json = False) -> None:
    """Show what a version is: rows, licences, models, where it came from, how to load it."""
    from selfinstruct.catalogue.place import Catalogue
    from selfinstruct.catalogue.version import ref

    place = Catalogue(place_of(catalogue))
    version = place.version(ref(wanted))
    versions = place.versions(version.manifest.name)
    if as_json:
        facts = {"path": version.where, "versions": versions, **version.manifest.model_dump(mode="json")}
        typer.echo(json.dumps(facts))
        return
    for name, value in _told(version, versions):
        typer.echo(f"{name:<12} {printable(value, longest=500)}")


def _told(version: Published, versions: list[int]) -> Iterator[tuple[str, str]]:
    one = version.manifest
    yield "dataset", f"{one.ref}, of versions {', '.join(map(str, versions))}"
    yield "where", version.where
    yield "published", f"{one.created} by selfinstruct {one.made_by}"
    for view, rows in one.rows.items():
        yield view, f"{rows:,}" + f", {one.added.get(view, 0):,} of them new" * (one.base is not None)
    size = sum(file.bytes for file in one.files.values())
    yield "files", f"{len(one.files)} of {size / 1e6:,.1f} MB"
    yield "goes on with", "nothing: it stands alone" if one.base is None else f"{one.name}@{one.base}"
    yield from (("changed", line) for line in one.changed)
    yield "licence", one.licences.dataset
    for role, models in (("writer", one.licences.writers), ("judge", one.licences.judges)):
        yield from ((role, f"{model} ({licence})") for model, licence in models.items())
    for what, said in (("seeds from", one.licences.seeds), ("rows from", one.licences.source)):
        if said:
            yield what, said
    yield "last run", f"{one.ended}, {one.added['sft']:,} of {one.ordered:,} rows"
    if one.cut:
        yield "thresholds", ", ".join(f"{name} {value:g}" for name, value in one.cut.items())
    if one.trial:
        yield "trial", "made by the scripted engine: for trying out, never sent to the Hub"
    shards = f"{version.where}/data/sft/*.parquet"
    yield "load", f"datasets.load_dataset('parquet', data_files={shards!r}, split='train')"


@datasets_app.command("verify")
def datasets_verify(
    wanted: Annotated[str, typer.Argument(help="NAME (all its versions), NAME@3, or all.", metavar="NAME[@V]|all")],
    catalogue: Place = None,
    *,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare every file with the checksums of its manifest; names what is damaged, missing or was never published."""
    from selfinstruct.catalogue.place import Catalogue
    from selfinstruct.catalogue.verify import find, verify

    place = Catalogue(place_of(catalogue))
    problems = {str(one): list(verify(place, one)) for one in find(place, wanted)}
    if as_json:
        typer.echo(json.dumps(problems))
    else:
        for line in (line for found in problems.values() for line in found):
            typer.echo(printable(line, longest=500))
    damaged = [name for name, found in problems.items() if found]
    if damaged:
        msg = f"{', '.join(damaged)}: not as published"
        raise DamageError(msg, remedy="restore the files from a copy; a version is its files, and nothing mends them")
    say(f"{len(problems)} version{'s' * (len(problems) > 1)} sound", quiet=quiet)
