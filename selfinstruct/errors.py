"""Every error a user can meet. One base class, few children; each knows its exit status and its remedy.

Rule for adding one: only when a caller treats it differently. Otherwise raise an existing one with a better message.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses of the command line (design section 5)."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    UNREACHABLE = 3
    BUDGET = 4
    SHORT = 5
    INTERRUPTED = 130


LATER = "install a later selfinstruct, from its repository"
"""Remedy for what a later version wrote. No index is named: what lies there under this name may be anybody's."""


class SelfInstructError(Exception):
    """What happened and where; `remedy` is the command or the change that mends it."""

    exit_status = Exit.FAILED

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class BadInputError(SelfInstructError):
    """Something the user gave cannot be used: an option, a recipe, a seed file, a model name, a key."""

    exit_status = Exit.BAD_INPUT


class NothingToExportError(BadInputError):
    """The run can give this format, but has no records for it, or none that would teach a model anything."""


class UnreachableError(SelfInstructError):
    """A server (the model's, the database's) does not answer, for longer than our patience. The run can be resumed."""

    exit_status = Exit.UNREACHABLE


class NoRoomError(SelfInstructError):
    """The store could not write: no further call is sent. The run can be resumed once there is room."""

    exit_status = Exit.UNREACHABLE


class DamageError(SelfInstructError):
    """Stored bytes are not what was written; names the place."""


class CallError(SelfInstructError):
    """One call could not be answered although the server is there: the record fails, its neighbours go on."""


class RefusedError(CallError):
    """The server refuses this very request (400, 413, 422): it would refuse it again."""


class UnreadableError(SelfInstructError):
    """A model's answer could not be read. The runner asks again, then fails the record; it never becomes a value."""
