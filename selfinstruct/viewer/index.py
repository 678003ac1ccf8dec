"""The rows and drops of a version or a run in one SQLite file, to be searched, sorted and paged. Knows no catalogue and no page.

There is no full-text index: in 100,000 rows of 48 million characters `instr` finds any part of a word of any script, one Korean
syllable too, in 50 to 130 ms. A trigram index answers in 1 ms, but makes the file three times as large, takes four times as long
to build, and does not know terms of one or two characters, which are words in Korean.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from array import array
from collections import OrderedDict
from contextlib import closing, contextmanager
from functools import cached_property
from itertools import compress, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from selfinstruct.figures.count import main_script
from selfinstruct.viewer.folding import folded, terms

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    Fact = dict[str, Any]

FORMAT = 1
"""Version of the tables; part of a file's name."""
AT_ONCE = 1000
"""Rows that are written at once."""
REMEMBERED = 16
"""Searches whose rows are kept in mind, for the pages after the first one."""
_TABLES = """
CREATE TABLE facts(n INTEGER PRIMARY KEY, id TEXT, score REAL, classification INTEGER, flags TEXT, script TEXT,
                   version INTEGER, length INTEGER, model TEXT, judge TEXT, raw_score REAL);
CREATE TABLE texts(n INTEGER PRIMARY KEY, instruction TEXT, input TEXT, output TEXT);
CREATE TABLE searched(n INTEGER PRIMARY KEY, text TEXT);
CREATE TABLE dropped(n INTEGER PRIMARY KEY, id TEXT, stage TEXT, rule TEXT, figure TEXT, threshold TEXT, text TEXT,
                     evidence TEXT, version INTEGER);
CREATE TABLE seeds(id TEXT PRIMARY KEY, instruction TEXT);
CREATE TABLE spots(id TEXT PRIMARY KEY, shard INTEGER, part INTEGER, offset INTEGER, root TEXT) WITHOUT ROWID;
"""
_KEYS = """
CREATE INDEX facts_id ON facts(id);
CREATE INDEX dropped_why ON dropped(stage, rule, version);
CREATE INDEX dropped_id ON dropped(id);
CREATE INDEX spots_root ON spots(root);
ANALYZE;
"""
_OF_DROPS = ("id", "stage", "rule", "figure", "threshold", "text", "evidence", "version")
_OF_SPOTS = ("id", "shard", "part", "offset", "root")
ORDERS = {
    "": "n",
    "newest": "n DESC",
    "best": "score IS NULL, score DESC, n",
    "worst": "score IS NULL, score, n",
    "longest": "length DESC, n",
    "shortest": "length, n",
}
"""Name of an order -> SQL."""


class Asked(NamedTuple):
    """Which rows are asked for, and in which order. Empty: all."""

    text: str = ""
    classification: bool | None = None
    flag: str = ""
    """`none` for rows without one."""
    script: str = ""
    version: int | None = None
    least: float | None = None
    most: float | None = None
    order: str = ""
    """One of ORDERS."""

    def where(self) -> tuple[str, list[Any]]:
        """Return SQL conditions on all but the text, and what they compare with."""
        parts = [
            ("classification = ?", self.classification),
            ("flags = ?", "" if self.flag == "none" else None),
            ("instr(',' || flags || ',', ?) > 0", f",{self.flag}," if self.flag not in {"", "none"} else None),
            ("script = ?", self.script or None),
            ("version = ?", self.version),
            ("score >= ?", self.least),
            ("score <= ?", self.most),
        ]
        asked = [(sql, value) for sql, value in parts if value is not None]
        return " AND ".join(sql for sql, _ in asked) or "TRUE", [value for _, value in asked]


class Found(NamedTuple):
    """A page of rows, and how many there are in all."""

    rows: list[Fact]
    total: int


def build(path: Path, views: Iterable[tuple[str, Fact]], *, told: Callable[[int], None] = lambda _: None) -> None:
    """Write the index of `views` (view, row) to the new file `path`, whole or not at all; `told` hears how many rows are in.

    Of `lineage` the rows have `shard`, `part`, `offset` and `root`: where the lineage of a row lies, and its instruction.
    """
    making = path.with_name(f".{path.name}.{secrets.token_hex(8)}")  # another thread may be building the same
    try:
        with closing(sqlite3.connect(making)) as to:
            to.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA page_size=16384; {_TABLES}")
            done = 0
            waiting = iter(views)
            while part := list(islice(waiting, AT_ONCE)):
                _write(to, part)
                done += len(part)
                told(done)
            to.executescript(_KEYS)
        making.replace(path)
    finally:
        making.unlink(missing_ok=True)


def _write(to: sqlite3.Connection, part: Sequence[tuple[str, Fact]]) -> None:
    to.execute("BEGIN")
    for view, row in part:
        row = {name: _storable(value) for name, value in row.items()}  # noqa: PLW2901 - the same row, as SQLite takes it
        if view == "sft":
            cursor = to.execute("INSERT INTO facts VALUES (NULL,?,?,?,?,?,?,?,?,?,?)", _facts(row))
            texts = [row[name] or "" for name in ("instruction", "input", "output")]
            to.execute("INSERT INTO texts VALUES (?,?,?,?)", (cursor.lastrowid, *texts))
            to.execute("INSERT INTO searched VALUES (?,?)", (cursor.lastrowid, folded("\n".join((*texts, row["id"])))))
        elif view == "dropped":
            to.execute("INSERT INTO dropped VALUES (NULL,?,?,?,?,?,?,?,?)", [row[name] for name in _OF_DROPS])
        elif view == "seeds":
            to.execute("INSERT OR IGNORE INTO seeds VALUES (?,?)", (row["id"], row["instruction"]))
        elif view == "lineage":
            to.execute("INSERT OR IGNORE INTO spots VALUES (?,?,?,?,?)", [row[name] for name in _OF_SPOTS])
    to.execute("COMMIT")


def _facts(row: Fact) -> list[Any]:
    names = ("id", "score", "is_classification", "flags", "script", "version", "length", "model", "judge", "raw_score")
    told = {
        **row,
        "script": main_script(row["instruction"] or ""),
        "length": len(row["output"] or ""),
        "flags": row["flags"] or "",
    }
    return [told[name] for name in names]


def _storable(value: object) -> object:
    """Halves of surrogate pairs can stand in JSON, and in no file of SQLite."""
    return (
        value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) and not value.isascii() else value
    )


class Index:
    """An index that was built, to ask; from any thread."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet."""
        self._path = path
        self._remembered: OrderedDict[Asked, array[int]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def exists(self) -> bool:
        """Whether its file is still there."""
        return self._path.exists()

    def find(self, asked: Asked, *, start: int = 0, count: int = 50) -> Found:
        """Return a page of the rows asked for, texts included."""
        numbers = self.numbers(asked)
        wanted = numbers[start : start + count]
        rows = {row["n"]: row for row in self._rows("facts JOIN texts USING (n)", _among(wanted))}
        return Found([rows[n] for n in wanted], len(numbers))

    def numbers(self, asked: Asked) -> array[int]:
        """Return the numbers of all rows asked for, in their order."""
        found = self._remembered.get(asked)
        if found is None:
            wanted = terms(asked.text)
            if wanted:  # the text is read from one end to the other, and only the text
                order = self.numbers(asked._replace(text=""))
                hits = bytearray(self.count + 1)
                with self._opened() as opened:
                    where = " AND ".join("instr(text, ?) > 0" for _ in wanted)
                    for (n,) in opened.execute(f"SELECT n FROM searched WHERE {where}", wanted):  # noqa: S608 - from constants
                        hits[n] = 1
                found = array("q", compress(order, map(hits.__getitem__, order)))
            else:
                where, values = asked.where()
                with self._opened() as opened:
                    query = f"SELECT n FROM facts WHERE {where} ORDER BY {ORDERS.get(asked.order, 'n')}"  # noqa: S608
                    found = array("q", (row[0] for row in opened.execute(query, values)))
            with self._lock:
                self._remembered[asked] = found
                while len(self._remembered) > REMEMBERED:
                    self._remembered.popitem(last=False)
        return found

    def row(self, wanted: str) -> Fact | None:
        """Return the row of that id, with its texts."""
        return next(self._rows("facts JOIN texts USING (n)", "id = ?", wanted), None)

    def around(self, n: int) -> tuple[str | None, str | None]:
        """Return the ids of the rows before and after the `n`-th."""
        ids = {row["n"]: row["id"] for row in self._rows("facts", "n IN (?, ?)", n - 1, n + 1)}
        return ids.get(n - 1), ids.get(n + 1)

    def instructions(self) -> list[str]:
        """Return the instructions of all rows, each once, in order."""
        with self._opened() as opened:
            return list(dict.fromkeys(row[0] for row in opened.execute("SELECT instruction FROM texts ORDER BY n")))

    def first_with(self, instruction: str) -> str | None:
        """Return the id of the first row with that instruction."""
        found = self._rows("facts JOIN texts USING (n)", "instruction = ? LIMIT 1", instruction)
        return next((row["id"] for row in found), None)

    def demonstrations(self, ids: Sequence[str]) -> dict[str, tuple[str, str | None]]:
        """Return id -> (text, id of a row that it became), of seeds and of instructions that have a row here."""
        marks = ",".join("?" * len(ids))
        seeds = {row["id"]: (row["instruction"], None) for row in self._rows("seeds", f"id IN ({marks})", *ids)}
        query = f"root IN ({marks}) GROUP BY root"
        made = self._rows("spots JOIN facts USING (id) JOIN texts USING (n)", query, *ids)
        return {**{row["root"]: (row["instruction"], row["id"]) for row in made}, **seeds}

    def spot(self, wanted: str) -> tuple[int, int, int] | None:
        """Return shard, row group and place in it of the lineage of a row."""
        found = self._rows("spots", "id = ?", wanted)
        return next(((row["shard"], row["part"], row["offset"]) for row in found), None)

    @cached_property
    def facets(self) -> dict[str, dict[str, int]]:
        """Return facet -> value -> rows, the most first: classification, script, version, flags."""
        with self._opened() as opened:
            found = {
                name: {str(value): count for value, count in opened.execute(
                    f"SELECT {name}, count(*) FROM facts GROUP BY {name} ORDER BY count(*) DESC"  # noqa: S608 - from constants
                ) if value not in (None, "")}
                for name in ("classification", "script", "version", "flags")
            }  # fmt: skip
        flags: dict[str, int] = {}
        for joined, count in found["flags"].items():
            for flag in joined.split(","):
                flags[flag] = flags.get(flag, 0) + count
        return {**found, "flags": flags}

    def drops(
        self, stage: str = "", rule: str = "", *, version: int | None = None, start: int = 0, count: int = 50
    ) -> Found:
        """Return a page of drops."""
        wanted = [
            (f"{name} = ?", value) for name, value in (("stage", stage), ("rule", rule), ("version", version)) if value
        ]
        where, values = " AND ".join(sql for sql, _ in wanted) or "TRUE", [value for _, value in wanted]
        rows = list(self._rows("dropped", f"{where} ORDER BY n LIMIT ? OFFSET ?", *values, count, start))
        return Found(rows, sum(n for key, n in self.drop_counts.items() if _matches(key, stage, rule, version)))

    @cached_property
    def drop_counts(self) -> dict[tuple[str, str, int], int]:
        """Return (stage, rule, version) -> drops."""
        with self._opened() as opened:
            counted = opened.execute("SELECT stage, rule, version, count(*) FROM dropped GROUP BY stage, rule, version")
            return {(stage, rule, version): count for stage, rule, version, count in counted}

    def drop(self, wanted: str) -> Fact | None:
        """Return the drop of that id."""
        return next(self._rows("dropped", "id = ?", wanted), None)

    @cached_property
    def count(self) -> int:
        """Return the number of rows."""
        with self._opened() as opened:
            return int(opened.execute("SELECT count(*) FROM facts").fetchone()[0])

    def _rows(self, table: str, where: str, *values: object) -> Iterator[Fact]:
        with self._opened() as opened:
            opened.row_factory = sqlite3.Row
            found = opened.execute(f"SELECT * FROM {table} WHERE {where}", values).fetchall()  # noqa: S608 - from constants
        yield from map(dict, found)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)) as opened:
            yield opened


def _among(numbers: Sequence[int]) -> str:
    return f"n IN ({','.join(map(str, numbers))})"


def _matches(key: tuple[str, str, int], *wanted: object) -> bool:
    return all(not one or one == value for one, value in zip(wanted, key, strict=True))
