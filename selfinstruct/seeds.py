"""Reads and checks seed files: one JSON object per line, in the published schema. Knows no stage.

A bad file is refused whole, with every problem's line, field and remedy; nothing of it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from selfinstruct.errors import BadInputError
from selfinstruct.records import SeedTask

LINE_LIMIT = 1_000_000
"""Bytes of one line, at most."""

DEPTH_LIMIT = 32
"""Nesting of one line, at most; the schema needs 3."""

FEWEST = 8
"""A prompt shows 8 seed tasks before there are machine-made ones (Self-Instruct)."""

SHOWN = 20
"""Problems listed before the rest is only counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, where, and what mends it."""

    line: int
    field: str
    message: str
    remedy: str

    def __str__(self) -> str:
        """One line for a person."""
        where = f"line {self.line}" if self.line else "the file"
        where += f", field {self.field}" if self.field else ""
        return f"{where}: {self.message}; {self.remedy}"


def shipped(language: str = "en") -> Path:
    """Return the seed file of a language: from the wheel, or from the checkout.

    Raises:
        BadInputError: there is none; names those that exist.
    """
    inside = Path(__file__).parent / "_seeds"
    folder = inside if inside.is_dir() else Path(__file__).parent.parent / "seeds"
    path = folder / f"{language}.jsonl"
    if not path.is_file():
        known = ", ".join(sorted(one.stem for one in folder.glob("*.jsonl"))) or "none"
        msg = f"no seed tasks are shipped for {language!r}"
        raise BadInputError(msg, remedy=f"shipped: {known}; or give a file")
    return path


def find(seeds: str) -> Path:
    """Return the file a recipe means: the name of a shipped set, or a path."""
    return shipped(seeds) if os.sep not in seeds and "." not in seeds else Path(seeds)


def load(path: Path) -> tuple[tuple[SeedTask, ...], str]:
    """Return the tasks of a good file, and the sha256 of its bytes.

    Raises:
        BadInputError: the file is missing or has a problem; all of them are named, up to 20.
    """
    tasks, problems = check(path)
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems[:SHOWN])
        more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        msg = f"{path}: {len(problems)} problem{'s' * (len(problems) > 1)}\n{listed}{more}"
        raise BadInputError(msg, remedy=f"selfinstruct seeds check {path}")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return tuple(tasks), digest.hexdigest()


def check(path: Path) -> tuple[list[SeedTask], list[Problem]]:
    """Read a seed file; return the good tasks and every problem.

    Raises:
        BadInputError: the file cannot be opened.
    """
    tasks: list[SeedTask] = []
    problems: list[Problem] = []
    ids: dict[str, int] = {}
    texts: dict[str, int] = {}
    for number, line in _lines(path):
        found = line if isinstance(line, Problem) else _read(number, line)
        if isinstance(found, Problem):
            problems.append(found)
            continue
        task, more = found
        problems.extend(more)
        if task is None:
            continue
        problems.extend(_repeated(task, number, ids, texts))
        tasks.append(task)
    if len(tasks) < FEWEST:
        problems.append(Problem(0, "", f"{len(tasks)} usable tasks", f"give at least {FEWEST}"))
    return tasks, problems


def _lines(path: Path) -> Iterator[tuple[int, bytes | Problem]]:
    """Yield (line number, bytes) without ever holding an over-long line; BOM and CR LF read right."""
    try:
        file = path.open("rb")
    except OSError as error:
        msg = f"cannot read seed file {path}: {error.strerror}"
        raise BadInputError(msg, remedy="give an existing JSONL file, or `en` for the shipped one") from None
    with file:
        number = 0
        while line := file.readline(LINE_LIMIT + 1):
            number += 1
            if len(line) > LINE_LIMIT:
                while line and not line.endswith(b"\n"):
                    line = file.readline(LINE_LIMIT)
                yield number, Problem(number, "", f"longer than {LINE_LIMIT:,} bytes", "shorten it, or split the file")
                continue
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield number, line


def _read(number: int, line: bytes) -> tuple[SeedTask | None, list[Problem]] | Problem:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        return Problem(number, "", f"not UTF-8 at byte {error.start + 1}", "save the file as UTF-8")
    if _depth(text) > DEPTH_LIMIT:
        return Problem(number, "", f"nested deeper than {DEPTH_LIMIT}", "one flat object per line")
    try:
        value = json.loads(text, parse_constant=_refuse, object_pairs_hook=_unique)
    except ValueError as error:
        return Problem(number, "", f"not JSON: {error}", "one JSON object per line")
    if not isinstance(value, dict):
        return Problem(number, "", f"a {type(value).__name__}, not an object", "one JSON object per line")
    bad = _bad_text(value)
    if bad:
        return Problem(number, bad, "has a NUL or a lone surrogate", "remove the character")
    try:
        task = SeedTask.model_validate(value)
    except ValidationError as error:
        return None, [_explain(number, one) for one in error.errors()]
    return task, list(_rules(number, task))


def _depth(text: str) -> int:
    """Count nesting outside strings without recursion: the parser itself would go as deep as the text."""
    depth = deepest = 0
    inside = escaped = False
    for character in text:
        if inside:
            inside = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _refuse(name: str) -> None:
    msg = f"{name} is not a JSON value"
    raise ValueError(msg)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        msg = f"key {next(key for key in keys if keys.count(key) > 1)!r} given twice"
        raise ValueError(msg)
    return dict(pairs)


def _bad_text(value: Any, place: str = "") -> str:  # noqa: ANN401 - JSON is of any shape
    """Return the field whose text could not be stored, or nothing. Depth is capped before."""
    if isinstance(value, str):
        bad = "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value)
        return (place or "text") if bad else ""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = (_bad_text(item, f"{place}.{key}".lstrip(".")) or _bad_text(key, place) for key, item in items)
    return next((one for one in found if one), "")


_REMEDIES = {
    "missing": "add it",
    "extra_forbidden": "remove it, or correct its name",
    "string_type": "write a string",
    "bool_type": "write true or false",
    "tuple_type": "write a list of {input, output}",
}


def _explain(number: int, error: Any) -> Problem:  # noqa: ANN401 - pydantic's ErrorDetails
    place = ".".join(map(str, error["loc"]))
    return Problem(number, place, error["msg"], _REMEDIES.get(error["type"], "see seeds/README.md for the schema"))


def _rules(number: int, task: SeedTask) -> Iterator[Problem]:
    if not task.id.strip():
        yield Problem(number, "id", "is empty", "give every task its own id")
    if not task.instruction.strip():
        yield Problem(number, "instruction", "is empty", "write the task")
    if not task.instances:
        yield Problem(number, "instances", "is empty", "give at least one instance")
    for position, instance in enumerate(task.instances):
        if not instance.output.strip():
            yield Problem(number, f"instances.{position}.output", "is empty", "write the answer")


def _repeated(task: SeedTask, number: int, ids: dict[str, int], texts: dict[str, int]) -> Iterator[Problem]:
    text = " ".join(task.instruction.split()).casefold()
    for value, known, name, remedy in (
        (task.id, ids, "id", "give every task its own id"),
        (text, texts, "instruction", "remove or rewrite one of them"),
    ):
        if value in known:
            yield Problem(number, name, f"the same as in line {known[value]}", remedy)
        known.setdefault(value, number)
