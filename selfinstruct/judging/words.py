"""What each figure of an audit means, in one plain sentence or two, and what was done about it. Knows only the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfinstruct.judging.bias import ACROSS
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.judging.audit import Audit
    from selfinstruct.judging.estimate import Estimate

_MANY = 0.2
"""Share of scores at the top of the scale from which a slope is told to be too flat (`benchmarks/judging.py`: 0.23 for 0.30)."""


def meanings(audit: Audit) -> list[str]:
    """Return a sentence for all that is known; nothing for what is not."""
    return [*_length(audit), *_family(audit), *_order(audit), *_repeat(audit), *_marks(audit)]


def _length(audit: Audit) -> Iterator[str]:
    one = audit.length
    if one.value is None:
        return
    side = "higher" if one.value > 0 else "lower"
    top = audit.histogram.get(f"{audit.scale[1]:g}", 0) if audit.scale else 0
    flat = (
        " Many scores stand at the top and cannot rise: the true slope is rather steeper."
        if top > _MANY * audit.scored
        else ""
    )
    if not one.is_sure:
        yield f"**Length.** No sign that the judge prefers longer or shorter answers. Nothing is taken off.{flat}"
    elif one.how == ACROSS:
        yield (
            f"**Length.** An answer twice as long scores {abs(one.value):.2f} {side}. This compares answers to different tasks, "
            f"and long tasks may earn their scores: nothing is taken off.{flat}"
        )
    else:
        whose = "corrected by this" if "per_doubling" in (audit.cut or {}) else "the judge's own"
        likes, better = ("length", "longer") if one.value > 0 else ("brevity", "shorter")
        yield (
            f"**Length.** Of two answers to the same task, one twice as long scores {abs(one.value):.2f} {side}. "
            f"The judge likes {likes}, or {better} answers are better here; scores alone cannot tell. The scores in the data are "
            f"{whose}. Corrected by {abs(audit.per_doubling):.2f} points per doubling (the slope, shrunk by its "
            f"uncertainty), an answer that the judge scored lower would be the best of its task in "
            f"{value(audit.rechosen, '%')} of {rests(audit.rechosen)}; in {value(audit.reordered, '%')} another one with "
            f"the very same score would go first.{flat}"
        )


def _family(audit: Audit) -> Iterator[str]:
    lift, gap = audit.own_family, audit.own_family_gap
    marked = audit.flags.get("own_family", 0)
    half = " Where others vote too, a vote for its own family counts half." if "weigh" in audit.own_family_rules else ""
    done = f" Verdicts flagged `own_family`: {marked:,}.{half}" if marked else ""
    if lift.value is not None and lift.is_sure:
        yield (
            f"**Own family.** Judged by a model of its writer's family, an answer scores {abs(lift.value):.2f} "
            f"{'higher' if lift.value > 0 else 'lower'} than other judges see it, at equal length.{done}"
        )
    elif lift.value is not None:
        yield f"**Own family.** No sign that judges score answers of their own family otherwise than others do.{done}"
    elif gap.value is not None:
        side, chance = "higher" if gap.value > 0 else "lower", "" if gap.is_sure else ", which may be chance"
        yield (
            f"**Own family.** The judge scores its own family's answers {abs(gap.value):.2f} {side} than others to the same "
            f"task{chance}. Whether they deserve it cannot be told: {cell(lift.why)}.{done}"
        )


def _order(audit: Audit) -> Iterator[str]:
    flips, first = audit.orders.flips, audit.orders.first
    if flips.value is None:
        return
    side = ""
    if first.low is not None and first.high is not None:
        half = 0.5
        side = (
            " Flips go to either side as by chance." if first.low <= half <= first.high
            else " Most flips go to the answer shown first: a bias of position." if first.low > half
            else " Most flips go to the answer shown last: a bias of position."
        )  # fmt: skip
    yield (
        f"**Order.** Every pair was judged in both orders; in {flips.value:.0%} the winner changed with the order. Those count "
        f"as ties and are no pairs.{side}"
    )


def _repeat(audit: Audit) -> Iterator[str]:
    told = (
        ("Repeat", "Asked twice, a judge gives the same answer", audit.itself),
        ("Between judges", "Two judges give the same answer", audit.each_other),
    )
    known = [one for one in told if one[2].exact.value is not None]
    for name, who, one in known:
        apart = f", {one.distance.value:.2f} points apart in the mean" if one.distance.value is not None else ""
        yield f"**{name}.** {who} the same score in {value(one.exact, '%')}{apart}."
    if known:
        yield "**Votes.** A score is the median of its votes; where they lie far apart, a referee's, if one was named."


def _marks(audit: Audit) -> Iterator[str]:
    if audit.hesitation:
        yield (
            f"**Hesitation.** The entropy of its scores is {audit.hesitation.mean:.2f} nats in the mean of "
            f"{counted(audit.hesitation.verdicts, 'verdict')}; {audit.hesitation.more_than_two:.0%} hesitate more than a toss-up."
        )
    words = {
        "addresses_judge": "are about an answer that addresses the judge",
        "doubtful": "are doubtful: votes far apart, or a judge that hesitated",
        "other_language": "give their reason in another language than was asked for",
    }
    for flag, count in audit.flags.items():
        if flag != "own_family":
            yield f"**`{cell(flag)}`.** {counted(count, 'verdict')} {words.get(flag, 'carry this flag')}."


def value(one: Estimate, unit: str) -> str:
    """Return an estimate with its unit."""
    return "" if one.value is None else number(one.value, unit) + (f" {unit}" if unit not in {"%", "size", ""} else "")


def number(value: float, unit: str) -> str:
    """Return a figure as its unit wants it: shares in per cent, differences with their sign."""
    if unit == "%":
        return f"{value:.1%}"
    return f"{value:.2f}" if unit in {"size", ""} else f"{value:+.2f}"


def rests(one: Estimate) -> str:
    """Return what it rests on: `812 tasks, 3,200 answers`."""
    return ", ".join(f"{number:,} {what}" for what, number in one.rests_on.items())


def counted(number: int, what: str) -> str:
    """Return `1 task`, `2 tasks`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def cell(text: str) -> str:
    """Return any text fit for a table or a line of Markdown."""
    return printable(text).replace("|", "\\|").replace("`", "'").replace("<", "\\<")
