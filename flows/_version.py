"""What is told of a version that has been published: its papers and a link on the page, events, and the state of the run."""

from __future__ import annotations

import re
from collections.abc import Sequence

import _page
from _forms import Publishing
from prefect.client.schemas.objects import State
from prefect.states import Completed

from selfinstruct.catalogue.papers import alarms_of
from selfinstruct.catalogue.place import Published
from selfinstruct.catalogue.version import CARD, DIFF
from selfinstruct.errors import SelfInstructError

PAPERS = {"card": (CARD, "The card of the version"), "diff": (DIFF[1], "Against the version before")}
HEAD = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
"""What the Hub reads off a card; a page would show it as headings."""
ALARMING = "Alarming"
"""Name of the state of a night that came through, and of which somebody should look at what it brought."""


def shown(publishing: Publishing, made: Published, notes: Sequence[str] = ()) -> State[None]:
    """Show a version on the page of the run, tell automations of it, and return the state of the run.

    `notes` are what somebody should look at, beside the limits that the version's difference to the one before has crossed.
    """
    manifest = made.manifest
    facts = {
        "dataset": manifest.name,
        "version": manifest.version,
        "rows": manifest.rows["sft"],
        "added": manifest.added["sft"],
        "where": made.where,
    }
    for key, (file, about) in PAPERS.items():
        with _page.spared(key):
            if file in manifest.files:
                _page.paper(key, HEAD.sub("", made.text(file)), about)
    if publishing.viewer:
        _page.link("viewer", f"{publishing.viewer.rstrip('/')}/d/{manifest.name}/{manifest.version}", f"{manifest.ref}")
    _page.event("published", manifest.name, facts)
    message = f"{manifest.ref}: {manifest.rows['sft']:,} rows, {manifest.added['sft']:,} new"
    alarms = [*notes, *_alarms(made)]
    if not alarms:
        return Completed(message=message)
    _page.event("alarm", manifest.name, {**facts, "alarms": alarms})
    return Completed(name=ALARMING, message="; ".join([message, *alarms]))


def _alarms(made: Published) -> list[str]:
    """Return the limits that a version has crossed. It is public by now: when that cannot be found out, somebody should look."""
    try:
        return alarms_of(made)
    except (OSError, SelfInstructError) as error:
        return [f"whether a limit was crossed cannot be read: {error}"]
