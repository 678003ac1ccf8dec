"""The card of a version: README.md in Markdown. Text in, text out; what a model wrote stands in code spans and is nothing but text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from selfinstruct.catalogue.croissant import ABOUT
from selfinstruct.catalogue.diff import alarms
from selfinstruct.catalogue.head import head
from selfinstruct.catalogue.version import AUDIT, DIFF, RECIPE, VIEWS
from selfinstruct.figures.bins import HUNDREDTHS
from selfinstruct.figures.model import NONE
from selfinstruct.judging.words import meanings
from selfinstruct.text.markdown import bars, span, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from selfinstruct.catalogue.diff import Diff
    from selfinstruct.catalogue.version import Version
    from selfinstruct.figures.bins import Lengths
    from selfinstruct.figures.model import Example, Figures
    from selfinstruct.judging.audit import Audit

TRIAL = (
    "> **For trying out.** A script wrote these rows, no model. They teach nothing, stand under no licence, and are never to be "
    "published."
)
FAMILIES, LABELS = 8, 8
"""Verbs and labels that are shown."""
_TENTHS = 10


class Facts(NamedTuple):
    """All that a card is made of."""

    version: Version
    """Its files need no more than the shards."""
    figures: Figures
    """Of all its rows."""
    ordered: int
    """Rows that the last run was asked for."""
    seed: int
    """Of the last run."""
    audited: Audit | None = None
    """Of the last run; None where no model judged."""
    diff: Diff | None = None
    """Against the base; None where there is none."""
    pictures: tuple[tuple[str, str], ...] = ()
    """(file in the version, what it shows)."""


def card(facts: Facts) -> str:
    """Return it."""
    sections = (
        _what(facts),
        _load(facts.version),
        _pictures(facts),
        _funnel(facts.figures),
        _scores(facts.figures),
        _novelty(facts.figures),
        _lengths(facts.figures),
        _languages(facts.figures),
        _labels(facts.figures),
        _judge(facts),
        _drops(facts.figures),
        _diff(facts.diff),
        _cost(facts.figures),
        _licences(facts.version),
        _again(facts),
    )
    return "\n\n".join((head(facts.version), *("\n".join(lines) for lines in sections if lines))) + "\n"


def _what(facts: Facts) -> list[str]:
    version, figures = facts.version, facts.figures
    writers, judges = (", ".join(map(span, figures.models.get(role, {}))) for role in ("answer", "judge"))
    made = (
        f"Instruction data grown from seed tasks by {writers or 'a model'}"
        + (f", judged by {judges}" * bool(judges))
        + f". Version {version.version} of {version.created[:10]}: {version.rows.get('sft', 0):,} rows to train on, "
        f"{version.rows.get('preference', 0):,} preference pairs. Every row that was made is here or among the dropped, with its "
        "reason; `lineage` says where each came from."
    )
    base = [] if version.base is None else [f"All rows of version {version.base} stand in it, unchanged and first.", ""]
    rows = [
        (span(view), version.rows[view], version.added.get(view, 0), ABOUT[view])
        for view in VIEWS
        if version.rows.get(view)
    ]
    return [
        *([TRIAL, ""] if version.trial else []),
        f"# {version.name}",
        "",
        made,
        "",
        *base,
        *table(("view", "#rows", "#new", "what it holds"), rows),
    ]


def _load(version: Version) -> list[str]:
    return [
        "## Load it",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        f'rows = load_dataset("{version.name}", "sft", split="train")  # the folder of this file, or OWNER/{version.name} on the Hub',
        "```",
        "",
        "For a trainer, checked against the manifest:",
        "",
        "```sh",
        f"selfinstruct download {version.ref} --format messages -o {version.name}-{version.version}",
        "```",
    ]


def _pictures(facts: Facts) -> list[str]:
    return [f"![{what}]({file})" for file, what in facts.pictures]


def _funnel(figures: Figures) -> list[str]:
    stages = [*figures.funnel.items(), ("rows", figures.ledger)]
    rows = [(span(label), one.generated, one.accepted, one.dropped, one.failed, one.open) for label, one in stages]
    return [
        "## What was made, what was kept",
        "",
        *table(("stage", "#made", "#kept", "#dropped", "#failed", "#open"), rows),
    ]


def _scores(figures: Figures) -> list[str]:
    scores = figures.scores
    if not scores.total:
        return []
    halves = _grouped(scores.all(), HUNDREDTHS // 2)
    mean, kept = scores.mean(), scores.mean(kept=True)
    told = f"{scores.total:,} rows were scored, {mean:.2f} in the mean; those kept {kept or 0:.2f}."
    if scores.scales:
        told += f" Scale: {_either(f'{low:g} to {high:g}' for low, high in scores.scales)}."
    if scores.thresholds:
        told += f" Kept from {_either(f'{one:g}' for one in scores.thresholds)} on."
    if scores.unscored:
        told += f" {scores.unscored:,} got no score that could be read, and are not in it."
    lines = [(f"{half / 2:g}", count) for half, count in sorted(halves.items(), reverse=True)]
    return ["## Scores", "", told, "", *bars(lines)]


def _novelty(figures: Figures) -> list[str]:
    near = figures.nearness
    if not near.total:
        return []
    told = (
        f"ROUGE-L F of an instruction with the nearest earlier one. {sum(near.dropped.values()):,} were too near "
        f"(above {_either(f'{one:g}' for one in near.thresholds)}) and dropped; of a sample of {sum(near.kept.values()):,} kept "
        f"ones, half lie below {near.quantile(0.5, kept=True) or 0:.2f}, 90 % below {near.quantile(0.9, kept=True) or 0:.2f}."
    )
    tenths = _grouped({number + 1: count for number, count in near.kept.items()}, _TENTHS, down=True)
    return [
        "## Novelty",
        "",
        told,
        "",
        *bars(
            [
                (f"{one / 10:.1f} to {(one + 1) / 10:.1f}", tenths.get(one, 0))
                for one in range(max(tenths, default=0) + 1)
            ]
        ),
    ]


def _lengths(figures: Figures) -> list[str]:
    parts = (("instruction", figures.instruction), ("input", _without_empty(figures.input)), ("answer", figures.output))
    rows = [
        (name, *(f"{lengths.quantile(q, unit) or 0:,.0f}" for unit in ("characters", "words") for q in (0.1, 0.5, 0.9)))
        for name, lengths in parts
        if lengths.rows
    ]
    columns = ("", "#characters: 10 %", "#half", "#90 %", "#words: 10 %", "#half", "#90 %")
    return [
        "## Lengths",
        "",
        "So many rows are at most so long; an empty input is left out.",
        "",
        *table(columns, rows),
    ]


def _without_empty(lengths: Lengths) -> Lengths:
    return lengths.model_copy(
        update={
            unit: {number: count for number, count in getattr(lengths, unit).items() if number}
            for unit in ("characters", "words")
        }
    )


def _languages(figures: Figures) -> list[str]:
    told = [
        f"- {name}: {_shares(counts)}"
        for name, counts in (("instructions", figures.scripts), ("answers", figures.output_scripts))
        if counts
    ]
    verbs = [(verb, nouns) for verb, nouns in figures.verbs.items() if verb != NONE]
    verbs.sort(key=lambda one: (-sum(one[1].values()), one[0]))
    rows = [
        (
            span(verb, longest=40),
            sum(nouns.values()),
            ", ".join(f"{span(noun, longest=40)} {count:,}" for noun, count in _most(nouns, 4)),
        )
        for verb, nouns in verbs[:FAMILIES]
    ]
    topics = (
        [
            "",
            f"What is asked for, by verb ({len(verbs):,} in all) and object:",
            "",
            *table(("verb", "#rows", "objects"), rows),
        ]
        if rows
        else []
    )
    return ["## Scripts and topics", "", *told, *topics] if told else []


def _labels(figures: Figures) -> list[str]:
    labels, tasks = figures.labels, figures.classification
    if not labels.rows:
        return []
    told = f"{tasks.get('yes', 0):,} of {figures.rows:,} rows are of classification tasks."
    if labels.several:
        told += (
            f" Of {labels.several:,} tasks with several rows, {labels.one_label:,} have one label only; evenness is "
            f"{labels.mean_evenness:.2f} in the mean (0 one label, 1 all alike)."
        )
    return [
        "## Labels",
        "",
        told,
        "",
        f"Most frequent: {', '.join(f'{span(label, longest=40)} {count:,}' for label, count in _most(labels.labels, LABELS))}.",
    ]


def _judge(facts: Facts) -> list[str]:
    if facts.audited is None:
        return []
    of = " (of the rows that this version added)" if facts.version.base is not None else ""
    told = [f"- {one}" for one in meanings(facts.audited)]
    return [
        "## The judge",
        "",
        *told,
        *([""] if told else []),
        f"Each bias with its interval: [{AUDIT[1]}]({AUDIT[1]}){of}.",
    ]


def _drops(figures: Figures) -> list[str]:
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


def _diff(diff: Diff | None) -> list[str]:
    if diff is None:
        return []
    crossed = alarms(diff)
    told = [f"- **{one}**" for one in crossed] if crossed else ["No alarm limit was crossed."]
    return [f"## Against version {diff.base}", "", *told, "", f"All figures: [{DIFF[1]}]({DIFF[1]})."]


def _cost(figures: Figures) -> list[str]:
    used = {**{span(name): one for name, one in figures.usage_by_stage.items()}, "all": figures.usage}
    rows = [(name, one.calls, one.prompt_tokens, one.completion_tokens) for name, one in used.items()]
    runs = "one run" if figures.runs == 1 else f"{figures.runs:,} runs"
    told = f"{runs}, {figures.seconds:,} seconds in all; {figures.surplus:,} finished rows beyond the order are not in the data."
    return [
        "## Cost",
        "",
        told[0].upper() + told[1:],
        "",
        *table(("stage", "#calls", "#tokens in", "#tokens out"), rows),
    ]


def _licences(version: Version) -> list[str]:
    said = version.licences
    models = [
        f"- {role} {span(model)}: {span(licence)}"
        for role, licences in (("writer", said.writers), ("judge", said.judges))
        for model, licence in licences.items()
    ]
    return ["## Licences", "", f"- this dataset: {span(said.dataset)}", *models, f"- seed tasks: {span(said.seeds)}"]


def _again(facts: Facts) -> list[str]:
    version = facts.version
    runs = f"runs/{version.name}-{version.version}"
    made = (
        f"selfinstruct run {RECIPE} -n {facts.ordered} -o {runs}"
        if version.base is None
        else f"selfinstruct extend {version.name} --recipe {RECIPE} -n {facts.ordered}  # in a catalogue whose latest version is {version.base}"
    )
    earlier = "" if version.base is None else " Earlier rows were made by the recipes of their own versions."
    return [
        "## Make it again",
        "",
        "```sh",
        f"pip install selfinstruct=={version.made_by}",
        made,
        "```",
        "",
        f"[{RECIPE}]({RECIPE}) holds every setting, seed {facts.seed} included, with the names of the models; add `--base-url` for a "
        f"server of yours. The same answers give the same rows, byte for byte; a model server may answer otherwise.{earlier}",
    ]


def _grouped(counts: Mapping[int, int], width: int, *, down: bool = False) -> dict[int, int]:
    """Add up bins of hundredths in groups of `width`: the nearest one, or the one below."""
    grouped: dict[int, int] = {}
    for number, count in counts.items():
        at = number // width if down else round(number / width)
        grouped[at] = grouped.get(at, 0) + count
    return grouped


def _most(counts: Mapping[str, int], number: int) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:number]


def _shares(counts: Mapping[str, int]) -> str:
    whole = sum(counts.values())
    return ", ".join(f"{span(name, longest=40)} {count / whole:.1%}" for name, count in _most(counts, LABELS))


def _either(told: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(told))


def _figure(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
