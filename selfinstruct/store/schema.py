"""The tables of a run, the rows that go into them, and how bodies are packed. Knows no connection.

Paths order a run: `<request>.<index>.<index>...`, zero-padded, so that text order is admission order.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from selfinstruct.errors import DamageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FORMAT = 4
"""Version of the tables below and of what their records hold. 3: judges by rubric; 4: leases."""

Text = sa.String().with_variant(sa.Text(collation="C"), "postgresql")
"""Ordered by bytes everywhere: text order is admission order."""

metadata = sa.MetaData()
meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", Text, primary_key=True),
    sa.Column("value", Text, nullable=False),
    sa.Column("digest", Text, nullable=False),
)
calls = sa.Table(
    "calls",
    metadata,
    sa.Column("id", Text, primary_key=True),
    sa.Column("work", Text, nullable=False),
    sa.Column("stage", Text, nullable=False),
    sa.Column("request", sa.Integer, nullable=False),
    sa.Column("prompt", Text, nullable=False),
    sa.Column("prompt_tokens", sa.Integer, nullable=False),
    sa.Column("completion_tokens", sa.Integer, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("digest", Text, nullable=False),
    sa.Index("calls_by_request", "request"),
)
work = sa.Table(
    "work",
    metadata,
    sa.Column("id", Text, primary_key=True),
    sa.Column("stage", Text, nullable=False),
    sa.Column("request", sa.Integer, nullable=False),
    sa.Column("path", Text, nullable=False),
    sa.Column("parent", Text, nullable=False),
    sa.Column("made", sa.Integer, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("error", Text, nullable=True),
    sa.Column("digest", Text, nullable=False),
    sa.Index("work_by_stage", "stage", "path"),
    sa.Index("work_by_request", "request"),
)
records = sa.Table(
    "records",
    metadata,
    sa.Column("id", Text, primary_key=True),
    sa.Column("work", Text, nullable=False),
    sa.Column("stage", Text, nullable=False),
    sa.Column("request", sa.Integer, nullable=False),
    sa.Column("path", Text, nullable=False),
    sa.Column("parent", Text, nullable=False),
    sa.Column("fate", Text, nullable=False),
    sa.Column("rule", Text, nullable=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("digest", Text, nullable=False),
    sa.Index("records_by_stage", "stage", "fate", "path"),
    sa.Index("records_by_request", "request"),
)
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("request", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("owner", Text, nullable=False),
    sa.Column("until", sa.Double, nullable=False),
)
"""Who works on a request, and until when (seconds since 1970, by the database's clock). Passing: no digest, nobody's record."""
workers = sa.Table(
    "workers",
    metadata,
    sa.Column("owner", Text, primary_key=True),
    sa.Column("told", Text, nullable=False),
    sa.Column("until", sa.Double, nullable=False),
)
"""Who takes leases, and what each last told of itself (JSON). Passing like them."""


class CallRow(NamedTuple):
    """One answered call: what must never be asked again. `body` is the reply as JSON text."""

    id: str
    work: str
    stage: str
    request: int
    prompt: str
    prompt_tokens: int
    completion_tokens: int
    body: str


class WorkRow(NamedTuple):
    """One input of one stage, done (error is None, `made` records) or failed."""

    id: str
    stage: str
    request: int
    path: str
    parent: str
    made: int
    tries: int
    error: str | None


class RecordRow(NamedTuple):
    """One row with its fate. `body` is JSON: {"record": ..., "drop": ...}."""

    id: str
    work: str
    stage: str
    request: int
    path: str
    parent: str
    fate: str
    rule: str | None
    body: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished piece of work with all that it made; written in one transaction."""

    work: WorkRow
    records: tuple[RecordRow, ...]


def pack(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as it is stored: its body compressed, and the digest (16 hex digits) by which damage is found."""
    stored = dict(row)
    for column in _FREE_TEXT & stored.keys():
        stored[column] = _storable(stored[column])
    if "body" in stored:
        stored["body"] = zlib.compress(row["body"].encode(), 1)
    return {**stored, "digest": seal(stored)}


_FREE_TEXT = frozenset({"error", "rule", "value"})
"""Columns of text that others wrote; bodies are bytes."""


def _storable(text: str | None) -> str | None:
    """Return text as every database takes it: no NUL, no half of a character."""
    if text is None or (text.isascii() and "\x00" not in text):
        return text
    return text.encode(errors="backslashreplace").decode().replace("\x00", "\\x00")


_BESIDE = frozenset({"body", "digest"})
_dumps = json.JSONEncoder().encode
"""What `json.dumps` does, without asking for its options 52,000 times."""


def seal(stored: Mapping[str, Any]) -> str:
    """Return the digest of a stored row: of every column but the digest itself."""
    digest = blake2b(stored.get("body", b""), digest_size=8)
    values = [stored[key] for key in sorted(stored) if key not in _BESIDE]
    digest.update(_dumps(values).encode())
    return digest.hexdigest()


def unpack(stored: Mapping[str, Any], *, place: Callable[[], str]) -> dict[str, Any]:
    """Return a row as it was written, its body decoded from JSON. `place` is asked only where there is damage to tell of.

    Raises:
        DamageError: the bytes are not those that were written.
    """
    row = dict(stored)
    if seal(row) != row.pop("digest"):
        msg = f"{place()}: stored bytes do not match their digest"
        raise DamageError(msg, remedy="restore the run folder from a copy; nothing of it was exported")
    if "body" in row:
        row["body"] = json.loads(zlib.decompress(row["body"]).decode())
    return row


def request_path(number: int) -> str:
    """Path of request `number`; eight digits keep text order equal to number order."""
    return f"{number:08d}"


def child_path(path: str, index: int) -> str:
    """Path of the `index`-th record made at `path`."""
    return f"{path}.{index:04d}"
