"""The table of leases by itself, on a real PostgreSQL, with takers that hurry and takers that die."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfinstruct.store import CallRow, Leases, RunStore, WorkerStore, join_run, open_run
from tests.support.postgres import Cluster

REQUESTS = 300
TAKERS = 8


@pytest.fixture
def run(tmp_path: Path, postgres: Cluster) -> Iterator[RunStore]:
    """A run that offers its requests."""
    store = open_run(tmp_path, url=postgres.url())
    yield store
    store.close()


def _offer(store: RunStore, count: int) -> None:
    for number in range(count):
        store.offer(number)
    store.flush()


def _call(number: int, name: str) -> CallRow:
    return CallRow(f"{name}-{number}", f"w{number}", "respond", number, "p", 1, 1, "{}")


def _settled(leases: Leases, *, wanted: int) -> Counter[int]:
    found: Counter[int] = Counter()
    deadline = time.monotonic() + 60
    while sum(found.values()) < wanted and time.monotonic() < deadline:
        look = leases.look(collected=list(found))
        found.update(look.settled)
    return found


def test_no_two_hold_one_request(run: RunStore) -> None:
    """Eight takers in a hurry: every request is taken once, by one, and told as settled once."""
    _offer(run, REQUESTS)
    taken: list[int] = []
    workers = [join_run(str(run.folder)) for _ in range(TAKERS)]

    def hurry(worker: WorkerStore) -> None:
        while numbers := worker.leases.take(worker.name, seconds=60, most=random.randint(1, 3)):
            taken.extend(numbers)
            for number in numbers:
                worker.settle(number)

    threads = [threading.Thread(target=hurry, args=(worker,)) for worker in workers]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for worker in workers:
        worker.close()
    assert Counter(taken) == Counter(range(REQUESTS))
    assert _settled(run.leases, wanted=REQUESTS) == Counter(range(REQUESTS))


def test_who_is_not_heard_of_writes_no_more(run: RunStore) -> None:
    """A lease runs out and another takes the request: what the first writes of it is left out, what it still has is not."""
    _offer(run, 2)
    slow, quick = join_run(str(run.folder)), join_run(str(run.folder))
    assert slow.leases.take(slow.name, seconds=0.1) == [0]
    assert slow.leases.take(slow.name, seconds=60) == [1]
    time.sleep(0.2)
    assert quick.leases.take(quick.name, seconds=60, most=5) == [0]
    for store in (slow, quick):
        store.append_call(_call(0, store.name))
        store.append_call(_call(1, store.name))
        store.flush()
        store.settle(0)
        store.flush()
    assert [call for call, _, _ in run.answered()] == [f"{slow.name}-1", f"{quick.name}-0"]
    assert slow.leases.renew(slow.name, "{}", seconds=60) == {1}
    assert run.leases.look().settled == [0]
    assert (slow.settled, quick.settled) == (set(), {0})
    slow.close()
    quick.close()


def test_what_is_given_back_is_free_at_once(run: RunStore) -> None:
    """A worker that leaves: others take what it held, in order."""
    _offer(run, 5)
    leaving, staying = join_run(str(run.folder)), join_run(str(run.folder))
    assert leaving.leases.take(leaving.name, seconds=60, most=3) == [0, 1, 2]
    leaving.leases.leave(leaving.name, "bye")
    assert staying.leases.take(staying.name, seconds=60, most=5) == [0, 1, 2, 3, 4]
    look = run.leases.look()
    assert (look.free, look.held, look.told) == (0, 5, {leaving.name: "bye"})
    assert look.there == set()
    leaving.close()
    staying.close()


def test_a_new_owner_has_all_to_itself(tmp_path: Path, postgres: Cluster) -> None:
    """Who owns a run anew throws away the leases of the owner before: its workers write no more, and find nobody to lead."""
    first = open_run(tmp_path, url=postgres.url())
    _offer(first, 1)
    worker = join_run(str(tmp_path))
    assert worker.leases.take(worker.name, seconds=60) == [0]
    assert worker.is_led()
    first.close()
    assert worker.is_led() is None
    second = open_run(tmp_path)
    worker.append_call(_call(0, worker.name))
    worker.flush()
    assert worker.is_led() is False  # not by whom it came for
    assert list(second.answered()) == []
    worker.leases.leave(worker.name, "what it did is stored, and was counted from there")
    assert second.leases.look().told == {}
    assert second.leases.look().held == 0
    worker.close()
    second.close()


def test_takers_that_die(run: RunStore) -> None:
    """Takers that vanish with what they hold, at random: every request is settled all the same, and told once."""
    _offer(run, 60)
    draw = random.Random(7)
    workers = [join_run(str(run.folder)) for _ in range(4)]

    def live(worker: WorkerStore, fate: random.Random) -> None:
        name, deadline = worker.name, time.monotonic() + 3
        while time.monotonic() < deadline:
            numbers = worker.leases.take(name, seconds=0.3, most=2)
            if fate.random() < 0.3:
                name = worker.name = f"{name}x"  # as if it had died with them, and another had come
                continue
            for number in numbers:
                worker.settle(number)
            worker.flush()

    threads = [threading.Thread(target=live, args=(one, random.Random(draw.random()))) for one in workers]
    for one in threads:
        one.start()
    found = _settled(run.leases, wanted=60)
    for one in threads:
        one.join()
    for worker in workers:
        worker.close()
    assert found == Counter(range(60))
    assert run.leases.look(collected=range(60)).settled == []
