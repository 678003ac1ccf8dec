"""`selfinstruct audit` as a user meets it: every layout, hostile files, what it writes, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from selfinstruct.census import census
from selfinstruct.census.clean import write_clean
from selfinstruct.census.findings import RULES
from selfinstruct.census.page import markdown
from selfinstruct.cli._shared import app
from selfinstruct.errors import BadInputError
from selfinstruct.tables import read_table, write_table

KINDS = [".json", ".jsonl", ".csv", ".parquet"]
GOOD = {"instruction": "Name a long river of Europe.", "input": "", "output": "The Danube is one."}
BAD = {"instruction": "Say what a river is made of.", "input": "", "output": "It is water.<|im_end|>"}
EMPTY = {"instruction": "Tell how bridges are built.", "input": "", "output": ""}
REFUSED = {"instruction": "강이 무엇인지 설명하세요.", "input": "", "output": "죄송하지만 답변해 드릴 수 없습니다."}
ROWS = [GOOD, BAD, EMPTY, REFUSED]


def command(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "selfinstruct", "audit", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False, cwd=cwd,
    )  # fmt: skip


def within(*arguments: object) -> Result:
    """Run the command in this process, which is quicker; errors come back as what they are."""
    return CliRunner().invoke(app, ["audit", *map(str, arguments)])


def counted(report: dict[str, Any]) -> dict[str, int]:
    return {one["rule"]: one["count"] for one in report["findings"] if one["count"]}


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file(tmp_path: Path, kind: str) -> None:
    """The same rows have the same findings in every kind of file, and exit status 0: it could look."""
    write_table(tmp_path / f"a{kind}", ROWS)
    done = within(tmp_path / f"a{kind}", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert counted(report) == {"empty_output": 1, "refusal": 1, "template_leak": 1}
    assert (report["rows"], report["rows_with_findings"]) == (4, 3)
    assert [one["rule"] for one in report["findings"]] == [*RULES]
    (leak,) = next(one for one in report["findings"] if one["rule"] == "template_leak")["examples"]
    assert (leak["row"], leak["field"]) == (3 if kind == ".csv" else 2, "output")  # CSV counts its header
    assert "<|im_end|>" in leak["evidence"]


def messages(user: str, answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]


SHAPES: dict[str, Any] = {
    "messages": lambda user, answer: {"messages": messages(user, answer)},
    "conversations": lambda user, answer: {"conversations": [{"from": "human", "value": user}, {"from": "gpt", "value": answer}]},
    "prompt and completion": lambda user, answer: {"prompt": user, "completion": answer},
    "message lists": lambda user, answer: {"prompt": messages(user, answer)[:1], "completion": messages(user, answer)[1:]},
    "dpo": lambda user, answer: {"prompt": user, "chosen": answer, "rejected": "No, never."},
    "dpo, conversations": lambda user, answer: {"chosen": messages(user, answer), "rejected": messages(user, "No, never.")},
    "seed tasks": lambda user, answer: {"instruction": user, "instances": [{"input": "", "output": answer}]},
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_every_layout(tmp_path: Path, shape: str) -> None:
    """The same tasks have the same findings in every layout."""
    write_table(tmp_path / "a.jsonl", [SHAPES[shape](one["instruction"], one["output"]) for one in ROWS])
    report = census(tmp_path / "a.jsonl")
    assert counted(report) == {"empty_output": 1, "refusal": 1, "template_leak": 1}


def test_a_shown_report(tmp_path: Path) -> None:
    """Without a terminal it is plain text: the counts, the examples with their rows, what was not found."""
    write_table(tmp_path / "a.jsonl", ROWS)
    done = command(tmp_path / "a.jsonl", "--examples", 1)
    assert done.returncode == 0
    assert "4 rows, 3 with findings (75.0%)" in done.stdout
    assert "3 output: nothing, for: Tell how" in done.stdout
    assert "nothing found by: unreadable_row" in done.stdout
    assert "\x1b" not in done.stdout


def test_examples_are_as_many_as_asked(tmp_path: Path) -> None:
    """--examples 0 shows none and still counts all."""
    write_table(
        tmp_path / "a.jsonl", [{**EMPTY, "instruction": f"{word} a bridge."} for word in ("Draw", "Paint", "Mend")]
    )
    for most in (0, 2):
        (one,) = [
            one for one in census(tmp_path / "a.jsonl", examples=most)["findings"] if one["rule"] == "empty_output"
        ]
        assert (one["count"], len(one["examples"])) == (3, most)


def test_what_it_writes(tmp_path: Path) -> None:
    """The page, the JSON and a line per finding are files of the same findings."""
    write_table(tmp_path / "a.jsonl", ROWS)
    report, page, rows = tmp_path / "r.json", tmp_path / "r.md", tmp_path / "rows.jsonl"
    assert within(tmp_path / "a.jsonl", "-o", report, "--rows", rows, "-q").exit_code == 0
    assert within(tmp_path / "a.jsonl", "-o", page, "-q").exit_code == 0
    assert counted(json.loads(report.read_text(encoding="utf-8"))) == {
        "empty_output": 1,
        "refusal": 1,
        "template_leak": 1,
    }
    found = lines_of(rows)
    assert [(one["row"], one["rule"]) for one in found] == [(2, "template_leak"), (3, "empty_output"), (4, "refusal")]
    assert found[0].keys() == {"file", "row", "rule", "field", "figure", "threshold", "evidence"}
    text = page.read_text(encoding="utf-8")
    assert "| [refusal](#refusal) | 1 | 25.0% |" in text
    assert "` 죄송하지만 답변해 드릴 수 없습니다. `" in text


def test_a_folder_of_files(tmp_path: Path) -> None:
    """The files of a folder are one dataset: what stands in the first is repeated in the second."""
    for name in ("a.jsonl", "b.csv"):
        write_table(tmp_path / "data" / name, [GOOD])
    report = census(tmp_path / "data")
    assert [one["layout"] for one in report["files"]] == ["instructions", "instructions"]
    (double,) = next(one for one in report["findings"] if one["rule"] == "duplicate_task")["examples"]
    assert double["file"].endswith("b.csv")
    assert "a.jsonl row 1" in double["evidence"]


def test_what_our_commands_write_beside_data_is_none(tmp_path: Path) -> None:
    """A folder is audited as before when rows of it were labelled, exported or dropped."""
    write_table(tmp_path / "data/a.jsonl", [GOOD])
    for end in ("dropped.jsonl", "labels.jsonl", "manifest.json", "audit.json"):
        (tmp_path / f"data/a.jsonl.{end}").write_text('{"of": "another kind"}\n', encoding="utf-8")
    assert [Path(one["file"]).name for one in census(tmp_path / "data")["files"]] == ["a.jsonl"]


def test_clean_rows(tmp_path: Path) -> None:
    """--clean keeps the rows without findings of the named rules, with all their columns; each other one has its reasons."""
    rows = [{**one, "id": number} for number, one in enumerate(ROWS)]
    path = tmp_path / "a.jsonl"
    path.write_text("{broken\n" + "".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    done = within(path, "--clean", tmp_path / "b.json", "--drop", "refusal, empty_output", "--json", "-q")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["cleaned"] == {"kept": 2, "dropped": 3}
    assert [one for _, one in read_table(tmp_path / "b.json")] == rows[:2]
    gone = lines_of(tmp_path / "b.json.dropped.jsonl")
    assert [[drop["rule"] for drop in one["drops"]] for one in gone] == [
        ["unreadable_row"],
        ["empty_output"],
        ["refusal"],
    ]
    assert [one["row"] for one in gone] == ["{broken", *rows[2:]]


def test_nothing_is_replaced_silently(tmp_path: Path) -> None:
    """The same command again writes the same files again, and says of each that there was one; of no other."""
    write_table(tmp_path / "a.jsonl", ROWS)
    given = (tmp_path / "a.jsonl", "--clean", tmp_path / "b.jsonl", "--drop", "refusal", "-o", tmp_path / "r.json")
    assert "in place of" not in within(*given).stderr
    (tmp_path / "r.json").unlink()
    told = within(*given, "--rows", tmp_path / "f.jsonl").stderr.replace("\n", " ")
    for name, replaced in (("b.jsonl", True), ("b.jsonl.dropped.jsonl", True), ("r.json", False), ("f.jsonl", False)):
        assert f"written: {tmp_path / name}" in told
        assert (f"{tmp_path / name} (in place of what was there)" in told) == replaced


def test_an_input_that_grew_is_not_cleaned(tmp_path: Path) -> None:
    """Rows that were not looked at are never among the clean ones: nothing is written."""
    write_table(tmp_path / "a.jsonl", ROWS)
    with pytest.raises(BadInputError, match="changed while it was read"):
        write_clean([tmp_path / "a.jsonl"], tmp_path / "b.jsonl", {}, rows=len(ROWS) - 1)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


HOSTILE = {
    "escapes": '{"instruction": "\\u001b[2J\\u001b]0;owned\\u0007 Name it.", "output": "\\u001b[31mred <think>\\u202e"}',
    "surrogate": '{"instruction": "Half \\ud800 of it.", "output": "\\udfff<think>"}',
    "no JSON": '{"instruction": "x", ',
    "not UTF-8": "\x00bytes",
    "deep": "[" * 100_000,
    "deep inside": '{"instruction": "x", "output": ' + "[" * 900 + "]" * 900 + "}",
    "a list": "[1, 2]",
    "NaN": '{"instruction": "x", "output": NaN}',
    "no output": '{"instruction": "x"}',
    "markup": '{"instruction": "[bold]Name[/nothing] it", "output": "`|<b>x</b> <think> ``` \\n# head"}',
}


def test_hostile_rows(tmp_path: Path) -> None:
    """Bad rows are findings, never a traceback; nothing of the data reaches the terminal or the page unescaped."""
    path, page, rows = tmp_path / "a.jsonl", tmp_path / "a.md", tmp_path / "rows.jsonl"
    lines = [line.encode() if name != "not UTF-8" else b'{"a": "\xff"}' for name, line in HOSTILE.items()]
    path.write_bytes(b"\n".join([*lines, json.dumps(GOOD).encode()]) + b"\n")
    done = command(path, "-o", page, "--rows", rows, "--examples", 20)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for shown in (done.stdout, page.read_text(encoding="utf-8")):
        assert not {"\x1b", "\x07", "\u202e", "\ud800"} & set(shown)
    assert "| <b>" not in page.read_text(encoding="utf-8")
    assert sum(one["rule"] == "unreadable_row" for one in lines_of(rows)) == 7
    assert sum(one["rule"] == "reasoning_leak" for one in lines_of(rows)) == 3
    assert f"{len(HOSTILE) + 1} rows" in done.stdout


@pytest.mark.parametrize(
    "piece",
    ["a. ", "'\"`", "<think", "{[", '{"a', "```\n", "\n- ", "</s> ", "  ", "가나 ", "\u200b", "Ã©", "I'm sorry "],
)
def test_a_huge_row(tmp_path: Path, piece: str) -> None:
    """A text of two million characters, whatever it is made of, is looked through in time that grows with it alone."""
    text = piece * (2_000_000 // len(piece))
    write_table(tmp_path / "a.jsonl", [{"instruction": text, "input": text, "output": text}, GOOD])
    assert census(tmp_path / "a.jsonl")["rows"] == 2


def test_a_page_of_hostile_texts_keeps_its_shape(tmp_path: Path) -> None:
    """Backticks in the evidence end no code span, and a file's name makes no markup."""
    write_table(tmp_path / "a_b_[c].jsonl", [{"instruction": "Say `it`.", "output": "```` <think> `` | <script>"}])
    text = markdown(census(tmp_path / "a_b_[c].jsonl"))
    assert "````` ```` <think> `` | <script> `````" in text
    assert r"a\_b\_\[c\]" in text


UNFIT: dict[str, tuple[list[str], str]] = {
    "columns": (["odd.csv"], "no layout fits the columns that are there (ask, reply)"),
    "a column that is not there": (
        ["odd.csv", "--columns", "instruction=q,output=reply"],
        "no column 'q' for instruction",
    ),
    "columns that say nothing": (["odd.csv", "--columns", "ask"], "cannot read 'ask'"),
    "nothing there": (["none.jsonl"], "cannot read none.jsonl"),
    "another kind": (["odd.txt"], ".txt is not a kind of dataset"),
    "an empty file": (["empty.jsonl"], "no row to read (it is empty)"),
    "a broken list": (["broken.json"], "broken.json row 2: not JSON"),
    "a page of another kind": (["good.jsonl", "-o", "a.html"], "ends in .md or .json"),
    "an output that is the input": (["good.jsonl", "--rows", "good.jsonl"], "is what is read"),
    "a file of dropped rows that is the input": (
        ["good.jsonl.dropped.jsonl", "--clean", "good.jsonl", "--drop", "refusal"],
        "good.jsonl.dropped.jsonl is what is read",
    ),
    "findings where dropped rows go": (
        ["good.jsonl", "--clean", "b.jsonl", "--drop", "refusal", "--rows", "b.jsonl.dropped.jsonl"],
        "given twice",
    ),
    "an output given twice": (["good.jsonl", "-o", "x.json", "--clean", "x.json", "--drop", "refusal"], "given twice"),
    "no such rule": (["good.jsonl", "--clean", "b.jsonl", "--drop", "refusals"], "'refusals': no such rule"),
    "a rule of no row": (["good.jsonl", "--clean", "b.jsonl", "--drop", "label_skew"], "no single row breaks it"),
    "clean without rules": (["good.jsonl", "--clean", "b.jsonl"], "no rule to drop rows by"),
    "rules without clean": (["good.jsonl", "--drop", "refusal"], "--drop says nothing without --clean"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_bad_input_is_told(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What and where, and what mends it; nothing is written."""
    arguments, words = UNFIT[name]
    (tmp_path / "odd.csv").write_text("ask,reply\nx,y\n", encoding="utf-8")
    (tmp_path / "odd.txt").write_text("x", encoding="utf-8")
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    (tmp_path / "broken.json").write_text(json.dumps([GOOD])[:-1] + ', {"a": ]', encoding="utf-8")
    write_table(tmp_path / "good.jsonl", [GOOD])
    write_table(tmp_path / "good.jsonl.dropped.jsonl", [GOOD])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.chdir(tmp_path)
    done = within(*arguments)
    assert isinstance(done.exception, BadInputError)
    assert words in f"{done.exception} {done.exception.remedy}"
    assert done.exception.remedy
    assert done.stdout == ""
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_columns_that_cannot_be_mapped(tmp_path: Path) -> None:
    """Status 2, one message, one remedy, no traceback."""
    write_table(tmp_path / "odd.csv", [{"ask": "x", "reply": "y"}])
    done = command("odd.csv", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no layout fits the columns that are there (ask, reply); looked for preferences" in done.stderr
    assert "try: --columns instruction=COLUMN,output=COLUMN" in done.stderr
    assert "Traceback" not in done.stderr


def test_named_columns(tmp_path: Path) -> None:
    """What cannot be mapped is read once its columns are named, as the error says."""
    write_table(tmp_path / "a.csv", [{"ask": "Name a river.", "reply": "The Rhine.</s>"}])
    done = within(tmp_path / "a.csv", "--columns", "instruction=ask,output=reply", "--json")
    assert counted(json.loads(done.stdout)) == {"template_leak": 1}
