"""Answers every prompt of the pipeline in character, from a script: deterministic, offline, instant.

For tests, demonstrations and benchmarks. It is no model and never passes for one: every reply says `scripted`, every record
made from it is marked, and nothing that it made can be published. It makes a model's mistakes on purpose.
"""

from __future__ import annotations

import asyncio
import json
from hashlib import blake2b
from math import log
from random import Random
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from selfinstruct.engines import _answers as answers
from selfinstruct.engines import _asked as asked
from selfinstruct.engines import _grammar as grammar
from selfinstruct.engines._asked import Asked
from selfinstruct.engines.base import (
    Choice,
    Completion,
    CompletionRequest,
    Engine,
    FinishReason,
    JsonSchema,
    Reply,
    Sampling,
    Usage,
)

Share = Annotated[float, Field(ge=0, le=1)]

CHARACTERS_PER_TOKEN = 4
"""How it counts tokens, for usage and for `max_tokens`: the usual mean of English text, rounded up per text."""
MOST_TASKS, LISTED, LAST_BLOCK, INSTANCES = 100, 8, 20, 5
"""Tasks at most in one answer, items that continue a numbered list, number of the last block, instances at most."""


class ScriptedEngine(Engine):
    """The script, and how often it errs.

    An answer is a function of these fields, the prompt, the request's seed and the answer's place among `n`; of the
    sampling, only `max_tokens` and `stop` matter. A `Regex` constraint is not honoured: no stage sends one.
    """

    kind: Literal["scripted"] = "scripted"
    seed: int = 0
    """Another seed, other answers."""
    latency: Annotated[float, Field(ge=0)] = 0.0
    """Seconds that a reply takes, in the mean."""
    latency_spread: Annotated[float, Field(ge=0)] = 0.0
    """Seconds by which a reply is faster or slower than that, at most; drawn per request."""
    near_duplicates: Share = 0.12
    """Instructions that reword a demonstration or come from a small stock."""
    forbidden: Share = 0.04
    """Instructions that the heuristic gate drops: pictures, a single word, punctuation in front."""
    broken_json: Share = 0.02
    """JSON answers that stop in the middle and say that they are whole."""
    cut: Share = 0.02
    """Answers that end by length, half-way; never a choice."""
    empty: Share = 0.01
    """Answers without text; never a choice."""
    bad_instances: Share = 0.05
    """Instances that break a rule: input = output, no output, an end in a colon, one input with two outputs."""
    skewed_labels: Share = 0.1
    """Inputs thought up for the first label of a classification task, whatever the label was to be; label first, labels that
    are the first one again, in a top-up too."""
    weak_answers: Share = 0.35
    """Responses that the judge marks down: vague, off the subject, stopped early, the wrong label."""
    unreadable_verdicts: Share = 0.02
    """Verdicts without a score."""
    thinking: Share = 0.0
    """Answers that begin with a trace, as a reasoning model's do; never a choice."""
    model: str = "scripted"
    """Name that it answers under, where several models are played."""

    scripted: ClassVar[bool] = True
    operational: ClassVar[frozenset[str]] = frozenset({"latency", "latency_spread"})

    @property
    def model_name(self) -> str:
        """The name it plays under."""
        return self.model

    async def complete(self, request: CompletionRequest) -> Reply:
        """Answer `request` as the script has it."""
        asking = request.prompt if isinstance(request.prompt, str) else request.prompt[-1].content
        prompt, key = asked.at_first(asking), self._key(request)
        if self.latency or self.latency_spread:
            await asyncio.sleep(self._seconds(key))
        wanted = asked.what(request, prompt)
        completions = tuple(
            self._complete(request, prompt, wanted, Random(key + place))  # noqa: S311 - repeatable
            for place in range(request.n)
        )
        usage = Usage(prompt_tokens=_tokens(asking), completion_tokens=sum(map(_written, completions)))
        return Reply(completions=completions, model=self.model_name, usage=usage, scripted=True)

    def _key(self, request: CompletionRequest) -> int:
        prompt = request.prompt
        text = prompt if isinstance(prompt, str) else "\0".join(f"{turn.role}:{turn.content}" for turn in prompt)
        named = f"{self.seed}|{request.seed}|{text}".encode("utf-8", "replace")
        return int.from_bytes(blake2b(named, digest_size=8).digest(), "big")

    def _seconds(self, key: int) -> float:
        return max(0.0, self.latency + self.latency_spread * (key % 2001 / 1000 - 1))

    def _complete(self, request: CompletionRequest, prompt: str, wanted: Asked, draw: Random) -> Completion:
        if wanted in {Asked.CLASSIFY, Asked.CONTINUE_CLASSIFY, Asked.CHOICE}:
            return self._chosen(request, prompt, wanted, draw)
        if wanted is Asked.SCORE:
            return self._scored(request, prompt, draw)
        text, chance = self._written(request, prompt, wanted, draw), draw.random()
        thought = self._thought(draw)
        if chance < self.empty:
            text = ""
        elif chance < self.empty + self.cut:
            return _ended(thought + text, request.sampling, whole=False)
        elif wanted in _JSON and draw.random() < self.broken_json:
            text = text[: len(text) // 2]
        return _ended(thought + text, request.sampling)

    def _thought(self, draw: Random) -> str:
        """Return a trace in one of the ways in which models write them; an empty one draws nothing."""
        if not self.thinking or draw.random() >= self.thinking:
            return ""
        begin, end = grammar.pick(_TRACES, draw)
        return f"{begin}{TRACE} {grammar.instruction(draw)}{end}"

    def _chosen(self, request: CompletionRequest, prompt: str, wanted: Asked, draw: Random) -> Completion:
        """Return one of few words, with log-probabilities when they are wanted."""
        if wanted is Asked.CHOICE and isinstance(request.constraint, Choice):
            return _ended(grammar.pick(request.constraint.choices, draw), request.sampling)
        word, other = ("yes", "no") if grammar.labels_of(asked.task(prompt)) else ("no", "yes")
        if wanted is Asked.CONTINUE_CLASSIFY:
            word, other = f" {word.capitalize()}", f" {other.capitalize()}"
        elif isinstance(request.constraint, Choice):
            word, other = sorted(request.constraint.choices, key=lambda choice: choice.lower() != word)
        sure = 0.6 + 0.399 * draw.random()
        likely = [(word, log(sure)), (other, log(1 - sure))][: request.top_logprobs]
        ended = _ended(word, request.sampling)
        return ended.model_copy(update={"logprobs": (dict(likely),)}) if likely else ended

    def _written(self, request: CompletionRequest, prompt: str, wanted: Asked, draw: Random) -> str:
        """Return the answer that would be, were there no accidents."""
        schema = request.constraint.schema_ if isinstance(request.constraint, JsonSchema) else {}
        match wanted:
            case Asked.TASKS | Asked.TASK_LINES:
                count = _at_most(schema, "tasks") or min(asked.number(prompt), MOST_TASKS)
                tasks = self._instructions(prompt, draw, count)
                return _json({"tasks": tasks}) if wanted is Asked.TASKS else "\n".join(f"Task: {one}" for one in tasks)
            case Asked.NUMBERED:
                first = asked.number(prompt)
                items = enumerate(self._instructions(prompt, draw, LISTED), first)
                return "\n".join(f"{number}. {text}" for number, text in items)[len(f"{first}.") :]
            case Asked.BLOCKS:
                return self._blocks(prompt, draw)
            case Asked.INSTANCES | Asked.LABELLED | Asked.TOP_UP:
                most = _at_most(schema, "instances") or INSTANCES
                pairs = self._instances(asked.task(prompt), draw, wanted, at_most=most, prompt=prompt)
                order = (1, 0) if wanted in _LABEL_FIRST else (0, 1)
                rows = [{("input", "output")[i]: pair[i] for i in order} for pair in pairs]
                return _json({"instances": rows})
            case (
                Asked.EXAMPLES
                | Asked.LABELLED_EXAMPLES
                | Asked.INSTANCE_LINES
                | Asked.LABELLED_LINES
                | Asked.TOP_UP_LINES
            ):
                pairs = self._instances(asked.task(prompt), draw, wanted, at_most=INSTANCES, prompt=prompt)
                plain = wanted in {Asked.INSTANCE_LINES, Asked.LABELLED_LINES, Asked.TOP_UP_LINES}
                return (answers.lines if plain else answers.examples)(pairs, label_first=wanted in _LABEL_FIRST)
            case Asked.VERDICT | Asked.VERDICT_TEXT | Asked.RATINGS | Asked.PREFERENCE:
                return self._verdict(request, prompt, draw, wanted)
            case Asked.SCHEMA:
                return _json(answers.filled(schema, draw))
            case _:
                task, _, given = prompt.partition("\n\n")
                write = answers.weak if draw.random() < self.weak_answers else answers.good
                return write(task, given, draw)

    def _instructions(self, prompt: str, draw: Random, count: int) -> list[str]:
        shown: list[str] = []
        texts: list[str] = []
        for _ in range(count):
            chance = draw.random()
            if chance < self.forbidden:
                texts.append(grammar.forbidden(draw))
            elif chance >= self.forbidden + self.near_duplicates:
                texts.append(grammar.instruction(draw))
            elif draw.random() < 0.5:  # noqa: PLR2004 - half and half
                texts.append(grammar.habit(draw, self.seed))
            else:
                shown = shown or asked.shown(prompt) or [grammar.instruction(draw)]
                texts.append(grammar.reworded(grammar.pick(shown, draw), draw))
        return texts

    def _instances(
        self, task: str, draw: Random, wanted: Asked, *, at_most: int, prompt: str = ""
    ) -> list[answers.Pair]:
        if wanted in {Asked.TOP_UP, Asked.TOP_UP_LINES}:
            told = asked.further(prompt)
            pairs = answers.topped_up(
                task, draw, wanted=told.wanted, enough=told.enough, count=min(told.count, at_most), skewed=self.skewed_labels
            )  # fmt: skip
        else:
            write = answers.labelled if wanted in _LABEL_FIRST else answers.instances
            pairs = write(task, draw, at_most=at_most, skewed=self.skewed_labels)
        return answers.spoilt(pairs, self.bad_instances, draw, at_most=at_most)

    def _blocks(self, prompt: str, draw: Random) -> str:
        first = asked.number(prompt)
        blocks = []
        for number, text in enumerate(self._instructions(prompt, draw, max(1, LAST_BLOCK - first + 1)), first):
            wanted = Asked.LABELLED if grammar.labels_of(text) else Asked.INSTANCES
            given, output = self._instances(text, draw, wanted, at_most=1)[0]
            head = "" if number == first else f"###\n{number}. Instruction:"
            blocks.append(f"{head} {text}\n{number}. Input:\n{given or '<noinput>'}\n{number}. Output:\n{output}\n")
        return "".join(blocks)

    def _verdict(self, request: CompletionRequest, prompt: str, draw: Random, wanted: Asked) -> str:
        if draw.random() < self.unreadable_verdicts:
            words = answers.no_verdict(draw)
            return _json({"rationale": words}) if wanted is not Asked.VERDICT_TEXT else words
        judged, scores = asked.material(prompt), _scores(request, prompt)
        said = [answers.verdict(judged.task, judged.input, answer, draw) for answer in judged.answers]
        named = [{"score": _on(scores, score), "rationale": why} for score, why in said]
        match wanted:
            case Asked.RATINGS:
                letters = (chr(ord("A") + place) for place in range(len(named)))
                return _json({"ratings": dict(zip(letters, named, strict=False))})
            case Asked.PREFERENCE:
                (first, why), (second, _) = (said * 2)[:2]
                better = "equal" if first == second else "A" if first > second else "B"
                return _json({"better": better, "rationale": why})
            case Asked.VERDICT_TEXT:
                return f"{named[0]['score']:g}\n{named[0]['rationale']}"
            case _:
                return _json(named[0])

    def _scored(self, request: CompletionRequest, prompt: str, draw: Random) -> Completion:
        """Return a score alone, with log-probabilities of its first token when they are wanted."""
        judged, scores = asked.material(prompt), _scores(request, prompt)
        score, _ = answers.verdict(judged.task, judged.input, judged.answers[0], draw)
        given = _on(scores, score)
        ended = _ended(f"{given:g}", request.sampling)
        if not request.top_logprobs:
            return ended
        sure = 0.6 + 0.399 * draw.random()
        near = scores[max(0, scores.index(given) - 2)]
        likely = {f"{near:g}"[:1]: log(1 - sure), f"{given:g}"[:1]: log(sure)}
        rest = ({".": 0.0}, {"5": 0.0}) if given != int(given) else ()
        return ended.model_copy(update={"logprobs": (likely, *rest)})


def _scores(request: CompletionRequest, prompt: str) -> list[float]:
    """Return the scores that a judge may give: the constraint's, else every half point of the scale in the prompt."""
    if isinstance(request.constraint, Choice):
        return sorted(map(float, request.constraint.choices))
    if isinstance(request.constraint, JsonSchema):
        found = _enum(request.constraint.schema_)
        if found:
            return sorted(map(float, found))
    lowest, highest = asked.scale(prompt)
    return [lowest + half / 2 for half in range(int(2 * (highest - lowest)) + 1)]


def _enum(schema: dict[str, Any]) -> list[float]:
    """Return the scores that a schema allows, wherever it has them."""
    own = schema.get("properties", {})
    several: dict[str, Any] = own.get("ratings", {}).get("properties", {})
    one: dict[str, Any] = next(iter(several.values()), {})
    inner = one.get("properties", own)
    return list(inner.get("score", {}).get("enum", []))


def _on(scores: list[float], score: float) -> float:
    """Return the score nearest to where `score` lies on 0 to 5, on another scale; whole ones as whole numbers."""
    wanted = scores[0] + score / 5 * (scores[-1] - scores[0])
    near = min(scores, key=lambda one: abs(one - wanted))
    return int(near) if near == int(near) else near


TRACE = "Let me think about what is wanted here."
"""How every trace of the script begins: what must stand in no export."""
_TRACES = (
    ("<think>\n", "\n</think>\n\n"),
    ("", "\n</think>\n\n"),
    ("<thinking>", "</thinking>"),
    ("[THINK]", "[/THINK]"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
)
_JSON = {
    Asked.TASKS, Asked.INSTANCES, Asked.LABELLED, Asked.TOP_UP, Asked.VERDICT, Asked.RATINGS, Asked.PREFERENCE, Asked.SCHEMA,
}  # fmt: skip
_LABEL_FIRST = {
    Asked.LABELLED,
    Asked.LABELLED_LINES,
    Asked.LABELLED_EXAMPLES,
    Asked.TOP_UP,
    Asked.TOP_UP_LINES,
}
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _json(value: object) -> str:
    return _ENCODE(value)


def _tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)


def _written(completion: Completion) -> int:
    """Return the tokens of an answer, those of its trace included: servers bill both."""
    return _tokens(completion.text) + _tokens(completion.reasoning)


def _ended(text: str, sampling: Sampling, *, whole: bool = True) -> Completion:
    """Return `text` up to the first stop and the token limit; half of it when it is not `whole`."""
    for stop in sampling.stop:
        text = text.partition(stop)[0]
    longest = sampling.max_tokens * CHARACTERS_PER_TOKEN
    kept = text[: min(longest, len(text) if whole else len(text) // 2)]
    ended = whole and len(kept) == len(text)
    return Completion.told(kept, FinishReason.STOP if ended else FinishReason.LENGTH)


def _at_most(schema: dict[str, Any], name: str) -> int | None:
    most: int | None = schema.get("properties", {}).get(name, {}).get("maxItems")
    return most
