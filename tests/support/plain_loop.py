"""The published loop, for tests and benchmarks: rouge_score's own LCS against everything before, and copies to try it on."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
from rouge_score import rouge_scorer


class PlainLoop:
    """Offers against the whole pool with rouge_score's own LCS, except for pairs that share too few tokens to score so high."""

    def __init__(self, capacity: int) -> None:
        self.pool: list[list[str]] = []
        self.lengths = np.zeros(capacity)
        self.counts: dict[str, np.ndarray] = {}

    def best(self, tokens: list[str], floor: float) -> tuple[float, int]:
        """Return F and position of the earliest best in the pool, right if above the floor."""
        shared = sum(
            (np.minimum(self.counts[t], n) for t, n in Counter(tokens).items() if t in self.counts),
            start=np.zeros(len(self.lengths)),
        )
        bound = 2 * shared / np.maximum(len(tokens) + self.lengths, 1)
        scored = (
            (rouge_scorer._score_lcs(self.pool[at], tokens).fmeasure, -at)
            for at in np.flatnonzero(bound > floor - 1e-9)
        )
        score, place = max(scored, default=(0.0, 0))
        return score, -int(place)

    def add(self, tokens: list[str]) -> None:
        for token, count in Counter(tokens).items():
            self.counts.setdefault(token, np.zeros(len(self.lengths)))[len(self.pool)] = count
        self.lengths[len(self.pool)] = len(tokens)
        self.pool.append(tokens)


def edited(text: str, threshold: float, draw: random.Random) -> str:
    """Put other words in place of about as many as the threshold allows: the copies land close to it on either side."""
    parts = text.split()
    for _ in range(round((1 - threshold) * len(parts)) + draw.choice([-1, 0, 1])):
        parts[draw.randrange(len(parts))] = draw.choice(["the", "a", "two", "please", "now"])
    return " ".join(parts)
