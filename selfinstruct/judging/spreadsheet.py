"""A label sheet as a CSV file to fill in elsewhere, and read back. Knows no terminal."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from selfinstruct.errors import BadInputError
from selfinstruct.files import publish
from selfinstruct.judging.sheet import Label
from selfinstruct.text.show import printable, readable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from selfinstruct.judging.scored import ScoredRow, ScoredTable

COLUMNS = ("row", "instruction", "input", "output", "score", "keep")
"""The last two are for the person; one of them is enough."""
MARK = "id:"
"""Before each id: of digits alone, or of digits and one e, a spreadsheet would make a number."""
CELL = 32_000
"""Characters of a cell that spreadsheets still take (Excel's limit is 32,767)."""
YES, NO = {"yes", "y", "1", "true", "keep", "x"}, {"no", "n", "0", "false", "drop"}


def write_csv(path: Path, rows: Sequence[ScoredRow]) -> None:
    """Write one line per row, score and keep empty; with a byte order mark, by which spreadsheets know UTF-8.

    Raises:
        BadInputError: a file stands there already: somebody may have filled it in.
    """
    if path.exists():
        msg = f"{path} exists, and may be filled in"
        raise BadInputError(msg, remedy="give another path with --csv")
    with publish(path) as temporary, temporary.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow(
                [f"{MARK}{row.id}", *(_inert(text) for text in (row.instruction, row.input, row.output)), "", ""]
            )


def read_csv(path: Path, table: ScoredTable, *, good: float) -> list[Label]:
    """Return the labels of a sheet that was filled in; lines that were left empty are none.

    Raises:
        BadInputError: no such sheet, or a value in it, named with line and column, that is none or goes against another.
    """
    rows = {row.id: row for row in table.rows}
    found: dict[str, Label] = {}
    lines: dict[str, int] = {}
    for number, line in _lines(path):
        if not (line["score"].strip() or line["keep"].strip()):
            continue
        row = rows.get(line["row"].strip().removeprefix(MARK))
        if row is None:
            raise _bad(path, number, "row", line, f"no scored row of {table.source} has this id")
        if row.id in found:
            raise _bad(path, number, "row", line, f"line {lines[row.id]} is about this row too")
        score = _score(path, number, line, table.scale)
        keep = _keep(path, number, line)
        if score is not None:
            if keep is not None and keep != (score >= good):
                raise _bad(path, number, "keep", line, f"a score of {score:g} says otherwise: yes is {good:g} and more")
            keep = score >= good
        found[row.id], lines[row.id] = Label(row=row.id, text=row.text_id, keep=keep, score=score), number
    return list(found.values())


def _inert(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    shown = readable(text, longest=CELL)
    return f"'{shown}" if shown.lstrip()[:1] in {"=", "+", "-", "@"} else shown


def _lines(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}"
        raise BadInputError(msg, remedy="give the sheet that was written with --csv") from None
    except UnicodeDecodeError:
        msg = f"{path}: not UTF-8"
        raise BadInputError(msg, remedy="save it as CSV, UTF-8") from None
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)  # what the country's spreadsheet makes of a comma
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="")
    missing = [name for name in ("row", "score", "keep") if name not in (reader.fieldnames or ())]
    if missing:
        there = printable(", ".join(reader.fieldnames or ()) or "none")
        msg = f"{path} line 1: no column {missing[0]!r} (there are: {there})"
        raise BadInputError(msg, remedy="keep the first line as it was written with --csv")
    try:
        return [(reader.line_num, line) for line in reader]
    except csv.Error as error:
        msg = f"{path} line {reader.line_num}: not CSV ({error})"
        raise BadInputError(msg, remedy="save it as CSV, UTF-8") from None


def _score(path: Path, number: int, line: dict[str, str], scale: tuple[float, float]) -> float | None:
    text = line["score"].strip().replace(",", ".")
    if not text:
        return None
    try:
        score = float(text)
    except ValueError:
        score = float("nan")
    if not scale[0] <= score <= scale[1]:
        raise _bad(path, number, "score", line, f"no number from {scale[0]:g} to {scale[1]:g}")
    return score


def _keep(path: Path, number: int, line: dict[str, str]) -> bool | None:
    text = line["keep"].strip().lower()
    if text in YES | NO:
        return text in YES
    if text:
        raise _bad(path, number, "keep", line, "neither yes nor no")
    return None


def _bad(path: Path, number: int, column: str, line: dict[str, str], why: str) -> BadInputError:
    msg = f"{path} line {number}, column {column}: {printable(line[column], longest=40)!r}: {why}"
    return BadInputError(msg, remedy="mend it, then give the same command again; nothing was taken over")
