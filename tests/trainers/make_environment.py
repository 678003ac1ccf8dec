"""Makes `.venv-trainers`: TRL on CPU in an environment of its own. Does nothing when it is there and up to date.

python tests/trainers/make_environment.py
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ENVIRONMENT = HERE.parent.parent / ".venv-trainers"
PYTHON = ENVIRONMENT / "bin" / "python"
REQUIREMENTS = HERE / "requirements.txt"
TORCH = "torch==2.13.0+cpu"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
"""Asked only when the registry that pip is set up for has no CPU build, as PyPI has none."""


def main() -> None:
    """Install, then leave a stamp with the digest of what was asked for."""
    stamp = ENVIRONMENT / "stamp"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + TORCH.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    _done(sys.executable, "-m", "venv", str(ENVIRONMENT), check=True)
    pip = (str(PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-compile", "--no-deps")
    if not _done(*pip, TORCH):
        _done(*pip, "--index-url", TORCH_INDEX, TORCH, check=True)
    listed = ("-r", str(REQUIREMENTS))
    uv = shutil.which("uv")
    if not (uv and _done(uv, "pip", "install", "-q", "--python", str(PYTHON), "--no-deps", *listed)):
        _done(*pip, *listed, check=True)
    stamp.write_text(wanted, encoding="utf-8")


def _done(*command: str, check: bool = False) -> bool:
    return subprocess.run(command, check=check).returncode == 0


if __name__ == "__main__":
    main()
