"""What the scripted engine writes about a task: inputs, good and weak answers, verdicts. Knows no prompt, no request.

It understands nothing. Which label an input deserves is settled by a checksum, so that writer, answerer and judge agree.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any
from zlib import crc32

from selfinstruct.engines._grammar import (
    TOPICS,
    WORDS,
    Slots,
    known_subject,
    labels_of,
    needs_input,
    pick,
    subject_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

Pair = tuple[str, str]
"""An input and its output."""

TRIES = 24
"""Endings tried until an input deserves its label: with four labels, one in a thousand stays wrong."""
LISTED = 0.3
"""Share of good answers that are lists."""


def instances(task: str, draw: Random, *, at_most: int, skewed: float = 0) -> list[Pair]:
    """Return up to three inputs with good outputs, or one output alone when the task needs no input.

    Of a task that sorts into labels, a share `skewed` of the inputs is thought up for its first label.
    """
    labels = labels_of(task)
    if not labels and not needs_input(task):
        return [("", good(task, "", draw))]
    topic = subject_of(task)[0]
    inputs = [
        _deserving(labels[0], labels, topic, draw) if labels and draw.random() < skewed else _passage(topic, draw)
        for _ in range(min(at_most, 1 + int(draw.random() * 3)))
    ]
    return [(given, good(task, given, draw)) for given in inputs]


def labelled(task: str, draw: Random, *, at_most: int, skewed: float = 0) -> list[Pair]:
    """Return an input for each label that the task names; yes and no when it names none.

    A share `skewed` of the labels after the first is the first again.
    """
    labels = labels_of(task) or ("yes", "no")
    named = [label if number == 0 or draw.random() >= skewed else labels[0] for number, label in enumerate(labels)]
    return _written_for(named[:at_most], labels, task, draw)


def topped_up(
    task: str, draw: Random, *, wanted: Sequence[str], enough: Sequence[str], count: int, skewed: float = 0
) -> list[Pair]:
    """Return `count` inputs for the wanted labels in turn; without any, for those of the task that are not enough.

    A share `skewed` of the labels is one of which there is enough, all the same.
    """
    labels = labels_of(task) or ("yes", "no")
    told = {one.casefold() for one in enough}
    offered = [*wanted] or [one for one in labels if one not in told] or [*labels]
    named = [
        pick(enough, draw) if enough and draw.random() < skewed else offered[n % len(offered)] for n in range(count)
    ]
    return _written_for(named, labels, task, draw)


def _written_for(named: Sequence[str], labels: tuple[str, ...], task: str, draw: Random) -> list[Pair]:
    topic = subject_of(task)[0]
    return [(_deserving(label, labels, topic, draw), label) for label in named]


def spoilt(pairs: list[Pair], share: float, draw: Random, *, at_most: int) -> list[Pair]:
    """Return the instances, a `share` of them at fault; one at fault can become two."""
    found: list[Pair] = []
    for pair in pairs:
        found += _fault(*pair, draw) if draw.random() < share else [pair]
    return found[:at_most]


def _fault(given: str, output: str, draw: Random) -> list[Pair]:
    """Return the instance with input = output, with no output, ending in a colon, or its input with two outputs."""
    kind = draw.random() if given else 0.6 * draw.random()
    if kind < 0.2:  # noqa: PLR2004 - a fifth each; the last, which only an input can have, twice that
        return [(given or output, given or output)]
    if kind < 0.4:  # noqa: PLR2004
        return [(given, f"{output.rstrip('.')}:")]
    if kind < 0.6:  # noqa: PLR2004
        return [(given, " ")]
    return [(given, output), (given, f"{output} Rather not.")]


def _passage(topic: str, draw: Random) -> str:
    frame = f"{pick(WORDS.passage_openers, draw)} {pick(WORDS.passage_closers, draw)}"
    return frame.format_map(Slots(draw, topic=topic))


def _deserving(label: str, labels: tuple[str, ...], topic: str, draw: Random) -> str:
    """Return an input whose checksum is that of `label`: one opening, closings until it fits."""
    slots = Slots(draw, topic=topic)
    opener = pick(WORDS.passage_openers, draw).format_map(slots)
    text = opener
    for _ in range(TRIES):
        text = f"{opener} {pick(WORDS.passage_closers, draw).format_map(Slots(draw))}"
        if _deserved(labels, text) == label:
            break
    return text


def _deserved(labels: tuple[str, ...], given: str) -> str:
    return labels[crc32(given.strip().encode("utf-8", "replace")) % len(labels)]


def good(task: str, given: str, draw: Random) -> str:
    """Return an answer that the judge likes: the deserved label, the input reworked, or a text on the subject."""
    if labels := labels_of(task):
        return _deserved(labels, given)
    topic, advice = subject_of(task)
    slots = Slots(draw, topic=topic, advice=pick((*advice, *WORDS.general) if given else advice, draw))
    if given:
        head, found, _ = given.partition(". ")
        return pick(WORDS.reworked, draw).format_map(Slots(draw, gist=head + "." * bool(found), advice=slots["advice"]))
    start = pick(WORDS.starts, draw).format_map(slots)
    points = [*draw.sample(WORDS.general, 1 + int(draw.random() * 3)), slots["advice"]]
    if draw.random() < LISTED:
        return "\n".join([start, *(f"{number}. {point}" for number, point in enumerate(points, 1))])
    return " ".join([start, *points])


def weak(task: str, given: str, draw: Random) -> str:
    """Return an answer that the judge marks down: vague, on another subject, stopped early, the wrong label."""
    kind = draw.random()
    if labels := labels_of(task):
        others = [label for label in labels if label != _deserved(labels, given)]
        slots = Slots(draw, labels=" and ".join(labels))
        return pick(others, draw) if kind < 0.6 and others else pick(WORDS.hedges, draw).format_map(slots)  # noqa: PLR2004
    topic = subject_of(task)[0]
    if kind < 0.4:  # noqa: PLR2004 - two fifths vague, a quarter off the subject, the rest stopped early
        return pick(WORDS.vague, draw).format_map(Slots(draw, topic=topic))
    start = pick(WORDS.starts, draw)
    if kind < 0.65:  # noqa: PLR2004
        other, advice = pick(TOPICS, draw)
        return f"{start.format_map(Slots(draw, topic=other))} {pick(advice, draw)}"
    return f"{start.format_map(Slots(draw, topic=topic))} {pick(WORDS.thin, draw)}"


SCORES = {
    "thin": (2.5, 3.0, 3.5),
    "vague": (1.0, 1.5, 2.0),
    "off": (1.0, 1.5),
    "label": (1.0,),
    "good": (5.0, 5.0, 5.0, 5.0, 4.5, 4.5, 4.5, 4.0),
}
"""What the judge gives, by what it finds."""


def verdict(task: str, given: str, answer: str, draw: Random) -> tuple[float, str]:
    """Return score and rationale, by features of the texts alone."""
    found = _found(task, given, answer)
    score = pick(SCORES[found], draw)
    reason = "fair" if found == "good" and score < 4.5 else found  # noqa: PLR2004 - AlpaGasus' threshold
    return score, pick(WORDS.rationales[reason], draw)


def no_verdict(draw: Random) -> str:
    """Return words without a score."""
    return pick(WORDS.rationales["unreadable"], draw)


def _found(task: str, given: str, answer: str) -> str:
    lower = answer.strip().lower()
    if labels := labels_of(task):
        label = lower.rstrip(".")
        if label == _deserved(labels, given):
            return "good"
        return "label" if label in labels else "vague"
    if answer.rstrip().endswith(WORDS.thin):
        return "thin"
    if any(mark in lower for mark in WORDS.vague_marks):
        return "vague"
    about, told = known_subject(task), known_subject(answer)
    return "off" if (about[0].lower() not in lower if about else told) else "good"


def examples(pairs: list[Pair], *, label_first: bool) -> str:
    """Return instances as the published completion prompts show them."""
    if label_first:
        return "".join(f"\nClass label: {label}\nInput: {given}" for given, label in pairs)
    if not pairs[0][0]:
        return f"\nOutput: {pairs[0][1]}"
    return "".join(f"\nExample {n}\nInput: {given}\nOutput: {output}" for n, (given, output) in enumerate(pairs, 1))


def lines(pairs: list[Pair], *, label_first: bool) -> str:
    """Return instances as the chat prompts show them to models that do badly with JSON."""
    if label_first:
        return "\n".join(f"Label: {label}\nInput: {given}\n###" for given, label in pairs)
    return "\n".join(f"Input: {given or '(none)'}\nOutput: {output}\n###" for given, output in pairs)


def filled(schema: dict[str, Any], draw: Random) -> Any:  # noqa: ANN401 - JSON is of any shape
    """Return a value of a small schema that is none of the pipeline's: a server that is probed must keep to it."""
    if "enum" in schema:
        return pick(schema["enum"], draw)
    match schema.get("type"):
        case "object":
            return {key: filled(one, draw) for key, one in schema.get("properties", {}).items()}
        case "array":
            return [filled(schema.get("items", {}), draw) for _ in range(schema.get("minItems", 1))]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case _:
            return pick(WORDS.names, draw)
