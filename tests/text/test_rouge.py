"""The index decides exactly as rouge_score decides: on real rows, on built near-duplicates, at every threshold."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from selfinstruct.text.rouge import NoveltyIndex, f_measure, need, rouge_l
from selfinstruct.text.tokens import rouge_tokens

ALPACA = Path(__file__).parent.parent.parent.parent / "shared/data/alpaca_random_9k.json"
ORACLE = RougeScorer(["rougeL"], use_stemmer=False)
words = st.sampled_from(["a", "b", "c", "river", "mill", "7", "x1"])
texts = st.lists(words, max_size=14).map(" ".join)


def oracle(first: str, second: str) -> float:
    return float(ORACLE.score(first, second)["rougeL"].fmeasure)


@pytest.mark.skipif(not ALPACA.is_file(), reason="the public Alpaca rows lie outside the repository")
@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.95])
def test_decides_as_rouge_score_on_real_rows(threshold: float) -> None:
    """2,000 rows, half of them edited copies: every drop and every keep, and the figure of every drop, is the library's."""
    draw = random.Random(threshold)
    rows = [row["instruction"] for row in json.loads(ALPACA.read_text(encoding="utf-8"))[:1000]]
    edited = []
    for row in rows:
        parts = row.split()
        for _ in range(draw.randint(0, max(1, len(parts) // 3))):
            parts[draw.randrange(len(parts))] = draw.choice(["the", "a", "two", "please", "now"])
        edited.append(" ".join(parts))
    offers = [*rows, *edited]
    draw.shuffle(offers)
    index, dropped = NoveltyIndex(threshold), 0
    pool: list[tuple[str, list[str]]] = []
    for text in offers:
        tokens = rouge_tokens(text)
        # rouge_l is held to rouge_score by the property below: here it only spares the library's tokenising of 2M pairs.
        best = max(((rouge_l(tokens, other), -place) for place, (_, other) in enumerate(pool)), default=(0.0, 0))
        rival = index.rival(text)
        if best[0] > threshold:
            dropped += 1
            assert rival is not None
            assert (rival.score, rival.position) == (best[0], -best[1])
            assert oracle(pool[rival.position][0], text) == rival.score
        else:
            assert rival is None
            index.add(text)
            pool.append((text, tokens))
    assert dropped > 100


@given(texts, texts)
def test_scores_are_the_librarys_floats(first: str, second: str) -> None:
    """The very float, both ways round."""
    assert rouge_l(rouge_tokens(first), rouge_tokens(second)) == oracle(first, second) == oracle(second, first)


@settings(max_examples=200)
@given(st.lists(texts, max_size=25), st.sampled_from([0.5, 0.6, 0.7, 0.8, 0.9, 0.95]))
def test_admission_is_the_plain_loops(offers: list[str], threshold: float) -> None:
    """Any texts in any order: the same survivors as the loop that compares everything with everything."""
    index = NoveltyIndex(threshold)
    kept: list[str] = []
    for text in offers:
        novel = all(not oracle(other, text) > threshold for other in kept)
        assert index.add_if_novel(text) is novel
        kept += [text] if novel else []
    assert len(index) == len(kept)


def test_need_is_taken_from_the_float() -> None:
    """At F exactly 7/10 the float lands above 0.7 in some ties and not in others: need follows the float in each."""
    above = below = 0
    for first in range(1, 121):
        for second in range(1, 121):
            lcs, rest = divmod(7 * (first + second), 20)
            if rest or lcs > min(first, second):
                continue
            lands_above = f_measure(lcs, first, second) > 0.7
            above, below = above + lands_above, below + (not lands_above)
            assert need(first, second, 0.7) == (lcs if lands_above else lcs + 1 if lcs < min(first, second) else 0)
    assert above > 0
    assert below > 0


@pytest.mark.parametrize(
    "offers",
    [
        ["a " * 150, "a " * 149, "a a a a"],
        ["word", "word", "other"],
        ["", "   ", "!!!", ""],
        ["x " * 5000, "x " * 4999 + "y", "y x"],
        [" ".join(f"w{n}" for n in range(150)), "w1 w2 w3 w4"],
        [" ".join(f"w{n}" for n in range(80)), " ".join(f"w{n}" for n in range(10, 90))],
    ],
    ids=["repeated", "one-token", "empty", "long", "lengths", "over-64"],
)
def test_adversarial_texts(offers: list[str]) -> None:
    """Repeated tokens, one token, none, 5,000 words, 150 against 4, more than a machine word: as the plain loop."""
    index = NoveltyIndex()
    kept: list[str] = []
    for text in offers:
        novel = all(not oracle(other, text) > 0.7 for other in kept)
        assert index.add_if_novel(text) is novel
        kept += [text] if novel else []


def test_nearest_are_in_order() -> None:
    """The k nearest with their scores, the earliest first among equals."""
    index = NoveltyIndex()
    index.extend(["one two three", "one two four", "five six"])
    found = index.nearest("one two three", k=3)
    assert [(one.position, one.score) for one in found] == [(0, 1.0), (1, 2 / 3), (2, 0.0)]
    assert index.nearest("one two", k=1)[0].position == 0
