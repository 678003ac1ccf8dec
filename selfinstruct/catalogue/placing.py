"""Brings a version to its place in a catalogue: whole or invisible. Knows no run.

In a folder: written beside it, synced, renamed; one publisher at a time, and the kernel frees the lock of one that was killed.
At a URL: uploaded, the manifest last; publishers on one machine wait for each other. Not promised: two machines that upload
the same version at the same moment. The second is refused where the file system has an exclusive create, but may have
overwritten shards of the first by then (`datasets verify` names them). Let one machine publish a dataset.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from selfinstruct.catalogue.version import FORMAT, MANIFEST, Version
from selfinstruct.errors import BadInputError, DamageError, NoRoomError
from selfinstruct.files import publish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.catalogue.place import Catalogue
    from selfinstruct.catalogue.version import Ref

HEAD = "catalogue.json"
log = logging.getLogger(__name__)


@contextmanager
def writing(catalogue: Catalogue, *, trial: bool) -> Iterator[None]:
    """Own the catalogue for writing, made when it is absent; waits for another publisher on this machine.

    Raises:
        NoRoomError: it cannot be written.
    """
    root = Path(catalogue.root)
    name = hashlib.sha256(f"{catalogue.files.protocol} {catalogue.root}".encode()).hexdigest()[:16]
    place = (
        root / ".lock"
        if catalogue.is_local
        else Path(tempfile.gettempdir()) / f"selfinstruct-{os.getuid()}-{name}.lock"
    )
    with _told(catalogue):
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = place.open("a", encoding="utf-8")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("%s: another process publishes; waiting for it", catalogue.root)
            fcntl.flock(lock, fcntl.LOCK_EX)
        with _told(catalogue):
            if not catalogue.files.exists(f"{catalogue.root}/{HEAD}"):
                head = json.dumps({"format": FORMAT, "trial": trial}) + "\n"
                if catalogue.is_local:
                    with publish(root / HEAD) as half:
                        half.write_text(head, encoding="utf-8")
                else:
                    catalogue.files.pipe_file(f"{catalogue.root}/{HEAD}", head.encode())
        yield


@contextmanager
def placed(catalogue: Catalogue, wanted: Ref) -> Iterator[Path]:
    """Yield a folder for a version that is not there yet; when the body is through, all of it is in the catalogue.

    Files that the manifest names and that are not in the folder are those of its base.

    Raises:
        NoRoomError: no room; nothing is visible. DamageError: something else has the name.
    """
    root = f"{catalogue.root}/{wanted.name}/{wanted.version}"
    if not catalogue.is_local:
        with _told(catalogue), tempfile.TemporaryDirectory(prefix="selfinstruct-") as temporary:
            yield Path(temporary) / "version"
            _upload(catalogue, root, Path(temporary) / "version")
        return
    if Path(root).exists():
        msg = f"{root} is there, and is no version (it has no {MANIFEST})"
        raise DamageError(msg, remedy="look what it is, and move it away")
    with publish(Path(root)) as folder:
        yield folder
        for file in folder.rglob("*"):
            if file.is_file() and file.stat().st_nlink == 1:  # the others are those of an earlier version
                file.chmod(0o444)


def _upload(catalogue: Catalogue, root: str, folder: Path) -> None:
    files = catalogue.files
    manifest = Version.model_validate_json((folder / MANIFEST).read_bytes())
    files.makedirs(root, exist_ok=True)
    for name in manifest.files:
        files.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
        if (folder / name).exists():
            files.put_file(str(folder / name), f"{root}/{name}")
        else:
            files.cp_file(f"{catalogue.root}/{manifest.name}/{manifest.base}/{name}", f"{root}/{name}")
    files.invalidate_cache()
    for stray in files.find(root):  # of an upload that was killed
        name = str(stray).rpartition(f"{root}/")[2]
        if name not in manifest.files and name != MANIFEST:
            files.rm_file(stray)
    place, data = f"{root}/{MANIFEST}", (folder / MANIFEST).read_bytes()
    taken = bool(files.exists(place))
    try:
        if not taken:
            files.pipe_file(place, data, mode="create")
    except FileExistsError:
        taken = True
    except (NotImplementedError, TypeError, ValueError):  # no exclusive create there
        files.pipe_file(place, data)
    if taken:
        msg = f"{manifest.ref} was published by somebody else meanwhile"
        raise BadInputError(msg, remedy=f"selfinstruct datasets verify {manifest.ref}; then the same command again")


@contextmanager
def _told(catalogue: Catalogue) -> Iterator[None]:
    """Tell what a file system refuses as the user's matter."""
    try:
        yield
    except OSError as error:
        msg = f"cannot write to {catalogue.root}: {error.strerror or error}"
        raise NoRoomError(msg, remedy="make room or give another --catalogue, then the same command again") from error
