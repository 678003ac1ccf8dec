"""Labels: when two are one, which a task surely names, what is short, and which of too many are kept."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.text.labels import LONGEST, Shortage, even, named, plain, shortage


@pytest.mark.parametrize(
    ("label", "wanted"),
    [
        ("Yes.", "yes"),
        (" **Positive** ", "positive"),
        ("\N{LEFT DOUBLE QUOTATION MARK}Does  not\nfollow\N{RIGHT DOUBLE QUOTATION MARK}", "does not follow"),
        ("(b)", "b"),
        ("\uff39\uff25\uff33", "yes"),
        ("긍정。", "긍정"),
        ("-1", "-1"),
        ("50%", "50%"),
        ("C++", "c++"),
        ("?", "?"),
        (" \n", ""),
    ],
)
def test_one_label_in_many_dresses(label: str, wanted: str) -> None:
    """Case, width, blanks and punctuation around it make no other label; signs that mean something do."""
    assert plain(label) == wanted


@pytest.mark.parametrize(
    ("task", "seen", "wanted"),
    [
        ("Is the review Positive, negative, or mixed?", {"positive"}, ["Positive", "negative", "mixed"]),
        ("Say it in a word or two: is it urgent or routine?", {"routine"}, ["urgent", "routine"]),
        ('Answer "world news", "sports" or "local news" alone.', {"sports"}, ["world news", "sports", "local news"]),
        ("Mark it as true/false.", {"true"}, ["true", "false"]),
        ("긍정, 중립 또는 부정?", {"중립"}, ["긍정", "중립", "부정"]),
        ("Does it sound formal or casual to you?", {"formal"}, []),
        ("Does it sound formal or casual to you?", {"formal", "casual"}, ["formal", "casual"]),
        ("Tell if the animal is a mammal, a bird or a reptile.", {"bird"}, []),
        ("Decide whether it is formally correct, wrong or unclear.", {"formally correct"}, []),
        ("Is the message spam or not?", {"spam"}, []),
        ("Is it urgent or routine?", {"urgent", "normal"}, []),
        ("Is it urgent or routine?", set(), []),
        ("Which genre is the book?", {"crime"}, []),
        (f"{'x ' * LONGEST}urgent or routine?", {"urgent"}, []),
    ],
)
def test_only_labels_that_are_surely_named(task: str, seen: set[str], wanted: list[str]) -> None:
    """A list is believed that holds every label seen and is surely at its end; anything else names nothing."""
    assert list(named(task, seen).values()) == wanted


@pytest.mark.parametrize(
    ("outputs", "task", "wanted"),
    [
        ("Yes yes. YES", "", Shortage((), ("Yes",), 2, 1.0)),
        ("a a a a a", "", Shortage((), ("a",), 2, 1.0)),
        ("a a", "", Shortage((), ("a",), 2, 1.0)),
        ("a a a b", "", Shortage(("b",), ("a",), 1, 0.75)),
        ("a a a a b", "Is it a, B or c?", Shortage(("b", "c"), ("a",), 2, 0.8)),
        ("a", "Is it a or b?", Shortage(("b",), ("a",), 1, 1.0)),
        ("a b", "Is it a, b or c?", Shortage(("c",), ("a", "b"), 1, 0.5)),
        ("a", "", None),
        ("a a b", "", None),
        ("a a a b c", "", None),
        ("a b c", "", None),
        ("a b c d e", "Is it a, b, c, d, e or f?", None),
    ],
)
def test_what_is_short(outputs: str, task: str, wanted: Shortage | None) -> None:
    """More than the share and more than an even split gives; or a named label that has place and is missing. Else nothing."""
    assert shortage(outputs.split(), task=task, most=0.6, room=5) == wanted


def test_nothing_is_short_among_no_labels() -> None:
    """No instance, or instances without labels."""
    assert shortage([], task="Is it a or b?", most=0.6, room=5) is None
    assert shortage([" ", ""], task="Is it a or b?", most=0.6, room=5) is None


@given(st.lists(st.sampled_from("abcd"), max_size=12), st.integers(1, 8))
def test_kept_as_even_as_can_be(labels: list[str], room: int) -> None:
    """As many as there is room for; no label that lost a place has more than one beyond another that could have more."""
    places = even(labels, room)
    assert places == sorted(set(places))
    assert len(places) == min(room, len(labels))
    there, kept = Counter(labels), Counter(labels[place] for place in places)
    for label in there:
        if kept[label] < there[label]:
            assert max(kept.values()) <= kept[label] + 1
        assert [place for place in places if labels[place] == label] == [
            place for place, one in enumerate(labels) if one == label
        ][: kept[label]]


@given(st.lists(st.sampled_from(["a", "b", "c", "a.", ""]), max_size=8), st.integers(1, 8))
def test_what_is_wanted_fills_the_room_and_no_more(outputs: list[str], room: int) -> None:
    """With what was asked for, the labels are more even than before; one of which there is enough is not asked for."""
    short = shortage(outputs[:room], task="Is it a, b or c?", most=0.6, room=room)
    if short is not None:
        wanted, enough = list(short.wanted), set(short.enough)
        assert not {*map(plain, wanted)} & {*map(plain, enough)}
        present = list(filter(None, map(plain, outputs[:room])))
        offered = [*present, *(wanted[place % len(wanted)] for place in range(short.count))]
        before, after = Counter(present), Counter(offered[place] for place in even(offered, room))
        assert min(after[label] for label in "abc") >= min(before[label] for label in "abc")
        assert max(after.values()) - min(after.values()) < max(before.values()) or len(after) > len(before)
        assert after.total() == min(room, len(offered))
