"""What a run shows: every call and record of the settled requests once, and nothing of the others."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfinstruct import pipeline, recipe, runs
from selfinstruct.forecast.seen import Seen, look, settled
from selfinstruct.runner import Limits


def made(folder: Path, *sets: str, rows: int = 30, limits: Limits = Limits()) -> runs.StoredRun:  # noqa: B008 - frozen
    loaded = recipe.load("demo", environment={}, sets=[*sets, "exports=[]"])
    pipeline.run_sync(loaded, folder, target=rows, limits=limits)
    with runs.open_stored(folder) as stored:
        return stored


def seen(folder: Path) -> Seen:
    with runs.open_stored(folder) as stored:
        found = look(stored)
    assert found is not None
    return found


def asked(folder: Path, query: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(folder / "run.db")) as database:
        return database.execute(query, values).fetchall()


def test_every_call_and_record_of_settled_requests_counts_once(tmp_path: Path) -> None:
    """Sums per stage are those of the tables, up to the request that filled the order."""
    run = made(tmp_path / "run", "engines.writer.cut=0.2", "engines.writer.unreadable_verdicts=0.3")
    last = int(str(run.closing).partition(".")[0])
    found = seen(tmp_path / "run")
    for place, label in enumerate(found.labels):
        query = "SELECT count(*), sum(prompt_tokens), sum(completion_tokens) FROM calls WHERE stage=? AND request<=?"
        [counts] = asked(tmp_path / "run", query, label, last)
        assert found.spent[:, place].sum(axis=0) == pytest.approx([count or 0 for count in counts])
        query = "SELECT count(*), sum(fate='accepted') FROM records WHERE stage=? AND request<=?"
        [(records, kept)] = asked(tmp_path / "run", query, label, last)
        query = "SELECT count(*) FROM work WHERE stage=? AND request<=? AND error IS NOT NULL"
        [(failed,)] = asked(tmp_path / "run", query, label, last)
        assert (found.made[:, place].sum(), found.kept[:, place].sum()) == pytest.approx((records + failed, kept))
    assert asked(tmp_path / "run", "SELECT count(*) FROM work WHERE error IS NOT NULL") != [(0,)]
    assert asked(tmp_path / "run", "SELECT max(request) FROM calls") > [(last,)]
    assert found.rows.sum() >= 30
    assert sorted(set(found.requests.tolist())) == list(range(last + 1))


def test_a_request_that_gave_nothing_is_a_branch(tmp_path: Path) -> None:
    """Its call was paid for: left out, every row would look cheaper."""
    made(tmp_path / "run", "engines.writer.empty=0.5", "stop.rows=0", rows=10)
    found = seen(tmp_path / "run")
    barren = found.made[:, 0] - found.kept[:, 0] > 0
    assert found.spent[barren, 0, 0].sum() >= 1
    assert np.bincount(found.requests).min() == 1


def test_only_requests_without_a_gap_before_them_are_settled(tmp_path: Path) -> None:
    """Of a run that was stopped, what lies behind an unfinished request would favour the quick ones."""
    made(tmp_path / "run", "engines.writer.latency=0.01", rows=400, limits=Limits(tokens=900_000))
    with runs.open_stored(tmp_path / "run") as stored:
        before = settled(stored)
        labels = stored.tree.parents
        pending = [stored.store.pending(label, parent=parent) for label, parent in labels.items() if parent]
        started = stored.store.worked()["bootstrap"]
    assert 0 < before == min(number for numbers in pending for number in numbers) < started
    assert set(seen(tmp_path / "run").requests.tolist()) == set(range(before))


def test_nothing_settled_nothing_seen(tmp_path: Path) -> None:
    """A run that was stopped before its first request was through."""
    made(tmp_path / "run", limits=Limits(tokens=1))
    with runs.open_stored(tmp_path / "run") as stored:
        assert look(stored) is None
