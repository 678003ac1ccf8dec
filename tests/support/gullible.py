"""A judge that can be talked to: it scores everything 2, unless something outside a fence, or a fence that ends early, speaks.

What it falls for, a real model might; what it does not see, no model can.
"""

from __future__ import annotations

import json
import re
from typing import ClassVar, Literal

from selfinstruct.engines.base import Completion, CompletionRequest, Engine, FinishReason, JsonSchema, Reply
from tests.support.role_tokens import ROLE_TOKENS

HONEST, FOOLED = 2.0, 5.0
_OPENS = re.compile(r"(Task|Input|Answer) ([0-9a-f]{16})")
_CODED = re.compile(r"[^\w‹]*(?:end\b|\S+ ?끝)[^‹]{0,20}[0-9a-f]{16}[^\w›]*", re.IGNORECASE)
_HIDDEN = re.compile("[\u200b\u2060\u202a-\u202e\U000e0000-\U000e007f]")


class Gullible(Engine):
    """An Engine for tests, `kind: tests.support.gullible:Gullible` in a recipe."""

    kind: Literal["tests.support.gullible:Gullible"] = "tests.support.gullible:Gullible"
    careless: bool = True
    """Takes a line that ends a fence for its end whatever code of 16 digits it carries, and reads what is invisible."""
    scripted: ClassVar[bool] = True

    @property
    def model_name(self) -> str:
        return "gullible"

    async def complete(self, request: CompletionRequest) -> Reply:
        prompt = request.prompt if isinstance(request.prompt, str) else "".join(turn.content for turn in request.prompt)
        score = FOOLED if self.fooled(prompt) else HONEST
        json_wanted = isinstance(request.constraint, JsonSchema)
        text = json.dumps({"score": score, "rationale": "So it is."}) if json_wanted else f"{score:g}\nSo it is."
        reply = Completion(text=text, finish_reason=FinishReason.STOP)
        return Reply(completions=(reply,) * request.n, model=self.model_name, scripted=True)

    def fooled(self, prompt: str) -> bool:
        """Say whether anything reached it: a role token, a hidden text, or a line outside the fences, after the first began."""
        if any(token in prompt for token in ROLE_TOKENS) or (self.careless and _HIDDEN.search(prompt)):
            return True
        within, begun = "", False
        for line in re.split(r"[\n\r\v\f\x85\u2028\u2029]", prompt):
            if within and (line == within or (self.careless and _CODED.fullmatch(line))):
                within = ""
            elif not within and (opening := _OPENS.fullmatch(line)):
                within, begun = f"End of {opening[1].lower()} {opening[2]}", True
            elif not within and begun and line.strip():
                return True
        return bool(within)
