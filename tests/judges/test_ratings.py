"""Several answers in one call: each score keeps to its answer, or there is none."""

from __future__ import annotations

import json
import re

import pytest

from selfinstruct import recipe
from selfinstruct.errors import BadInputError, CallError, UnreadableError
from selfinstruct.judges.ratings import Ratings
from selfinstruct.records import Dropped, Judgement, Record, Response
from tests.support.canned import PROVENANCE, Canned, instance, instruction, work

TEXTS = ("The Loire.", "Paris.", "The Loire and the Rhine.", "Rivers are wet.")
ANSWERS = [Response(id=f"a{n}", parent="n", provenance=PROVENANCE, text=text) for n, text in enumerate(TEXTS)]


def ratings(letters: str, scores: dict[str, float] | None = None) -> str:
    known = scores or {}
    entries = [f'"{one}":{json.dumps({"score": known.get(one, 3), "rationale": "x"})}' for one in letters]
    return f'{{"ratings":{{{",".join(entries)}}}}}'


async def rated(answer: str, *, below: list[Response] = ANSWERS) -> tuple[list[Judgement], Canned]:
    canned = Canned(answer)
    one = instance("Loire")
    made = await Ratings().process(one, work(one, canned, ancestors=[instruction()], below=below))
    return [record for record in made if isinstance(record, Judgement)], canned


async def test_every_answer_has_its_own_score() -> None:
    """Whatever order the judge writes them in: letters are shuffled over the answers, and read back by letter."""
    _, canned = await rated(ratings("ABCD"))
    shown = dict(re.findall(r"^Answer ([A-D]) \w{16}\n(.+)\nEnd of answer", canned.prompt, re.MULTILINE))
    assert sorted(shown.values()) == sorted(TEXTS)
    scores = {letter: float(place) for place, letter in enumerate("ABCD", 1)}
    made, _ = await rated(ratings("DBCA", scores))
    assert [one.of for one in made] == [one.id for one in ANSWERS]
    texts = {one.id: one.text for one in ANSWERS}
    assert {texts[one.response]: one.score for one in made} == {shown[letter]: scores[letter] for letter in "ABCD"}


@pytest.mark.parametrize(
    "answer",
    [
        ratings("ABC"), ratings("ABCDD"), ratings("ABCE"), ratings("AABC"), ratings(""), '{"ratings":[1,2,3,4]}', "[3,3,3,3]",
        '{"ratings":[{"answer":"A","score":3},{"answer":"A","score":3}]}',
        ratings("ABCD", {"C": 6}), ratings("ABCD").replace('"score": 3', '"score": null', 1), "A: 3\nB: 4\n\nC: 5",
    ],
)  # fmt: skip
async def test_a_count_that_is_off_scores_nobody(answer: str) -> None:
    """One missing, one too many, one twice, one out of range: none of the others gets a neighbour's score."""
    with pytest.raises(UnreadableError):
        await rated(answer)


async def test_no_answers_are_no_score() -> None:
    """All were dropped: a drop, and no call. Writing them failed: a failure, tried again."""
    one, canned = instance("Loire"), Canned()
    (made,) = await Ratings().process(one, work(one, canned, ancestors=[instruction()]))
    assert isinstance(made, Dropped)
    assert made.reason.rule == "no_answer"
    assert not canned.asked
    with pytest.raises(CallError, match="writing them failed"):
        await Ratings().process(one, work(one, canned, ancestors=[instruction()], failed_below=1))


async def test_the_order_is_the_same_every_time() -> None:
    """It follows from run seed and instance, so that a resumed run asks the same question."""
    below: list[Record] = [*ANSWERS]
    prompts = []
    for seed in (42, 42, 43, 44, 45):
        canned = Canned(ratings("ABCD"))
        one = instance("Loire")
        await Ratings().process(one, work(one, canned, ancestors=[instruction()], below=below, run_seed=seed))
        prompts.append(re.sub(r"\b[0-9a-f]{16}\b", "", canned.prompt))
    assert prompts[0] == prompts[1]
    assert len(set(prompts)) > 1


def test_more_answers_than_letters_are_refused_before_they_are_written() -> None:
    """By the recipe: 27 answers have no 27 letters."""
    with pytest.raises(BadInputError, match="26 answers in one call, 28 are written"):
        recipe.load("ultrafeedback", environment={}, sets=["stages.respond.n=28"])
