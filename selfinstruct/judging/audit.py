"""The audit of a run's judge: who judged what, each bias with its interval, and what cannot be known. Asks no model.

Knows no words: `page.py` has them. Equal runs give equal audits: nothing of it depends on clock or machine.
"""

from __future__ import annotations

from collections import Counter
from math import floor
from statistics import fmean
from typing import TYPE_CHECKING

from selfinstruct.families import family
from selfinstruct.gates.score import Score
from selfinstruct.judging import stored
from selfinstruct.judging.bias import LengthSlope, OwnFamily, doublings, given_scores, taken
from selfinstruct.judging.estimate import Estimate, share
from selfinstruct.judging.stability import Agreement, Orders, Repeats, orders
from selfinstruct.records import Fate, Frozen, Instance, Judgement, PreferencePair

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from selfinstruct.judged import JudgedTask
    from selfinstruct.runs import StoredRun

SAMPLE = 5000
"""Tasks that an audit looks at, about: of a longer run every k-th request. A slope is then known to 0.05 points a doubling in
the demo, whose scores lie far apart, and better where they do not. It takes 2.5 s."""
HALF = 0.5
"""Points that a bar of the histogram is wide."""


class Funnel(Frozen):
    """What became of the judged rows at the score gate, over the whole run."""

    judged: int
    kept: int
    dropped: dict[str, int]
    """Rule -> rows."""
    failed: int
    least: float | None
    """Lowest score that is kept; None without such a gate."""


class Hesitation(Frozen):
    """Entropy of the judge's score, in nats, where the server gives log-probabilities."""

    verdicts: int
    mean: float
    more_than_two: float
    """Share of verdicts with more entropy than a toss-up between two scores (ln 2)."""


class Audit(Frozen):
    """Of a run, up to the row that filled its order."""

    scripted: bool
    """Made by the scripted engine: for trying out, never to be published."""
    tasks: int
    """Of the run."""
    looked_at: int
    """Tasks that all but `unscored` and `funnel` rest on, drawn evenly over the run."""
    answers: int
    scored: int
    unscored: int
    """Answers of the whole run for which a judge gave no verdict that could be read: failed, never a score."""
    writers: dict[str, int]
    """Model -> answers."""
    judges: dict[str, int]
    """Model -> scores that it gave, every vote counted."""
    families: dict[str, str]
    """Model -> family."""
    scale: tuple[float, float] | None
    """Lowest and highest score; None where the judge stages do not say, or differ."""
    histogram: dict[str, int]
    """Score of answers, to the nearest half -> how many."""
    funnel: Funnel
    length: Estimate
    """Points of score per doubling of an answer's length."""
    per_doubling: float
    """Points that a correction for length takes off; 0 where the interval includes 0."""
    rechosen: Estimate
    """Share of tasks in which another answer would be the best after it."""
    own_family: Estimate
    """Points that an answer gains from being judged by its writer's family."""
    own_family_gap: Estimate
    """The same before the writers' quality is taken out."""
    orders: Orders
    itself: Agreement
    """Votes of one judge on one answer."""
    each_other: Agreement
    """Several judges on one answer."""
    hesitation: Hesitation | None
    flags: dict[str, int]
    """Flag -> verdicts that carry it."""


def can_audit(run: StoredRun) -> bool:
    """Whether anything of this run was judged by a model."""
    return any(stage.writes() is Judgement for stage in run.recipe.stages)


def audit(run: StoredRun, *, families: Mapping[str, str] | None = None, sample: int = SAMPLE) -> Audit:
    """Return the audit; `families` (model -> family) goes before the names' own."""
    counted = run.accounts()
    stages = {stage.label: stage for stage in run.recipe.stages}
    judges = [label for label, stage in stages.items() if stage.writes() is Judgement]
    instances = next(label for label, stage in stages.items() if stage.writes() is Instance)
    rows = counted.stages[run.tree.rows]
    least = [gate.least for gate in stages[run.tree.rows].gates if isinstance(gate, Score)]
    number = counted.stages[instances].accepted
    scales = {tuple(getattr(stages[label], "scale", None) or ()) for label in judges}
    only = scales.pop() if len(scales) == 1 else ()
    return _audit(
        stored.tasks(run, every=max(1, -(-number // sample))),
        verdicts(run),
        families=families,
        scripted=run.recipe.scripted,
        tasks_of_run=number,
        unscored=sum(counted.stages[label].failed for label in judges),
        scale=(float(only[0]), float(only[1])) if len(only) == 2 else None,  # noqa: PLR2004 - lowest and highest
        funnel=Funnel(
            judged=rows.generated,
            kept=rows.accepted,
            dropped=counted.drops_by_stage[run.tree.rows],
            failed=rows.failed,
            least=max(least, default=None),
        ),
    )


def verdicts(run: StoredRun) -> Iterator[Sequence[str]]:
    """Yield who won in one order and in the other, of each pair that was judged in both: kept, tied or reversed."""
    for stage in run.recipe.stages:
        if stage.writes() is not PreferencePair:
            continue
        for _, body in run.store.scan(stage.label, fate=Fate.ACCEPTED, upto=run.closing):
            if not (found := body["record"].get("verdicts")):
                break  # this stage asks no judge
            yield found
        for rule in ("tie", "reversed"):
            for _, body in run.store.scan(stage.label, fate=Fate.DROPPED, rule=rule, upto=run.closing):
                if found := body["drop"]["evidence"].get("verdicts"):
                    yield found


class _Seen:
    """What is counted while the table passes by. Of each task only scores and lengths stay."""

    def __init__(self) -> None:
        self.tasks = self.answers = self.scored = 0
        self.writers: Counter[str] = Counter()
        self.judges: Counter[str] = Counter()
        self.histogram: Counter[float] = Counter()
        self.flags: Counter[str] = Counter()
        self.entropies: list[float] = []
        self.choices: list[list[tuple[float, float]]] = []

    def add(self, task: JudgedTask) -> None:
        scored = [(one.score, doublings(one.text)) for one in task.candidates if one.score is not None]
        self.tasks += 1
        self.answers += len(task.candidates)
        self.scored += len(scored)
        self.writers.update(one.model for one in task.candidates)
        self.histogram.update(floor(score / HALF + 0.5) * HALF for score, _ in scored)
        if len(scored) > 1:
            self.choices.append(scored)
        for verdict in (one for answer in task.candidates for one in answer.verdicts):
            self.judges.update(judge for judge, _ in given_scores(verdict))
            self.flags.update(verdict.flags)
            if verdict.entropy is not None:
                self.entropies.append(verdict.entropy)

    def rechosen(self, per_doubling: float) -> Estimate:
        changed = 0
        for scored in self.choices:
            made = [score - per_doubling * length for score, length in scored]
            best = [score for score, _ in scored].index(max(score for score, _ in scored))
            changed += made.index(max(made)) != best
        return share(changed, len(self.choices), of="tasks", why="no task has two scored answers")

    def hesitation(self) -> Hesitation | None:
        if not self.entropies:
            return None
        doubtful = sum(one > 0.6931 for one in self.entropies)  # noqa: PLR2004 - ln 2
        return Hesitation(
            verdicts=len(self.entropies),
            mean=round(fmean(self.entropies), 6),
            more_than_two=round(doubtful / len(self.entropies), 6),
        )


def _audit(
    tasks: Iterable[JudgedTask],
    asked: Iterable[Sequence[str]],
    *,
    families: Mapping[str, str] | None,
    scripted: bool,
    tasks_of_run: int,
    unscored: int,
    scale: tuple[float, float] | None,
    funnel: Funnel,
) -> Audit:
    seen, slope, own, repeats = _Seen(), LengthSlope(), OwnFamily(families), Repeats()
    for task in tasks:
        for one in (seen, slope, own, repeats):
            one.add(task)
    length = slope.estimate()
    per_doubling = round(taken(length), 6)
    return Audit(
        scripted=scripted,
        tasks=tasks_of_run,
        looked_at=seen.tasks,
        answers=seen.answers,
        scored=seen.scored,
        unscored=unscored,
        writers=dict(sorted(seen.writers.items())),
        judges=dict(sorted(seen.judges.items())),
        families={model: family(model, families=families) for model in sorted({*seen.writers, *seen.judges})},
        scale=scale,
        histogram={f"{score:g}": count for score, count in sorted(seen.histogram.items())},
        funnel=funnel,
        length=length,
        per_doubling=per_doubling,
        rechosen=seen.rechosen(per_doubling),
        own_family=own.lift(),
        own_family_gap=own.gap(),
        orders=orders(asked),
        itself=repeats.itself(),
        each_other=repeats.each_other(),
        hesitation=seen.hesitation(),
        flags=dict(sorted(seen.flags.items())),
    )
