"""The card of a version: README.md in Markdown. Facts in, text out; what a model wrote stands in code spans and is only text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from selfinstruct.catalogue import sections as told
from selfinstruct.catalogue.croissant import ABOUT
from selfinstruct.catalogue.diff import alarms
from selfinstruct.catalogue.head import head
from selfinstruct.catalogue.version import AUDIT, DIFF, MANIFEST, RECIPE, VIEWS
from selfinstruct.judging.words import meanings
from selfinstruct.text.markdown import span, table

if TYPE_CHECKING:
    from selfinstruct.catalogue.diff import Diff
    from selfinstruct.catalogue.version import Version
    from selfinstruct.figures.model import Figures
    from selfinstruct.judging.audit import Audit

TRIAL = (
    "> **For trying out.** A script wrote these rows, no model. They teach nothing, stand under no licence, and are never to be "
    "published."
)


class Facts(NamedTuple):
    """All that a card is made of."""

    version: Version
    """Its files need no more than the shards."""
    figures: Figures
    """Of all its rows."""
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
    figures = facts.figures
    parts = (
        _what(facts),
        _load(facts.version),
        _pictures(facts),
        told.funnel(figures),
        told.scores(figures),
        told.novelty(figures),
        told.lengths(figures),
        told.languages(figures),
        told.labels(figures),
        _judge(facts),
        told.drops(figures),
        _diff(facts.diff),
        told.cost(figures),
        _licences(facts.version),
        _again(facts),
    )
    return "\n\n".join((head(facts.version), *("\n".join(lines) for lines in parts if lines))) + "\n"


def _what(facts: Facts) -> list[str]:
    version, figures = facts.version, facts.figures
    writers, judges = (", ".join(map(span, figures.models.get(role, {}))) for role in ("answer", "judge"))
    pairs = f", {count:,} preference pairs" if (count := version.rows.get("preference", 0)) else ""
    judged = f", judged by {judges}" if judges else ""
    made = (
        f"Instruction data {_origin(version)}{writers or 'a model'}{judged}. Version {version.version} of "
        f"{version.created[:10]}: {version.rows.get('sft', 0):,} rows to train on{pairs}. Every row that was made is kept, "
        "dropped with its reason, or counted as failed; `lineage` says where each came from."
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


def _origin(version: Version) -> str:
    return "that was given, written by " if version.licences.source else "grown from seed tasks by "


def _load(version: Version) -> list[str]:
    return [
        "## Load it",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        f'rows = load_dataset("path/to/{version.name}/{version.version}", "sft", split="train")  # or OWNER/NAME on the Hub',
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


def _judge(facts: Facts) -> list[str]:
    if facts.audited is None:
        return []
    of = " (of the rows that this version added)" if facts.version.base is not None else ""
    meant = [f"- {one}" for one in meanings(facts.audited)]
    return [
        "## The judge",
        "",
        *meant,
        *([""] if meant else []),
        f"Each bias with its interval: [{AUDIT[1]}]({AUDIT[1]}){of}.",
    ]


def _diff(diff: Diff | None) -> list[str]:
    if diff is None:
        return []
    crossed = alarms(diff)
    lines = [f"- **{one}**" for one in crossed] if crossed else ["No alarm limit was crossed."]
    return [f"## Against version {diff.base}", "", *lines, "", f"All figures: [{DIFF[1]}]({DIFF[1]})."]


def _licences(version: Version) -> list[str]:
    said = version.licences
    models = [
        f"- {role} {span(model)}: {span(licence)}"
        for role, licences in (("writer", said.writers), ("judge", said.judges))
        for model, licence in licences.items()
    ]
    origins = [
        f"- {what}: {span(licence)}"
        for what, licence in (("seed tasks", said.seeds), ("rows that were given", said.source))
        if licence
    ]
    return ["## Licences", "", f"- this dataset: {span(said.dataset)}", *models, *origins]


def _again(facts: Facts) -> list[str]:
    version = facts.version
    made, earlier = f"selfinstruct run {RECIPE} -n {version.ordered}", ""
    if version.base is not None:
        made += f" --against path/to/{version.name}/{version.base}/data/sft"
        earlier = " Rows of earlier versions were made by the recipes of those."
    made += f" -o runs/{version.name}-{version.version}"
    shards = {version.files[shard].sha256 for shard in version.shards("sft")}
    if others := len(set(version.against) - shards):
        earlier += (
            f" {others} more file(s) counted as earlier texts: `--against` names each, `{MANIFEST}` has their sha256."
        )
    changed = [f"- {span(line)}" for line in version.changed]
    since = ["", f"Made otherwise than version {version.base}:", "", *changed] if changed else []
    note = (
        f"[{RECIPE}]({RECIPE}) holds every setting and the names of the models; its seed is {facts.seed}. `--base-url` names "
        f"your server. The same answers give the same rows, byte for byte; a server may answer otherwise.{earlier}"
    )
    return [
        "## Make it again",
        "",
        "```sh",
        f"# with selfinstruct {version.made_by}, installed from its repository",
        made,
        "```",
        "",
        note,
        *since,
    ]
