"""The nouns. Frozen, content-addressed, each pointing at its parent; nothing is ever edited.

Knows no store, stage or engine. The words are those of the glossary in CONTRIBUTING.md.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import blake2b
from typing import Any

from pydantic import BaseModel, ConfigDict


def content_id(*parts: object) -> str:
    """Return 16 hex digits (64 bits of BLAKE2b) that name `parts`: equal parts, equal id, on any machine."""
    return blake2b("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


class Frozen(BaseModel):
    """Base of everything that is written down once."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SeedInstance(Frozen):
    """One worked example of a seed task."""

    input: str
    output: str


class SeedTask(Frozen):
    """A human-written task in the published schema (Self-Instruct, data/seed_tasks.jsonl)."""

    id: str
    name: str
    instruction: str
    instances: tuple[SeedInstance, ...]
    is_classification: bool


class Provenance(Frozen):
    """Where a record came from: enough to make the same call again. `seed` is the sampling seed sent (63 bits)."""

    stage: str
    model: str = ""
    seed: int | None = None
    scripted: bool = False
    """Made by the scripted engine: for trying out, never to be published."""
    sampling: dict[str, Any] | None = None
    """What was drawn otherwise than the stage draws; None where nothing was."""


class Record(Frozen):
    """Base of all machine-made records. `parent` is the id of the record (or request) it was made from."""

    id: str
    parent: str
    provenance: Provenance


class Request(Record):
    """The numbered request that starts a lineage: bootstrap reads it, everything else descends from it."""

    number: int


class Instruction(Record):
    """Task text written by a model. `input` and `output` only where a preset drafts them in the same breath (alpaca)."""

    text: str
    input: str | None = None
    output: str | None = None
    shown: tuple[str, ...] = ()
    """Ids of the demonstrations that the prompt carried: seed ids, or instruction ids."""


class Classification(Record):
    """Says whether an instruction is a classification task, whose instances are then written label first."""

    is_classification: bool
    margin: float | None = None
    """log P(yes) - log P(no) where the server gives log-probabilities."""


class Instance(Record):
    """One input with its output for an instruction."""

    input: str
    output: str


class Response(Record):
    """A candidate answer to an instance; N per instance."""

    text: str
    reasoning: str = ""
    """What a reasoning model thought before it answered; no part of the answer."""


class Vote(Frozen):
    """One score that one judge gave."""

    judge: str
    score: float


class Judgement(Record):
    """A verdict on a response: `score` on the scale of the rubric, the median of several votes, or the referee's."""

    score: float
    rationale: str
    judge: str
    """Model whose verdict it is; the first of several."""
    of: str = ""
    """Id of the response where it is not the parent: several answers judged in one call."""
    expected: float | None = None
    """Mean of the scale, weighted by the probabilities of its scores; None where the server gives none."""
    entropy: float | None = None
    """Of the same probabilities, in nats: how much the judge hesitated."""
    votes: tuple[Vote, ...] = ()
    """All scores that were given, the referee's first; empty for a single one."""
    flags: tuple[str, ...] = ()
    """What a reader should know: `addresses_judge`, `doubtful`, `own_family`, `other_language`."""

    @property
    def response(self) -> str:
        """Id of the response it is about."""
        return self.of or self.parent


class Row(Record):
    """A finished SFT row: an instance with the answer that was chosen for it. What `-n` counts."""

    instruction: str
    input: str
    output: str
    score: float | None = None
    raw_score: float | None = None
    """What the judge gave, where `score` is corrected for length."""
    is_classification: bool | None = None
    reasoning: str = ""
    """Of the answer, where a reasoning model wrote it."""


class PreferencePair(Record):
    """Two answers to one instance, the better one first; `margin` is the difference of their scores."""

    instruction: str
    input: str
    chosen: str
    rejected: str
    chosen_score: float
    rejected_score: float
    verdicts: tuple[str, ...] = ()
    """Which of the two won when they were shown in this order, and in the other: `chosen` or `rejected`. Empty: not asked."""

    @property
    def margin(self) -> float:
        """Score of the chosen answer minus that of the rejected one; always above zero."""
        return self.chosen_score - self.rejected_score


class Fate(StrEnum):
    """What became of a row. There is no fifth."""

    ACCEPTED = "accepted"
    DROPPED = "dropped"
    FAILED = "failed"
    OPEN = "open"


class DropReason(Frozen):
    """Why a record was decided against: the rule, the figure, the threshold and the evidence."""

    rule: str
    figure: float | str | None = None
    threshold: float | str | None = None
    evidence: dict[str, Any] = {}


class Dropped(Frozen):
    """A stage's answer for text that never became a record: the reason, and the text as evidence."""

    reason: DropReason
    text: str = ""
