"""How far it is, in words."""

from __future__ import annotations

import pytest

from selfinstruct.download.watch import PLAIN_SECONDS, Watcher


def test_bytes_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    """The rate is of what came in this try; what came earlier counts as done; rows are counted as rows."""
    with Watcher() as watch:
        watch.begin("fetching", 100_000_000, done=40_000_000)
        watch.came(10_000_000)
        since = watch._since
        assert watch.line(since + 5) == "fetching: 50.0 MB of 100.0 MB; 2.0 MB/s, 50%, 0m25s left"
        watch.came(-50_000_000)  # a server that knows no Range: from the start
        assert watch.line(since + 5) == "fetching: 0 bytes of 100.0 MB"
        watch.begin("converting", 100_000, rows=True)
        watch.came(20_000)
        assert watch.line(watch._since + 2) == "converting: 20,000 of 100,000 rows; 10,000 rows/s, 20%, 0m08s left"
        assert capsys.readouterr().err == ""
        watch._next -= PLAIN_SECONDS
        watch.came(1)
    assert capsys.readouterr().err == "converting: 20,001 of 100,000 rows\n"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """-q: not a word."""
    with Watcher(quiet=True) as watch:
        watch.begin("fetching", 10)
        watch._next -= PLAIN_SECONDS
        watch.came(1)
        watch.say("something")
    assert capsys.readouterr().err == ""
