"""Starts and stops a real vLLM server on CPU, whole process tree and all. Standard library only."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

READY_SECONDS = 600
MODULES = ("vllm.entrypoints.launchers.api_server.entry", "vllm.entrypoints.openai.api_server")
PR_SET_PDEATHSIG = 1


class VllmServer:
    """A server for one model folder on a free loopback port; `start` again after `kill` uses the same port."""

    def __init__(self, model: Path, *, python: Path, log: Path) -> None:
        self._model, self._python, self._log = model, python, log
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait for /health; the end of the log is in the error when it dies."""
        find = f"import importlib.util as u; print(next(m for m in {MODULES!r} if u.find_spec(m)))"
        found = subprocess.run(
            [self._python, "-c", find], capture_output=True, text=True, check=True, env=_environment()
        )
        command = [
            str(self._python), "-m", found.stdout.split()[-1], "--model", str(self._model), "--served-model-name", "tiny",
            "--host", "127.0.0.1", "--port", str(self._port), "--max-model-len", "4096", "--max-num-seqs", "64",
            # vLLM 0.32 on CPU dies ("CPU Generator does not use offset") when a seeded prompt is prefilled in chunks.
            "--no-enable-chunked-prefill", "--max-num-batched-tokens", "8192", "--dtype", "bfloat16", "--enforce-eager", "--generation-config", "vllm", "--shutdown-timeout", "30",
            "--structured-outputs-config", '{"backend":"xgrammar","disable_any_whitespace":true}',
        ]  # fmt: skip
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, env=_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one async-signal-safe call
            )  # fmt: skip
        deadline = time.monotonic() + READY_SECONDS
        while not self._healthy():
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = self._log.read_text(errors="replace")[-3000:]
                self.kill()
                msg = f"vLLM did not come up:\n{tail}"
                raise RuntimeError(msg)
            time.sleep(0.5)

    def stop(self) -> None:
        """Ask it to end, wait until its whole session is gone, kill what is left."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 45
        while _session(self._process.pid) and time.monotonic() < deadline:
            self._process.poll()
            time.sleep(0.2)
        self.kill()

    def kill(self) -> None:
        """SIGKILL every process of the session: killing the server alone orphans its engine for good."""
        if self._process is None:
            return
        for pid in _session(self._process.pid):
            with _gone():
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(self.base_url.replace("/v1", "/health"), timeout=5) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


class _gone:  # noqa: N801 - reads as a sentence
    """A process may end between being listed and being killed."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is ProcessLookupError


def _die_with_parent() -> None:
    ctypes.CDLL("libc.so.6").prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _session(leader: int) -> list[int]:
    listed = subprocess.run(["/bin/ps", "-eo", "sid=,pid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = (line.split() for line in listed.splitlines())
    return [int(pid) for sid, pid, stat in rows if int(sid) == leader and not stat.startswith("Z")]


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
    }
