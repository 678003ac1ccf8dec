"""Shows figures to a person: a live panel on a terminal, one plain line now and then elsewhere. Writes to stderr only."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from selfinstruct.console import words
from selfinstruct.console.outlet import Outlet
from selfinstruct.console.panel import Panel

if TYPE_CHECKING:
    from types import TracebackType

    from selfinstruct.console.figures import Figures

BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"
"""Terminals that know synchronized output show all between the two at once; others ignore them."""


def screen(title: str) -> Screen | Lines:
    """Return what suits stderr as it is."""
    console = Stderr(stderr=True)
    return Screen(title) if console.is_terminal and not console.is_dumb_terminal else Lines(console)


class Stderr(Console):
    """A console that says when nobody reads it any more: rich would end the process, and its stdout with it."""

    def on_broken_pipe(self) -> None:
        """Pass it on."""
        msg = "nobody reads stderr"
        raise OSError(msg)


class _Whole:
    """A terminal that is written to in whole pictures: rich erases the old one before it draws the new."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(f"{BEGIN}{text}{END}")

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


class Screen(Outlet):
    """The live panel. Gone at the end: what stays is the summary."""

    every = 0.5

    def __init__(self, title: str) -> None:
        """Show `title` at the top."""
        self._title = title
        self._console = Stderr(file=_Whole(sys.stderr))  # type: ignore[arg-type]  # as much of a file as rich asks for
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""
        with suppress(OSError):  # it is gone
            self._live.stop()

    def show(self, figures: Figures, *, note: str = "") -> None:
        """Draw it; the first time, take the terminal."""
        self._live.start()
        self._live.update(Panel(figures, self._title, note), refresh=True)

    def leave(self, figures: Figures, note: str) -> None:
        """Let what is over stand there."""
        self._live.stop()
        self._console.print(Panel(figures, self._title, note, over=True))

    def warn(self, text: str) -> None:
        """Print a line above the panel."""
        _say(self._console, text)


class Lines(Outlet):
    """Plain lines, for logs and pipes."""

    every = 10.0
    last = False  # the summary follows

    def __init__(self, console: Console) -> None:
        """Print there."""
        self._console = console

    def show(self, figures: Figures, *, note: str = "") -> None:
        """Print one."""
        _say(self._console, f"{note}; {words.line(figures)}" if note else words.line(figures))

    def leave(self, figures: Figures, note: str) -> None:
        """Print the end."""
        _say(self._console, f"{note}; {words.line(figures, over=True)}")

    def warn(self, text: str) -> None:
        """Print a line."""
        _say(self._console, text)


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, emoji=False, soft_wrap=True)
