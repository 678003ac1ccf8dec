"""The audit in words: one page of Markdown that can go with the data. Knows no run, only the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfinstruct.judging.bias import ACROSS
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.judging.audit import Audit
    from selfinstruct.judging.estimate import Estimate

_BAR = 40
"""Characters of the longest bar."""
_MANY = 0.2
"""Share of scores at the top of the scale from which a slope is told to be too flat (`benchmarks/judging.py`: 0.23 for 0.30)."""


def page(audit: Audit) -> str:
    """Return it. Every figure comes with its 95 % interval; what cannot be known stands at the end, with the reason."""
    parts = [
        _head(audit),
        _who(audit),
        _scores(audit),
        _gate(audit),
        _figures(audit),
        _meanings(audit),
        _unknown(audit),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(audit: Audit) -> str:
    lines = [
        "# Audit of the judge",
        "",
        f"{_count(audit.answers, 'answer')} to {_count(audit.looked_at, 'task')}, {audit.scored:,} of them with a score. "
        + (
            f"{_count(audit.unscored, 'answer')} of the whole run got no verdict that could be read: counted as failed, never "
            "as a score."
            if audit.unscored
            else "Every answer that was judged got a verdict."
        ),
    ]
    if audit.looked_at < audit.tasks:
        lines += [
            "",
            f"The run has {audit.tasks:,} tasks; this page looks at {audit.looked_at:,}, drawn evenly over it.",
        ]
    if audit.scripted:
        lines += ["", "**Made by the scripted engine: for trying out, never to be published.**"]
    return "\n".join(lines)


def _who(audit: Audit) -> str:
    lines = ["| model | family | answers written | scores given |", "| --- | --- | ---: | ---: |"]
    for model in sorted({*audit.writers, *audit.judges}):
        wrote, judged = (f"{some[model]:,}" if model in some else "" for some in (audit.writers, audit.judges))
        lines.append(
            f"| {_cell(model) or '(not named)'} | {_cell(audit.families.get(model, ''))} | {wrote} | {judged} |"
        )
    return "\n".join(lines)


def _scores(audit: Audit) -> str:
    if not audit.histogram:
        return ""
    most = max(audit.histogram.values())
    width = max(map(len, audit.histogram))
    bars = [
        f"{score:>{width}}  {'█' * max(1, round(_BAR * count / most))} {count:,} ({count / audit.scored:.0%})"
        for score, count in reversed(audit.histogram.items())
    ]
    lines = ["## Scores", "", "```text", *bars, "```"]
    if audit.scale:
        low, high = (audit.histogram.get(f"{end:g}", 0) / audit.scored for end in audit.scale)
        ends = f"{high:.0%} stand at its top and {low:.0%} at its bottom, where differences cannot be seen."
        lines += ["", f"On a scale from {audit.scale[0]:g} to {audit.scale[1]:g}; {ends}"]
    return "\n".join(lines)


def _gate(audit: Audit) -> str:
    told = audit.funnel
    names = {"score": f"dropped: below {told.least:g}" if told.least is not None else "dropped: score",
             "unscored": "dropped: without a score"}  # fmt: skip
    rows = [("before the gate", told.judged)]
    rows += [(names.get(rule, f"dropped: {_cell(rule)}"), count) for rule, count in sorted(told.dropped.items())]
    rows += [("failed: no answer could be judged", told.failed)] if told.failed else []
    rows += [("**kept**", told.kept)]
    lines = [f"| {what} | {count:,} | {_percent(count, told.judged)} |" for what, count in rows]
    return "\n".join(["## The score gate", "", "| rows | | |", "| --- | ---: | ---: |", *lines])


def _figures(audit: Audit) -> str:
    known = [
        f"| {name} | {_value(one, unit)} | {_interval(one, unit)} | {_rests(one)} |"
        for name, one, unit in _all(audit)
        if one.value is not None
    ]
    head = ["| what | figure | 95 % interval | rests on |", "| --- | --- | --- | --- |"]
    return "\n".join(["## Biases", "", *head, *known]) if known else ""


def _all(audit: Audit) -> list[tuple[str, Estimate, str]]:
    return [
        (f"length{f' ({audit.length.how})' if audit.length.how else ''}", audit.length, "points per doubling"),
        ("own family, lift", audit.own_family, "points"),
        ("own family, gap", audit.own_family_gap, "points"),
        ("order: verdicts that flip", audit.orders.flips, "%"),
        ("order: flips towards the first shown", audit.orders.first, "%"),
        ("repeat: equal scores", audit.itself.exact, "%"),
        ("repeat: mean difference", audit.itself.distance, "size"),
        ("repeat: Krippendorff's alpha", audit.itself.alpha, ""),
        ("between judges: equal scores", audit.each_other.exact, "%"),
        ("between judges: mean difference", audit.each_other.distance, "size"),
        ("between judges: Krippendorff's alpha", audit.each_other.alpha, ""),
    ]


def _meanings(audit: Audit) -> str:
    told = [*_length(audit), *_family(audit), *_order(audit), *_repeat(audit), *_marks(audit)]
    return "\n".join(["## What that means", "", *(f"- {one}" for one in told)]) if told else ""


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
        likes, better = ("length", "longer") if one.value > 0 else ("brevity", "shorter")
        yield (
            f"**Length.** Of two answers to the same task, one twice as long scores {abs(one.value):.2f} {side}. "
            f"The judge likes {likes}, or {better} answers are better here; scores alone cannot tell. The scores in the data are "
            f"the judge's own. Corrected by {abs(audit.per_doubling):.2f} points per doubling (the slope, shrunk by its "
            f"uncertainty), another answer would be the best of its task in {_value(audit.rechosen, '%')} of "
            f"{_rests(audit.rechosen)}.{flat}"
        )


def _family(audit: Audit) -> Iterator[str]:
    lift, gap = audit.own_family, audit.own_family_gap
    marked = audit.flags.get("own_family", 0)
    done = f" Such verdicts carry the flag `own_family`: {marked:,}." if marked else ""
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
            f"task{chance}. Whether they deserve it cannot be told: {lift.why}.{done}"
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
    for name, one in (("Repeat", audit.itself), ("Between judges", audit.each_other)):
        if one.exact.value is not None and one.distance.value is not None:
            who = "the same judge gives the same answer" if one is audit.itself else "two judges give the same answer"
            yield (
                f"**{name}.** Asked twice, {who} the same score in {one.exact.value:.0%}; in the mean the two are "
                f"{one.distance.value:.2f} points apart. A score is the median of its votes."
            )


def _marks(audit: Audit) -> Iterator[str]:
    if audit.hesitation:
        yield (
            f"**Hesitation.** The entropy of its scores is {audit.hesitation.mean:.2f} nats in the mean of "
            f"{_count(audit.hesitation.verdicts, 'verdict')}; {audit.hesitation.more_than_two:.0%} hesitate more than a toss-up."
        )
    words = {
        "addresses_judge": "are about an answer that addresses the judge",
        "doubtful": "are doubtful: votes far apart, or a judge that hesitated",
    }
    for flag, count in audit.flags.items():
        if flag != "own_family":
            yield f"**`{_cell(flag)}`.** {_count(count, 'verdict')} {words.get(flag, 'carry this flag')}."


def _unknown(audit: Audit) -> str:
    told: dict[str, None] = {}  # each reason once, for all figures that it keeps from us
    for name, one, _ in _all(audit):
        if one.value is None and one.why:
            told[f"{name.partition(' (')[0].partition(',')[0].partition(':')[0]}: {_cell(one.why)}"] = None
    if not audit.orders.flips.value:  # then there is no side to lean to either
        told.pop(f"order: {audit.orders.first.why}", None)
    lines = [f"- {one}" for one in told]
    return "\n".join(["## What cannot be known from this run", "", *lines]) if lines else ""


def _value(one: Estimate, unit: str) -> str:
    return "" if one.value is None else _number(one.value, unit) + (f" {unit}" if unit not in {"%", "size", ""} else "")


def _interval(one: Estimate, unit: str) -> str:
    if one.low is None or one.high is None:
        return ""
    return f"{_number(one.low, unit)} to {_number(one.high, unit)}"


def _number(value: float, unit: str) -> str:
    if unit == "%":
        return f"{value:.1%}"
    return f"{value:.2f}" if unit in {"size", ""} else f"{value:+.2f}"


def _rests(one: Estimate) -> str:
    return ", ".join(f"{number:,} {what}" for what, number in one.rests_on.items())


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|").replace("`", "'").replace("<", "\\<")
