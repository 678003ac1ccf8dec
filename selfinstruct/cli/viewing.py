"""Commands that show: view."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfinstruct.cli._shared import app, say
from selfinstruct.cli.cataloguing import Place, place_of
from selfinstruct.errors import BadInputError

if TYPE_CHECKING:
    from selfinstruct.viewer.library import Library


@app.command()
def view(
    target: Annotated[
        str | None,
        typer.Argument(help="Run folder, or dataset [default: the catalogue].", metavar="[RUN|NAME[@VERSION]]"),
    ] = None,
    catalogue: Place = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    export: Annotated[
        Path | None,
        typer.Option("--export", metavar="DIR", help="Serve nothing: write the pages as files to this folder."),
    ] = None,
    *,
    open_it: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    serve: Annotated[
        bool, typer.Option("--serve", help="Open nothing: serve the catalogue, to `download --from URL` too.")
    ] = False,
) -> None:
    """Look at a catalogue, a dataset or a run in a browser; nothing leaves this machine. Ctrl-C ends it."""
    if export is not None:
        if serve:
            msg = "--export serves nothing, and --serve writes nothing"
            raise BadInputError(msg, remedy="leave one of them out")
        _export(target, catalogue, export)
        return
    try:
        from selfinstruct.viewer import serving
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"starlette", "uvicorn", "markdown_it"}:
            raise
        msg = f"the viewer is not installed: no {str(error.name).partition('.')[0]}"
        raise BadInputError(msg, remedy="pip install 'selfinstruct[view]'") from None
    library, path = _library(target, catalogue)
    with serving.listening(port) as (server, url):
        typer.echo(f"{url}{path}")
        if serve:
            say(f"serving {library.where}; to fetch from it: selfinstruct download NAME --from {url} -o NAME")
        server.start(library, page=f"{url}{path}" if open_it and not serve else "")
    say("stopped")


def _export(target: str | None, catalogue: str | None, out: Path) -> None:
    from selfinstruct.viewer.export import export

    library, _ = _library(target, catalogue, alone=True)
    rows = export(library, out, told=lambda rows: say(f"{rows:,} rows", quiet=bool(rows % 20_000)))
    typer.echo(out / "index.html")
    size = sum(path.stat().st_size for path in out.rglob("*"))
    versions = sum(map(len, library.sets().values()))
    of = f" of {versions} versions" if versions > 1 else ""
    say(f"{rows:,} rows{of} in {size / 1e6:,.1f} MB; open it in a browser, or put the folder on any web server")


def _library(target: str | None, catalogue: str | None, *, alone: bool = False) -> tuple[Library, str]:
    """Return what there is to look at, and the page to begin with; `alone`: of a catalogue or run only what is asked for."""
    from selfinstruct.catalogue.place import VARIABLE, Catalogue
    from selfinstruct.catalogue.version import ref
    from selfinstruct.store import has_run
    from selfinstruct.viewer.export import Part
    from selfinstruct.viewer.library import Library
    from selfinstruct.viewer.links import Links

    if target is not None and has_run(Path(target)):
        beside = "" if alone else catalogue or os.environ.get(VARIABLE)
        return Library(Catalogue(beside) if beside else None, run=Path(target)), "/run"
    found = Catalogue(place_of(catalogue))
    if not found.facts and not found.names():
        msg = (
            f"no catalogue in {found.root}"
            if target is None
            else f"{target} is no run folder, and there is no catalogue in {found.root}"
        )
        raise BadInputError(msg, remedy="--catalogue FOLDER; or publish a run: selfinstruct publish RUN NAME")
    if target is None:
        return Part(found, None) if alone else Library(found), "/"
    version = found.version(ref(target)).manifest
    return Part(found, ref(target)) if alone else Library(found), Links().version(version.name, version.version)
