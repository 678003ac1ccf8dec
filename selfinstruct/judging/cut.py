"""What is asked of rows and pairs to be kept, instead of a run's own thresholds."""

from __future__ import annotations

from selfinstruct.errors import BadInputError
from selfinstruct.judging.scored import check_threshold
from selfinstruct.records import Frozen


class Cut(Frozen):
    """What is asked of a row, and of a preference pair, to be kept."""

    min_score: float
    """Lowest score of a row, and of the chosen answer of a pair."""
    min_margin: float | None = None
    """Lowest margin of a pair; None for the run's own."""
    max_length_ratio: float | None = None
    """The longer answer of a pair is at most so many times as long (`pairing.length_ratio`); None for the run's own."""

    per_doubling: float = 0.0
    """Points taken off per doubling of an answer's length (`judging/length.py`); 0 takes the scores as they are."""

    def asked(self) -> dict[str, float]:
        """Return what was asked for, for a manifest."""
        asked: dict[str, float] = self.model_dump(exclude_none=True)
        return asked if self.per_doubling else {name: value for name, value in asked.items() if name != "per_doubling"}

    def of_rows(self) -> Cut:
        """Return what is asked of rows: only a pair has a margin, and two lengths."""
        return self.model_copy(update={"min_margin": None, "max_length_ratio": None})


def check(cut: Cut, scale: tuple[float, float]) -> None:
    """Refuse a cut that no row or pair could be held against.

    Raises:
        BadInputError: as said.
    """
    check_threshold(cut.min_score, scale)
    if cut.min_margin is not None and not 0 < cut.min_margin <= scale[1] - scale[0]:
        msg = f"--min-margin {cut.min_margin:g}: a tie is no pair, and the scale is {scale[0]:g} to {scale[1]:g}"
        raise BadInputError(msg, remedy=f"give one above 0, at most {scale[1] - scale[0]:g}")
    if cut.max_length_ratio is not None and not cut.max_length_ratio > 1:
        msg = f"--max-length-ratio {cut.max_length_ratio:g}: lengths never agree so well"
        raise BadInputError(msg, remedy="give one above 1")
