"""The words that rules look for, from wording.json: English and Korean, written here. Knows no rule."""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any


@cache
def wording() -> dict[str, Any]:
    """Return the file."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("wording.json").read_text(encoding="utf-8"))
    return found


@cache
def pattern(name: str) -> re.Pattern[str]:
    """Return what is listed under `name`, of all languages, as one pattern."""
    listed = wording()[name]
    parts = [listed] if isinstance(listed, str) else [part for one in listed.values() for part in one]
    return re.compile("|".join(parts), re.IGNORECASE)


@cache
def placeholders(field: str) -> frozenset[str]:
    """Return the fillers of a field, in lower case."""
    listed = wording()["placeholders"]
    return frozenset([*listed["any"], *listed.get(field, ())])


@cache
def open_words() -> frozenset[str]:
    """Return words that no sentence ends with."""
    return frozenset(word for listed in wording()["open_words"].values() for word in listed)


@cache
def labels() -> dict[str, tuple[str, str]]:
    """Return, for each way of writing a label that is in one set only, (its set, the label)."""
    found: dict[str, tuple[str, str]] = {}
    for one in wording()["labels"]:
        name = "/".join(one)
        for label, ways in one.items():
            for way in ways:
                found.setdefault(way, (name, label))
    return found


def plain(text: str) -> str:
    """Return `text` as it is compared: NFKC, case and runs of blanks do not count."""
    return " ".join((text if text.isascii() else unicodedata.normalize("NFKC", text)).casefold().split())
