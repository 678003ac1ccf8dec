"""The finished rows of a run or a file with the scores they got, kept or not: what thresholds are tried on. Asks no model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from selfinstruct.errors import BadInputError, DamageError
from selfinstruct.files import sha256
from selfinstruct.gates.score import Score
from selfinstruct.records import Fate, Judgement, Row, content_id
from selfinstruct.runs import open_stored
from selfinstruct.tables import read_table
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selfinstruct.recipe import Recipe
    from selfinstruct.runs import StoredRun

SCALE = (0.0, 5.0)
"""Of a file whose scale nobody names: AlpaGasus'."""
FINEST = 20
"""Most steps that a scale is cut into where half points would be more."""


class ScoredRow(NamedTuple):
    """A row with its score. For a run `id` is the record's; for a file it follows from the texts."""

    id: str
    instruction: str
    input: str
    output: str
    score: float
    is_classification: bool | None = None

    @property
    def text_id(self) -> str:
        """Name these very texts: an answer that was replaced since has another one."""
        return content_id(self.instruction, self.input, self.output)


@dataclass(frozen=True, slots=True)
class ScoredTable:
    """All rows with a score, in order, and where the others went: reached = rows + dropped elsewhere + unscored."""

    source: Path
    digest: str
    """Of what decides a run's rows, or of a file's bytes."""
    scale: tuple[float, float]
    threshold: float
    """Lowest score that is kept as it stands."""
    rows: list[ScoredRow]
    reached: int
    unscored: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    """By rules other than the score: no threshold brings these back."""

    @property
    def good(self) -> float:
        """Return the score from which on a row is a good one: the threshold in use, or 4.5 of 5 where all are kept."""
        lowest, highest = self.scale
        return self.threshold if self.threshold > lowest else _usual(lowest, highest)

    def steps(self) -> list[float]:
        """Return the thresholds worth looking at: every half point (a twentieth of a long scale), and the one in use."""
        lowest, highest = self.scale
        step = max(0.5, (highest - lowest) / FINEST)
        there = [lowest + step * number for number in range(int((highest - lowest) / step + 1e-9) + 1)]
        return sorted({*there, self.threshold})


def load(source: Path, *, scale: tuple[float, float] | None = None) -> ScoredTable:
    """Read a run folder, or a file with the columns instruction, input (may be absent), output and score.

    Raises:
        BadInputError: neither of them, without scores, or a score outside the scale.
    """
    if source.is_dir():
        if scale is not None:
            msg = f"{source} is a run: it knows its scale"
            raise BadInputError(msg, remedy="leave --scale out")
        with open_stored(source) as run:
            return of_run(run)
    return _of_file(source, scale or SCALE)


def of_run(run: StoredRun) -> ScoredTable:
    """Return the rows of `run` up to its last one, kept and dropped.

    Raises:
        BadInputError: nothing of it was scored. DamageError: its counts do not add up.
    """
    label = run.tree.rows
    scale = scale_of(run)
    rows: list[ScoredRow] = []
    other: Counter[str] = Counter()
    unscored = run.store.fates(upto=run.closing).get((label, Fate.FAILED.value), 0)
    for rule, record in judged_records(run):
        score = record.get("score")
        if rule not in {None, "score", "unscored"}:
            other[str(rule)] += 1
        elif score is None:
            unscored += 1
        else:
            texts = record["instruction"], record["input"], record["output"]
            rows.append(ScoredRow(record["id"], *texts, score, record["is_classification"]))
    reached = run.store.worked(upto=run.closing).get(label, 0)
    if reached != len(rows) + other.total() + unscored:
        msg = f"{run.folder}: {reached} rows were judged, but {len(rows) + other.total() + unscored} are accounted for"
        raise DamageError(msg, remedy=f"selfinstruct verify {run.folder}")
    if not rows:
        msg = f"{run.folder} has no scored row: {reached} reached {label}, {unscored} of them unscored"
        raise BadInputError(msg, remedy=f"selfinstruct stats {run.folder}")
    least = threshold_of(run.recipe)
    return ScoredTable(
        source=run.folder,
        digest=run.digest,
        scale=scale,
        threshold=scale[0] if least is None else least,
        rows=rows,
        reached=reached,
        unscored=unscored,
        dropped=dict(other.most_common()),
    )


def judged_records(run: StoredRun) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Yield (rule that dropped it or None, stored record) of everything that the row-making stage made, in order."""
    for row, body in run.store.scan(run.tree.rows, upto=run.closing):
        yield row.rule, body["record"]


def threshold_of(recipe: Recipe) -> float | None:
    """Return the lowest score that a recipe keeps; None where it drops no row by its score."""
    stages = (stage for stage in recipe.stages if stage.writes() is Row)
    return next((gate.least for stage in stages for gate in stage.gates if isinstance(gate, Score)), None)


def scale_of(run: StoredRun) -> tuple[float, float]:
    """Return the lowest and highest score that the judges of a run can give.

    Raises:
        BadInputError: the run has no judge that names its scale.
    """
    judges = (stage for stage in run.recipe.stages if stage.writes() is Judgement)
    scales = [scale for judge in judges if (scale := getattr(judge, "scale", None)) is not None]
    if not scales:
        msg = f"{run.folder} has no scores: no stage of its recipe judges on a scale"
        raise BadInputError(
            msg, remedy="add `respond`, a judge and `select` to the recipe, or: selfinstruct judge FILE"
        )
    return float(min(one[0] for one in scales)), float(max(one[1] for one in scales))


def check_threshold(least: float, scale: tuple[float, float], *, option: str = "--min-score") -> None:
    """Refuse a threshold that the judge's scale does not hold.

    Raises:
        BadInputError: as said.
    """
    lowest, highest = scale
    if not lowest <= least <= highest:  # catches NaN too
        msg = f"{option} {least:g} is outside of the judge's scale, {lowest:g} to {highest:g}"
        raise BadInputError(msg, remedy=f"give one from {lowest:g} to {highest:g}")


def _of_file(path: Path, scale: tuple[float, float]) -> ScoredTable:
    if not scale[0] < scale[1]:
        msg = f"--scale {scale[0]:g} {scale[1]:g} is none: the lowest score comes first"
        raise BadInputError(msg, remedy="for instance --scale 1 10")
    table = read_table(path, needed=("instruction", "output", "score"))
    rows, unscored, seen = [], 0, Counter[str]()
    for where, row in table:
        score = _number(row["score"], place=f"{path} {where}", scale=scale)
        if score is None:
            unscored += 1
            continue
        texts = str(row["instruction"] or ""), str(row.get("input") or ""), str(row["output"] or "")
        name = content_id(*texts)
        seen[name] += 1
        rows.append(ScoredRow(name if seen[name] == 1 else content_id(name, seen[name]), *texts, score))
    if not rows:
        msg = f"{path} has no scored row"
        raise BadInputError(msg, remedy=f"selfinstruct judge {path} -o judged.jsonl")
    return ScoredTable(path, sha256(path), scale, _usual(*scale), rows, len(table), unscored)


def _usual(lowest: float, highest: float) -> float:
    """Return as high a score on this scale as AlpaGasus' 4.5 is on 0 to 5, at a half point."""
    return int(2 * (lowest + 0.9 * (highest - lowest)) + 1e-9) / 2


def _number(value: object, *, place: str, scale: tuple[float, float]) -> float | None:
    """Return a score as a number; None for an empty cell."""
    if value is None or value == "":
        return None
    try:
        number = float(str(value))
    except ValueError:
        number = float("nan")
    if isinstance(value, bool) or not scale[0] <= number <= scale[1]:
        msg = f"{place}: score {printable(value, longest=40)!r} is no number from {scale[0]:g} to {scale[1]:g}"
        raise BadInputError(msg, remedy="mend it, or name the scale: --scale LOWEST HIGHEST")
    return number
