"""Compiles the novelty index where a C compiler is. Without one the package is whole all the same: Python does its work."""

from __future__ import annotations

import os
import shlex
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = "selfinstruct/text/_novelty.c"
LIBRARY = "selfinstruct/text/_novelty.so"
# No -march: a wheel may run elsewhere. No contraction: F must be rouge_score's float, bit for bit.
FLAGS = ["-O3", "-std=c11", "-ffp-contract=off", "-fPIC", "-shared"]


class NoveltyExtension(BuildHookInterface[Any]):
    """Runs before a wheel or an editable install is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Compile, and ship what came of it; SELFINSTRUCT_NO_EXTENSION=1 does without."""
        library = Path(self.root, LIBRARY)
        library.unlink(missing_ok=True)
        if os.environ.get("SELFINSTRUCT_NO_EXTENSION"):
            return
        compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
        try:
            command = [*compiler, *FLAGS, "-o", str(library), str(Path(self.root, SOURCE))]
            subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - the builder's own compiler
        except (OSError, subprocess.CalledProcessError) as error:
            said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            self.app.display_warning(f"novelty index: Python only, nothing was compiled ({said[0] if said else error})")
            return
        build_data["artifacts"].append(LIBRARY)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
