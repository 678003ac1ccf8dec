"""The novelty index in Python with a compiled LCS (rapidfuzz): the reference, and what runs where _novelty.c was not built.

Two texts of m and n tokens are near when their LCS is at least need(m, n). Sort the tokens of each by how rare they are: at
most m - need go unmatched, so the rarest matched token stands at a place <= m - need of one and <= n - need of the other,
the second rarest at most one place further, and so on; and matched tokens stand in the same order in both. So a text is
filed under its rare tokens singly, its commoner ones as ordered pairs, its commonest as ordered triples. Each entry
carries the text's length and slack (the least number of unmatched tokens that it presumes); whoever passes gets its LCS.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import accumulate, chain, combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np
from rapidfuzz.distance import LCSseq
from rapidfuzz.process import cdist

from selfinstruct.text.rouge import f_measure, need

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from selfinstruct.text.rouge import Contents, Found

    _Key = tuple[int, str, int]

TRIPLES, PAIRS = 32, 64  # the longest texts filed by triples and by pairs: longer ones have too many
SINGLE = 64  # a token of at most so many occurrences is filed singly, as one is ...
PAIR = 16  # ... of at most sqrt(PAIR * texts) in pairs, and a commoner one in triples
_FIRST_REFRESH, _GROWTH = 64, 4  # texts at the first refresh, and how much the pool grows to the next
_CHARACTERS = 0x110000 - 0x800 - 0x21  # tokens with a character of their own: no surrogates, no controls
_UNRANKED = 1 << 40  # taken off the number of a token that came after the last refresh
_REMEMBERED = 4096  # entries per _Fitting: texts of thousands of tokens have more lengths than are worth keeping
_REPEATS = 4  # tokens that a text has more than once, from which on its tuples are looked through for equal ones
_FULL = 255  # of the slack in an entry, which only says "at least"


class Reference:
    """Texts by their rarest tokens, one at a time."""

    def __init__(self, threshold: float, tokenize: Callable[[str], list[str]]) -> None:
        """Take the threshold and a tokenizer."""
        self._threshold, self._tokenize = threshold, tokenize
        self._bands = bands(threshold)
        self._texts: list[str] = []
        self._codes: list[str] = []  # one character per token: rapidfuzz compares strings fastest
        self._signatures: list[int] = []
        self._vocabulary: dict[str, str] = {}
        self._ranks: dict[str, int] = {}  # of tokens by how rare they were at the last refresh; newer ones are below 0
        self._sizes: dict[str, int] = {}
        self._postings: list[dict[str, list[int]]] = [
            {} for _ in self._bands
        ]  # entry: position << 32 | length << 8 | slack
        self._refresh_at = _FIRST_REFRESH

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self._texts)

    def take(self, texts: Sequence[str]) -> None:
        """Take all of them in, novel or not."""
        for text in texts:
            code = self._encode(text)
            self._insert(text, code, self._keys(code))

    def ask(self, text: str) -> Found | None:
        """Return the best F above the threshold and the position of the first text that has it."""
        code = self._encode(text)
        return self._rival(text, code, self._keys(code))

    def admit(self, texts: Sequence[str], *, threads: int = 1) -> list[Found | None]:  # noqa: ARG002 - one is all Python has
        """Do `ask` for each in order, and take it in if there is none."""
        found = []
        for text in texts:
            code = self._encode(text)
            keys = self._keys(code)
            found.append(self._rival(text, code, keys))
            if found[-1] is None:
                self._insert(text, code, keys)
        return found

    def scores(self, text: str) -> np.ndarray:
        """Return F with every text, as float64 in admission order."""
        code = self._encode(text)
        lcs = cdist([code], self._codes, scorer=LCSseq.similarity, dtype=np.uint32)[0].astype(np.float64)
        lengths = np.fromiter(map(len, self._codes), np.float64, len(self))
        with np.errstate(divide="ignore", invalid="ignore"):
            precision, recall = lcs / lengths, lcs / len(code) if code else lcs
            scores = np.where(lcs > 0, 2 * precision * recall / (precision + recall), 0.0)
        if len(self._vocabulary) > _CHARACTERS:
            for position in np.flatnonzero(scores):
                scores[position] = self._score(text, code, int(position))
        return scores

    def contents(self) -> Contents:
        """Return the tokens of all texts and the vocabulary, as `Contents` says."""
        numbers = {token: number for number, token in enumerate(self._vocabulary)}
        lists = [[numbers[token] for token in self._tokenize(text)] for text in self._texts]
        words = [word.encode(errors="surrogatepass") for word in numbers]
        return (
            np.fromiter(chain.from_iterable(lists), np.uint32),
            np.fromiter(accumulate(map(len, lists), initial=0), np.int64),
            np.frombuffer(b"".join(words), np.uint8),
            np.fromiter(accumulate(map(len, words), initial=0), np.int64),
        )

    def restore(self, texts: Sequence[str], contents: Contents) -> None:
        """Take in texts that were saved, without cutting them anew."""
        tokens, starts, letters, word_starts = contents
        spelled, cuts = letters.tobytes(), word_starts.tolist()
        words = [spelled[a:b].decode(errors="surrogatepass") for a, b in pairwise(cuts)]
        characters = [self._learn(word) for word in words]
        numbers, ends = tokens.tolist(), starts.tolist()
        self._codes += ["".join([characters[one] for one in numbers[a:b]]) for a, b in pairwise(ends)]
        self._signatures = [_signature(code) for code in self._codes]
        self._texts += texts
        self._refresh()

    def _rival(self, text: str, code: str, keys: list[_Key]) -> Found | None:
        best, where = 0.0, -1
        for position in self._candidates(code, keys):
            least = need(len(code), len(self._codes[position]), self._threshold)
            score = self._score(text, code, position, least=least)
            if score > self._threshold and (score > best or (score == best and position < where)):
                best, where = score, position
        return (best, where) if where >= 0 else None

    def _score(self, text: str, code: str, position: int, *, least: int = 0) -> float:
        """Return the F of `text` with one in the pool, or 0 when their LCS is below `least`."""
        other = self._codes[position]
        lcs = LCSseq.similarity(code, other, score_cutoff=least)
        if lcs and len(self._vocabulary) > _CHARACTERS:  # some tokens share one: so far an upper bound
            lcs = LCSseq.similarity(self._tokenize(text), self._tokenize(self._texts[position]))
        return f_measure(int(lcs), len(code), len(other))

    def _candidates(self, code: str, keys: list[_Key]) -> list[int]:
        found: set[int] = set()
        most = 0
        for band, key, slack in keys:
            entries = self._postings[band].get(key)
            if entries:
                fitting = _fitting(len(code), slack, self._threshold)
                found.update([entry >> 32 for entry in entries if fitting[entry & 0xFFFFFFFF]])
                most = max(most, fitting.most)
        mine, signatures = _signature(code), self._signatures
        return [position for position in found if (mine & ~signatures[position]).bit_count() <= most]

    def _encode(self, text: str) -> str:
        known = self._vocabulary
        tokens = self._tokenize(text)
        try:
            return "".join([known[token] for token in tokens])
        except KeyError:
            return "".join([self._learn(token) for token in tokens])

    def _learn(self, token: str) -> str:
        character = self._vocabulary.get(token)
        if character is None:
            number = len(self._vocabulary)
            character = self._vocabulary[token] = _character(number)
            self._ranks.setdefault(character, number - _UNRANKED)
        return character

    def _keys(self, code: str) -> list[_Key]:
        """Return (band, tokens in text order, slack) of all tuples that a text is filed under, and asked for."""
        length = len(code)
        order = sorted(range(length), key=[self._ranks[token] for token in code].__getitem__)
        sizes = self._sizes
        keys: list[_Key] = []
        for band, (low, high, largest) in enumerate(self._bands):
            most = _unmatched(length, low, high, self._threshold)
            for slack in range(most + 1):
                first = order[slack]
                size = min(sizes.get(code[first], 1), largest)
                if size == 1:
                    keys.append((band, code[first], slack))
                    continue
                for last in range(slack + size - 1, min(most + size, length)):
                    for middle in combinations(order[slack + 1 : last], size - 2):
                        places = sorted((first, *middle, order[last]))
                        keys.append((band, "".join([code[place] for place in places]), last - size + 1))
        return keys if len(set(code)) > length - _REPEATS else _merged(keys)

    def _insert(self, text: str, code: str, keys: list[_Key]) -> None:
        self._texts.append(text)
        self._codes.append(code)
        self._signatures.append(_signature(code))
        if len(self._codes) >= self._refresh_at:
            self._refresh()
        else:
            self._file(len(self._codes) - 1, keys)

    def _file(self, position: int, keys: list[_Key]) -> None:
        entry = position << 32 | len(self._codes[position]) << 8
        for band, key, slack in keys:
            self._postings[band].setdefault(key, []).append(entry | min(slack, _FULL))

    def _refresh(self) -> None:
        """Rank tokens by how rare they are now and file everything anew: each time the pool has grown fourfold."""
        counts = Counter(chain.from_iterable(self._codes))
        common = (PAIR * len(self)) ** 0.5
        for rank, (token, count) in enumerate(sorted(counts.items(), key=lambda one: (one[1], one[0]))):
            self._ranks[token] = rank
            self._sizes[token] = 1 if count <= SINGLE else 2 if count <= common else 3
        self._postings = [{} for _ in self._bands]
        for position, code in enumerate(self._codes):
            self._file(position, self._keys(code))
        while self._refresh_at <= len(self):
            self._refresh_at *= _GROWTH


def _merged(keys: list[_Key]) -> list[_Key]:
    """A text that says the same over and over makes the same tuples over and over: one each will do, of the least slack."""
    least: dict[tuple[int, str], int] = {}
    for band, key, slack in keys:
        least[band, key] = min(slack, least.get((band, key), slack))
    return [(*which, slack) for which, slack in least.items()]


def bands(threshold: float) -> list[tuple[int, int, int]]:
    """Return (shortest, longest, largest tuple) of each band; two texts meet in that of the longer one.

    Near texts match at least as many tokens as a tuple has: with fewer, 2 * (size - 1) / (m + n) would have to pass the
    threshold.
    """
    one, two = int(2 / threshold) + 1, int(4 / threshold) + 1
    cuts = [0, one, two, max(two, TRIPLES), max(two, PAIRS), 1 << 40]
    return [
        (low + 1, high, size) for (low, high), size in zip(pairwise(cuts), (1, 2, 3, 2, 1), strict=True) if low < high
    ]


class _Fitting(dict[int, bool]):
    """Whether an entry (length << 8 | slack) can be near a text of some length and slack; worked out once for each."""

    def __init__(self, length: int, slack: int, threshold: float) -> None:
        super().__init__()
        self._length, self._slack, self._threshold = length, slack, threshold
        self.most = _unmatched(length, 1, 1 << 40, threshold)
        """Tokens of a text of this length that may go unmatched, at most."""

    def __missing__(self, entry: int) -> bool:
        other, its_slack = entry >> 8, entry & _FULL
        least = need(self._length, other, self._threshold)
        fits = bool(least) and self._slack + least <= self._length and its_slack + least <= other
        if len(self) < _REMEMBERED:
            self[entry] = fits
        return fits


_fitting = lru_cache(maxsize=1 << 12)(_Fitting)


@lru_cache(maxsize=1 << 16)
def _unmatched(length: int, low: int, high: int, threshold: float) -> int:
    """Return how many tokens a text of `length` may leave unmatched with any partner in a band; -1: it has none there.

    That is with the shortest partner that can score above the threshold, since need grows with the partner.
    """
    if not 0 < length <= high:
        return -1
    shortest = max(1, int(length * threshold / (2 - threshold)) - 1) if length >= low else low
    longest = min(high, int(length * (2 - threshold) / threshold) + 2)
    return next((length - least for n in range(shortest, longest + 1) if (least := need(length, n, threshold))), -1)


def _signature(code: str) -> int:
    """Return 60 bits: a bit that another text lacks is a token that it lacks."""
    bits = 0
    for token in code:
        bits |= 1 << ord(token) % 60
    return bits


def _character(number: int) -> str:
    """Return the character of the `number`-th token; past a million they are given out again, and `_score` looks twice."""
    code = number % _CHARACTERS + 0x21
    return chr(code if code < 0xD800 else code + 0x800)  # noqa: PLR2004 - where the surrogates begin, and their number
