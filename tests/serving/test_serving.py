"""A server is found, started, minded and stopped, and no process of it is left, however anybody ends. With a stand-in for vLLM.

The same with the real one: tests/vllm/test_serve.py.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selfinstruct.errors import BadInputError, UnreachableError
from selfinstruct.serving import _guard, find, served, server
from tests.serving.fake_vllm import install, model


@pytest.fixture(autouse=True)
def guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real guard, in more of a hurry."""
    hurried = tmp_path / "guard.py"
    text = Path(_guard.__file__).read_text(encoding="utf-8")
    assert text.count("DRAIN = 45.0") == text.count("LINGER = 10.0") == 1
    hurried.write_text(text.replace("DRAIN = 45.0", "DRAIN = 2.0").replace("LINGER = 10.0", "LINGER = 0.3"))
    monkeypatch.setattr(_guard, "__file__", str(hurried))


@pytest.fixture
def vllm(tmp_path: Path) -> Path:
    return install(tmp_path / "env")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return model(tmp_path / "model")


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    return lambda **how: monkeypatch.setenv("FAKE_VLLM", json.dumps(how))


def asked(url: str, path: str = "/v1/models") -> Any:
    with urllib.request.urlopen(  # noqa: S310 - a URL of ours
        url.removesuffix("/v1") + path, timeout=5
    ) as answer:
        return json.loads(answer.read())


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def session_of(pid: int) -> int:
    return os.getsid(pid)


def alive(url: str, *, but: int = 0) -> bool:
    try:
        return bool(asked(url)["pid"] != but)
    except OSError:
        return False


def test_it_serves_and_leaves_nothing(vllm: Path, folder: Path, odd: Callable[..., None]) -> None:
    """Ready when the body runs; afterwards neither the server nor its deaf child lives, and the port is free."""
    odd(child=True, load=0.5)
    told: list[str] = []
    with served(str(folder), vllm=vllm, tell=told.append) as (one,):
        session = session_of(asked(one.url)["pid"])
        assert len(_guard._session(session)) == 2
        assert session != os.getsid(0)
    assert _guard._session(session) == []
    assert not server._taken(one.port)
    assert "ready after" in told[-1]


def test_our_flags_and_the_users(vllm: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback, drained, constrained and untold to anybody; what the user gives takes our flag's place; the key is no flag."""
    monkeypatch.setenv("SELFINSTRUCT_API_KEY", "sk-TESTSECRET")
    with served(str(folder), vllm=vllm, args=["--shutdown-timeout", "7"]):
        argv, environment = json.loads((folder / "argv.json").read_text())
    flags = {flag: value for flag, value in itertools.pairwise(argv) if flag.startswith("--")}
    assert flags["--host"] == "127.0.0.1"
    assert argv.count("--shutdown-timeout") == 1
    assert flags["--shutdown-timeout"] == "7"
    assert json.loads(flags["--structured-outputs-config"])["disable_any_whitespace"] is True
    assert "--no-enable-chunked-prefill" in argv  # it said that it is the CPU build
    assert "sk-TESTSECRET" not in " ".join(argv)
    assert (environment["VLLM_API_KEY"], environment["VLLM_NO_USAGE_STATS"]) == ("sk-TESTSECRET", "1")
    assert not Path(environment["TMPDIR"]).exists()


def test_a_crash_is_mended_on_the_same_port(vllm: Path, folder: Path, odd: Callable[..., None]) -> None:
    """The server dies and its child stays: the child is cleared away and a new server answers at the same URL."""
    odd(child=True)
    with served(str(folder), vllm=vllm) as (one,):
        first = asked(one.url)["pid"]
        session = session_of(first)
        with pytest.raises(OSError):  # noqa: PT011 - however the connection ends
            asked(one.url, "/crash")
        until(lambda: alive(one.url, but=first))
        assert _guard._session(session) == []
        assert not one.lost


def test_what_dies_again_and_again_is_given_up(
    vllm: Path, folder: Path, odd: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many restarts in a short time it says so and stays down."""
    monkeypatch.setattr(server, "RESTARTS", 1)
    odd()
    with served(str(folder), vllm=vllm) as (one,):
        for _ in range(2):
            until(lambda: alive(one.url))
            with pytest.raises(OSError):  # noqa: PT011
                asked(one.url, "/crash")
        until(lambda: bool(one.lost))
        assert "in ten minutes" in one.lost
        assert not alive(one.url)


DEATHS = {
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB": "--max-model-len",
    "OSError: /x does not appear to have a file named model.safetensors": "fetch it again",
    "RuntimeError: Failed to infer device type": "GPU",
    "ValueError: User-specified max_model_len (9) is greater than the derived max_model_len": "smaller",
}


@pytest.mark.parametrize("words", DEATHS)
def test_a_death_while_loading_is_told_with_its_last_words(
    vllm: Path, folder: Path, odd: Callable[..., None], words: str
) -> None:
    """At once, not after the time it may take to load; the server's own words, and what helps."""
    odd(die=words, child=True)
    started = time.monotonic()
    with pytest.raises(UnreachableError) as caught, served(str(folder), vllm=vllm, ready_seconds=600):
        pass
    assert words in str(caught.value)
    assert DEATHS[words] in caught.value.remedy
    assert time.monotonic() - started < 60


def test_one_that_never_gets_ready(vllm: Path, folder: Path, odd: Callable[..., None]) -> None:
    """The wait has an end, and nothing is left of it."""
    odd(load=600, child=True)
    with pytest.raises(UnreachableError, match="not ready after 1 s"), served(str(folder), vllm=vllm, ready_seconds=1):
        pass


def test_one_that_does_not_hear_is_killed(vllm: Path, folder: Path, odd: Callable[..., None]) -> None:
    """A server that ignores SIGTERM ends all the same, after the time it was given."""
    odd(deaf=True)
    with served(str(folder), vllm=vllm) as (one,):
        session = session_of(asked(one.url)["pid"])
    assert _guard._session(session) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_however_we_end_nothing_is_left(
    vllm: Path, folder: Path, odd: Callable[..., None], number: signal.Signals
) -> None:
    """The command is stopped or killed: no process of its server lives some seconds later."""
    odd(child=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "selfinstruct", "serve", str(folder), "--vllm", str(vllm)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    session = session_of(asked(url)["pid"])
    process.send_signal(number)
    process.wait(timeout=120)
    if number == signal.SIGKILL:
        until(lambda: not _guard._session(session), 60)
    assert _guard._session(session) == []


def test_replicas_have_ports_of_their_own(vllm: Path, folder: Path) -> None:
    """Two servers, two ports, two processes; both are gone afterwards."""
    with served(str(folder), vllm=vllm, replicas=2) as servers:
        assert len({one.port for one in servers}) == len({asked(one.url)["pid"] for one in servers}) == 2
    assert not any(server._taken(one.port) for one in servers)


def test_bad_input_is_told_before_anything_starts(
    tmp_path: Path, vllm: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No vLLM there, none anywhere, no such model, an empty folder, a taken port, a GPU build without a GPU."""
    empty = tmp_path / "empty"
    empty.mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cases: list[tuple[dict[str, Any], str]] = [
            ({"model": str(folder), "vllm": empty}, "has no vLLM"),
            ({"model": str(tmp_path / "no/model"), "vllm": vllm}, "no model at"),
            ({"model": str(empty), "vllm": vllm}, "no config.json"),
            ({"model": str(folder), "vllm": vllm, "port": port}, f"port {port} is taken"),
            ({"model": str(folder), "vllm": vllm, "args": ["--host=0.0.0.0"]}, "--host after --"),
        ]
        if not Path("/dev/nvidiactl").exists():
            gpu = install(tmp_path / "gpu", version="0.32.0")
            cases += [({"model": str(folder), "vllm": gpu}, "wants a GPU")]
        for options, words in cases:
            with pytest.raises(BadInputError, match=words), served(**options):
                pass
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.delenv("SELFINSTRUCT_VLLM", raising=False)
    (tmp_path / "vllm").mkdir()  # a folder of that name is none, though Python could import it
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInputError, match="no vLLM here"):
        find()
    monkeypatch.setenv("SELFINSTRUCT_VLLM", str(vllm))
    assert find().cpu
