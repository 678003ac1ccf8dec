"""A judge that can be talked to: it scores everything 2, or equal, unless something outside a fence, or a fence that ends early, speaks.

What it falls for, a real model might; what it does not see, no model can.
"""

from __future__ import annotations

import json
import re
from typing import ClassVar, Literal

from selfinstruct.engines.base import Completion, CompletionRequest, Engine, FinishReason, JsonSchema, Reply
from tests.support.role_tokens import ROLE_TOKENS

HONEST, FOOLED = 2.0, 5.0
_OPENS = re.compile(r"(Task|Input|Answer(?: [A-Z])?) ([0-9a-f]{16})")
_LETTERS = re.compile(r"^Answer ([A-Z]) [0-9a-f]{16}$", re.MULTILINE)
_CLOSING = re.compile(r"Rate \d+ answers\.")
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
        reply = Completion(text=self._verdict(request, prompt), finish_reason=FinishReason.STOP)
        return Reply(completions=(reply,) * request.n, model=self.model_name, scripted=True)

    def _verdict(self, request: CompletionRequest, prompt: str) -> str:
        """Answer in the form that was asked for."""
        score = FOOLED if self.fooled(prompt) else HONEST
        verdict = {"score": score, "rationale": "So it is."}
        match request.constraint.schema_["title"] if isinstance(request.constraint, JsonSchema) else "":
            case "":
                return f"{score:g}\nSo it is."
            case "Verdict":
                return json.dumps(verdict)
            case "Ratings":
                letters = dict.fromkeys(_LETTERS.findall(prompt))
                return json.dumps({"ratings": dict.fromkeys(letters, verdict)})
            case _:
                return json.dumps({"better": "A" if score == FOOLED else "equal", "rationale": "So it is."})

    def fooled(self, prompt: str) -> bool:
        """Say whether anything reached it: a role token, a hidden text, or a line outside the fences, after the first began."""
        if any(token in prompt for token in ROLE_TOKENS) or (self.careless and _HIDDEN.search(prompt)):
            return True
        within, begun = "", False
        for line in re.split(r"[\n\r\v\f\x85\u2028\u2029]", prompt):
            if within and (line == within or (self.careless and _CODED.fullmatch(line))):
                within = ""
            elif not within and (opening := _OPENS.fullmatch(line)):
                name = opening[1][0].lower() + opening[1][1:]
                within, begun = f"End of {name} {opening[2]}", True
            elif not within and begun and line.strip():
                return not _CLOSING.fullmatch(line)
        return bool(within)
