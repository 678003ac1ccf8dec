"""ROUGE-L, decided exactly as rouge_score decides, against a growing pool of texts. Knows no record.

Exact throughout: bounds only skip pairs that cannot score above the threshold; the rest get their LCS. The work is done by
`_novelty.c` where it was built and by `_reference.py`, with the same decisions, where not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Self

from rapidfuzz.distance import LCSseq

from selfinstruct.text.tokens import TOKENIZERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np

    from selfinstruct.text._native import Native
    from selfinstruct.text._reference import Reference

    Found = tuple[float, int]
    """F and position."""
    Contents = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    """Numbers of all tokens back to back (uint32), where each text begins (int64, one more than texts); the letters of all
    words back to back (uint8, UTF-8), where each word begins (int64, one more than words)."""


SAVED = ".novelty"
"""Suffix of a saved index."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A pooled text, its ROUGE-L F (0 to 1) with the text asked about, and its position in the pool."""

    text: str
    score: float
    position: int


def f_measure(lcs: int, first: int, second: int) -> float:
    """Return the float that rouge_score computes from an LCS and two lengths in tokens; symmetric bit for bit."""
    if not lcs:
        return 0.0
    precision, recall = lcs / second, lcs / first
    return 2 * precision * recall / (precision + recall)


def rouge_l(first: Sequence[str], second: Sequence[str]) -> float:
    """Return the ROUGE-L F of two token lists, 0 to 1; 0 when one is empty."""
    return f_measure(int(LCSseq.similarity(first, second)), len(first), len(second))


@lru_cache(maxsize=1 << 16)  # bounded: texts of a thousand lengths make a million pairs
def need(first: int, second: int, threshold: float) -> int:
    """Return the least LCS whose F is above the threshold, or 0 when none is.

    From the very float, never by algebra: at F exactly 7/10 it lands above 0.7 in 83 of 177 ties.
    """
    low = int(threshold * (first + second) / 2) - 1
    candidates = range(max(1, low), min(first, second) + 1)
    return next((lcs for lcs in candidates if f_measure(lcs, first, second) > threshold), 0)


class NoveltyIndex:
    """Texts to be told apart: `add_if_novel` to grow it, `rival` to ask what is too near, `nearest` to look around.

    Order of admission decides, and only that: the same texts in the same order leave the same survivors, one by one or
    in batches, on one thread or several, in C or in Python. A text with no token scores 0 with everything, as in
    rouge_score, and so is always novel.
    """

    def __init__(self, threshold: float = 0.7, *, tokenizer: str = "rouge", native: bool | None = None) -> None:
        """Take the highest F that is still novel (above 0, at most 1), a tokenizer of `text.tokens`, and C or Python.

        `native` None takes C where it was built. Raises ValueError for a threshold out of range, KeyError for an unknown
        tokenizer, ImportError when C is asked for and was not built.
        """
        if not 0 < threshold <= 1:
            message = f"a ROUGE-L threshold lies above 0 and is at most 1, not {threshold}"
            raise ValueError(message)
        self.threshold, self.tokenizer = threshold, tokenizer
        self._texts: list[str] = []
        self._core = _core(threshold, tokenizer, native=native)

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self._texts)

    def text(self, position: int) -> str:
        """Return the text that was the `position`-th to be taken in, from 0."""
        return self._texts[position]

    def add_if_novel(self, text: str) -> bool:
        """Take `text` in if no earlier one scores above the threshold; say whether it was."""
        return self.admit((text,))[0] is None

    def rival(self, text: str) -> Neighbour | None:
        """Return the nearest text above the threshold, the earliest among equals; None when `text` is novel."""
        return self._neighbour(self._core.ask(text))

    def nearest(self, text: str, k: int = 1) -> list[Neighbour]:
        """Return the `k` texts of the highest F, whatever the threshold, the earliest first among equals."""
        return self.survey(text, k)[0]

    def survey(self, text: str, k: int = 10, *, before: int | None = None) -> tuple[list[Neighbour], float]:
        """Return the `k` nearest and the mean F with all texts, or with those `before` a position.

        With k = 10 it is what Self-Instruct keeps of each row.
        """
        import numpy as np  # noqa: PLC0415 - 80 ms, wanted by few

        scores = self._core.scores(text)[:before]
        if not len(scores):
            return [], 0.0
        k = min(k, len(scores))
        floor = np.partition(scores, len(scores) - k)[len(scores) - k] if k else 2.0
        places = np.flatnonzero(scores >= floor)
        best = places[np.argsort(-scores[places], kind="stable")][:k].tolist()
        return [Neighbour(self._texts[place], float(scores[place]), place) for place in best], float(scores.mean())

    def admit(self, texts: Sequence[str], *, threads: int = 1) -> list[Neighbour | None]:
        """Take in, in order, each that is novel; return for each None, or the rival for which it was left out."""
        found = self._core.admit(texts, threads=threads)
        self._texts += [text for text, one in zip(texts, found, strict=True) if one is None]
        return [self._neighbour(one) for one in found]

    def extend(self, texts: Iterable[str]) -> None:
        """Take all of them in, novel or not, in order."""
        fresh = list(texts)
        self._core.take(fresh)
        self._texts += fresh

    def add(self, text: str) -> None:
        """Take `text` in, novel or not."""
        self.extend((text,))

    def save(self, path: Path) -> None:
        """Write texts and tokens to an Arrow file, whole or not at all; `load` is quicker than reading the texts anew.

        Raises:
            NoRoomError: the disk refused.
        """
        from selfinstruct.text import _saved  # noqa: PLC0415 - pyarrow takes 200 ms

        _saved.save(path, self._texts, self._core.contents(), tokenizer=self.tokenizer)

    def extend_saved(self, path: Path) -> None:
        """Take in all texts of a saved index, after those that are here.

        Raises:
            BadInputError: no such file, damage, another format, or another tokenizer.
        """
        from selfinstruct.text import _saved  # noqa: PLC0415

        texts, contents = _saved.load(path, tokenizer=self.tokenizer)
        self._core.restore(texts, contents)
        self._texts += texts

    @classmethod
    def load(cls, *paths: Path, threshold: float = 0.7, tokenizer: str = "rouge") -> Self:
        """Return an index of all texts of one or several saved ones; see `extend_saved`."""
        index = cls(threshold, tokenizer=tokenizer)
        for path in paths:
            index.extend_saved(path)
        return index

    def _neighbour(self, found: Found | None) -> Neighbour | None:
        return Neighbour(self._texts[found[1]], *found) if found else None


def _core(threshold: float, tokenizer: str, *, native: bool | None) -> Native | Reference:
    if native is not False:
        from selfinstruct.text._native import Native  # noqa: PLC0415 - only those who compare texts pay for either

        try:
            return Native(threshold, TOKENIZERS[tokenizer])
        except ImportError:
            if native:
                raise
    from selfinstruct.text._reference import Reference  # noqa: PLC0415

    return Reference(threshold, TOKENIZERS[tokenizer])
