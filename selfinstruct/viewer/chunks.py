"""Rows, lineages and drops as scripts that a page of files can load: `exported("rows", 3, [...])`. Knows no page.

A page that was opened as a file may fetch nothing, but it may load a script of its own folder. Each of these holds one call with
JSON in it: whatever a row says is a string there, and a page shows it as text only.
"""

from __future__ import annotations

import json
import os
from collections import Counter, deque
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from selfinstruct.figures.count import main_script
from selfinstruct.viewer.facts import evidence
from selfinstruct.viewer.lineage import root_of
from selfinstruct.viewer.steps import cut, steps_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from selfinstruct.viewer.steps import Way

    Fact = dict[str, Any]

ROWS, LINEAGES, DROPS = 1000, 250, 500
"""Of each in one file: some 500 kB of a set of usual rows."""
LONGEST, EVIDENCE = 20_000, 2000
"""Characters of a text of a row or a drop, and of one piece of evidence; how much more there is, is said."""
ROOM = 1_000_000_000
"""Bytes of lineages, at most; later rows have none, which their pages say."""
AT_ONCE = 4
"""Chunks of lineages that wait for each process."""
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Chunks:
    """Writes the rows and drops of one version or run to `folder`, in bounded memory but for a few figures of each row."""

    def __init__(self, folder: Path, recipe: Fact) -> None:
        """Write to the new folder `folder`; `recipe` tells of lineages how their models were asked."""
        folder.mkdir(parents=True)
        self._folder, self._recipe = folder, recipe
        self._rows: list[Any] = []
        self._steps: list[tuple[Fact, str]] = []
        self._files: Counter[str] = Counter()
        self._tables: dict[str, dict[str, int]] = {name: {} for name in ("flags", "script", "model", "judge")}
        self._columns: dict[str, list[Any]] = {
            name: [] for name in ("score", "classification", "version", "length", *self._tables)
        }
        self._ids: list[str] = []
        self._roots: list[str] = []
        self._seeds: list[tuple[str, str]] = []
        self._groups: dict[tuple[str, str, int], tuple[int, list[Any]]] = {}
        self._dropped: Counter[tuple[str, str, int]] = Counter()
        self._workers: ProcessPoolExecutor | None = None
        self._waiting: deque[Future[int]] = deque()
        self._room, self.with_lineage = ROOM, 0

    def add(self, view: str, row: Fact) -> None:
        """Take a row of a view; a lineage comes right behind its row."""
        match view:
            case "sft":
                self._add_row(row)
            case "lineage":
                self._add_lineage(row["lineage"] or "")
            case "dropped":
                self._add_drop(row)
            case "seeds":
                self._seeds.append((row["id"], cut(row["instruction"], 500)))

    def close(self) -> None:
        """Write what is left, and what is of all rows."""
        self._flush_rows()
        self._flush_lineages()
        for key in self._groups:
            self._flush_drops(key)
        while self._waiting:
            self._waiting.popleft().result()
        self.stop()
        tables = {name: list(table) for name, table in self._tables.items()}
        told = {**self._columns, "tables": tables, "lineages": self.with_lineage, "size": [ROWS, LINEAGES, DROPS]}
        groups = [[*key, count] for key, count in self._dropped.items()]
        _write(self._folder, "facts", 0, _encode({**told, "groups": groups}))
        _write(self._folder, "ids", 0, _encode({"ids": self._ids, "roots": self._roots, "seeds": self._seeds}))

    def stop(self) -> None:
        """Let the processes go, whatever they were at."""
        if self._workers is not None:
            self._workers.shutdown(cancel_futures=True)

    @property
    def count(self) -> int:
        """How many rows are in."""
        return len(self._ids)

    def number_of(self, wanted: str) -> int | None:
        """Return the number of the row of that id, of the last ones."""
        return next((at for at in range(len(self._ids) - 1, -1, -1) if self._ids[at] == wanted), None)

    def facets(self) -> dict[str, dict[str, int]]:
        """Return facet -> value -> rows, the most first, as `Index.facets` does."""
        flags: Counter[str] = Counter()
        for joined, rows in Counter(self._columns["flags"]).items():
            for flag in filter(None, list(self._tables["flags"])[joined].split(",")):
                flags[flag] += rows
        scripts = list(self._tables["script"])
        classified = {
            str(one): n for one, n in Counter(self._columns["classification"]).most_common() if one is not None
        }
        return {
            "flags": dict(flags.most_common()),
            "script": {scripts[one]: n for one, n in Counter(self._columns["script"]).most_common() if scripts[one]},
            "version": {str(one): n for one, n in Counter(self._columns["version"]).most_common()},
            "classification": classified,
        }

    def _add_row(self, row: Fact) -> None:
        texts = [cut(row[name] or "", LONGEST) for name in ("instruction", "input", "output")]
        self._rows.append([row["id"], *texts, row["raw_score"]])
        told = {**row, "flags": row["flags"] or "", "script": main_script(row["instruction"] or "")}
        for name, table in self._tables.items():
            self._columns[name].append(table.setdefault(told[name] or "", len(table)))
        self._columns["score"].append(row["score"])
        self._columns["classification"].append(
            None if row["is_classification"] is None else int(row["is_classification"])
        )
        self._columns["version"].append(row["version"])
        self._columns["length"].append(len(row["output"] or ""))
        self._ids.append(row["id"])
        self._roots.append("")
        self._steps.append((row, ""))
        if len(self._rows) == ROWS:
            self._flush_rows()
        if len(self._steps) > LINEAGES:  # the lineage of the last one may still come
            self._flush_lineages(LINEAGES)

    def _add_lineage(self, text: str) -> None:
        self._roots[-1] = root_of(text) or ""
        if self._room > 0:
            self._steps[-1] = (self._steps[-1][0], text)
            self.with_lineage = len(self._ids)

    def _add_drop(self, row: Fact) -> None:
        key = str(row["stage"]), str(row["rule"]), int(row["version"] or 0)
        _, waiting = self._groups.setdefault(key, (len(self._groups), []))
        proof = [[name, cut(value, EVIDENCE)] for name, value in evidence(row["evidence"]).items()]
        waiting.append([row["id"], row["figure"], row["threshold"], cut(row["text"] or "", LONGEST), proof])
        self._dropped[key] += 1
        if len(waiting) == DROPS:
            self._flush_drops(key)

    def _flush_rows(self) -> None:
        if self._rows:
            self._put("rows", _lines(map(_encode, self._rows)))
            self._rows.clear()

    def _flush_lineages(self, count: int | None = None) -> None:
        part, self._steps = self._steps[:count], self._steps[len(self._steps) if count is None else count :]
        if not part:
            return
        number = self._files["lineages"]
        self._files["lineages"] += 1
        if count is None and self._workers is None:  # so few that a process would take longer to start
            write_lineages(self._folder, number, part, self._recipe)
            return
        if self._workers is None:
            self._workers = ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"))
        self._waiting.append(self._workers.submit(write_lineages, self._folder, number, part, self._recipe))
        while len(self._waiting) > AT_ONCE * (os.cpu_count() or 1):
            self._room -= self._waiting.popleft().result()

    def _flush_drops(self, key: tuple[str, str, int]) -> None:
        number, waiting = self._groups[key]
        if waiting:
            self._put(f"drops-{number}", _lines(map(_encode, waiting)))
            waiting.clear()

    def _put(self, kind: str, text: str) -> None:
        _write(self._folder, kind, self._files[kind], text)
        self._files[kind] += 1


def write_lineages(folder: Path, number: int, part: list[tuple[Fact, str]], recipe: Fact) -> int:
    """Write one file of lineages, in a process of its own; return its bytes."""
    ways: dict[Way, int] = {}
    found = _lines([_encode(steps_of(row, text, recipe, ways)) for row, text in part])
    return _write(folder, "lineages", number, f"[{_encode(list(ways))},{found}]")


def _lines(items: Iterable[str]) -> str:
    return "[" + ",\n".join(items) + "]"


def _write(folder: Path, kind: str, number: int, text: str) -> int:
    """Write a script; halves of surrogate pairs stand in it as the escapes that JSON has for them."""
    return (folder / f"{kind}-{number}.js").write_bytes(
        f'exported("{kind}",{number},{text});\n'.encode("utf-8", "backslashreplace")
    )
