"""The audit of a run's judge: who judged what, each bias with its interval, and what cannot be known. Asks no model.

Knows no words: `page.py` has them. Equal runs give equal audits: nothing of it depends on clock or machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from selfinstruct.families import family
from selfinstruct.judging import stored
from selfinstruct.judging.bias import taken
from selfinstruct.judging.estimate import Estimate
from selfinstruct.judging.gain import Gain, Gainer
from selfinstruct.judging.seen import Hesitation, Seen
from selfinstruct.judging.stability import Agreement, Orders, orders
from selfinstruct.records import Fate, Frozen, Instance, Judgement, PreferencePair
from selfinstruct.stage import least_kept

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from selfinstruct.judging.cut import Cut
    from selfinstruct.ledger import Accounts
    from selfinstruct.runs import StoredRun

SAMPLE = 5000
"""Tasks that an audit looks at, about: of a longer run every k-th request. A slope is then known to 0.05 points a doubling in
the demo, whose scores lie far apart, and better where they do not. It takes 2.5 s."""


class Funnel(Frozen):
    """What became of the judged rows at the score gate, over the whole run."""

    judged: int
    kept: int
    dropped: dict[str, int]
    """Rule -> rows."""
    failed: int
    least: float | None
    """Lowest score that is kept; None without such a gate."""


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
    """Verdicts of the whole run that could not be read, asked for again and again: failed, never a score."""
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
    """Share of tasks in which an answer that the judge scored lower would be the best after it."""
    reordered: Estimate
    """Share of tasks in which another of several best answers would go first after it: their scores are equal."""
    own_family_rules: tuple[str, ...]
    """What the judge stages do about a judge of the writer's family: weigh, refuse, allow."""
    own_family: Estimate
    """Points that an answer gains from being judged by its writer's family."""
    own_family_gap: Estimate
    """The same before the writers' quality is taken out."""
    orders: Orders
    itself: Agreement
    """Votes of one judge on one answer."""
    each_other: Agreement
    """Several judges on one answer."""
    gain: Gain | None
    """What the best of 1, 2, ... answers scores; None where tasks have one answer each."""
    hesitation: Hesitation | None
    flags: dict[str, int]
    """Flag -> verdicts that carry it."""
    cut: dict[str, float] | None = None
    """What was asked of the rows beside this audit, instead of the run's own thresholds; all else is of the run."""

    def under(self, cut: Cut | None) -> Audit:
        """Return it as it stands beside the rows that `cut` keeps; None for those that the run kept."""
        return self.model_copy(update={"cut": None if cut is None else cut.asked()})


def can_audit(run: StoredRun) -> bool:
    """Whether anything of this run was judged by a model."""
    return any(stage.writes() is Judgement for stage in run.recipe.stages)


def audit(run: StoredRun, *, families: Mapping[str, str] | None = None, sample: int = SAMPLE) -> Audit:
    """Return the audit; `families` (model -> family) goes before what the judge stages say, and that before the names."""
    counted = run.accounts()
    judges = [stage for stage in run.recipe.stages if stage.writes() is Judgement]
    number = sum(counted.stages[stage.label].accepted for stage in run.recipe.stages if stage.writes() is Instance)
    told = {model: kin for stage in judges for model, kin in _said(stage, "families", {}).items()} | dict(
        families or {}
    )
    seen = Seen(families=told, refereed=[stage.label for stage in judges if _said(stage, "referee", "")])
    funnel = _funnel(run, counted)
    gainer = Gainer(funnel.least)
    for task in stored.tasks(run, every=max(1, -(-number // sample))):
        seen.add(task)
        gainer.add(task)
    length = seen.slope.estimate()
    per_doubling = round(taken(length), 6)
    rechosen, reordered = seen.rechosen(per_doubling)
    scales = {stage.scale for stage in judges}
    return Audit(
        scripted=run.recipe.scripted,
        tasks=number,
        looked_at=seen.tasks,
        answers=seen.answers,
        scored=seen.scored,
        unscored=sum(counted.stages[stage.label].failed for stage in judges),
        writers=dict(sorted(seen.writers.items())),
        judges=dict(sorted(seen.judges.items())),
        families={model: family(model, families=told) for model in sorted({*seen.writers, *seen.judges})},
        scale=scales.pop() if len(scales) == 1 else None,
        histogram={f"{score:g}": count for score, count in sorted(seen.histogram.items())},
        funnel=funnel,
        length=length,
        per_doubling=per_doubling,
        rechosen=rechosen,
        reordered=reordered,
        own_family_rules=tuple(sorted({_said(stage, "own_family", "allow") for stage in judges})),
        own_family=seen.own.lift(),
        own_family_gap=seen.own.gap(),
        orders=orders(verdicts(run)),
        itself=seen.repeats.itself(),
        each_other=seen.repeats.each_other(),
        gain=gainer.result(),
        hesitation=seen.hesitation(),
        flags=dict(sorted(seen.flags.items())),
    )


def _said(stage: object, field: str, otherwise: Any) -> Any:  # noqa: ANN401 - judges from outside the package say less
    return getattr(stage, field, otherwise)


def _funnel(run: StoredRun, counted: Accounts) -> Funnel:
    rows = counted.stages[run.tree.rows]
    return Funnel(
        judged=rows.generated,
        kept=rows.accepted,
        dropped=counted.drops_by_stage[run.tree.rows],
        failed=rows.failed,
        least=least_kept(run.recipe.stages),
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
