"""Figures as words."""

from __future__ import annotations

import pytest

from selfinstruct.console import words
from selfinstruct.console.figures import TimeLeft
from tests.support.moments import moment, server, stage


@pytest.mark.parametrize(
    ("seconds", "least", "most", "told"),
    [
        (720, 610, 900, "12m left (10-15m)"),
        (50, 41, 62, "50s left (41-62s)"),
        (95, 80, 130, "95s left (80s-2.2m)"),
        (126, 104, 180, "2.1m left (1.7-3.0m)"),
        (9000, 7200, 14_400, "2.5h left (2.0-4.0h)"),
        (86_400 * 9, 86_400 * 7, 86_400 * 12, "9.0d left (7.0-12d)"),
        (2, 0, 4, "2s left (0-4s)"),
    ],
)
def test_time_left_is_told_with_its_spread(seconds: float, least: float, most: float, told: str) -> None:
    """One unit where one will do."""
    assert words.time_left(TimeLeft(seconds=seconds, least=least, most=most)) == told


def test_pace_says_when_it_does_not_know() -> None:
    """Too early, and the wait for the rows that come first in order, are no figures."""
    assert words.pace(moment()) == ["49 rows/min", "12m left (10-15m)"]
    assert words.pace(moment(left=None, rows_per_min=None)) == ["time left: too early to say"]
    assert words.pace(moment(rows=1003, rows_per_min=3.25, left=None)) == [
        "3.2 rows/min", "finishing what comes first in order",
    ]  # fmt: skip
    assert words.rows(moment(rows=1003)) == "1,000 of 1,000 rows +3"


def test_a_server_tells_what_it_tells() -> None:
    """Everything, nothing, and a server that is down, whose last queue is no news."""
    assert words.server(server(refused=2)) == [
        "127.0.0.1:8000", "28 running", "3 waiting", "KV 45%", "prefix hits 92%", "4 preempted", "2 refused",
    ]  # fmt: skip
    silent = server(running=None, waiting=None, kv_cache=None, prefix_hit_rate=None, preemptions=None)
    assert words.server(silent) == ["127.0.0.1:8000", "30 in flight, tells nothing of itself"]
    assert words.server(server(healthy=False))[:3] == ["127.0.0.1:8000", "NOT ANSWERING", "prefix hits 92%"]


def test_several_servers_are_told_as_one() -> None:
    """Sums of those that are up, the fullest cache, all hits of all lookups, and who does not answer."""
    three = [server(), server("http://b:1/v1", kv_cache=0.9, prefix_queries=300, prefix_hits=108), server("http://c:2/v1", healthy=False)]  # fmt: skip
    assert words.servers(three) == [
        "2 of 3 servers up", "c:2 NOT ANSWERING", "56 running", "6 waiting", "KV 90% at most", "prefix hits 58%", "12 preempted",
    ]  # fmt: skip


def test_no_key_and_no_control_character_gets_through() -> None:
    """User and password of a URL, escapes in a stage, a rule, a server: none reaches a log."""
    told = words.line(
        moment(stages=(stage("a\x1b[31m\nb"),), servers=(server("http://me:secret@host\x1b]0;x\x07:1/v1"),))
    )
    assert told.isprintable()
    assert "secret" not in told
    assert words.rules({"x\x1b[2J": 3, "y": 4}) == "y 4, x\\u001b[2J 3"


def test_the_first_line_is_not_one_of_zeros() -> None:
    """Before anything was asked there is what is wanted, and who will be asked; a run that goes on tells what it has."""
    idle = (stage("judge", kept=0, dropped=0),)
    early = moment(rows=0, seconds=0.0, rows_per_min=None, left=None, calls=0, in_flight=0, stages=idle)
    assert words.line(early) == (
        "1,000 rows wanted, none made yet; 127.0.0.1:8000, 28 running, 3 waiting, KV 45%, prefix hits 92%, 4 preempted"
    )
    assert (
        words.line(early.model_copy(update={"in_flight": 8, "servers": ()}))
        == "1,000 rows wanted, none made yet; 8 calls under way"
    )
    assert "412 of 1,000 rows" in words.line(early.model_copy(update={"rows": 412}))
    assert "0 of 1,000 rows" in words.line(early, over=True)


def test_a_line_has_all_figures() -> None:
    """What the panel shows, for a log."""
    assert words.line(moment(stages=(stage("judge", failed=3),))) == (
        "412 of 1,000 rows in 5m12s; 49 rows/min, 12m left (10-15m); tokens/s 15,120 in, 2,830 out, 240 of 256 in flight, "
        "31 waiting, 12,345 calls; 127.0.0.1:8000, 28 running, 3 waiting, KV 45%, prefix hits 92%, 4 preempted; "
        "kept/made: judge 40/45; 3 failed"
    )
    assert "left" not in words.line(moment(), over=True)
