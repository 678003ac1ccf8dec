"""The panel on terminals of every size."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from selfinstruct.console.panel import Panel
from tests.support.moments import STAGES, moment, server, stage


def drawn(width: int, height: int, *, note: str = "", over: bool = False, title: str = "runs/first", **changes: Any) -> list[str]:  # fmt: skip
    file = io.StringIO()
    Console(file=file, width=width, height=height, color_system=None).print(Panel(moment(**changes), title, note, over))
    return file.getvalue().splitlines()


def test_everything_fits_80_by_24() -> None:
    """Bar, rate, time left, tokens, places, the server, every stage with every figure and its reasons."""
    lines = drawn(80, 24)
    text = "\n".join(lines)
    for told in (
        "runs/first  5m12s  tiny", "412 of 1,000 rows", "41%", "49 rows/min  12m left (10-15m)",
        "tokens/s 15,120 in, 2,830 out  240 of 256 in flight, 31 waiting",
        "127.0.0.1:8000  28 running  3 waiting  KV 45%  prefix hits 92%  4 preempted",
    ):  # fmt: skip
        assert told in text
    assert lines[-8].split() == ["stage", "made", "kept", "dropped", "failed", "in", "flight", "/min", "dropped", "by"]
    assert [line.split()[0] for line in lines[-7:]] == list(STAGES)
    assert lines[-1].split()[1:] == ["42", "40", "2", "0", "7", "12", "rouge", "2"]


def test_more_room_shows_more() -> None:
    """A share for each stage, more reasons, a line for each server with the one that is down first."""
    several = tuple(server(f"http://10.0.0.{number}:8000/v1", healthy=number != 2) for number in range(4))
    drops = {f"rule_{number}": 9 for number in range(6)}
    small = drawn(80, 20, servers=several, stages=(stage("judge", drops=drops), *map(stage, STAGES[1:])))
    large = drawn(120, 40, servers=several, stages=(stage("judge", drops=drops), *map(stage, STAGES[1:])))
    assert "kept %" in "\n".join(large)
    assert "kept %" not in "\n".join(small)
    assert next(line for line in large if "10.0.0." in line).startswith("10.0.0.2:8000  NOT ANSWERING")
    assert sum("10.0.0." in line for line in large) == 4
    assert any("rule_0 9, rule_1 9 +4" in line for line in small)
    assert any("rule_3 9, rule_4 9" in line for line in large)


@pytest.mark.parametrize("width", [200, 120, 100, 80, 66, 65, 50, 40, 25, 12])
@pytest.mark.parametrize("height", [50, 24, 18, 12, 8, 6, 4, 2])
def test_it_is_never_higher_or_wider_than_the_terminal(width: int, height: int) -> None:
    """Whatever the size, with large figures, many servers, long and wide names: it would scroll and leave rubbish."""
    several = tuple(server(f"http://a-long-name-of-a-host-{number}:8000/v1", running=12_345_678) for number in range(9))
    stages = tuple(
        stage(f"\u5224\u65ad-{number}", kept=123_456_789, drops={"r" * 60: 5, "s": 4}) for number in range(12)
    )
    lines = drawn(width, height, note="no news for 20 s", servers=several, stages=stages, models=("m" * 300,), title="d/" * 60)  # fmt: skip
    assert 1 <= len(lines) <= height - 1
    assert max(map(cell_len, lines)) <= width


def test_what_does_not_fit_is_counted() -> None:
    """A low terminal: servers as one line, the first stages, and how many more there are."""
    lines = drawn(80, 11, servers=(server(), server("http://b:1/v1", healthy=False)))
    assert any(line.startswith("1 of 2 servers up  b:1 NOT ANSWERING") for line in lines)
    assert lines[-1] == "and 4 more stages"


def test_the_first_second_of_a_scripted_run() -> None:
    """No server, no row, no rate: nothing is made up, and no empty line stands for what is not there."""
    early: dict[str, Any] = {"rows": 0, "rows_per_min": None, "left": None, "prompt_tokens_per_s": None, "completion_tokens_per_s": None}  # fmt: skip
    lines = drawn(80, 24, **early, slots=0, in_flight=0, waiting=0, calls=0, servers=())
    assert [line.strip() for line in lines[2:5]] == ["time left: too early to say", "0 calls", ""]


def test_what_is_over_has_no_time_left() -> None:
    """Said at the top instead: how it ended."""
    lines = drawn(80, 24, note="ended: 412 of 1000 rows", over=True)
    assert "ended: 412 of 1000 rows" in lines
    assert not any("left" in line for line in lines)


def test_text_of_a_model_server_or_recipe_is_never_markup_or_control() -> None:
    """It is shown as it is, on its line."""
    nasty = "[bold]x[/bold]\x1b[31m\n"
    text = "\n".join(drawn(200, 24, models=(nasty,), title=nasty, stages=(stage(nasty, drops={nasty: 1}),)))
    assert text.count("[bold]x[/bold]\\u001b[31m") >= 3
    assert "\x1b" not in text
