"""How many answers may be under way at once, who gets the next free place, and how large that number should be.

Knows no call, record or clock: `Slots` counts, `Tuner` is told once a second what the servers say.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from selfinstruct.engines.base import Engine, ServerState

UNTUNED = 64
"""Places at an engine without servers: nothing there to fill."""

RESERVE = 0.25
"""Of the places, as many answers as should wait for one: what keeps the servers full while new requests are admitted."""

MOST = 4096
"""Answers under way, at most."""


class Slots:
    """Places for answers; the lowest priority number first, then first come. The size may change at any time."""

    def __init__(self, size: int) -> None:
        """Offer `size` places."""
        self.size = size
        self.used = 0
        self.waiting = 0
        """Answers that wait for a place."""
        self._asked = 0
        self._queue: list[tuple[int, int, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def take(self, places: int, *, priority: int) -> AsyncIterator[None]:
        """Hold so many places; one that wants more than there are gets them alone."""
        self._asked += 1
        self.waiting += places
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._queue, (priority, self._asked, places, future))
        self._hand_out()
        try:
            await future
        except asyncio.CancelledError:
            if future.cancelled():  # still in the queue: it is passed over there
                self.waiting -= places
                self._hand_out()
            else:
                self._give_back(places)
            raise
        try:
            yield
        finally:
            self._give_back(places)

    def resize(self, size: int) -> None:
        """Offer so many from now on; what is under way stays."""
        self.size = size
        self._hand_out()

    def _give_back(self, places: int) -> None:
        self.used -= places
        self._hand_out()

    def _hand_out(self) -> None:
        while self._queue:
            _, _, places, future = self._queue[0]
            if not future.done() and self.used and self.used + places > self.size:
                return
            heapq.heappop(self._queue)
            if not future.done():
                self.waiting -= places
                self.used += places
                future.set_result(None)


@dataclass(slots=True)
class _Seen:
    """What the last look showed."""

    refused: int = 0
    preemptions: int = 0


class Tuner:
    """Finds the number of answers that keeps the servers full with a short queue in front of them.

    Where they tell (vLLM): double while nothing queues there and all our places are taken, then hold what they run and a
    little more. Where they do not: grow while that brings more tokens a second. Less after 429, 503 or a preemption.
    """

    FIRST, FIRST_BLIND = 256, 32
    """Places at first, for servers that tell what they queue (256 is vLLM's own default on most GPUs), and others."""
    LEAST = 4
    QUEUE = 0.15
    """Share of what runs that may wait at the server: whoever ends is followed without our hearing of it."""
    MEMORY = 10
    """Looks whose most running sequences are what a server can run."""
    LESS = 0.7
    """Of the places stay after a refusal."""
    WINDOW = 8
    """Looks, at servers that tell nothing, over which one number of places is judged ..."""
    GAIN = 1.05
    """... and the factor in tokens that a larger one has to bring."""

    def __init__(self, servers: Sequence[ServerState]) -> None:
        """Look at the servers once; `size` is how many to begin with."""
        self._blind = not servers or any(one.waiting is None for one in servers)
        self.size = (self.FIRST_BLIND if self._blind else self.FIRST) * max(1, len(servers))
        self._seen = _Seen()
        self._pause = 0
        self._looks, self._tokens, self._rate = 0, 0, 0.0
        self._growing = True
        self._ran: deque[int] = deque(maxlen=self.MEMORY)
        self._take_note(servers)

    def look(self, servers: Sequence[ServerState], *, used: int, tokens: int) -> int:
        """Return how many places there should be, told once a second what is there, taken, and written so far."""
        troubled = self._take_note(servers)
        up = [one for one in servers if one.healthy]
        if self._pause:
            self._pause -= 1
        elif troubled:
            self._rest(self.LESS)
        elif any(one.waiting is None for one in up) or not up:
            self._feel(used, tokens)
        else:
            running, waiting = sum(one.running or 0 for one in up), sum(one.waiting or 0 for one in up)
            self._fit(running, waiting, used)
        self.size = min(max(self.size, self.LEAST), MOST)
        return self.size

    def _take_note(self, servers: Sequence[ServerState]) -> bool:
        """Say whether a server turned calls away or put sequences back since the last look."""
        seen = _Seen(sum(one.refused for one in servers), sum(one.preemptions or 0 for one in servers))
        troubled = seen.refused > self._seen.refused or seen.preemptions > self._seen.preemptions
        self._seen = seen
        return troubled

    def _rest(self, share: float) -> None:
        self.size = round(self.size * share)
        self._pause = 5  # what is under way has to end before the smaller number shows
        self._looks = self._tokens = 0
        self._rate = 0.0  # what a larger number brought is no measure for a smaller one
        self._growing = False
        self._ran.clear()

    def _fit(self, running: int, waiting: int, used: int) -> None:
        # A call for four holds four places until its longest answer ends: places are more than what runs, by a factor
        # that only the queue tells. So the number is moved by what is missing there or too much, never set.
        self._ran.append(running)
        most = max(self._ran)  # a server that reads long prompts runs few for a moment: that is not its size
        queue = max(2, round(most * self.QUEUE))
        if waiting > 2 * queue and used <= self.size:  # else the last step is still to show
            self.size -= waiting - queue
        elif 4 * waiting < queue and used >= 0.9 * self.size:
            missing = most - running
            self.size += self.size if self._growing else missing + queue if missing else max(4, self.size // 8)
        if waiting:
            self._growing = False

    def _feel(self, used: int, tokens: int) -> None:
        if used < 0.9 * self.size:
            self._looks, self._tokens = 0, tokens
            return
        if self._looks == 0:
            self._tokens = tokens
        self._looks += 1
        if self._looks <= self.WINDOW:
            return
        rate = (tokens - self._tokens) / self.WINDOW
        self._looks = 0
        if rate > self._rate * self.GAIN:
            self._rate, self.size = rate, round(self.size * 1.5)
        elif self._growing:
            self._growing = False
            self.size = round(self.size / 1.5)  # the last step brought nothing


@dataclass(slots=True)
class Lane:
    """An engine, its places, and who minds their number; `tuner` None keeps it as it is."""

    engine: Engine
    slots: Slots
    tuner: Tuner | None = None
    tokens: int = 0
    """Written by the engine so far."""

    @classmethod
    def open(cls, engine: Engine, size: int | None) -> Lane:
        """Return the lane of an open engine, with a fixed `size` or one that finds itself (None)."""
        servers = engine.servers()
        if size is not None or not servers:
            return cls(engine, Slots(size or UNTUNED))
        tuner = Tuner(servers)
        return cls(engine, Slots(tuner.size), tuner)

    def tune(self) -> None:
        """Look at the servers; once a second."""
        if self.tuner is not None:
            size = self.tuner.look(self.engine.servers(), used=self.slots.used, tokens=self.tokens)
            self.slots.resize(size)

    @property
    def has_room(self) -> bool:
        """Whether so few answers wait that new work should be begun: it takes a while until that fans out."""
        return self.slots.waiting < RESERVE * self.slots.size

    @property
    def is_behind(self) -> bool:
        """Whether as many answers wait as there are places: nothing new should be begun that ends up here."""
        return self.slots.waiting >= self.slots.size
