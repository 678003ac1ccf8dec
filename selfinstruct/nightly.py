"""One night of a dataset that grows by itself: its first version, or the next. Knows no schedule, and carries nothing out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from selfinstruct import extend
from selfinstruct import recipe as recipes
from selfinstruct.catalogue.forehand import check_order
from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.publish import publish_run
from selfinstruct.catalogue.version import Ref, ref
from selfinstruct.errors import Exit, SelfInstructError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from selfinstruct.catalogue.place import Published
    from selfinstruct.pipeline import Report
    from selfinstruct.recipe import Recipe


class Tonight(NamedTuple):
    """What makes a version."""

    recipe: Recipe
    folder: Path
    """Of the run, which may have begun."""
    ref: Ref
    """The version that comes of it."""
    publish: Callable[[], Published]
    """Publishes what the run has; raises as `publish_run`."""


def tonight(  # noqa: PLR0913 - what `extend.plan` takes, and two more
    name: str,
    url: str,
    *,
    recipe: str,
    folder: Path = Path("runs"),
    against: Sequence[Path] = (),
    sets: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    new_lineage: bool = False,
    licences: Mapping[str, str] | None = None,
    trial: bool = False,
) -> Tonight:
    """Return what makes the next version of `name`, or its first: by `recipe` then, and with `new_lineage`.

    Otherwise it is made as the latest version was. The rest is as for `extend.plan`; `licences` and `trial` as for
    `publish_run`, and what it would refuse of them is refused here: nothing has been asked yet.

    Raises:
        BadInputError, DamageError: as `extend.plan`; BadInputError also as `check_order`.
    """
    catalogue, said = Catalogue(url), licences or {}
    if catalogue.versions(name):
        wanted = recipe if new_lineage else None
        night = extend.plan(
            name, url, folder=folder, against=against, recipe=wanted, sets=sets, flags=flags, new_lineage=new_lineage
        )
        check_order(night.recipe, catalogue, night.ref.name, said, trial=trial)
        return Tonight(night.recipe, night.folder, night.ref, lambda: night.publish(licences=said))
    first = Ref(ref(name).name, 1)
    run = folder / f"{first.name}-{first.version}"
    laid = {**(flags or {}), "stages.bootstrap.gates.rouge.against": [str(path) for path in against] or None}
    made = recipes.load(recipe, sets=sets, flags=laid)
    check_order(made, catalogue, first.name, said, trial=trial)
    return Tonight(made, run, first, lambda: publish_run(run, str(first), url, licences=said, trial=trial))


def worth_publishing(report: Report) -> list[str]:
    """Return what somebody should know of a run whose rows can be published: nothing when it made all that it was asked for.

    Raises:
        SelfInstructError: it was interrupted, or has no row.
    """
    if report.exit_status is Exit.DONE:
        return []
    if report.exit_status not in {Exit.BUDGET, Exit.SHORT} or not report.accounts.ledger.accepted:
        raise SelfInstructError(report.message, remedy=report.remedy)
    return [report.message]
