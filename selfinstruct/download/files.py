"""A version in a folder, at any fsspec URL, or in a repository of the Hub, which fsspec reads as well."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.version import MANIFEST, Ref, Version
from selfinstruct.download.source import Stream, manifest_of, patiently, whole
from selfinstruct.errors import BadInputError, DamageError, UnreachableError
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 1 << 20


def of_catalogue(url: str, wanted: Ref) -> Files:
    """Return the version `wanted` of the catalogue at `url`; see `open_source`."""
    try:
        catalogue = Catalogue(url)
        found = catalogue.version(wanted)
    except OSError as error:
        msg = f"catalogue {printable(url, longest=200)}: {error.strerror or error}"
        raise UnreachableError(msg, remedy="the same command once it can be read") from None
    return Files(catalogue.files, found.root, found.manifest)


class Files:
    """A version whose files an fsspec file system opens."""

    def __init__(self, system: Any, root: str, manifest: Version) -> None:  # noqa: ANN401 - fsspec ships no types
        """Read from the folder `root` of `system`."""
        self._system = system
        self.where, self.manifest = root, manifest

    def open(self, file: str, start: int) -> Stream:
        """Open `file` at `start`; see `Source`."""
        path = f"{self.where}/{file}"
        with self._told(path):
            opened = self._system.open(path, "rb")
            size = opened.seek(0, 2)
            opened.seek(start)
        return Stream(start, size, self._blocks(path, opened), opened.close)

    def _blocks(self, path: str, opened: Any) -> Iterator[bytes]:  # noqa: ANN401 - fsspec ships no types
        with self._told(path):
            while block := opened.read(BLOCK):
                yield block

    @contextmanager
    def _told(self, path: str) -> Iterator[None]:
        """Say what an error of the file system means."""
        try:
            yield
        except FileNotFoundError:
            msg = f"{path}: missing, although the manifest names it"
            raise DamageError(msg, remedy="restore the version from a copy, or take it from another place") from None
        except OSError as error:
            msg = f"{path}: {error.strerror or error}"
            raise UnreachableError(msg, remedy="the same command goes on from there") from None


class Hub(Files):
    """A version in a dataset repository, where it is the whole repository at a tag."""

    def __init__(self, url: str, wanted: Ref) -> None:
        """Read the manifest of hf://USER/NAME[@REVISION]; without a revision the tag of the version, or `main`."""
        from huggingface_hub import HfFileSystem  # noqa: PLC0415 - half a second

        found = re.fullmatch(r"hf://(?:datasets/)?([\w.-]+/[\w.-]+)(?:@([\w./-]+))?/?", url, re.ASCII)
        if found is None:
            msg = f"{url} is no repository"
            raise BadInputError(msg, remedy="hf://USER/NAME, or hf://USER/NAME@v3")
        revision = found[2] or (f"v{wanted.version}" if wanted.version else "main")
        root = f"datasets/{found[1]}@{revision.replace('/', '%2F')}"
        self._system, self.where = HfFileSystem(skip_instance_cache=True), root
        try:
            text = patiently(lambda: whole(self.open))
        except DamageError:
            msg = f"hf://{root.removeprefix('datasets/')} holds no published version: there is no {MANIFEST}"
            raise BadInputError(
                msg, remedy="is the name right? A private one wants `hf auth login`, or HF_TOKEN"
            ) from None
        super().__init__(self._system, root, manifest_of(wanted, text, f"hf://{root}/{MANIFEST}"))

    @contextmanager
    def _told(self, path: str) -> Iterator[None]:
        from selfinstruct.download.hub import told  # noqa: PLC0415 - half a second

        with super()._told(path), told():
            yield
