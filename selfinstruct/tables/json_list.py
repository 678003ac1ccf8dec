"""Reads a JSON list element by element from a file of any size. Knows nothing of rows."""

from __future__ import annotations

import io
import json
import re
from typing import IO, TYPE_CHECKING, Any

from selfinstruct.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK = 1 << 18
_SOLID = re.compile(r"[^ \t\r\n]")
_DECODER = json.JSONDecoder()
_KINDS = {"{": "dict", '"': "str", "": "file without anything"}


class Elements:
    """Iterates over the elements of the one list that `file` holds; in memory is one element and a chunk."""

    def __init__(self, path: Path, file: IO[bytes], *, longest: int) -> None:
        """Take the file's name for errors, and the characters that one element may have."""
        self._path = path
        self._file = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        self._longest = longest
        self._text = ""
        self._used = 0

    def __iter__(self) -> Iterator[Any]:
        """Yield every element.

        Raises:
            BadInputError: no list, not UTF-8, or a broken element, named by its number from 1.
        """
        try:
            yield from self._elements()
        except UnicodeDecodeError as error:
            msg = f"{self._path}: not UTF-8 ({error.reason})"
            raise BadInputError(msg, remedy="save it as UTF-8") from None

    def _elements(self) -> Iterator[Any]:
        first = self._next()
        if first != "[":
            msg = f"{self._path}: a {_KINDS.get(first, 'text')}, not a list of rows"
            raise BadInputError(msg, remedy="a JSON dataset is a list of objects; one object a line is .jsonl")
        self._used += 1
        number, mark = 0, ","
        if self._next() == "]":
            self._used, mark = self._used + 1, "]"
        while mark == ",":
            number += 1
            self._next()
            yield self._element(number)
            mark = self._next()
            self._used += 1
        if mark != "]":
            raise self._broken(number, f"{mark!r} behind it" if mark else "the file ends behind it")
        if self._next():
            raise self._broken(number, "more behind the end of the list")

    def _next(self) -> str:
        """Go to the next character that is not blank and return it; nothing at the end of the file."""
        while True:
            if found := _SOLID.search(self._text, self._used):
                self._used = found.start()
                return found[0]
            self._used = len(self._text)
            if not self._more():
                return ""

    def _more(self) -> bool:
        """Read on, at least as much again as is unused: an element is parsed anew only a few times."""
        chunk = self._file.read(max(_CHUNK, len(self._text) - self._used))
        self._text = self._text[self._used :] + chunk
        self._used = 0
        return bool(chunk)

    def _element(self, number: int) -> Any:  # noqa: ANN401 - JSON is of any shape
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._used)
            except RecursionError:
                raise self._broken(number, "nested too deep") from None
            except ValueError as error:  # broken, or not yet all of it read
                if len(self._text) - self._used > self._longest or not self._more():
                    raise self._broken(number, getattr(error, "msg", str(error))) from None
                continue
            length = end - self._used
            if end < len(self._text) or not self._more():  # at the very end, 12 may be the half of 123
                self._used += length
                return value

    def _broken(self, number: int, why: str) -> BadInputError:
        msg = f"{self._path} row {number}: not JSON ({why[:120]})"
        return BadInputError(msg, remedy="mend or remove it")
