"""Loads rubrics: what a judge looks at, and the scale of its score. One Markdown file each, with a short YAML head.

A rubric of the user's own is a file like those beside this module, named by its path. Knows no prompt and no judge.
"""

from __future__ import annotations

from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from selfinstruct.errors import BadInputError
from selfinstruct.records import Frozen

FOLDER = Path(__file__).parent
MOST_SCORES = 101
"""Scores that a scale may have: a server takes that many alternatives, and no judge tells more apart."""


Finite = Annotated[float, Field(allow_inf_nan=False)]


class Rubric(Frozen):
    """Criteria in words, and the scale."""

    about: str = ""
    """What it rates, in a few words: the prompt begins with it."""
    lowest: Finite
    """Score of a worthless answer."""
    highest: Finite
    """Score of a flawless one."""
    step: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    """Between two neighbouring scores."""
    keep: Finite
    """The lowest score that is good enough, where nothing else is said."""
    criteria: Annotated[str, Field(min_length=1)]
    """The text below the head, shown to the judge as it stands."""

    @cached_property
    def scores(self) -> tuple[float, ...]:
        """Return every score of the scale, the lowest first."""
        count = round((self.highest - self.lowest) / self.step) + 1
        return tuple(round(self.lowest + self.step * number, 9) for number in range(count))  # 0.3, as it is written


@cache
def load(name: str, *, language: str = "en") -> Rubric:
    """Return a shipped rubric in `language`, or the one in the file `name`; read once a process, as its digest is.

    Raises:
        BadInputError: there is none, its head cannot be read, or its scale is none.
    """
    path = _find(name, language)
    return _read(path, source(name, language=language))


@cache
def source(name: str, *, language: str = "en") -> str:
    """Return the text of a rubric's file: part of the fingerprint of a judge that uses it.

    Raises:
        BadInputError: there is none, or it is no text.
    """
    path = _find(name, language)
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read rubric {path}: {error}"
        raise BadInputError(msg, remedy="a rubric is a Markdown file in UTF-8") from None


def names(language: str = "en") -> list[str]:
    """Return the names of the shipped rubrics in a language."""
    return sorted(path.stem for path in (FOLDER / language).glob("*.md"))


def _find(name: str, language: str) -> Path:
    if name in names(language):
        return FOLDER / language / f"{name}.md"
    path = Path(name)
    if not path.is_file():
        shipped = ", ".join(names(language)) or "none"
        msg = f"no rubric {name!r} for language {language!r}: neither a shipped name nor a file"
        raise BadInputError(msg, remedy=f"shipped: {shipped}; or give the path of a Markdown file")
    return path


def _read(path: Path, text: str) -> Rubric:
    from ruamel.yaml import YAML  # noqa: PLC0415 - wanted only when a rubric is read
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    remedy = (
        f"a rubric begins with a head as {FOLDER / 'en' / 'accuracy.md'} has it: --- lowest, highest, step, keep ---"
    )
    opening, found, rest = text.partition("---\n")
    head, closing, body = rest.partition("\n---\n")
    if opening.strip() or not found or not closing:
        msg = f"{path} line 1: no head between two lines ---, so the scale is not known"
        raise BadInputError(msg, remedy=remedy)
    try:
        values: Any = YAML(typ="safe", pure=True).load(head)
        rubric = Rubric.model_validate({**values, "criteria": body.strip()})
    except (YAMLError, TypeError) as error:
        msg = f"{path}: its head is no YAML mapping: {' '.join(str(error).split())[:200]}"
        raise BadInputError(msg, remedy=remedy) from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        lines = (number for number, line in enumerate(head.splitlines(), 2) if line.startswith(f"{key}:"))
        msg = f"{path} line {next(lines, 1)}, {key}: {first['msg']}"
        raise BadInputError(msg, remedy=remedy) from None
    _check(path, rubric, remedy)
    return rubric


def _check(path: Path, rubric: Rubric, remedy: str) -> None:
    steps = (rubric.highest - rubric.lowest) / rubric.step
    problem = ""
    if not rubric.lowest < rubric.highest:
        problem = f"lowest {rubric.lowest:g} is not below highest {rubric.highest:g}"
    elif steps < 1 or abs(steps - round(steps)) > 1e-9 or steps >= MOST_SCORES:  # noqa: PLR2004 - rounding of 0.1
        problem = (
            f"step {rubric.step:g} does not lead from {rubric.lowest:g} to {rubric.highest:g} in {MOST_SCORES} scores"
        )
    elif not rubric.lowest <= rubric.keep <= rubric.highest:
        problem = f"keep {rubric.keep:g} is outside of the scale, {rubric.lowest:g} to {rubric.highest:g}"
    if problem:
        msg = f"{path}: {problem}"
        raise BadInputError(msg, remedy=remedy)
