"""The texts a row is compared with, where each of them stands, and what was seen of all of them. Knows no file format."""

from __future__ import annotations

import os
import re
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING

from selfinstruct.text.rouge import NoveltyIndex
from selfinstruct.text.tokens import TOKENIZERS, caution, count_unseen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from selfinstruct.text.rouge import Neighbour

_TOKEN = re.compile("[A-Za-z0-9]")
_THREADS = os.cpu_count() or 1


class Pool:
    """A novelty index that knows where its texts came from: eight bytes a text."""

    def __init__(self, threshold: float, *, tokenizer: str) -> None:
        """Take the highest F that is still novel, and the tokenizer."""
        self._index = NoveltyIndex(threshold, tokenizer=tokenizer)
        self._numbers = array("Q")  # position in the index -> number in its source
        self._starts: list[int] = []  # first position of each source
        self._sources: list[int] = []

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self._index)

    def origin(self, position: int) -> tuple[int, int]:
        """Return (source, number in there) of the text at a position of the index."""
        return self._sources[bisect_right(self._starts, position) - 1], self._numbers[position]

    def extend(self, source: int, texts: Sequence[str], numbers: Sequence[int]) -> None:
        """Take all texts in, near or not."""
        self._begin(source)
        self._index.extend(texts)
        self._numbers.extend(numbers)

    def extend_saved(self, source: int, path: Path) -> None:
        """Take in the texts of a saved index; their numbers count from 1."""
        self._begin(source)
        before = len(self._index)
        self._index.extend_saved(path)
        self._numbers.extend(range(1, len(self._index) - before + 1))

    def admit(self, source: int, texts: Sequence[str], numbers: Sequence[int]) -> list[Neighbour | None]:
        """Return for each text its nearest earlier one above the threshold; None: there is none, and it was taken in."""
        self._begin(source)
        found = self._index.admit(texts, threads=_THREADS)
        self._numbers.extend(number for number, near in zip(numbers, found, strict=True) if near is None)
        return found

    def save(self, path: Path) -> None:
        """Write the index, for `--against` of another day; whole or not at all."""
        self._index.save(path)

    def _begin(self, source: int) -> None:
        if not self._sources or self._sources[-1] != source:
            self._starts.append(len(self._numbers))
            self._sources.append(source)


class Sight:
    """Counts what the tokenizer does not see of the texts."""

    def __init__(self, tokenizer: str) -> None:
        """Take the name of the tokenizer."""
        self._tokenizer, self._unseen, self._letters = tokenizer, 0, 0
        self.without_tokens = 0
        """Texts that score 0 with everything, and so are always kept."""

    @property
    def caution(self) -> str:
        """What has to be told of it, if anything."""
        return caution(self._unseen, self._letters)

    def see(self, texts: Sequence[str]) -> None:
        """Count a batch of texts."""
        cut = TOKENIZERS[self._tokenizer]
        self.without_tokens += sum(not _TOKEN.search(text) and not cut(text) for text in texts)
        unseen, letters = count_unseen(texts, self._tokenizer)
        self._unseen, self._letters = self._unseen + unseen, self._letters + letters
