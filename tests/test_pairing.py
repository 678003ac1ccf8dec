"""Two answers become a pair only where they teach what is better; each guard says so when they do not."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.judged import Candidate
from selfinstruct.pairing import Guards, Strategy, length_ratio, pair
from selfinstruct.records import DropReason, Judgement
from tests.support.canned import PROVENANCE


def answers(*found: tuple[str, float | None]) -> list[Candidate]:
    made = []
    for number, (text, score) in enumerate(found):
        verdict = [] if score is None else [
            Judgement(id=f"j{number}", parent=f"a{number}", provenance=PROVENANCE, score=score, rationale="", judge="x")
        ]  # fmt: skip
        made.append(Candidate(f"a{number}", text, "m", tuple(verdict)))
    return made


def paired(found: list[Candidate], strategy: Strategy = "zephyr", **guards: Any) -> tuple[str, str] | str:
    chosen = pair(found, strategy=strategy, guards=Guards(**guards), draw=Random(1))
    return chosen.rule if isinstance(chosen, DropReason) else (chosen[0].text, chosen[1].text)


FOUR = answers(("good", 5), ("fair", 4), ("poor", 2), ("bad", 1))


@pytest.mark.parametrize(
    ("strategy", "rejected"), [("max-min", {"bad"}), ("margin", {"fair"}), ("zephyr", {"fair", "poor", "bad"})]
)
def test_strategies(strategy: Strategy, rejected: set[str]) -> None:
    """The best is chosen; the worst, the nearest or any other is rejected."""
    found = [pair(FOUR, strategy=strategy, guards=Guards(), draw=Random(seed)) for seed in range(50)]
    assert {one[0].text for one in found if not isinstance(one, DropReason)} == {"good"}
    assert {one[1].text for one in found if not isinstance(one, DropReason)} == rejected


@pytest.mark.parametrize(
    ("found", "rule"),
    [
        (answers(("good", 5)), "too_few_answers"),
        (answers(("good", 5), ("bad", None)), "too_few_answers"),
        (answers(("good", 4), ("bad", 1)), "chosen_score"),
        (answers(("same", 5), ("same", 1)), "equal_text"),
        (answers(("one", 5), ("other", 5)), "margin"),
        (answers(("one", 5), ("other", 4.75)), "margin"),
        (answers(("x" * 2000, 5), ("bad", 1)), "length_gap"),
        (answers(("Right.", 5), ("y" * 1000, 1)), "length_gap"),
    ],
)
def test_guards(found: list[Candidate], rule: str) -> None:
    """No tie, no equal texts, no mere difference in length, no chosen answer that is not good."""
    assert paired(found) == rule


def test_a_guard_leaves_the_others_their_chance() -> None:
    """One answer too long, one equal, one too near: the fourth is taken."""
    found = answers(("good", 5), ("good", 2), ("near", 4.75), ("z" * 5000, 1), ("bad", 1.5))
    for strategy in ("zephyr", "max-min", "margin"):
        assert paired(found, strategy) == ("good", "bad")


def test_short_answers_differ_little_in_length() -> None:
    """A word against four is no gap."""
    assert length_ratio("Yes.", "Certainly not, never.") < 1.1
    assert length_ratio("a" * 2800, "b" * 800) == 3.0


@given(st.lists(st.tuples(st.text(max_size=5), st.none() | st.sampled_from([n / 2 for n in range(11)])), max_size=6))
def test_a_pair_always_keeps_what_it_promises(found: list[tuple[str, float | None]]) -> None:
    """Of any answers, by any strategy."""
    for strategy in ("zephyr", "max-min", "margin"):
        made = pair(answers(*found), strategy=strategy, guards=Guards(), draw=Random(0))
        if not isinstance(made, DropReason):
            chosen, rejected = made
            assert chosen.text != rejected.text
            assert (chosen.score or 0) >= 4.5
            assert (chosen.score or 0) - (rejected.score or 0) >= 0.5
