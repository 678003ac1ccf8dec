"""The pictures of figures: one for everything there is, none for what there is not, with the caller's words and links."""

from __future__ import annotations

import re
from dataclasses import fields
from xml.etree import ElementTree as ET

from selfinstruct.figures.bins import Lengths, length_bin
from selfinstruct.figures.draw import Words, draw
from selfinstruct.figures.model import NONE, Figures, LabelCounts, Nearness, Scores, StageCounts

LENGTHS = Lengths(characters={length_bin(n): 1 for n in (3, 40, 500)}, words={1: 3})
FULL = Figures(
    rows=3,
    funnel={"select": StageCounts(generated=5, accepted=3, dropped=2, drops={"score": 2})},
    scores=Scores(kept={450: 2, 500: 1}, dropped={425: 2}, thresholds=(4.5,), scales=((0, 5),)),
    nearness=Nearness(kept={30: 3}, dropped={75: 1}, thresholds=(0.7,), tokenizers=("unicode",)),
    instruction=LENGTHS,
    input=LENGTHS,
    output=LENGTHS,
    scripts={"Latin": 2, NONE: 1},
    output_scripts={"Hangul": 3},
    verbs={"write": {"story": 2, NONE: 1}, NONE: {NONE: 9}},
    labels=LabelCounts(tasks=1, rows=3, labels={"yes": 2, "no": 1}),
)
NAMES = [
    "funnel",
    "scores",
    "novelty",
    "instruction",
    "input",
    "output",
    "scripts",
    "output_scripts",
    "labels",
    "drops",
    "verbs",
]


def test_everything_has_a_picture() -> None:
    """Each figure gives its own, well-formed, in the order of the words' fields."""
    found = draw(FULL)
    assert list(found) == NAMES == [one.name for one in fields(Words)][: len(NAMES)]
    for svg in found.values():
        ET.fromstring(svg)  # noqa: S314 - our own output


def test_nothing_has_none() -> None:
    """What was not measured is not drawn; inputs that are all empty are not either."""
    assert draw(Figures()) == {}
    assert draw(Figures(rows=2, input=Lengths(characters={0: 2}, words={0: 2}))) == {}


def test_words_and_links_are_the_callers() -> None:
    """Titles, words and names as given; a stage and a rule link to their drops."""
    words = Words(funnel="깔때기", accepted="남음", names={"select": "고르기", "score": "점수"}, none="글자 없음")
    found = draw(FULL, words, link=lambda stage, rule: f"?{stage}+{rule}")
    assert all(one in found["funnel"] for one in ("깔때기", "남음", "고르기", "?select+score"))
    assert "점수" in found["drops"]
    assert "?+score" in found["drops"]
    assert "글자 없음" in found["scripts"]


def test_scores_are_drawn_where_the_threshold_decides() -> None:
    """Half points from end to end of the scale; a quarter point is in its half point's bar; the line is at the threshold."""
    svg = draw(FULL)["scores"]
    bars = re.findall(r'data-low="(\S+)" data-high="\S+" data-kept="(\d+)" data-dropped="(\d+)"', svg)
    assert bars == [("4", "0", "2"), ("4.5", "2", "0"), ("5", "1", "0")]
    assert 'data-low="0"' in svg
    assert 'id="scores-threshold"' in svg
    assert 'data-value="4.5"' in svg


def test_what_is_unsure_is_no_verb() -> None:
    """Instructions without a verb or an object are left out; how many of all are shown is said."""
    svg = draw(FULL)["verbs"]
    assert re.findall(r'data-verb="(\S+)"(?: data-noun="(\S+)")? data-count="(\d+)"', svg) == [
        ("write", "", "2"), ("write", "story", "2"),
    ]  # fmt: skip
    assert "/ 3 rows" in svg
