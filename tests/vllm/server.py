"""The real vLLM on CPU with a tiny model, served by our own code, and killed when a test says so."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Self

from selfinstruct.serving import _guard, find
from selfinstruct.serving.server import Server, free_port

READY_SECONDS = 600
ARGS = (
    "--served-model-name", "tiny", "--max-model-len", "4096", "--max-num-seqs", "64",
    "--max-num-batched-tokens", "8192", "--dtype", "bfloat16",
)  # fmt: skip


class VllmServer:
    """A server for one model folder; `start` again after `kill` uses the same port."""

    def __init__(self, model: Path, *, python: Path, log: Path) -> None:
        self._model, self._vllm, self._log, self._port = model, find(python), log, free_port(8100)
        self._server: Server | None = None
        self.base_url = f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.stop()

    def start(self) -> None:
        """Start it and wait until it can be asked."""
        environment = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "WARNING"}
        self._server = Server(
            self._vllm, str(self._model), port=self._port, args=ARGS, log_file=self._log, environment=environment
        )
        self._server.start()
        self._server.await_ready(seconds=READY_SECONDS, tell=lambda _: None)

    def kill(self) -> None:
        """SIGKILL every process of it, and do not let it come back by itself."""
        assert self._server is not None
        self._server._ending.set()
        _guard._kill(self._server.pid)
        self._server.stop()
        self._server = None


def gone(session: int, seconds: float = 60) -> bool:
    """Say whether no process of a session is left, now or within so many seconds."""
    deadline = time.monotonic() + seconds
    while _guard._session(session) and time.monotonic() < deadline:
        time.sleep(0.2)
    return not _guard._session(session)
