"""What the judges share: how a score is asked for and read, and whose votes count how much. Knows no stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from selfinstruct import families
from selfinstruct.errors import BadInputError, UnreadableError
from selfinstruct.text.reply import read_json
from selfinstruct.text.score import in_range
from selfinstruct.text.script import letters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.records import Vote
    from selfinstruct.rubrics import Rubric

OwnFamily = Literal["weigh", "refuse", "allow"]
"""weigh: where judges of several families vote, one of the writer's own family counts half. refuse: no such judge at all."""
OWN_WEIGHT = 0.5
"""Of a vote for an answer of the judge's own family; there is no published figure: it halves a lead and silences nobody."""

FEWEST_LETTERS, OTHER = 20, 0.1
"""A reason of so many letters, of which fewer than this share are of the language's script, is in another language: quotes
of the material leave more."""

LONGEST_RATIONALE = 600
"""Characters: two sentences fit, and a judge cannot lose itself."""


def shown(rubric: Rubric) -> dict[str, object]:
    """Return what a prompt says of a rubric."""
    return {
        "about": rubric.about,
        "criteria": rubric.criteria,
        "lowest": f"{rubric.lowest:g}",
        "highest": f"{rubric.highest:g}",
        "step": f"{rubric.step:g}",
        "example": number(rubric.scores[len(rubric.scores) * 2 // 3]),
    }


def number(score: float) -> str:
    """Return a score as a judge writes it: 4, 4.5."""
    return f"{score:g}"


def score_schema(rubric: Rubric) -> dict[str, Any]:
    """Return the schema of one score: whole numbers without a point, as the prompt shows them."""
    return {"enum": [int(one) if one == int(one) else one for one in rubric.scores]}


def object_schema(title: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of an object that has all of `properties` and nothing else."""
    return {
        "title": title,
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


RATIONALE: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": LONGEST_RATIONALE}


def read_object(text: str) -> dict[str, Any]:
    """Return a verdict in JSON.

    Raises:
        UnreadableError: it is none.
    """
    value = read_json(text)
    if not isinstance(value, dict):
        msg = "the verdict is not an object"
        raise UnreadableError(msg)
    return value


def read_entry(value: Mapping[str, Any], rubric: Rubric) -> tuple[float, str]:
    """Return score and rationale of one entry.

    Raises:
        UnreadableError: no score, or none of the scale.
    """
    score = on_scale(in_range(value.get("score"), lowest=rubric.lowest, highest=rubric.highest), rubric)
    return score, str(value.get("rationale") or "")[: 4 * LONGEST_RATIONALE]


def on_scale(score: float, rubric: Rubric) -> float:
    """Return the score of the scale that this is.

    Raises:
        UnreadableError: it lies between two of them: the judge keeps to another scale.
    """
    near = min(rubric.scores, key=lambda one: abs(one - score))
    if abs(near - score) > 1e-6:  # noqa: PLR2004 - rounding
        msg = f"score {score:g} is none of {', '.join(map(number, rubric.scores))}"
        raise UnreadableError(msg)
    return near


def other_language(rationale: str, language: str) -> bool:
    """Say whether a reason is surely written in another language than was asked for, by its script: en or ko."""
    found = letters(rationale)
    own = found.hangul if language == "ko" else found.latin
    return sum(found) >= FEWEST_LETTERS and own < OTHER * sum(found)


def weighted_median(votes: Sequence[Vote], weights: Sequence[float]) -> float:
    """Return the score that half of the weight lies on either side of; the middle of two when it falls between them."""
    if len(set(weights)) == 1:
        return float(median(one.score for one in votes))
    half, passed = sum(weights) / 2, 0.0
    ordered = sorted(zip((one.score for one in votes), weights, strict=True))
    for (score, weight), (following, _) in zip(ordered, [*ordered[1:], ordered[-1]], strict=True):
        passed += weight
        if abs(passed - half) < 1e-9:  # noqa: PLR2004 - rounding
            return (score + following) / 2
        if passed > half:
            return score
    return ordered[-1][0]


def weights(votes: Sequence[Vote], writer: str, *, own_family: OwnFamily, table: Mapping[str, str]) -> list[float]:
    """Return how much each vote on an answer by `writer` counts."""
    own = [families.same_family(one.judge, writer, families=table) for one in votes]
    if own_family != "weigh" or all(own):
        return [1.0] * len(votes)
    return [OWN_WEIGHT if one else 1.0 for one in own]


def family_cautions(
    stage: str,
    judges: Mapping[str, str],
    writers: Mapping[str, str],
    *,
    own_family: OwnFamily,
    table: Mapping[str, str],
) -> Iterator[str]:
    """Yield a warning for each judge of a writer's family; both are engine name -> model.

    Raises:
        BadInputError: there is one, and the recipe refuses it.
    """
    for name, judge in judges.items():
        kin = [model for model in writers.values() if families.same_family(judge, model, families=table)]
        if not kin or own_family == "allow":
            continue
        told = f"judge {judge} (engine {name}) is of the family of the writer {kin[0]}"
        if own_family == "refuse":
            remedy = f"name another judge (engines.{name}.base_url), or --set stages.{stage}.own_family=weigh"
            msg = f"stage {stage}: {told}"
            raise BadInputError(msg, remedy=remedy)
        alone = all(any(families.same_family(one, other, families=table) for other in kin) for one in judges.values())
        what = (
            "judges favour their own kind; the audit shows what can be seen of it" if alone else "its votes count half"
        )
        yield f"{told}: {what} (own_family: allow to be silent, refuse to stop)"
