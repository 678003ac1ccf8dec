"""What a version added, against what was there before: each drift with its limit, and which were crossed. Knows figures only."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from selfinstruct.catalogue.drift import Drift, drift
from selfinstruct.figures.bins import PER_DOUBLING, length_bounds
from selfinstruct.records import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from selfinstruct.catalogue.version import Version
    from selfinstruct.figures.model import Figures

Limit = Annotated[float, Field(ge=0, le=1)]
What = Literal["acceptance", "duplicates", "score", "length", "language", "answer_language", "topic"]

NOVELTY = frozenset({"rouge", "minhash", "embedding"})
"""Rules that drop what is near to an earlier text."""
FEWEST_OF_A_TOPIC = 5
"""A verb with its noun that fewer rows have counts as its verb alone: most pairs occur once, and no two nights share those."""
DUPLICATE = "near an earlier one"
ABOUT: dict[What, str] = {
    "acceptance": "kept, dropped or failed, of all rows that were made",
    "duplicates": "candidates that are too near to an earlier text",
    "score": "scores of all judged rows, to the nearest half point",
    "length": "lengths of answers, in doublings",
    "language": "script that most letters of the instruction are of",
    "answer_language": "the same of the answer",
    "topic": "verb and noun of the instruction",
}
"""What is compared -> what its distribution is of."""


class Limits(Frozen):
    """Share of the added rows that may be of another kind than before, beyond chance (`Drift.excess`), without an alarm.

    Measured on 60 nights of the demo, 100 rows each, each with a seed of its own, against the 300 rows of three more: by chance
    and by rows that hang together (those of one instruction share its topic) the farthest lay 0.10 off in acceptance, 0.12 in
    length, 0.21 in topic, and 0 in all else. A limit lies above that, and as low as what its line names.
    """

    acceptance: Limit = 0.15
    """One row in seven has another fate: a judge or a server that changed."""
    duplicates: Limit = 0.15
    """Alarms only when they become more: the set is drying up."""
    score: Limit = 0.2
    """One row in five is scored otherwise: another judge, or another writer."""
    length: Limit = 0.2
    """One answer in five is twice, or half as long as they used to be."""
    language: Limit = 0.05
    """Nothing should move here: one row in twenty in another script is a model that slipped into another language."""
    answer_language: Limit = 0.05
    topic: Limit = 0.35
    """One row in three is about something else."""
    fewest: Annotated[int, Field(ge=1)] = 30
    """With fewer counted on either side nothing alarms."""


class Compared(Frozen):
    """One drift, held against its limit."""

    what: What
    drift: Drift | None
    """None where nothing was counted on one side."""
    before: float | None = None
    added: float | None = None
    """A figure for each side: share kept, share near earlier ones, mean score, median length; None for kinds without order."""
    limit: float = 1
    alarm: bool = False


class Diff(Frozen):
    """What a version added to the one that it stands on."""

    name: str
    version: int
    base: int
    trial: bool
    before: dict[str, int]
    added: dict[str, int]
    """View -> rows."""
    changed: tuple[str, ...]
    """What was made otherwise, a line each."""
    compared: tuple[Compared, ...]
    limits: Limits


def diff(version: Version, before: Figures, added: Figures, *, limits: Limits | None = None) -> Diff:
    """Compare what `version` added with the figures of its base.

    Raises:
        ValueError: it has no base.
    """
    if version.base is None:
        msg = f"{version.ref} stands on no other version"
        raise ValueError(msg)
    return Diff(
        name=version.name,
        version=version.version,
        base=version.base,
        trial=version.trial,
        before={view: rows - version.added.get(view, 0) for view, rows in version.rows.items()},
        added=version.added,
        changed=version.changed,
        compared=compare(before, added, limits=limits),
        limits=limits or Limits(),
    )


def compare(before: Figures, added: Figures, *, limits: Limits | None = None) -> tuple[Compared, ...]:
    """Compare any two sets of figures, in the order of `ABOUT`."""
    pairs = _distributions(before, added)
    sides = _centres(before, pairs["duplicates"][0]), _centres(added, pairs["duplicates"][1])
    compared = (
        Compared(what=what, drift=drift(*pairs[what]), before=sides[0].get(what), added=sides[1].get(what))
        for what in ABOUT
    )
    return tuple(_held(one, limits or Limits()) for one in compared)


def alarms(found: Diff, limits: Limits | None = None) -> list[str]:
    """Return a line for each limit that was crossed; with `limits`, of these instead of those of the diff."""
    held = found.compared if limits is None else [_held(one, limits) for one in found.compared]
    return [
        f"{one.what}: {one.drift.excess:.2f} beyond chance, limit {one.limit:g}{_from_to(one)}"
        for one in held
        if one.alarm and one.drift is not None
    ]


def _held(one: Compared, limits: Limits) -> Compared:
    """Hold a drift against its limit."""
    limit: float = getattr(limits, one.what)
    enough = one.drift is not None and min(one.drift.before, one.drift.added) >= limits.fewest
    good_news = one.what == "duplicates" and (one.added or 0) <= (one.before or 0)
    crossed = one.drift is not None and enough and not good_news and one.drift.excess > limit
    return one.model_copy(update={"limit": limit, "alarm": crossed})


def _from_to(one: Compared) -> str:
    if one.before is None or one.added is None:
        return ""
    return f" ({figure(one.what, one.before)} before, now {figure(one.what, one.added)})"


def figure(what: What, value: float | None) -> str:
    """Return the figure of a side as one reads it."""
    if value is None:
        return ""
    told = {"acceptance": f"{value:.1%} kept", "duplicates": f"{value:.1%}", "score": f"{value:.2f} in the mean"}
    return told.get(what, f"{value:,.0f} characters")


def _distributions(before: Figures, added: Figures) -> dict[What, tuple[Mapping[str, int], Mapping[str, int]]]:
    gates = {label for some in (before, added) for label, stage in some.funnel.items() if NOVELTY & stage.drops.keys()}
    return {
        "acceptance": (_fates(before), _fates(added)),
        "duplicates": (_novelty(before, gates), _novelty(added, gates)),
        "score": (_scores(before), _scores(added)),
        "length": (_lengths(before), _lengths(added)),
        "language": (before.scripts, added.scripts),
        "answer_language": (before.output_scripts, added.output_scripts),
        "topic": _topics(before, added),
    }


def _centres(of: Figures, near: Mapping[str, int]) -> dict[What, float]:
    known: dict[What, float | None] = {
        "acceptance": of.acceptance,
        "duplicates": near[DUPLICATE] / sum(near.values()) if sum(near.values()) else None,
        "score": of.scores.mean(),
        "length": of.output.quantile(0.5),
    }
    return {what: round(value, 4) for what, value in known.items() if value is not None}


def _fates(of: Figures) -> dict[str, int]:
    return {"kept": of.ledger.accepted, "dropped": of.ledger.dropped, "failed": of.ledger.failed}


def _novelty(of: Figures, gates: set[str]) -> dict[str, int]:
    stages = [stage for label, stage in of.funnel.items() if label in gates]
    near = sum(count for stage in stages for rule, count in stage.drops.items() if rule in NOVELTY)
    return {DUPLICATE: near, "other": sum(stage.accepted + stage.dropped for stage in stages) - near}


def _scores(of: Figures) -> Counter[str]:
    counted: Counter[str] = Counter()
    for hundredths, count in of.scores.all().items():
        counted[f"{round(hundredths / 50) / 2:g}"] += count
    return counted


def _lengths(of: Figures) -> Counter[str]:
    counted: Counter[str] = Counter()
    for number, count in of.output.characters.items():
        doubling = number // PER_DOUBLING
        low, beyond = length_bounds(doubling * PER_DOUBLING)[0], length_bounds((doubling + 1) * PER_DOUBLING)[0]
        counted[f"{low:,} to {beyond - 1:,} characters"] += count
    return counted


def _topics(before: Figures, added: Figures) -> tuple[Counter[str], Counter[str]]:
    both = (before, added)
    pairs = [Counter({(verb, noun): n for verb, nouns in of.verbs.items() for noun, n in nouns.items()}) for of in both]
    enough = {pair for pair, count in (pairs[0] + pairs[1]).items() if count >= FEWEST_OF_A_TOPIC}
    told: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    for counted, some in zip(told, pairs, strict=True):
        for (verb, noun), count in some.items():
            counted[f"{verb} {noun}" if (verb, noun) in enough else f"{verb} ..."] += count
    return told
