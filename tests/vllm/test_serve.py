"""vLLM served by us, the real one: a crash in mid-run is mended, two replicas share a run, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from selfinstruct.errors import UnreachableError
from selfinstruct.seeds import shipped
from selfinstruct.serving import _guard, served
from tests.vllm.make_environment import PYTHON
from tests.vllm.make_environment import main as make_environment
from tests.vllm.server import gone
from tests.vllm.test_real_engine import SMALL, selfinstruct, stats

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    make_environment()
    folder = tmp_path_factory.mktemp("served") / "model"
    subprocess.run([PYTHON, Path(__file__).parent / "tiny_model.py", shipped(), folder], check=True)
    return folder


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def sessions() -> set[int]:
    """The sessions of all vLLM servers: named by their first process, the one that was started by a guard."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"api_server" in line and b"_guard.py" not in line:
            found.add(os.getsid(int(process.name)))
    return found


def test_a_run_serves_its_model_and_outlives_a_crash(model: Path, tmp_path: Path) -> None:
    """`run --serve`: the engine is killed in mid-run, the server comes back, the order is filled, nothing is left."""
    settings = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
    command = [
        "run",
        "chat",
        "-n",
        "4",
        "--serve",
        str(model),
        "--vllm",
        str(PYTHON),
        "-o",
        str(tmp_path / "run"),
        *settings,
    ]
    before = sessions()
    with (tmp_path / "talk").open("w") as talk:
        process = subprocess.Popen([sys.executable, "-m", "selfinstruct", *command], stderr=talk, stdout=talk)
    while process.poll() is None and not (tmp_path / "run/run.db").exists():
        time.sleep(0.2)
    time.sleep(4)
    assert process.poll() is None, (tmp_path / "talk").read_text()
    (session,) = sessions() - before
    os.kill(max(_guard._session(session)), signal.SIGKILL)  # the youngest: an engine or its worker
    assert process.wait(timeout=900) == 0, (tmp_path / "talk").read_text()
    assert "is started again" in (tmp_path / "talk").read_text()
    assert gone(session)
    assert sessions() == before
    counted = stats(tmp_path / "run")
    assert (counted["ledger"]["accepted"], counted["ledger"]["open"]) == (4, 0)


def test_two_replicas_and_a_kill_of_ourselves(model: Path, tmp_path: Path) -> None:
    """`serve --replicas 2`: a run asks both; kill -9 of us, and both are gone."""
    process = subprocess.Popen(
        [sys.executable, "-m", "selfinstruct", "serve", str(model), "--replicas", "2", "--vllm", str(PYTHON),
         "--", "--served-model-name", "tiny", "--max-num-seqs", "32"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    urls = [process.stdout.readline().strip() for _ in range(2)]
    running = sessions()
    settings = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
    told = selfinstruct("run", "chat", "-n", "3", "-o", str(tmp_path / "run"), *settings,
                        *(part for url in urls for part in ("--base-url", url)))  # fmt: skip
    assert told.returncode == 0, told.stderr
    answered = [_successes(url) for url in urls]
    assert min(answered) > 10, answered
    process.kill()
    process.wait()
    assert all(gone(session, 120) for session in running)


def _successes(url: str) -> float:
    with urllib.request.urlopen(url.removesuffix("/v1") + "/metrics", timeout=10) as answer:  # noqa: S310 - our own URL
        lines = answer.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("vllm:request_success_total"))


def test_a_broken_model_is_told_in_the_servers_own_words(model: Path, tmp_path: Path) -> None:
    """A folder whose weights are cut: exit by error with vLLM's line, and no process left."""
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in model.iterdir():
        data = file.read_bytes()
        (broken / file.name).write_bytes(data[: len(data) // 2] if file.suffix == ".safetensors" else data)
    before = sessions()
    words = r"(?i)safetensor|header|incomplete"
    with pytest.raises(UnreachableError, match=words) as caught, served(str(broken), vllm=PYTHON, ready_seconds=300):
        pass
    assert "fetch it again" in caught.value.remedy
    assert sessions() == before
    assert json.loads((broken / "config.json").read_text())
