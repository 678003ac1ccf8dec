"""The best of k, told exactly from n answers."""

from __future__ import annotations

from itertools import combinations
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.judged import Candidate, JudgedTask
from selfinstruct.judging.gain import best_of, gain
from selfinstruct.records import Judgement
from tests.support.canned import PROVENANCE


def task(*scores: float) -> JudgedTask:
    def candidate(place: int, score: float) -> Candidate:
        verdict = Judgement(id=f"j{place}", parent="", provenance=PROVENANCE, score=score, rationale="", judge="x")
        return Candidate(f"a{place}", "text", "m", (verdict,))

    return JudgedTask("t", "0", "Do it.", "", tuple(candidate(place, score) for place, score in enumerate(scores)))


@given(st.lists(st.sampled_from([n / 2 for n in range(11)]), min_size=1, max_size=7))
def test_it_is_the_mean_over_all_choices(scores: list[float]) -> None:
    """As if every k of the n had been drawn."""
    scores.sort()
    for k in range(1, len(scores) + 1):
        best = [max(some) for some in combinations(scores, k)]
        mean, kept = best_of(scores, k, threshold=4.5)
        assert mean == pytest.approx(fmean(best))
        assert kept == pytest.approx(fmean(one >= 4.5 for one in best))


def test_the_curve_is_of_tasks_with_equally_many_answers() -> None:
    """Four answers as a rule: the tasks with two and with five are left out, and the curve never falls."""
    found = gain([task(1, 2, 3, 5), task(2, 2, 2, 2), task(5, 5), task(5, 5, 5, 5, 5)], threshold=4.5)
    assert found is not None
    assert found.tasks == 2
    assert [one.answers for one in found.best] == [1, 2, 3, 4]
    assert [one.score for one in found.best] == pytest.approx([2.375, 35 / 12, 3.25, 3.5])
    assert found.best[-1].kept == 0.5
    assert [one.score for one in found.best] == sorted(one.score for one in found.best)


def test_one_answer_a_task_has_no_curve() -> None:
    """Nothing is said where nothing can be known."""
    assert gain([task(5), task(3)]) is None
    assert gain([]) is None
