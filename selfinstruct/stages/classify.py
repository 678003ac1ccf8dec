"""Tells classification tasks from others: their instances are written label first."""

from __future__ import annotations

from math import exp, log
from typing import TYPE_CHECKING, Literal

from selfinstruct import prompts
from selfinstruct.engines.base import Ability, Choice, Completion, Sampling, user
from selfinstruct.errors import UnreadableError
from selfinstruct.records import Classification, Instruction
from selfinstruct.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from selfinstruct.stage import Work

ALTERNATIVES = 10
"""Log-probabilities asked for per token: enough to see both words, below the server's limit of 20 (vLLM 0.32)."""


class Classify(Stage[Instruction, Classification]):
    """12 yes and 19 no demonstrations, then the instruction (Self-Instruct, clf_task_template.py)."""

    kind: Literal["classify"] = "classify"
    prompt: str = "classify"
    format: Literal["choice", "continuation"] = "choice"
    """choice: chat models, constrained to yes or no. continuation: completion models; anything but yes is no."""
    sampling: Sampling = Sampling(max_tokens=4, temperature=0)
    """How to draw. "yes" can be one token a letter, and an end: 4 (the published 3 is for other tokenizers)."""

    def demonstration_files(self) -> tuple[str, ...]:
        """Return the demonstrations shown."""
        return ("classify",)

    def wants(self) -> AbstractSet[Ability]:
        """Return what its form of answer takes."""
        return {Ability.CHAT, Ability.STRUCTURED} if self.format == "choice" else {Ability.COMPLETIONS}

    async def process(self, record: Instruction, work: Work) -> Sequence[Classification]:
        """Ask for one word."""
        text = prompts.render(
            self.prompt,
            language=work.language,
            demonstrations=prompts.demonstrations("classify", language=work.language),
            instruction=record.text,
        )
        choice = self.format == "choice"
        reply = await work.complete(
            user(text) if choice else text,
            self.sampling,
            engine=self.engine,
            constraint=Choice(choices=("yes", "no")) if choice else None,
            top_logprobs=ALTERNATIVES if choice else 0,
        )
        completion = reply.completions[0]
        word = completion.text.strip().rstrip(".").lower()
        if choice and word not in {"yes", "no"}:
            msg = f"neither yes nor no: {completion.text[:40]!r}"
            raise UnreadableError(msg)
        return [work.make(Classification, is_classification=word == "yes", margin=_margin(completion))]


def _margin(completion: Completion) -> float | None:
    """Return log P(yes) - log P(no) from the first token: alternatives grouped by the word they begin."""
    if not completion.logprobs:
        return None
    mass = {"yes": 0.0, "no": 0.0}
    for token, value in completion.logprobs[0].items():
        start = token.strip().lower()
        for word in mass:
            if start and word.startswith(start):
                mass[word] += exp(value)
    return log(mass["yes"]) - log(mass["no"]) if all(mass.values()) else None
