"""Rows per second of `download --format` from a catalogue in a folder: the whole command, start-up and verification included.

Goal: 50,000 rows/s on 100,000 rows. Medians of three; the time of the processor beside it, for busy machines.

    python benchmarks/download.py [FORMAT...]
"""

from __future__ import annotations

import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from selfinstruct.catalogue.shards import Shards
from selfinstruct.catalogue.version import MANIFEST, File, Licences, Version
from selfinstruct.files import sha256

ROWS = 100_000
FORMATS = ("messages", "alpaca", "prompt-completion", "sharegpt", "parquet", "dpo", "dpo-conversations")
WORDS = [
    f"{first}{last}" for first in ("ba", "sel", "mor", "ti", "an") for last in ("d", "per", "n", "ling", "ra", "so")
]
LICENCES = Licences(dataset="cc0-1.0", writers={}, judges={}, seeds="cc0-1.0")


def publish(root: Path) -> None:
    """Publish made-up rows: 13 words asked, 12 of input in two of five, 60 answered; as many pairs."""
    draw = random.Random(1)

    def text(words: int) -> str:
        return " ".join(draw.choices(WORDS, k=words))

    folder = root / "big/1"
    with Shards(folder, earlier={}) as shards:
        for number in range(ROWS):
            task = {"id": f"{number:016x}", "instruction": text(13), "input": text(12) if number % 5 < 2 else ""}  # noqa: PLR2004 - two of five
            told = {"reasoning": "", "is_classification": None, "score": 5.0, "raw_score": 5.0, "model": "m"}
            shards.add("sft", {**task, "output": text(60), **told, "judge": "", "flags": "", "version": 1})
            sides = {"chosen": text(60), "rejected": text(50), "score_chosen": 5.0, "score_rejected": 2.0}
            shards.add("preference", {**task, "row": "", **sides, "verdicts": "", "version": 1})
    files = {
        name: File(sha256=sha256(folder / name), bytes=(folder / name).stat().st_size, rows=rows)
        for name, rows in shards.rows.items()
    }
    manifest = Version(
        name="big", version=1, created="2026-11-21T00:00:00+00:00", rows={"sft": ROWS, "preference": ROWS}, added={},
        files=files, licences=LICENCES, recipe="none", language="en", made_by="benchmark",
    )  # fmt: skip
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (root / "catalogue.json").write_text('{"format": 1, "trial": false}\n', encoding="utf-8")


def command(root: Path, form: str) -> tuple[float, float]:
    """Return seconds on the clock, and of the processor."""
    out = root.parent / "out"
    shutil.rmtree(out, ignore_errors=True)
    line = [sys.executable, "-m", "selfinstruct", "download", "big", "--from", root, "--format", form, "-o", out, "-q"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(list(map(str, line)), check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


with tempfile.TemporaryDirectory() as folder:
    publish(Path(folder) / "catalogue")
    for form in sys.argv[1:] or FORMATS:
        clock, processor = map(
            statistics.median, zip(*(command(Path(folder) / "catalogue", form) for _ in range(3)), strict=True)
        )
        print(f"{form:18} {ROWS / clock:>9,.0f} rows/s, {ROWS / processor:>9,.0f} per second of the processor")
