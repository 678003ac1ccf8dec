"""kill -9 at any moment, then the same command: nothing lost, nothing twice, nothing committed asked again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.killing import ROWS, Server, command, finish, series


@pytest.mark.parametrize("by_calls", [True, False], ids=["calls", "time"])
def test_killed_runs_end_like_undisturbed_ones(tmp_path: Path, *, by_calls: bool) -> None:
    """Five kills, then the same command: equal exports, and nothing asked again that no kill explains.

    How old the answers are that a kill can cost is measured, not asserted: benchmarks/kills.py.
    """
    verdict = series(tmp_path, kills=5, by_calls=by_calls, seed=f"kills-{by_calls}")
    assert verdict.kills == 5
    assert verdict.oldest_repeat < float("inf"), verdict


def test_passing_faults_cost_no_row(tmp_path: Path) -> None:
    """With a seventh of all calls failing in passing ways, the export is the one of a server without faults."""
    with Server(tmp_path / "clean.jsonl", latency_ms=1) as server:
        wanted = finish(server, tmp_path / "clean")
    faults = "500=0.03,429=0.03,cut=0.03,empty=0.02,close=0.02,html=0.01,missing=0.01"
    with Server(tmp_path / "faulty.jsonl", latency_ms=1, faults=faults) as server:
        assert finish(server, tmp_path / "faulty") == wanted
        assert {entry["fault"] for entry in server.entries()} >= {"500", "429", "cut", "close"}


def test_sticky_faults_fail_with_their_reason(tmp_path: Path) -> None:
    """Records whose calls are always refused are failed, with the server's words; the order is filled all the same."""
    with Server(tmp_path / "log.jsonl", latency_ms=1, faults="sticky=0.04") as server:
        finish(server, tmp_path / "run")
    from selfinstruct.store import read_run

    with read_run(tmp_path / "run") as store:
        errors = [row.error for row in store.works(failed=True)]
    assert errors
    told = (
        "status 400: scripted 400",
        "no answer could be judged",
        "unreadable: ",
    )  # the script has verdicts without a score
    assert all(error is not None and error.startswith(told) for error in errors), errors


def test_interrupt_drains_and_says_how_to_go_on(tmp_path: Path) -> None:
    """Ctrl-C once: exit 130, the next command on stderr, and everything answered is kept."""
    with Server(tmp_path / "log.jsonl", latency_ms=30) as server:
        start = [part for part in command(server, tmp_path / "run") if part != "-q"]
        process = subprocess.Popen(start, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        while len(server.entries()) < 30:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
        asked = len(server.entries())
        assert process.returncode == 130, told
        assert "selfinstruct resume" in told
        finish(server, tmp_path / "run")
        keys = [entry["id"] + entry["digest"] for entry in server.entries()]
        assert len(keys) == len(set(keys))
        assert len(keys) > asked


def test_second_process_is_refused_at_once(tmp_path: Path) -> None:
    """One owner per folder: the second names the first by pid, and asks for nothing."""
    with Server(tmp_path / "log.jsonl", latency_ms=50) as server:
        start = command(server, tmp_path / "run")
        first = subprocess.Popen(start, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while len(server.entries()) < 5:
            time.sleep(0.01)
        first.send_signal(signal.SIGSTOP)  # or it may be through before the second has begun
        second = subprocess.run(start, capture_output=True, text=True, timeout=60, check=False)
        first.kill()
        first.wait()
        assert second.returncode == 2
        assert f"pid {first.pid}" in second.stderr
        finish(server, tmp_path / "run", rows=ROWS)


def test_full_disk_stops_the_spending(tmp_path: Path) -> None:
    """A write that fails: exit 3 with path and remedy, at most the calls in flight after it; then it can be resumed."""
    limit = "import resource,sys,runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000));"
    limit += "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    limit += "sys.argv = sys.argv[1:]; runpy.run_module('selfinstruct', run_name='__main__')"
    with Server(tmp_path / "log.jsonl", latency_ms=2) as server:
        start = [sys.executable, "-c", limit, *command(server, tmp_path / "run")[2:]]
        full = subprocess.run(start, capture_output=True, text=True, timeout=60, check=False)
        assert full.returncode == 3, full.stderr
        assert str(tmp_path / "run") in full.stderr
        assert "make room" in full.stderr
        finish(server, tmp_path / "run")


def test_resume_tries_failed_records_again(tmp_path: Path) -> None:
    """What one server always refused, another answers: nothing failed is left, the books balance, nothing else is asked."""
    with Server(tmp_path / "sticky.jsonl", latency_ms=1, faults="sticky=0.04") as server:
        finish(server, tmp_path / "run")
        first = len(server.entries())
    with Server(tmp_path / "good.jsonl", latency_ms=1) as server:
        finish(server, tmp_path / "run")
        asked = len(server.entries())
        finish(server, tmp_path / "run")
        assert len(server.entries()) == asked
    from selfinstruct.runs import open_stored
    from selfinstruct.verify import verify

    with open_stored(tmp_path / "run") as run:
        stages = run.accounts().stages
    assert 0 < asked < first / 2, (asked, first)
    assert all(ledger.failed == 0 for label, ledger in stages.items() if label != "bootstrap"), stages
    assert list(verify(tmp_path / "run")) == []


def test_the_time_of_a_killed_run_is_not_forgotten(tmp_path: Path) -> None:
    """Hours are paid for, however they ended: a cap on cost and a forecast count them."""
    from selfinstruct.store import read_run

    with Server(tmp_path / "log.jsonl", latency_ms=200) as server:
        process = subprocess.Popen(command(server, tmp_path / "run", rows=1000), stdout=subprocess.DEVNULL)
        while len(server.entries()) < 30:
            time.sleep(0.05)
        time.sleep(3)
        process.kill()
        process.wait()
    with read_run(tmp_path / "run") as store:
        assert float(store.get_meta()["seconds"]) >= 2
