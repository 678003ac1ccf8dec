"""Where the figures of a run can go: the base of panel, lines, file, events and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from types import TracebackType

    from selfinstruct.console.figures import Figures


class Outlet:
    """Shows figures. A context manager: what it needs is opened before the run, and given back after it."""

    every: ClassVar[float]
    """Seconds between two shows, at least."""
    last: ClassVar[bool] = True
    """Whether it is shown the last figures too, when it is not due."""

    def show(self, figures: Figures) -> None:
        """Show them, as new as they are."""
        raise NotImplementedError

    def warn(self, text: str) -> None:
        """Pass on a warning, one printable line. Ignored where there is no place for it."""

    def end(self, ended: str, status: int | None) -> None:
        """Say how it ended; `status` is the exit status, None when there is none yet. May be called without any show."""

    def __enter__(self) -> Self:
        """Open it.

        Raises:
            BadInputError: it cannot be opened.
        """
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
