"""The steps of a row's lineage in the order in which a reader asks: from what, by whom, what else there was, what was said of it.

Reads what `catalogue.views` wrote, which may come from anywhere: nothing is taken to be there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any

Fact = dict[str, Any]

HEAD = 64
"""Characters of a lineage in which the id of its instruction stands."""
_encode = json.JSONEncoder(ensure_ascii=False).encode
_ROOT = re.compile(r'^\[\{"id": "([^"\\]{1,40})"')


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge said of an answer."""

    stage: str
    judge: str
    score: float | None
    rationale: str
    flags: tuple[str, ...]
    votes: tuple[tuple[str, float], ...]
    expected: float | None = None
    entropy: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One candidate answer."""

    id: str
    text: str
    reasoning: str
    model: str
    fate: str
    drop: Fact | None
    verdicts: tuple[Verdict, ...]
    chosen: bool = False
    rejected: bool = False

    @property
    def score(self) -> float | None:
        """Mean of the verdicts' scores."""
        scores = [one.score for one in self.verdicts if one.score is not None]
        return sum(scores) / len(scores) if scores else None


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model."""

    stage: str
    model: str
    seed: str
    sampling: str
    prompt_tokens: int
    completion_tokens: int
    completions: tuple[tuple[str, str, str], ...]
    """(text, reasoning, how it ended)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers, the better one first."""

    chosen: str
    rejected: str
    chosen_score: float | None
    rejected_score: float | None
    orders: tuple[str, ...]
    """What was said when they were shown in this order, and in the other."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a row came from, and what else was made on the way."""

    steps: list[Fact] = field(default_factory=list)
    shown: tuple[str, ...] = ()
    """Ids of the demonstrations."""
    margin: float | None = None
    """Of the question whether it is a classification task."""
    answers: tuple[Answer, ...] = ()
    pair: Pair | None = None
    calls: tuple[Call, ...] = ()


def root_of(text: str) -> str | None:
    """Return the id of the instruction that a stored lineage begins with, of which the first `HEAD` characters are enough."""
    found = _ROOT.match(text)
    return found[1] if found else None


def read(steps: list[Fact], row: Fact, recipe: Fact) -> Lineage:
    """Read the lineage of `row`."""
    records = [(step, _dict(step.get("record"))) for step in steps]
    first = next((record for _, record in records if "shown" in record), {})
    margin = next((record.get("margin") for _, record in records if "margin" in record), None)
    pair = next((one for step, one in reversed(records) if "rejected" in one and step.get("fate") == "accepted"), None)
    answers = _answers(records, row, pair)
    return Lineage(
        steps=steps,
        shown=tuple(map(str, _list(first.get("shown")))),
        margin=_number(margin),
        answers=answers,
        pair=None if pair is None else _pair(pair),
        calls=_calls(records, recipe),
    )


def _answers(records: list[tuple[Fact, Fact]], row: Fact, pair: Fact | None) -> tuple[Answer, ...]:
    verdicts: dict[str, list[Verdict]] = {}
    for step, one in records:
        if "judge" in one and step.get("fate") == "accepted":
            verdicts.setdefault(str(one.get("of") or one.get("parent")), []).append(_verdict(step, one))
    made = [(step, one) for step, one in records if "text" in one and "shown" not in one and "judge" not in one]
    texts = [str(one.get("text", "")) for _, one in made]
    written = next(
        (one for _, one in records if "output" in one and "instruction" not in one and "text" not in one), None
    )
    if not made and written is not None:  # answered where the instance was written
        made, texts = [({"fate": "accepted", "stage": ""}, written)], [str(written.get("output", ""))]
    answers = [
        Answer(
            id=str(one.get("id", "")),
            text=text,
            reasoning=str(one.get("reasoning") or ""),
            model=str(_dict(one.get("provenance")).get("model", "")),
            fate=str(step.get("fate", "")),
            drop=step.get("drop") if isinstance(step.get("drop"), dict) else None,
            verdicts=tuple(verdicts.get(str(one.get("id")), ())),
        )
        for (step, one), text in zip(made, texts, strict=True)
    ]
    chosen = _named(answers, row.get("output"), row.get("raw_score"))
    rejected = None if pair is None else _named(answers, pair.get("rejected"), pair.get("rejected_score"))
    return tuple(replace(one, chosen=one is chosen, rejected=one is rejected) for one in answers)


def _named(answers: list[Answer], text: object, score: object) -> Answer | None:
    """Return the answer of that text; of several the one with that score, for the best of them was taken."""
    same = [one for one in answers if one.text == text and one.fate == "accepted"]
    return next((one for one in same if one.score == score), same[0] if same else None)


def _verdict(step: Fact, one: Fact) -> Verdict:
    votes = [_dict(vote) for vote in _list(one.get("votes"))]
    return Verdict(
        stage=str(step.get("stage", "")),
        judge=str(one.get("judge", "")),
        score=_number(one.get("score")),
        rationale=str(one.get("rationale", "")),
        flags=tuple(map(str, _list(one.get("flags")))),
        votes=tuple((str(vote.get("judge", "")), _number(vote.get("score")) or 0.0) for vote in votes),
        expected=_number(one.get("expected")),
        entropy=_number(one.get("entropy")),
    )


def _pair(one: Fact) -> Pair:
    return Pair(
        chosen=str(one.get("chosen", "")),
        rejected=str(one.get("rejected", "")),
        chosen_score=_number(one.get("chosen_score")),
        rejected_score=_number(one.get("rejected_score")),
        orders=tuple(map(str, _list(one.get("verdicts")))),
    )


def _calls(records: list[tuple[Fact, Fact]], recipe: Fact) -> tuple[Call, ...]:
    """Return every call once, in the order of the steps: siblings of one answer have the same."""
    drawn = {_label(stage): stage.get("sampling") for stage in _list(recipe.get("stages")) if isinstance(stage, dict)}
    found: dict[tuple[str, str, int], Call] = {}
    for step, one in records:
        provenance = _dict(one.get("provenance"))
        stage = str(step.get("stage", ""))
        for number, call in enumerate(map(_dict, _list(step.get("calls")))):
            key = stage, repr(call), number
            usage = _dict(call.get("usage"))
            if key not in found or (not found[key].seed and provenance):  # what was dropped unread does not know
                found[key] = Call(
                    stage=stage,
                    model=str(call.get("model", "")),
                    seed=str(provenance.get("seed") or ""),
                    sampling=_sampling(drawn.get(stage), provenance.get("sampling")),
                    prompt_tokens=int(_number(usage.get("prompt_tokens")) or 0),
                    completion_tokens=int(_number(usage.get("completion_tokens")) or 0),
                    completions=tuple(
                        (str(c.get("text", "")), str(c.get("reasoning") or ""), str(c.get("finish_reason", "")))
                        for c in map(_dict, _list(call.get("completions")))
                    ),
                )
    return tuple(found.values())


def _label(stage: Fact) -> str:
    return str(stage.get("name") or stage.get("kind") or "")


def _sampling(stage: object, drawn: object) -> str:
    """Return the parameters that were not left at nothing."""
    told = {**_dict(stage), **_dict(drawn)}
    return ", ".join(
        f"{name} {_short(value)}" for name, value in told.items() if value not in (None, [], {}, 0, 0.0, "")
    )


def _short(value: object) -> str:
    return _encode(value) if isinstance(value, (dict, list)) else f"{value}"


def _dict(value: object) -> Fact:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
