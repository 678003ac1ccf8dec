"""What an audit can find: the rules with what they mean, and one finding. Knows no file."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

RULES: Mapping[str, str] = MappingProxyType(
    {
        "unreadable_row": "cannot be read: broken, or a field of another type",
        "empty_instruction": "nothing is asked",
        "empty_output": "nothing is answered",
        "empty_rejected": "the rejected answer is empty",
        "placeholder": "a field holds a filler (nan, null, <noinput>, N/A, TODO)",
        "cut_output": "the answer stops in mid-sentence, code block or JSON",
        "duplicate_task": "the same task as in an earlier row (case, blanks and width aside)",
        "near_duplicate": "nearly the same task as in another row (ROUGE-L)",
        "conflicting_answers": "the same task as in an earlier row, answered otherwise",
        "wrong_language": "answered in another script than the task's, unasked",
        "refusal": "the answer declines or asks for what it was not given",
        "mentions_being_ai": "the answer speaks of itself as a machine, unasked",
        "repeats_task": "the answer is the input, or begins with the instruction",
        "template_leak": "marks of a prompt template stand in the text",
        "reasoning_leak": "marks of a reasoning trace stand in the text",
        "odd_characters": "control or invisible characters, U+FFFD, or wrongly decoded text",
        "chosen_equals_rejected": "both answers are the same: nothing is learnt",
        "chosen_holds_prompt": "the prompt stands in the chosen answer again",
        "chosen_longer": "the chosen answer is mostly the longer one: length may be all that is learnt",
        "label_skew": "a closed set of labels of which one has most of the rows",
    }
)
"""Rule to what it means, in the order of the report."""
OF_THE_WHOLE = frozenset({"label_skew", "chosen_longer"})
"""Rules that are about many rows together: no single row breaks them."""


class Finding(NamedTuple):
    """One rule that one row breaks."""

    rule: str
    field: str
    """`instruction`, `input`, `output` (of a preference the chosen answer), `rejected`, `earlier`; of a bad row nothing."""
    evidence: str
    """What it was seen by, for people: shown through `printable` only."""
    figure: float | None = None
    threshold: float | None = None


class Place(NamedTuple):
    """Where a row stands."""

    file: str
    row: int
    """Line (JSONL, CSV) or row (JSON, Parquet), from 1; 0 for a finding about many rows."""
