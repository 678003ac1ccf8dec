"""Whether published versions are what their manifests say. Reads everything, changes nothing."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from selfinstruct.catalogue.version import ALL, MANIFEST, VIEWS, Ref, ref
from selfinstruct.errors import BadInputError, DamageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.catalogue.place import Catalogue, Published
    from selfinstruct.catalogue.version import File, Version

BLOCK = 1 << 20
"""Bytes that are read at once."""


def find(catalogue: Catalogue, wanted: str) -> list[Ref]:
    """Return the versions that are meant: NAME is all of its versions, `ALL` those of every dataset.

    Raises:
        BadInputError: there is none.
    """
    asked = None if wanted == ALL else ref(wanted)
    names = catalogue.names() if asked is None else [asked.name]
    there = [Ref(name, number) for name in names for number in catalogue.versions(name)]
    found = [one for one in there if asked is None or asked.version in {None, one.version}]
    if not found:
        msg = f"nothing is published in {catalogue.root}" if asked is None else f"no {asked} in {catalogue.root}"
        raise BadInputError(msg, remedy="selfinstruct datasets list; or another --catalogue")
    return found


def verify(catalogue: Catalogue, wanted: Ref) -> Iterator[str]:
    """Yield a line, which names the place, for everything that is not as it was published; nothing when all is sound."""
    try:
        version = catalogue.version(wanted)
    except (BadInputError, DamageError) as error:
        yield str(error)
        return
    for name, file in version.manifest.files.items():
        problem = _problem(version, name, file)
        if problem:
            yield f"{version.root}/{name}: {problem}"
    yield from _strangers(version)
    yield from _miscounts(version)


_SOUND: set[tuple[str, ...]] = set()
"""Files that this process has read and found to be what they should be: manifest's sha256, place, and its state then."""
_STATE = ("size", "mtime", "created", "LastModified", "last_modified", "ETag")
"""What fsspec's file systems tell of a file, by which a changed one is known."""


def insist(version: Published, name: str) -> None:
    """See to it that a file of a version is what the manifest says, before it is used; read once in a process while it stays.

    Raises:
        DamageError: it is not.
    """
    place = f"{version.root}/{name}"
    try:
        told = version.catalogue.files.info(place)
    except OSError:
        told = {}
    file = version.manifest.files[name]
    state = (file.sha256, str(version.catalogue.files.protocol), place, *(str(told.get(one)) for one in _STATE))
    if state in _SOUND:
        return
    if problem := _problem(version, name, file):
        msg = f"{place}: {problem}"
        raise DamageError(msg, remedy=f"selfinstruct datasets verify {version.manifest.ref}; restore it from a copy")
    _SOUND.add(state)


def _problem(version: Published, name: str, file: File) -> str:
    digest, size = hashlib.sha256(), 0
    try:
        with version.open(name) as opened:
            while block := opened.read(BLOCK):
                digest.update(block)
                size += len(block)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    except DamageError as error:
        return str(error).removeprefix(f"{version.root}/{name}: ")
    if size != file.bytes:
        return f"has {size:,} bytes, the manifest says {file.bytes:,}"
    if digest.hexdigest() != file.sha256:
        return "the bytes are not those of the manifest (sha256)"
    return _miscounted(version, name, file.rows) if name.endswith(".parquet") else ""


def _miscounted(version: Published, name: str, rows: int | None) -> str:
    import pyarrow as pa  # noqa: PLC0415 - 188 ms, wanted only here
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        with version.open(name) as opened:
            found = pq.ParquetFile(opened).metadata.num_rows
    except (pa.ArrowException, OSError, ValueError) as error:
        return f"is no Parquet file ({' '.join(str(error).split())[:80]})"
    return "" if found == rows else f"has {found:,} rows, the manifest says {rows}"


def _strangers(version: Published) -> Iterator[str]:
    """A file that nobody named could be taken for data by who loads the folder."""
    files = version.catalogue.files
    files.invalidate_cache()
    for path in sorted(str(one) for one in files.find(version.root)):
        name = path.partition(f"{version.root.lstrip('/')}/")[2]
        if name not in version.manifest.files and name != MANIFEST:
            yield f"{version.root}/{name}: the manifest does not name it"


def _miscounts(version: Published) -> Iterator[str]:
    """The manifest against itself, and against its base, whose shards must all be there: what they are not was added."""
    manifest = version.manifest
    for view in VIEWS:
        rows = sum(manifest.files[shard].rows or 0 for shard in manifest.shards(view))
        if rows != manifest.rows.get(view, 0):
            yield f"{version.root}/{MANIFEST}: {manifest.rows.get(view, 0):,} rows of {view}, its shards have {rows:,}"
    if manifest.base is None:
        if manifest.added != manifest.rows:
            yield f"{version.root}/{MANIFEST}: it stands alone, and not all of its rows are new"
        return
    with suppress(BadInputError, DamageError):  # the base was removed, or is named for itself
        before = version.catalogue.version(Ref(manifest.name, manifest.base)).manifest
        for view, rows in _added(manifest, before).items():
            if rows != manifest.added.get(view, 0):
                told = f"{manifest.added.get(view, 0):,} new rows of {view}"
                yield f"{version.root}/{MANIFEST}: {told}, {before.ref} has {rows:,} fewer"
        for name in (name for name in before.files if name.startswith("data/")):
            if manifest.files.get(name) != before.files[name]:
                yield f"{version.root}/{name}: is not the file of {before.ref}, whose rows this version holds"


def _added(manifest: Version, before: Version) -> dict[str, int]:
    return {view: manifest.rows.get(view, 0) - before.rows.get(view, 0) for view in VIEWS}
