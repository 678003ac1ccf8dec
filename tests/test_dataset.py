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
from selfinstruct.judging.stored import tasks
from selfinstruct.runs import open_stored
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
    assert told["kept"] == 1
    assert told["rows"] == {"score": 1, "empty": 1, "no_text": 1}
    assert [set(one) for one in dropped(out)][1:] == [{"row", "rule", "figure", "threshold"}, {"row", "rule", "figure"}]


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
    assert told["pairs"] + sum(told["tasks"].values()) == 7
    assert told["rows"] == {}
    assert len(made) + len(dropped(out)) == 7
    assert {row["rejected"][0]["content"] for row in made} >= {WEAK}
    assert all(row["score_chosen"] - row["score_rejected"] >= 0.5 for row in made)
    assert Counter(one["rule"] for one in dropped(out))["too_few_answers"] == 1


@pytest.mark.parametrize(
    ("row", "options", "what"),
    [
        ({"instruction": "Do it.", "output": "Done."}, (), "no column 'score' (there are: instruction, output)"),
        ({"instruction": "Do it.", "output": "Done.", "score": "many"}, (), "line 1, score: 'many' is no score"),
        ({"instruction": "Do it.", "output": "Done.", "score": True}, (), "line 1, score: 'True' is no score"),
        ({"instruction": "Do it.", "output": "Done.", "score": float("inf")}, (), "line 1, score: 'inf' is no score"),
        ({"instruction": "Do it.", "output": "Done.", "score": 10**400}, (), "is no score"),
        ({"instruction": "Do it.", "output": "", "score": 5}, (), "no pair among 0 tasks (empty 1)"),
        ({"instruction": "Do it.", "output": "Done.", "score": 5}, (), "no pair among 1 tasks (too_few_answers 1)"),
        ({"text": "Do it."}, (), "no layout fits the columns that are there (text)"),
        ({"instruction": "Do it.", "output": "x", "score": 5}, ("--strategy", "best"), "--strategy 'best' is none"),
        ({"instruction": "Do it.", "output": "x", "score": 5}, ("--min-margin", "0"), "--min-margin 0"),
        (
            {"instruction": "Do it.", "output": "x", "score": 5},
            ("--min-margin", "nan"),
            "--min-margin nan is no number",
        ),
        (
            {"instruction": "Do it.", "output": "x", "score": 5},
            ("--min-chosen", "nan"),
            "--min-chosen nan is no number",
        ),
        ({"instruction": "Do it.", "output": "x", "score": 5}, ("--max-length-ratio", "nan"), "ratio nan is no number"),
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
        (("--min-score", "nan"), "--min-score nan is no number"),
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


def test_nothing_is_kept(tmp_path: Path) -> None:
    """A program finds the key all the same, and every row is named."""
    write_table(tmp_path / "in.jsonl", [{"instruction": "Do it.", "output": ""}])
    _, told, _ = call("judge", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", *SCRIPTED)
    assert (told["kept"], told["rows"]) == (0, {"empty": 1})


def test_a_score_that_was_there_is_kept_beside(tmp_path: Path) -> None:
    """Under a name that is free, and it is said; nothing of the user's is overwritten."""
    rows = [{"instruction": "Do it.", "output": GOOD, "score": "B+", "score_before": 7}]
    write_table(tmp_path / "in.jsonl", rows)
    out = tmp_path / "out.jsonl"
    talk = [one for one in SCRIPTED if one not in {"-q", "--json"}]
    status, _, text = call("judge", tmp_path / "in.jsonl", "-o", out, "--min-score", 0, *talk)
    assert status == 0
    ((_, kept),) = read_table(out)
    assert (kept["score_before"], kept["score_before_before"]) == (7, "B+")
    assert kept["score"] >= 0
    assert "column score was there already: it is now score_before_before" in text
    write_table(tmp_path / "two.jsonl", [{**preference(GOOD, WEAK), "score": 1, "score_chosen": 2}])
    out = tmp_path / "two.out.jsonl"
    _, told, _ = call("judge", tmp_path / "two.jsonl", "-o", out, "--min-score", 0, *SCRIPTED)
    ((_, kept),) = read_table(out)
    assert (kept["score"], kept["score_chosen_before"]) == (1, 2)
    assert told["renamed"] == {"score_chosen": "score_chosen_before"}


def test_the_audit_of_the_judge_stands_beside(tmp_path: Path) -> None:
    """For people and for programs, of all rows that were judged; it is said where."""
    rows = [{"instruction": f"Do thing {n}.", "output": answer} for n in range(4) for answer in (GOOD, WEAK)]
    write_table(tmp_path / "in.jsonl", rows)
    out = tmp_path / "out.jsonl"
    _, told, _ = call("judge", tmp_path / "in.jsonl", "-o", out, "--min-score", 4, *SCRIPTED)
    assert told["audit"] == str(tmp_path / "out.jsonl.audit.md")
    assert (tmp_path / "out.jsonl.audit.md").read_text(encoding="utf-8").startswith("# Audit of the judge")
    data = json.loads((tmp_path / "out.jsonl.audit.json").read_bytes())
    assert (data["answers"], data["funnel"]["judged"], data["funnel"]["kept"]) == (8, 8, told["kept"])


@pytest.mark.parametrize("command", ["judge", "pair"])
@pytest.mark.parametrize(
    ("name", "out"),
    [
        ("x.jsonl", "x.jsonl"),
        ("x.jsonl", "./y/../x.jsonl"),
        ("o.jsonl.dropped.jsonl", "o.jsonl"),
        ("l.jsonl", "x.jsonl"),
    ],
)
def test_what_is_read_is_not_written(tmp_path: Path, command: str, name: str, out: str) -> None:
    """Neither by OUT nor by what stands beside it, however it is named; nor is a call paid for."""
    (tmp_path / "y").mkdir()
    rows = [{"instruction": "Do it.", "output": text, "score": score} for text, score in ((GOOD, 5), (GOOD[3:], 1))]
    write_table(tmp_path / name, rows)
    if name == "l.jsonl":
        (tmp_path / out).symlink_to(tmp_path / name)
    before = (tmp_path / name).read_bytes()
    options = SCRIPTED if command == "judge" else ()
    status, _, text = call(command, tmp_path / name, "-o", tmp_path / out, *options)
    assert status != 0
    assert (tmp_path / name).read_bytes() == before
    assert "would write over" in text
    assert not list(tmp_path.glob("*.run"))


def asked(earlier: str, answer: str, score: float) -> dict[str, Any]:
    turns = [
        ("user", earlier),
        ("assistant", "<think>Hm.</think>Here it is."),
        ("user", "Continue."),
        ("assistant", answer),
    ]
    return {"messages": [{"role": role, "content": text} for role, text in turns], "score": score}


def paired(tmp_path: Path, rows: list[dict[str, Any]], *options: object) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    write_table(tmp_path / "in.jsonl", rows)
    status, told, text = call("pair", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--json", "-q", *options)
    assert status == 0, text
    return told, [row for _, row in read_table(tmp_path / "out.jsonl")]


def test_another_conversation_is_another_task(tmp_path: Path) -> None:
    """Equal last turns do not make one task; the prompt of a pair holds what was said before, without thoughts."""
    poem = [asked("Write a poem about cats.", f"{GOOD} {n}", score) for n, score in enumerate((5, 2))]
    told, (made,) = paired(tmp_path, [poem[0], asked("Explain TCP.", GOOD, 1), poem[1]])
    assert told["tasks"] == {"too_few_answers": 1}
    assert dropped(tmp_path / "out.jsonl")[0]["rows"] == [2]
    assert (made["score_chosen"], made["score_rejected"]) == (5, 2)
    (prompt,) = made["prompt"]
    assert prompt["content"] == "Continue.\n\nuser: Write a poem about cats.\n\nassistant: Here it is."


def test_a_preference_keeps_its_system_prompt(tmp_path: Path) -> None:
    """It is part of what the answers answer."""
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name a river."}]
    row = {"prompt": turns, "chosen": GOOD, "rejected": GOOD[3:], "score_chosen": 5, "score_rejected": 1}
    _, (made,) = paired(tmp_path, [row])
    assert made["prompt"][0]["content"] == "Name a river.\n\nsystem: Be brief."


def test_pairs_hold_no_traces(tmp_path: Path) -> None:
    """A trace goes before texts are compared; an answer in which thoughts may stand is named and left out."""
    texts = (
        f"<think>secret</think>{GOOD}",
        f"secret</think>{GOOD[3:]}",
        f"So: <think>secret</think>{GOOD}",
        "<think>secret",
    )
    rows = [
        {"instruction": "Do it.", "output": text, "score": score}
        for text, score in zip(texts, (5, 4, 1, 1), strict=True)
    ]
    told, (made,) = paired(tmp_path, rows)
    assert (made["chosen"][0]["content"], made["rejected"][0]["content"]) == (GOOD, GOOD[3:])
    assert told == {"pairs": 1, "tasks": {}, "rows": {"trace": 1, "empty": 1}}
    assert "secret" not in (tmp_path / "out.jsonl").read_text(encoding="utf-8")


def test_the_judge_sees_no_traces(tmp_path: Path) -> None:
    """The row stays as it came; thoughts alone are no answer."""
    rows = [{"instruction": "Do it.", "output": f"<think>secret</think>{text}"} for text in (GOOD, "")]
    write_table(tmp_path / "in.jsonl", rows)
    out = tmp_path / "out.jsonl"
    call("judge", tmp_path / "in.jsonl", "-o", out, "--min-score", 4, *SCRIPTED)
    assert [row["output"] for _, row in read_table(out)] == [rows[0]["output"]]
    assert [(one["row"], one["rule"]) for one in dropped(out)] == [(2, "empty")]
    with open_stored(tmp_path / "out.jsonl.run") as run:
        (seen, _) = (task.candidates for task in tasks(run))
    assert [(one.text, one.reasoning) for one in seen] == [(GOOD, "secret")]


def test_rows_without_a_task_or_an_answer_make_no_pair(tmp_path: Path) -> None:
    """They are named, as `judge` names them, and the others go on."""
    good = [{"instruction": "Do it.", "output": text, "score": score} for text, score in ((GOOD, 5), (GOOD[3:], 1))]
    bad = [{"instruction": "Do it.", "output": " ", "score": 1}, {"instruction": "", "output": GOOD, "score": 1}]
    bad.append({"instruction": ["no text"], "output": GOOD, "score": 1})
    told, made = paired(tmp_path, [*bad, *good], "--strategy", "max-min")
    assert [row["rejected"][0]["content"] for row in made] == [GOOD[3:]]
    assert told == {"pairs": 1, "tasks": {}, "rows": {"no_text": 2, "empty": 1}}
    assert [(one["row"], one["rule"]) for one in dropped(tmp_path / "out.jsonl")] == [
        (1, "empty"),
        (2, "no_text"),
        (3, "no_text"),
    ]


def test_scores_that_are_no_numbers_write_nothing(tmp_path: Path) -> None:
    """Infinite ones have no difference; a file that JSON readers refuse, or half of two files, is never there."""
    rows = ["instruction,output,score", f"Do it.,{GOOD},inf", f"Do it.,{GOOD[3:]},inf"]
    (tmp_path / "in.csv").write_text("\n".join(rows), encoding="utf-8")
    status, _, text = call("pair", tmp_path / "in.csv", "-o", tmp_path / "out.jsonl")
    assert status != 0
    assert "line 2, score: 'inf' is no score" in text
    assert [one.name for one in tmp_path.iterdir()] == ["in.csv"]


def test_both_files_or_neither(tmp_path: Path) -> None:
    """Where the dropped rows cannot be written, here for the length of a name, the good ones of before stay."""
    rows = [{"instruction": "Do it.", "output": text, "score": score} for text, score in ((GOOD, 5), (GOOD[3:], 1))]
    write_table(tmp_path / "in.jsonl", rows)
    out = tmp_path / f"{'o' * 224}.jsonl"
    out.write_text("of before\n", encoding="utf-8")
    status, _, text = call("pair", tmp_path / "in.jsonl", "-o", out)
    assert status != 0
    assert "File name too long" in text
    assert out.read_text(encoding="utf-8") == "of before\n"


@pytest.mark.parametrize("command", ["judge", "pair"])
def test_half_a_character_in_a_bad_row_stops_nothing(tmp_path: Path, command: str) -> None:
    """What tells of the row is written all the same, though it is the last and all others are kept."""
    good = [{**chat(text), "score": score} for text, score in ((GOOD, 5), (GOOD[3:], 1))]
    write_table(tmp_path / "in.jsonl", [*good, {"\ud800": 1}])
    options = (*SCRIPTED, "--min-score", 0) if command == "judge" else ()
    status, _, text = call(command, tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", *options)
    assert status == 0, text
    assert [(one["row"], one["rule"]) for one in dropped(tmp_path / "out.jsonl")] == [(3, "no_text")]
