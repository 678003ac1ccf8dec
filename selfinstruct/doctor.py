"""Looks at the machine and at a server before anything is spent. Every finding says what mends it."""

from __future__ import annotations

import asyncio
import platform
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from selfinstruct import __version__, seeds
from selfinstruct import recipe as recipes
from selfinstruct.engines.probe import Finding, probe
from selfinstruct.errors import SelfInstructError

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAST_ROOM = 1 << 30
"""Bytes: 100,000 rows of a run take some 80 MB (16 KB pages, zlib-1 bodies); exports and WAL come on top."""


def examine(*, base_url: str | None, model: str | None) -> Iterator[Finding]:
    """Yield what was found: Python, room, SQLite, seeds, recipes, and the server when one is named."""
    yield Finding(good=True, text=f"selfinstruct {__version__}, Python {platform.python_version()} on {sys.platform}")
    free = shutil.disk_usage(Path()).free
    yield Finding(
        good=free >= LEAST_ROOM,
        text=f"{free / (1 << 30):.1f} GiB free here",
        remedy="" if free >= LEAST_ROOM else "make room, or give runs another place with -o",
    )
    yield Finding(good=True, text=f"SQLite {sqlite3.sqlite_version}")
    yield from _loads()
    if base_url is not None:
        yield from asyncio.run(_server(base_url, model))
    else:
        yield Finding(good=True, text="no server looked at", remedy="selfinstruct doctor --base-url URL")


def _loads() -> Iterator[Finding]:
    try:
        tasks, _ = seeds.load(seeds.shipped())
        yield Finding(good=True, text=f"{len(tasks)} seed tasks shipped")
        for name in recipes.names():
            recipes.load(name, environment={})
        yield Finding(good=True, text=f"recipes: {', '.join(recipes.names())}")
    except SelfInstructError as error:
        yield Finding(good=False, text=str(error), remedy=error.remedy)


async def _server(base_url: str, model: str | None) -> list[Finding]:
    from selfinstruct.engines.http import HttpEngine  # noqa: PLC0415 - aiohttp, wanted only with a server

    try:
        async with HttpEngine(base_url=base_url, model=model) as engine:
            return await probe(engine)
    except ValidationError as error:
        return [Finding(good=False, text=f"--base-url {error.errors()[0]['msg']}", remedy="http://HOST:PORT/v1")]
    except SelfInstructError as error:
        return [Finding(good=False, text=str(error), remedy=error.remedy)]
