"""What each page shows, as plain facts: gathered from the library, independent of any request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from selfinstruct.catalogue.version import AUDIT, CARD, DIFF, Ref
from selfinstruct.viewer import texts
from selfinstruct.viewer.folding import terms
from selfinstruct.viewer.index import ORDERS, Asked
from selfinstruct.viewer.lineage import read

if TYPE_CHECKING:
    from selfinstruct.viewer.library import Library, Shown

Fact = dict[str, Any]

PAGE = 50
"""Rows of a page."""


def catalogue(library: Library) -> Fact:
    """All datasets, with their versions, the latest first."""
    sets = [
        {"name": name, "versions": [library.version(Ref(name, one)) for one in reversed(versions)]}
        for name, versions in library.sets().items()
    ]
    where = "" if library.catalogue is None else library.catalogue.root
    return {"sets": sets, "trial": library.catalogue is not None and library.catalogue.trial, "where": where}


def dataset(shown: Shown, versions: list[int]) -> Fact:
    """One version: its numbers and papers."""
    return {
        "shown": shown,
        "versions": versions[::-1],
        "manifest": shown.manifest,
        "papers": {name: shown.paper(file) for name, file in (("card", CARD), ("audit", AUDIT[1]), ("diff", DIFF[1]))},
    }


def rows(shown: Shown, asked: Asked, number: int) -> Fact:
    """A page of rows; `number` counts from 1."""
    index = shown.index()
    found = index.find(asked, start=(number - 1) * PAGE, count=PAGE)
    return {
        "shown": shown,
        "asked": asked,
        "form": form(asked),
        "terms": terms(asked.text),
        "found": found,
        "facets": index.facets(),
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
    for (one, why, came), count in index.drop_counts().items():
        versions[came] = versions.get(came, 0) + count
        if version is None or came == version:
            counted[one, why] = counted.get((one, why), 0) + count
    found = index.drops(stage, rule, version=version, start=(number - 1) * PAGE, count=PAGE)
    for one in found.rows:
        one["proof"] = evidence(one["evidence"])
    return {
        "shown": shown,
        "stage": stage,
        "rule": rule,
        "version": version,
        "versions": versions,
        "counted": sorted(counted.items(), key=lambda one: -one[1]),
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
    return {str(name): value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for name, value in told.items()} if isinstance(told, dict) else {}
