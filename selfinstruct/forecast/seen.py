"""What a stored run shows of itself, branch by branch: rows, and calls and tokens per stage. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from selfinstruct.records import Fate
from selfinstruct.store import request_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from selfinstruct.runs import StoredRun

SPENT = ("calls", "prompt_tokens", "completion_tokens")
"""What is counted per stage."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Counts of the settled requests; the first axis is the branch."""

    labels: tuple[str, ...]
    """Of the stages."""
    requests: NDArray[np.int64]
    """(branches): the request of each branch, from 0 without gaps."""
    rows: NDArray[np.float64]
    """(branches): finished rows."""
    spent: NDArray[np.float64]
    """(branches, stages, 3): see `SPENT`. What the first stage took is shared among the branches of a request."""
    made: NDArray[np.float64]
    """(branches, stages): records and failures ..."""
    kept: NDArray[np.float64]
    """... and accepted records."""


def settled(run: StoredRun) -> int:
    """Return how many requests, from the first on, have all come to their end: those after them would favour quick ones."""
    store, parents = run.store, run.tree.parents
    root = next(label for label, parent in parents.items() if parent is None)
    open_ = [
        number
        for label, parent in parents.items()
        if parent is not None
        for number in store.pending(label, parent=parent, failed=False)[:1]
    ]
    last = [int(run.closing.partition(".")[0]) + 1] if run.closing else []
    return min([store.worked().get(root, 0), *open_, *last])


def look(run: StoredRun) -> Seen | None:
    """Return what the settled part of a run shows; None when there is none."""
    before = settled(run)
    if not before:
        return None
    labels = {label: place for place, label in enumerate(run.tree.parents)}
    came, spent = run.store.came(before=before), run.store.spent(before=before)
    branches = _branches({path for path, *_ in came}, before)
    at = {path: place for place, path in enumerate(branches)}
    of_request: dict[str, list[int]] = {}
    for path, place in at.items():
        of_request.setdefault(path.partition(".")[0], []).append(place)
    seen = Seen(
        labels=tuple(labels),
        requests=np.array([int(path.partition(".")[0]) for path in branches]),
        rows=np.zeros(len(branches)),
        spent=np.zeros((len(branches), len(labels), len(SPENT))),
        made=np.zeros((len(branches), len(labels))),
        kept=np.zeros((len(branches), len(labels))),
    )
    for path, stage, fate, count in came:
        places = [at[path]] if path in at else of_request[path]
        seen.made[places, labels[stage]] += count / len(places)
        if fate == Fate.ACCEPTED:
            seen.kept[places, labels[stage]] += count / len(places)
    seen.rows[:] = seen.kept[:, labels[run.tree.rows]]
    for path, stage, *counts in spent:
        places = [at[path]] if path in at else of_request[path]
        seen.spent[places, labels[stage]] += np.array(counts) / len(places)
    return seen


def _branches(paths: set[str], before: int) -> list[str]:
    """Return the paths of the branches in order; a request whose own call failed is a branch itself."""
    fruitful = {path.partition(".")[0] for path in paths if "." in path}
    barren = {request_path(number) for number in range(before)} - fruitful
    return sorted({path for path in paths if "." in path} | barren)
