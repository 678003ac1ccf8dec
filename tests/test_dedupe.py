"""`selfinstruct dedupe` as a user meets it: any kind in and out, stopped anywhere, on faulty files and full disks."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfinstruct.dedupe import dedupe
from selfinstruct.dedupe.journal import Journal
from selfinstruct.dedupe.watch import Watcher
from selfinstruct.errors import BadInputError
from selfinstruct.tables import read_table, write_table

ALPACA = Path(__file__).parents[2] / "shared/data/alpaca_random_9k.json"
KINDS = [".json", ".jsonl", ".csv", ".parquet"]
TEXTS = [
    "Name three rivers that flow through more than one country.",
    "Write a short poem about the first snow in a small harbour town.",
    "Name three rivers that flow through more than one country!",
    "",
    "Explain to a child why the sky turns red in the evening.",
    "Write a short poem about the last snow in a small harbour town.",
]
KEPT = [0, 1, 3, 4]


def rows_for(texts: Sequence[str]) -> list[dict[str, Any]]:
    return [{"instruction": text, "number": str(number)} for number, text in enumerate(texts)]


def command(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "selfinstruct", "dedupe", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False, cwd=cwd,
    )  # fmt: skip


def numbers(path: Path) -> list[int]:
    return [int(row["number"]) for _, row in read_table(path)]


def dropped(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(f"{out}.dropped.jsonl").read_text(encoding="utf-8").splitlines()]


def lines(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def made_up(count: int, *, seed: int = 1) -> list[str]:
    """Texts of which about every fifth is near to an earlier one."""
    draw = random.Random(seed)
    words = [f"w{number}" for number in range(3000)]
    texts: list[str] = []
    for _ in range(count):
        if texts and draw.random() < 0.2:
            texts.append(draw.choice(texts) + " " + draw.choice(words))
        else:
            texts.append(" ".join(draw.choices(words, k=draw.randint(8, 14))))
    return texts


@pytest.mark.parametrize("there", KINDS)
@pytest.mark.parametrize("here", KINDS)
def test_any_kind_to_any_kind(tmp_path: Path, here: str, there: str) -> None:
    """The first of two near rows stays with all its columns; the other goes, with figure, text and place of its neighbour."""
    source, out = tmp_path / f"in{here}", tmp_path / f"out{there}"
    write_table(source, rows_for(TEXTS))
    told = dedupe([source], out)
    assert [row for _, row in read_table(out)] == [rows_for(TEXTS)[number] for number in KEPT]
    assert (told["rows"], told["kept"], told["dropped"], told["bad"]) == (6, 4, 2, 0)
    assert told["without_tokens"] == 1
    first, second = dropped(out)
    assert first["row"] == rows_for(TEXTS)[2]
    assert first["drop"]["figure"] == 1.0
    assert first["drop"]["nearest"] == TEXTS[0]
    word = "line" if here in {".jsonl", ".csv"} else "row"
    offset = 1 if here == ".csv" else 0
    assert first["drop"]["nearest_place"] == f"{source} {word} {1 + offset}"
    assert second["place"] == f"{source} {word} {6 + offset}"
    assert 0.7 < second["drop"]["figure"] < 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        {source.name, out.name, f"{out.name}.dropped.jsonl"}
    )


def test_the_command_prints_one_object(tmp_path: Path) -> None:
    """Stdout is data, stderr is talk; the ledger adds up; nothing is said with -q."""
    source = lines(tmp_path / "in.jsonl", [*rows_for(TEXTS), {"number": 7}])
    done = command(source, "-o", tmp_path / "out.jsonl", "--skip-bad", "--json")
    told = json.loads(done.stdout)
    assert set(told) == {
        "rows", "kept", "dropped", "bad", "without_tokens", "against", "threshold", "tokenizer", "seconds",
        "rows_per_second", "out", "dropped_file", "resumed_at",
    }  # fmt: skip
    assert told["rows"] == told["kept"] + told["dropped"] + told["bad"] == 7
    assert "7 rows: 4 kept, 2 dropped, 1 bad" in done.stderr
    quiet = command(source, "-o", tmp_path / "out2.jsonl", "--skip-bad", "-q")
    assert (quiet.stdout.strip(), quiet.stderr) == (str(tmp_path / "out2.jsonl"), "")


def test_several_inputs_and_several_against(tmp_path: Path) -> None:
    """Files and a folder, in order, become one file; what stands in --against is never written and always counts."""
    (tmp_path / "set/data").mkdir(parents=True)
    write_table(tmp_path / "set/data/b.parquet", rows_for(TEXTS)[3:])
    write_table(tmp_path / "set/data/a.csv", rows_for(TEXTS)[1:3])
    write_table(tmp_path / "set/manifest.json", [{"no": "data"}])
    write_table(tmp_path / "one.json", rows_for(TEXTS)[:1])
    told = dedupe([tmp_path / "one.json", tmp_path / "set"], tmp_path / "out.jsonl")
    assert numbers(tmp_path / "out.jsonl") == KEPT
    assert dropped(tmp_path / "out.jsonl")[1]["drop"]["nearest_place"] == f"{tmp_path / 'set/data/a.csv'} line 2"
    assert told["rows"] == 6
    write_table(tmp_path / "old.csv", rows_for(["Explain to a child why the sky turns red in the evening"]))
    told = dedupe([tmp_path / "set"], tmp_path / "new.json", against=[tmp_path / "one.json", tmp_path / "old.csv"])
    assert numbers(tmp_path / "new.json") == [1, 3]
    assert told["against"] == 2
    assert dropped(tmp_path / "new.json")[0]["drop"]["nearest_place"] == f"{tmp_path / 'one.json'} row 1"


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    """Parquet to Parquet: the schema with its metadata, times, lists, dictionaries, bytes, nulls; dropped rows readable."""
    moment = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    schema = pa.schema(
        [
            pa.field("instruction", pa.large_string(), nullable=False),
            ("time", pa.timestamp("ns", tz="UTC")),
            ("tags", pa.list_(pa.dictionary(pa.int8(), pa.string()))),
            ("small", pa.int8()),
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ],
        metadata={"huggingface": "{}"},
    )
    rows = [
        {"instruction": text, "time": moment, "tags": ["a", None], "small": number, "image": {"bytes": b"\xff\x00"}}
        for number, text in enumerate(TEXTS)
    ]
    table = pa.Table.from_pylist(rows, schema)
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=4)
    dedupe([tmp_path / "in.parquet"], tmp_path / "out.parquet")
    back = pq.read_table(tmp_path / "out.parquet")
    assert back.schema.equals(pq.read_table(tmp_path / "in.parquet").schema, check_metadata=True)
    assert back.equals(pq.read_table(tmp_path / "in.parquet").take(KEPT))
    shown = dropped(tmp_path / "out.parquet")[0]["row"]
    assert shown["time"] == "2026-01-02T00:00:00+00:00"
    assert shown["image"] == {"bytes": "/wA=", "path": None}


def test_parquet_files_of_two_schemas_are_joined(tmp_path: Path) -> None:
    """A missing column becomes null, a smaller number a larger one; a text that is a number elsewhere is refused."""
    pq.write_table(pa.table({"instruction": TEXTS[:2], "n": pa.array([1, 2], pa.int32())}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"instruction": TEXTS[2:], "n": [3, 4, 5, 6], "b": ["x"] * 4}), tmp_path / "b.parquet")
    inputs = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    dedupe(inputs, tmp_path / "out.parquet")
    back = pq.read_table(tmp_path / "out.parquet")
    assert back.schema.field("n").type == pa.int64()
    assert back.column("b").to_pylist() == [None, None, "x", "x"]
    pq.write_table(pa.table({"instruction": TEXTS[2:], "n": ["x"] * 4}), tmp_path / "b.parquet")
    with pytest.raises(BadInputError, match="incompatible types") as told:
        dedupe(inputs, tmp_path / "out2.parquet")
    assert ".jsonl" in told.value.remedy


def test_mixed_types_cost_nothing(tmp_path: Path) -> None:
    """Rows that Parquet cannot hold: an error that names .jsonl, no file, and the decisions stay for the next try."""
    rows = [{**row, "n": number if number % 2 else str(number)} for number, row in enumerate(rows_for(TEXTS))]
    source = lines(tmp_path / "in.jsonl", rows)
    done = command(source, "-o", tmp_path / "out.parquet")
    assert done.returncode == 2
    assert "column 'n'" in done.stderr
    assert "write to .jsonl" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.parquet.dedupe.jsonl", "in.jsonl"]
    assert dedupe([source], tmp_path / "out.jsonl")["kept"] == 4


# -- stopped ------------------------------------------------------------------------------------------------------


def outputs(out: Path) -> tuple[bytes, bytes]:
    return out.read_bytes(), Path(f"{out}.dropped.jsonl").read_bytes()


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "selfinstruct", "dedupe", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def stop_after(process: subprocess.Popen[str], journal: Path, seals: int, how: signal.Signals) -> None:
    """Send a signal once the journal holds so many sealed pieces; a process that is through by then is let be."""
    while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b'{"done"') < seals):
        time.sleep(0.002)
    process.send_signal(how)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Rows in two files, and the output of an undisturbed run over them."""
    folder = tmp_path_factory.mktemp("large")
    rows = [{"instruction": text, "n": number} for number, text in enumerate(made_up(22_000))]
    rows[7]["instruction"] = rows[16_007]["instruction"] = None
    (folder / "in").mkdir()
    write_table(folder / "in/a.json", rows[:9_000])
    lines(folder / "in/b.jsonl", rows[9_000:])
    assert dedupe([folder / "in"], folder / "out.jsonl", skip_bad=True)["resumed_at"] == 0
    return folder / "in", folder / "out.jsonl"


def test_kill_9_anywhere_changes_nothing(tmp_path: Path, large: tuple[Path, Path]) -> None:
    """Killed at several points, each time the same command: byte-equal outputs, decided rows never decided again."""
    source, wanted = large
    out, journal = tmp_path / "out.jsonl", tmp_path / ".out.jsonl.dedupe.jsonl"
    begun = 0
    for seals in (0, 1, 2, 4):
        process = start(source, "-o", out, "--skip-bad")
        stop_after(process, journal, seals, signal.SIGKILL)
        _, told = process.communicate()
        begun += process.returncode != 0
        out.unlink(missing_ok=True)  # through before the kill
        assert "Traceback" not in told
    assert begun >= 3
    (tmp_path / ".out.jsonl.dropped.jsonl.1.partial").touch()  # killed while writing
    done = json.loads(command(source, "-o", out, "--skip-bad", "--json").stdout)
    assert outputs(out) == outputs(wanted)
    assert done["bad"] == 2
    assert not journal.exists()
    assert [path.name for path in tmp_path.iterdir() if path.name[0] == "."] == []


def test_a_cut_journal_goes_on_before_the_cut(tmp_path: Path, large: tuple[Path, Path]) -> None:
    """Cut at any byte, or ending in another's bytes, a journal is good up to its last sealed piece."""
    source, wanted = large
    out, journal = tmp_path / "out.jsonl", tmp_path / ".out.jsonl.dedupe.jsonl"
    process = start(source, "-o", out, "--skip-bad")
    stop_after(process, journal, 2, signal.SIGKILL)
    process.communicate()
    whole = journal.read_bytes()
    sealed = whole.index(b'{"done"')
    for cut, resumed in ((len(whole), True), (sealed + 5, False), (sealed + 60, True), (20, False)):
        journal.write_bytes(whole[:cut] + b"\x00\xff")
        told = dedupe([source], out, skip_bad=True)
        assert bool(told["resumed_at"]) == resumed
        assert outputs(out) == outputs(wanted)


def test_ctrl_c_says_that_the_command_goes_on(tmp_path: Path, large: tuple[Path, Path]) -> None:
    """Exit 130, one line that says what to do, and the same command goes on."""
    source, wanted = large
    out = tmp_path / "out.jsonl"
    process = start(source, "-o", out, "--skip-bad")
    stop_after(process, tmp_path / ".out.jsonl.dedupe.jsonl", 1, signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 130, told
    assert "the same command goes on" in told
    done = command(source, "-o", out, "--skip-bad", "--json")
    assert json.loads(done.stdout)["resumed_at"] > 0
    assert "going on after" in done.stderr
    assert outputs(out) == outputs(wanted)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("input", "other than before: files"),
        ("threshold", "other than before: threshold"),
        ("first line", "the journal cannot be read"),
    ],
)
def test_another_question_begins_anew(tmp_path: Path, large: tuple[Path, Path], change: str, words: str) -> None:
    """A changed input, another option or a journal without its head: one line says so, and nothing old is used."""
    source = lines(tmp_path / "in.jsonl", [{"instruction": text} for text in made_up(12_000)])
    out, journal = tmp_path / "out.jsonl", tmp_path / ".out.jsonl.dedupe.jsonl"
    process = start(source, "-o", out)
    stop_after(process, journal, 1, signal.SIGKILL)
    process.communicate()
    assert journal.exists()
    if change == "input":
        lines(source, rows_for(TEXTS))
    if change == "first line":
        journal.write_bytes(journal.read_bytes()[5:])
    done = command(source, "-o", out, "--json", *(["--threshold", "0.5"] if change == "threshold" else []))
    assert f"beginning anew ({words}" in done.stderr
    assert json.loads(done.stdout)["resumed_at"] == 0
    assert large


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    """Whoever comes second for the same output is told at once, and harms nothing."""
    source, out = lines(tmp_path / "in.jsonl", rows_for(TEXTS)), tmp_path / "out.jsonl"
    with Journal(tmp_path / ".out.jsonl.dedupe.jsonl", {"first": "come"}) as first:
        second = command(source, "-o", out)
        assert second.returncode == 2
        assert f"another process is writing {first.path}" in second.stderr
        assert first.path.read_text() == '{"first": "come"}\n'
    assert command(source, "-o", out).returncode == 0


def test_full_disk_is_told_and_goes_on(tmp_path: Path, large: tuple[Path, Path]) -> None:
    """Wherever the disk refuses (journal or output): exit 3 with the path, no half file, and the same command goes on."""
    source, wanted = large
    limit = "import resource, sys, runpy, signal; size = int(sys.argv[1]); resource.setrlimit(resource.RLIMIT_FSIZE, (size, size));"
    limit += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); sys.argv = sys.argv[1:];"
    limit += "runpy.run_module('selfinstruct', run_name='__main__')"
    out = tmp_path / "out.jsonl"
    arguments = [source, "-o", out, "--skip-bad"]
    sizes = (100, 500_000, wanted.stat().st_size - 1000)
    for size in sizes:
        done = subprocess.run(
            [sys.executable, "-c", limit, str(size), "dedupe", *map(str, arguments)],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 3, done.stderr
        assert "out.jsonl" in done.stderr
        assert "same command" in done.stderr
        assert [path.name for path in tmp_path.iterdir()] == ([".out.jsonl.dedupe.jsonl"] if size > 100 else [])
    assert json.loads(command(*arguments, "--json").stdout)["resumed_at"] == 22_000
    assert outputs(out) == outputs(wanted)


def test_a_terminal_shows_where_it_is(tmp_path: Path, large: tuple[Path, Path]) -> None:
    """One live line on a terminal, gone at the end; stdout stays data."""
    ours, theirs = os.openpty()
    arguments = [large[0], "-o", tmp_path / "out.jsonl", "--skip-bad"]
    done = subprocess.Popen(
        [sys.executable, "-m", "selfinstruct", "dedupe", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # what a terminal says when its last writer is gone
            break
    os.close(ours)
    assert done.communicate()[0].decode().strip() == str(tmp_path / "out.jsonl")
    assert b"comparing: 1,000 rows, " in shown
    assert b"22000 rows: " in shown


def test_elsewhere_are_plain_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal one plain line from time to time, on stderr; with -q none."""
    monkeypatch.setattr("selfinstruct.dedupe.watch.PLAIN_SECONDS", 0.0)
    source = lines(tmp_path / "in.jsonl", rows_for(TEXTS))
    for quiet in (False, True):
        with Watcher(quiet=quiet) as watch:
            dedupe([source], tmp_path / "out.jsonl", against=[source], watch=watch)
        told = capsys.readouterr()
        said = ["reading --against: 6 rows, 6 kept, 0 dropped", "comparing: 6 rows, 1 kept, 5 dropped"]
        assert told.err.splitlines() == ([] if quiet else said)
        assert told.out == ""


# -- bad input ----------------------------------------------------------------------------------------------------


def test_bad_rows_are_named_or_skipped(tmp_path: Path) -> None:
    """Each bad row is refused with file, line, field and type; with --skip-bad all are counted and named beside OUT."""
    bad = ['{"instruction": 7}', '{"instruction": null}', '{"text": "x"}', "[1]", "{broken", '{"instruction": ["x"]}']
    reasons = ["field instruction: int, not a text", "field instruction: null, not a text", "no column 'instruction'",
               "a list, not an object", "not JSON", "field instruction: list, not a text"]  # fmt: skip
    good = '{"instruction": "Say something kind to your neighbour."}'
    for line, reason in zip(bad, reasons, strict=True):
        (tmp_path / "in.jsonl").write_text(f"{good}\n{line}\n", encoding="utf-8")
        with pytest.raises(BadInputError) as told:
            dedupe([tmp_path / "in.jsonl"], tmp_path / "out.jsonl")
        assert f"in.jsonl line 2: {reason}" in str(told.value)
        assert "--skip-bad" in told.value.remedy
    (tmp_path / "in.jsonl").write_text("\n".join([bad[0], good, *bad[1:], good]), encoding="utf-8")
    result = dedupe([tmp_path / "in.jsonl"], tmp_path / "out.jsonl", skip_bad=True)
    assert (result["rows"], result["kept"], result["dropped"], result["bad"]) == (8, 1, 1, 6)
    drops = dropped(tmp_path / "out.jsonl")
    assert [one["drop"]["rule"] for one in drops] == ["bad row"] * 6 + ["rouge"]
    assert drops[4]["row"] == "{broken"
    assert all(reason in one["drop"]["reason"] for one, reason in zip(drops, reasons, strict=False))
    assert drops[0]["place"] == f"{tmp_path / 'in.jsonl'} line 1"


def test_bad_rows_of_against_are_passed_over(tmp_path: Path) -> None:
    """They count nowhere, and one line says how many there were."""
    source = lines(tmp_path / "in.jsonl", rows_for(TEXTS))
    other = lines(tmp_path / "old.jsonl", [{"instruction": None}, {"instruction": TEXTS[4]}])
    assert "old.jsonl line 1" in command(source, "-o", tmp_path / "out.jsonl", "--against", other).stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "old.jsonl"]
    done = command(source, "-o", tmp_path / "out.jsonl", "--against", other, "--skip-bad", "--json")
    told = json.loads(done.stdout)
    assert (told["kept"], told["bad"], told["against"]) == (3, 0, 1)
    assert "old.jsonl: 1 rows without a text" in done.stderr
    assert dropped(tmp_path / "out.jsonl")[1]["drop"]["nearest_place"] == f"{other} line 2"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.jsonl", '{"instruction": "x"}\n{"instrction": "y"}\n', "line 2: no column 'instruction'"),
        ("a.json", '[{"instruction": "x"}, {"instruction": }]', "row 2: not JSON"),
        ("a.json", '{"a": 1}', "a dict, not a list of rows"),
        ("a.csv", "instruction\nx,y\n", "line 2: another number of cells"),
        ("a.csv", "text\nx\n", "no column 'instruction' (there are: text)"),
        ("a.csv", 'instruction\n"x\n', "not a CSV file"),
        ("a.parquet", "PAR1 broken", "not a readable Parquet file"),
        ("a.txt", "x", "not a kind of dataset"),
    ],
)
def test_bad_datasets_are_told(tmp_path: Path, name: str, text: str, words: str) -> None:
    """File, place and field of a dataset that cannot be read; no output, no traceback."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    done = command(tmp_path / name, "-o", tmp_path / "out.jsonl")
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.parquet"])
def test_files_broken_as_a_whole_are_never_skipped(tmp_path: Path, name: str) -> None:
    """--skip-bad is about rows: a file cut short is refused, since nobody knows what is missing."""
    write_table(tmp_path / name, rows_for(TEXTS))
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[:-20] if name != "a.csv" else data + b'"\xff')
    with pytest.raises(BadInputError, match=name.replace(".", r"\.")):
        dedupe([tmp_path / name], tmp_path / "out.jsonl", skip_bad=True)
    assert not (tmp_path / "out.jsonl").exists()


def test_outputs_that_cannot_be_are_refused_first(tmp_path: Path) -> None:
    """An output that is an input, by whatever name, a folder, or of no kind: refused before any work."""
    source = lines(tmp_path / "in.jsonl", [7])  # read, it would be another error
    (tmp_path / "link.jsonl").symlink_to(source)
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "set").mkdir()
    lines(tmp_path / "set/a.jsonl", [7])
    beside = lines(tmp_path / "x.json.dropped.jsonl", [7])
    cases: list[tuple[Path, Path, dict[str, Any], str]] = [
        (source, source, {}, "is one of the inputs"),
        (source, tmp_path / "link.jsonl", {}, "is one of the inputs"),
        (tmp_path / "link.jsonl", source, {}, "is one of the inputs"),
        (tmp_path / "set", source, {"against": [tmp_path / "link.jsonl"]}, "is one of the inputs"),
        (tmp_path / "set", tmp_path / "set/b.jsonl", {}, "lies in the input folder"),
        (tmp_path / "set", tmp_path / "set/a.jsonl", {}, "input"),
        (beside, tmp_path / "x.json", {}, "is one of the inputs"),
        (source, tmp_path / "folder.jsonl", {}, "is a folder"),
        (source, tmp_path / "out.xlsx", {}, "not a kind of dataset"),
        (source, tmp_path / "out", {}, "not a kind of dataset"),
        (source, tmp_path / "out.jsonl", {"save_index": tmp_path / "a.bin"}, ".novelty"),
        (source, tmp_path / "out.jsonl", {"tokenizer": "words"}, "no tokenizer"),
        (source, tmp_path / "out.jsonl", {"threshold": float("nan")}, "no ROUGE-L F"),
        (tmp_path / "none.jsonl", tmp_path / "out.jsonl", {}, "cannot read"),
        (source, tmp_path / "out.jsonl", {"against": [tmp_path / "none.novelty"]}, "no such index"),
    ]
    before = sorted(tmp_path.rglob("*"))
    for given, out, options, words in cases:
        with pytest.raises(BadInputError) as told:
            dedupe([given], out, **options)
        assert words in str(told.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_odd_texts_pass(tmp_path: Path) -> None:
    """Half characters, NUL, a megabyte, nothing, blanks: kept, compared and written without a traceback."""
    texts = [
        "half \ud83d of a character in some text",
        "nul \x00 inside",
        "word " * 200_000,
        "",
        " \n ",
        "\u200d",
        "!?",
    ]
    source = lines(tmp_path / "in.jsonl", rows_for([*texts, *texts]))
    for kind in KINDS:
        out = tmp_path / f"out{kind}"
        done = command(source, "-o", out, "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["kept"], told["dropped"], told["without_tokens"]) == (11, 3, 8), kind
        assert numbers(out) == [0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 13]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_in_nothing_out(tmp_path: Path, kind: str) -> None:
    """No rows are no error, and one whose rows are all dropped is none either."""
    write_table(tmp_path / f"in{kind}", [])
    assert dedupe([tmp_path / f"in{kind}"], tmp_path / f"out{kind}")["rows"] == 0
    write_table(tmp_path / f"in{kind}", rows_for(TEXTS[:2]))
    again = [tmp_path / f"in{kind}"]
    assert dedupe(again, tmp_path / f"out{kind}", against=again)["kept"] == 0
    assert read_table(tmp_path / f"out{kind}") == []


def test_an_input_that_changes_meanwhile_is_told(tmp_path: Path) -> None:
    """Rows that come while it reads: an error, no output, and the next command begins anew."""
    source = lines(tmp_path / "in.jsonl", rows_for(TEXTS))

    def grow(_: object) -> None:
        with source.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rows_for(TEXTS)[0]) + "\n")

    with pytest.raises(BadInputError, match="changed while it was read"):
        dedupe([source], tmp_path / "out.jsonl", watch=grow)
    assert not (tmp_path / "out.jsonl").exists()
    assert dedupe([source], tmp_path / "out.jsonl")["kept"] == 4


def test_a_saved_index_stands_for_its_rows(tmp_path: Path) -> None:
    """Day by day against one saved index is as against all the rows of before; a damaged or changed one is told."""
    texts = made_up(3000)
    days = [lines(tmp_path / f"day{day}.jsonl", rows_for(texts[day * 1000 : day * 1000 + 1000])) for day in range(3)]
    saved: list[Path] = []
    for day, source in enumerate(days):
        index = tmp_path / f"{day}.novelty"
        told = dedupe([source], tmp_path / f"new{day}.jsonl", against=saved[-1:], save_index=index)
        saved.append(index)
    assert told["against"] == sum(len(read_table(tmp_path / f"new{day}.jsonl")) for day in (0, 1))
    dedupe(days, tmp_path / "all.jsonl")
    parts = [(tmp_path / f"new{day}.jsonl").read_bytes() for day in range(3)]
    assert (tmp_path / "all.jsonl").read_bytes() == b"".join(parts)
    places = {one["drop"]["nearest_place"].rsplit(" ", 2)[0] for one in dropped(tmp_path / "new2.jsonl")}
    assert places == {str(saved[1]), str(days[2])}
    with pytest.raises(BadInputError, match="is one of the inputs"):
        dedupe(days[:1], tmp_path / "x.jsonl", against=saved[:1], save_index=saved[0])
    saved[0].write_bytes(saved[0].read_bytes()[:-100])
    done = command(days[0], "-o", tmp_path / "x.jsonl", "--against", saved[0])
    assert done.returncode in {1, 2}
    assert "0.novelty" in done.stderr
    assert "fault of selfinstruct" not in done.stderr


@pytest.mark.skipif(not ALPACA.is_file(), reason="the public Alpaca rows lie outside the repository")
def test_real_rows(tmp_path: Path) -> None:
    """9,229 rows that Alpaca had deduplicated keep all; with edited copies behind them, the copies go."""
    rows = json.loads(ALPACA.read_text(encoding="utf-8"))
    copies = [
        {**row, "instruction": row["instruction"] + " now"} for row in rows[:300] if len(row["instruction"].split()) > 5
    ]
    source = lines(tmp_path / "in.jsonl", [*rows, *copies])
    told = dedupe([source], tmp_path / "out.json", tokenizer="rouge")
    assert (told["rows"], told["kept"], told["dropped"]) == (9229 + len(copies), 9229, len(copies))
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == rows
    assert all(one["drop"]["figure"] > 0.7 and one["drop"]["nearest"] for one in dropped(tmp_path / "out.json"))
    assert dedupe([source], tmp_path / "none.csv", against=[tmp_path / "out.json"])["kept"] == 0


def test_letters_that_the_tokenizer_does_not_see_are_told(tmp_path: Path) -> None:
    """Korean under the published tokenizer: a warning with the share. Under the default one, and for English: none."""
    korean = lines(tmp_path / "ko.jsonl", [{"instruction": "주어진 문장을 영어로 번역하세요."}])
    english = lines(tmp_path / "en.jsonl", [{"instruction": "Translate the sentence."}])
    assert "does not see 100%" in command(korean, "--tokenizer", "rouge", "-o", tmp_path / "a.jsonl").stderr
    assert "does not see" not in command(korean, "-o", tmp_path / "b.jsonl").stderr
    assert "does not see" not in command(english, "--tokenizer", "rouge", "-o", tmp_path / "c.jsonl").stderr
