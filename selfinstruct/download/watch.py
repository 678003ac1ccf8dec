"""Shows how far a download is: one live line on a terminal, plain lines elsewhere. Writes to stderr only."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.filesize import decimal
from rich.live import Live
from rich.text import Text

if TYPE_CHECKING:
    from types import TracebackType

PLAIN_SECONDS = 10.0
"""Between two plain lines where there is no terminal."""
LIVE_SECONDS = 0.1
"""Between two looks of the live line."""


class Watcher:
    """A context manager around a download, which tells it what it does and how much of that is through."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Say nothing at all when `quiet`."""
        self._console = Console(stderr=True, quiet=quiet)
        live = self._console.is_terminal and not quiet
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if live else None
        self._every = LIVE_SECONDS if live else PLAIN_SECONDS
        self.begin("", 0)

    def __enter__(self) -> Self:
        """Take the terminal."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        if self._live is not None:
            self._live.stop()

    def begin(self, doing: str, total: int, *, done: int = 0, rows: bool = False) -> None:
        """Go over to something that has `total` bytes, or rows, of which some were done earlier."""
        self._doing, self._total, self._done, self._earlier, self._rows = doing, total, done, done, rows
        self._since = time.monotonic()
        self._next = self._since + (0 if self._live else PLAIN_SECONDS)

    def came(self, more: int) -> None:
        """Count, and show it as often as is useful."""
        self._done += more
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._every
        if self._live is not None:
            self._live.update(Text(self.line(now), no_wrap=True, overflow="ellipsis"), refresh=True)
        else:
            self.say(self.line(now))

    def line(self, now: float) -> str:
        """Return where it stands."""
        shown = f"{self._done:,}" if self._rows else decimal(self._done)
        line = f"{self._doing}: {shown} of {self._shown(self._total)}"
        rate = (self._done - self._earlier) / max(now - self._since, 1e-9)
        if now - self._since < 1 or rate <= 0:
            return line
        minutes, seconds = divmod(round(max(0, self._total - self._done) / rate), 60)
        return f"{line}; {self._shown(round(rate))}/s, {self._done / max(1, self._total):.0%}, {minutes}m{seconds:02}s left"

    def say(self, line: str) -> None:
        """Print a line, above the live one."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _shown(self, amount: int) -> str:
        return f"{amount:,} rows" if self._rows else decimal(amount)
