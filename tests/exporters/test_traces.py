"""Runs of reasoning models, several at once: no export holds a trace unless asked, at any concurrency."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selfinstruct import errors, export, pipeline, recipe, runs
from selfinstruct.engines.scripted import TRACE
from selfinstruct.errors import BadInputError, Exit
from selfinstruct.records import Fate, Response, Row
from selfinstruct.runner import Limits
from selfinstruct.verify import verify
from tests.support.running import command

ENGINES = {
    "writer": {"kind": "scripted", "model": "thinker", "thinking": 0.9, "latency_spread": 0.01},
    "other": {"kind": "scripted", "model": "plain", "seed": 5, "latency": 0.002},
    "third": {"kind": "scripted", "model": "now-and-then", "seed": 6, "thinking": 0.3},
}
SETS: dict[str, Any] = {
    "engines": ENGINES,
    "exports": [],
    "stages.respond.models": {"writer": 2, "other": 1, "third": 1},
    "stages.respond.draw": 2,
    "stages.respond.caps": {},
    "stages.respond.n": 3,
    "stages.respond.spread": [{"temperature": 0.6}, {"temperature": 1.0}],
}
TEXTS = sorted({*export.formats()} - {"parquet"})


def run(folder: Path, concurrency: int, limits: Limits = Limits()) -> pipeline.Report:  # noqa: B008 - frozen
    sets = [*(f"{key}={json.dumps(value)}" for key, value in SETS.items()), f"concurrency={concurrency}"]
    return pipeline.run_sync(recipe.load("demo", environment={}, sets=sets), folder, target=30, limits=limits)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "run"
    run(path, 16)
    return path


def write(folder: Path, kind: str, path: Path, *, reasoning: bool = False) -> export.Manifest:
    with runs.open_stored(folder) as stored:
        return export.export(stored, kind, path, reasoning=reasoning)


def responses(folder: Path) -> list[Response]:
    with runs.open_stored(folder) as stored:
        found = stored.store.scan("respond", fate=Fate.ACCEPTED, upto=stored.closing)
        return [Response.model_validate(body["record"]) for _, body in found]


def test_every_answer_says_who_wrote_it_and_how(folder: Path) -> None:
    """Three models, two of them at each instance; those that reason have traces; half the answers are drawn otherwise."""
    made = responses(folder)
    assert {one.provenance.model for one in made} == {"thinker", "plain", "now-and-then"}
    thought = {one.provenance.model for one in made if one.reasoning}
    assert thought == {"thinker", "now-and-then"}
    assert all(TRACE in one.reasoning for one in made if one.reasoning)
    writers: dict[str, set[str]] = {}
    for one in made:
        writers.setdefault(one.parent, set()).add(one.provenance.model)
    assert max(len(models) for models in writers.values()) == 2
    drawn = [one.provenance.sampling for one in made]
    assert {json.dumps(one) for one in drawn} == {"null", '{"temperature": 0.6}'}
    assert 0.4 < drawn.count(None) / len(drawn) < 0.6


@pytest.mark.parametrize("kind", export.formats())
def test_no_export_holds_a_trace(folder: Path, tmp_path: Path, kind: str) -> None:
    """Of any format, data and fragments: not a word of it, and no tag."""
    write(folder, kind, tmp_path / "out")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert files
    if kind == "parquet":
        import pyarrow.parquet as pq

        texts = [json.dumps(pq.read_table(path).to_pylist()) for path in files if path.suffix == ".parquet"]
    else:
        texts = [path.read_text() for path in files]
    for mark in (TRACE, "think>", "[/THINK]", "<|channel|>", "thinking>"):
        assert not any(mark in text for text in texts)


def test_nothing_depends_on_which_answer_comes_first(folder: Path, tmp_path: Path) -> None:
    """One place or sixteen, slow models and quick ones, stopped among the answers to one instance or not: equal bytes."""
    capped = [run(tmp_path / "one", 1, Limits(tokens=tokens)) for tokens in range(20_000, 60_000, 4_000)]
    assert {one.exit_status for one in capped} == {Exit.BUDGET}
    report = run(tmp_path / "one", 1)
    assert sum(one.reused for one in (*capped, report))
    assert report.accounts.ledger.accepted == 30
    for kind in TEXTS:
        assert (
            write(folder, kind, tmp_path / f"a-{kind}").files
            == write(tmp_path / "one", kind, tmp_path / f"b-{kind}").files
        )
    asked = [
        write(one, "messages", tmp_path / f"{name}.jsonl", reasoning=True).files
        for name, one in (("x", folder), ("x", tmp_path / "one"))
    ]
    assert asked[0] == asked[1]
    assert list(verify(folder)) == list(verify(tmp_path / "one")) == []


def test_traces_are_put_back_when_asked_for(folder: Path, tmp_path: Path) -> None:
    """Before the answers that have one, and nowhere else; the manifest says so; the rest of the file is the same."""
    plain, full = tmp_path / "plain.jsonl", tmp_path / "full.jsonl"
    write(folder, "messages", plain)
    done = command("export", folder, "--format", "messages", "--reasoning", "-o", full)
    assert (done.returncode, done.stdout) == (0, f"{full}\n"), done.stderr
    with runs.open_stored(folder) as stored:
        found = stored.store.scan("select", fate=Fate.ACCEPTED, upto=stored.closing)
        rows = [Row.model_validate(body["record"]) for _, body in found]
    assert 0 < sum(bool(row.reasoning) for row in rows) < len(rows)
    answers = [
        [json.loads(line)["messages"][1]["content"] for line in path.read_text().splitlines()] for path in (plain, full)
    ]
    for row, without, told in zip(rows, *answers, strict=True):
        assert without == row.output
        assert told == (f"<think>\n{row.reasoning}\n</think>\n\n{row.output}" if row.reasoning else row.output)
    manifests = [json.loads(export.manifest_path(path).read_text()) for path in (plain, full)]
    assert [one["reasoning"] for one in manifests] == [False, True]
    other = tmp_path / "pc.jsonl"
    write(folder, "prompt-completion", other, reasoning=True)
    completions = [json.loads(line)["completion"][0]["content"] for line in other.read_text().splitlines()]
    assert completions == answers[1]


@pytest.mark.parametrize("kind", sorted({*export.formats()} - {"messages", "prompt-completion"}))
def test_formats_without_a_place_refuse(folder: Path, tmp_path: Path, kind: str) -> None:
    """They name those that have one, and write nothing."""
    with pytest.raises(BadInputError, match=f"{kind} has no place") as caught:
        write(folder, kind, tmp_path / "x.jsonl", reasoning=True)
    assert "--format messages or prompt-completion" in caught.value.remedy
    assert not list(tmp_path.iterdir())


def test_a_run_without_traces_says_so(tmp_path: Path) -> None:
    """Asked for where no model reasons: refused, and no file."""
    pipeline.run_sync(recipe.load("demo", environment={}, sets=["exports=[]"]), tmp_path / "run", target=5)
    with pytest.raises(errors.NothingToExportError, match="has a trace"):
        write(tmp_path / "run", "messages", tmp_path / "out/x.jsonl", reasoning=True)
    assert not (tmp_path / "out").exists()
