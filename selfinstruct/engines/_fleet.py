"""Several servers of one model: which one takes a call, which are left alone and when they are tried again.

Knows no prompt and no retry of a call: it is told how a try went.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from selfinstruct.errors import SelfInstructError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfinstruct.engines._server import Failure, Server

log = logging.getLogger(__name__)

WATCH_SECONDS = 1.0
"""Between two looks at metrics, and at servers that are left alone."""

FIRST_REST, LONGEST_REST = 1.0, 10.0
"""Seconds until a server that was left alone is looked at again: doubled each time that it fails once more."""

WRONG = 3
"""So many answers in a row that could not be used, while another server's could, and a server is left alone."""


class Fleet:
    """The servers of one engine."""

    def __init__(self, servers: Sequence[Server], *, model: str) -> None:
        """Take servers that all serve `model`, or are down."""
        self.servers = tuple(servers)
        self._model = model
        self._again: dict[str, float] = {}  # when a server that is down is looked at again
        self._rest: dict[str, float] = {}
        self._wrong: dict[str, int] = {}  # unusable answers in a row
        self._trial: set[str] = set()  # back, but not proven yet: one call at a time
        self._busy: dict[str, float] = {}  # until when a server asked for quiet
        self._back = asyncio.Event()  # set, and replaced, when a server comes back

    def pick(self, *, but: Server | None = None) -> Server:
        """Return the least loaded server that is up, not `but` if there is another; when all are down, any in turn."""
        return min(self.servers, key=lambda one: (*self._reluctance(one), one is but, one.in_flight))

    def _reluctance(self, server: Server) -> tuple[bool, bool, float]:
        trying = server.url in self._trial and server.in_flight > 0
        busy = self._busy.get(server.url, 0) > time.monotonic()
        return bool(server.down), busy or trying, self._again.get(server.url, 0) if server.down else 0

    def another(self, server: Server) -> bool:
        """Say whether a call that failed at `server` can go elsewhere at once."""
        return any(one is not server and not any(self._reluctance(one)[:2]) for one in self.servers)

    def good(self, server: Server) -> None:
        """Take note of a reply."""
        self._wrong[server.url] = 0
        if server.down:  # asked because all were
            self._up(server)
        self._trial.discard(server.url)
        self._rest.pop(server.url, None)

    def bad(self, server: Server, failure: Failure) -> None:
        """Take note of a failure, and leave the server alone when it is the server's."""
        if failure.overload:
            self._busy[server.url] = time.monotonic() + (failure.wait or 1.0)
        elif not failure.own or server.url in self._trial:
            self._down(server, failure.text)
        else:
            self._wrong[server.url] = self._wrong.get(server.url, 0) + 1
            if self._wrong[server.url] >= WRONG and self.another(server):
                self._down(server, f"{self._wrong[server.url]} answers in a row of no use, the last: {failure.text}")

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until a server comes back when all are away: nobody sleeps on once there is one to ask."""
        if not all(one.down for one in self.servers):
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._back.wait()

    async def watch(self) -> None:
        """Read metrics and look after servers that are down, for ever."""
        while True:
            await asyncio.gather(*(self._look(one) for one in self.servers))
            await asyncio.sleep(WATCH_SECONDS)

    async def _look(self, server: Server) -> None:
        if not server.down:
            await server.measure(seconds=4 * WATCH_SECONDS)
        elif time.monotonic() >= self._again.get(server.url, 0):
            try:
                await server.find_model(self._model)
            except SelfInstructError as error:
                self._down(server, str(error))
            else:
                self._up(server)

    def _up(self, server: Server) -> None:
        log.warning("%s is back", server.url)
        server.down = ""
        self._trial.add(server.url)
        self._back.set()
        self._back = asyncio.Event()

    def _down(self, server: Server, why: str) -> None:
        rest = min(LONGEST_REST, 2 * self._rest.get(server.url, FIRST_REST / 2))
        if server.down and time.monotonic() < self._again.get(server.url, 0):
            return  # calls that were under way there all fail: that is one piece of news
        if not server.down and len(self.servers) > 1:
            log.warning("%s is left alone: %s", server.url, why)
        self._rest[server.url] = rest
        self._again[server.url] = time.monotonic() + rest
        self._trial.discard(server.url)
        server.down = why
