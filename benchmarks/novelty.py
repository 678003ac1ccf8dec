"""Pair rate of the novelty index against rouge_score's own loop, on real instructions, in one run.

The rate counts the pairs that the published loop would have compared. The loop is timed on a sample of pairs (it would take
minutes otherwise); every decision is checked by the tests, not here. Needs ../shared/data beside the checkout.
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

from rouge_score.rouge_scorer import RougeScorer

from selfinstruct.text.rouge import NoveltyIndex

ROWS = Path(__file__).parent.parent.parent / "shared/data/alpaca_random_9k.json"
SAMPLE = 20_000


def main() -> None:
    """Print one line per size."""
    texts = [row["instruction"] for row in json.loads(ROWS.read_text(encoding="utf-8"))]
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    draw = random.Random(1)
    pairs = [draw.sample(texts, 2) for _ in range(SAMPLE)]
    started = time.perf_counter()
    for first, second in pairs:
        scorer.score(first, second)
    loop = SAMPLE / (time.perf_counter() - started)
    print(f"rouge_score: {loop:,.0f} pairs/s (tokenising both texts each time, as the published loops do)")
    for size in (2000, len(texts)):
        index = NoveltyIndex()
        started = time.perf_counter()
        kept = sum(index.add_if_novel(text) for text in texts[:size])
        seconds = time.perf_counter() - started
        rate = size * (size - 1) / 2 / seconds
        print(f"{size:6} rows: {seconds:.2f} s, {kept} kept, {rate:,.0f} pairs/s, {rate / loop:,.0f} times rouge_score")


if __name__ == "__main__":
    main()
