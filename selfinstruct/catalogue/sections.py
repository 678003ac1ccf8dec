"""Figures as sections of a card, in lines of Markdown. What a model wrote stands in code spans and is nothing but text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfinstruct.figures.bins import HUNDREDTHS
from selfinstruct.figures.model import NONE
from selfinstruct.text.markdown import bars, span, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from selfinstruct.figures.bins import Lengths
    from selfinstruct.figures.model import Example, Figures

FAMILIES, OBJECTS, LABELS = 8, 4, 8
"""Verbs, objects of each, and labels that are shown."""
UNITS = "characters", "words"


def funnel(figures: Figures) -> list[str]:
    """Return what each stage made, kept, dropped and failed."""
    stages = [*figures.funnel.items(), ("rows", figures.ledger)]
    rows = [(span(label), one.generated, one.accepted, one.dropped, one.failed, one.open) for label, one in stages]
    return [
        "## What was made, what was kept",
        "",
        *table(("stage", "#made", "#kept", "#dropped", "#failed", "#open"), rows),
    ]


def scores(figures: Figures) -> list[str]:
    """Return the scores of all judged rows, the best first; nothing without a judge."""
    scored = figures.scores
    if not scored.total:
        return []
    halves = _grouped(scored.all(), HUNDREDTHS // 2)
    mean, kept = scored.mean(), scored.mean(kept=True)
    told = f"{scored.total:,} rows were scored, {mean:.2f} in the mean; those kept {kept or 0:.2f}."
    if scored.scales:
        told += f" Scale: {_either(f'{low:g} to {high:g}' for low, high in scored.scales)}."
    if scored.thresholds:
        told += f" Kept from {_either(f'{one:g}' for one in scored.thresholds)} on."
    if scored.unscored:
        told += f" {scored.unscored:,} got no score that could be read, and are not in it."
    lines = [(f"{half / 2:g}", count) for half, count in sorted(halves.items(), reverse=True)]
    return ["## Scores", "", told, "", *bars(lines)]


def novelty(figures: Figures) -> list[str]:
    """Return how near instructions lie to earlier ones; nothing without that gate."""
    near = figures.nearness
    if not near.total:
        return []
    half, most = (f"{near.quantile(q, kept=True) or 0:.2f}" for q in (0.5, 0.9))
    told = (
        f"ROUGE-L F of an instruction with the nearest earlier one. {sum(near.dropped.values()):,} were too near "
        f"(above {_either(f'{one:g}' for one in near.thresholds)}) and dropped; of a sample of {sum(near.kept.values()):,} kept "
        f"ones, half lie below {half}, 90 % below {most}."
    )
    tenths = _grouped(near.kept, HUNDREDTHS // 10, down=True)
    lines = [
        (f"{one / 10:.1f} to {(one + 1) / 10:.1f}", tenths.get(one, 0)) for one in range(max(tenths, default=0) + 1)
    ]
    return ["## Novelty", "", told, "", *bars(lines)]


def lengths(figures: Figures) -> list[str]:
    """Return how long instructions, inputs and answers are."""
    parts = (("instruction", figures.instruction), ("input", _without_empty(figures.input)), ("answer", figures.output))
    rows = [
        (name, *(f"{measured.quantile(q, unit) or 0:,.0f}" for unit in UNITS for q in (0.1, 0.5, 0.9)))
        for name, measured in parts
        if measured.rows
    ]
    columns = ("", "#characters: 10 %", "#half", "#90 %", "#words: 10 %", "#half", "#90 %")
    return [
        "## Lengths",
        "",
        "So many rows are at most so long; an empty input is left out.",
        "",
        *table(columns, rows),
    ]


def _without_empty(measured: Lengths) -> Lengths:
    return measured.model_copy(
        update={unit: {at: count for at, count in getattr(measured, unit).items() if at} for unit in UNITS}
    )


def languages(figures: Figures) -> list[str]:
    """Return scripts, and what is asked for."""
    told = [
        f"- {name}: {_shares(counts)}"
        for name, counts in (("instructions", figures.scripts), ("answers", figures.output_scripts))
        if counts
    ]
    verbs = {verb: nouns for verb, nouns in figures.verbs.items() if verb != NONE}
    most = _most({verb: sum(nouns.values()) for verb, nouns in verbs.items()}, FAMILIES)
    rows = [(span(verb, longest=40), count, _named(verbs[verb], OBJECTS)) for verb, count in most]
    head = ["", f"What is asked for, by verb ({len(verbs):,} in all) and object:", ""]
    topics = [*head, *table(("verb", "#rows", "objects"), rows)] if rows else []
    return ["## Scripts and topics", "", *told, *topics] if told else []


def labels(figures: Figures) -> list[str]:
    """Return how even the labels of classification tasks are; nothing where there are none."""
    found = figures.labels
    if not found.rows:
        return []
    told = f"{figures.classification.get('yes', 0):,} of {figures.rows:,} rows are of classification tasks."
    if found.several:
        told += (
            f" Of {found.several:,} tasks with several rows, {found.one_label:,} have one label only; evenness is "
            f"{found.mean_evenness:.2f} in the mean (0 one label, 1 all alike)."
        )
    return ["## Labels", "", told, "", f"Most frequent: {_named(found.labels, LABELS)}."]


def drops(figures: Figures) -> list[str]:
    """Return each reason with its examples, the most frequent first."""
    if not figures.drops:
        return []
    lines = ["## What was dropped, and why"]
    for rule, count in figures.drops.items():
        lines += ["", f"{span(rule)}: {count:,}", "", *map(_example, figures.examples.get(rule, ()))]
    return lines


def _example(shown: Example) -> str:
    limit = "" if shown.threshold is None else f", limit {span(_figure(shown.threshold), longest=40)}"
    figure = "" if shown.figure is None else f" {span(_figure(shown.figure), longest=40)}{limit}"
    beside = f"; beside it {span(shown.evidence)}" if shown.evidence.strip() else ""
    return f"- {span(shown.text) or '(empty)'}{figure and f' ({figure.strip()})'}{beside}"


def cost(figures: Figures) -> list[str]:
    """Return calls and tokens by stage."""
    used = {**{span(name): one for name, one in figures.usage_by_stage.items()}, "all": figures.usage}
    rows = [(name, one.calls, one.prompt_tokens, one.completion_tokens) for name, one in used.items()]
    runs = "One run" if figures.runs == 1 else f"{figures.runs:,} runs"
    told = (
        f"{runs}, {figures.seconds:,} seconds; {figures.surplus:,} finished rows beyond the order are not in the data."
    )
    return ["## Cost", "", told, "", *table(("stage", "#calls", "#tokens in", "#tokens out"), rows)]


def _grouped(counts: Mapping[int, int], width: int, *, down: bool = False) -> dict[int, int]:
    """Add up bins of hundredths in groups of `width`: the nearest one, or the one below."""
    grouped: dict[int, int] = {}
    for number, count in counts.items():
        at = number // width if down else round(number / width)
        grouped[at] = grouped.get(at, 0) + count
    return grouped


def _most(counts: Mapping[str, int], number: int) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:number]


def _named(counts: Mapping[str, int], number: int) -> str:
    return ", ".join(f"{span(name, longest=40)} {count:,}" for name, count in _most(counts, number))


def _shares(counts: Mapping[str, int]) -> str:
    whole = sum(counts.values())
    return ", ".join(f"{span(name, longest=40)} {count / whole:.1%}" for name, count in _most(counts, LABELS))


def _either(told: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(told))


def _figure(value: float | str) -> str:
    return value if isinstance(value, str) else f"{round(value, 3):g}"
