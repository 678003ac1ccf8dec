"""The lineage of a row as compact JSON for a page of files: what `lineage.read` finds, each text once. Knows no file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from selfinstruct.viewer.lineage import read

if TYPE_CHECKING:
    from collections.abc import Callable

    from selfinstruct.viewer.lineage import Answer, Call, Lineage

    Fact = dict[str, Any]

LONGEST = 4000
"""Characters of a text, at most; how much more there is, is said."""


Way = tuple[str, str, str]
"""Stage, model and sampling of a call: the same for most rows."""


def steps_of(row: Fact, text: str, recipe: Fact, ways: dict[Way, int]) -> Fact | None:
    """Return the lineage of `row` that `text` holds; None where there is none.

    Ways of asking are put into `ways`, and stand in calls as their numbers. A text that is the row's answer, or that of an
    answer before it, is 0 for the row's or the number of that answer from 1 on.
    """
    try:
        steps = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    if not isinstance(steps, list):
        return None
    try:
        found = read([step for step in steps if isinstance(step, dict)], row, recipe)
    except RecursionError:
        return None
    return _told(found, row["output"] or "", ways)


def _told(found: Lineage, output: str, ways: dict[Way, int]) -> Fact:
    known: dict[str, int] = {output: 0}
    for number, answer in enumerate(found.answers, 1):
        known.setdefault(answer.text, number)

    def once(text: str) -> str | int:
        return known[text] if text in known else cut(text)

    pair = found.pair
    return {
        "shown": found.shown,
        "margin": found.margin,
        "answers": [_answer(one, 0 if one.text == output else cut(one.text)) for one in found.answers],
        "pair": None
        if pair is None
        else [once(pair.chosen), once(pair.rejected), pair.chosen_score, pair.rejected_score, pair.orders],
        "calls": [_call(one, once, ways) for one in found.calls],
    }


def _answer(one: Answer, text: str | int) -> list[Any]:
    verdicts = [
        [said.stage, said.judge, said.score, cut(said.rationale), said.flags, said.votes, said.expected]
        for said in one.verdicts
    ]
    rule = str(one.drop.get("rule", "")) if one.drop else ""
    return [text, cut(one.reasoning), one.model, one.score, one.chosen, one.rejected, rule, verdicts]


def _call(one: Call, once: Callable[[str], str | int], ways: dict[Way, int]) -> list[Any]:
    way = ways.setdefault((one.stage, one.model, one.sampling), len(ways))
    said = [[once(text), cut(reasoning), ended] for text, reasoning, ended in one.completions]
    return [way, one.seed, one.prompt_tokens, one.completion_tokens, said]


def cut(text: str, longest: int = LONGEST) -> str:
    """Return a text, with how much more of it there is where it is longer."""
    return text if len(text) <= longest else f"{text[:longest]} … +{len(text) - longest:,}"
