"""Places: never more than there are, first what was begun first; and a number of them that keeps a server full."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from selfinstruct.engines.base import ServerState
from selfinstruct.engines.scripted import ScriptedEngine
from selfinstruct.slots import MOST, Lane, Slots, Tuner


async def hold(slots: Slots, places: int, priority: int, order: list[int], seconds: float = 0.0) -> None:
    async with slots.take(places, priority=priority):
        assert slots.used <= max(slots.size, places)
        order.append(priority)
        await asyncio.sleep(seconds)


async def test_lowest_number_first_and_never_more_than_there_are() -> None:
    """What waits goes by its number, then by its coming; calls for several answers take several places."""
    slots, order = Slots(4), list[int]()
    first = asyncio.create_task(hold(slots, 4, 0, order, 0.01))
    await asyncio.sleep(0)
    rest = [asyncio.create_task(hold(slots, 1 + number % 3, number, order)) for number in (9, 3, 7, 1, 5)]
    await asyncio.sleep(0)
    assert (slots.used, slots.waiting) == (4, sum(1 + number % 3 for number in (9, 3, 7, 1, 5)))
    await asyncio.gather(first, *rest)
    assert order == [0, 1, 3, 5, 7, 9]
    assert (slots.used, slots.waiting) == (0, 0)


async def test_a_call_larger_than_all_places_gets_them_alone() -> None:
    """Eight answers at a time where there are two places: not together with others, and not never."""
    slots, order = Slots(2), list[int]()
    await asyncio.gather(hold(slots, 1, 0, order, 0.01), hold(slots, 8, 1, order, 0.01), hold(slots, 1, 2, order))
    assert order == [0, 1, 2]


async def test_who_goes_away_leaves_no_place_behind() -> None:
    """Cancelled while waiting, while holding, and in the moment between: all places come back."""
    slots = Slots(1)
    holding = asyncio.create_task(hold(slots, 1, 0, [], 60))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(hold(slots, 1, 1, [], 60))
    await asyncio.sleep(0)
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)  # the place is handed over in this moment ...
    waiting.cancel()  # ... and its new holder goes away before it runs
    await asyncio.gather(waiting, return_exceptions=True)
    assert (slots.used, slots.waiting) == (0, 0)
    order: list[int] = []
    await hold(slots, 1, 2, order)
    assert order == [2]


async def test_more_places_are_handed_out_at_once() -> None:
    """A larger number shows without anybody having to end first; a smaller one lets end what is under way."""
    slots, order = Slots(1), list[int]()
    tasks = [asyncio.create_task(hold(slots, 1, number, order, 0.01)) for number in range(4)]
    await asyncio.sleep(0)
    slots.resize(3)
    await asyncio.sleep(0)
    assert order == [0, 1, 2]
    slots.resize(1)
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3]


class Batching:
    """A server that runs up to `most` sequences and queues the rest; `tells` or not, `turns_away` beyond a queue or not."""

    def __init__(self, most: int, *, tells: bool = True, longest_queue: int | None = None) -> None:
        self.most, self.tells, self.longest_queue = most, tells, longest_queue
        self.refused = self.tokens = 0

    def serve(self, asked: int) -> ServerState:
        running = min(asked, self.most)
        waiting = asked - running
        if self.longest_queue is not None and waiting > self.longest_queue:
            self.refused += waiting - self.longest_queue
            waiting = self.longest_queue
        self.tokens += 10 * running
        told = {"running": running, "waiting": waiting} if self.tells else {}
        return ServerState(url="http://127.0.0.1:1/v1", refused=self.refused, **told)


def sizes(server: Batching, looks: int = 200) -> Iterator[int]:
    tuner = Tuner([server.serve(0)])
    for _ in range(looks):
        size = tuner.size
        yield size
        tuner.look([server.serve(size)], used=size, tokens=server.tokens)


@pytest.mark.parametrize("most", [8, 64, 256, 1024, 3000])
def test_a_server_that_tells_is_filled_and_little_more(most: int) -> None:
    """From whatever beginning: full within ten looks, with a queue of less than a third of what runs, and so it stays."""
    found = list(sizes(Batching(most)))
    assert all(most <= size <= most + max(4, most // 3) for size in found[10:]), found[:20]


@pytest.mark.parametrize("most", [16, 100, 500])
def test_a_server_that_tells_nothing_is_felt_for(most: int) -> None:
    """By what more places bring: filled to the last step, and not far beyond."""
    found = list(sizes(Batching(most, tells=False), 400))[-1]
    assert most * 0.9 <= max(found, 32) <= max(most * 2.3, 48)


def test_a_server_that_turns_away_gets_less() -> None:
    """429 and 503 make the number smaller until they end; it is never given up altogether."""
    server = Batching(10, tells=False, longest_queue=5)
    found = list(sizes(server, 300))
    assert found[-1] <= 24
    assert min(found) >= Tuner.LEAST
    refused = server.refused
    for size in found[-100:]:
        server.serve(size)
    assert server.refused - refused < 100  # of 1,000 and more


def test_a_preemption_is_a_refusal() -> None:
    """A server short of memory puts sequences back and does their work twice: fewer places."""
    state = ServerState(url="http://127.0.0.1:1/v1", running=200, waiting=0, preemptions=0)
    tuner = Tuner([state])
    before = tuner.size
    after = tuner.look([state.model_copy(update={"preemptions": 3})], used=before, tokens=0)
    assert after < before


def test_the_number_has_an_end() -> None:
    """A server that swallows everything does not make us ask for ever more."""
    assert max(sizes(Batching(1_000_000))) == MOST


def test_idle_places_do_not_multiply() -> None:
    """Where a run has not enough to ask, the number stays."""
    state = ServerState(url="http://127.0.0.1:1/v1", running=10, waiting=0)
    tuner = Tuner([state])
    assert {tuner.look([state], used=10, tokens=0) for _ in range(50)} == {Tuner.FIRST}


def test_a_fixed_number_stays() -> None:
    """What the user says is not tuned."""
    lane = Lane.open(ScriptedEngine(), 7)
    lane.tune()
    assert (lane.slots.size, lane.tuner) == (7, None)


async def test_new_work_is_begun_while_some_still_waits() -> None:
    """Up to a quarter of the places: what is begun now comes to more answers only after a while."""
    lane = Lane(ScriptedEngine(), Slots(8))
    holding = [asyncio.create_task(hold(lane.slots, 1, 0, [], 60)) for _ in range(8)]
    await asyncio.sleep(0)
    assert lane.has_room
    holding.append(asyncio.create_task(hold(lane.slots, 1, 0, [], 60)))
    await asyncio.sleep(0)
    assert lane.has_room
    holding.append(asyncio.create_task(hold(lane.slots, 1, 0, [], 60)))
    await asyncio.sleep(0)
    assert not lane.has_room
    for one in holding:
        one.cancel()
    await asyncio.gather(*holding, return_exceptions=True)
