"""Pair rate of the novelty index against rouge_score's own loop, on real instructions, in one run.

The rate counts the pairs among the kept rows, fewer than the published loop compares. The loop is timed on a sample of the same
rows (it would take minutes otherwise); every decision is checked by the tests, not here.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path

from rouge_score.rouge_scorer import RougeScorer

from selfinstruct.text.rouge import NoveltyIndex

DATA = Path(__file__).parent.parent.parent / "shared/data/alpaca_random_9k.json"


def loop_rate(texts: Sequence[str], *, pairs: int) -> float:
    """Return the pairs per second of rouge_score, which tokenises both texts each time, as the published loops do."""
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    draw = random.Random(1)
    sample = [draw.sample(texts, 2) for _ in range(pairs)]
    started = time.perf_counter()
    for first, second in sample:
        scorer.score(first, second)
    return pairs / (time.perf_counter() - started)


def index_seconds(texts: Sequence[str]) -> tuple[float, int]:
    """Return how long the index takes to admit or drop them one by one, and how many it keeps."""
    index = NoveltyIndex()
    started = time.perf_counter()
    for text in texts:
        index.add_if_novel(text)
    return time.perf_counter() - started, len(index)


def spliced(texts: Sequence[str], *, size: int) -> list[str]:
    """Return offers made of the beginning of one row and the end of another, for pools larger than the file."""
    draw = random.Random(2)
    offers = []
    for _ in range(size):
        head, tail = (text.split() for text in draw.sample(texts, 2))
        offers.append(" ".join([*head[: draw.randint(0, len(head))], *tail[draw.randint(0, len(tail)) :]]))
    return offers


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="Alpaca-shaped JSON file")
    parser.add_argument("--rows", type=int, nargs="*", default=[2000, 9229], help="sizes taken from the file")
    parser.add_argument("--spliced", type=int, nargs="*", default=[52_000], help="sizes built from its rows")
    parser.add_argument("--pairs", type=int, default=10_000, help="pairs on which the loop is timed, per line")
    asked = parser.parse_args()
    texts = [row["instruction"] for row in json.loads(asked.data.read_text(encoding="utf-8"))]
    sets = [("real", texts[:size]) for size in asked.rows]
    sets += [("spliced", spliced(texts, size=size)) for size in asked.spliced]
    print(f"{'offers':>15} {'kept':>7} {'index s':>8} {'index pairs/s':>15} {'loop pairs/s':>13} {'ratio':>7}")
    for name, offers in sets:
        loop = loop_rate(offers, pairs=asked.pairs)
        seconds, kept = index_seconds(offers)
        rate = kept * (kept - 1) / 2 / seconds  # the loop compares with what was kept, so drops would flatter the index
        print(
            f"{name:>8} {len(offers):>6} {kept:>7} {seconds:>8.2f} {rate:>15,.0f} {loop:>13,.0f} {rate / loop:>7,.0f}"
        )


if __name__ == "__main__":
    main()
