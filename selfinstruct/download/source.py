"""What the files of one version are read from. Knows no protocol, only what each of them gives."""

from __future__ import annotations

import re
import time
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from selfinstruct.catalogue.version import MANIFEST, Ref, Version, read_manifest
from selfinstruct.errors import BadInputError, DamageError, UnreachableError
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")
WAITS = (0.5, 1.0, 2.0)
"""Seconds before each further try of what could not be reached."""
MOST_MANIFEST = 64 << 20
"""Bytes of a manifest at most: 100,000 files (`plan.MOST_FILES`) take a quarter of it."""


class Stream(NamedTuple):
    """Bytes of a file that are on their way."""

    start: int
    """Place of the first of them: the one that was asked for, or 0 where the source can begin nowhere else."""
    size: int | None
    """Bytes of the whole file, where the source says it."""
    blocks: Iterator[bytes]
    close: Callable[[], object]
    """Gives back what they come through."""


class Source(Protocol):
    """One version that can be fetched from."""

    manifest: Version
    where: str
    """What a user is told."""

    def open(self, file: str, start: int) -> Stream:
        """Return the bytes of `file` from `start` on.

        Raises:
            UnreachableError: not now, here or while the blocks come; the same call may do. BadInputError, DamageError: never.
        """


def open_source(where: str, wanted: Ref) -> Source:
    """Open the version `wanted` in the catalogue at `where`: a folder, fsspec URL, http(s) URL, or a repository hf://USER/NAME.

    Raises:
        BadInputError: no such catalogue or version. DamageError: its manifest lies. UnreachableError: nobody answers.
    """
    # imported only here: each needs what the others do without
    if slip := re.match(r"(hf|https?|s3|gs|memory|file):/(?!/)", where):
        msg = f"{printable(where, longest=200)!r} is no address, and hardly a folder"
        raise BadInputError(msg, remedy=f"did you mean {slip[1]}://{printable(where[slip.end() :], longest=200)}?")
    if where.startswith(("http://", "https://")):
        from selfinstruct.download.http import Http  # noqa: PLC0415

        return Http(where, wanted)
    from selfinstruct.download.files import Hub, of_catalogue  # noqa: PLC0415

    return Hub(where, wanted) if where.startswith("hf://") else of_catalogue(where, wanted)


def patiently(attempt: Callable[[], T], waits: Sequence[float] = WAITS) -> T:
    """Return what `attempt` gives, trying again after each of `waits` seconds while it raises UnreachableError."""
    for wait in waits:
        try:
            return attempt()
        except UnreachableError:
            time.sleep(wait)
    return attempt()


def manifest_of(wanted: Ref, text: bytes, where: str) -> Version:
    """Return the manifest of `wanted`.

    Raises:
        BadInputError: of a newer format, or another version than was asked for. DamageError: it is none.
    """
    manifest = read_manifest(text, where, remedy="tell who keeps that catalogue; nothing was fetched")
    if manifest.name != wanted.name or wanted.version not in {None, manifest.version}:
        msg = f"{where} holds {manifest.ref}, not {wanted}"
        raise BadInputError(msg, remedy=f"ask for {manifest.ref}, or of another place")
    return manifest


def whole(source_open: Callable[[str, int], Stream], file: str = MANIFEST, *, most: int = MOST_MANIFEST) -> bytes:
    """Return a small file.

    Raises:
        DamageError: it has more than `most` bytes. UnreachableError: it stopped before its end.
    """
    found = bytearray()
    with closing(source_open(file, 0)) as stream:
        for block in stream.blocks:
            found += block
            if len(found) > most:
                msg = f"{printable(file, longest=80)} has more than {most:,} bytes"
                raise DamageError(msg, remedy="tell who keeps that catalogue; nothing was fetched")
    if stream.size is not None and len(found) < stream.size:  # a connection that drops ends like a file that is whole
        msg = f"{printable(file, longest=200)} stopped after {len(found):,} of {stream.size:,} bytes"
        raise UnreachableError(msg, remedy="the same command once it is well")
    return bytes(found)
