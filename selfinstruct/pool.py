"""Seeds and accepted instructions, as they stood after each request. Knows no gate, prompt or store."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from selfinstruct.records import Instruction, SeedTask


class Index(Protocol):
    """What a novelty gate keeps of the pool: anything that takes texts in, in order."""

    def extend(self, texts: Iterable[str]) -> None:
        """Take all of them in."""


AnIndex = TypeVar("AnIndex", bound=Index)


class Member(NamedTuple):
    """What is kept of an accepted instruction: a tenth of its record, which matters at 100,000."""

    id: str
    text: str


class Pool:
    """Grows in request order only, whatever order the answers arrive in: that is what makes a run repeatable."""

    def __init__(self, seeds: Sequence[SeedTask]) -> None:
        """Start from the seed tasks."""
        self.seeds = tuple(seeds)
        self.machine: list[Member] = []
        self.texts = [seed.instruction for seed in seeds]
        """Seeds first, then accepted instructions in admission order: what novelty is measured against."""
        self._marks = [0]
        self._indexes: dict[Hashable, tuple[Index, int]] = {}

    @property
    def requests(self) -> int:
        """Number of requests admitted so far; also the number of the next one."""
        return len(self._marks) - 1

    def admit(self, instruction: Instruction) -> None:
        """Add one accepted instruction of the request that is being admitted."""
        self.machine.append(Member(instruction.id, instruction.text))
        self.texts.append(instruction.text)

    def close_request(self) -> None:
        """Mark the end of the request that was being admitted."""
        self._marks.append(len(self.machine))

    def index(self, key: Hashable, make: Callable[[], AnIndex]) -> AnIndex:
        """Return the index of all texts so far that goes by `key`, made when it is first asked for.

        One per key, whoever asks; it takes in what is new.
        """
        index, taken = self._indexes.get(key, (None, 0))
        if index is None:
            index = make()
        index.extend(self.texts[taken:])
        self._indexes[key] = (index, len(self.texts))
        return index  # type: ignore[return-value]  # equal keys have equal makers

    def upto(self, requests: int) -> Sequence[Member]:
        """Return the instructions accepted from the first `requests` requests."""
        return self.machine[: self._marks[requests]]

    def restore(self, admitted: Iterable[tuple[int, Instruction]], *, requests: int) -> None:
        """Rebuild the pool of a stored run: (request number, instruction) in admission order."""
        for number, instruction in admitted:
            while self.requests < number:
                self.close_request()
            self.admit(instruction)
        while self.requests < requests:
            self.close_request()
