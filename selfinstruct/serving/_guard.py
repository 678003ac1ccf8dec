"""Stands between us and a server: starts it in a session of its own, and leaves no process of it, however we end.

    python _guard.py LOG COMMAND...

Standard library only, run by its path. It tells its parent `pid NUMBER`, and `exit CODE` in the end; a line, or the end of its
standard input (the parent is gone), tells it to end the server: asked first, killed after DRAIN seconds.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

DRAIN = 45.0
"""Seconds for the server to end: more than the 30 that it gives the requests that it has."""
LINGER = 10.0
"""Seconds for its children after that; vLLM's take 3."""
LOOK = 0.1
SCRATCH = "selfinstruct-vllm-tmp-"
"""How the folder for the server's sockets begins, which goes with it."""
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Start, mind, end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the parent says when; a terminal's Ctrl-C is meant for it
    with open(sys.argv[1], "ab") as log:  # noqa: PTH123
        server = subprocess.Popen(  # noqa: S603
            sys.argv[2:],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # its number names the session that every child stays in
            preexec_fn=_begin,  # noqa: PLW1509 - two async-signal-safe calls
        )
    print(f"pid {server.pid}", flush=True)  # noqa: T201 - that is how the parent learns of it
    said = False
    while server.poll() is None and not said:
        readable, _, _ = select.select([sys.stdin], [], [], LOOK)
        said = bool(readable)
    segments = _shared_memory(_session(server.pid))
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.wait(DRAIN)
    deadline = time.monotonic() + LINGER
    while _session(server.pid) and time.monotonic() < deadline:
        time.sleep(LOOK)
    _kill(server.pid)
    if Path(os.environ.get("TMPDIR", "")).name.startswith(SCRATCH):
        shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    for segment in segments:  # memory that nobody else would ever give back
        segment.unlink(missing_ok=True)
    with suppress(BrokenPipeError):
        print(f"exit {server.wait()}", flush=True)  # noqa: T201 - that is how the parent learns of it


def _begin() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # should this guard itself be killed


def _kill(session: int) -> None:
    """SIGKILL every process of the session: killing the server alone orphans its engine for good (vLLM #55510)."""
    while members := _session(session):
        for pid in members:
            with suppress(ProcessLookupError):  # ended since it was listed
                os.kill(pid, signal.SIGKILL)
        time.sleep(LOOK / 2)


def _session(leader: int) -> list[int]:
    """Return the living processes of a session; from /proc, since a bare Debian has no ps."""
    members = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # ended since it was listed
            # pid (name, of any characters) state parent group session ...: proc(5)
            state, _, _, session = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[:4]
            if int(session) == leader and state not in {"Z", "X"}:
                members.append(int(process.name))
    return members


def _shared_memory(members: list[int]) -> set[Path]:
    """Return the named segments that these processes have mapped, and nobody else."""
    ours: set[Path] = set()
    others: set[Path] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):  # ended, or not ours to look at
            for line in (process / "maps").read_text(errors="replace").splitlines():
                path = line.partition("/dev/shm/")[2]  # noqa: S108 - read, never opened
                if path and not path.endswith(" (deleted)"):
                    (ours if int(process.name) in members else others).add(Path("/dev/shm", path))  # noqa: S108
    return ours - others


if __name__ == "__main__":
    main()
