"""Which side of a split every instance of a run lies on: training or validation. Knows no format and writes nothing.

What holds, of all formats alike, since only instances are looked at and neither answers nor scores:

- no task of one side is near to a task of the other (ROUGE-L above `NEAR`, instruction alone or with its input), nor do
  two of them share an instruction or imitate one seed;
- a side never changes when the run grows: instances are looked at in admission order, and each is decided by those
  before it. The first of its kind goes where the hash of its instruction's id sends it, the others follow;
- who is near to both sides is on neither: the rule to put it there would be the leak. It is counted, not lost.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from selfinstruct import seeds
from selfinstruct.errors import BadInputError
from selfinstruct.records import Fate, Instance, Instruction, content_id
from selfinstruct.text.rouge import NoveltyIndex

if TYPE_CHECKING:
    from selfinstruct.runs import StoredRun

NEAR = 0.6
"""ROUGE-L F above which two tasks are of one kind.

Below the 0.7 of the novelty gate, which has dropped what lies above it; and not lower, because at 0.5 two thirds of the
9,229 real Alpaca instructions have such a neighbour and more than half hang together in one chain (of 0.6 it is a quarter,
and 100 in the longest). There 0.24 % of them are near to both sides of a split of 5 %; at 0.5 it is 1.6 %.
"""


class Side(StrEnum):
    """The two sides; their values name the files."""

    TRAIN = "train"
    VALIDATION = "validation"


class Sides:
    """The sides of a run's instances and of everything below them."""

    def __init__(self, sides: dict[str, Side | None]) -> None:
        """Take sides by path of the instance; None is near to both."""
        self._sides = sides
        self._width = len(next(iter(sides), ""))

    def of(self, path: str) -> Side | None:
        """Return the side of an instance, or of a record made below one; None: near to both, and on neither.

        Raises:
            BadInputError: the record stands above the instances, as an instruction does.
        """
        if path[: self._width] not in self._sides:
            msg = f"record {path} belongs to no instance, and only instances and what is made of them can be split"
            raise BadInputError(msg, remedy="leave out --split")
        return self._sides[path[: self._width]]


def sides(run: StoredRun, share: float) -> Sides:
    """Put about `share` (above 0, below 1) of the accepted instances of `run`, up to its last row, on the validation side.

    Of 9,229 real instructions 4.5 % are there when 5 % were asked for: those that follow an earlier one mostly follow
    one of the larger side.

    Raises:
        BadInputError: a share out of range, a recipe without instances, or a seed file that is gone.
    """
    if not 0 < share < 1:
        msg = f"the validation share lies between 0 and 1, not at {share:g}"
        raise BadInputError(msg, remedy="for instance --split 0.05")
    label, above = run.writer_of(Instance), run.writer_of(Instruction)
    if label is None or above is None:
        msg = f"{run.folder} cannot be split: its recipe makes no instances of instructions"
        raise BadInputError(msg, remedy="leave out --split")
    indices = {side: NoveltyIndex(NEAR, tokenizer="unicode") for side in Side}
    equal: dict[Side, set[str]] = {
        side: set() for side in Side
    }  # a text without a token is near to nothing, itself included
    for seed in seeds.load(seeds.find(run.recipe.seeds))[0]:
        indices[_drawn(seed.id, share)].add(seed.instruction)
        equal[_drawn(seed.id, share)].add(seed.instruction)
    instructions = {
        row.path: (row.id, str(body["record"]["text"]))
        for row, body in run.store.scan(above, fate=Fate.ACCEPTED, upto=run.closing)
    }
    width = len(next(iter(instructions), ""))
    found: dict[str, Side | None] = {}
    for row, body in run.store.scan(label, fate=Fate.ACCEPTED, upto=run.closing):
        instruction, text = instructions[row.path[:width]]
        texts = [text, f"{text}\n\n{body['record']['input']}"] if body["record"]["input"] else [text]
        near = {side for side in Side if any(one in equal[side] or indices[side].rival(one) for one in texts)}
        found[row.path] = None if len(near) > 1 else next(iter(near), _drawn(instruction, share))
        if (side := found[row.path]) is not None:
            indices[side].extend(texts)
            equal[side].update(texts)
    return Sides(found)


def _drawn(key: str, share: float) -> Side:
    return Side.VALIDATION if int(content_id("split", key), 16) < share * 2**64 else Side.TRAIN
