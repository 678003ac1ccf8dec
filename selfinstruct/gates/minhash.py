"""Drops a text that shares most of its word n-grams with an earlier one: for texts of page length. Wants the extra `minhash`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from selfinstruct.records import DropReason
from selfinstruct.stage import Gate
from selfinstruct.text.tokens import unicode_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable

    from selfinstruct.records import Instruction
    from selfinstruct.stage import Work

_PERMUTATIONS, _BANDS, _SEED = 128, 32, 42  # of a pair with Jaccard 0.7, 1 - (1 - 0.7^4)^32 = 99.98 % become candidates


class MinHash(Gate):
    """Jaccard of word n-grams: candidates by MinHash-LSH (rensa), each verified exactly before anything is dropped.

    So nothing is dropped that is not near; of what is near, about one in 5,000 at Jaccard 0.7 is missed (by the formula
    above; 0 of 569 in `tests/gates/test_minhash.py`). Two texts with fewer than n words are near only when equal.
    """

    novelty: ClassVar[bool] = True
    kind: Literal["minhash"] = "minhash"
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.7
    """Highest Jaccard that is kept (strictly above drops)."""
    n: Annotated[int, Field(ge=1, le=10)] = 3
    """Words in an n-gram."""

    @model_validator(mode="after")
    def _installed(self) -> Self:
        if find_spec("rensa") is None:
            message = "the minhash gate needs the package rensa: pip install 'selfinstruct[minhash]'"
            raise ValueError(message)
        return self

    def reason_to_drop(self, record: Instruction, work: Work) -> DropReason | None:
        """Compare with all seeds and everything accepted so far that shares a band."""
        figure, nearest = work.pool.index(self, self._index).rival(record.text)
        if figure <= self.threshold:
            return None
        return DropReason(rule="minhash", figure=figure, threshold=self.threshold, evidence={"nearest": nearest})

    def _index(self) -> _Index:
        return _Index(self.n)


class _Index:
    def __init__(self, n: int) -> None:
        from rensa import RMinHash, RMinHashLSH  # noqa: PLC0415 - an extra

        self._n, self._hash = n, RMinHash
        self._bands = RMinHashLSH(
            threshold=0.5, num_perm=_PERMUTATIONS, num_bands=_BANDS
        )  # the threshold only names it
        self._texts: list[str] = []
        self._grams: list[frozenset[str]] = []

    def extend(self, texts: Iterable[str]) -> None:
        for text in texts:
            grams = self._cut(text)
            self._bands.insert(len(self._texts), self._sketch(grams))
            self._texts.append(text)
            self._grams.append(grams)

    def rival(self, text: str) -> tuple[float, str]:
        """Return the highest Jaccard among the candidates, and the first text that has it."""
        mine = self._cut(text)
        best, where = 0.0, -1
        for position in sorted(self._bands.query(self._sketch(mine))):
            other = self._grams[position]
            figure = len(mine & other) / len(mine | other) if mine or other else 0.0
            if figure > best:
                best, where = figure, position
        return best, self._texts[where] if where >= 0 else ""

    def _cut(self, text: str) -> frozenset[str]:
        words = unicode_tokens(text)
        if len(words) < self._n:
            return frozenset([" ".join(words)] if words else [])
        return frozenset(" ".join(words[at : at + self._n]) for at in range(len(words) - self._n + 1))

    def _sketch(self, grams: frozenset[str]) -> object:
        sketch = self._hash(num_perm=_PERMUTATIONS, seed=_SEED)
        sketch.update(sorted(grams))
        return sketch
