"""Which column is what: every usual layout, what users name, and what cannot be mapped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selfinstruct.errors import BadInputError
from selfinstruct.tables import write_table
from selfinstruct.tables.layouts import Found, Task, layout_of, parse_columns, read_tasks
from selfinstruct.tables.turns import Turn

USER, ANSWER, WORSE = "Name a river.", "The Rhine.", "No."
ASKED = [{"role": "user", "content": USER}]
ANSWERED = [{"role": "assistant", "content": ANSWER}]
WORSENED = [{"role": "assistant", "content": WORSE}]
PLAIN, PAIR = Task(USER, "", ANSWER), Task(USER, "", ANSWER, WORSE)
SYSTEM = Turn("system", "Be brief.")
SHAREGPT = [{"from": "human", "value": USER}, {"from": "gpt", "value": ANSWER}]

LAYOUTS: dict[str, tuple[dict[str, Any], Task]] = {
    "alpaca": ({"instruction": USER, "input": "In Europe", "output": ANSWER}, Task(USER, "In Europe", ANSWER)),
    "alpaca without input": ({"instruction": USER, "output": ANSWER}, PLAIN),
    "question and answer": ({"question": USER, "answer": ANSWER}, PLAIN),
    "dolly": ({"instruction": USER, "context": "In Europe", "response": ANSWER}, Task(USER, "In Europe", ANSWER)),
    "messages": ({"messages": [{"role": "system", "content": "Be brief."}, *ASKED, *ANSWERED]},
                 Task(USER, "", ANSWER, earlier=(SYSTEM,))),
    "messages in parts": ({"messages": [{"role": "user", "content": [{"type": "text", "text": USER}]}, *ANSWERED]}, PLAIN),
    "conversations": ({"conversations": SHAREGPT}, PLAIN),
    "several turns": ({"messages": [*ASKED, *WORSENED, *ASKED, *ANSWERED, {"role": "user", "content": "Thanks."}]},
                      Task(USER, "", ANSWER, earlier=(Turn("user", USER), Turn("assistant", WORSE)))),
    "no answer": ({"messages": ASKED}, Task(USER, "", "")),
    "prompt and completion": ({"prompt": USER, "completion": ANSWER}, PLAIN),
    "prompt and completion, messages": ({"prompt": ASKED, "completion": ANSWERED, "messages": []}, PLAIN),
    "dpo, texts": ({"prompt": USER, "chosen": ANSWER, "rejected": WORSE}, PAIR),
    "dpo, messages": ({"prompt": ASKED, "chosen": ANSWERED, "rejected": WORSENED}, PAIR),
    "dpo, alpaca": ({"instruction": USER, "input": "x", "chosen": ANSWER, "rejected": WORSE}, Task(USER, "x", ANSWER, WORSE)),
    "dpo, prompt and conversations": ({"prompt": USER, "chosen": [*ASKED, *ANSWERED], "rejected": [*ASKED, *WORSENED]},
                                      Task(USER, "", ANSWER, WORSE, prompt_twice=True)),
    "dpo, conversations": ({"chosen": [*ASKED, *ANSWERED], "rejected": [*ASKED, *WORSENED]}, PAIR),
    "dpo, one message each": ({"conversations": SHAREGPT[:1], "chosen": SHAREGPT[1], "rejected": {"from": "gpt", "value": WORSE}}, PAIR),
    "dpo, spoken": ({"chosen": f"\n\nHuman: {USER}\n\nAssistant: {ANSWER}", "rejected": f"\n\nHuman: {USER}\n\nAssistant: {WORSE}"}, PAIR),
    "dpo, texts that share lines": ({"chosen": f"{USER}\n{ANSWER}", "rejected": f"{USER}\n{WORSE}"}, PAIR),
    "seed tasks": ({"instruction": USER, "instances": [{"input": "x", "output": ANSWER}]}, Task(USER, "x", ANSWER)),
    "null is empty": ({"instruction": USER, "input": None, "output": None}, Task(USER, "", "")),
}  # fmt: skip


def found(path: Path, **options: Any) -> list[Found]:
    return list(read_tasks(path, **options)[1])


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout(tmp_path: Path, name: str) -> None:
    """A layout is recognised by its columns, and its row gives the task that is meant."""
    row, task = LAYOUTS[name]
    write_table(tmp_path / "a.jsonl", [row])
    assert found(tmp_path / "a.jsonl")[0].tasks == (task,)


@pytest.mark.parametrize("kind", [".json", ".csv", ".parquet"])
@pytest.mark.parametrize("name", ["alpaca", "messages", "dpo, messages", "dpo, conversations", "seed tasks"])
def test_every_kind_of_file(tmp_path: Path, kind: str, name: str) -> None:
    """Lists of messages come out of Parquet's structs and out of the JSON in CSV cells."""
    row, task = LAYOUTS[name]
    write_table(tmp_path / f"a{kind}", [row])
    assert found(tmp_path / f"a{kind}")[0].tasks == (task,)


def test_seed_tasks_give_all_instances(tmp_path: Path) -> None:
    """A task with two instances is two tasks of one row."""
    path = tmp_path / "a.jsonl"
    instances = [{"input": "1", "output": "odd"}, {"input": "2", "output": "even"}]
    write_table(path, [{"instruction": "Odd?", "instances": instances}])
    (only,) = found(path)
    assert [(task.input, task.output) for task in only.tasks] == [("1", "odd"), ("2", "even")]


def test_named_columns_win(tmp_path: Path) -> None:
    """What a user names is taken, also where other columns bear the usual names."""
    path = tmp_path / "a.csv"
    write_table(
        path, [{"instruction": "id 7", "ask": USER, "messages": "[]", "reply": ANSWER, "chosen": "x", "rejected": "y"}]
    )
    assert found(path, named=parse_columns("prompt=ask, output=reply"))[0].tasks == (PLAIN,)
    with_rejected = parse_columns("instruction=ask,chosen=reply,rejected=rejected")
    assert found(path, named=with_rejected)[0].tasks == (Task(USER, "", ANSWER, "y"),)


def test_the_first_rows_may_lack_a_column(tmp_path: Path) -> None:
    """A column that only a later row has is still found; a bad first line does not decide."""
    path = tmp_path / "a.jsonl"
    rows = [{"instruction": USER, "output": ANSWER}, {"instruction": USER, "input": "x", "output": ANSWER}]
    path.write_text("broken\n" + "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    first, second, third = found(path)
    assert "not JSON" in first.problem
    assert not first.tasks
    assert [second.tasks[0].input, third.tasks[0].input] == ["", "x"]


def test_a_column_that_comes_late_is_read(tmp_path: Path) -> None:
    """JSONL may lack what is empty: an input, or a prompt, that first stands in row 121 is not passed over."""
    plain = {"instruction": USER, "output": ANSWER}
    write_table(tmp_path / "a.jsonl", [plain] * 120 + [{**plain, "input": "x"}, {**plain, "context": "y"}, plain])
    assert [one.tasks[0].input for one in found(tmp_path / "a.jsonl")[119:]] == ["", "x", "y", ""]
    pair = {"chosen": [*ASKED, *ANSWERED], "rejected": [*ASKED, *WORSENED]}
    late = {"prompt": "What is long?", "chosen": ANSWER, "rejected": WORSE}
    write_table(tmp_path / "b.jsonl", [pair] * 120 + [late, pair])
    assert [one.tasks[0] for one in found(tmp_path / "b.jsonl")[119:]] == [
        PAIR,
        Task("What is long?", "", ANSWER, WORSE),
        PAIR,
    ]


def test_a_late_column_that_is_taken_or_hidden_stays_so(tmp_path: Path) -> None:
    """What a user named is not played by another column that comes later."""
    named = parse_columns("instruction=ask,output=context,input=given")
    early = {"ask": USER, "context": ANSWER, "given": "x"}
    write_table(tmp_path / "a.jsonl", [early] * 101 + [{**early, "input": "y", "instruction": "z"}])
    assert found(tmp_path / "a.jsonl", named=named)[-1].tasks == (Task(USER, "x", ANSWER),)


JSON_ANSWERS = [
    '{"from": "Seoul", "to": "Busan"}',
    '{"role": "admin"}',
    '[{"role": "user", "content": "Hi"}]',
    '{"value": 3, "from": "A"}',
]


@pytest.mark.parametrize("kind", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("text", JSON_ANSWERS)
def test_json_is_an_answer_too(tmp_path: Path, kind: str, text: str) -> None:
    """An answer or a question that looks like a message stays the text that it is, among others that do not."""
    rows = [
        {"instruction": USER, "output": ANSWER},
        {"instruction": text, "output": USER},
        {"instruction": USER, "output": text},
    ]
    write_table(tmp_path / f"a{kind}", rows)
    assert [one.tasks for one in found(tmp_path / f"a{kind}")] == [
        (PLAIN,),
        (Task(text, "", USER),),
        (Task(USER, "", text),),
    ]


def test_a_lone_answer_in_json_is_one(tmp_path: Path) -> None:
    """Also in a file of one row, where nothing stands beside it: it has no role and content."""
    write_table(tmp_path / "a.jsonl", [{"instruction": USER, "output": JSON_ANSWERS[0]}])
    assert found(tmp_path / "a.jsonl")[0].tasks == (Task(USER, "", JSON_ANSWERS[0]),)


@pytest.mark.parametrize("before", [1, 100])
def test_packed_messages_with_gaps(tmp_path: Path, before: int) -> None:
    """A column of a CSV holds messages also where cells are empty; a broken one is told, not taught, and unpacks no other."""
    good = {"prompt": json.dumps(ASKED), "completion": json.dumps(ANSWERED)}
    broken = {"prompt": good["prompt"], "completion": '[{"role": "assistant"}]'}
    write_table(tmp_path / "a.csv", [good, {**good, "completion": ""}, *[good] * before, broken])
    rows = found(tmp_path / "a.csv")
    assert (rows[0].tasks, rows[1].tasks) == ((PLAIN,), (Task(USER, "", ""),))
    assert "without content" in rows[-1].problem


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "number": ({"instruction": USER, "output": 3}, "field output: a int, not a text"),
    "missing": ({"instruction": USER}, "no field output"),
    "input": ({"instruction": USER, "input": [], "output": "x"}, "field input: a list"),
}
BAD_MESSAGES: dict[str, tuple[Any, str]] = {
    "no list": ("hello", "field messages: a str, not a list of messages"),
    "no message": (["hello"], "field messages: a message that is a str"),
    "no role": ([{"content": "x"}], "without role"),
    "no content": ([{"role": "user"}], "without content"),
    "picture": ([{"role": "user", "content": [{"type": "image_url"}]}], "no text (image_url)"),
    "deep": ("[" * 100_000, "not a list of messages"),
}


@pytest.mark.parametrize("name", [*BAD, *BAD_MESSAGES])
def test_a_bad_row_comes_with_its_problem(tmp_path: Path, name: str) -> None:
    """What cannot be read is told with its field; the rows around it are read."""
    path = tmp_path / "a.jsonl"
    value, told = BAD[name] if name in BAD else BAD_MESSAGES[name]
    row = value if name in BAD else {"messages": value}
    good = {"instruction": USER, "input": "", "output": ANSWER} if name in BAD else {"messages": [*ASKED, *ANSWERED]}
    write_table(path, [good, row, good])
    before, bad, after = found(path)
    assert told in bad.problem
    assert not bad.tasks
    assert before.tasks == after.tasks == (PLAIN,)


def test_columns_that_cannot_be_mapped(tmp_path: Path) -> None:
    """The error names the file, the columns that are there, the layouts looked for, and how to name columns."""
    path = tmp_path / "a.csv"
    write_table(path, [{"ask": USER, "reply": ANSWER}])
    with pytest.raises(
        BadInputError, match=r"a\.csv: no layout fits the columns that are there \(ask, reply\)"
    ) as caught:
        read_tasks(path)
    for word in ("preferences (chosen, rejected", "seed tasks", "instructions (instruction, output", "messages"):
        assert word in str(caught.value)
    assert "--columns instruction=COLUMN,output=COLUMN" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("instruction=nowhere,output=b", "no column 'nowhere' for instruction .there are: a, b."),
        ("instruction", "cannot read 'instruction'"),
        ("instruction=", "cannot read"),
        ("question=a", "cannot read 'question=a'"),
        ("instruction=a,prompt=b", "given twice"),
    ],
)
def test_columns_named_wrongly(text: str, told: str) -> None:
    """An unknown role, an unknown column, a role given twice: refused, with what there is."""
    with pytest.raises(BadInputError, match=told):
        layout_of(["a", "b"], named=parse_columns(text))


@pytest.mark.parametrize(("text", "told"), [("", "it is empty"), ("[1]\n", "a list, not an object")])
def test_a_file_without_rows(tmp_path: Path, text: str, told: str) -> None:
    """A file in which no row can be read has no layout."""
    path = tmp_path / "a.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInputError, match=told):
        read_tasks(path)
