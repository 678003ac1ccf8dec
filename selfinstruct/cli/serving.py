"""The command that serves a model: serve."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from selfinstruct.cli._shared import Replicas, VllmPath, app, say
from selfinstruct.errors import Exit


@app.command()
def serve(
    model: Annotated[str, typer.Argument(help="Folder of a model, or its name on the Hub.", metavar="MODEL")],
    args: Annotated[
        list[str] | None, typer.Argument(help="After --: options of vLLM.", metavar="[-- VLLM ARGS]")
    ] = None,
    replicas: Replicas = 1,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="First port [default: the first free from 8000].")
    ] = None,
    vllm: VllmPath = None,
    logs: Annotated[Path | None, typer.Option("--logs", help="Folder for the servers' logs.")] = None,
    ready: Annotated[float, typer.Option("--ready", min=1, help="Seconds a server may take to load.")] = 1800,
) -> None:
    """Start vLLM on this machine, mind it until Ctrl-C, drain and stop it. Prints its URL when it is ready."""
    from selfinstruct.serving import served

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both end the same way: drained
    ready_once = False
    try:
        with served(model, replicas=replicas, vllm=vllm, args=args or (), port=port, logs=logs, ready_seconds=ready,
                    tell=say) as servers:  # fmt: skip
            for server in servers:
                typer.echo(server.url)
            say("selfinstruct run --base-url " + " --base-url ".join(server.url for server in servers))
            ready_once = True
            while not all(server.lost for server in servers):
                signal.sigtimedwait([], 1)
            say("no server is left; stopping")
            raise typer.Exit(3)
    except KeyboardInterrupt:
        say("stopped")
        if not ready_once:  # nobody could use it
            raise typer.Exit(Exit.INTERRUPTED) from None
