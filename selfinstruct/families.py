"""Which family a model is of, read off its name: a judge likes what its own kind wrote. Knows no model, only names."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE = Path(__file__).with_name("families.json")
"""Family -> the words by which a name tells it. Own knowledge of model names; a mapping of the user goes before it."""


def family(name: str, *, families: Mapping[str, str] | None = None) -> str:
    """Return the family of the model `name`, in lower case; empty for a model without a name.

    `families` (model name -> family) goes before the table, in which the longest word that the name holds decides: a
    fine-tune carries the name of its base, a distilled model also that of its teacher. A name that holds none is the family
    of its organisation (before the slash), or one of its own.
    """
    for model, told in (families or {}).items():
        if model.lower() == name.lower():
            return told.lower()
    return _by_table(name.lower())


def same_family(one: str, other: str, *, families: Mapping[str, str] | None = None) -> bool:
    """Return whether two models are of one family; a model without a name is of none."""
    return bool(one and other) and family(one, families=families) == family(other, families=families)


@lru_cache(maxsize=1024)
def _by_table(name: str) -> str:
    is_path = name.startswith(("/", ".", "~"))
    parts = [part for part in name.split("/") if part]
    if not parts:
        return ""
    for told in (parts[-1], name):  # a model's own name says more than its organisation's
        plain = re.sub(r"[^0-9a-z]+", "-", told)
        for pattern, found in _patterns():
            if pattern.search(plain):
                return found
    return parts[-1] if is_path else parts[0]


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Return what to look for, the longest first: whole words, for `phi` is in dolphins too; a version may follow."""
    table: dict[str, list[str]] = json.loads(TABLE.read_text(encoding="utf-8"))
    words = [(word, found) for found, words in table.items() for word in words]
    return [
        (re.compile(rf"(?<![a-z]){re.escape(word)}(?![a-z]{'|[0-9]' if word[-1].isdigit() else ''})"), found)
        for word, found in sorted(words, key=lambda one: -len(one[0]))
    ]
