"""The tasks that the scripted engine can think of, and how it reads one back. Knows no prompt, no request, no answer.

The words stand in scripted_grammar.json, all written for this purpose.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, TypeVar

from pydantic import TypeAdapter

from selfinstruct.records import Frozen

if TYPE_CHECKING:
    from collections.abc import Sequence


T = TypeVar("T")


class Area(Frozen):
    """One subject area."""

    topics: tuple[str, ...]
    """Noun phrases that a task can be about."""
    advice: tuple[str, ...]
    """Sentences that are true there."""


class Words(Frozen):
    """The vocabulary: lists of phrases, and frames with {slots} that other lists fill."""

    areas: dict[str, Area]
    """Subject areas by name."""
    people: tuple[str, ...]
    """{person}."""
    circumstances: tuple[str, ...]
    """Phrases that can end any question or order."""
    limits: tuple[str, ...]
    """Sentences that say what form the answer takes."""
    preambles: tuple[str, ...]
    """Sentences that chatty people begin with."""
    frames: dict[str, tuple[str, ...]]
    """open: complete in itself. text: needs an input. label: sorts into {labels}."""
    label_tails: tuple[str, ...]
    """Sentences that can follow a label frame."""
    label_openings: tuple[str, ...]
    """How tasks begin that sort into labels: those of the label frames, and some that demonstrations have."""
    label_sets: tuple[str, ...]
    """{labels}."""
    names: tuple[str, ...]
    """First half {name}, second half {other}: the two never meet."""
    days: tuple[str, ...]
    """{day}."""
    few: tuple[str, ...]
    """{few}: a small number in words."""
    counts: tuple[str, ...]
    """{count}: a number of words. None ends in what the published recipes stop at (16, 20)."""
    figures: tuple[str, ...]
    """{figure}."""
    passage_openers: tuple[str, ...]
    """First sentence of an input; names the {topic}."""
    passage_closers: tuple[str, ...]
    """Second sentence of an input."""
    starts: tuple[str, ...]
    """First sentence of a good answer; names the {topic}."""
    general: tuple[str, ...]
    """Sentences that fit into any answer: {general}."""
    reworked: tuple[str, ...]
    """Good answers to a task with an input, whose first sentence is the {gist}."""
    vague: tuple[str, ...]
    """Weak answers; each holds one of `vague_marks`."""
    vague_marks: tuple[str, ...]
    """How the judge knows a weak answer; lower case."""
    thin: tuple[str, ...]
    """How an answer ends that stops after its start."""
    hedges: tuple[str, ...]
    """Weak answers where a label was wanted."""
    forbidden: tuple[str, ...]
    """Instructions that every set of heuristics drops."""
    rationales: dict[str, tuple[str, ...]]
    """By what the judge found."""
    rewordings: tuple[str, ...]
    """Words that make a near duplicate of an instruction."""


WORDS = TypeAdapter(Words).validate_json((Path(__file__).parent / "scripted_grammar.json").read_bytes())

TOPICS = tuple((topic, area.advice) for area in WORDS.areas.values() for topic in area.topics)
LABEL_TASKS = 0.25
"""Share of instructions that sort into labels."""
TEXT_TASKS = 0.2
"""Share of instructions that need an input."""
HABITS = 300
"""Instructions that it falls back on, as models do: novel once."""
_NEEDS_INPUT = (" below", "following ", " this text", " the text")
_PUNCTUATION = ".,:;?!\"'()"
_BY_LAST_WORD: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
for _topic, _advice in TOPICS:
    _BY_LAST_WORD.setdefault(_topic.lower().split()[-1], []).append((_topic, _advice))


def pick(things: Sequence[T], draw: Random) -> T:
    """Return one of `things`. Twice as fast as `Random.choice`, and the same in every Python version."""
    return things[int(draw.random() * len(things))]


class Slots(dict[str, str]):
    """Values for the {slots} of a frame: those given, the others drawn when they are met."""

    def __init__(self, draw: Random, **given: str) -> None:
        """Take what is known."""
        super().__init__(given)
        self._draw = draw

    def __missing__(self, key: str) -> str:
        value = self["topic"].capitalize() if key == "Topic" else pick(_LISTS[key], self._draw)
        self[key] = value
        return value


_LISTS: dict[str, tuple[str, ...]] = {
    "topic": tuple(topic for topic, _ in TOPICS),
    "person": WORDS.people,
    "labels": WORDS.label_sets,
    "name": WORDS.names[: len(WORDS.names) // 2],
    "other": WORDS.names[len(WORDS.names) // 2 :],
    "day": WORDS.days,
    "few": WORDS.few,
    "count": WORDS.counts,
    "figure": WORDS.figures,
    "general": WORDS.general,
}


def instruction(draw: Random) -> str:
    """Return a new instruction: a frame about a topic, often with circumstances, a form, a preamble."""
    kind, slots = draw.random(), Slots(draw)
    if kind < LABEL_TASKS:
        text = pick(WORDS.frames["label"], draw)
        return (f"{text} {pick(WORDS.label_tails, draw)}" if draw.random() < 0.6 else text).format_map(slots)  # noqa: PLR2004
    text = _usual(WORDS.frames["text" if kind < LABEL_TASKS + TEXT_TASKS else "open"], draw)
    extra = draw.random()
    if extra < 0.5:  # noqa: PLR2004 - shares: 1/5 bare, 3/10 with circumstances, 3/10 with a form, 1/5 with both
        text = f"{text[:-1]} {pick(WORDS.circumstances, draw)}{text[-1]}"
    if 0.3 <= extra < 0.8:  # noqa: PLR2004
        text = f"{text} {pick(WORDS.limits, draw)}"
    if draw.random() < 0.06:  # noqa: PLR2004
        text = f"{pick(WORDS.preambles, draw)} {text}"
    return text.format_map(slots)


def _usual(frames: Sequence[str], draw: Random) -> str:
    """Return a frame, the earlier ones more often: models have favourites, so novelty falls as a run goes on."""
    return frames[int(draw.random() ** 1.5 * len(frames))]


def habit(draw: Random, seed: int) -> str:
    """Return one of a few instructions that come back again and again, each time a little reworded."""
    number = int(draw.random() * HABITS)
    return reworded(instruction(Random(seed * HABITS + number)), draw)  # noqa: S311 - repeatable


def reworded(text: str, draw: Random) -> str:
    """Return `text` with a word more: never between the labels, where it would change the task."""
    words = text.split()
    if len(words) < 6 or draw.random() < 0.3:  # noqa: PLR2004 - the labels of a frame come later than its fifth word
        return f"Please {text[:1].lower()}{text[1:]}"
    words.insert(3 + int(draw.random() * 2), pick(WORDS.rewordings, draw))
    return " ".join(words)


def forbidden(draw: Random) -> str:
    """Return an instruction that heuristics drop."""
    return pick(WORDS.forbidden, draw).format_map(Slots(draw))


def labels_of(task: str) -> tuple[str, ...]:
    """Return the labels that a task names, lower case: "Sort it as good, fair or bad."; none when it sorts nothing."""
    task = task.lower()
    head, found, tail = task.rpartition(" or ")
    if not found or not task.removeprefix("please ").startswith(WORDS.label_openings) or not tail.split():
        return ()
    words = head.split()
    labels = [tail.split()[0]]
    while words:
        labels.append(words.pop())
        if not (words and words[-1].endswith(",")):
            break
    return tuple(label.strip(_PUNCTUATION) for label in reversed(labels))


def needs_input(task: str) -> bool:
    """Say whether the task speaks of a text that it does not bring."""
    return any(phrase in task for phrase in _NEEDS_INPUT)


def known_subject(text: str) -> tuple[str, tuple[str, ...]] | None:
    """Return the topic of the grammar that `text` names, with advice on it."""
    lower = text.lower()
    for word in lower.split():
        for topic, advice in _BY_LAST_WORD.get(word.strip(_PUNCTUATION), ()):
            if topic.lower() in lower:
                return topic, advice
    return None


def subject_of(task: str) -> tuple[str, tuple[str, ...]]:
    """Return what a task is about and advice on it: a known topic, else its longest word and general advice."""
    if found := known_subject(task):
        return found
    words = (word.strip(_PUNCTUATION) for word in task.lower().split())
    return max(words, key=lambda word: (len(word), word), default="") or "it", WORDS.general
