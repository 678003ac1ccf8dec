"""Rows are hostile: 53 kinds of text come out of a published version as the model wrote them, byte for byte."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset

from selfinstruct import pipeline, recipe
from selfinstruct.catalogue.publish import publish_run
from selfinstruct.engines.scripted import ScriptedEngine
from selfinstruct.runs import lineage, open_stored
from tests.support.fake_server import FakeServer, scripted
from tests.support.hostile import HOSTILE

UNSTORABLE = "a\x00b\ud800c"
"""NUL and half a character: replaced where answers are read, so that they are never stored."""
LICENCES = {"dataset": "cc0-1.0", "tiny": "unknown"}


@pytest.fixture
async def run(tmp_path: Path) -> Path:
    """A run whose answers each hold one of them, in turn."""
    texts = itertools.cycle((*HOSTILE.values(), UNSTORABLE))
    engine = ScriptedEngine()

    async def answer(body: dict[str, Any]) -> dict[str, Any]:
        said = await scripted(body, engine)
        if "structured_outputs" not in body:  # an answer to a task: free text
            for choice in said["choices"]:
                choice["message"]["content"] += f" {next(texts)}."
        return said

    async with FakeServer(answer=answer) as server:
        flags = {"engines.writer.base_url": server.base_url, "engines.writer.structured_outputs": "vllm"}
        await pipeline.run(recipe.load("chat", environment={}, flags=flags), tmp_path / "run", target=80)
    return tmp_path / "run"


async def test_what_was_written_is_what_is_read(run: Path, tmp_path: Path) -> None:
    """Rows, pairs, drops and lineage equal the run's own records; `datasets` loads them as they are."""
    assert len(HOSTILE) == len(set(HOSTILE.values())) == 53
    made = publish_run(run, "hostile", str(tmp_path / "c"), licences=LICENCES)
    with open_stored(run) as stored:
        records = {row.id: body["record"] for row, body in stored.store.scan(upto=stored.closing)}
        rows = list(made.rows("sft"))
        for row in rows:
            wrote = records[row["id"]]
            assert [row[name] for name in ("instruction", "input", "output")] == [
                wrote[name] for name in ("instruction", "input", "output")
            ]
        for pair in made.rows("preference"):
            wrote = records[pair["id"]]
            assert [pair[name] for name in ("chosen", "rejected")] == [wrote[name] for name in ("chosen", "rejected")]
        for line in made.rows("lineage"):
            steps = {step["id"]: step for step in json.loads(line["lineage"])}
            assert all(step["record"] == records[one] for one, step in steps.items())
            assert line["id"] in steps
            assert {one["id"] for one in lineage(stored, line["id"])} <= steps.keys()
    seen = {
        name for name, text in HOSTILE.items() for record in records.values() if text in str((record or {}).get("text"))
    }
    assert seen >= HOSTILE.keys() - {"thinking"}, HOSTILE.keys() - seen
    assert "a\ufffdb\ufffdc" in str(records)
    told = {name for name, text in HOSTILE.items() for row in rows if text in row["output"]}
    assert len(told) > 20
    files = sorted(str(path) for path in (tmp_path / "c/hostile/1/data/sft").iterdir())
    loaded = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert [row["output"] for row in loaded] == [row["output"] for row in rows]
