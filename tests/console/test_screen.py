"""A run in a real terminal: a pseudo-terminal of 80 by 24."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from tests.support.running import eventually, running

BEGIN, END = b"\x1b[?2026h", b"\x1b[?2026l"


def in_terminal(*arguments: object, kind: str = "xterm-256color") -> tuple[bytes, str, int]:
    """Run a command with its stderr on a terminal. Returns what the terminal got, stdout, and the exit status."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    process = subprocess.Popen(
        [sys.executable, "-m", "selfinstruct", *map(str, arguments)],
        stdin=slave, stdout=subprocess.PIPE, stderr=slave, text=True, env=environment | {"TERM": kind},
    )  # fmt: skip
    os.close(slave)
    got = b""
    while chunk := _read(master):
        got += chunk
    os.close(master)
    out = process.communicate(timeout=60)[0]
    return got, out, process.returncode


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65536)
    except OSError:  # EIO: the other side is closed
        return b""


def shown(got: bytes) -> str:
    """The characters alone."""
    return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", got).decode()


def test_the_panel_lives_on_a_terminal(tmp_path: Path) -> None:
    """Drawn many times, each as a whole and never by clearing the screen; the cursor is there at the end; stdout is data."""
    slow = ("--set", "engines.writer.latency=0.2", "--set", "concurrency=16")
    got, out, status = in_terminal("run", "demo", "-n", 30, "-o", tmp_path / "run", *slow)
    assert status == 0
    frames = [part for part in got.split(BEGIN)[1:] if b"of 30 rows" in part]
    assert len(frames) >= 5
    assert all(part.count(END) == 1 for part in frames)
    assert not re.search(rb"\x1b\[[0-9]?J|\x1b\[\?1049h", got)
    assert got.count(b"\x1b[?25l") == got.count(b"\x1b[?25h") == 1
    middle = shown(frames[len(frames) // 2])
    assert all(told in middle for told in ("bootstrap", "in flight", "tokens/s", "of 16 in flight"))
    assert max(len(line) for line in middle.splitlines()) <= 80
    assert len(middle.splitlines()) <= 23
    assert "surplus rows kept" in shown(got.rpartition(b"\x1b[?25h")[2])
    assert [Path(line).name for line in out.splitlines()] == ["messages", "alpaca", "dpo"]


def test_quiet_is_silent_on_a_terminal(tmp_path: Path) -> None:
    """-q: not one byte."""
    got, out, status = in_terminal("run", "demo", "-n", 10, "-o", tmp_path / "run", "-q")
    assert (status, got, len(out.splitlines())) == (0, b"", 3)


def test_a_terminal_that_can_do_nothing_gets_lines(tmp_path: Path) -> None:
    """TERM=dumb, as in some editors: no escape at all."""
    got, _, status = in_terminal("run", "demo", "-n", 10, "-o", tmp_path / "run", kind="dumb")
    assert status == 0
    assert b"\x1b" not in got
    assert got.startswith(b"10 rows wanted, none made yet")


def test_watch_shows_the_panel_and_leaves_the_end_of_it(tmp_path: Path) -> None:
    """From another terminal: drawn while the run goes on, and what stays says how it ended."""
    folder = tmp_path / "run"
    with running(folder, rows=400):
        eventually(lambda: True if (folder / "progress.json").exists() else None)
        got, out, status = in_terminal("watch", folder)
    assert (status, out) == (0, "")
    assert got.count(b"of 400 rows") >= 3
    last = shown(got.rpartition(b"\x1b[?25h")[2])
    assert "ended: 400 of 400 rows" in last
    assert "bootstrap" in last
