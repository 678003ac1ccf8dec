"""What a correction for length would choose anew: a lower score that comes out on top is one thing, a tie is another."""

from __future__ import annotations

import pytest

from selfinstruct.judged import Candidate, JudgedTask
from selfinstruct.judging.seen import Seen
from selfinstruct.records import Judgement
from tests.support.canned import PROVENANCE


def task(*answers: tuple[int, float]) -> JudgedTask:
    """Answers of so many characters with these scores."""
    verdicts = [
        Judgement(id="j", parent="", provenance=PROVENANCE, score=score, rationale="", judge="x")
        for _, score in answers
    ]
    made = (Candidate(f"{at}", "x" * size, "m", (verdicts[at],)) for at, (size, _) in enumerate(answers))
    return JudgedTask("t", "0", "Do it.", "", tuple(made))


def test_ties_are_told_apart() -> None:
    """Of five tasks one gets a best answer that scored lower, two another one of equals, the shorter; without a slope none do."""
    seen = Seen(families={}, refereed=())
    for one in (
        task((1023, 5.0), (31, 4.5)),
        task((1023, 5.0), (31, 5.0)),
        task((1023, 4.0), (511, 4.0), (511, 1.0)),
        task((31, 5.0), (1023, 5.0)),
        task((31, 5.0), (31, 5.0)),
    ):
        seen.add(one)
    lower, equal = seen.rechosen(0.2)
    assert (lower.value, equal.value) == pytest.approx((1 / 5, 2 / 5))
    assert lower.rests_on == equal.rests_on == {"tasks": 5}
    assert [one.value for one in seen.rechosen(0.0)] == [0, 0]
    assert [one.why for one in Seen(families={}, refereed=()).rechosen(0.2)] == ["no task has two scored answers"] * 2
