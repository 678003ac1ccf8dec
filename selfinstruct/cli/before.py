"""Commands for before anything is spent: seeds, recipe, doctor, preview."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from selfinstruct.cli._shared import (
    Against,
    GpuHour,
    Json,
    MaxCost,
    MaxTime,
    MaxTokens,
    Model,
    PriceIn,
    PriceOut,
    Quiet,
    Sets,
    Url,
    Urls,
    app,
    flags_of,
    limits_of,
    say,
)
from selfinstruct.errors import BadInputError, Exit
from selfinstruct.text.show import printable

seeds_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Seed tasks.")
recipe_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Recipes: the configuration of a run.")
app.add_typer(seeds_app, name="seeds")
app.add_typer(recipe_app, name="recipe")


@seeds_app.command("check")
def seeds_check(file: Annotated[Path, typer.Argument(help="Seed file, JSONL.")]) -> None:
    """Name every problem of a seed file: line, field, problem, remedy."""
    from selfinstruct.seeds import check

    tasks, problems = check(file)
    for problem in problems:
        typer.echo(printable(problem, longest=500))
    if problems:
        msg = f"{file}: {len(problems)} problem{'s' * (len(problems) > 1)}"
        raise BadInputError(msg, remedy="mend the lines above")
    marked = sum(task.is_classification for task in tasks)
    say(f"{file}: {len(tasks)} seed tasks, {marked} of them classification; no problem")


@recipe_app.command("list")
def recipe_list() -> None:
    """List the shipped recipes."""
    from selfinstruct import recipe as recipes

    for name in recipes.names():
        typer.echo(f"{name:14} {recipes.load(name, environment={}).about}")


@recipe_app.command("show")
def recipe_show(recipe: Annotated[str, typer.Argument(help="Shipped recipe or file.")] = "chat") -> None:
    """Print a recipe as it is written, to be changed and kept."""
    from selfinstruct import recipe as recipes

    typer.echo(recipes.text(recipe), nl=False)


@recipe_app.command("validate")
def recipe_validate(recipe: Annotated[str, typer.Argument(help="Shipped recipe or file.")], sets: Sets = None) -> None:
    """Check a recipe without running it; print it resolved."""
    from selfinstruct import recipe as recipes

    typer.echo(recipes.load(recipe, sets=sets or ()).model_dump_json(indent=2))


@recipe_app.command("schema")
def recipe_schema() -> None:
    """Print every field of a recipe, its stages, gates and engines, as JSON schema."""
    from selfinstruct import recipe as recipes

    typer.echo(json.dumps(recipes.schema(), indent=2))


@app.command()
def doctor(base_url: Url = None, model: Model = None) -> None:
    """Look at this machine and, with --base-url, at the server; say what would go wrong and what mends it."""
    from selfinstruct.doctor import examine

    bad = 0
    for finding in examine(base_url=base_url, model=model):
        bad += not finding.good
        typer.echo(f"{'ok  ' if finding.good else 'BAD '} {printable(finding.text, longest=400)}")
        if finding.remedy:
            typer.echo(f"      {printable(finding.remedy, longest=400)}")
    if bad:
        raise typer.Exit(Exit.FAILED)


@app.command()
def preview(  # noqa: PLR0913 - one parameter per option
    recipe: Annotated[str, typer.Argument(help="Shipped recipe or YAML file.")] = "chat",
    n: Annotated[int, typer.Option("-n", min=1, help="Rows to make.")] = 10,
    order: Annotated[
        int | None, typer.Option("--for", min=1, help="Rows to reckon for [default: the recipe's n].")
    ] = None,
    base_url: Urls = None,
    model: Model = None,
    out: Annotated[Path | None, typer.Option("-o", help="Folder [default: runs/RECIPE.preview].")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of everything drawn.")] = None,
    against: Against = None,
    sets: Sets = None,
    *,
    max_time: MaxTime = None,
    max_tokens: MaxTokens = None,
    max_cost: MaxCost = None,
    price_in: PriceIn = 0,
    price_out: PriceOut = 0,
    gpu_hour: GpuHour = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a few rows for real, show them, and tell what an order will take: calls, tokens, time and cost."""
    from selfinstruct import recipe as recipes
    from selfinstruct.cli._forecasts import preview_of
    from selfinstruct.cli._preview import Wanted, carry_out

    resolved = recipes.load(recipe, sets=sets or (), flags=flags_of(base_url, model, seed, against))
    folder = out or preview_of(Path("runs") / resolved.name)
    limits = limits_of(max_time, max_tokens, max_cost, price=(price_in, price_out, gpu_hour))
    wanted = Wanted(rows=n, order=order or resolved.n, as_json=as_json, quiet=quiet)
    raise typer.Exit(carry_out(resolved, folder, wanted, limits=limits))
