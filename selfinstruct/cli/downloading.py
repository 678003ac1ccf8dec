"""Commands that take a published dataset to where it is wanted: download, push."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfinstruct.cli._shared import Quiet, app, say
from selfinstruct.cli.cataloguing import Place, place_of
from selfinstruct.errors import Exit, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.download import Plan

Dataset = Annotated[str, typer.Argument(help="NAME, or NAME@3 for its third version.", metavar="NAME[@VERSION]")]


@app.command()
def download(
    name: Dataset,
    out: Annotated[Path, typer.Option("-o", help="New folder; beside it what came waits until it is whole.")],
    form: Annotated[
        str | None, typer.Option("--format", help="messages, dpo ... [default: the files as they are].")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="DIR|URL",
            help="A catalogue, http://HOST:PORT of `view --serve`, or hf://USER/NAME[@REVISION] "
            "[default: SELFINSTRUCT_CATALOGUE, or ./catalogue].",
        ),
    ] = None,
    view: Annotated[
        str | None, typer.Option("--view", help="sft or preference [default: all, or that of the format].")
    ] = None,
    min_score: Annotated[
        float | None, typer.Option("--min-score", help="Lowest score of a row, and of a chosen answer.")
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell files and bytes; fetch the manifest alone.")] = False,
    quiet: Quiet = False,
) -> None:
    """Fetch a published dataset, verified, as it is or converted for a trainer; the same command again goes on.

    Beside converted rows lie lines for trainers (`trainers/`), the card, the licences and a manifest.
    """
    from selfinstruct.catalogue.version import ref
    from selfinstruct.download import Order, make_plan, open_source
    from selfinstruct.download import download as work
    from selfinstruct.download.watch import Watcher
    from selfinstruct.download.work import is_there

    with _going_on():
        found = open_source(place_of(source), ref(name))
        plan = make_plan(found.manifest, Order(form, view, min_score))
        if dry_run:
            there = is_there(plan, out)
            _show(plan, out, there=there)
            return
        say(f"{plan}, {plan.bytes:,} bytes", quiet=quiet)
        with Watcher(quiet=quiet) as watch:
            made = work(found, plan, out, watch=watch)
    typer.echo(out)
    if not made:
        say("nothing to do: it is there, and whole", quiet=quiet)
    if found.manifest.trial:
        say("made by the scripted engine: for trying out, never to be published", quiet=quiet)


def _show(plan: Plan, out: Path, *, there: bool) -> None:
    for name, file in plan.files.items():
        typer.echo(f"{file.bytes}\t{name}")
    say(f"{plan}, {plan.bytes:,} bytes; {'is there already:' if there else 'would become'} {out}")


@contextmanager
def _going_on() -> Iterator[None]:
    """Say how it goes on, where it stopped for now."""
    try:
        yield
    except UnreachableError as error:
        error.remedy = shlex.join(["selfinstruct", *sys.argv[1:]])
        raise
    except KeyboardInterrupt:
        say("stopped; the same command goes on from here")
        raise typer.Exit(Exit.INTERRUPTED) from None


@app.command()
def push(
    name: Dataset,
    repo: Annotated[str, typer.Argument(help="Dataset repository of the Hub.", metavar="USER/NAME")],
    catalogue: Place = None,
    *,
    public: Annotated[bool, typer.Option("--public", help="For all to see [default: private].")] = False,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="To a pull request; main stays as it is.")] = False,
    quiet: Quiet = False,
) -> None:
    """Send a published version to the Hugging Face Hub: its files as they are, and a tag v3.

    The token comes from HF_TOKEN or `hf auth login`, and stands nowhere else. Get it back with
    `download NAME --from hf://USER/NAME@v3 -o DIR`.
    """
    from selfinstruct.catalogue.place import Catalogue
    from selfinstruct.catalogue.version import ref
    from selfinstruct.download.push import push as work

    _hush(wholly=quiet)
    published = Catalogue(place_of(catalogue)).version(ref(name))
    with _going_on():
        pushed = work(published, repo, public=public, create_pr=create_pr)
    typer.echo(pushed.url)
    if not pushed.new:
        say("nothing to do: it is there", quiet=quiet)
    elif create_pr:
        say(
            f"once it is merged, tag it: hf repos tag create {repo} v{published.manifest.version} --type dataset",
            quiet=quiet,
        )


def _hush(*, wholly: bool) -> None:
    """Let the Hub's library, which reads these when it is loaded, draw its bars on a terminal only, and say nothing else."""
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    if wholly or not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
