"""Shows a run: to a person, to programs, to another terminal. Writes to stderr, to RUN/progress.json and where it is told to.

`figures` says what is shown, each of the others one way to show it: `screen` (with `panel`), `events`, `metrics`, `beacon`.
"""

from __future__ import annotations

from selfinstruct.console.summary import funnel, labels, summary
from selfinstruct.console.watcher import Watcher

__all__ = ["Watcher", "funnel", "labels", "summary"]
