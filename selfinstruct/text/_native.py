"""The novelty index of _novelty.c, through ctypes. Built with the package where a C compiler is; nothing needs it."""

from __future__ import annotations

import ctypes
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from selfinstruct.text.rouge import Contents, Found

LIBRARY = Path(__file__).with_name("_novelty.so")
_BLOCK = 4096  # texts handed over at once; threads ask about all of them before they are settled in order
_WORTH_SHARING = 20_000  # texts in the pool below which one thread is as quick

_HANDLE, _SIZE = ctypes.c_void_p, ctypes.c_uint64
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "new": (_HANDLE, [ctypes.c_double]),
    "free": (None, [_HANDLE]),
    "probe_new": (_HANDLE, []),
    "probe_free": (None, [_HANDLE]),
    "count": (_SIZE, [_HANDLE]),
    "need": (ctypes.c_uint32, [ctypes.c_double, ctypes.c_uint32, ctypes.c_uint32]),
    "block": (ctypes.c_int, [_HANDLE, ctypes.c_char_p, _HANDLE, ctypes.c_char_p, _SIZE]),
    "take": (ctypes.c_int, [_HANDLE]),
    "restore": (ctypes.c_int, [_HANDLE, _HANDLE, _HANDLE, _SIZE, _HANDLE, _HANDLE, _SIZE]),
    "ask": (ctypes.c_int, [_HANDLE, _HANDLE, _SIZE, _SIZE, _HANDLE, _HANDLE]),
    "admit": (ctypes.c_int, [_HANDLE, _SIZE, _HANDLE, _HANDLE]),
    "scores": (ctypes.c_int, [_HANDLE, _SIZE, _HANDLE]),
    "contents": (None, [_HANDLE] * 6),
}


@cache
def library() -> Any:  # noqa: ANN401 - ctypes has no better type for functions found by name
    """Return the library.

    Raises:
        ImportError: it was not built, or does not load here.
    """
    try:
        loaded = ctypes.CDLL(str(LIBRARY))
    except OSError as error:
        msg = f"no compiled novelty index: {error}"
        raise ImportError(msg) from None
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(loaded, f"novelty_{name}")
        function.restype, function.argtypes = result, arguments
    return loaded


class Native:
    """The same decisions as `_reference.Reference`, behind the same methods."""

    def __init__(self, threshold: float, tokenize: Callable[[str], list[str]]) -> None:
        """Take the threshold and a tokenizer that cuts ASCII text as rouge_score does: C does that part itself.

        Raises:
            ImportError: there is no library.
        """
        self._c = library()
        self._tokenize = tokenize
        self._index = self._c.novelty_new(threshold)
        if not self._index:
            raise MemoryError
        weakref.finalize(self, self._c.novelty_free, self._index)

    def __len__(self) -> int:
        """Return the number of texts."""
        return int(self._c.novelty_count(self._index))

    def take(self, texts: Sequence[str]) -> None:
        """Take all of them in, novel or not."""
        for block in _blocks(texts):
            self._hand_over(block)
            _check(self._c.novelty_take(self._index))

    def ask(self, text: str) -> Found | None:
        """Return the best F above the threshold and the position of the first text that has it."""
        self._hand_over((text,))
        score, place = ctypes.c_double(), ctypes.c_int64()
        _check(self._c.novelty_ask(self._index, None, 0, 1, ctypes.byref(score), ctypes.byref(place)))
        return None if place.value < 0 else (score.value, place.value)

    def admit(self, texts: Sequence[str], *, threads: int = 1) -> list[Found | None]:
        """Do `ask` for each in order, and take it in if there is none."""
        found: list[Found | None] = []
        for block in _blocks(texts):
            self._hand_over(block)
            scores, places = np.zeros(len(block)), np.full(len(block), -1, np.int64)
            known = len(self) if threads > 1 and len(self) >= _WORTH_SHARING else 0
            if known:
                self._ask_together(scores, places, threads)
            _check(self._c.novelty_admit(self._index, known, scores.ctypes.data, places.ctypes.data))
            pairs = zip(scores.tolist(), places.tolist(), strict=True)
            found += [None if place < 0 else (score, place) for score, place in pairs]
        return found

    def scores(self, text: str) -> np.ndarray:
        """Return F with every text, as float64 in admission order."""
        self._hand_over((text,))
        scores = np.empty(len(self))
        _check(self._c.novelty_scores(self._index, 0, scores.ctypes.data))
        return scores

    def contents(self) -> Contents:
        """Return the tokens of all texts and the vocabulary, as `Contents` says; views that the next change makes invalid."""
        pointers = [_HANDLE() for _ in range(4)]
        words = _SIZE()
        self._c.novelty_contents(self._index, *[ctypes.byref(one) for one in (*pointers, words)])
        starts = _view(pointers[1], len(self) + 1, np.int64)
        word_starts = _view(pointers[3], words.value + 1 if words.value else 0, np.int64)
        letters = _view(pointers[2], int(word_starts[-1]) if len(word_starts) else 0, np.uint8)
        return _view(pointers[0], int(starts[-1]), np.uint32), starts, letters, word_starts

    def restore(self, texts: Sequence[str], contents: Contents) -> None:  # noqa: ARG002 - Python keeps the texts
        """Take in texts that were saved, without cutting them anew."""
        tokens, starts, letters, word_starts = (np.ascontiguousarray(one) for one in contents)
        vocabulary = (letters.ctypes.data, word_starts.ctypes.data, max(0, len(word_starts) - 1))
        _check(
            self._c.novelty_restore(self._index, *vocabulary, tokens.ctypes.data, starts.ctypes.data, len(starts) - 1)
        )
        _check(self._c.novelty_take(self._index))

    def _hand_over(self, texts: Sequence[str]) -> None:
        plain = [text.isascii() for text in texts]
        parts = [
            text.encode() if ascii_ else " ".join(self._tokenize(text)).encode(errors="surrogatepass")
            for text, ascii_ in zip(texts, plain, strict=True)
        ]
        begins = (_SIZE * (len(parts) + 1))(0, *accumulate(map(len, parts)))
        _check(self._c.novelty_block(self._index, b"".join(parts), begins, bytes(plain), len(parts)))

    def _ask_together(self, scores: np.ndarray, places: np.ndarray, threads: int) -> None:
        """Each thread asks about its share of the block; ctypes lets go of the interpreter meanwhile."""
        cuts = np.linspace(0, len(scores), threads + 1).astype(int).tolist()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda share: self._ask_share(share, scores, places), pairwise(cuts)))

    def _ask_share(self, share: tuple[int, int], scores: np.ndarray, places: np.ndarray) -> None:
        probe = self._c.novelty_probe_new()
        try:
            _check(-1 if not probe else 0)
            _check(self._c.novelty_ask(self._index, probe, *share, scores.ctypes.data, places.ctypes.data))
        finally:
            self._c.novelty_probe_free(probe)


def _blocks(texts: Sequence[str]) -> list[Sequence[str]]:
    return [texts[at : at + _BLOCK] for at in range(0, len(texts), _BLOCK)]


def _check(result: int) -> None:
    if result:
        raise MemoryError


def _view(pointer: ctypes.c_void_p, length: int, kind: type[np.generic]) -> np.ndarray:
    if not length or not pointer.value:
        return np.zeros(0, kind)
    size = length * np.dtype(kind).itemsize
    return np.frombuffer(memoryview((ctypes.c_char * size).from_address(pointer.value)), np.dtype(kind))
