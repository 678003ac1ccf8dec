"""What a model wrote is read with certainty or not at all."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfinstruct.errors import UnreadableError
from selfinstruct.text.reply import (
    harmless,
    read_blocks,
    read_examples,
    read_json,
    read_labelled,
    read_list,
    read_marked,
    read_numbered,
    read_pairs,
)


@given(st.text())
def test_readers_never_crash(text: str) -> None:
    """Lists, blocks and examples are read from any text."""
    for reader in (read_numbered, read_examples, read_labelled):
        assert isinstance(reader(text), list)
    assert isinstance(read_blocks(text, first=4), list)
    with contextlib.suppress(UnreadableError):
        read_json(text)


def test_numbered_list() -> None:
    """Items are split at newline, number, point and blank; the first follows the prompt's own number."""
    assert read_numbered(" Name a river.\n10. Add 2. Then\nsay why.\n11 . Stop.") == [
        "Name a river.",
        "Add 2. Then say why.",
        "Stop.",
    ]


def test_blocks() -> None:
    """A block gives instruction, input and output; `<noinput>` is empty; another shape is None."""
    text = " Name it.\n4. Input:\n<noinput>\n4. Output:\nA lynx.\n###\n5. Instruction: Sort.\n5. Output:\nx\n###\n"
    assert read_blocks(text, first=4) == [("Name it.", "", "A lynx."), None]


def test_examples_and_labels() -> None:
    """Input-first and label-first examples."""
    text = " Example 1\nInput: 3 4\nOutput: 7\nExample 2\nInput: 1 1\nOutput: 2"
    assert read_examples(text) == [("3 4", "7"), ("1 1", "2")]
    assert read_examples("Output: It rains.") == [("", "It rains.")]
    labels = "\nClass label: warm\nInput: 25 degrees\nClass label: cold\nInput: -3 degrees\n"
    assert read_labelled(labels) == [("25 degrees", "warm"), ("-3 degrees", "cold")]


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("Task: A.\nTask: B.", ["A.", "B."]),
        ("Here you are:\n\n1. Task: A.\n- Task: B.\n**Task:** C.\nTask 4: D.\n\nEnjoy!", ["A.", "B.", "C.", "D."]),
        ("Task 1:\n  Sort\n  these.\n\nA remark: none.\nTask: B.", ["Sort these.", "B."]),
        ("Task:\nTask: ", []),
        ("Tasks: A.\nA Task: B.\nmy task", []),
        ("", []),
    ],
)
def test_marked_lines(text: str, items: list[str]) -> None:
    """Only what stands after the mark, up to an empty line; talk before and after is nobody's."""
    assert read_marked(text, name="Task") == items


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("Input: 3 4\nOutput: 7\n###\nInput: 1 1\nOutput: 2\n###\n", [("3 4", "7"), ("1 1", "2")]),
        ("Sure!\nInput: a\n\nb\nOutput:\n  x\n  y\n###\nEnjoy!", [("a\n\nb", "x\n  y")]),
        ("**Input:** a\n**Output:** b", [("a", "b")]),
        ("Input:\nOutput: b\n###\n###", [("", "b")]),
        ("nothing of the kind", []),
    ],
)
def test_marked_pairs(text: str, pairs: list[tuple[str, str]]) -> None:
    """Texts of any number of lines; what comes before the first mark is talk."""
    assert read_pairs(text, names=("Input", "Output")) == pairs


@pytest.mark.parametrize(
    "text", ["Input: a", "Output: b\nInput: a", "Input: a\nOutput: b\nInput: c\n###", "Input: a\n###"]
)
def test_a_pair_of_another_shape_is_unreadable(text: str) -> None:
    """A text without its partner, in the wrong order, or without the line that ends the pair before it."""
    with pytest.raises(UnreadableError):
        read_pairs(text, names=("Input", "Output"))


@given(st.text(st.sampled_from("Task:Input Output###\n-*1. \r\u2028"), max_size=200))
def test_marked_texts_are_pieces_of_the_answer(text: str) -> None:
    """Nothing is made up, and nothing but our own error is raised."""
    flat = " ".join(text.split())
    assert all(item in flat for item in read_marked(text, name="Task"))
    with contextlib.suppress(UnreadableError):
        assert all(one in text for pair in read_pairs(text, names=("Input", "Output")) for one in pair)


@pytest.mark.parametrize("text", ["{", "[1] x", "NaN", '{"a": Infinity}', "[" * 100_000, '{"tasks": 3}', "null", ""])
def test_json_that_is_none(text: str) -> None:
    """Cut, padded or too deep JSON, and JSON without the list, is unreadable; nothing else is raised."""
    with pytest.raises(UnreadableError):
        read_list(text, name="tasks")


def test_json_text_is_harmless() -> None:
    """A lone surrogate can be written in JSON but not stored: it becomes U+FFFD, as does NUL."""
    assert read_list(json.dumps({"tasks": ["a\ud800b", "c\x00d"]}), name="tasks") == ["a\ufffdb", "c\ufffdd"]


@given(st.text(st.characters()))
def test_harmless_text_can_be_stored(text: str) -> None:
    """What comes out encodes, and good text is unchanged."""
    clean = harmless(text)
    clean.encode()
    assert "\x00" not in clean
    assert len(clean) == len(text)
