"""The finished rows of a run or a file with the scores they got, kept or not: what thresholds are tried on. Asks no model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from selfinstruct.errors import BadInputError, DamageError
from selfinstruct.files import sha256
from selfinstruct.records import Fate, Judgement, content_id
from selfinstruct.runs import open_stored
from selfinstruct.stage import least_kept
from selfinstruct.tables import place
from selfinstruct.tables.layouts import parse_columns, read_tasks
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selfinstruct.runs import StoredRun
    from selfinstruct.store import RecordRow
    from selfinstruct.tables.layouts import Task

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


def load(
    source: Path, *, scale: tuple[float, float] | None = None, columns: str = "", score: str = "score"
) -> ScoredTable:
    """Read a run folder, or a file of one answer and one score a row; `columns` as for `judge`, `score` names a column.

    Raises:
        BadInputError: neither of them, without scores, or a score outside the scale.
    """
    if source.is_dir():
        if scale is not None or columns or score != "score":
            msg = f"{source} is a run: it knows its scale and its columns"
            raise BadInputError(msg, remedy="leave --scale, --columns and --score out")
        with open_stored(source) as run:
            return of_run(run)
    return _of_file(source, scale or SCALE, columns, score)


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
    for row, record in judged_records(run):
        rule = row.rule
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
    least = least_kept(run.recipe.stages)
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


def judged_records(run: StoredRun) -> Iterator[tuple[RecordRow, dict[str, Any]]]:
    """Yield (row, stored record) of everything that the row-making stage made, kept and dropped, in order."""
    for row, body in run.store.scan(run.tree.rows, upto=run.closing):
        yield row, body["record"]


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


def _of_file(path: Path, scale: tuple[float, float], columns: str, score: str) -> ScoredTable:
    if not (scale[0] < scale[1] and all(isfinite(2 * end) for end in scale)):  # half points are counted
        msg = f"--scale {scale[0]:g} {scale[1]:g} is none: the lowest score comes first, and both are finite"
        raise BadInputError(msg, remedy="for instance --scale 1 10")
    rows: list[ScoredRow] = []
    reached, seen = 0, Counter[str]()
    for where, value, task in _tasks(path, columns, score):
        reached += 1
        number = _number(value, name=score, where=where, scale=scale)
        if number is not None:
            texts = task.instruction, task.input, task.output
            name = content_id(*texts)
            seen[name] += 1
            rows.append(ScoredRow(name if seen[name] == 1 else content_id(name, seen[name]), *texts, number))
    if not rows:
        msg = f"{path} has no scored row"
        raise BadInputError(msg, remedy=f"selfinstruct judge {path} --min-score {scale[0]:g} -o judged.jsonl")
    return ScoredTable(path, sha256(path), scale, _usual(*scale), rows, reached, reached - len(rows))


def _tasks(path: Path, columns: str, score: str) -> Iterator[tuple[str, object, Task]]:
    """Yield (place, value of its score, task) of every row of one task and one answer."""
    layout, found = read_tasks(path, named=parse_columns(columns))
    if layout.name not in {"instructions", "messages"}:
        msg = f"{path} holds {layout.name}: one score a row says nothing of several answers"
        raise BadInputError(msg, remedy="name the answer it is about: --columns instruction=COLUMN,output=COLUMN")
    for row, tasks, problem in found:
        where = f"{path} {place(path, row.number)}"
        if problem or score not in row.value:
            missing = f"no column {score!r} (there are: {', '.join(row.value)})"
            msg = f"{where}: {printable(problem or missing, longest=400)}"
            remedy = (
                "mend or remove the row" if problem else f"name it with --score, or: selfinstruct judge {path} -o OUT"
            )
            raise BadInputError(msg, remedy=remedy)
        yield where, row.value[score], tasks[0]


def _usual(lowest: float, highest: float) -> float:
    """Return as high a score on this scale as AlpaGasus' 4.5 is on 0 to 5, at a half point."""
    return int(2 * (lowest + 0.9 * (highest - lowest)) + 1e-9) / 2


def _number(value: object, *, name: str, where: str, scale: tuple[float, float]) -> float | None:
    """Return a score as a number; None for an empty cell."""
    if value is None or value == "":
        return None
    try:
        number = float(str(value))
    except ValueError:
        number = float("nan")
    if isinstance(value, bool) or not scale[0] <= number <= scale[1]:
        shown = f"{printable(name, longest=40)} {printable(value, longest=40)!r}"
        msg = f"{where}: {shown} is no number from {scale[0]:g} to {scale[1]:g}"
        raise BadInputError(msg, remedy="mend it, or name the scale: --scale LOWEST HIGHEST")
    return number
