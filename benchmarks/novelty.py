"""The novelty index against rouge_score's own loop: same decisions (the tests see to that), how much sooner.

Effective pair rate = pairs the published loop would have compared (for each offer the pool at that moment) a CPU second. The
loop is timed in the same run, on pairs drawn from the same offers. Each line runs in a process of its own, on one core
unless it says otherwise; memory is what that process grew by while the index grew, texts not counted.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import random
import tempfile
import time
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from rouge_score.rouge_scorer import RougeScorer

from selfinstruct.text.rouge import NoveltyIndex

DATA = Path(__file__).parent.parent.parent / "shared/data/alpaca_random_9k.json"
ENGINES = {"Python": False, "C": True}
COPIES = 0.3
"""Share of built offers that are an earlier offer with up to a third of its words replaced."""
FRESH, NAMES = 0.3, 0.03
"""Share of the other offers' words that are drawn anew, and of those the share of names."""
BLOCK = 4096
SYLLABLES = 1300
PAGE = os.sysconf("SC_PAGE_SIZE")


def loop_rate(texts: Sequence[str], *, pairs: int) -> float:
    """Return the pairs per second of rouge_score, which tokenises both texts each time, as the published loops do."""
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    draw = random.Random(1)
    sample = [draw.sample(texts, 2) for _ in range(pairs)]
    started = time.process_time()
    for first, second in sample:
        scorer.score(first, second)
    return pairs / (time.process_time() - started)


def built(texts: Sequence[str], *, size: int, seed: int = 1) -> list[str]:
    """Return offers for pools larger than the file: the beginning of one row and the end of another, and near-duplicates.

    A share of the words is drawn anew, as often as the file has them, or is a name of which few come twice.
    """
    draw = random.Random(seed)
    rows = [text.split() for text in texts]
    counts = Counter(word for row in rows for word in row)
    words, ends = list(counts), list(accumulate(counts.values()))

    def word() -> str:
        if draw.random() < NAMES:
            return f"n{int(math.exp(draw.random() * 14.5))}x"
        return words[bisect(ends, draw.random() * (ends[-1] - 1))]

    offers: list[str] = []
    for _ in range(size):
        if offers and draw.random() < COPIES:
            parts = draw.choice(offers).split()
            for _ in range(int(draw.random() * 0.35 * len(parts))):
                parts[draw.randrange(len(parts))] = word()
        else:
            head, tail = draw.choice(rows), draw.choice(rows)
            parts = [*head[: len(head) // 2 + 1], *tail[len(tail) // 2 :]]
            parts = [word() if draw.random() < FRESH else part for part in parts]
        offers.append(" ".join(parts))
    return offers


def dense(texts: Sequence[str], *, size: int) -> list[str]:
    """Return built offers with each word spelled in one to four of 1,300 syllables, as a dense script would cut them."""
    draw = random.Random(3)
    spelled: dict[str, str] = {}
    offers = []
    for offer in built(texts, size=size):
        for word in offer.split():
            if word not in spelled:
                syllables = (int(draw.random() ** 1.5 * SYLLABLES) for _ in range(draw.choice([1, 2, 2, 3, 4])))
                spelled[word] = "".join(chr(0xAC00 + 8 * one) for one in syllables)
        offers.append(" ".join(spelled[word] for word in offer.split()))
    return offers


def grow(offers: Sequence[str], *, native: bool, tokenizer: str, loop_pairs: int) -> dict[str, float]:
    """Offer them one after the other in ten parts; return what the table shows."""
    loop = loop_rate(offers[:20_000], pairs=loop_pairs) if loop_pairs else math.nan
    index = NoveltyIndex(tokenizer=tokenizer, native=native)
    core = index._core  # noqa: SLF001 - the texts are not the index's memory
    seconds, pairs, before = [], 0, _memory()
    part = -(-len(offers) // 10)
    for at in range(0, len(offers), part):
        known, some = len(core), offers[at : at + part]
        started = time.process_time()
        for block in range(0, len(some), BLOCK):
            core.admit(some[block : block + BLOCK])
        seconds.append(time.process_time() - started)
        pairs += len(some) * (known + len(core)) // 2
    rate = pairs / sum(seconds)
    last = len(offers) - 9 * part
    return {
        "kept": len(core),
        "seconds": sum(seconds),
        "late": seconds[-1] / last * 1e6,
        "rate": rate,
        "loop": loop,
        "memory": (_memory() - before) / 2**20,
    }


def survey(offers: Sequence[str]) -> dict[str, float]:
    """Return the milliseconds of ten nearest and mean, over a pool of all offers, per core."""
    found = {}
    for name, native in ENGINES.items():
        index = NoveltyIndex(native=native)
        index.extend(offers)
        index.survey(offers[0])
        started = time.process_time()
        for text in offers[:50]:
            index.survey(text)
        found[name] = (time.process_time() - started) / 50 * 1e3
    return found


def saved(offers: Sequence[str]) -> dict[str, float]:
    """Return seconds (wall) to read the texts from JSONL and take them in, to save the index, and to load it."""
    with tempfile.TemporaryDirectory() as folder:
        rows, path = Path(folder, "rows.jsonl"), Path(folder, "index.novelty")
        rows.write_text("".join(json.dumps({"instruction": text}) + "\n" for text in offers), encoding="utf-8")
        started = time.perf_counter()
        index = NoveltyIndex()
        with rows.open(encoding="utf-8") as file:
            index.extend([json.loads(line)["instruction"] for line in file])
        read = time.perf_counter() - started
        started = time.perf_counter()
        index.save(path)
        save = time.perf_counter() - started
        started = time.perf_counter()
        NoveltyIndex.load(path)
        return {
            "read": read,
            "save": save,
            "load": time.perf_counter() - started,
            "megabytes": path.stat().st_size / 1e6,
        }


def threads(offers: Sequence[str]) -> dict[str, float]:
    """Return the wall seconds of the second half of the offers, on one thread and on two, three times each."""
    best = {1: math.inf, 2: math.inf}
    for count in (1, 2) * 3:
        index = NoveltyIndex(native=True)
        index.admit(offers[: len(offers) // 2])
        started = time.perf_counter()
        index.admit(offers[len(offers) // 2 :], threads=count)
        best[count] = min(best[count], time.perf_counter() - started)
    return {"one": best[1], "two": best[2]}


def apart(work: Callable[..., dict[str, float]], /, *args: Any, **named: Any) -> dict[str, float]:  # noqa: ANN401
    """Run it in a process of its own: what it grows by is its own, and nothing is warm."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(work, args, named)


def lines(asked: argparse.Namespace, texts: Sequence[str]) -> Iterator[tuple[str, list[str], str, list[str]]]:
    """Yield (name, offers, tokenizer, engines) of each line of the table."""
    yield "real", list(texts), "rouge", ["Python", "C"]
    for size in asked.built:
        yield "built", built(texts, size=size), "rouge", ["Python", "C"] if size <= asked.python_up_to else ["C"]
    yield "dense", dense(texts, size=asked.dense), "unicode", ["C"]


def main() -> None:
    """Print the table, and what stands beside it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="Alpaca-shaped JSON file")
    parser.add_argument(
        "--built", type=int, nargs="*", default=[52_000, 200_000, 1_460_000], help="offers built from it"
    )
    parser.add_argument("--dense", type=int, default=150_000, help="offers spelled in syllables")
    parser.add_argument("--python-up-to", type=int, default=200_000, help="largest line that Python runs too")
    parser.add_argument("--pairs", type=int, default=20_000, help="pairs on which the loop is timed, per line")
    asked = parser.parse_args()
    texts = [row["instruction"] for row in json.loads(asked.data.read_text(encoding="utf-8"))]
    print(
        f"{'offers':>16} {'kept':>8} {'by':>6} {'CPU s':>7} {'us, last 10th':>13} {'pairs/s':>16} {'loop':>7} {'ratio':>9} MiB"
    )
    curve: list[tuple[int, float]] = []
    for name, offers, tokenizer, engines in lines(asked, texts):
        for engine in engines:
            row = apart(grow, offers, native=ENGINES[engine], tokenizer=tokenizer, loop_pairs=asked.pairs)
            print(
                f"{name:>7} {len(offers):>8} {row['kept']:>8.0f} {engine:>6} {row['seconds']:>7.2f} {row['late']:>13.1f} "
                f"{row['rate']:>16,.0f} {row['loop']:>7,.0f} {row['rate'] / row['loop']:>9,.0f} {row['memory']:.0f}"
            )
            curve += [(int(row["kept"]), row["seconds"])] if engine == "C" and name == "built" else []
    for (few, less), (many, more) in pairwise(curve):
        print(f"CPU grows as pool^{math.log(more / less) / math.log(many / few):.2f} from {few:,} to {many:,}")
    for engine, milliseconds in apart(survey, built(texts, size=52_000)).items():
        print(f"ten nearest and mean of 52,000, {engine}: {milliseconds:.2f} ms")
    row = apart(saved, built(texts, size=1_000_000))
    print(
        "a million texts: read and taken in {read:.1f} s, saved {save:.1f} s, loaded {load:.1f} s, {megabytes:.0f} MB".format(
            **row
        )
    )
    row = apart(threads, built(texts, size=300_000))
    print(f"offers 150,000 to 300,000 in batches: {row['one']:.2f} s on one thread, {row['two']:.2f} s on two")


def _memory() -> int:
    """Return the bytes this process has in memory (Linux)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE


if __name__ == "__main__":
    main()
