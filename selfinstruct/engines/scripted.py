"""Answers every prompt of the pipeline in character, from a script: deterministic, offline, instant.

For tests, demonstrations and benchmarks. It is no model and never passes for one: every reply says `scripted`, every record
made from it is marked, and nothing that it made can be published. It makes a model's mistakes on purpose.
"""

from __future__ import annotations

import asyncio
import json
from hashlib import blake2b
from random import Random
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from selfinstruct.engines import _script as script
from selfinstruct.engines.base import (
    Choice,
    Completion,
    CompletionRequest,
    Engine,
    FinishReason,
    JsonSchema,
    Reply,
    Usage,
)

Share = Annotated[float, Field(ge=0, le=1)]

CHARACTERS_PER_TOKEN = 4
"""How it counts tokens, for usage and for `max_tokens`."""


class ScriptedEngine(Engine):
    """The script, and how often it errs. An answer is a function of these fields, the prompt, the seed and its place."""

    kind: Literal["scripted"] = "scripted"
    seed: int = 0
    """Another seed, other answers."""
    latency: Annotated[float, Field(ge=0)] = 0.0
    """Seconds that every reply takes."""
    near_duplicates: Share = 0.12
    """Instructions that reword a demonstration."""
    forbidden: Share = 0.04
    """Instructions that the heuristic gate drops."""
    broken_json: Share = 0.02
    """JSON answers that are not JSON."""
    cut: Share = 0.02
    """Answers that end by length."""
    empty: Share = 0.01
    """Answers without text."""
    bad_instances: Share = 0.05
    """Instances that break a rule."""
    weak_answers: Share = 0.35
    """Responses that the judge marks down."""
    unreadable_verdicts: Share = 0.02
    """Verdicts without a score."""

    scripted: ClassVar[bool] = True
    operational: ClassVar[frozenset[str]] = frozenset({"latency"})

    @property
    def model_name(self) -> str:
        """It has no other."""
        return "scripted"

    async def complete(self, request: CompletionRequest) -> Reply:
        """Answer `request` as the script has it."""
        if self.latency:
            await asyncio.sleep(self.latency)
        prompt = request.prompt if isinstance(request.prompt, str) else request.prompt[-1].content
        completions = tuple(self._answer(request, prompt, place) for place in range(request.n))
        written = sum(len(one.text) for one in completions) // CHARACTERS_PER_TOKEN
        usage = Usage(prompt_tokens=len(prompt) // CHARACTERS_PER_TOKEN, completion_tokens=written)
        return Reply(completions=completions, model=self.model_name, usage=usage, scripted=True)

    def _answer(self, request: CompletionRequest, prompt: str, place: int) -> Completion:
        named = f"{self.seed}|{request.seed}|{place}|{prompt}"
        draw = Random(blake2b(named.encode("utf-8", "replace"), digest_size=8).digest())  # noqa: S311 - repeatable
        text = self._text(request, prompt, draw)
        logprobs: tuple[dict[str, float], ...] = ()
        if isinstance(request.constraint, Choice):
            if request.top_logprobs:
                other = "no" if text == "yes" else "yes"
                logprobs = ({text: -0.02, other: -4.0},)
        elif draw.random() < self.empty:
            text = ""
        elif draw.random() < self.cut:
            return Completion(text=text[: len(text) // 2], finish_reason=FinishReason.LENGTH)
        for stop in request.sampling.stop:
            text = text.partition(stop)[0]
        longest = request.sampling.max_tokens * CHARACTERS_PER_TOKEN
        reason = FinishReason.STOP if len(text) <= longest else FinishReason.LENGTH
        return Completion(text=text[:longest], finish_reason=reason, logprobs=logprobs)

    def _text(self, request: CompletionRequest, prompt: str, draw: Random) -> str:
        constraint = request.constraint
        if isinstance(constraint, Choice):
            return (
                _is_classification(_last_task(prompt))
                if "yes" in constraint.choices
                else draw.choice(constraint.choices)
            )
        if isinstance(constraint, JsonSchema):
            return self._json(constraint, prompt, draw)
        if prompt.endswith("Is it classification?"):
            return " " + _is_classification(_last_task(prompt).partition("\n")[0]).capitalize()
        if prompt.endswith("Instruction:"):
            return self._blocks(draw)
        if prompt.endswith("9."):
            return " " + "\n".join(f"{n}. {self._instruction(draw, prompt)}" for n in range(9, 17)).partition(". ")[2]
        if "\nEnd of answer " in prompt[-200:]:
            score, rationale = self._verdict(prompt, draw)
            return f"{score:g}\n{rationale}"
        if isinstance(request.prompt, str) and "Task: " in prompt:
            return self._examples(prompt, draw)
        return self._response(prompt, draw)

    def _json(self, constraint: JsonSchema, prompt: str, draw: Random) -> str:
        title = constraint.schema_.get("title")
        if title == "Tasks":
            count = constraint.schema_["properties"]["tasks"]["maxItems"]
            value: object = {"tasks": [self._instruction(draw, prompt) for _ in range(count)]}
        elif title == "Verdict":
            if draw.random() < self.unreadable_verdicts:
                return '{"rationale":"no score, only words"}'
            score, rationale = self._verdict(prompt, draw)
            value = {"score": score, "rationale": rationale}
        else:
            task = _last_task(prompt)
            pairs = self._labelled(task, draw) if title == "LabelledInstances" else self._instances(task, draw)
            value = {"instances": [{"input": given, "output": output} for given, output in pairs]}
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        return text[: -len(text) // 3] if draw.random() < self.broken_json else text

    # -- instructions ---------------------------------------------------------------------------------------------

    def _instruction(self, draw: Random, prompt: str) -> str:
        chance = draw.random()
        if chance < self.forbidden:
            return _fill(draw.choice(script.FORBIDDEN), draw)
        if chance < self.forbidden + self.near_duplicates:
            shown = [line.lstrip("-0123456789. ") for line in prompt.splitlines()[-9:-1] if len(line) > 30]  # noqa: PLR2004
            if shown:
                words = draw.choice(shown).rstrip(".?").split()
                words[draw.randrange(len(words))] = draw.choice(script.VERBS).lower()
                return " ".join(words).capitalize() + "."
        frame = draw.choice(script.LABEL_FRAMES if draw.random() < 0.25 else script.FRAMES)  # noqa: PLR2004 - 1 in 4
        return _fill(frame, draw)

    def _blocks(self, draw: Random) -> str:
        blocks = []
        for number in range(4, 21):
            instruction = self._instruction(draw, "")
            given, output = self._instances(instruction, draw)[0]
            head = "" if number == 4 else f"###\n{number}. Instruction:"  # noqa: PLR2004 - the prompt ends with 4
            blocks.append(
                f"{head} {instruction}\n{number}. Input:\n{given or '<noinput>'}\n{number}. Output:\n{output}\n"
            )
        return "".join(blocks)

    # -- instances ------------------------------------------------------------------------------------------------

    def _instances(self, task: str, draw: Random) -> list[tuple[str, str]]:
        count = draw.choice((1, 1, 2, 3))
        pairs = [(_fill(draw.choice(script.INPUTS), draw), self._good(draw)) for _ in range(count)]
        if not any(word in task for word in ("text", "notes", "following", "message", "report")):
            pairs = [("", pairs[0][1])]
        return self._spoilt(pairs, draw)

    def _labelled(self, task: str, draw: Random) -> list[tuple[str, str]]:
        labels = _labels(task)
        return self._spoilt([(_fill(draw.choice(script.INPUTS), draw), label) for label in labels], draw)

    def _spoilt(self, pairs: list[tuple[str, str]], draw: Random) -> list[tuple[str, str]]:
        if draw.random() >= self.bad_instances:
            return pairs
        given, output = pairs[-1]
        fault = draw.choice(((given or output, given or output), (given, ""), (given, f"{output}:"), (given, "Other.")))
        return [*pairs[:4], fault]

    def _examples(self, prompt: str, draw: Random) -> str:
        task = _last_task(prompt)
        if "\nClass label: " in prompt:
            return "\n" + "\n".join(
                f"Class label: {label}\nInput: {given}" for given, label in self._labelled(task, draw)
            )
        pairs = self._instances(task, draw)
        if not pairs[0][0]:
            return f"\nOutput: {pairs[0][1]}"
        return "\n" + "\n".join(f"Example {n}\nInput: {i}\nOutput: {o}" for n, (i, o) in enumerate(pairs, 1))

    # -- answers and verdicts -------------------------------------------------------------------------------------

    def _good(self, draw: Random) -> str:
        return " ".join(_fill(sentence, draw) for sentence in draw.sample(script.SENTENCES, draw.choice((2, 3, 4))))

    def _response(self, prompt: str, draw: Random) -> str:
        if draw.random() < self.weak_answers:
            return draw.choice(script.WEAK)
        labels = _labels(prompt.partition("\n")[0]) if _is_classification(prompt) == "yes" else []
        return draw.choice(labels) if labels else self._good(draw)

    def _verdict(self, prompt: str, draw: Random) -> tuple[float, str]:
        end = prompt.rfind("\nEnd of answer ")
        answer = prompt[prompt.rfind("\nAnswer ", 0, end) : end].partition("\n")[2].partition("\n")[2]
        if answer in script.WEAK:
            return draw.choice((1.0, 1.5, 2.0, 2.5, 3.0)), script.RATIONALES[2]
        score = draw.choice((4.0, 4.5, 4.5, 5.0, 5.0))
        return score, script.RATIONALES[0 if score > 4 else 1]  # noqa: PLR2004 - full marks, or nearly


def _fill(frame: str, draw: Random) -> str:
    thing, other = draw.sample(script.THINGS, 2)
    verb = draw.choice(script.VERBS)
    text = frame.format(
        thing=thing,
        other=other,
        who=draw.choice(script.PEOPLE),
        form=draw.choice(script.FORMS),
        extra=draw.choice(script.EXTRAS),
        verb=verb,
        verb_low=verb.lower(),
        labels=draw.choice(script.LABEL_SETS),
    )
    return text[0].upper() + text[1:]


def _last_task(prompt: str) -> str:
    """Return what stands after the last "Task: "."""
    return prompt[prompt.rfind("Task: ") + len("Task: ") :]


def _is_classification(task: str) -> str:
    return (
        "yes" if task.startswith(("Classify", "Read the note", "Sort the report", "Is this message", "Label")) else "no"
    )


def _labels(task: str) -> list[str]:
    """Return the labels of the set that the task names; good and bad when it names none."""
    named = next((labels for labels in script.LABEL_SETS if labels in task), "good or bad")
    return named.replace(" or ", ", ").split(", ")
