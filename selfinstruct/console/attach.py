"""`watch`: the panel of a run that another process is at. Reads RUN/progress.json and, to say how it ended, the run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rich.console import Console

from selfinstruct.console import words
from selfinstruct.console.beacon import Presence, Sighting, age_of, presence, sight
from selfinstruct.console.panel import Panel
from selfinstruct.console.screen import screen
from selfinstruct.errors import BadInputError, SelfInstructError
from selfinstruct.runs import open_stored
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from pathlib import Path

LOOK_SECONDS = 0.5
"""Between two looks at the file."""


def snapshot(folder: Path) -> dict[str, Any]:
    """Return what is known: `state` (working, silent, ended, gone), `age` of the news in seconds, and the file's fields.

    Raises:
        BadInputError: nobody was ever at it, or there is no run.
    """
    sighting = _sighting(folder)
    return {"state": presence(sighting), "age": age_of(sighting), **sighting.model_dump(mode="json")}


def show_once(folder: Path) -> None:
    """Print the panel as it is now to stdout.

    Raises:
        BadInputError: nobody was ever at it, or there is no run. SelfInstructError: its process has died.
    """
    sighting = _sighting(folder)
    over = presence(sighting) in {Presence.ENDED, Presence.GONE}
    Console().print(Panel(sighting.figures, str(folder), _note(sighting), over))
    _check(folder, sighting)


def follow(folder: Path) -> None:
    """Show the panel until the run ends, then say how.

    Raises:
        BadInputError: nobody was ever at it, or there is no run. SelfInstructError: its process has died.
    """
    sighting = _sighting(folder)
    shown = screen(str(folder))
    due = 0.0
    with shown:
        while presence(sighting) in {Presence.WORKING, Presence.SILENT}:
            if time.monotonic() >= due:
                shown.show(sighting.figures, note=_note(sighting))
                due = time.monotonic() + shown.every
            time.sleep(LOOK_SECONDS)
            sighting = _sighting(folder)
        shown.leave(sighting.figures, _note(sighting))
    _check(folder, sighting)


def _sighting(folder: Path) -> Sighting:
    found = sight(folder)
    if found is not None:
        return found
    with open_stored(folder) as run:  # says so when there is no run at all
        ended = run.ended
    msg = f"nobody is at work on {folder}" + (f"; it ended: {ended}" if ended else "")
    raise BadInputError(msg, remedy=f"selfinstruct stats {folder}, or go on with it: selfinstruct resume {folder}")


def _note(sighting: Sighting) -> str:
    match presence(sighting):
        case Presence.ENDED:
            return f"ended: {printable(sighting.ended, longest=200)}"
        case Presence.GONE:
            return f"process {sighting.pid} is gone; this is what it told {words.clock(age_of(sighting))} ago"
        case Presence.SILENT:
            return f"no news from process {sighting.pid} for {words.clock(age_of(sighting))}"
        case _:
            return ""


def _check(folder: Path, sighting: Sighting) -> None:
    if presence(sighting) is Presence.GONE:
        msg = f"process {sighting.pid} on {sighting.host} died {words.clock(age_of(sighting))} ago; nobody is at work on {folder}"
        raise SelfInstructError(msg, remedy=f"selfinstruct resume {folder}")
