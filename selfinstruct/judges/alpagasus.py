"""Scores one answer from 0 to 5, as AlpaGasus does. A verdict that cannot be read is never a score."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from selfinstruct import prompts
from selfinstruct.engines.base import Ability, Completion, JsonSchema, Sampling, user
from selfinstruct.errors import UnreadableError
from selfinstruct.records import Instance, Instruction, Judgement, Response, content_id
from selfinstruct.stage import Stage, unfinished
from selfinstruct.text.reply import harmless, in_range, read_json, read_score

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from selfinstruct.stage import Work

LOWEST, HIGHEST = 0.0, 5.0
"""AlpaGasus' scale."""


class Alpagasus(Stage[Response, Judgement]):
    """One dimension, half points, the score first and a short reason after it."""

    kind: Literal["alpagasus"] = "alpagasus"
    engine: str = "judge"
    prompt: str = "alpagasus"
    format: Literal["auto", "json", "text"] = "json"
    """json: constrained where the server can. text: the score alone on the first line, as published. auto: whichever a trial
    finds readable."""
    dimension: Literal["accuracy", "helpfulness"] = "accuracy"
    """What is rated; AlpaGasus' default is accuracy."""
    sampling: Sampling = Sampling(max_tokens=256, temperature=0)
    """How to draw (AlpaGasus: temperature 0, 256 tokens)."""

    scale: ClassVar[tuple[float, float]] = (LOWEST, HIGHEST)
    forms: ClassVar[tuple[str, ...]] = ("json", "text")

    def wants(self) -> AbstractSet[Ability]:
        """Return what its form of answer takes."""
        return {Ability.CHAT} if self.format == "text" else {Ability.CHAT, Ability.STRUCTURED}

    async def process(self, record: Response, work: Work) -> Sequence[Judgement]:
        """Ask for the score. The texts under judgement are fenced with a nonce they cannot know.

        It is one nonce for all answers to an instance: their prompts then differ from the answer on, and not before.
        """
        text = prompts.render(
            self.prompt,
            language=work.language,
            dimension=self.dimension,
            instruction=work.ancestor(Instruction).text,
            input=work.ancestor(Instance).input,
            answer=record.text,
            nonce=content_id(work.run_seed, "fence", record.parent),
            form=self.format,
        )
        # A judge that was unreadable at temperature 0 would answer the same again: later tries draw.
        warmer = {"temperature": max(self.sampling.temperature, min(1.0, 0.3 * (work.attempt - 1)))}
        reply = await work.complete(
            user(text),
            self.sampling.model_copy(update=warmer),
            engine=self.engine,
            constraint=_SCHEMA if self.format == "json" else None,
        )
        score, rationale = self._read(reply.completions[0])
        return [work.make(Judgement, score=score, rationale=rationale, judge=reply.model)]

    def _read(self, completion: Completion) -> tuple[float, str]:
        """Read score and rationale. Of a verdict in plain text the first line must be whole, in JSON all of it."""
        text, cut = completion.text.strip(), unfinished(completion)
        if cut and (self.format == "json" or "\n" not in text):
            msg = f"the verdict is not whole: {cut.rule}"
            raise UnreadableError(msg)
        if self.format == "json":
            return _verdict(text)
        return read_score(text, lowest=LOWEST, highest=HIGHEST), harmless(text.partition("\n")[2].strip())


_SCHEMA = JsonSchema(
    schema_={
        "title": "Verdict",
        "type": "object",
        "properties": {
            "score": {"enum": [half / 2 for half in range(11)]},
            "rationale": {"type": "string", "minLength": 1, "maxLength": 600},
        },
        "required": ["score", "rationale"],
        "additionalProperties": False,
    }
)


def _verdict(text: str) -> tuple[float, str]:
    value = read_json(text)
    if not isinstance(value, dict):
        msg = "the verdict is not an object"
        raise UnreadableError(msg)
    return in_range(value.get("score"), lowest=LOWEST, highest=HIGHEST), str(value.get("rationale", ""))
