"""judge and pair on files as their users have them: every row is kept or named with why."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from selfinstruct.cli import main  # noqa: F401 - registers the commands
from selfinstruct.cli._shared import app
from selfinstruct.dataset import dropped_file
from selfinstruct.tables import read_table, write_table

if TYPE_CHECKING:
    from pathlib import Path

GOOD, WEAK = "A careful answer that keeps to the task. " * 3, "It depends."
SCRIPTED = (
    "--set",
    "engines.writer={kind: scripted, cut: 0, empty: 0, broken_json: 0, unreadable_verdicts: 0}",
    "-q",
    "--json",
)


def call(*parts: object) -> tuple[int, dict[str, Any], str]:
    done = CliRunner().invoke(app, [str(part) for part in parts])
    lines = done.stdout.splitlines()
    return (
        done.exit_code,
        json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {},
        done.output + str(done.exception),
    )


def dropped(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in dropped_file(out).read_text(encoding="utf-8").splitlines()]


def chat(answer: str) -> dict[str, Any]:
    turns = [("system", "Be brief."), ("user", "Name a river."), ("assistant", answer)]
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


def test_messages_are_judged(tmp_path: Path) -> None:
    """Conversations keep their shape, and get a score; what is not kept is named by its row."""
    rows = [chat(GOOD), chat(WEAK), chat(""), {"messages": "no list"}]
    write_table(tmp_path / "in.jsonl", rows)
    out = tmp_path / "out.jsonl"
    status, told, _ = call("judge", tmp_path / "in.jsonl", "-o", out, "--min-score", 4, *SCRIPTED)
    assert status == 0
    kept = [row for _, row in read_table(out)]
    assert [row["messages"] for row in kept] == [rows[0]["messages"]]
    assert kept[0]["score"] >= 4
    assert [(one["row"], one["rule"]) for one in dropped(out)] == [(2, "score"), (3, "empty"), (4, "no_text")]
    assert {key: told[key] for key in ("kept", "score", "empty", "no_text")} == dict.fromkeys(
        ("kept", "score", "empty", "no_text"), 1
    )


def preference(chosen: str, rejected: str) -> dict[str, str]:
    return {"prompt": "Name a river.", "chosen": chosen, "rejected": rejected}


def test_preferences_are_judged_on_both_sides(tmp_path: Path) -> None:
    """Kept where the chosen answer is good and better than the rejected one; the other's weakness is no reason to drop."""
    rows = [preference(GOOD, WEAK), preference(WEAK, GOOD), preference(WEAK, WEAK), preference(GOOD, "")]
    write_table(tmp_path / "in.jsonl", rows)
    out = tmp_path / "out.jsonl"
    status, told, _ = call("judge", tmp_path / "in.jsonl", "-o", out, "--min-score", 4, *SCRIPTED)
    assert status == 0
    (kept,) = (row for _, row in read_table(out))
    assert (kept["chosen"], kept["rejected"]) == (GOOD, WEAK)
    assert kept["score_chosen"] >= 4 > kept["score_rejected"]
    assert [(one["row"], one["rule"]) for one in dropped(out)] == [(2, "score"), (3, "score"), (4, "empty")]
    assert told["ledger"]["generated"] == 8


def test_a_preference_that_the_judge_turns_round_is_named(tmp_path: Path) -> None:
    """Both good enough for a low threshold: the order decides."""
    write_table(tmp_path / "in.jsonl", [preference(WEAK, GOOD)])
    out = tmp_path / "out.jsonl"
    call("judge", tmp_path / "in.jsonl", "-o", out, "--min-score", 0, *SCRIPTED)
    (one,) = dropped(out)
    assert one["rule"] == "not_better"
    assert one["figure"] < one["threshold"]


def test_judge_then_pair(tmp_path: Path) -> None:
    """Several answers to one task, judged with nothing dropped, become pairs; every task is a pair or named."""
    rows = [{"instruction": f"Do thing {n}.", "output": f"{GOOD} {k}"} for n in range(6) for k in range(2)]
    rows += [{"instruction": f"Do thing {n}.", "output": WEAK} for n in range(5)]
    rows.append({"instruction": "Do another thing.", "output": GOOD})
    write_table(tmp_path / "in.csv", rows)
    judged, out = tmp_path / "judged.csv", tmp_path / "pairs.jsonl"
    assert call("judge", tmp_path / "in.csv", "-o", judged, "--min-score", 0, *SCRIPTED)[0] == 0
    assert len(read_table(judged)) == len(rows)
    status, told, _ = call("pair", judged, "-o", out, "--min-chosen", 4, "--strategy", "max-min", "-q", "--json")
    assert status == 0
    made = [row for _, row in read_table(out)]
    assert told["pairs"] == len(made)
    assert sum(told.values()) == 7
    assert len(made) + len(dropped(out)) == 7
    assert {row["rejected"][0]["content"] for row in made} >= {WEAK}
    assert all(row["score_chosen"] - row["score_rejected"] >= 0.5 for row in made)
    assert Counter(one["rule"] for one in dropped(out))["too_few_answers"] == 1


@pytest.mark.parametrize(
    ("row", "options", "what"),
    [
        ({"instruction": "Do it.", "output": "Done."}, (), "no column 'score' (there are: instruction, output)"),
        ({"instruction": "Do it.", "output": "Done.", "score": "many"}, (), "line 1, score: 'many' is no score"),
        ({"instruction": "Do it.", "output": "Done.", "score": 5}, (), "no pair among 1 tasks (too_few_answers 1)"),
        ({"text": "Do it."}, (), "no layout fits the columns that are there (text)"),
        ({"instruction": "Do it.", "output": "x", "score": 5}, ("--strategy", "best"), "--strategy 'best' is none"),
        ({"instruction": "Do it.", "output": "x", "score": 5}, ("--min-margin", "0"), "--min-margin 0"),
    ],
)
def test_pair_refuses_what_it_cannot_use(
    tmp_path: Path, row: dict[str, Any], options: tuple[str, ...], what: str
) -> None:
    """What, where, and nothing written."""
    write_table(tmp_path / "in.jsonl", [row])
    status, _, text = call("pair", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", *options)
    assert status != 0
    assert what in text
    assert not (tmp_path / "out.jsonl").exists()


def test_judging_a_file_is_refused_before_it_costs(tmp_path: Path) -> None:
    """A threshold outside of the rubric's scale, an unknown rubric, columns that fit nothing."""
    write_table(tmp_path / "in.jsonl", [{"instruction": "Do it.", "output": "Done."}])
    for options, what in (
        (("--min-score", 6), "outside of the judge's scale"),
        (("--rubric", "wit"), "no rubric 'wit'"),
        (("--columns", "output=reply"), "no column 'reply' for output"),
        (("--language", "fr"), "no rubric 'accuracy' for language 'fr'"),
    ):
        status, _, text = call("judge", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", *options, *SCRIPTED)
        assert status != 0
        assert what in text
    assert not (tmp_path / "out.jsonl").exists()


def test_another_rubric_brings_its_own_threshold(tmp_path: Path) -> None:
    """Educational value: 0 to 5, keep 3; in Korean words as in English ones."""
    write_table(
        tmp_path / "in.jsonl", [{"instruction": "Do it.", "output": GOOD}, {"instruction": "Do it.", "output": WEAK}]
    )
    for language in ("en", "ko"):
        out = tmp_path / f"{language}.jsonl"
        options = ("--rubric", "educational-value", "--language", language)
        status, told, _ = call("judge", tmp_path / "in.jsonl", "-o", out, *options, *SCRIPTED)
        assert (status, told["kept"]) == (0, 1)
        assert dropped(out)[0]["threshold"] == 3
