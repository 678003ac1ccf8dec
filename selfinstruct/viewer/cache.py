"""Where the indexes of published versions lie between two views: one file for each set of shards. Knows no page."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from selfinstruct.viewer.index import FORMAT

if TYPE_CHECKING:
    from selfinstruct.catalogue.version import Version

KEPT = 12
"""Indexes that are kept, those looked at last."""
SUFFIX = ".sqlite"


def folder() -> Path | None:
    """Return the cache folder, made where it is not there; None where none can be made, or nobody has a home."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    try:
        place = (Path(home) if home else Path.home() / ".cache") / "selfinstruct" / "indexes"
        place.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # the latter of Path.home(), where there is neither $HOME nor a user of that number
        return None
    return place if os.access(place, os.W_OK) else None


def place_of(version: Version, where: Path) -> Path:
    """Return the file of a version's index: named by the bytes of its shards, so that it can never be another's."""
    digests = [f"{name} {file.sha256}" for name, file in sorted(version.files.items()) if name.startswith("data/")]
    key = hashlib.sha256("\n".join((str(FORMAT), *digests)).encode()).hexdigest()[:32]
    return where / f"{key}{SUFFIX}"


def used(path: Path) -> None:
    """Mark an index as looked at, and remove those that nobody has looked at for longest."""
    with suppress(OSError):
        path.touch()
        for old in sorted(path.parent.glob(f"*{SUFFIX}"), key=lambda one: one.stat().st_mtime)[:-KEPT]:
            old.unlink()
