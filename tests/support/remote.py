"""A catalogue that is reached by URL (`faraway:///folder`) and lies in a folder: real bytes, real kills, no network."""

from __future__ import annotations

import os
import signal
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

DIES_AT = "FARAWAY_DIES_AT"
"""Environment variable: kill -9 of the process when it is about to upload its so manyth file."""


class Faraway(LocalFileSystem):  # type: ignore[misc] # fsspec ships no types
    protocol = "faraway"
    cachable = False
    uploads = 0

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return LocalFileSystem._strip_protocol(str(path).removeprefix("faraway://"))

    def put_file(self, lpath: str, rpath: str, **options: Any) -> None:
        Faraway.uploads += 1
        if Faraway.uploads == int(os.environ.get(DIES_AT, "0")):
            os.kill(os.getpid(), signal.SIGKILL)
        super().put_file(lpath, rpath, **options)


fsspec.register_implementation("faraway", Faraway, clobber=True)

if __name__ == "__main__":
    from selfinstruct.cli import main

    main()
