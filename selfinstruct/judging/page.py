"""The audit in words: one page of Markdown that can go with the data. Knows no run, only the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfinstruct.judging.words import cell, counted, meanings, number, rests, value

if TYPE_CHECKING:
    from selfinstruct.judging.audit import Audit
    from selfinstruct.judging.estimate import Estimate

_BAR = 40
"""Characters of the longest bar."""


def page(audit: Audit) -> str:
    """Return it. Every figure comes with its 95 % interval; what cannot be known stands at the end, with the reason."""
    parts = [
        _head(audit),
        _who(audit),
        _scores(audit),
        _gate(audit),
        _gain(audit),
        _figures(audit),
        _meanings(audit),
        _unknown(audit),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(audit: Audit) -> str:
    lines = [
        "# Audit of the judge",
        "",
        f"{counted(audit.answers, 'answer')} to {counted(audit.looked_at, 'task')}, {audit.scored:,} of them with a score. "
        + (
            f"{counted(audit.unscored, 'verdict')} of the whole run could not be read: counted as failed, never as a score."
            if audit.unscored
            else "Every answer that was judged got a verdict."
        ),
    ]
    if audit.looked_at < audit.tasks:
        lines += [
            "",
            f"The run has {audit.tasks:,} tasks; this page looks at {audit.looked_at:,}, drawn evenly over it.",
        ]
    if audit.cut is not None:
        asked = ", ".join(f"{name} {value:g}" for name, value in audit.cut.items())
        lines += [
            "",
            f"**The rows beside this page are cut anew: {asked}.** What stands here is of the run and its own gate.",
        ]
    if audit.scripted:
        lines += ["", "**Made by the scripted engine: for trying out, never to be published.**"]
    return "\n".join(lines)


def _who(audit: Audit) -> str:
    lines = ["| model | family | answers written | scores given |", "| --- | --- | ---: | ---: |"]
    for model in sorted({*audit.writers, *audit.judges}):
        wrote, judged = (f"{some[model]:,}" if model in some else "" for some in (audit.writers, audit.judges))
        lines.append(f"| {cell(model) or '(not named)'} | {cell(audit.families.get(model, ''))} | {wrote} | {judged} |")
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
    rows += [(names.get(rule, f"dropped: {cell(rule)}"), count) for rule, count in sorted(told.dropped.items())]
    rows += [("failed: no answer could be judged", told.failed)] if told.failed else []
    rows += [("**kept**", told.kept)]
    lines = [f"| {what} | {count:,} | {_percent(count, told.judged)} |" for what, count in rows]
    return "\n".join(["## The score gate of the run", "", "| rows | | |", "| --- | ---: | ---: |", *lines])


def _gain(audit: Audit) -> str:
    if audit.gain is None:
        return ""
    kept = any(one.kept is not None for one in audit.gain.best)
    head = ["| answers | mean score of the best |" + " tasks kept |" * kept, "| ---: | ---: |" + " ---: |" * kept]
    lines = [
        f"| {one.answers} | {one.score:.2f} |" + (f" {one.kept:.1%} |" if one.kept is not None else "")
        for one in audit.gain.best
    ]
    told = f"Of {counted(audit.gain.tasks, 'task')} with {len(audit.gain.best)} scored answers each, drawn without putting back."
    return "\n".join(["## What more answers buy", "", *head, *lines, "", told])


def _figures(audit: Audit) -> str:
    known = [
        f"| {name} | {value(one, unit)} | {_interval(one, unit)} | {rests(one)} |"
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
    told = meanings(audit)
    return "\n".join(["## What that means", "", *(f"- {one}" for one in told)]) if told else ""


def _unknown(audit: Audit) -> str:
    told: dict[str, None] = {}  # each reason once, for all figures that it keeps from us
    for name, one, _ in _all(audit):
        if one.value is None and one.why:
            told[f"{name.partition(' (')[0].partition(',')[0].partition(':')[0]}: {cell(one.why)}"] = None
    if not audit.orders.flips.value:  # then there is no side to lean to either
        told.pop(f"order: {audit.orders.first.why}", None)
    lines = [f"- {one}" for one in told]
    return "\n".join(["## What cannot be known from this run", "", *lines]) if lines else ""


def _interval(one: Estimate, unit: str) -> str:
    if one.low is None or one.high is None:
        return ""
    return f"{number(one.low, unit)} to {number(one.high, unit)}"


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""
