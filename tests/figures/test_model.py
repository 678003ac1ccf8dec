"""Figures can be added up: what is derived from bins stays within the bins' width."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfinstruct.figures.additive import Additive
from selfinstruct.figures.bins import KeptDropped, Lengths, hundredths, length_bin, length_bounds
from selfinstruct.figures.model import EXAMPLES, Example, Figures, Scores

_WORDS = st.sampled_from(["rouge", "score", "cut", "(none)", "한글"])
_NUMBERS = st.integers(0, 10**9)


def _values(annotation: Any) -> st.SearchStrategy[Any]:
    if isinstance(annotation, type) and issubclass(annotation, Additive):
        return _made(annotation)
    text = str(annotation)
    if text.startswith("dict"):
        key, value = annotation.__args__
        keys = _WORDS if key is str else st.integers(0, 500)
        if "Example" in str(value):
            return st.dictionaries(keys, st.lists(_made(Example), min_size=1, max_size=EXAMPLES).map(tuple), max_size=2)
        return st.dictionaries(keys, _values(value), max_size=3)
    if text.startswith("tuple"):
        inner = annotation.__args__[0]
        element: st.SearchStrategy[Any] = _WORDS if inner is str else st.integers(0, 9).map(float)
        element = element if inner in {str, float} else st.tuples(element, element)
        return st.sets(element, max_size=2).map(lambda found: tuple(sorted(found)))
    return _NUMBERS


def _made(model: type[Any]) -> st.SearchStrategy[Any]:
    if model is Example:
        return st.builds(Example, id=st.text(max_size=3), stage=_WORDS, text=st.text(max_size=5))
    fields = {name: _values(field.annotation) for name, field in model.model_fields.items()}
    return st.builds(model, **fields)


FIGURES = _made(Figures)
PATIENT = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
"""A set of figures has forty fields: making one takes a while on a busy machine."""


@PATIENT
@given(FIGURES, FIGURES, FIGURES)
def test_a_sum_is_associative(one: Figures, two: Figures, three: Figures) -> None:
    """However a set grew, its figures are the same."""
    assert (one + two) + three == one + (two + three)


@PATIENT
@given(FIGURES, FIGURES)
def test_a_sum_is_commutative_but_for_the_examples(one: Figures, two: Figures) -> None:
    """Which part was counted first shows only in the drops that are shown."""
    without: dict[str, Any] = {"examples": {}}
    assert (one + two).model_copy(update=without) == (two + one).model_copy(update=without)


@PATIENT
@given(FIGURES)
def test_nothing_is_the_zero_and_a_file_holds_all(one: Figures) -> None:
    """Adding nothing changes nothing, and what is written is what is read."""
    assert Figures() + one == one == one + Figures()
    assert Figures.model_validate_json(one.model_dump_json()) == one


@PATIENT
@given(st.integers(0, 10**9))
def test_a_length_is_in_its_bin(length: int) -> None:
    """Bounds and number of a bin agree; a bin is at most an eighth as wide as its shortest length."""
    low, beyond = length_bounds(length_bin(length))
    assert low <= length < beyond
    assert beyond - low <= max(1, low / 8)
    assert length_bin(beyond) == length_bin(length) + 1


@PATIENT
@given(st.lists(st.integers(0, 5000), min_size=1), st.floats(0, 1))
def test_a_quantile_is_a_sixteenth_off_at_most(lengths: list[int], q: float) -> None:
    """The nearest-rank quantile of the lengths themselves lies in the bin that is told."""
    bins: dict[int, int] = {}
    for length in lengths:
        bins[length_bin(length)] = bins.get(length_bin(length), 0) + 1
    told = Lengths(characters=bins).quantile(q)
    rank = max(1, -int(-(q * len(lengths) - 1e-9) // 1))
    true = sorted(lengths)[rank - 1]
    assert told is not None
    assert abs(told - true) <= true / 16


def test_a_threshold_can_be_tried() -> None:
    """What a threshold would keep is read off the bins, the threshold itself included."""
    scores = Scores(kept={450: 3, 500: 2}, dropped={300: 4}, thresholds=(4.5,))
    assert [hundredths(one / 100) for one in range(1001)] == list(range(1001))
    assert [hundredths(one) for one in (4.496, 4.4967, 4.4999, 4.5, 0.004)] == [449, 449, 449, 450, 0]
    assert [scores.kept_at(one) for one in (0, 3, 3.01, 4.5, 5, 5.01)] == [9, 9, 5, 5, 2, 0]
    assert (scores.quantile(0.5), scores.mean(kept=True)) == (4.5, 4.7)


def test_nothing_measured_has_no_middle() -> None:
    """Figures without rows tell None instead of a number."""
    nothing = Figures()
    assert nothing.output.quantile(0.5) is None
    assert KeptDropped().mean() is None
    assert KeptDropped().quantile(0.5) is None
    assert nothing.acceptance is None
    assert nothing.labels.one_label_share is None
    assert nothing.labels.mean_evenness is None
