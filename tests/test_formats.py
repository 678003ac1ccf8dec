"""The trial that chooses a form of answer: JSON unless another is clearly better, once a run, on record, told."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from selfinstruct import formats, pipeline, recipe
from selfinstruct.engines.base import CompletionRequest, JsonSchema, Reply
from selfinstruct.engines.scripted import ScriptedEngine
from selfinstruct.errors import BadInputError, CallError, Exit, RefusedError
from selfinstruct.recipe import Recipe
from selfinstruct.store import read_run
from selfinstruct.verify import verify

AUTO = [f"stages.{label}.format=auto" for label in ("bootstrap", "instances", "judge")]
SPOILT = "engines.writer.broken_json=1"
"""JSON that stops in the middle and says that it is whole: a model that cannot write it."""


def demo(*sets: str) -> Recipe:
    return recipe.load("demo", environment={}, sets=[*AUTO, *sets])


def chosen(folder: Path) -> dict[str, str]:
    """The forms that stand in the stored recipe."""
    with read_run(folder) as store:
        stages = json.loads(store.get_meta()["recipe"])["stages"]
    return {
        one["name"] or one["kind"]: one["format"]
        for one in stages
        if one["kind"] in {"bootstrap", "instances", "rubric"}
    }


def trial_calls(folder: Path) -> int:
    """Calls under `formats` in the store."""
    with read_run(folder) as store:
        return sum(1 for call, _, _ in store.answered() if call.startswith(("formats", *_works(folder))))


def _works(folder: Path) -> tuple[str, ...]:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(folder / "run.db")) as connection:
        return tuple(row[0] for row in connection.execute("select distinct work from calls where stage = 'formats'"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[CompletionRequest]:
    """What the scripted engine is asked, in order."""
    requests: list[CompletionRequest] = []
    answer = ScriptedEngine.complete

    async def complete(engine: ScriptedEngine, request: CompletionRequest) -> Reply:
        requests.append(request)
        return await answer(engine, request)

    monkeypatch.setattr(ScriptedEngine, "complete", complete)
    return requests


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith("form of answers")]


def test_json_is_kept_where_it_can_be_read(
    tmp_path: Path, asked: list[CompletionRequest], caplog: pytest.LogCaptureFixture
) -> None:
    """8 calls a stage and no more, told on one line; the run is the one with `json` in its recipe."""
    report = pipeline.run_sync(demo(), tmp_path / "run", target=10)
    assert chosen(tmp_path / "run") == {"bootstrap": "json", "instances": "json", "judge": "json"}
    assert len(told(caplog)) == 1
    assert told(caplog)[0].count(" readable: json") == 3
    assert "lines" not in told(caplog)[0]
    tried = len(asked)
    plain = pipeline.run_sync(recipe.load("demo", environment={}), tmp_path / "plain", target=10)
    assert tried - (len(asked) - tried) == 3 * formats.CALLS
    assert [one.files for _, one in report.exports.values()] == [one.files for _, one in plain.exports.values()]
    assert report.accounts.calls["total"] == tried


def test_plain_text_is_taken_where_json_cannot_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every stage goes over to its plain form, says so with figures, and the run then works from end to end."""
    report = pipeline.run_sync(demo(SPOILT), tmp_path / "run", target=20)
    assert report.exit_status is Exit.DONE
    assert chosen(tmp_path / "run") == {"bootstrap": "lines", "instances": "lines", "judge": "text"}
    (line,) = told(caplog)
    assert re.search(r"bootstrap: json 0 of 8 readable, lines [678] of 8 readable: lines; ", line)
    assert "judge: json 0 of 8 readable, text " in line
    assert report.accounts.drops.get("unreadable", 0) == 0
    assert list(verify(tmp_path / "run")) == []


def test_a_run_keeps_its_form(tmp_path: Path, asked: list[CompletionRequest]) -> None:
    """Taken up again, it is not tried again, not even when another would be found better now; nor is it refused."""
    pipeline.run_sync(demo(SPOILT), tmp_path / "run", target=5)
    before = len(asked)
    assert pipeline.run_sync(demo(SPOILT), tmp_path / "run", target=5).exit_status is Exit.DONE
    assert len(asked) == before
    pipeline.run_sync(demo(SPOILT), tmp_path / "run", target=30)
    assert chosen(tmp_path / "run") == {"bootstrap": "lines", "instances": "lines", "judge": "text"}
    with pytest.raises(BadInputError, match=r"stages\.instances\.format: 'lines' -> 'json'"):
        pipeline.run_sync(demo(SPOILT, "stages.instances.format=json"), tmp_path / "run", target=30)


CHILD = """
import os, sys
from pathlib import Path
from selfinstruct import pipeline, recipe
from selfinstruct.engines.scripted import ScriptedEngine
whole, calls = ScriptedEngine.complete, [0]
async def counted(engine, request):
    calls[0] += 1
    if calls[0] > 12:
        import asyncio
        await asyncio.sleep(0.5)  # what was answered is written down meanwhile
        os._exit(9)
    return await whole(engine, request)
ScriptedEngine.complete = counted
pipeline.run_sync(recipe.load("demo", environment={}, sets=sys.argv[2:]), Path(sys.argv[1]), target=5)
"""


def test_a_trial_that_was_killed_asks_only_for_the_rest(tmp_path: Path, asked: list[CompletionRequest]) -> None:
    """Its answers are in the store: 12 of 24 were there, 12 are asked for, and the run is the same."""
    child = [sys.executable, "-c", CHILD, str(tmp_path / "run"), *AUTO]
    assert subprocess.run(child, check=False).returncode == 9
    killed = pipeline.run_sync(demo(), tmp_path / "run", target=5)
    after = len(asked)
    whole = pipeline.run_sync(demo(), tmp_path / "whole", target=5)
    assert len(asked) - after == after + 12
    assert killed.accounts == whole.accounts


@pytest.mark.parametrize(
    ("counts", "form"),
    [
        ({"json": 8}, "json"),
        ({"json": 5, "lines": 8}, "json"),
        ({"json": 4, "lines": 8}, "lines"),
        ({"json": 3, "lines": 6}, "json"),
        ({"json": 0, "lines": 4}, "lines"),
        ({"json": 0, "lines": 0}, "json"),
        ({"json": 0, "lines": 4, "other": 6}, "other"),
    ],
)
def test_another_form_must_be_clearly_better(counts: dict[str, int], form: str) -> None:
    """By four of eight."""
    assert formats._best(counts) == form


def test_what_the_margin_is_worth() -> None:
    """The shares that its docstring tells, worked out."""
    from math import comb

    def binomial(count: int, share: float) -> float:
        return comb(formats.CALLS, count) * share**count * (1 - share) ** (formats.CALLS - count)

    def by_chance(share: float) -> float:
        every = range(formats.CALLS + 1)
        return sum(binomial(a, share) * binomial(b, share) for a in every for b in every if b >= a + formats.MARGIN)

    assert round(max(by_chance(share / 100) for share in range(101)), 3) == 0.038
    assert (
        round(sum(binomial(a, 0.25) for a in range(formats.CALLS - formats.MARGIN + 1, formats.CALLS + 1)), 3) == 0.027
    )


def test_a_server_that_refuses_the_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that is refused is an answer that cannot be read, in a trial as in a run."""
    answer = ScriptedEngine.complete

    async def refuse(engine: ScriptedEngine, request: CompletionRequest) -> Reply:
        if isinstance(request.constraint, JsonSchema):
            msg = "status 400: json_schema is not supported"
            raise RefusedError(msg)
        return await answer(engine, request)

    monkeypatch.setattr(ScriptedEngine, "complete", refuse)
    assert pipeline.run_sync(demo(), tmp_path / "run", target=5).exit_status is Exit.DONE
    assert set(chosen(tmp_path / "run").values()) == {"lines", "text"}


def test_nothing_is_tried_where_nothing_is_open(tmp_path: Path, asked: list[CompletionRequest]) -> None:
    """The demo asks for nothing that it did not ask for before."""
    report = pipeline.run_sync(recipe.load("demo", environment={}), tmp_path / "run", target=5)
    assert report.accounts.calls["total"] == len(asked)
    assert not [one for one in asked if one.id.startswith("formats")]
    assert _works(tmp_path / "run") == ()


def test_concurrency_holds_for_a_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fixed number is the most that is under way, in a trial too."""
    answer, under_way, most = ScriptedEngine.complete, [0], [0]

    async def counted(engine: ScriptedEngine, request: CompletionRequest) -> Reply:
        under_way[0] += request.n
        most[0] = max(most[0], under_way[0])
        try:
            return await answer(engine, request)
        finally:
            under_way[0] -= request.n

    monkeypatch.setattr(ScriptedEngine, "complete", counted)
    sets = ["concurrency=5", "engines.writer.latency=0.002"]
    pipeline.run_sync(demo(*sets), tmp_path / "run", target=3)
    assert most[0] == 5


def test_a_stage_that_cannot_be_tried_is_named() -> None:
    """What reads finished rows has no seed task to try on."""
    from selfinstruct.records import Row
    from selfinstruct.seeds import load, shipped

    with pytest.raises(BadInputError, match="Row records"):
        formats._chain(load(shipped())[0][0], 0, upto=Row)


def test_the_line_reaches_a_user_as_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """At the level that the command line shows."""
    pipeline.run_sync(demo(), tmp_path / "run", target=2)
    assert [record.levelno for record in caplog.records if "form of answers" in record.getMessage()] == [
        logging.WARNING
    ]


def test_json_stays_when_a_stage_of_the_stored_run_is_unknown(tmp_path: Path) -> None:
    """A recipe of other stages is refused by its changes, not tried first."""
    data: dict[str, Any] = recipe.load("demo", environment={}).model_dump(mode="json")
    pipeline.run_sync(recipe.build(data), tmp_path / "run", target=2)
    data["stages"][2] |= {"name": "examples", "format": "auto"}
    with pytest.raises(BadInputError, match=r"stages\.examples"):
        pipeline.run_sync(recipe.build(data), tmp_path / "run", target=2)


def test_a_trial_that_was_killed_is_part_of_a_run(tmp_path: Path) -> None:
    """It can be resumed by its folder alone, looked at, and not be mixed with another."""
    child = [sys.executable, "-c", CHILD, str(tmp_path / "run")]
    sets = [f"stages.{stage}.format=auto" for stage in ("bootstrap", "instances", "judge")]
    assert subprocess.run([*child, *sets], check=False).returncode == 9
    product = [sys.executable, "-m", "selfinstruct"]
    with pytest.raises(BadInputError, match="seed: 42 -> 2"):
        pipeline.run_sync(demo("seed=2"), tmp_path / "run", target=5)
    assert subprocess.run([*product, "stats", str(tmp_path / "run")], check=False).returncode == 0
    assert subprocess.run([*product, "resume", "-q", str(tmp_path / "run")], check=False).returncode == 0
    assert chosen(tmp_path / "run") == {"bootstrap": "json", "instances": "json", "judge": "json"}
    assert list(verify(tmp_path / "run")) == []


def test_a_server_that_fails_in_passing_is_no_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that get no answer say nothing of the form."""
    whole = ScriptedEngine.complete

    async def failing(engine: ScriptedEngine, request: CompletionRequest) -> Reply:
        if request.id not in failed:
            failed.add(request.id)
            if len(failed) % 2:
                msg = "status 500 (4 tries)"
                raise CallError(msg)
        return await whole(engine, request)

    failed: set[str] = set()
    monkeypatch.setattr(ScriptedEngine, "complete", failing)
    pipeline.run_sync(demo(), tmp_path / "run", target=3)
    assert chosen(tmp_path / "run") == {"bootstrap": "json", "instances": "json", "judge": "json"}
