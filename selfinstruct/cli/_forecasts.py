"""Which run a forecast is reckoned from, and how it is told. No command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from selfinstruct.cli._shared import say
from selfinstruct.errors import BadInputError
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from selfinstruct.forecast import Forecast
    from selfinstruct.recipe import Recipe
    from selfinstruct.runner import Limits


def preview_of(folder: Path) -> Path:
    """Return where the preview of a run is: beside it."""
    return folder.with_name(f"{folder.name}.preview")


def foresee(recipe: Recipe, folder: Path, *, inputs: Mapping[str, str], limits: Limits, source: Path | None) -> None:
    """Tell what the run in `folder` will take, from `source`, from what it has made so far, or from its preview.

    `inputs` are the digests of the files that it reads, by name.

    Raises:
        BadInputError: the folder holds a run of another configuration, or `source` holds none.
    """
    found = [
        told for one in _sources(recipe, folder, inputs, source) if (told := _reckon(one, recipe.n, limits)) is not None
    ]
    if not found:
        say("what it will take is not known yet; a small run tells, for instance:")
        say(f"  selfinstruct preview ... -n 10 --for {recipe.n}   with the other options as here")
        return
    best = max(found, key=lambda told: told.basis.requests)
    show(best)
    begun = Path(best.basis.run) == folder
    if begun:
        say(f"of these, {best.spent['calls']:,} calls are made and kept: the run goes on from there")
    _caps(best, limits, begun=begun)


def show(told: Forecast) -> None:
    """Print a forecast, and how it would tell of cost."""
    from selfinstruct.forecast import table
    from selfinstruct.price import Price

    typer.echo(table(told))
    if told.price == Price():
        say("for the cost: --price-in and --price-out (per million tokens), or --gpu-hour")


def _sources(recipe: Recipe, folder: Path, inputs: Mapping[str, str], source: Path | None) -> list[Path]:
    """Return the runs that tell of this one. One of another configuration is used only when it is asked for by name."""
    if source is not None:
        for change in _changes(recipe, source, inputs):
            say(f"{source} is of another configuration: {change}")
        return [source]
    if changes := _changes(recipe, folder, inputs):
        listed = "".join(f"\n  {change}" for change in changes)
        msg = f"{folder} holds a run of another configuration; changed:{listed}"
        raise BadInputError(msg, remedy="undo the change, or start a new run with another -o")
    beside = preview_of(folder)
    if changes := _changes(recipe, beside, inputs):
        say(f"{beside} is not used: it is of another configuration ({printable('; '.join(changes), longest=120)})")
    return [one for one in (folder, beside) if _started(one) and not _changes(recipe, one, inputs)]


def _started(folder: Path) -> bool:
    from selfinstruct.store import facts_of

    return "recipe" in facts_of(folder)


def _changes(recipe: Recipe, folder: Path, inputs: Mapping[str, str]) -> list[str]:
    """Return what makes the run in `folder` another than the one that is asked for; of its models nothing is known."""
    from selfinstruct import formats
    from selfinstruct.runs import open_stored

    if not _started(folder):
        return []
    with open_stored(folder) as stored:
        before = json.loads(stored.store.get_meta()["inputs"])
        files = [f"{name} was edited" for name, digest in inputs.items() if before.get(name, digest) != digest]
        return stored.recipe.changes(formats.kept(recipe, stored.recipe.model_dump(mode="json"))) + files


def _reckon(folder: Path, rows: int, limits: Limits) -> Forecast | None:
    from selfinstruct.forecast import forecast
    from selfinstruct.runs import open_stored

    with open_stored(folder) as stored:
        return forecast(stored, rows, price=limits.price)


def _caps(told: Forecast, limits: Limits, *, begun: bool) -> None:
    """Say which cap would end the run before its order is filled.

    Caps on tokens and cost are of the whole run, that on time of the invocation: `begun` says that some rows are there
    already. At the speed of a server that was not full, nothing is said of time, and of cost only what tokens cost.
    """
    total, full = told.total, told.basis.full
    tokens = (total.prompt_tokens.middle or 0) + (total.completion_tokens.middle or 0)
    cost = total.cost
    have = min(told.basis.rows, told.rows) if begun else 0
    time = (total.seconds.middle or 0) * (1 - have / told.rows) if total.seconds and full else 0
    paid = 0 if cost is None else cost.low if told.price.per_gpu_hour and not full else cost.middle or 0
    for name, cap, needed, there in (
        ("tokens", limits.tokens, tokens, 0),
        ("cost", limits.cost, paid, 0),
        ("time", limits.seconds, time, have),
    ):
        if cap is not None and needed > cap:
            rows = there + (told.rows - there) * cap / needed
            say(f"the cap on {name} is likely to end it at about {rows:,.0f} rows")
