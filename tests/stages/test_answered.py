"""An answer that comes with a file is told from the thoughts before it, as an answer of a server is."""

from __future__ import annotations

import pytest

from selfinstruct.records import Dropped, Response
from selfinstruct.stages.answered import Answered
from tests.support.canned import Canned, instance, work


@pytest.mark.parametrize(
    ("output", "text", "reasoning"),
    [
        ("The Loire.", "The Loire.", ""),
        ("<think>A river.</think>\nThe Loire.", "The Loire.", "A river."),
        ("Well, <think>a river.</think>It.", "Well, <think>a river.</think>It.", ""),
        ("Close it with `</think>`.", "Close it with `</think>`.", ""),
    ],
)
async def test_the_trace_stands_apart(output: str, text: str, reasoning: str) -> None:
    """What is judged is the answer; the thoughts are kept in their own field."""
    record = instance(output=output)
    (made,) = await Answered(written_by="m").process(record, work(record, Canned()))
    assert isinstance(made, Response)
    assert (made.text, made.reasoning, made.provenance.model) == (text, reasoning, "m")


@pytest.mark.parametrize("output", [" ", "<think>A river."])
async def test_no_answer_is_a_drop(output: str) -> None:
    """Thoughts alone are none; what there was is shown."""
    record = instance(output=output)
    (made,) = await Answered().process(record, work(record, Canned()))
    assert isinstance(made, Dropped)
    assert (made.reason.rule, made.text) == ("empty", output)
