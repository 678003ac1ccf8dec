"""Rows of a version in a format, line by line while they are sent. Knows no HTTP."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

from selfinstruct import kinds
from selfinstruct.catalogue.verify import insist
from selfinstruct.download.plan import MADE_OF
from selfinstruct.download.rows import read
from selfinstruct.export import formats
from selfinstruct.recipe import EXPORTERS
from selfinstruct.records import Dropped, PreferencePair
from selfinstruct.stage import Exporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selfinstruct.catalogue.place import Published

AT_ONCE = 200
"""Lines that are sent together."""
SUFFIX = ".jsonl"


@cache
def sendable() -> dict[str, Exporter]:
    """Return format -> exporter, of all that a version holds the rows of."""
    found: dict[str, type[Exporter]] = {
        name: kinds.resolve(name.replace("-", "_"), Exporter, folders=EXPORTERS) for name in formats()
    }
    return {name: one(kind=name.replace("-", "_")) for name, one in found.items() if one.reads in MADE_OF.values()}


def view_of(exporter: Exporter) -> str:
    """Return the view that a format is made of."""
    return "preference" if exporter.reads is PreferencePair else "sft"


def lines(published: Published, folder: Path, form: str) -> Iterator[bytes]:
    """Return the lines that `selfinstruct download --format` writes, some at once; all shards are checked before the first.

    Raises:
        DamageError: a shard is not what was published.
    """
    exporter = sendable()[form]
    shards = published.manifest.shards(view_of(exporter))
    for name in shards:
        insist(published, name)
    return _lines(exporter, [(name, folder / name) for name in shards], scripted=published.manifest.trial)


def _lines(exporter: Exporter, shards: list[tuple[str, Path]], *, scripted: bool) -> Iterator[bytes]:
    left_out: Counter[str] = Counter()
    records = read(shards, view_of(exporter), scripted=scripted, least=None, left_out=left_out, came=lambda _: None)
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
    waiting: list[str] = []
    rows: Iterator[dict[str, Any] | Dropped] = exporter.rows(iter(records))
    for row in rows:
        if not isinstance(row, Dropped):
            waiting.append(encode(row))
        if len(waiting) >= AT_ONCE:
            yield ("\n".join(waiting) + "\n").encode()
            waiting.clear()
    if waiting:
        yield ("\n".join(waiting) + "\n").encode()
