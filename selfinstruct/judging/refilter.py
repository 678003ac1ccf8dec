"""Another threshold for the rows of a run that exists, without a call and without changing it. Knows no format and no file."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from selfinstruct.errors import BadInputError
from selfinstruct.gates.score import Score
from selfinstruct.judging.cut import Cut, check
from selfinstruct.judging.length import at_equal_length, raw_score
from selfinstruct.judging.repaired import pairs
from selfinstruct.judging.replay import replayed
from selfinstruct.judging.scored import ScoredTable, judged_records, of_run, scale_of
from selfinstruct.records import Frozen, PreferencePair, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.runs import StoredRun


UNSCORED = ("unscored", "no_answer")
"""Rules of rows that no threshold can decide over: nothing about them was scored."""


class Books(Frozen):
    """What a cut makes of a run: reached = kept + dropped + unscored."""

    cut: dict[str, float]
    """What was asked of rows; pairs are not counted here."""
    reached: int
    """Rows that came as far as the judge's verdict."""
    kept: int
    dropped: dict[str, int]
    """By rule: `score` by this cut, any other as in the run."""
    unscored: int
    before: int
    """Rows that the run itself keeps."""
    target: int
    """Rows that the run was asked for."""
    unasked: tuple[str, ...] = ()
    """Gates that stand behind the score's: they were never asked about a row that only this cut keeps."""

    @property
    def balanced(self) -> bool:
        """Whether the equation holds."""
        return self.reached == self.kept + sum(self.dropped.values()) + self.unscored


def refilter(run: StoredRun, cut: Cut) -> Books:
    """Count what `cut` keeps of the rows of `run`.

    Raises:
        BadInputError: a threshold outside of the judge's scale, or a run without scores.
    """
    check(cut, scale_of(run))
    table = of_run(run)
    if cut.per_doubling:
        return _at_equal_length(run, cut, table)
    kept = sum(row.score >= cut.min_score for row in table.rows)
    below = len(table.rows) - kept
    return Books(
        cut=cut.of_rows().asked(),
        reached=table.reached,
        kept=kept,
        dropped={**({"score": below} if below else {}), **table.dropped},
        unscored=table.unscored,
        before=sum(row.score >= table.threshold for row in table.rows),
        target=run.target,
        unasked=_behind(run) if cut.min_score < table.threshold else (),
    )


def records(run: StoredRun, cut: Cut, kind: type[Any]) -> Iterator[tuple[str, Row | PreferencePair]]:
    """Yield (path of its instance or below, record) of the rows or pairs (`kind`) that `cut` keeps, in order.

    Raises:
        BadInputError: records of another kind, which have no score.
    """
    if kind is Row and cut.per_doubling:
        yield from ((path, one) for path, one in _rechosen(run, cut) if isinstance(one, Row))
    elif kind is Row:
        for row, record in judged_records(run):
            if row.rule in {None, "score"} and record["score"] is not None and record["score"] >= cut.min_score:
                yield row.path, Row.model_validate(record)
    elif kind is PreferencePair:
        yield from ((path, one) for path, one in pairs(run, cut) if isinstance(one, PreferencePair))
    else:
        msg = "only rows and preference pairs are kept by a score: this format takes every judged answer"
        raise BadInputError(msg, remedy=f"selfinstruct export {run.folder} writes it (kto: --set least=S)")


def _at_equal_length(run: StoredRun, cut: Cut, table: ScoredTable) -> Books:
    fates = Counter("" if isinstance(one, Row) else one for _, one in _rechosen(run, cut))
    kept, unscored = fates.pop("", 0), sum(fates.pop(rule, 0) for rule in UNSCORED)
    return Books(
        cut=cut.of_rows().asked(),
        reached=table.reached,
        kept=kept,
        dropped=dict(fates.most_common()),
        unscored=unscored,
        before=sum(row.score >= table.threshold for row in table.rows),
        target=run.target,
    )


def _rechosen(run: StoredRun, cut: Cut) -> Iterator[tuple[str, Row | str]]:
    """Yield (path, row, or the rule that drops it): the best answer of each task with its scores at equal length."""
    stage = next(one for one in run.recipe.stages if one.writes() is Row)
    scale = scale_of(run)
    gates = [gate for gate in stage.gates if not isinstance(gate, Score)]
    with asyncio.Runner() as loop:
        for path, stored in replayed(run, stage.label):
            work = at_equal_length(stored, cut.per_doubling, scale)
            for made in loop.run(stage.process(work.record, work)):
                if not isinstance(made, Row):
                    yield path, made.reason.rule
                elif made.score is None:
                    yield path, UNSCORED[0]
                elif made.score < cut.min_score:
                    yield path, "score"
                else:
                    row = made.model_copy(update={"raw_score": raw_score(stored, made.output)})
                    reasons = (gate.reason_to_drop(row, work) for gate in gates)
                    yield path, next((reason.rule for reason in reasons if reason is not None), row)


def _behind(run: StoredRun) -> tuple[str, ...]:
    stage = next(one for one in run.recipe.stages if one.writes() is Row)
    at = next((position for position, gate in enumerate(stage.gates) if isinstance(gate, Score)), len(stage.gates))
    return tuple(gate.kind for gate in stage.gates[at + 1 :] if not isinstance(gate, Score))
