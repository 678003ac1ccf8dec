"""Each rule of each gate: what it drops, with which figure, and what it must let through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selfinstruct import recipe
from selfinstruct.errors import BadInputError
from selfinstruct.gates.heuristics import Heuristics
from selfinstruct.gates.instance_rules import InstanceRules
from selfinstruct.gates.rouge import Rouge
from selfinstruct.gates.score import Score
from selfinstruct.pool import Pool
from selfinstruct.records import Instance, Row, SeedTask
from selfinstruct.seeds import load, shipped
from selfinstruct.stage import Gate
from selfinstruct.text.rouge import NoveltyIndex
from tests.support.at_a_gate import PROVENANCE, at_a_gate, instruction


def rule(gate: Gate, text: str) -> str | None:
    reason = gate.reason_to_drop(instruction(text), at_a_gate())
    return reason.rule if reason else None


PAPER = next(gate for gate in recipe.load("self-instruct", environment={}).stages[0].gates if gate.kind == "heuristics")
DEFAULT = Heuristics()


@pytest.mark.parametrize(
    ("text", "paper", "default"),
    [
        ("Name a river.", "too_short", None),
        ("Stop now.", "too_short", "too_short"),
        ("word " * 151, "too_long", "too_long"),
        ("Describe the picture on the wall.", "keyword", "keyword"),
        ("Describe the PICTURE on the wall.", "keyword", "keyword"),
        ("Draw a conclusion from these facts.", "keyword", None),
        ("Compress the file of complaints politely.", "keyword", None),
        ("Write a program that adds numbers.", "prefix", None),
        ("- list the rivers of France", "punctuation", "punctuation"),
        ("¿Qué es una metáfora en poesía?", "punctuation", "punctuation"),
        ("Étudier le texte et répondre ensuite.", "non_ascii", None),
        ("한국어로 짧은 편지를 써 주세요.", "non_ascii", None),
        ("次の文を英語に翻訳してください。", "too_short", None),
        ("Explain what NASA does in space.", None, None),
    ],
)
def test_heuristics(text: str, paper: str | None, default: str | None) -> None:
    """The published rules in the paper presets; the default ones demand no ASCII and count words in every script."""
    assert rule(PAPER, text) == paper
    assert rule(DEFAULT, text) == default


def test_word_limits_are_the_published_ones() -> None:
    """3 words go, 4 stay; 150 stay, 151 go."""
    assert [rule(PAPER, "word " * count) for count in (3, 4, 150, 151)] == ["too_short", None, None, "too_long"]


def test_rouge_drops_against_seeds_and_pool() -> None:
    """A seed's rewording goes with its figure and neighbour; so does one of an instruction accepted later."""
    pool = Pool(load(shipped())[0])
    gate = Rouge(tokenizer="rouge")
    text = pool.seeds[0].instruction
    reason = gate.reason_to_drop(instruction(text + " Please."), at_a_gate(pool=pool))
    assert reason is not None
    assert (reason.rule, reason.threshold, reason.evidence["nearest"]) == ("rouge", 0.7, text)
    assert isinstance(reason.figure, float)
    assert reason.figure > 0.7
    new = instruction("Balance eleven teapots while humming the anthem of a country that never existed.")
    assert gate.reason_to_drop(new, at_a_gate(pool=pool)) is None
    pool.admit(new)
    assert gate.reason_to_drop(new, at_a_gate(pool=pool)) is not None


def test_korean_near_duplicates_are_found_by_default() -> None:
    """The published tokenizer sees none of it; the default one does."""
    pool = Pool(())
    pool.admit(instruction("이 문장을 영어로 번역하세요."))
    again = instruction("이 문장을 영어로 번역해 주세요.")
    assert Rouge(tokenizer="rouge").reason_to_drop(again, at_a_gate(pool=pool)) is None
    assert Rouge(tokenizer="unicode").reason_to_drop(again, at_a_gate(pool=pool)) is not None
    other = instruction("감자 수프를 끓이는 방법을 알려 주세요.")
    assert Rouge(tokenizer="unicode").reason_to_drop(other, at_a_gate(pool=pool)) is None


def instances(*pairs: tuple[str, str]) -> list[Instance]:
    return [
        Instance(id=str(number), parent="", provenance=PROVENANCE, input=given, output=output)
        for number, (given, output) in enumerate(pairs)
    ]


@pytest.mark.parametrize(
    ("pairs", "rules"),
    [
        ([("a", "b"), ("c", "d")], [None, None]),
        ([("a", "a")], ["input_is_output"]),
        ([("a", "  ")], ["empty_output"]),
        ([("", "")], ["empty_output"]),
        ([("a:", "b"), ("c", "d:")], ["ends_in_colon", "ends_in_colon"]),
        ([("c", "d\uff1a")], ["ends_in_colon"]),
        ([("a", "b"), ("a", "c"), ("d", "e")], ["two_outputs", "two_outputs", None]),
        ([("", "b"), ("", "c")], [None, None]),
        ([("a", "b"), ("a", "b")], [None, "repetition"]),
        ([("caf\u00e9", "cafe\u0301")], ["input_is_output"]),
    ],
)
def test_instance_rules(pairs: list[tuple[str, str]], rules: list[str | None]) -> None:
    """Input = output, empty, a colon at the end, one input with two outputs (all of them go), an exact repetition."""
    made = instances(*pairs)
    reasons = [InstanceRules().reason_to_drop(one, at_a_gate(made)) for one in made]
    assert [reason.rule if reason else None for reason in reasons] == rules


@pytest.mark.parametrize(("score", "dropped"), [(4.5, False), (5.0, False), (4.0, True), (0.0, True), (None, True)])
def test_score(score: float | None, dropped: bool) -> None:  # noqa: FBT001 - a table of cases
    """4.5 and more is kept; no score at all is never a pass."""
    values: dict[str, Any] = {"instruction": "i", "input": "", "output": "o", "score": score}
    row = Row(id="r", parent="", provenance=PROVENANCE, **values)
    assert (Score().reason_to_drop(row, at_a_gate()) is not None) is dropped


@pytest.mark.parametrize("kind", ["release.novelty", "release.jsonl", "folder"])
def test_against_other_releases(tmp_path: Path, kind: str) -> None:
    """A saved index, a dataset, a folder of them: near to any of their texts goes, with that text as evidence, seeds as ever."""
    texts = ["Name three rivers of the north and say where they end.", "Fold a paper crane and number the steps."]
    index = NoveltyIndex(tokenizer="unicode")
    index.extend(texts)
    index.save(tmp_path / "release.novelty")
    (tmp_path / "folder").mkdir()
    for file in ("release.jsonl", "folder/train.jsonl"):
        (tmp_path / file).write_text("".join(json.dumps({"instruction": text}) + "\n" for text in texts))
    gate = Rouge(against=(tmp_path / kind, tmp_path / "release.jsonl"))
    pool = Pool(load(shipped())[0])
    pool.admit(instruction("Write a letter to the last lighthouse keeper."))
    for text, nearest in (
        ("Name three rivers of the south and say where they end.", texts[0]),
        ("Fold one paper crane and number the steps.", texts[1]),
        ("Write a letter to the first lighthouse keeper.", "Write a letter to the last lighthouse keeper."),
        (pool.seeds[5].instruction, pool.seeds[5].instruction),
    ):
        reason = gate.reason_to_drop(instruction(text), at_a_gate(pool=pool))
        assert reason is not None
        assert reason.evidence["nearest"] == nearest
    assert gate.reason_to_drop(instruction("Weigh a cloud with a kitchen scale."), at_a_gate(pool=pool)) is None
    assert len(gate.inputs()) == (2 if kind == "release.novelty" else 1)  # equal bytes are one file
    with pytest.raises(BadInputError, match=r"none\.jsonl"):
        Rouge(against=(tmp_path / "none.jsonl",)).inputs()


def test_the_published_tokenizer_says_what_it_does_not_see() -> None:
    """Korean seeds under the paper presets: told before the run. English ones, or the default tokenizer: nothing."""
    korean = [
        SeedTask(id=str(n), name="", instruction=text, instances=(), is_classification=False)
        for n, text in enumerate(["주어진 문장을 영어로 번역하세요.", "Python으로 합을 구하세요."])
    ]
    assert "does not see" in Rouge(tokenizer="rouge").caution(korean)
    assert not Rouge().caution(korean)
    assert not Rouge(tokenizer="rouge").caution(load(shipped())[0])
