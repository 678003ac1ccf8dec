"""The command that takes part in another's run: work."""

from __future__ import annotations

from typing import Annotated

import typer

from selfinstruct.cli._shared import Quiet, Urls, app, say
from selfinstruct.errors import Exit


@app.command()
def work(
    run: Annotated[
        str, typer.Argument(help="Run folder, or postgresql://...#run_... of its store.json.", metavar="RUN")
    ],
    base_url: Urls = None,
    lease: Annotated[
        float,
        typer.Option("--lease", help="Seconds until others take over from a worker that is not heard of; at least 5."),
    ] = 60,
    *,
    hired: Annotated[bool, typer.Option("--hired", hidden=True)] = False,
    quiet: Quiet = False,
) -> None:
    """Work on a run that another process leads, here or on another machine, until it ends."""
    import asyncio

    from selfinstruct.working import take_part

    told = asyncio.run(
        take_part(run, base_url=base_url or (), lease=lease, handle_signals=True, hired=hired)
    )  # fmt: skip
    say(f"{told.requests} requests settled with {told.calls} calls; the run ended: {told.ended}", quiet=quiet)
    if told.ended == "interrupted":
        raise typer.Exit(Exit.INTERRUPTED)
