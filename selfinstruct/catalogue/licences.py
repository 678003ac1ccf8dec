"""Under what terms a dataset and what it was made with stand. Known or said; never guessed. Knows no run."""

from __future__ import annotations

import logging
from difflib import get_close_matches
from typing import TYPE_CHECKING

from selfinstruct.catalogue.head import HUB_LICENCES
from selfinstruct.catalogue.version import Licences
from selfinstruct.errors import BadInputError
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

log = logging.getLogger(__name__)

SHIPPED_SEEDS = "apache-2.0"
"""seeds/README.md."""
TRIAL = "none"
"""What stands where nothing is said about rows for trying out: nobody may do anything with them."""
USUAL = HUB_LICENCES | {"unknown", "other"}
"""What may be said without a warning."""
LONGEST = 100
"""Characters of a licence: an SPDX name or a few words, no text of one."""


def parse(said: Iterable[str]) -> dict[str, str]:
    """Read KEY=LICENCE: KEY is dataset, writer, judge, seeds, source or a model's name. An unusual licence is warned of.

    Raises:
        BadInputError: one that is not of this form, or a key that stands twice.
    """
    found: dict[str, str] = {}
    for one in said:
        key, _, value = (part.strip() for part in one.rpartition("="))
        if not key or not value or key in found or not value.isprintable() or len(value) > LONGEST:
            msg = f"--licence {printable(one, longest=160)!r} is not KEY=LICENCE" + " (given twice)" * (key in found)
            raise BadInputError(msg, remedy="for instance --licence dataset=cc-by-4.0 --licence writer=apache-2.0")
        if value.lower() not in USUAL:
            near = get_close_matches(value.lower(), USUAL, n=1)
            hint = f": is {near[0]} meant?" if near else ""
            log.warning("--licence %s: no licence that the Hub knows by this name%s", printable(one, longest=160), hint)
        found[key] = value
    return found


def settle(
    said: Mapping[str, str],
    *,
    writers: Iterable[str],
    judges: Iterable[str],
    seeds: str | None,
    source: str | None,
    before: Licences | None,
    trial: bool,
) -> Licences:
    """Return the licences of everything: as said, else as known, else as in the version before.

    Of `seeds` and of `source`, the rows that were given, "" says that there are none, None that their terms are unknown.

    Raises:
        BadInputError: one is unknown, or is said of something that is not there.
    """
    writers, judges = tuple(dict.fromkeys(writers)), tuple(dict.fromkeys(judges))
    origins = [what for what, known in (("seeds", seeds), ("source", source)) if known != ""]
    if strange := said.keys() - {"dataset", "writer", "judge", *origins, *writers, *judges}:
        known = ", ".join(printable(one, longest=100) for one in dict.fromkeys((*writers, *judges)))
        msg = f"--licence {printable(min(strange), longest=100)}=...: nothing of that name made these rows"
        raise BadInputError(
            msg, remedy=f"dataset, writer, judge, {', '.join(origins)}, or one of these models: {known}"
        )
    wrote, judged = (before.writers, before.judges) if before else ({}, {})
    missing: list[str] = []

    def find(what: str, *known: str | None) -> str:
        found = next((one for one in known if one), TRIAL if trial else None)
        if found is None:
            missing.append(what)
        return found or ""

    made = Licences(
        dataset=find("dataset", said.get("dataset"), before.dataset if before else None),
        writers={one: find(one, said.get(one), said.get("writer"), {**judged, **wrote}.get(one)) for one in writers},
        judges={one: find(one, said.get(one), said.get("judge"), {**wrote, **judged}.get(one)) for one in judges},
        seeds=find("seeds", said.get("seeds"), seeds) if "seeds" in origins else "",
        source=find("source", said.get("source"), source) if "source" in origins else "",
    )
    if missing:
        named = list(dict.fromkeys(printable(one, longest=100) for one in missing))
        msg = f"nobody has said under which licence stand: {', '.join(named)}"
        say = " ".join(f"--licence {one}=LICENCE" for one in named)
        raise BadInputError(msg, remedy=f"{say} (an SPDX name; `unknown`, if that is so)")
    return made
