"""Datasets of every kind, in and out: streamed, whole, and every fault named with file and place."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfinstruct.errors import BadInputError
from selfinstruct.tables import Row, data_files, read_rows, read_table, write_rows, write_table
from selfinstruct.tables.json_list import Elements

KINDS = [".json", ".jsonl", ".csv", ".parquet"]
ROWS = [
    {"instruction": "Say hello.", "input": "", "output": 'Hello,\n"you".'},
    {"instruction": "안녕이라고 말하세요.", "input": "\x00 and \t", "output": "네"},
]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [row for _, row in read_table(path)]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_come_back_as_they_went(tmp_path: Path, kind: str) -> None:
    """Texts with line breaks, quotes, NUL and other scripts survive every kind."""
    path = tmp_path / f"a{kind}"
    write_table(path, ROWS)
    assert rows_of(path) == ROWS


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.dictionaries(st.text(), values, max_size=3), max_size=4), chunk=st.integers(1, 40))
def test_json_is_read_in_any_pieces(tmp_path_factory: pytest.TempPathFactory, rows: list[Any], chunk: int) -> None:
    """What is written is what json.dumps(indent=1) writes, and is read back whatever the size of the pieces."""
    path = tmp_path_factory.mktemp("json") / "a.json"
    write_table(path, rows)
    assert path.read_bytes() == json.dumps(rows, ensure_ascii=False, indent=1).encode() + b"\n"
    with pytest.MonkeyPatch.context() as patch, path.open("rb") as file:
        patch.setattr("selfinstruct.tables.json_list._CHUNK", chunk)
        assert list(Elements(path, file, longest=100_000)) == rows


@settings(max_examples=100, deadline=None)
@given(text=st.text(alphabet='[]{},:"1e-.tru nlfas\\', max_size=12))
def test_json_takes_what_json_takes(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """A list that json.loads reads is read alike; anything else is refused, never read in part or with a traceback."""
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(text, encoding="utf-8")
    try:
        wanted = json.loads(text)
    except ValueError:
        wanted = None
    with path.open("rb") as file:
        elements = Elements(path, file, longest=1000)
        if isinstance(wanted, list):
            assert list(elements) == wanted
        else:
            with pytest.raises(BadInputError, match=r"a\.json"):
                list(elements)


BROKEN = {
    "an element": (b'[{"a": 1}, {"a": }]', "row 2: not JSON"),
    "no comma": (b'[{"a": 1} {"a": 2}]', "row 1: not JSON ('{' behind it)"),
    "comma at the end": (b'[{"a": 1},]', "row 2: not JSON"),
    "cut": (b'[{"a": 1}, {"a": 2}', "row 2: not JSON (the file ends behind it)"),
    "cut in an element": (b'[{"a": 1}, {"a": "2', "row 2: not JSON"),
    "two lists": (b'[{"a": 1}] [2]', "more behind the end of the list"),
    "an object a line": (b'{"a": 1}\n{"a": 2}\n', "a dict, not a list of rows"),
    "empty": (b"", "a file without anything, not a list"),
    "not UTF-8": (b'[{"a": "\xff"}]', "not UTF-8"),
    "deep": (b"[" + b"[" * 100_000, "row 1: not JSON (nested too deep)"),
    "no object": (b'[{"a": 1}, 7]', "row 2: a int, not an object"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_json_is_named(tmp_path: Path, name: str) -> None:
    """The number of the broken element, and what is wrong with it."""
    data, words = BROKEN[name]
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(BadInputError) as told:
        read_table(tmp_path / "a.json")
    assert words in str(told.value)


def test_json_is_streamed(tmp_path: Path) -> None:
    """The first rows are there although the end of the file is broken: it is never read whole."""
    text = "[" + ",".join(json.dumps({"a": "x" * 1000}) for _ in range(2000)) + ", broken"
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    rows = read_rows(tmp_path / "a.json")
    assert [next(rows).number for _ in range(1500)] == list(range(1, 1501))
    with pytest.raises(BadInputError, match="row 2001"):
        list(rows)


def test_lines_keep_their_bytes(tmp_path: Path) -> None:
    """JSONL to JSONL copies lines: numbers and escapes stay as they were written."""
    line = b'{"a": 1.10, "b": 12345678901234567890123, "c": "\\ud83d", "a ": 1e400}'
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + line + b"\r\n\r\n" + line)
    rows = list(read_rows(tmp_path / "a.jsonl"))
    assert [row.number for row in rows] == [1, 3]
    write_rows(tmp_path / "b.jsonl", rows, kind=".jsonl", survey=lambda: rows)
    assert (tmp_path / "b.jsonl").read_bytes() == (line + b"\n") * 2


def test_bad_lines_are_rows_with_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader names a bad line and goes on behind it; read_table refuses it."""
    monkeypatch.setattr("selfinstruct.tables.read.LINE_LIMIT", 50)
    lines = [b"{", b'["a"]', b'{"a": "\xff"}', b'{"a": "' + b"x" * 500 + b'"}', b"[" * 49, b'{"a": 1}']
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    told = [row.problem for row in read_rows(tmp_path / "a.jsonl")]
    assert [words[:9] for words in told] == ["not JSON ", "a list, n", "not UTF-8", "longer th", "not JSON ", ""]
    with pytest.raises(BadInputError, match="line 1: not JSON"):
        read_table(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a,a\n1,2\n", "two columns named 'a'"),
        (b'a,b\n1,"2\n', "not a CSV file in UTF-8"),
        (b"a,b\n1,\xff\n", "not a CSV file in UTF-8"),
        (b"a,b\n1\n", "line 2: another number of cells than columns (1, not 2)"),
    ],
)
def test_broken_csv_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    """A CSV file that cannot be cut into cells for certain is refused."""
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(BadInputError) as told:
        read_table(tmp_path / "a.csv")
    assert words in str(told.value)


def test_csv_cells_are_large_and_their_lines_right(tmp_path: Path) -> None:
    """A cell of a megabyte, a row over three lines, an empty line between."""
    (tmp_path / "a.csv").write_bytes(b'a\n"' + b"x" * 1_000_000 + b'"\n\n"1\n2\n3"\n')
    assert [(place, len(row["a"])) for place, row in read_table(tmp_path / "a.csv")] == [
        ("line 2", 10**6),
        ("line 6", 5),
    ]


def test_folders_hold_data_and_more(tmp_path: Path) -> None:
    """Data files here and one level down in sorted order; nothing hidden, no manifest, no dropped rows, no README."""
    for name in ("b.jsonl", "data/a.parquet", "data/x/y.csv", ".h.csv", ".git/c.json", "manifest.json", "README.md",
                 "b.jsonl.dropped.jsonl", "a.csv"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert data_files(tmp_path) == [tmp_path / name for name in ("a.csv", "b.jsonl", "data/a.parquet")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInputError, match="no data in this folder"):
        data_files(tmp_path / "empty")


ODD = {
    "time": dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
    "day": dt.date(2026, 1, 2),
    "price": Decimal("1.10"),
    "list": [1, 2],
    "none": None,
}


def test_parquet_types_become_text_that_tells_them(tmp_path: Path) -> None:
    """Times as ISO 8601, decimals with their zeros, lists as lists; bytes are refused, not garbled."""
    write_rows(tmp_path / "a.jsonl", [Row(1, ODD)], kind=".jsonl", survey=list)
    told = json.loads((tmp_path / "a.jsonl").read_text())
    assert told == {**ODD, "time": "2026-01-02T03:04:05+00:00", "day": "2026-01-02", "price": "1.10"}
    rows = [Row(1, ODD)]
    write_rows(tmp_path / "a.csv", rows, kind=".csv", survey=lambda: rows)
    assert rows_of(tmp_path / "a.csv")[0]["list"] == "[1, 2]"
    with pytest.raises(BadInputError, match="bytes cannot be written as text"):
        write_table(tmp_path / "b.json", [{"a": b"\x00"}])
    assert not (tmp_path / "b.json").exists()


def test_parquet_keeps_columns_that_come_late(tmp_path: Path) -> None:
    """A column that the first rows lack, and numbers whose fraction comes late, past the size of a chunk."""
    rows: list[dict[str, Any]] = [{"a": 1} for _ in range(1500)]
    rows += [{"a": 2.5, "b": ["x"]}, {"b": [], "c": {"d": "e"}}]
    write_table(tmp_path / "a.parquet", rows)
    back = rows_of(tmp_path / "a.parquet")
    assert back[0] == {"a": 1.0, "b": None, "c": None}
    assert back[-2:] == [{"a": 2.5, "b": ["x"], "c": None}, {"a": None, "b": [], "c": {"d": "e"}}]


@pytest.mark.parametrize(
    "rows",
    [
        [{"a": 1}, {"a": "x"}],
        [{"a": 1}] * 1000 + [{"a": "x"}],
        [{"a": 2**70}],
        [{"a": {}}],
        [{"a": 2**53 + 1}] * 1000 + [{"a": 0.5}],
    ],
    ids=["mixed", "mixed late", "too large", "empty object", "no exact float"],
)
def test_parquet_refuses_what_it_cannot_hold(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """Mixed types are an error that names the way out, and no file."""
    with pytest.raises(BadInputError) as told:
        write_table(tmp_path / "a.parquet", rows)
    assert ".jsonl" in told.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_half_characters_are_kept_or_replaced(tmp_path: Path) -> None:
    """JSON holds a lone surrogate; CSV and Parquet cannot and show U+FFFD."""
    rows = [{"a": "x\ud800y"}]
    for kind in KINDS:
        write_table(tmp_path / f"a{kind}", rows)
        kept = kind in {".json", ".jsonl"}
        assert rows_of(tmp_path / f"a{kind}") == (rows if kept else [{"a": "x\ufffdy"}])


def test_truncated_parquet_is_refused(tmp_path: Path) -> None:
    """Cut anywhere, or with its pages overwritten, it is no readable file."""
    pq.write_table(pa.table({"a": ["x" * 50] * 500}), tmp_path / "a.parquet", compression="none")
    data = (tmp_path / "a.parquet").read_bytes()
    broken = [data[:cut] for cut in (0, 3, 100, len(data) - 9, len(data) - 1)] + [data[:4] + b"\xff" * 60 + data[64:]]
    for one in broken:
        (tmp_path / "b.parquet").write_bytes(one)
        with pytest.raises(BadInputError, match="not a readable Parquet file"):
            read_table(tmp_path / "b.parquet")


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_are_rows_too(tmp_path: Path, kind: str) -> None:
    """An empty dataset is written and read."""
    write_table(tmp_path / f"a{kind}", [])
    assert rows_of(tmp_path / f"a{kind}") == []


def test_writers_take_rows_one_by_one(tmp_path: Path) -> None:
    """No writer gathers all rows before it writes: the generator sees the file grow."""
    for kind in (".json", ".jsonl"):
        path = tmp_path / f"a{kind}"
        seen: list[int] = []

        def rows(path: Path = path, seen: list[int] = seen) -> Iterator[Row]:
            for number in range(1, 2001):
                yield Row(number, {"a": "x" * 100})
                seen.append(path.stat().st_size)

        write_rows(path, rows(), kind=kind, survey=list)
        assert len({*seen}) > 5
