"""What each page shows, as plain facts: gathered from the library, independent of any request."""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from selfinstruct.catalogue.version import AUDIT, CARD, DIFF, Ref
from selfinstruct.errors import BadInputError, DamageError
from selfinstruct.figures.model import Figures
from selfinstruct.viewer import sending, texts
from selfinstruct.viewer.charts import charts, funnel, growth, singles
from selfinstruct.viewer.folding import terms
from selfinstruct.viewer.index import ORDERS, Asked
from selfinstruct.viewer.library import Preparing, ShownRun, ShownVersion
from selfinstruct.viewer.lineage import read
from selfinstruct.viewer.prompted import prompt

if TYPE_CHECKING:
    from selfinstruct.catalogue.version import Version
    from selfinstruct.viewer.library import Library, Shown
    from selfinstruct.viewer.links import Links
    from selfinstruct.viewer.wording import Words

Fact = dict[str, Any]

NOTHING = "\N{EN DASH}"
"""Stands where there is no figure."""
COMMON = 0.9
"""Share of rows from which a flag is not told at each of them."""
PAGE = 50
"""Rows of a page."""


def catalogue(library: Library) -> Fact:
    """All datasets, with their versions, the latest first; and what is damaged, which hides nothing else."""
    sets, damaged = [], []
    for name, numbers in library.sets().items():
        versions = []
        for number in reversed(numbers):
            try:
                versions.append(library.version(Ref(name, number)))
            except (BadInputError, DamageError) as error:  # the former: of a newer format
                damaged.append(str(error))
        if versions:
            sets.append({"name": name, "versions": versions})
    trial = library.catalogue is not None and library.catalogue.trial
    return {"sets": sets, "damaged": damaged, "trial": trial, "where": library.where}


def dataset(shown: Shown, library: Library, words: Words, links: Links) -> Fact:
    """One version, or a run: its numbers, pictures, downloads and papers."""
    if isinstance(shown, ShownRun):
        with suppress(Preparing):  # its pictures come when they are there
            shown.index()
    manifest, figures = shown.manifest, shown.figures
    name = manifest.name if manifest else ""
    versions = library.sets().get(name, [])
    sizes = {one.manifest.version: one.manifest.rows.get("sft", 0) for one in library.whole(name)}
    drawn = charts(figures, words, links, shown.base) if figures else {}
    if manifest is None:
        drawn.pop("funnel", None)  # a run shows the one of this very moment
    return {
        "shown": shown,
        "manifest": manifest,
        "trial": shown.trial,
        "versions": versions[::-1],
        "growth": growth(sizes, words) if len(sizes) > 1 else "",
        "numbers": numbers(manifest, figures, words),
        "charts": drawn,
        "singles": singles(figures, words) if figures else [],
        "formats": downloads(shown, library, links),
        "papers": {name: shown.paper(file) for name, file in (("diff", DIFF[1]), ("card", CARD), ("audit", AUDIT[1]))},
        **(news(shown, words, links) if isinstance(shown, ShownRun) else {}),
    }


def numbers(manifest: Version | None, figures: Figures | None, words: Words) -> list[tuple[str, str, str]]:
    """Return (name, value, what is to be said of it) of the large numbers."""
    told: list[tuple[str, str, str]] = []
    if manifest is not None:
        added = words("number.added", n=manifest.added.get("sft", 0)) if manifest.base else ""
        told.append((words("number.rows"), f"{manifest.rows.get('sft', 0):,}", added))
        told.append((words("number.pairs"), f"{manifest.rows.get('preference', 0):,}", ""))
        told.append((words("number.dropped"), f"{manifest.rows.get('dropped', 0):,}", ""))
    elif figures is not None:
        told.append((words("number.rows"), f"{figures.rows:,}", ""))
        told.append((words("number.pairs"), f"{figures.pairs:,}", ""))
        told.append((words("number.dropped"), f"{sum(figures.drops.values()):,}", ""))
    if figures is not None:
        if figures.acceptance is not None:
            told.append((words("number.acceptance"), f"{figures.acceptance:.1%}", words("number.acceptance.more")))
        mean = figures.scores.mean(kept=True)
        if mean is not None:
            told.append((words("number.score"), f"{mean:.2f}", words("number.score.more")))
        even = figures.labels.mean_evenness
        if even is not None:
            more = words("number.evenness.more", n=figures.labels.one_label, n_of=figures.labels.several)
            told.append((words("number.evenness"), f"{even:.2f}", more))
        if figures.usage.calls:
            usage = figures.usage
            more = words("number.calls.more", n_in=usage.prompt_tokens, n_out=usage.completion_tokens)
            told.append((words("number.calls"), f"{usage.calls:,}", more))
    return told


def downloads(shown: Shown, library: Library, links: Links) -> list[Fact]:
    """Return for each format its name, its command, and where its rows are sent from; files as they are first."""
    manifest = shown.manifest
    if manifest is None or library.catalogue is None or not links.live:
        return []
    place = shlex.quote(library.catalogue.root)
    found = []
    for name in ("files", *sending.sendable()):
        if name != "files" and not manifest.rows.get(sending.view_of(sending.sendable()[name])):
            continue
        form = "" if name == "files" else f" --format {name}"
        command = f"selfinstruct download {manifest.ref}{form} --from {place} -o {manifest.name}-{name}"
        url = links.download(shown.base, f"{name}.jsonl") if can_send(shown, name) else ""
        found.append({"name": name, "command": command, "url": url})
    return found


def can_send(shown: Shown, form: str) -> bool:
    """Whether rows can be sent in a format: lines, of shards that lie on this machine, and there are such rows."""
    exporter = sending.sendable().get(form)
    local = isinstance(shown, ShownVersion) and shown.published.folder is not None
    return local and exporter is not None and exporter.suffix == sending.SUFFIX and bool(
        shown.manifest and shown.manifest.rows.get(sending.view_of(exporter))
    )  # fmt: skip


def news(shown: ShownRun, words: Words, links: Links) -> Fact:
    """What changes while a run goes on: its accounts and newest rows."""
    with suppress(Preparing):
        shown.index(patience=0)  # a run that has grown is counted anew
    told = shown.news()
    return {"shown": shown, **told, "picture": funnel(Figures(funnel=told["stages"]), words, links, shown.base)}


def rows(shown: Shown, asked: Asked, number: int) -> Fact:
    """A page of rows; `number` counts from 1."""
    index = shown.index()
    found = index.find(asked, start=(number - 1) * PAGE, count=PAGE)
    facets = index.facets
    return {
        "shown": shown,
        "asked": asked,
        "form": form(asked),
        "terms": terms(asked.text),
        "found": found,
        "facets": facets,
        "told": [flag for flag, rows in facets["flags"].items() if rows < COMMON * index.count],
        "orders": list(ORDERS),
        "number": number,
        "pages": max(1, -(-found.total // PAGE)),
        "first": (number - 1) * PAGE + 1,
    }


def form(asked: Asked) -> dict[str, str]:
    """Return `asked` as the fields of the form have it."""
    classification = "" if asked.classification is None else ("yes" if asked.classification else "no")
    fields = {
        "q": asked.text, "class": classification, "flag": asked.flag, "script": asked.script, "version": asked.version,
        "min": asked.least, "max": asked.most, "sort": asked.order,
    }  # fmt: skip
    return {
        name: f"{value:g}" if isinstance(value, float) else str(value)
        for name, value in fields.items()
        if value not in ("", None)
    }


def row(shown: Shown, fact: Fact) -> Fact:
    """One row with its lineage."""
    index = shown.index()
    told = read(shown.lineage(fact["id"]), fact, shown.recipe)
    texts_of = index.demonstrations(told.shown) if told.shown else {}
    before, after = index.around(fact["n"])
    pair = None if told.pair is None else (told.pair, texts.differences(told.pair.chosen, told.pair.rejected))
    return {
        "shown": shown,
        "row": fact,
        "flags": [flag for flag in (fact["flags"] or "").split(",") if flag],
        "lineage": told,
        "demonstrations": [(one, *texts_of.get(one, ("", None)), one in texts_of) for one in told.shown],
        "prompt": prompt(shown.recipe, [texts_of.get(one, ("", None))[0] for one in told.shown]),
        "pair": pair,
        "before": before,
        "after": after,
    }


def near(shown: Shown, fact: Fact) -> Fact:
    """What is nearest to a row's instruction, with the overlap marked."""
    index, instruction = shown.index(), fact["instruction"]
    found = [
        (one.score, index.first_with(one.text), *texts.overlap(instruction, one.text, tokenizer=shown.tokenizer))
        for one in shown.nearest(instruction, 3)
    ]
    return {"shown": shown, "found": found}


def drops(shown: Shown, stage: str, rule: str, version: int | None, number: int) -> Fact:
    """A page of drops, and how many there are of each rule."""
    index = shown.index()
    counted: dict[tuple[str, str], int] = {}
    versions: dict[int, int] = {}
    for (one, why, came), count in index.drop_counts.items():
        versions[came] = versions.get(came, 0) + count
        if version is None or came == version:
            counted[one, why] = counted.get((one, why), 0) + count
    found = index.drops(stage, rule, version=version, start=(number - 1) * PAGE, count=PAGE)
    for fact in found.rows:
        fact["proof"] = evidence(fact["evidence"])
    return {
        "shown": shown,
        "stage": stage,
        "rule": rule,
        "version": version,
        "versions": dict(sorted(versions.items())),
        "counted": sorted(counted.items(), key=lambda one: -one[1]),
        "total": sum(counted.values()),
        "found": found,
        "number": number,
        "pages": max(1, -(-found.total // PAGE)),
    }


def drop(shown: Shown, fact: Fact) -> Fact:
    """One drop; with what it was too near to, the overlap marked."""
    proof = evidence(fact["evidence"])
    nearest = proof.pop("nearest", None)
    tokenizer = proof.get("tokenizer", "unicode")
    marked = texts.overlap(fact["text"] or "", str(nearest), tokenizer=str(tokenizer)) if nearest else None
    return {"shown": shown, "drop": fact, "proof": proof, "marked": marked}


def evidence(text: str | None) -> Fact:
    """Return what a drop brings along; nothing where it cannot be read."""
    try:
        told = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return (
        {
            str(name): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in told.items()
        }
        if isinstance(told, dict)
        else {}
    )


def compare(first: Shown, second: Shown, words: Words, links: Links) -> Fact:
    """Two versions side by side: figures, their pictures, and the rows that came in between."""
    both = [one.figures for one in (first, second)]
    return {
        "first": first,
        "second": second,
        "title": first.manifest.name if first.manifest else "",
        "figures": _side_by_side(first, second, words),
        "charts": [
            charts(one, words, links, shown.base) if one else {}
            for one, shown in zip(both, (first, second), strict=True)
        ],
        "diff": second.paper(DIFF[1])
        if second.manifest and first.manifest and second.manifest.base == first.manifest.version
        else "",
    }


def _side_by_side(first: Shown, second: Shown, words: Words) -> list[tuple[str, str, str, str]]:
    """Return (name, first, second, change) of everything that is one number."""
    told: list[tuple[str, str, str, str]] = []

    def put(name: str, one: float | None, other: float | None, form: str) -> None:
        sides = [NOTHING if value is None else format(value, form) for value in (one, other)]
        if sides != [NOTHING, NOTHING]:
            change = "" if one is None or other is None else format(other - one, f"+{form}")
            told.append((name, sides[0], sides[1], change))

    for key, view in (("number.rows", "sft"), ("number.pairs", "preference"), ("number.dropped", "dropped")):
        was, now = (one.manifest.rows.get(view, 0) if one.manifest else None for one in (first, second))
        put(words(key), was, now, ",")
    a, b = first.figures, second.figures
    if a is None or b is None:
        return told
    put(words("number.acceptance"), a.acceptance, b.acceptance, ".1%")
    put(words("number.score"), a.scores.mean(kept=True), b.scores.mean(kept=True), ".2f")
    put(words("number.nearness"), a.nearness.quantile(0.5, kept=True), b.nearness.quantile(0.5, kept=True), ".2f")
    put(words("number.instruction"), a.instruction.quantile(0.5), b.instruction.quantile(0.5), ",.0f")
    put(words("number.output"), a.output.quantile(0.5), b.output.quantile(0.5), ",.0f")
    for script in dict.fromkeys((*b.scripts, *a.scripts)):
        was_share, share = (one.scripts.get(script, 0) / one.rows if one.rows else None for one in (a, b))
        put(f"{words('script')}: {words.of('script', script)}", was_share, share, ".1%")
    return told
