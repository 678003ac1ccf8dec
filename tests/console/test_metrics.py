"""--metrics: what Prometheus scrapes, read with Prometheus' own parser."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from selfinstruct.console.metrics import CONTENT_TYPE, exposition
from tests.support.moments import moment, server, stage
from tests.support.running import command, events, eventually, progressed, running

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(url: str) -> Samples:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own
        assert answer.headers["Content-Type"] == CONTENT_TYPE
        return read(answer.read().decode())


def test_every_figure_has_its_name() -> None:
    """Totals, stages, drops and servers; what is not known has no line."""
    told = read(exposition(moment(left=None, servers=(server(), server("http://b/v1", healthy=False, running=None)))))
    assert told["selfinstruct_rows_total", frozenset()] == 412
    assert told["selfinstruct_target_rows", frozenset()] == 1000
    assert told["selfinstruct_in_flight", frozenset()] == 240
    assert told["selfinstruct_records_total", frozenset({("stage", "judge"), ("fate", "accepted")})] == 40
    assert told["selfinstruct_drops_total", frozenset({("stage", "pair"), ("rule", "rouge")})] == 2
    up, down = frozenset({("server", "http://127.0.0.1:8000/v1")}), frozenset({("server", "http://b/v1")})
    assert (told["selfinstruct_server_up", up], told["selfinstruct_server_up", down]) == (1, 0)
    assert told["selfinstruct_server_prefix_hits_total", up] == 92
    assert told["selfinstruct_server_kv_cache_ratio", up] == 0.45
    assert ("selfinstruct_server_running", down) not in told
    assert not any("left" in name for name, _ in told)
    assert read(exposition(moment()))["selfinstruct_left_seconds", frozenset()] == 720


def test_labels_of_any_text_come_back_as_they_were() -> None:
    """A rule of someone's own gate may be called anything."""
    nasty = 'a "quoted"\\ rule\nwith {braces}, commas'
    told = read(exposition(moment(stages=(stage(nasty, drops={nasty: 3}),))))
    assert told["selfinstruct_drops_total", frozenset({("stage", nasty), ("rule", nasty)})] == 3


def test_before_the_first_figures_there_is_an_answer() -> None:
    """Prometheus may come while the model loads."""
    assert [name for name, _ in read(exposition(None))] == ["selfinstruct_info"]


def test_a_run_is_scraped_while_it_goes_on(tmp_path: Path) -> None:
    """Counters of the live run that only grow, on loopback, and no listener after its end."""
    log = tmp_path / "events"
    with running(tmp_path / "run", "--metrics", 0, "--events", log) as process:
        eventually(lambda: progressed(log))
        url = events(log)[0]["metrics"]
        assert url.startswith("http://127.0.0.1:")
        first = scrape(url)
        rows = ("selfinstruct_rows_total", frozenset[tuple[str, str]]())
        second = eventually(lambda: found if (found := scrape(url))[rows] > first[rows] else None)
        counters = {name for name in first if name[0].endswith("_total")}
        assert len(counters) > 20
        assert all(second[name] >= first[name] for name in counters)
        assert second["selfinstruct_target_rows", frozenset()] == 1_000_000
        assert second["selfinstruct_slots", frozenset()] == 64
        with pytest.raises(urllib.error.HTTPError, match="404"):
            scrape(url.removesuffix("metrics") + "secrets")
        process.terminate()
        assert process.wait(60) == 130
        with pytest.raises(urllib.error.URLError):
            scrape(url)


def test_a_taken_port_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    """Exit 2, what is wrong and what helps; no run was begun."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("run", "demo", "-n", 5, "-o", tmp_path / "run", "--metrics", port)
    assert done.returncode == 2
    assert f"--metrics {port}: Address already in use" in done.stderr
    assert "--metrics 0" in done.stderr
    assert not (tmp_path / "run").exists()
