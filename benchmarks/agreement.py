"""Holds `selfinstruct dedupe` against rouge_score on every row of a real file and an edited copy of each, row by row.

Each row is offered to the published loop too: rouge_score's own LCS against all rows kept so far (only pairs that share too few
tokens to score so high are passed over). Verdict, figure and nearest row must be equal.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
from selfinstruct.text.tokens import rouge_tokens
from tests.support.plain_loop import PlainLoop, edited

DATA = Path(__file__).parent.parent.parent / "shared/data/alpaca_random_9k.json"
MARGIN = 0.05
"""How far below the threshold the loop still scores pairs."""


def offers_of(path: Path, *, threshold: float) -> list[str]:
    """Return every row and a copy of it with about as many words replaced as the threshold allows, shuffled."""
    draw = random.Random(threshold)
    rows = [row["instruction"] for row in json.loads(path.read_text(encoding="utf-8"))]
    offers = [*rows, *(edited(row, threshold, draw) for row in rows)]
    draw.shuffle(offers)
    return offers


def by_loop(offers: Sequence[str], *, threshold: float) -> list[tuple[float, str] | None]:
    """Return for each offer the F and text of the nearest one kept before it, or None where it is kept."""
    plain = PlainLoop(len(offers))
    kept: list[str] = []
    verdicts: list[tuple[float, str] | None] = []
    for text in offers:
        tokens = rouge_tokens(text)
        score, position = plain.best(tokens, threshold - MARGIN)
        near = score > threshold
        verdicts.append((score, kept[position]) if near else None)
        if not near:
            plain.add(tokens)
            kept.append(text)
    return verdicts


def by_command(offers: Sequence[str], *, threshold: float, folder: Path) -> list[tuple[float, str] | None]:
    """Return the same as the command has it: its two files together hold every row."""
    rows, out = folder / "rows.jsonl", folder / "kept.jsonl"
    numbered = ({"row": number, "instruction": text} for number, text in enumerate(offers))
    rows.write_text("".join(json.dumps(row) + "\n" for row in numbered), encoding="utf-8")
    command = [sys.executable, "-m", "selfinstruct", "dedupe", str(rows), "-o", str(out), "-q"]
    subprocess.run([*command, "--tokenizer", "rouge", "--threshold", str(threshold)], check=True, capture_output=True)
    verdicts: dict[int, tuple[float, str] | None] = {row["row"]: None for row in _lines(out)}
    for drop in _lines(folder / "kept.jsonl.dropped.jsonl"):
        verdicts[drop["row"]["row"]] = (drop["drop"]["figure"], drop["drop"]["nearest"])
    return [verdicts[number] for number in range(len(offers))]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Print a line per threshold; exit 1 when a single row differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="Alpaca-shaped JSON file")
    parser.add_argument("--thresholds", type=float, nargs="*", default=[0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
    asked = parser.parse_args()
    wrong = 0
    for threshold in asked.thresholds:
        offers = offers_of(asked.data, threshold=threshold)
        loop = by_loop(offers, threshold=threshold)
        with tempfile.TemporaryDirectory() as folder:
            command = by_command(offers, threshold=threshold, folder=Path(folder))
        differ = sum(one != other for one, other in zip(loop, command, strict=True))
        close = sum(one is not None and one[0] - threshold < MARGIN for one in loop)
        dropped = sum(one is not None for one in loop)
        print(
            f"{threshold}: {len(offers)} rows, {dropped} dropped, {close} of them by less than {MARGIN}; {differ} differ"
        )
        wrong += differ
    sys.exit(1 if wrong else os.EX_OK)


if __name__ == "__main__":
    main()
