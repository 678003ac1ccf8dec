"""The whole pipeline against a real vLLM server on CPU with a small random-weight model: `make test-vllm`.

The model writes noise. What is constrained must come back valid all the same, what is free must be dropped with its reason,
and a server that dies in mid-run must cost no record.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfinstruct.engines.base import Choice, CompletionRequest, FinishReason, JsonSchema, Regex, Sampling, user
from selfinstruct.engines.http import HttpEngine
from selfinstruct.engines.probe import probe
from selfinstruct.errors import CallError
from selfinstruct.seeds import shipped
from selfinstruct.store import read_run
from tests.vllm.make_environment import PYTHON
from tests.vllm.make_environment import main as make_environment
from tests.vllm.server import VllmServer

pytestmark = pytest.mark.timeout(1200)
END = '{"0": 4}'
"""Logit bias on the end-of-turn token: noise ends now and then."""
SMALL = {
    "concurrency": 24,
    "stages.bootstrap.count": 3,
    "stages.bootstrap.sampling.max_tokens": 1500,
    "stages.instances.at_most": 1,
    "stages.instances.sampling.max_tokens": 1800,
    "stages.respond.sampling.max_tokens": 48,
    "stages.respond.sampling.logit_bias": END,
    "stages.judge.sampling.max_tokens": 400,
    "stages.judge.sampling.temperature": 1,  # noise at temperature 0 goes round in circles, and is ended as a runaway
    "stages.select.gates.score.least": 3,
    "stages.pair.least_chosen": 3,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    make_environment()
    folder = tmp_path_factory.mktemp("tiny")
    subprocess.run([PYTHON, Path(__file__).parent / "tiny_model.py", shipped(), folder / "model"], check=True)
    with VllmServer(folder / "model", python=PYTHON, log=folder / "vllm.log") as running:
        yield running


def ask(text: str, tokens: int, **changes: Any) -> CompletionRequest:
    sampling = Sampling(max_tokens=tokens, temperature=1.0)
    return CompletionRequest(**{"id": "t-1-0", "prompt": user(text), "sampling": sampling, "seed": 7, **changes})


async def test_the_probe_finds_what_vllm_can(server: VllmServer) -> None:
    """Chat, completions, n, constraints that constrain, log-probabilities: every finding is good."""
    async with HttpEngine(base_url=server.base_url) as engine:
        findings = await probe(engine)
    assert all(one.good for one in findings), findings
    assert "log-probabilities: yes" in [one.text for one in findings]


async def test_constraints_truncation_and_usage_are_read_right(server: VllmServer) -> None:
    """Choice, JSON and regex hold on noise; a cut answer says length; usage counts; n answers differ; a long prompt is 400."""
    schema = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"], "additionalProperties": False}
    async with HttpEngine(base_url=server.base_url) as engine:
        choice = await engine.complete(ask("?", 4, constraint=Choice(choices=("yes", "no")), top_logprobs=10))
        assert choice.completions[0].text in {"yes", "no"}
        assert choice.completions[0].logprobs[0]
        value = await engine.complete(ask("?", 32, constraint=JsonSchema(schema_=schema)))
        assert json.loads(value.completions[0].text)["a"] in {1, 2}
        digits = await engine.complete(ask("?", 8, constraint=Regex(pattern="[0-9]{3}")))
        assert digits.completions[0].text.isdecimal()
        several = await engine.complete(ask("Say something.", 5, n=3))
        assert len({one.text for one in several.completions}) == 3
        assert {one.finish_reason for one in several.completions} == {FinishReason.LENGTH}
        assert several.usage.completion_tokens == 15
        assert several.usage.prompt_tokens > 0
        raw = await engine.complete(ask("", 4, prompt="Once upon a time"))
        assert raw.completions[0].finish_reason is FinishReason.LENGTH
        with pytest.raises(CallError, match="400"):
            await engine.complete(ask("word " * 9000, 4))


def selfinstruct(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "selfinstruct", *arguments], capture_output=True, text=True, timeout=900, check=False
    )


def start(server: VllmServer, folder: Path, rows: int) -> list[str]:
    settings = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
    return ["run", "chat", "-n", str(rows), "--base-url", server.base_url, "-o", str(folder), *settings]


def stats(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(selfinstruct("stats", str(folder), "--json").stdout.splitlines()[-1])
    for ledger in (told["ledger"], *told["stages"].values()):
        assert ledger["generated"] == ledger["accepted"] + ledger["dropped"] + ledger["failed"] + ledger["open"]
    return told


def test_the_whole_pipeline(server: VllmServer, tmp_path: Path) -> None:
    """Rows come out; cut answers are dropped as cut; every verdict is a number on the scale; the run is sound."""
    done = selfinstruct(*start(server, tmp_path / "run", 6))
    assert done.returncode == 0, done.stderr
    told = stats(tmp_path / "run")
    assert told["ledger"]["accepted"] == 6
    assert told["ledger"]["open"] == 0
    assert told["drops"]["cut"] > 0
    assert told["calls"]["completion_tokens"] > 0
    with read_run(tmp_path / "run") as store:
        scores = [body["record"]["score"] for _, body in store.scan("judge", fate=None)]
        margins = [body["record"]["margin"] for _, body in store.scan("classify")]
    assert scores
    assert all(0 <= score <= 5 and score * 2 == int(score * 2) for score in scores)
    assert any(margin is not None for margin in margins)
    assert selfinstruct("verify", str(tmp_path / "run")).returncode == 0
    assert len((tmp_path / "run/exports/messages/train.jsonl").read_text(encoding="utf-8").splitlines()) == 6


def test_a_server_that_is_killed_in_mid_run(server: VllmServer, tmp_path: Path) -> None:
    """Killed and started again, the server costs no record: what failed for it was waited out, and the order is filled."""
    command = [sys.executable, "-m", "selfinstruct", *start(server, tmp_path / "run", 5)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    told: list[str] = []
    reader = threading.Thread(target=lambda: told.extend(process.stderr or []))
    reader.start()
    while process.poll() is None and not (tmp_path / "run/run.db").exists():
        time.sleep(0.1)
    time.sleep(4)
    assert process.poll() is None, told
    server.kill()
    server.start()
    assert process.wait(timeout=900) == 0, told
    reader.join()
    assert process.stderr is not None
    process.stderr.close()
    counted = stats(tmp_path / "run")
    assert (counted["ledger"]["accepted"], counted["ledger"]["open"]) == (5, 0)
    with read_run(tmp_path / "run") as store:
        lost = [row.error for row in store.works(failed=True) if "unreadable" not in (row.error or "")]
    assert all("no answer could be judged" in (error or "") for error in lost), lost


def test_a_server_that_stays_away_ends_resumable(server: VllmServer, tmp_path: Path) -> None:
    """Gone for longer than patience: exit 3 within the announced time, everything answered kept, resumed when it is back."""
    server.kill()
    away = selfinstruct(*start(server, tmp_path / "run", 2))
    assert away.returncode == 3, away.stderr
    assert "no model server" in away.stderr
    server.start()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "selfinstruct",
            *start(server, tmp_path / "run", 4),
            "--set",
            "engines.writer.patience=3",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not (tmp_path / "run/run.db").exists():
        time.sleep(0.1)
    time.sleep(4)
    server.kill()
    _, told = process.communicate(timeout=120)
    assert process.returncode == 3, told
    server.start()
    back = selfinstruct("resume", str(tmp_path / "run"))
    assert back.returncode == 0, back.stderr
    assert stats(tmp_path / "run")["ledger"]["accepted"] == 4
