"""Tells a server that fails from records that do, and a fault of ours from both. Knows no store and no task."""

from __future__ import annotations

from selfinstruct.errors import SelfInstructError

FAILURES_IN_A_ROW = 25
"""So many failed records without one success between them end the run: it is not the records."""

FAILURES_SHOWN = 3
"""Of them are shown then, with what was answered."""


class Failures:
    """What failed since the last success."""

    def __init__(self) -> None:
        self._told: list[str] = []

    def note(self, stage: str, error: str | None) -> None:
        """Take in how a piece of work ended; None is a success.

        Raises:
            SelfInstructError: too many in a row.
        """
        if error is None:
            self._told.clear()
            return
        self._told.append(f"stage {stage}: {error}")
        if len(self._told) >= FAILURES_IN_A_ROW:
            latest = "".join(f"\n  {told}" for told in dict.fromkeys(self._told[-FAILURES_SHOWN:]))
            msg = f"the last {len(self._told)} records all failed; the latest:{latest}"
            raise SelfInstructError(msg, remedy="selfinstruct doctor --base-url URL; then: selfinstruct resume RUN")


def fault(where: str, problem: Exception) -> SelfInstructError:
    """Return what ends a run, or a worker, because of `problem`: also what nobody foresaw must end it, not hang it."""
    if isinstance(problem, SelfInstructError):
        return problem
    found = SelfInstructError(
        f"{where}: {type(problem).__name__}: {problem}", remedy="the same command after `selfinstruct -v` shows where"
    )
    found.__cause__ = problem
    return found
