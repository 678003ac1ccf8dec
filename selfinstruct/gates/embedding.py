"""Drops a text that says what an earlier one says in other words: cosine of sentence embeddings. Wants the extra `embeddings`."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from selfinstruct.records import DropReason
from selfinstruct.stage import Gate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from selfinstruct.records import Instruction
    from selfinstruct.stage import Work

_PARTS = 6  # digits after the point that a figure keeps: the last ones depend on the machine


class Embedding(Gate):
    """Paraphrases, by a sentence-transformers model on the CPU. Every pair is compared, by one matrix product.

    Decisions close to the threshold may differ between machines, as floats of neural networks do: a run that must be
    repeated to the letter elsewhere wants the rouge gate alone.
    """

    novelty: ClassVar[bool] = True
    kind: Literal["embedding"] = "embedding"
    model: Annotated[str, Field(min_length=1)]
    """Folder of a sentence-transformers model, or its name in the local Hub cache: nothing is downloaded here."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.85
    """Highest cosine that is kept (strictly above drops). Of 20 paraphrases and 20 tasks that look alike, written for
    `tests/gates/test_embedding.py`, all-MiniLM-L6-v2 has 6 and 0 above 0.85, 10 and 1 above 0.8, 18 and 7 above 0.7."""

    @model_validator(mode="after")
    def _installed(self) -> Self:
        if find_spec("sentence_transformers") is None:
            message = (
                "the embedding gate needs sentence-transformers: pip install torch==2.13.0 'selfinstruct[embeddings]'"
            )
            raise ValueError(message)
        return self

    def reason_to_drop(self, record: Instruction, work: Work) -> DropReason | None:
        """Compare with all seeds and everything accepted so far."""
        figure, nearest = work.pool.index(self, self._index).rival(record.text)
        if figure <= self.threshold:
            return None
        return DropReason(rule="embedding", figure=figure, threshold=self.threshold, evidence={"nearest": nearest})

    def _index(self) -> _Index:
        return _Index(_loaded(self.model))


class _Index:
    def __init__(self, model: Any) -> None:  # noqa: ANN401 - an extra, without types here
        self._model = model
        self._texts: list[str] = []
        self._rows = np.zeros((0, 0), np.float32)

    def extend(self, texts: Iterable[str]) -> None:
        fresh = list(texts)
        if not fresh:
            return
        rows = self._encode(fresh)
        filled = len(self._texts)
        if filled + len(rows) > len(self._rows):
            grown = np.zeros((2 * (filled + len(rows)), rows.shape[1]), np.float32)
            if filled:
                grown[:filled] = self._rows[:filled]
            self._rows = grown
        self._rows[filled : filled + len(rows)] = rows
        self._texts += fresh

    def rival(self, text: str) -> tuple[float, str]:
        """Return the highest cosine and the first text that has it."""
        if not self._texts:
            return 0.0, ""
        cosines = self._rows[: len(self._texts)] @ self._encode([text])[0]
        where = int(cosines.argmax())
        return round(float(cosines[where]), _PARTS), self._texts[where]

    def _encode(self, texts: list[str]) -> np.ndarray:
        rows = self._model.encode(texts, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False)
        return np.asarray(rows, np.float32)


@lru_cache(maxsize=2)
def _loaded(model: str) -> Any:  # noqa: ANN401
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - 10 s of torch

    return SentenceTransformer(model, device="cpu", local_files_only=True)
