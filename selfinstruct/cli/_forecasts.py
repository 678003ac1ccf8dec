"""Which run a forecast is reckoned from, and how it is told. No command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from selfinstruct.cli._shared import say
from selfinstruct.errors import BadInputError
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from selfinstruct.forecast import Forecast
    from selfinstruct.recipe import Recipe
    from selfinstruct.runner import Limits


def preview_of(folder: Path) -> Path:
    """Return where the preview of a run is: beside it."""
    return folder.with_name(f"{folder.name}.preview")


def foresee(recipe: Recipe, folder: Path, *, limits: Limits, source: Path | None) -> None:
    """Tell what the run in `folder` will take, from `source`, from what it has made so far, or from its preview.

    Raises:
        BadInputError: the folder holds a run of another configuration, or `source` holds none.
    """
    found = [told for one in _sources(recipe, folder, source) if (told := _reckon(one, recipe.n, limits)) is not None]
    if not found:
        say("what it will take is not known yet; a small run tells, for instance:")
        say(f"  selfinstruct preview ... -n 10 --for {recipe.n}   with the other options as here")
        return
    best = max(found, key=lambda told: told.basis.requests)
    show(best)
    if Path(best.basis.run) == folder:
        say(f"of these, {best.spent['calls']:,} calls are made and kept: the run goes on from there")
    _caps(best, limits)


def show(told: Forecast) -> None:
    """Print a forecast, and how it would tell of cost."""
    from selfinstruct.forecast import table
    from selfinstruct.price import Price

    typer.echo(table(told))
    if told.price == Price():
        say("for the cost: --price-in and --price-out (per million tokens), or --gpu-hour")


def _sources(recipe: Recipe, folder: Path, source: Path | None) -> list[Path]:
    """Return the runs that tell of this one. One of another configuration is used only when it is asked for by name."""
    if source is not None:
        for change in _changes(recipe, source):
            say(f"{source} is of another configuration: {change}")
        return [source]
    if changes := _changes(recipe, folder):
        listed = "".join(f"\n  {change}" for change in changes)
        msg = f"{folder} holds a run of another configuration; changed:{listed}"
        raise BadInputError(msg, remedy="undo the change, or start a new run with another -o")
    beside = preview_of(folder)
    if changes := _changes(recipe, beside):
        say(f"{beside} is not used: it is of another configuration ({printable('; '.join(changes), longest=120)})")
    return [one for one in (folder, beside) if _started(one) and not _changes(recipe, one)]


def _started(folder: Path) -> bool:
    from selfinstruct.store import read_run

    if not (folder / "run.db").is_file():
        return False
    with read_run(folder) as store:
        return "recipe" in store.get_meta()


def _changes(recipe: Recipe, folder: Path) -> list[str]:
    from selfinstruct import formats
    from selfinstruct.runs import open_stored

    if not _started(folder):
        return []
    with open_stored(folder) as stored:
        return stored.recipe.changes(formats.kept(recipe, stored.recipe.model_dump(mode="json")))


def _reckon(folder: Path, rows: int, limits: Limits) -> Forecast | None:
    from selfinstruct.forecast import forecast
    from selfinstruct.runs import open_stored

    with open_stored(folder) as stored:
        return forecast(stored, rows, price=limits.price)


def _caps(told: Forecast, limits: Limits) -> None:
    """Say which cap would end the run before its order is filled."""
    total = told.total
    tokens = (total.prompt_tokens.middle or 0) + (total.completion_tokens.middle or 0)
    cost = (total.cost.middle or 0) if total.cost else 0
    time = (total.seconds.middle or 0) if total.seconds and told.basis.full else 0
    for name, cap, needed in (
        ("tokens", limits.tokens, tokens),
        ("cost", limits.cost, cost),
        ("time", limits.seconds, time),
    ):
        if cap is not None and needed > cap:
            say(f"the cap on {name} is likely to end it at about {told.rows * cap / needed:,.0f} rows")
