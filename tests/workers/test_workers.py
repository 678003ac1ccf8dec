"""One run, several processes, kills in between: the real commands, a real PostgreSQL, the scripted engine behind real HTTP."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

import selfinstruct
from selfinstruct.errors import SelfInstructError
from selfinstruct.store import WorkerStore, read_run
from tests.support.fake_server import FakeServer
from tests.support.killing import Server
from tests.support.postgres import Cluster
from tests.support.running import command as done
from tests.support.running import events, eventually
from tests.workers.support import Books, asked, books, end, lead, sound, twice, work

LEASE = ("--lease", 8)
"""Seconds: nobody waits a minute for a dead worker here; less is too little for a busy machine."""


CALM = ("--set", "concurrency=8")
"""Slow enough for whoever comes late to find work."""


def _after(server: Server, calls: int) -> None:
    """Wait until a server was asked so often."""
    eventually(lambda: True if len(server.entries()) >= calls else None)


def test_four_workers_make_what_one_process_makes(tmp_path: Path, postgres: Cluster, alone: Books) -> None:
    """Equal bytes, equal ledger, nothing asked twice; everybody ends, and who watches sees what all have done."""
    log = tmp_path / "events"
    with Server(tmp_path / "log.jsonl", latency_ms=20) as server:
        options = ("--store", postgres.url(), "--workers", 4, "--events", log)
        with lead(server, tmp_path / "run", *options) as leader:
            end(leader)
        assert not twice(asked(server))
    assert books(tmp_path / "run") == alone
    assert sound(tmp_path / "run")
    told = (tmp_path / "run" / "workers.log").read_text()
    assert told.count("the run ended: filled") == 4, told
    run = _address(tmp_path / "run") or ""
    shown = [one for one in events(log) if one["event"] == "progress"]
    assert shown[-1]["calls"] == len(_table(postgres, run, "calls", "id"))
    assert any(one["in_flight"] and one["calls"] for one in shown)


def test_workers_with_servers_of_their_own(tmp_path: Path, postgres: Cluster, alone: Books) -> None:
    """Started by hand, by folder and by URL, each with its own server: both were asked, and the rows are the same."""
    with ExitStack() as stack:
        mine, one, other = (
            stack.enter_context(Server(tmp_path / f"{name}.jsonl", latency_ms=100)) for name in ("mine", "one", "other")
        )
        leader = stack.enter_context(lead(mine, tmp_path / "run", "--store", postgres.url(), "--workers", 0, *CALM))
        run = eventually(lambda: _address(tmp_path / "run"))
        workers = [
            stack.enter_context(work(tmp_path / "run", "--base-url", one.base_url)),
            stack.enter_context(work(run, "--base-url", other.base_url)),
        ]
        end(leader)
        told = [end(worker) for worker in workers]
        assert all("the run ended: filled" in text for text in told), told
        assert not twice(asked(mine, one, other))
        assert min(len(one.entries()), len(other.entries())) > 20
    assert books(tmp_path / "run") == alone


def _table(postgres: Cluster, run: str, table: str, column: str) -> list[tuple[str]]:
    """Return a column of a run's table."""
    return postgres.sql(f"SELECT {column} FROM {run.partition('#')[2]}.{table}", database="runs")  # noqa: S608 - our own


def _joined(postgres: Cluster, run: str, count: int) -> None:
    """Wait until so many workers have come."""
    eventually(lambda: True if len(_table(postgres, run, "workers", "owner")) >= count else None)


def _address(folder: Path) -> str | None:
    """Return how another machine finds a run, once it has begun."""
    try:
        with read_run(folder) as store:
            return store.place.name.replace(" schema ", "#") if "recipe" in store.get_meta() else None
    except SelfInstructError:
        return None


def test_a_killed_worker_is_taken_over(tmp_path: Path, postgres: Cluster, alone: Books) -> None:
    """Kill -9 in mid-run: others do its requests; what was stored when it died is not asked again, nor what others asked."""
    with ExitStack() as stack:
        doomed, good = (
            stack.enter_context(Server(tmp_path / f"{name}.jsonl", latency_ms=20)) for name in ("doomed", "good")
        )
        leader = stack.enter_context(lead(good, tmp_path / "run", "--store", postgres.url(), "--workers", 0))
        run = eventually(lambda: _address(tmp_path / "run"))
        victim = stack.enter_context(work(run, "--base-url", doomed.base_url, *LEASE))
        _after(doomed, 60)
        others = [stack.enter_context(work(run, "--base-url", good.base_url, *LEASE)) for _ in range(2)]
        victim.kill()
        victim.wait()
        stored = {call for (call,) in _table(postgres, run, "calls", "id")}
        assert stored
        end(leader)
        for one in others:
            end(one)
        again = twice(asked(doomed, good))
        assert again <= set(asked(doomed))
        assert not {entry["id"] for entry in good.entries()} & stored & {entry["id"] for entry in doomed.entries()}
    assert books(tmp_path / "run") == alone
    assert sound(tmp_path / "run")


def test_what_a_killed_hired_worker_held_is_free_at_once(tmp_path: Path, postgres: Cluster, alone: Books) -> None:
    """Who hired it sees that it is dead: nobody waits until its leases have run out, and the run is the same."""
    with Server(tmp_path / "log.jsonl", latency_ms=100) as server, ExitStack() as stack:
        leader = stack.enter_context(lead(server, tmp_path / "run", "--store", postgres.url(), "--workers", 2, *CALM))
        run = eventually(lambda: _address(tmp_path / "run"))
        victim = eventually(
            lambda: next((owner for (owner,) in _table(postgres, run, "leases", "owner") if owner), None)
        )
        os.kill(int(victim.split("-")[-2]), signal.SIGKILL)
        gone = (
            f"workers WHERE owner = '{victim}' AND until = 0"  # given back: what only ran out has the time when it did
        )
        eventually(lambda: _table(postgres, run, gone, "owner") or None)
        assert (victim,) not in _table(postgres, run, "leases WHERE until > 0", "owner")
        end(leader)
    assert books(tmp_path / "run") == alone
    assert sound(tmp_path / "run")


def test_a_killed_leader_leaves_nobody_working(tmp_path: Path, postgres: Cluster, alone: Books) -> None:
    """Its own workers end, one from elsewhere notices; `resume` with other workers ends as if nothing had happened."""
    with Server(tmp_path / "log.jsonl", latency_ms=100) as server, ExitStack() as stack:
        leader = stack.enter_context(lead(server, tmp_path / "run", "--store", postgres.url(), "--workers", 2, *CALM))
        run = eventually(lambda: _address(tmp_path / "run"))
        other = stack.enter_context(work(run, *LEASE))
        _joined(postgres, run, 3)
        _after(server, 100)
        leader.kill()
        assert "is gone" in end(other, status=3)
        log = tmp_path / "run" / "workers.log"
        eventually(lambda: True if log.read_text().count("the run ended: interrupted") == 2 else None)
        resumed = done("resume", tmp_path / "run", "--workers", 2, "-q")
        assert resumed.returncode == 0, resumed.stderr
        assert not twice(asked(server))
    assert books(tmp_path / "run") == alone
    assert sound(tmp_path / "run")


def test_a_leader_killed_under_way_is_followed_at_once(tmp_path: Path, postgres: Cluster, alone: Books) -> None:
    """Workers of the leader before may still be at it when the next one begins: they write nothing any more."""
    with Server(tmp_path / "log.jsonl", latency_ms=100) as server, ExitStack() as stack:
        leader = stack.enter_context(lead(server, tmp_path / "run", "--store", postgres.url(), "--workers", 0, *CALM))
        run = eventually(lambda: _address(tmp_path / "run"))
        workers = [stack.enter_context(work(run)) for _ in range(2)]
        _joined(postgres, run, 2)
        _after(server, 100)
        leader.kill()
        leader.wait()
        with lead(server, tmp_path / "run") as next_one:  # alone
            end(next_one)
        for one in workers:
            end(one, status=3)
    assert books(tmp_path / "run") == alone
    assert sound(tmp_path / "run")


def test_interrupt_drains_the_workers(tmp_path: Path, postgres: Cluster, alone: Books) -> None:
    """Ctrl-C of the leader: exit 130, workers end, and no call that was answered is asked again."""
    with Server(tmp_path / "log.jsonl", latency_ms=30) as server:
        with lead(server, tmp_path / "run", "--store", postgres.url(), "--workers", 2) as leader:
            _after(server, 100)
            leader.send_signal(signal.SIGINT)
            told = end(leader, status=130)
        assert "selfinstruct resume" in told
        with lead(server, tmp_path / "run", "--workers", 2) as leader:
            end(leader)
        assert not twice(asked(server))
    assert books(tmp_path / "run") == alone


def test_caps_count_the_whole_run(tmp_path: Path, postgres: Cluster, alone: Books) -> None:
    """--max-tokens: all workers together stop, exit 4; without it the run goes on to the same end."""
    with Server(tmp_path / "log.jsonl", latency_ms=300) as server:
        options = ("--store", postgres.url(), "--workers", 2)
        with lead(server, tmp_path / "run", *options, "--max-tokens", 10_000) as leader:
            told = end(leader, status=4)
        assert "the cap on tokens is reached" in told
        stopped = len(asked(server))
        with lead(server, tmp_path / "run", "--workers", 2) as leader:
            end(leader)
        assert stopped < len(asked(server))
    assert books(tmp_path / "run") == alone


def test_a_worker_without_a_server_leaves_its_work_to_others(tmp_path: Path, postgres: Cluster, alone: Books) -> None:
    """Its server goes away: exit 3, and the other worker does all of it, without waiting for a lease to run out."""
    with Server(tmp_path / "good.jsonl", latency_ms=5) as good, ExitStack() as stack:
        doomed = stack.enter_context(Server(tmp_path / "doomed.jsonl", latency_ms=20))
        short = ("--set", "engines.writer.patience=2")
        leader = stack.enter_context(lead(good, tmp_path / "run", "--store", postgres.url(), "--workers", 0, *short))
        run = eventually(lambda: _address(tmp_path / "run"))
        one = stack.enter_context(work(run, "--base-url", doomed.base_url))
        _after(doomed, 60)
        doomed.__exit__()
        end(one, status=3)
        with work(run, "--base-url", good.base_url) as other:
            end(leader)
            end(other)
    assert books(tmp_path / "run") == alone


def test_a_leader_that_cannot_watch_any_more_ends(tmp_path: Path, postgres: Cluster) -> None:
    """What a worker is said to have told cannot be read, which nobody foresaw: exit 1 with the cause, not a run that hangs."""
    with ExitStack() as stack:
        server = stack.enter_context(Server(tmp_path / "log.jsonl", latency_ms=100))
        leader = stack.enter_context(lead(server, tmp_path / "run", "--store", postgres.url(), "--workers", 0, *CALM))
        schema = eventually(lambda: _address(tmp_path / "run")).partition("#")[2]
        unreadable = f"INSERT INTO {schema}.workers SELECT token || '-x', 'unreadable', 0 FROM {schema}.owner"  # noqa: S608 - our own
        postgres.sql(unreadable, database="runs")
        told = end(leader, status=1)
    assert "watching the workers: ValidationError" in told


@pytest.mark.timeout(120)  # without its end it would take part for ever
def test_a_worker_that_cannot_keep_its_leases_ends(
    tmp_path: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What keeps them fails as nobody foresaw: the worker ends with the cause, and what it held is free."""

    def fail(_store: WorkerStore) -> tuple[str, str]:
        msg = "nobody foresaw this"
        raise RuntimeError(msg)

    monkeypatch.setattr(WorkerStore, "ended", fail)
    with ExitStack() as stack:
        server = stack.enter_context(Server(tmp_path / "log.jsonl", latency_ms=100))
        leader = stack.enter_context(lead(server, tmp_path / "run", "--store", postgres.url(), "--workers", 0, *CALM))
        run = eventually(lambda: _address(tmp_path / "run"))
        with pytest.raises(SelfInstructError, match="keeping the leases: RuntimeError: nobody foresaw this"):
            selfinstruct.work(run)
        eventually(lambda: True if set(_table(postgres, run, "leases", "owner")) <= {("",)} else None)
        leader.send_signal(signal.SIGINT)
        end(leader, status=130)


def test_what_cannot_be_worked_on_is_refused(tmp_path: Path, postgres: Cluster) -> None:
    """A run in a file, one that nobody leads, one with another model: exit 2, nothing is made or changed."""
    with Server(tmp_path / "log.jsonl", latency_ms=1) as server:
        with lead(server, tmp_path / "file", "--workers", 2) as leader:
            assert "--store postgresql://" in end(leader, status=2)
        assert not (tmp_path / "file").exists()
        with lead(server, tmp_path / "run", "--store", postgres.url(), rows=2) as leader:
            end(leader)
        with work(tmp_path / "run") as worker:
            told = end(worker, status=2)
            assert "nobody leads" in told
            assert f"selfinstruct resume {tmp_path / 'run'} --workers 0" in told
        with work(_address(tmp_path / "run")) as worker:  # no folder of that name is here
            assert "selfinstruct resume RUN --workers 0, where the run's folder is" in end(worker, status=2)
        with work(tmp_path / "nothing") as worker:
            assert "no run in" in end(worker, status=2)
        with work(tmp_path / "run", "--lease", 4.9) as worker:
            assert "--lease 5 or more" in end(worker, status=2)
        with lead(server, tmp_path / "other", "--store", postgres.url(), "--workers", 0) as leader:
            run = eventually(lambda: _address(tmp_path / "other"))
            assert "model of writer: tiny -> large" in asyncio.run(_refused_beside_another_model(run))
            leader.send_signal(signal.SIGINT)
            end(leader, status=130)


async def _refused_beside_another_model(run: str) -> str:
    async with FakeServer(models=("large",)) as server:
        with work(run, "--base-url", server.base_url) as worker:
            return await asyncio.to_thread(end, worker, status=2)


def test_the_database_may_be_away_for_a_moment(tmp_path: Path, alone: Books) -> None:
    """PostgreSQL is started anew in mid-run: leader and workers wait for it, and the run ends as ever."""
    own = Cluster()
    try:
        with Server(tmp_path / "log.jsonl", latency_ms=100) as server, ExitStack() as stack:
            leader = stack.enter_context(
                lead(server, tmp_path / "run", "--store", own.url(), "--workers", 2, "--set", "concurrency=8")
            )
            run = eventually(lambda: _address(tmp_path / "run"))
            _joined(own, run, 2)
            _after(server, 60)
            own.stop("fast")
            own.start()
            end(leader)
            assert not twice(asked(server))
        assert books(tmp_path / "run") == alone
        assert sound(tmp_path / "run")
    finally:
        own.remove()


def test_the_library_works_too(tmp_path: Path, postgres: Cluster, alone: Books) -> None:
    """`selfinstruct.work` is what an executor maps over: two of them in a pool, each a process, finish the run."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ExitStack() as stack:
        server = stack.enter_context(Server(tmp_path / "log.jsonl", latency_ms=100))
        leader = stack.enter_context(lead(server, tmp_path / "run", "--store", postgres.url(), "--workers", 0, *CALM))
        run = eventually(lambda: _address(tmp_path / "run"))
        pool = stack.enter_context(ProcessPoolExecutor(2, mp_context=get_context("spawn")))
        worked = list(pool.map(selfinstruct.work, [run, run]))
        end(leader)
    assert [one.ended for one in worked] == ["filled", "filled"]
    assert sum(one.requests for one in worked) > 3
    assert books(tmp_path / "run") == alone
