"""Seed files: the shipped one keeps its promises, and every way to be broken is told with line, field and remedy."""

from __future__ import annotations

import json
import resource
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from selfinstruct import seeds
from selfinstruct.errors import BadInputError
from selfinstruct.text.rouge import NoveltyIndex

PUBLIC = Path(__file__).parent.parent.parent / "shared/data/self_instruct_seed_tasks.jsonl"
needs_public = pytest.mark.skipif(not PUBLIC.is_file(), reason="the public seed file lies outside the repository")


def task(number: int, **changes: Any) -> dict[str, Any]:
    good = {
        "id": f"t{number}",
        "name": f"name_{number}",
        "instruction": f"Count to {number} aloud.",
        "instances": [{"input": "", "output": "one"}],
        "is_classification": False,
    }
    return {**good, **changes}


def file_of(tmp_path: Path, *lines: Any) -> Path:
    path = tmp_path / "seeds.jsonl"
    rows = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    rows += [json.dumps(task(1000 + number)).encode() for number in range(8)]
    path.write_bytes(b"\n".join(rows) + b"\n")
    return path


BROKEN: dict[str, tuple[bytes | dict[str, Any], str, str]] = {
    "missing field": ({k: v for k, v in task(1).items() if k != "instances"}, "instances", "required"),
    "wrong type": (task(1, instruction=7), "instruction", "string"),
    "misspelt field": (task(1, instuction="x"), "instuction", "not permitted"),
    "empty instruction": (task(1, instruction="  "), "instruction", "empty"),
    "no instances": (task(1, instances=[]), "instances", "empty"),
    "empty output": (task(1, instances=[{"input": "a", "output": " "}]), "instances.0.output", "empty"),
    "instance without output": (task(1, instances=[{"input": "a"}]), "instances.0.output", "required"),
    "duplicate id": (task(1, id="t1000"), "id", "the same as in line 1"),
    "duplicate instruction": (task(1, instruction="COUNT to 1000  aloud."), "instruction", "the same as in line 1"),
    "invalid UTF-8": (b'{"id": "\xff"}', "", "not UTF-8 at byte 9"),
    "NUL": (task(1, name="a\x00b"), "name", "NUL"),
    "lone surrogate": (task(1, name="a\ud800b"), "name", "surrogate"),
    "deep nesting": (b"[" * 100_000 + b"]" * 100_000, "", "nested"),
    "deep inside an object": (b'{"id": ' + b"[" * 500 + b"]" * 500 + b"}", "", "nested"),
    "NaN": (b'{"id": NaN}', "", "NaN"),
    "Infinity": (b'{"id": -Infinity}', "", "Infinity"),
    "key twice": (b'{"id": "a", "id": "b"}', "", "twice"),
    "not JSON": (b"id,name", "", "not JSON"),
    "cut JSON": (b'{"id": "a", ', "", "not JSON"),
    "a list": (b"[]", "", "not an object"),
    "a number": (b"7", "", "not an object"),
    "yes for true": (task(1, is_classification="maybe"), "is_classification", "boolean"),
    "too long a line": (b'{"id": "' + b"x" * seeds.LINE_LIMIT + b'"}', "", "longer than"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_lines_are_told(tmp_path: Path, name: str) -> None:
    """Each kind of damage names its line and field, and the good lines beside it raise nothing."""
    line, field, words = BROKEN[name]
    _, problems = seeds.check(file_of(tmp_path, line))
    first = problems[0]
    place = 2 if name.startswith("duplicate") else 1
    assert (first.line, first.field) == (place, field)
    assert words in first.message
    assert first.remedy
    assert len(problems) == 1 or name == "misspelt field"


def test_huge_line_is_refused_without_being_held(tmp_path: Path) -> None:
    """A line of 200 MB costs no memory worth the name."""
    path = tmp_path / "huge.jsonl"
    with path.open("wb") as file:
        for _ in range(200):
            file.write(b"x" * 1_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _, problems = seeds.check(path)
    assert "longer than" in problems[0].message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_bom_and_crlf_are_read_right(tmp_path: Path) -> None:
    """A file saved on Windows is a good file."""
    path = tmp_path / "seeds.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(json.dumps(task(n)).encode() for n in range(8)) + b"\r\n")
    tasks, problems = seeds.check(path)
    assert not problems
    assert [one.id for one in tasks] == [f"t{n}" for n in range(8)]


def test_fewer_than_eight_are_refused(tmp_path: Path) -> None:
    """A prompt shows eight; load says so and what mends it."""
    path = tmp_path / "few.jsonl"
    path.write_text("".join(json.dumps(task(n)) + "\n" for n in range(7)), encoding="utf-8")
    with pytest.raises(BadInputError, match="7 usable tasks"):
        seeds.load(path)


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is bad input, not a traceback."""
    with pytest.raises(BadInputError, match="cannot read"):
        seeds.check(tmp_path / "none.jsonl")


@needs_public
def test_the_public_file_is_accepted() -> None:
    """The original 175 tasks are a good seed file."""
    tasks, problems = seeds.check(PUBLIC)
    assert not problems
    assert len(tasks) == 175


def test_the_shipped_seeds_keep_their_promises() -> None:
    """175 tasks; 30 classification with 25 label sets; 50 without input; 45 leading verbs; 18 areas, spread evenly."""
    tasks, problems = seeds.check(seeds.shipped())
    assert not problems
    assert len(tasks) == 175
    classification = [one for one in tasks if one.is_classification]
    assert len(classification) >= 30
    assert len({frozenset(i.output.strip().lower() for i in one.instances) for one in classification}) >= 25
    assert sum(all(not i.input for i in one.instances) for one in tasks) >= 50
    assert len({one.instruction.split()[0].lower().strip(",") for one in tasks}) >= 45
    areas = Counter(one.name.partition("_")[0] for one in tasks)
    assert len(areas) >= 18
    assert max(areas.values()) <= 2 * min(areas.values())
    for one in tasks:
        assert len({i.input for i in one.instances}) == len(one.instances)
        assert all(i.input.strip() != i.output.strip() and not i.output.rstrip().endswith(":") for i in one.instances)


def test_the_shipped_seeds_are_far_apart() -> None:
    """ROUGE-L F below 0.5 between any two."""
    index = NoveltyIndex(0.4999999, tokenizer="rouge")
    for one in seeds.load(seeds.shipped())[0]:
        rival = index.rival(one.instruction)
        assert rival is None, (one.instruction, rival)
        index.add(one.instruction)


@needs_public
def test_the_shipped_seeds_are_no_rewordings() -> None:
    """ROUGE-L F below 0.5 to every published seed task."""
    index = NoveltyIndex(0.4999999, tokenizer="rouge")
    index.extend([one.instruction for one in seeds.load(PUBLIC)[0]])
    for one in seeds.load(seeds.shipped())[0]:
        rival = index.rival(one.instruction)
        assert rival is None, (one.instruction, rival)
