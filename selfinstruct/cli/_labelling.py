"""A person labels rows in a terminal: one key a row, nothing of the judge shown. Writes to stderr only."""

from __future__ import annotations

import codecs
import os
import sys
import termios
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING

from selfinstruct.cli._shared import say
from selfinstruct.errors import BadInputError
from selfinstruct.judging.drawn import order
from selfinstruct.judging.sheet import Label
from selfinstruct.text.show import readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.judging.scored import ScoredRow, ScoredTable
    from selfinstruct.judging.sheet import Sheet

LONGEST = 20_000
"""Characters of a text that are shown."""
HALF = 0.5
KOREAN = {"ㅎ": "g", "ㅠ": "b", "ㅕ": "u", "ㄴ": "s", "ㅂ": "q"}
"""The same keys while a Korean keyboard is on."""
END = {"q", "\x04"}


def label_rows(table: ScoredTable, sheet: Sheet, n: int) -> None:
    """Show rows until `n` have a label or the person stops; every key is on the disk before the next row is shown.

    Raises:
        BadInputError: stdin is no terminal.
    """
    if not sys.stdin.isatty():
        msg = "labelling needs a terminal"
        raise BadInputError(
            msg, remedy=f"selfinstruct label {table.source} --csv OUT.csv, fill it in, then --from OUT.csv"
        )
    say(_keys(table))
    with _pressed() as keys:
        _Labelling(table, sheet, n).go(keys)


class _Labelling:
    def __init__(self, table: ScoredTable, sheet: Sheet, n: int) -> None:
        self._table, self._sheet, self._n = table, sheet, n
        current, _ = sheet.current(table)
        known = {row.id for row, _ in current}
        self._rows = (row for row in order(table) if row.id not in known)
        self._done: list[ScoredRow] = [row for row, _ in current]
        """What `u` goes back through: of earlier sessions too."""
        self._again: list[ScoredRow] = []
        self._count = sum(label.keep is not None for _, label in current)

    def go(self, keys: Iterator[str]) -> None:
        while self._count < self._n and (row := self._next()) is not None:
            self._show(row)
            if not self._answered(row, keys):
                return
        if self._count >= self._n:
            say(f"\n{self._count} labels: done")
            self._amend(keys)

    def _next(self) -> ScoredRow | None:
        return self._again.pop() if self._again else next(self._rows, None)

    def _answered(self, row: ScoredRow, keys: Iterator[str]) -> bool:
        """Wait for a key that settles the row, or brings back the one before; False when the person stops."""
        for key in keys:
            if key in END:
                say("stopped; the same command goes on from here")
                return False
            if key == "u":
                if self._done:
                    self._again += [row, self._take_back()]
                    return True
                say("nothing to undo")
            elif key == ".":
                self._half()
            elif (label := self._label(row, key)) is not None:
                self._put(row, label)
                return True
        return False

    def _label(self, row: ScoredRow, key: str) -> Label | None:
        """Return what a key says of a row; None for a key that says nothing."""
        if key in {"g", "b", "s"}:
            return Label(row=row.id, text=row.text_id, keep=None if key == "s" else key == "g")
        if key.isdecimal() and key.isascii() and self._table.scale[0] <= int(key) <= self._table.scale[1]:
            return self._scored(row, float(key))
        return None

    def _scored(self, row: ScoredRow, score: float) -> Label:
        return Label(row=row.id, text=row.text_id, keep=score >= self._sheet.header.good, score=score)

    def _put(self, row: ScoredRow, label: Label) -> None:
        self._sheet.put(label)
        self._done.append(row)
        self._count += label.keep is not None
        say("-> " + ("skipped" if label.keep is None else _said(label)))

    def _take_back(self) -> ScoredRow:
        row = self._done.pop()
        self._count -= self._sheet.labels[row.id].keep is not None
        self._sheet.put(Label(row=row.id, text=row.text_id, taken_back=True))
        say("-> taken back")
        return row

    def _half(self) -> None:
        """Add half a point to the latest score."""
        last = self._sheet.labels.get(self._done[-1].id) if self._done else None
        if last is None or last.score is None or last.score % 1 or last.score + HALF > self._table.scale[1]:
            say("no score to add half a point to")
            return
        label = self._scored(self._done[-1], last.score + HALF)
        self._sheet.put(label)
        say(f"-> the one before: {_said(label)}")

    def _amend(self, keys: Iterator[str]) -> None:
        """After the last row: half a point more, or back."""
        say("any key ends; . adds half a point to the last; u takes it back")
        for key in keys:
            if key == ".":
                self._half()
            elif key == "u" and self._done:
                self._again.append(self._take_back())
                self.go(keys)
                return
            else:
                return

    def _show(self, row: ScoredRow) -> None:
        say(f"\n{'=' * 30} {self._count + 1} of {self._n} {'=' * 30}")
        for name, text in (("INSTRUCTION", row.instruction), ("INPUT", row.input), ("ANSWER", row.output)):
            if text:
                say(f"--- {name}\n{readable(text, longest=LONGEST)}")
        say("---")


def _keys(table: ScoredTable) -> str:
    lowest, highest = table.scale
    scores = f"{lowest:g} to {highest:g} score (then . for half a point more), " if highest <= 9 else ""  # noqa: PLR2004 - one key
    return f"keys: g would keep, b would not, {scores}s skip, u undo, q stop (the same command goes on)"


def _said(label: Label) -> str:
    verdict = "keep" if label.keep else "not kept"
    return verdict if label.score is None else f"{label.score:g} ({verdict})"


@contextmanager
def _pressed() -> Iterator[Iterator[str]]:
    """Give keys as they are pressed, without echo; the terminal is as before when the block ends, however it ends."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield _read(terminal)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _read(terminal: int) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while chunk := os.read(terminal, 64):
        if chunk.startswith(b"\x1b"):
            continue  # an arrow or function key
        yield from (KOREAN.get(key, key.lower()) for key in decoder.decode(chunk))
