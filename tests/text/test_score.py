"""A score is read with certainty or not at all, from words and from probabilities."""

from __future__ import annotations

import contextlib
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.errors import UnreadableError
from selfinstruct.text.score import expectation, read_score

HALVES = [half / 2 for half in range(11)]


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("4.5", 4.5),
        ("5", 5.0),
        ("0", 0.0),
        ("score: 4.5", 4.5),
        ("Score: 4.5", 4.5),
        ("Score:4.5", 4.5),
        ("4.5/5", 4.5),
        ("4.5 out of 5", 4.5),
        ("**4.5**", 4.5),
        ("4.5 - great", 4.5),
        ("점수: 4.5", 4.5),
        ("4,5", 4.5),
        ("\n\n3.5\nThe answer names 2 of 3 causes.", 3.5),
        ("Rating: 4/5.", 4.0),
        ("four point five out of five", 4.5),
        ("Four and a half.", 4.5),
        ("I would give this one a 4.", 4.0),
        ("Score (0-5): 4.5", 4.5),
        ("On a scale of 0 to 5: 3", 3.0),
        ("5점 만점에 4.5점입니다.", 4.5),
        ("평가: 4점", 4.0),
        ("4.5점", 4.5),
        ("**점수:** 3,5", 3.5),
        ("Score: 4 because it names both rivers.", 4.0),
        ("(4.5)", 4.5),
        ("5 points", 5.0),
        ("Score = 2", 2.0),
    ],
)
def test_scores_that_are_clear(text: str, score: float) -> None:
    """Nine plausible ways to write a score, and some more; the unofficial parser reads three of nine."""
    assert read_score(text, lowest=0, highest=5) == score


@pytest.mark.parametrize(
    "text",
    [
        "",
        "great",
        "4 or 5",
        "4-5",
        "6",
        "-1",
        "45",
        "8/10",
        "4.5.1",
        "Question 2: 4",
        "NaN",
        "1e3",
        "the 2nd is fine",
        "½",
        "The answer names 2 causes.",
        "2 of the three causes are there.",
        "There are zero errors.",
        "one mistake: 4",
        "10점 만점에 5점",
        "4 out of 5 facts are right",
        "Score: four or five",
        "The score for 2 reasons is low",
        "0-5",
        "오류가 2개 있습니다",
        "I would not give this a 5",
        "This doesn't deserve a score of 5",
        "5점을 줄 수 없습니다",
        "Score: less than 3",
        "Score: <3",
        "Score: >= 4",
        "Score: \u22123",
        "Score: minus 3",
        "Score: - 4",
        "점수: 마이너스 3",
        "4점 이상",
        "Confidence: 0.9",
        "Number of errors: 3",
        "Mistakes = 2",
        "Line: 3",
        "x=3",
        "1) Good",
        "Score: 3%",
        "Score: one-half",
        "No score can be given to one",
        "Score: N/A (0)",
        "This is accurate: 3",
        "at most 4",
    ],
)
def test_scores_that_are_not(text: str) -> None:
    """Anything doubtful is unread: never 0, 1, 3 or -1."""
    with pytest.raises(UnreadableError):
        read_score(text, lowest=0, highest=5)


@given(st.text())
def test_a_score_is_in_range_or_unread(text: str) -> None:
    """Whatever is written, a score outside the scale never comes back, nor any other error."""
    with contextlib.suppress(UnreadableError):
        assert 0 <= read_score(text, lowest=0, highest=5) <= 5


def test_the_expected_value_of_single_tokens_is_exact() -> None:
    """Whole scores: each is one token, as in DEITA."""
    found = expectation([{"4": log(0.5), "5": log(0.25), "3": log(0.25)}], "4", scores=range(1, 6))
    assert found is not None
    assert found[0] == pytest.approx(4.0)
    assert found[1] == pytest.approx(0.5 * log(2) + 0.5 * log(4))


def test_half_points_divide_by_the_second_token() -> None:
    """A 4 that goes on with .5 in three of four cases; what began otherwise is divided evenly."""
    tokens = [{"4": log(0.8), "3": log(0.2)}, {".": log(0.75), "<|im_end|>": log(0.25)}, {"5": 0.0}]
    found = expectation(tokens, "4.5", scores=HALVES)
    assert found is not None
    assert found[0] == pytest.approx(0.8 * (0.25 * 4 + 0.75 * 4.5) + 0.2 * 3.25)


@pytest.mark.parametrize(
    ("scores", "tokens", "text"),
    [
        ([n * 10 for n in range(11)], [{"1": 0.0}, {"0": 0.0}], "10"),
        ([n / 2 for n in range(21)], [{"1": 0.0}, {".": 0.0}, {"5": 0.0}], "1.5"),
        (list(range(11)), [{"1": 0.0}, {"0": 0.0}], "10"),
        (list(range(11)), [{"7": log(0.6), "1": log(0.4)}], "7"),
    ],
)
def test_tokens_that_begin_distant_scores_say_nothing(
    scores: list[float], tokens: list[dict[str, float]], text: str
) -> None:
    """1 begins 1 and 10: half of each would be neither."""
    assert expectation(tokens, text, scores=scores) is None


def test_a_certain_judge_has_no_entropy() -> None:
    """One token with all the mass."""
    assert expectation([{" 5": 0.0}], "5", scores=range(6)) == (5.0, 0.0)


@pytest.mark.parametrize("tokens", [[], [{}], [{"The": log(0.9), "4": log(0.1)}], [{"": 0.0}]])
def test_what_cannot_be_known_is_none(tokens: list[dict[str, float]]) -> None:
    """No probabilities, or most of them on something that begins no score: never 3.0."""
    assert expectation(tokens, "4", scores=range(6)) is None


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["0", "1", "4", "5", ".", "4.5", "", " ", "x"]), st.floats(-30, 0)), max_size=3
    ),
    st.sampled_from(["4", "4.5", "0", "", "x"]),
)
def test_an_expectation_lies_on_the_scale(tokens: list[dict[str, float]], text: str) -> None:
    """Whatever a server sends."""
    found = expectation(tokens, text, scores=HALVES)
    assert found is None or (-1e-9 <= found[0] <= 5 + 1e-9 and found[1] >= 0)
