"""How long another threshold takes for 52,000 judged rows, the size of Alpaca: the whole command, start-up included.

Goal: `refilter` (count and table) in under 2 s. Beside it with the rows written as messages, and `sweep`. Medians of five.

    python benchmarks/refilter.py [RUN]

Without RUN a file of 52,000 made-up rows is judged first, by the scripted engine (about a minute).
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROWS = 52_000
WITH_INPUT = 0.4
"""Share of rows that have one."""
WORDS = [
    f"{first}{last}" for first in ("ba", "sel", "mor", "ti", "an") for last in ("d", "per", "n", "ling", "ra", "so")
]


def judged(folder: Path) -> Path:
    """Judge made-up rows of the lengths of Alpaca's (in the middle 13 words asked, 40 answered); return the run."""
    draw = random.Random(1)

    def text(length: float) -> str:
        return " ".join(draw.choices(WORDS, k=max(2, round(length)))).capitalize() + "."

    rows = [
        {
            "instruction": f"{number}: {text(draw.gauss(13, 4))}",
            "input": text(12) if draw.random() < WITH_INPUT else "",
            "output": text(draw.lognormvariate(3.7, 0.7)),
        }
        for number in range(ROWS)
    ]
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    command(
        "judge", folder / "rows.json", "-o", folder / "kept.jsonl", "--set", "engines.writer={kind: scripted}", "-q"
    )
    return folder / "kept.jsonl.run"


def command(*arguments: object) -> str:
    """Run a command of ours and return what it printed."""
    line = [sys.executable, "-m", "selfinstruct", *map(str, arguments)]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout


def median(*arguments: object) -> float:
    """Return the median of five wall times in seconds, after one warm-up."""
    times = []
    for _ in range(6):
        started = time.perf_counter()
        command(*arguments)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def main(run: Path | None) -> None:
    """Print a line per command, the goal beside the first."""
    with tempfile.TemporaryDirectory() as folder:
        run = run or judged(Path(folder))
        told = json.loads(command("refilter", run, "--min-score", 4, "--json"))
        print(f"{told['reached']:,} judged rows, {told['kept']:,} kept at 4, {told['unscored']} unscored")
        print(f"refilter: {median('refilter', run, '--min-score', 4):.2f} s (goal: under 2 s)")
        out = Path(folder) / "messages.jsonl"
        print(f"refilter with an export: {median('refilter', run, '--min-score', 4, '-o', out):.2f} s")
        print(f"sweep: {median('sweep', run):.2f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
