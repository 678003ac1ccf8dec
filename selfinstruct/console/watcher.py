"""Takes what the pipeline tells and passes it on to everything that shows it, from a thread of its own.

The run never waits for who watches: a stopped terminal or a slow disk holds up this thread, not the loop that keeps the
servers busy.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from selfinstruct.console.beacon import Beacon
from selfinstruct.console.events import Events
from selfinstruct.console.figures import Meter
from selfinstruct.console.metrics import Metrics
from selfinstruct.console.screen import screen
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from selfinstruct.console.figures import Figures
    from selfinstruct.console.outlet import Outlet
    from selfinstruct.pipeline import Progress, Report

TICK = 0.1
"""Seconds between two looks for something to pass on."""
LAST_WORDS = 5.0
"""Seconds that what shows it may take at the end."""


class Watcher:
    """A callable for `pipeline.run(watch=...)`; a context manager around it."""

    def __init__(
        self, folder: Path | None = None, *, quiet: bool = False, events: Path | None = None, metrics: int | None = None
    ) -> None:
        """Show the run in `folder`, which also lets `selfinstruct watch` see it; say nothing at all when `quiet`.

        `events` is a file for JSON lines, `-` for stderr; `metrics` a port for Prometheus.
        """
        self._meter = Meter()
        self._news: deque[str] = deque()
        self._latest: Figures | None = None
        self._ended: tuple[str, int | None] = ("ended", None)
        self._handler = _Handler(self._news)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="watcher", daemon=True)
        self._stack = ExitStack()
        self._outlets: dict[Outlet, float] = {}
        self._metrics = None if metrics is None else Metrics(metrics)
        self._events = events
        self._folder = folder
        self._quiet = quiet or str(events) == "-"

    def __enter__(self) -> Self:
        """Take the terminal, and the warnings of the library.

        Raises:
            BadInputError: the port is taken, or the file for events cannot be opened.
        """
        with ExitStack() as stack:
            for outlet in self._wanted():
                self._outlets[stack.enter_context(outlet)] = 0.0
            if self._metrics is not None and not self._quiet:
                [*self._outlets][-1].warn(f"metrics: {self._metrics.url}")  # the screen's
            logging.getLogger("selfinstruct").addHandler(self._handler)
            self._stack = stack.pop_all()
        self._thread.start()
        return self

    def _wanted(self) -> list[Outlet]:
        wanted: list[Outlet] = [] if self._metrics is None else [self._metrics]
        if self._events is not None:
            wanted.append(Events(self._events, start=self._start, tell=self._news.append))
        if self._folder is not None:
            wanted.append(Beacon(self._folder, tell=self._news.append))
        if not self._quiet:
            wanted.append(screen(str(self._folder or "selfinstruct")))
        return wanted

    def _start(self) -> dict[str, str | None]:
        """Return the facts that are known once all is open."""
        return {
            "run": None if self._folder is None else str(self._folder),
            "metrics": None if self._metrics is None else self._metrics.url,
        }

    def __call__(self, progress: Progress) -> None:
        """Take note of where the run stands."""
        self._latest = self._meter(progress)

    def ended(self, report: Report) -> None:
        """Take note of how it ended."""
        self._ended = (report.message, int(report.exit_status))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show the last of it, and give the terminal back."""
        logging.getLogger("selfinstruct").removeHandler(self._handler)
        if error is not None:
            told = printable(error, longest=400) or type(error).__name__
            self._ended = (told, getattr(error, "exit_status", None))
        self._done.set()
        self._thread.join(LAST_WORDS)
        self._stack.close()

    def _tell(self) -> None:
        while not self._done.wait(TICK):
            self._pass_on(time.monotonic())
        self._pass_on(math.inf)
        for outlet in [*self._outlets]:
            self._guarded(outlet, outlet.end, *self._ended)
        self._pass_on_news()

    def _pass_on(self, now: float) -> None:
        """Give every outlet the warnings, and the latest figures when it is due; `now` is infinite at the end."""
        self._pass_on_news()
        figures = self._latest
        for outlet, due in [*self._outlets.items()]:
            if figures is not None and now >= due and (outlet.last or now != math.inf):
                self._outlets[outlet] = now + outlet.every
                self._guarded(outlet, outlet.show, figures)

    def _pass_on_news(self) -> None:
        while self._news:
            text = self._news.popleft()
            for outlet in [*self._outlets]:
                self._guarded(outlet, outlet.warn, text)

    def _guarded(self, outlet: Outlet, tell: Callable[..., None], *what: object) -> None:
        """Tell one outlet; one that fails (a terminal that was closed) is told no more, the others are told of it."""
        try:
            tell(*what)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run and its other watchers go on
            del self._outlets[outlet]
            self._news.append(
                f"{type(outlet).__name__.lower()} shows nothing any more: {printable(error, longest=200)}"
            )


class _Handler(logging.Handler):
    """Keeps warnings until they can be shown."""

    def __init__(self, news: deque[str]) -> None:
        super().__init__(logging.WARNING)
        self._news = news

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record as one line."""
        self._news.append(printable(record.getMessage(), longest=400))
