"""A catalogue, to read: a local folder or any fsspec URL. Knows no run, and writes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from selfinstruct.catalogue.version import FORMAT, MANIFEST, NAME, Ref, Version, read_manifest, ref
from selfinstruct.errors import LATER, BadInputError, DamageError, UnreachableError
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BATCH = 2000
"""Rows that are read at once."""
DEFAULT, VARIABLE = "catalogue", "SELFINSTRUCT_CATALOGUE"
"""Where a catalogue is looked for when nobody says where: what the variable names, else this folder."""
MEND = "restore the version from a copy, or remove its folder"
"""What helps where a manifest is none, or another's."""


def default() -> str:
    """Return the path or URL of the catalogue that is meant when none is named."""
    return os.environ.get(VARIABLE) or DEFAULT


class Published:
    """One version that exists."""

    def __init__(self, catalogue: Catalogue, manifest: Version) -> None:
        """Use `Catalogue.version` instead."""
        self.catalogue, self.manifest = catalogue, manifest
        self.root = f"{catalogue.root}/{manifest.name}/{manifest.version}"

    @property
    def where(self) -> str:
        """Its path, or a URL that opens it."""
        return f"{self.catalogue.where}/{self.manifest.name}/{self.manifest.version}"

    @property
    def folder(self) -> Path | None:
        """Where it lies on this machine; None for a URL."""
        return Path(self.root) if self.catalogue.is_local else None

    def open(self, file: str) -> IO[bytes]:
        """Open a file that the manifest names, or the manifest.

        Raises:
            BadInputError: the manifest does not name it. DamageError: a link leads out of the catalogue.
        """
        opened: IO[bytes] = self.catalogue.files.open(self.place(file), "rb")
        return opened

    def place(self, file: str) -> str:
        """Return where a file that the manifest names lies, or the manifest. Raises as `open` does."""
        if file != MANIFEST and file not in self.manifest.files:
            msg = f"{self.manifest.ref} has no file {printable(file, longest=80)!r}"
            raise BadInputError(msg, remedy=f"selfinstruct datasets info {self.manifest.ref}")
        place = f"{self.root}/{file}"
        if self.catalogue.is_local and not Path(place).resolve().is_relative_to(Path(self.catalogue.root).resolve()):
            msg = f"{place}: a link that leads out of the catalogue"  # who made it may be after a file of ours
            raise DamageError(msg, remedy="remove the version, or restore it from a copy")
        return place

    def text(self, file: str) -> str:
        """Return a file as text."""
        with self.open(file) as opened:
            return opened.read().decode("utf-8")

    def check(self, file: str) -> None:
        """Compare the bytes of a file with the manifest.

        Raises:
            DamageError: they are others, or cannot be read.
        """
        try:
            with self.open(file) as opened:
                found = hashlib.file_digest(opened, "sha256").hexdigest()  # type: ignore[arg-type] # fsspec's are readable
        except OSError:
            found = ""
        if found != self.manifest.files[file].sha256:
            raise self.damaged(file)

    def damaged(self, file: str) -> DamageError:
        """Return what is to be raised where a file is another than the manifest names."""
        msg = f"{self.root}/{file}: not what the manifest of {self.manifest.ref} names"
        return DamageError(msg, remedy=f"selfinstruct datasets verify {self.manifest.ref}")

    def rows(self, view: str, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the rows of a view, oldest first; of `columns` only where they are given.

        Raises:
            DamageError: a shard is missing, or no Parquet file any more.
        """
        import pyarrow as pa  # noqa: PLC0415 - 188 ms, wanted only here
        import pyarrow.parquet as pq  # noqa: PLC0415

        for shard in self.manifest.shards(view):
            try:
                with self.open(shard) as opened:
                    for batch in pq.ParquetFile(opened).iter_batches(BATCH, columns=columns):
                        yield from batch.to_pylist()
            except (pa.ArrowException, OSError, ValueError) as error:
                msg = f"{self.root}/{shard}: cannot be read ({' '.join(str(error).split())[:120]})"
                raise DamageError(msg, remedy=f"selfinstruct datasets verify {self.manifest.ref}") from None


class Catalogue:
    """Where versions lie."""

    def __init__(self, url: str) -> None:
        """Open the catalogue at `url`: a local path, or what fsspec understands; it may be empty or absent.

        Raises:
            BadInputError: a protocol that is not installed, no folder, or a catalogue of a newer format.
            UnreachableError: the server does not answer, or the folder cannot be read.
        """
        import fsspec  # noqa: PLC0415 - wanted only here

        self.url = url
        try:
            with self._reached():
                self.files, root = fsspec.core.url_to_fs(url)
        except (
            ImportError,
            ValueError,
            TypeError,
            FileNotFoundError,
        ) as error:  # TypeError: a part of the URL is missing
            msg = f"catalogue {printable(url, longest=200)}: {error}"
            raise BadInputError(msg, remedy="a folder, or install the fsspec driver of that protocol") from None
        self.root = str(root).rstrip("/")
        self.is_local = "file" in (
            (self.files.protocol,) if isinstance(self.files.protocol, str) else self.files.protocol
        )
        if self.is_local and Path(self.root).is_file():
            msg = f"catalogue {self.root}: a file, and no folder"
            raise BadInputError(msg, remedy="give the folder in which datasets lie, or are to lie: --catalogue DIR")
        with self._reached():
            self._check()

    @property
    def where(self) -> str:
        """Its path, or a URL that opens it again."""
        return self.root if self.is_local else str(self.files.unstrip_protocol(self.root))

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Say what it means when a file system cannot be asked."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            msg = (
                f"catalogue {printable(self.url, longest=200)}: {printable(error.strerror or str(error), longest=200)}"
            )
            raise UnreachableError(msg, remedy="the same command once it can be read; or another --catalogue") from None

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What `catalogue.json` says; empty where there is no catalogue yet."""
        path = f"{self.root}/catalogue.json"
        if not self.files.exists(path):
            return {}
        try:
            facts = json.loads(self.files.cat_file(path))
        except ValueError:
            facts = None
        if not isinstance(facts, dict) or not isinstance(facts.get("format"), int):
            msg = f"{path}: not the head of a catalogue"
            raise DamageError(msg, remedy="restore it, or give another --catalogue")
        return facts

    @property
    def trial(self) -> bool:
        """Whether it is for trying out: only there may rows of the scripted engine lie."""
        return bool(self.facts.get("trial", False))

    def _check(self) -> None:
        if self.facts.get("format", FORMAT) > FORMAT:
            msg = f"{self.root} is a catalogue of format {self.facts['format']}, this version reads up to {FORMAT}"
            raise BadInputError(msg, remedy=LATER)
        if "datasets" in self.facts:  # of `view --serve`, which has no folders to look through
            msg = f"{self.root} is served: it is shown and downloaded from, and cannot be read as a folder"
            raise BadInputError(
                msg, remedy=f"open it in a browser; or selfinstruct download NAME --from {self.root} -o DIR"
            )

    def names(self) -> list[str]:
        """Return the names of all datasets that have a version."""
        # A folder that is nobody's may lie there, too: lost+found, for instance.
        return [name for name in self._entries("") if re.fullmatch(NAME, name, re.ASCII) and self.versions(name)]

    def versions(self, name: str) -> list[int]:
        """Return the versions of a dataset, the oldest first. One that is still being written is not among them."""
        ref(name)
        found = [entry for entry in self._entries(name) if entry.isascii() and entry.isdecimal() and entry[0] != "0"]
        return sorted(int(entry) for entry in found if self.files.exists(f"{self.root}/{name}/{entry}/{MANIFEST}"))

    def version(self, wanted: Ref) -> Published:
        """Return a version, the latest where none is named.

        Raises:
            BadInputError: there is none, or it is of a newer format. DamageError: its manifest cannot be read, or is another's.
        """
        known = self.versions(wanted.name)
        number = wanted.version or max(known, default=0)
        if number not in known:
            there = (
                f"there are: {', '.join(str(Ref(wanted.name, one)) for one in known)}"
                if known
                else self._what_is_there()
            )
            msg = f"no {wanted} in {self.root}"
            raise BadInputError(msg, remedy=there)
        path = f"{self.root}/{wanted.name}/{number}/{MANIFEST}"
        text = b""
        with suppress(FileNotFoundError), self._reached():  # removed since it was seen
            text = self.files.cat_file(path)
        manifest = read_manifest(text, path, remedy=MEND)
        if (manifest.name, manifest.version) != (wanted.name, number):
            msg = f"{path}: the manifest is that of {manifest.ref}"
            raise DamageError(msg, remedy=MEND)
        return Published(self, manifest)

    def _what_is_there(self) -> str:
        """Return what helps whoever asked for a dataset that is not there."""
        if not self.names():
            return "nothing is published there: selfinstruct publish RUN NAME; or another catalogue"
        elsewhere = f" --catalogue {shlex.quote(self.url)}" * (self.url != default())
        return f"selfinstruct datasets list{elsewhere}"

    def _entries(self, folder: str) -> list[str]:
        path = f"{self.root}/{folder}".rstrip("/")
        with self._reached():
            if not self.files.isdir(path):
                return []
            self.files.invalidate_cache()
            entries = self.files.ls(path, detail=True)
        found = (str(entry["name"]).rstrip("/").rpartition("/")[2] for entry in entries if entry["type"] == "directory")
        return sorted(name for name in found if not name.startswith("."))
