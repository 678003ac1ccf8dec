"""Loads and strictly renders the prompt files beside this module. Model text enters only as a variable, once.

No prompt text lives in Python; no file here knows a stage.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from selfinstruct.errors import BadInputError

FOLDER = Path(__file__).parent


@cache
def _environment(language: str) -> Environment:
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(FOLDER / language),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,  # their digests are in the fingerprints; a look at the disk for each call is a tenth of our time
    )
    environment.filters["compact"] = _compact
    return environment


def _compact(value: Any, keys: list[str] | None = None) -> str:  # noqa: ANN401 - JSON is of any shape
    """Return compact JSON in readable characters; objects in a list show `keys` in that order."""
    rows = [{key: row[key] for key in keys} for row in value] if keys else value
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))


def render(name: str, *, language: str = "en", **values: object) -> str:
    """Render `prompts/<language>/<name>.md`. A variable the file names and the caller lacks is an error."""
    return _template(name, language).render(values)


@cache
def _template(name: str, language: str) -> Template:
    found = _environment(language).get_template(f"{name}.md")
    found.globals = dict(
        found.globals
    )  # a ChainMap, which is gone through key by key for each text: two thirds of its time
    return found


@cache
def source(name: str, *, language: str = "en") -> str:
    """Return the text of a prompt file: part of the fingerprint of the stage that uses it.

    Raises:
        BadInputError: there is no such file; names those that exist.
    """
    path = FOLDER / language / f"{name}.md"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in (FOLDER / language).glob("*.md"))) or "none"
        msg = f"no prompt {name!r} for language {language!r}"
        raise BadInputError(msg, remedy=f"prompts there: {known}")
    return path.read_text(encoding="utf-8")


@cache
def demonstrations(name: str, *, language: str = "en") -> tuple[dict[str, Any], ...]:
    """Return the demonstrations of `prompts/<language>/demonstrations/<name>.jsonl`, in file order."""
    path = FOLDER / language / "demonstrations" / f"{name}.jsonl"
    return tuple(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
