"""How long the command line takes to start: `--help`, `--version`, and the time to the first call of a run.

Goal: `--help` in at most 0.25 s. Medians of nine, beside the bare interpreter in the same run.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def median(*command: str) -> float:
    """Return the median of nine wall times in seconds, after one warm-up."""
    times = []
    for _ in range(10):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def main() -> None:
    """Print each command's median and its ratio to the bare interpreter."""
    bare = median(sys.executable, "-c", "pass")
    program = str(Path(sys.executable).parent / "selfinstruct")
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "selfinstruct --help": (program, "--help"),
            "selfinstruct --version": (program, "--version"),
            "selfinstruct demo -n 1": (program, "demo", "-n", "1", "-o", folder),
            "import selfinstruct": (sys.executable, "-c", "import selfinstruct"),
        }
        for name, command in commands.items():
            seconds = median(*command)
            print(f"{name:24} {seconds:.3f} s, {seconds / bare:.1f} times the bare interpreter")


if __name__ == "__main__":
    main()
