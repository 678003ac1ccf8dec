"""A run that exists: its recipe, its accounts, its drops, and where a row came from. Reads only."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from selfinstruct import recipe as recipes
from selfinstruct.errors import BadInputError
from selfinstruct.ledger import Accounts, StageTree, accounts
from selfinstruct.records import Fate, Record, Row
from selfinstruct.stage import stage_parents
from selfinstruct.store import facts_of, read_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selfinstruct.recipe import Recipe
    from selfinstruct.store import RecordRow, RunReader


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run folder, open for reading."""

    folder: Path
    store: RunReader
    recipe: Recipe
    digest: str
    """Of everything that decides what the run makes: recipe, models, seeds, prompts."""
    target: int
    closing: str | None
    """Path of the last row of a filled order."""
    ended: str
    """How the last invocation ended; empty while one is under way or was killed."""

    @property
    def tree(self) -> StageTree:
        """Which stage reads which."""
        return tree_of(self.recipe)

    def writer_of(self, kind: type[Record]) -> str | None:
        """Return the label of the last stage that writes records of `kind`."""
        return next((stage.label for stage in reversed(self.recipe.stages) if stage.writes() is kind), None)

    def accounts(self) -> Accounts:
        """Count the run."""
        return accounts(self.store, self.tree, upto=self.closing)

    def drops(self, rule: str | None = None) -> Iterator[tuple[RecordRow, Any]]:
        """Yield dropped rows with their evidence, in admission order."""
        yield from self.store.scan(fate=Fate.DROPPED, rule=rule, upto=self.closing)


def tree_of(recipe: Recipe) -> StageTree:
    """Return the shape of a recipe's stages."""
    rows = next(stage.label for stage in recipe.stages if stage.writes() is Row)
    return StageTree(parents=stage_parents(recipe.stages), rows=rows)


@contextmanager
def open_stored(folder: Path) -> Iterator[StoredRun]:
    """Open the run in `folder` for reading.

    Raises:
        BadInputError: there is no run there, or it never got as far as its recipe.
    """
    with read_run(folder) as store:
        meta = store.get_meta()
        if "recipe" not in meta:
            msg = f"{folder} holds a run that never started"
            raise BadInputError(msg, remedy=f"selfinstruct run -n 100 -o {folder}")
        yield StoredRun(
            folder=folder,
            store=store,
            recipe=recipes.build(json.loads(meta["recipe"]), source=f"{folder} (stored recipe)"),
            digest=meta["digest"],
            target=int(meta["target"]),
            closing=meta.get("closing") or None,
            ended=meta.get("ended", ""),
        )


def lineage(run: StoredRun, record: str) -> list[dict[str, Any]]:
    """Return a record (by id or its beginning), what it descends from, first things first, and the answers behind it.

    Raises:
        BadInputError: several records begin so.
    """
    found = run.store.find(record)
    if len(found) > 1:
        msg = f"{len(found)} records begin with {record}"
        raise BadInputError(msg, remedy=f"one of: {', '.join(row.id for row, _ in found[:8])}")
    lines: list[dict[str, Any]] = []
    while found:
        row, body = found[0]
        answers = [reply for _, reply in run.store.calls_of(row.work)]
        fate = {"fate": row.fate, **({"drop": body["drop"]} if body["drop"] else {})}
        lines.append(
            {"id": row.id, "stage": row.stage, "path": row.path, **fate, "record": body["record"], "calls": answers}
        )
        found = run.store.find(row.parent)
    return lines[::-1]


def accepted_rows(folder: Path) -> int:
    """Return how many rows the run in `folder` has; 0 when there is no run yet."""
    if "recipe" not in facts_of(folder):  # its first start found no server
        return 0
    with open_stored(folder) as run:
        return run.accounts().ledger.accepted
