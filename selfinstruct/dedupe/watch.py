"""Shows how far a dedupe is: one live line on a terminal, plain lines elsewhere. Writes to stderr only."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from types import TracebackType

PLAIN_SECONDS = 10.0
"""Between two plain lines where there is no terminal."""
LIVE_SECONDS = 0.1
"""Between two looks of the live line."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a dedupe stands."""

    doing: str
    """What it is doing: `reading --against`, `going on`, `comparing`, `writing`."""
    rows: int
    """Rows of the inputs that are through."""
    kept: int
    dropped: int
    share: float
    """Of the bytes of what it is doing, 0 to 1."""
    new_rows: int
    """Rows since it began doing this."""
    seconds: float
    """Since it began doing this."""

    def __str__(self) -> str:
        """Return it as one line."""
        line = f"{self.doing}: {self.rows:,} rows, {self.kept:,} kept, {self.dropped:,} dropped"
        if self.seconds < 1 or not self.share:
            return line
        left = round(self.seconds * (1 - self.share) / self.share)
        minutes, seconds = divmod(max(0, left), 60)
        return f"{line}; {self.new_rows / self.seconds:,.0f} rows/s, {self.share:.0%}, {minutes}m{seconds:02}s left"


class Watcher(logging.Handler):
    """A callable for `dedupe(watch=...)`; a context manager around it that also shows the library's warnings."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Say nothing at all when `quiet`."""
        super().__init__(logging.INFO)
        self._console = Console(stderr=True, quiet=quiet)
        live = self._console.is_terminal and not quiet
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if live else None
        self._every = LIVE_SECONDS if live else PLAIN_SECONDS
        self._next = time.monotonic() + (0 if live else PLAIN_SECONDS)

    def __enter__(self) -> Self:
        """Take the terminal, and what the library says."""
        logger = logging.getLogger("selfinstruct.dedupe")
        logger.addHandler(self)
        logger.setLevel(logging.INFO)
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        logging.getLogger("selfinstruct.dedupe").removeHandler(self)
        if self._live is not None:
            self._live.stop()

    def __call__(self, progress: Progress) -> None:
        """Show where it stands, as often as is useful."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._every
        if self._live is not None:
            self._live.update(Text(str(progress), no_wrap=True, overflow="ellipsis"), refresh=True)
        else:
            self._say(str(progress))

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record on one line, above the live one."""
        self._say(printable(record.getMessage(), longest=400))

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
