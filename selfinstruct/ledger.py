"""Every row has exactly one fate: the ledger counts them, per stage and for the run, and checks itself.

Reads the store; knows no engine and no stage class (a stored plan names the stages).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from selfinstruct.records import Fate, Frozen

if TYPE_CHECKING:
    from selfinstruct.store import RunReader


class Ledger(Frozen):
    """Counts of one stage, or of the run. generated = accepted + dropped + failed + open."""

    generated: int = 0
    accepted: int = 0
    dropped: int = 0
    failed: int = 0
    open: int = 0

    @property
    def balanced(self) -> bool:
        """Whether the equation holds."""
        return self.generated == self.accepted + self.dropped + self.failed + self.open and self.open >= 0


class StageTree(Frozen):
    """Labels of a run's stages, in order, with the stage each one reads; `rows` is the stage that finishes rows."""

    parents: dict[str, str | None]
    rows: str

    def trunk(self) -> list[str]:
        """Return the labels from the first stage to the one that finishes rows: where a row's fate is decided."""
        path: list[str] = []
        label: str | None = self.rows
        while label is not None:
            path.append(label)
            label = self.parents[label]
        return path[::-1]


class Accounts(Frozen):
    """The whole bookkeeping of a run, up to the row that filled the order."""

    ledger: Ledger
    stages: dict[str, Ledger]
    drops: dict[str, int]
    """By rule; a rule that several stages share is summed."""
    drops_by_stage: dict[str, dict[str, int]]
    calls: dict[str, int]
    """total, prompt_tokens, completion_tokens: of the whole run, surplus included."""
    surplus: int
    """Finished rows beyond the order: stored, used first when more are asked for, never exported."""

    def problems(self) -> Iterator[str]:
        """Yield a line for each equation that does not hold."""
        for name, ledger in (("run", self.ledger), *self.stages.items()):
            if not ledger.balanced:
                yield f"ledger of {name} does not balance: {ledger!r}"


def accounts(store: RunReader, tree: StageTree, *, upto: str | None) -> Accounts:
    """Count a run. `upto` is the path of the row that filled the order, None for everything there is."""
    fates = store.fates(upto=upto)
    worked = store.worked(upto=upto)
    entered = {
        label: fates.get((parent, Fate.ACCEPTED.value), 0)
        if parent
        else worked.get(label, 0) + store.started_requests(label, upto=upto)
        for label, parent in tree.parents.items()
    }
    stages = {label: _stage(label, fates, waiting=entered[label] - worked.get(label, 0)) for label in entered}
    drops = store.drops(upto=upto)
    by_rule: Counter[str] = Counter()
    by_stage: dict[str, dict[str, int]] = {label: {} for label in tree.parents}
    for (label, rule), count in sorted(drops.items()):
        by_rule[rule] += count
        by_stage[label][rule] = count
    total, prompt, completion = store.usage()
    everything = store.fates() if upto is not None else fates
    return Accounts(
        ledger=_run(stages, tree.trunk()),
        stages=stages,
        drops=dict(by_rule.most_common()),
        drops_by_stage=by_stage,
        calls={"total": total, "prompt_tokens": prompt, "completion_tokens": completion},
        surplus=everything.get((tree.rows, Fate.ACCEPTED.value), 0) - stages[tree.rows].accepted,
    )


def _stage(label: str, fates: Mapping[tuple[str, str], int], *, waiting: int) -> Ledger:
    counts = {fate.value: fates.get((label, fate.value), 0) for fate in (Fate.ACCEPTED, Fate.DROPPED, Fate.FAILED)}
    return Ledger(generated=sum(counts.values()) + waiting, open=waiting, **counts)


def _run(stages: Mapping[str, Ledger], trunk: list[str]) -> Ledger:
    """Fold the trunk: what one stage accepts is what the next is about; every other fate ends a row there."""
    parts = [stages[label] for label in trunk]
    return Ledger(
        generated=sum(part.generated for part in parts) - sum(part.accepted for part in parts[:-1]),
        accepted=parts[-1].accepted,
        dropped=sum(part.dropped for part in parts),
        failed=sum(part.failed for part in parts),
        open=sum(part.open for part in parts),
    )
