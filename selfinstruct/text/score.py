"""Reads the score that a judge gave, from words or from the probabilities of its tokens. Knows no rubric and no stage.

Whatever is not certain raises or is None: an unreadable verdict is never a score.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import exp, log

from selfinstruct.errors import UnreadableError
from selfinstruct.text.reply import LONGEST

_TOKEN = re.compile(r"\w*[+-]?\d[\w.,]*")
_NUMBER = re.compile(r"\d{1,3}(?:[.,]\d{1,2})?[.,]?")
_AMOUNT = r"\d{1,3}(?:[.,]\d{1,2})?"
_OUT_OF = re.compile(rf"({_AMOUNT}) ?점? ?(?:/|out of|von|sur|de) ?(\d{{1,3}})(?:\.0)?(?!\d) ?점?", re.IGNORECASE)
_OF_FULL = re.compile(rf"(\d{{1,3}})(?:\.0)? ?점 ?만점(?:에|에서|의|으로|:| 중)? ?({_AMOUNT}) ?점?")
_POINTS = re.compile(rf"({_AMOUNT})(?:점|点|分)")

_UNITS = "zero one two three four five six seven eight nine ten".split()  # noqa: SIM905 - a list of words
_WORD = "|".join(_UNITS)
_SPOKEN = re.compile(rf"\b({_WORD})(?: and a (half)| point ({_WORD}))?\b", re.IGNORECASE)
_SAYS = re.compile(
    r"\b(?:scor\w*|rat(?:e|es|ed|ing)|grad(?:e|es|ed|ing)|verdict|marks?|giv\w*|award\w*|assign\w*|evaluat\w*|scale|says?|overall)\b"
    r"|점수|평점|평가|총점|채점|등급|판정|점으로|点|分",
    re.IGNORECASE,
)
"""A word before a number that says what the number is."""
_UNSAYS = re.compile(
    r"\b(?:not|no|never|cannot|without|less|lower|more|higher|under|over|below|above|least|most|than|minus|between|from|n/a)\b|n't\b"
    r"|[<>=]?[<>\u2264\u2265]|[-\u2212\u2013\u2014] ?$|마이너스|없|아니|못|미만|이상|이하|초과|부터|사이",
    re.IGNORECASE,
)
"""What makes of a number another one, a bound, or none."""
_GOES_ON = re.compile(
    r"$|[^\w\s%+]|(?:points?|stars?|because|since|as|for|overall|out of)\b|입니다|이다|점|을|를|으로|로", re.IGNORECASE
)
"""What may stand after a score. Another noun ("2 causes") makes it the count of something."""
_NOT_ALONE = re.compile(
    r"-?half\b|-? ?and a|\)|(?:을|를)? ?(?:줄 수|드릴 수)? ?(?:없|아니|못|미만|이상|이하|초과)",
    re.IGNORECASE,
)
"""What may not: a fraction in words, the bracket of a list, the end of a range, a denial."""
_ARTICLES = re.compile(
    r"\b(?:this|that|which|the|each|every|any|no|another|first|last|only|of) one\b|\bone of\b", re.IGNORECASE
)


def read_score(text: str, *, lowest: float, highest: float) -> float:
    """Return the one score that the first line of a judge's reply states.

    Reads "4.5", "Score: 4.5", "**4.5**", "4.5/5", "4,5", "4.5 - great", "점수: 4.5", "5점 만점에 4.5점", "four point five out of
    five". The first line alone counts: the explanation may hold any number.

    Raises:
        UnreadableError: no number, several numbers, out of range, or out of another scale.
    """
    line = next((line for line in text[:LONGEST].splitlines() if line.strip()), "")[:500]
    line = _SPOKEN.sub(_digits, _ARTICLES.sub("", line.replace("*", "").replace("_", " ").replace("`", "")))
    for pattern, (stated, full) in ((_OF_FULL, (2, 1)), (_OUT_OF, (1, 2))):
        found = pattern.search(line)
        if found is None:
            continue
        if float(found[full]) != highest:
            msg = f"score out of {found[full]}, wanted out of {highest:g}"
            raise UnreadableError(msg)
        line = f"{line[: found.start()]} {found[stated]} {line[found.end() :]}"
        break
    line = _POINTS.sub(r"\1 ", line)
    span = re.search(rf"(?<![\w.]){lowest:g} ?(?:-|\u2013|~|to|에서) ?{highest:g}(?![\w.])", line)
    if span and _TOKEN.search(line[: span.start()] + line[span.end() :]):  # "Score (0-5): 4" tells its scale
        line = f"{line[: span.start()]} scale {line[span.end() :]}"
    tokens = list(_TOKEN.finditer(line))
    if len(tokens) != 1 or not _NUMBER.fullmatch(tokens[0][0]):
        msg = f"not one plain number in the first line of the verdict: {len(tokens)} found"
        raise UnreadableError(msg)
    _sure(line[: tokens[0].start()].strip(), line[tokens[0].end() :].strip())
    return in_range(float(tokens[0][0].rstrip(".,").replace(",", ".")), lowest=lowest, highest=highest)


def _sure(before: str, after: str) -> None:
    """Raise unless the words around a number leave no doubt that it is the score."""
    opened = before.rstrip().endswith("(")
    alone = not before.strip("#>([\"' ")
    denied = _UNSAYS.search(before) or (_NOT_ALONE.match(after) and not (opened and after.startswith(")")))
    if denied or not (alone or _SAYS.search(before)) or not _GOES_ON.match(after):
        msg = "the number in the first line of the verdict may be another than the score"
        raise UnreadableError(msg)


def _digits(spoken: re.Match[str]) -> str:
    """Return a number in words as digits: "four point five" is 4.5."""
    whole, half, tenth = spoken.groups()
    fraction = ".5" if half else f".{_UNITS.index(tenth.lower())}" if tenth else ""
    return f"{_UNITS.index(whole.lower())}{fraction}"


def in_range(score: object, *, lowest: float, highest: float) -> float:
    """Return `score` as a float.

    Raises:
        UnreadableError: not a number, or outside the scale.
    """
    if isinstance(score, bool) or not isinstance(score, int | float) or not lowest <= score <= highest:
        msg = f"score {str(score)[:40]!r} is not a number from {lowest:g} to {highest:g}"
        raise UnreadableError(msg)
    return float(score)


LEAST_MASS = 0.5
"""Probability that the alternatives which begin a score must hold together; below it they say nothing."""


def expectation(
    tokens: Sequence[Mapping[str, float]], text: str, *, scores: Sequence[float]
) -> tuple[float, float] | None:
    """Return (expected score, entropy in nats) of an answer that is a score alone; None where that cannot be known.

    `tokens`: per token of `text`, alternative -> log-probability. Exact where each score is one token (1 to 5, as in
    DEITA). "4" and "4.5" share their first token: the second tells how the one that was written divides, and what another
    first token holds is divided evenly, so that the value is off by half a step at most times the share not written. Where a
    token begins scores that are no neighbours (1 and 10), nothing can be known.
    """
    names = {f"{score:g}": score for score in scores}
    mass = dict.fromkeys(names, 0.0)
    if not tokens or not names:
        return None
    for alternative, value in tokens[0].items():
        start = alternative.strip()
        begun = [name for name in names if start and name.startswith(start)]
        if len(begun) > 1 and not _neighbours(begun, start, list(names)):
            return None
        shares = _division(begun, start, tokens[1:], text.strip()) if len(begun) > 1 else [1.0]
        for name, share in zip(begun, shares, strict=False):
            mass[name] += exp(value) * share
    total = sum(mass.values())
    if total < LEAST_MASS:
        return None
    chances = {name: one / total for name, one in mass.items() if one}
    entropy = -sum(chance * log(chance) for chance in chances.values())
    return sum(names[name] * chance for name, chance in chances.items()), max(0.0, entropy)


def _neighbours(begun: Sequence[str], start: str, names: Sequence[str]) -> bool:
    """Say whether a first token begins one score and the one after it: 4 and 4.5."""
    return len(begun) == 2 and start == begun[0] and names.index(begun[1]) - names.index(begun[0]) == 1  # noqa: PLR2004


def _division(begun: Sequence[str], start: str, later: Sequence[Mapping[str, float]], text: str) -> list[float]:
    """Return how the mass of a first token divides between the two scores that begin with it."""
    if not text.startswith(start) or not later:
        return [0.5, 0.5]
    rest = begun[1][len(start) :]
    goes_on = min(
        1.0, sum(exp(value) for alternative, value in later[0].items() if alternative and rest.startswith(alternative))
    )
    return [1 - goes_on, goes_on]
