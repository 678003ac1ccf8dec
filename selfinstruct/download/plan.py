"""What is wanted of a version, which of its files that takes, and whether they can be had at all. Fetches nothing."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfinstruct import kinds
from selfinstruct.catalogue.version import AUDIT, CARD, DIFF, MANIFEST, RECIPE, VIEWS, File, Version
from selfinstruct.errors import BadInputError, DamageError, NoRoomError
from selfinstruct.exported import formats
from selfinstruct.recipe import EXPORTERS
from selfinstruct.records import PreferencePair, Row
from selfinstruct.stage import Exporter
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_FILES = 100_000
"""Files of a version at most: 5 billion rows in shards of 50,000; what says more is no dataset."""
LONGEST_PATH = 200
"""Characters of a path in a version at most; Linux has 255 bytes for each part of one."""
PAPERS = {CARD: "CARD.md", **{name: name for name in (*AUDIT, DIFF[1], RECIPE)}}
"""What goes with converted rows -> its name there: `datasets` would read a README.md as that of the folder that it lies in."""
PICTURES = "card/"
"""Folder of what the card shows, which goes with it."""

MADE_OF: dict[str, type[Any]] = {"sft": Row, "preference": PreferencePair}
"""View -> the records that its rows stand for."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted."""

    format: str | None = None
    """One of `export.formats()`; None: the files as they are."""
    view: str | None = None
    """One of `VIEWS`; None: all, or the one that the format is made of."""
    least: float | None = None
    """Lowest score of a row, and of the chosen answer of a pair; only with a format."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be fetched, and what is to be made of it."""

    version: Version
    order: Order
    files: Mapping[str, File]
    """Path in the version -> file."""
    exporter: Exporter | None
    """Of the format; None: the files as they are."""

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files.values())

    @property
    def view(self) -> str:
        """The view that a format is made of."""
        return "preference" if self.exporter is not None and self.exporter.reads is PreferencePair else "sft"

    def __str__(self) -> str:
        """What would be written, in a few words."""
        if self.exporter is None:
            return f"{self.version.ref}: {len(self.files)} files as they are"
        return f"{self.version.ref}: {self.version.rows.get(self.view, 0):,} rows of {self.view} as {self.order.format}"


def make_plan(version: Version, order: Order) -> Plan:
    """Say what an order takes.

    Raises:
        BadInputError: no such view or format, or one that no version holds. DamageError: the manifest lies.
    """
    _check(version)
    _check_order(order)
    exporter = None if order.format is None else _exporter(order.format)
    plan = Plan(version, order, {}, exporter)
    if exporter is not None and order.view not in {None, plan.view}:
        msg = f"{order.format} is made of the view {plan.view}, not of {order.view}"
        raise BadInputError(
            msg, remedy=f"leave out --view {order.view}, or take --format {' or '.join(_of(order.view))}"
        )
    view = plan.view if exporter is not None else order.view
    papers = [name for name in version.files if not name.startswith("data/")]
    if exporter is not None:
        papers = [name for name in papers if name in PAPERS or name.startswith(PICTURES)]
    shards = version.shards(view) if view else [name for name in version.files if name.startswith("data/")]
    if view and not shards:
        msg = f"{version.ref} has no {view} rows"
        raise BadInputError(
            msg, remedy=f"it has: {', '.join(name for name in VIEWS if version.shards(name)) or 'no rows'}"
        )
    return Plan(version, order, {name: version.files[name] for name in (*papers, *shards)}, exporter)


def check_room(plan: Plan, path: Path, *, there: int) -> None:
    """Refuse what does not fit beside `path`, where `there` bytes of it lie already.

    Raises:
        NoRoomError: as said.
    """
    place = next(one for one in (path, *path.parents) if one.is_dir())
    free = shutil.disk_usage(place).free
    if plan.bytes - there > free:
        msg = f"{plan.version.ref} takes {plan.bytes - there:,} bytes more, and {place} has room for {free:,}"
        raise NoRoomError(msg, remedy="make room or choose another place with -o; nothing was fetched")


def _check(version: Version) -> None:
    """A manifest may come from anywhere; names and sizes are checked where it is read."""
    names = version.files.keys()
    folders = {str(parent) for name in names for parent in Path(name).parents}
    lies = ""
    if len(names) > MOST_FILES:
        lies = f"names {len(names):,} files, more than {MOST_FILES:,}"
    elif MANIFEST in names:
        lies = "names itself"
    elif clash := sorted(names & folders):
        lies = f"has {clash[0]} as a file and as a folder"
    elif long := [name for name in names if len(name) > LONGEST_PATH]:
        lies = f"names a path of {len(long[0])} characters"
    if lies:
        msg = f"the manifest of {version.ref} {lies}"
        raise DamageError(msg, remedy="tell who keeps that catalogue; nothing was fetched")


def _check_order(order: Order) -> None:
    if order.view is not None and order.view not in VIEWS:
        msg = f"no view {order.view!r}"
        raise BadInputError(msg, remedy=f"one of: {', '.join(VIEWS)}")
    if order.least is not None and order.format is None:
        raise BadInputError(
            "files are fetched as they are: there --min-score changes nothing", remedy="add --format FORMAT"
        )
    if order.least is not None and not abs(order.least) < float("inf"):
        msg = f"--min-score {order.least:g} is no number to compare with"
        raise BadInputError(msg, remedy="give a finite number")


def _exporter(form: str) -> Exporter:
    name = form.replace("-", "_")
    able = (*_of("sft"), *_of("preference"))
    if ":" not in form and name.replace("_", "-") not in formats():
        near = get_close_matches(form, able, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        msg = f"no format {printable(form, longest=80)!r}"
        raise BadInputError(msg, remedy=f"{hint}one of: {', '.join(able)}")
    exporter: Exporter = kinds.resolve(name, Exporter, folders=EXPORTERS)(kind=name)
    if exporter.reads not in MADE_OF.values():
        msg = f"{form} is made of all judged answers, of which a version has only those that were kept"
        raise BadInputError(
            msg, remedy=f"--format {', '.join(able)}; or export the run itself: selfinstruct export RUN --format {form}"
        )
    return exporter


def _of(view: str | None) -> list[str]:
    """Return the formats that are made of a view."""
    wanted: type[Any] | None = MADE_OF.get(view or "")
    found = [(one, kinds.resolve(one.replace("-", "_"), Exporter, folders=EXPORTERS)) for one in formats()]
    return [name for name, exporter in found if exporter.reads is wanted]
