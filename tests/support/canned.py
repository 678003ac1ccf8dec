"""An engine that answers with given texts in order, and a Work around one record: for tests of a single stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from selfinstruct.engines.base import Completion, CompletionRequest, FinishReason, Reply
from selfinstruct.pool import Pool
from selfinstruct.records import Classification, Instance, Instruction, Judgement, Provenance, Record, Request, Response
from selfinstruct.seeds import load, shipped
from selfinstruct.stage import Ask, Work

PROVENANCE = Provenance(stage="test", model="canned")
SEEDS = load(shipped())[0]


def completion(
    text: str, reason: FinishReason = FinishReason.STOP, *, top: dict[str, float] | None = None
) -> Completion:
    return Completion(text=text, finish_reason=reason, logprobs=(top,) if top else ())


class Canned:
    """Hands out completions, n at a time, and remembers what was asked."""

    def __init__(self, *answers: Completion | str) -> None:
        self.answers = [completion(one) if isinstance(one, str) else one for one in answers]
        self.asked: list[tuple[str, CompletionRequest]] = []

    async def __call__(self, engine: str, request: CompletionRequest) -> Reply:
        self.asked.append((engine, request))
        given, self.answers = self.answers[: request.n], self.answers[request.n :]
        return Reply(completions=tuple(given), model=engine)

    @property
    def prompt(self) -> str:
        """The last prompt asked, as text."""
        asked = self.asked[-1][1].prompt
        return asked if isinstance(asked, str) else asked[-1].content


def work(
    record: Record, canned: Ask, *, ancestors: Sequence[Record] = (), below: Sequence[Record] = (), pool: Pool | None = None,
    **changes: Any,
) -> Work:  # fmt: skip
    values: dict[str, Any] = {
        "id": "w", "stage": "test", "record": record, "ancestors": tuple(ancestors), "below": tuple(below),
        "failed_below": 0, "pool": pool or Pool(SEEDS), "run_seed": 42, "language": "en", "attempt": 1, "ask": canned,
    }  # fmt: skip
    return Work(**values | changes)


def request(number: int = 0) -> Request:
    return Request(id=f"r{number}", parent="", provenance=PROVENANCE, number=number)


def instruction(text: str = "Name a river.", name: str = "i") -> Instruction:
    return Instruction(id=name, parent="r", provenance=PROVENANCE, text=text)


def classification(*, yes: bool) -> Classification:
    return Classification(id="c", parent="i", provenance=PROVENANCE, is_classification=yes)


def instance(given: str = "", output: str = "The Loire.") -> Instance:
    return Instance(id="n", parent="c", provenance=PROVENANCE, input=given, output=output)


def judged(*pairs: tuple[str, float]) -> list[Record]:
    """Responses with one judgement each: (text, score)."""
    made: list[Record] = []
    for number, (text, score) in enumerate(pairs):
        made.append(Response(id=f"a{number}", parent="n", provenance=PROVENANCE, text=text))
        verdict = Judgement(
            id=f"j{number}", parent=f"a{number}", provenance=PROVENANCE, score=score, rationale="", judge="x"
        )
        made.append(verdict)
    return made
