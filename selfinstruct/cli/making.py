"""Commands that make rows: demo, run, resume."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfinstruct.cli._shared import (
    Against,
    Events,
    Folder,
    GpuHour,
    MaxCost,
    MaxTime,
    MaxTokens,
    Metrics,
    Model,
    PriceIn,
    PriceOut,
    Quiet,
    Replicas,
    Sets,
    Store,
    Urls,
    VllmPath,
    Workers,
    app,
    carry_out,
    flags_of,
    limits_of,
    say,
)
from selfinstruct.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.recipe import Recipe
    from selfinstruct.runner import Limits


@app.command()
def demo(
    n: Annotated[int, typer.Option("-n", min=1, help="Rows wanted.")] = 100,
    out: Annotated[Path, typer.Option("-o", help="Run folder.")] = Path("demo"),
    *,
    store: Store = None,
    quiet: Quiet = False,
) -> None:
    """Run the whole pipeline on the scripted engine: no network, no key, no GPU, under 30 s."""
    from selfinstruct import recipe as recipes

    recipe = recipes.load("demo", environment={})
    report = carry_out(recipe, out, n=n, quiet=quiet, store=store)
    say("", quiet=quiet)
    say("Now with a model of yours (vLLM serving on this machine):", quiet=quiet)
    say("  selfinstruct run -n 1000 --base-url http://127.0.0.1:8000/v1 -o runs/first", quiet=quiet)
    raise typer.Exit(report.exit_status)


@app.command()
def run(  # noqa: PLR0913 - one parameter per option
    recipe: Annotated[str, typer.Argument(help="Shipped recipe or YAML file.")] = "chat",
    n: Annotated[int | None, typer.Option("-n", min=1, help="Rows wanted, after every gate.")] = None,
    base_url: Urls = None,
    model: Model = None,
    out: Annotated[Path | None, typer.Option("-o", help="Run folder [default: runs/RECIPE].")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of everything drawn.")] = None,
    against: Against = None,
    sets: Sets = None,
    *,
    serve: Annotated[
        str | None, typer.Option("--serve", help="Model to serve with vLLM on this machine while the run goes on.")
    ] = None,
    replicas: Replicas = 1,
    vllm: VllmPath = None,
    max_time: MaxTime = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    price_in: PriceIn = 0,
    price_out: PriceOut = 0,
    gpu_hour: GpuHour = 0,
    events: Events = None,
    metrics: Metrics = None,
    store: Store = None,
    workers: Workers = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check all but the server, tell what it will take; ask and write nothing.")
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="RUN", help="Past run to reckon from [default: this one, or its preview]."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Make a dataset. The same command again goes on where it stopped."""
    from selfinstruct import recipe as recipes

    flags = {"n": n, **flags_of(base_url, model, seed, against)}
    resolved = recipes.load(recipe, sets=sets or (), flags=flags)
    folder = out or Path("runs") / resolved.name
    limits = limits_of(max_time, max_tokens, max_cost, price=(price_in, price_out, gpu_hour))
    for useless, name, needed in (
        (source is not None and not dry_run, "--from", "--dry-run"),
        (replicas > 1 and serve is None, "--replicas", "--serve MODEL"),
        (vllm is not None and serve is None, "--vllm", "--serve MODEL"),
    ):
        if useless:
            msg = f"{name} says nothing without {needed}"
            raise BadInputError(msg, remedy=f"add {needed}, or leave {name} out")
    if dry_run:
        _dry_run(resolved, folder, limits=limits, source=source)
        return
    silent = quiet or str(events) == "-"
    with _serving(serve, base_url, replicas=replicas, vllm=vllm, quiet=silent) as urls:
        if urls:
            resolved = recipes.load(recipe, sets=sets or (), flags=flags | {"engines.writer.base_url": urls})
        report = carry_out(
            resolved, folder, n=resolved.n, limits=limits, quiet=quiet, events=events, metrics=metrics,
            store=store, workers=workers, again="the same command again" if urls else "",
        )  # fmt: skip
    raise typer.Exit(report.exit_status)


@contextmanager
def _serving(
    model: str | None, base_url: list[str] | None, *, replicas: int, vllm: Path | None, quiet: bool
) -> Iterator[list[str]]:
    """Serve `model` while the body runs, if one is named; yield the URLs."""
    if model is None:
        yield []
        return
    if base_url:
        msg = "--serve and --base-url: a run asks the server that is started for it, or another"
        raise BadInputError(msg, remedy="leave one of them out")
    from selfinstruct.serving import served

    with served(model, replicas=replicas, vllm=vllm, tell=lambda text: say(text, quiet=quiet)) as servers:
        yield [server.url for server in servers]


@app.command()
def resume(  # noqa: PLR0913 - one parameter per option
    folder: Folder,
    n: Annotated[int | None, typer.Option("-n", min=1, help="Rows wanted now [default: as before].")] = None,
    base_url: Urls = None,
    max_time: MaxTime = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    price_in: PriceIn = 0,
    price_out: PriceOut = 0,
    gpu_hour: GpuHour = 0,
    *,
    events: Events = None,
    metrics: Metrics = None,
    store: Store = None,
    workers: Workers = None,
    quiet: Quiet = False,
) -> None:
    """Go on with a run where it stopped: nothing answered is asked again; failed records are tried again."""
    from selfinstruct import recipe as recipes
    from selfinstruct.runs import open_stored

    with open_stored(folder) as stored:
        data, target = stored.recipe.model_dump(mode="json"), stored.target
    if base_url is not None:
        data = recipes.moved(data, base_url)
    limits = limits_of(max_time, max_tokens, max_cost, price=(price_in, price_out, gpu_hour))
    report = carry_out(
        recipes.build(data, source=str(folder)), folder, n=n or target, limits=limits, quiet=quiet,
        events=events, metrics=metrics, store=store, workers=workers,
    )  # fmt: skip
    raise typer.Exit(report.exit_status)


def _dry_run(recipe: Recipe, folder: Path, *, limits: Limits, source: Path | None) -> None:
    from selfinstruct import seeds
    from selfinstruct.cli._forecasts import foresee

    tasks, digest = seeds.load(seeds.find(recipe.seeds))
    inputs = {"seeds": digest}
    for stage in recipe.stages:
        inputs |= stage.inputs(language=recipe.language)  # every file that it reads is there
    say(f"recipe {recipe.name}: {' -> '.join(stage.label for stage in recipe.stages)}")
    say(f"{len(tasks)} seed tasks; {recipe.n} rows wanted; folder {folder}; nothing was asked or written")
    foresee(recipe, folder, inputs=inputs, limits=limits, source=source)
