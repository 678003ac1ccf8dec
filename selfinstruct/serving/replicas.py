"""Several servers of one model, each with its share of the GPUs: started together, stopped together."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from selfinstruct.errors import BadInputError
from selfinstruct.serving.locate import find, refuse_without_device
from selfinstruct.serving.server import Server, free_port, refuse_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FIRST_PORT = 8000
READY_SECONDS = 1800.0
"""A large model from a cold disk, compiled for the first time."""


@contextmanager
def served(
    model: str,
    *,
    replicas: int = 1,
    vllm: Path | None = None,
    args: Sequence[str] = (),
    port: int | None = None,
    logs: Path | None = None,
    ready_seconds: float = READY_SECONDS,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[Server, ...]]:
    """Serve `model` while the body runs; each server that is yielded is ready, and started again when it dies.

    `port` is the first one's (default: the first free from 8000 on), `logs` the folder of their logs (default: one in the
    system's temporary folder).

    Raises:
        BadInputError: no vLLM, no device, no such model, a port that is taken, more replicas than GPUs.
        UnreachableError: a server died while it loaded, or was not ready in time.
    """
    refuse_place(args)
    _refuse_missing(model)
    found = find(vllm)
    refuse_without_device(found)
    folder = logs or Path(tempfile.mkdtemp(prefix="selfinstruct-vllm-log-"))
    folder.mkdir(parents=True, exist_ok=True)
    servers: list[Server] = []
    shares = _shares(replicas) if not found.cpu else [{}] * replicas
    try:
        for number, share in enumerate(shares):
            place = port + number if port is not None else free_port(servers[-1].port + 1 if servers else FIRST_PORT)
            log_file = folder / f"vllm-{place}.log"
            log_file.write_bytes(b"")
            server = Server(found, model, port=place, args=args, log_file=log_file, environment=share)
            server.start()
            servers.append(server)
            tell(f"vLLM {found.version} on port {place}: starting; its log: {log_file}")
        for server in servers:
            server.await_ready(seconds=ready_seconds, tell=tell)
        yield tuple(servers)
    finally:
        for server in servers:
            server.ask_to_stop()
        for server in servers:
            server.stop()


def _refuse_missing(model: str) -> None:
    """A name on the Hub is vLLM's to look up; a path is looked at before a minute is spent on it."""
    place = Path(model).expanduser()
    looks_like_path = model.startswith((".", "/", "~")) or model.count("/") != 1
    if place.is_dir():
        if not (place / "config.json").is_file() and not list(place.glob("*.gguf")):
            msg = f"{model} holds no model: no config.json"
            raise BadInputError(msg, remedy="give the folder that holds config.json and the weights")
    elif looks_like_path and not place.is_file() and "/" in model:
        msg = f"no model at {model}"
        raise BadInputError(msg, remedy="give the folder of a model, or its name on the Hub: OWNER/NAME")


def _shares(replicas: int) -> list[dict[str, str]]:
    """Return for each replica the environment that shows it its GPUs; nothing where there is but one replica."""
    if replicas == 1:
        return [{}]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = [one for one in visible.split(",") if one] if visible is not None else _gpus()
    each = len(gpus) // replicas
    if not each:
        msg = f"{replicas} replicas, but {len(gpus)} GPUs can be seen"
        raise BadInputError(msg, remedy="fewer replicas; one server fills one GPU by itself")
    return [{"CUDA_VISIBLE_DEVICES": ",".join(gpus[each * n : each * (n + 1)])} for n in range(replicas)]


def _gpus() -> list[str]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    done = subprocess.run([tool, "-L"], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - found on PATH
    return [
        str(number) for number, _ in enumerate(line for line in done.stdout.splitlines() if line.startswith("GPU "))
    ]
