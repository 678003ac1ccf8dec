"""Writes the instances of an instruction: label first for classification, input first otherwise."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from selfinstruct import prompts
from selfinstruct.engines.base import Ability, JsonSchema, Sampling, user
from selfinstruct.errors import CallError, UnreadableError
from selfinstruct.records import Classification, Dropped, DropReason, Instance, Instruction
from selfinstruct.stage import Stage, unfinished
from selfinstruct.text import labels
from selfinstruct.text.reply import END, read_examples, read_labelled, read_list, read_pairs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet
    from typing import Self

    from selfinstruct.engines.base import Completion
    from selfinstruct.stage import Work

Pair = tuple[str, str]
"""An input and its output."""


class Instances(Stage[Classification, Instance]):
    """Up to five inputs with their outputs for one instruction (Self-Instruct, generate_instances.py)."""

    kind: Literal["instances"] = "instances"
    prompt: str = "input_first"
    label_first_prompt: str = "label_first"
    """Prompt file for classification tasks."""
    format: Literal["auto", "json", "lines", "examples"] = "json"
    """json: chat models, constrained. lines: chat models that do badly with JSON. auto: whichever of these two a trial finds
    readable. examples: completion models, "Example 1 / Input / Output"."""
    sampling: Sampling = Sampling(max_tokens=1024)
    """How to draw."""
    label_first_max_tokens: Annotated[int, Field(ge=1)] | None = None
    """Longest answer for classification tasks; the same as for others when absent."""
    at_most: Annotated[int, Field(ge=1, le=20)] = 5
    """Instances kept per instruction."""
    top_up: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of one label above which a classification task is asked about once more, for the labels that are short; so it is
    when a label is missing that the task surely names. null: never, as published. Not with `format` examples."""
    top_up_prompt: str = "label_top_up"
    """Prompt file for that."""

    forms: ClassVar[tuple[str, ...]] = ("json", "lines")

    @model_validator(mode="after")
    def _can_top_up(self) -> Self:
        if self.top_up is not None and self.format == "examples":
            msg = "top_up takes `format` json, lines or auto: there is no such prompt for completion models"
            raise ValueError(msg)
        return self

    def wants(self) -> AbstractSet[Ability]:
        """Return what its form of answer takes."""
        if self.format in {"auto", "json"}:
            return {Ability.CHAT, Ability.STRUCTURED}
        return {Ability.CHAT if self.format in self.forms else Ability.COMPLETIONS}

    def prompt_files(self) -> tuple[str, ...]:
        """Return its prompt files."""
        return (self.prompt, self.label_first_prompt, *((self.top_up_prompt,) if self.top_up is not None else ()))

    def demonstration_files(self) -> tuple[str, ...]:
        """Return the demonstrations shown."""
        return ("input_first", "label_first")

    async def process(self, record: Classification, work: Work) -> Sequence[Instance | Dropped]:
        """Ask for instances. A cut answer loses its last instance (JSON: all), an unreadable one is asked for again."""
        label_first = record.is_classification
        answer = await self._ask(
            work, self.label_first_prompt if label_first else self.prompt, label_first=label_first, count=self.at_most
        )
        cut = unfinished(answer)
        pairs = self._read(answer.text, label_first=label_first, cut=cut is not None)
        made = [work.make(Instance, input=given, output=output) for given, output in pairs[: self.at_most]]
        if cut:
            return [*made, Dropped(reason=cut, text=answer.text)]
        if not made:
            msg = "no instance in the answer"
            raise UnreadableError(msg)
        short = self._shortage(made, work) if label_first else None
        return made if short is None else await self._topped_up(made, short, work)

    async def _ask(
        self,
        work: Work,
        prompt: str,
        *,
        label_first: bool,
        **values: Any,  # noqa: ANN401 - what that prompt file names
    ) -> Completion:
        text = prompts.render(
            prompt,
            language=work.language,
            demonstrations=prompts.demonstrations(
                "label_first" if label_first else "input_first", language=work.language
            ),
            instruction=work.ancestor(Instruction).text,
            form=self.format,
            **values,
        )
        reply = await work.complete(
            user(text) if self.format in self.forms else text,
            self._sampling(label_first=label_first),
            engine=self.engine,
            constraint=_schema(self.at_most, label_first=label_first) if self.format == "json" else None,
        )
        return reply.completions[0]

    def _shortage(self, made: list[Instance], work: Work) -> labels.Shortage | None:
        if self.top_up is None:
            return None
        task, outputs = work.ancestor(Instruction).text, [one.output for one in made]
        return labels.shortage(outputs, task=task, most=self.top_up, room=self.at_most)

    async def _topped_up(
        self, made: list[Instance], short: labels.Shortage, work: Work
    ) -> Sequence[Instance | Dropped]:
        """Ask for the labels that are short, and return the instances of both answers: those kept are as even as can be.

        Whatever becomes of the second answer, the first one stands: an unreadable one is a drop of its own.
        """
        answer = None
        try:
            answer = await self._ask(
                work,
                self.top_up_prompt,
                label_first=True,
                count=short.count,
                wanted=list(short.wanted),
                enough=list(short.enough),
            )
            cut = unfinished(answer)
            pairs = self._read(answer.text, label_first=True, cut=cut is not None)
            if not pairs and not cut:
                msg = "no instance in the answer"
                raise UnreadableError(msg)  # noqa: TRY301 - told as any other that cannot be read
        except (CallError, UnreadableError) as problem:
            evidence = {"why": str(problem), "enough": short.enough, "wanted": short.wanted}
            lost = DropReason(rule="no_top_up", figure=round(short.share, 3), threshold=self.top_up, evidence=evidence)
            return [*made, Dropped(reason=lost, text=answer.text if answer else "")]
        more = [work.make(Instance, input=given, output=output) for given, output in pairs]
        evened = _evened(made, more, room=self.at_most)
        return [*evened, Dropped(reason=cut, text=answer.text)] if cut else evened

    def _sampling(self, *, label_first: bool) -> Sampling:
        if label_first and self.label_first_max_tokens is not None:
            return self.sampling.model_copy(update={"max_tokens": self.label_first_max_tokens})
        return self.sampling

    def _read(self, text: str, *, label_first: bool, cut: bool) -> list[Pair]:
        """Return the instances; of a cut answer those before the one at which it was cut."""
        if self.format == "json":
            return [] if cut else [_pair(item) for item in read_list(text, name="instances")]
        if self.format == "examples":
            pairs = read_labelled(text) if label_first else read_examples(text)
            return pairs[:-1] if cut else pairs
        text = text.rpartition(f"\n{END}")[0] if cut else text
        if label_first:
            return [(given, label) for label, given in read_pairs(text, names=("Label", "Input"))]
        return [(_given(given), output) for given, output in read_pairs(text, names=("Input", "Output"))]


def _evened(made: list[Instance], more: list[Instance], *, room: int) -> list[Instance | Dropped]:
    """Return all instances, those beyond `room` as drops: what is kept is as even as can be.

    One without a label takes no place (a gate is there for it). A new one whose input is there already is a drop: beside
    the first it would cost both.
    """
    known = {_words(one.input) for one in made}
    every = [*made, *(one for one in more if _words(one.input) not in known)]
    labelled = [(one.id, label) for one in every if (label := labels.plain(one.output))]
    kept = [labelled[place] for place in labels.even([label for _, label in labelled], room)]
    surplus = dict(labelled).keys() - dict(kept).keys()
    there, places = (Counter(label for _, label in some) for some in (labelled, kept))

    def decided(one: Instance) -> Instance | Dropped:
        if one.id not in surplus:
            return one
        label = labels.plain(one.output)
        reason = DropReason(rule="label_surplus", figure=there[label], threshold=places[label])
        return Dropped(reason=_with_label(reason, one), text=one.input)

    repeated = [one for one in more if _words(one.input) in known]
    again = DropReason(rule="repetition")
    return [*map(decided, every), *(Dropped(reason=_with_label(again, one), text=one.input) for one in repeated)]


def _with_label(reason: DropReason, one: Instance) -> DropReason:
    return reason.model_copy(update={"evidence": {"label": one.output}})


def _words(text: str) -> str:
    return " ".join(text.split())


def _given(text: str) -> str:
    """Return an input; empty for what the prompt has a model write when there is none, and what weak ones make of it."""
    return "" if text.casefold().strip("()<>.") in {"none", "noinput"} else text


def _pair(item: Any) -> Pair:  # noqa: ANN401 - whatever the model put there
    if not isinstance(item, dict) or not all(isinstance(item.get(key), str) for key in ("input", "output")):
        msg = "an instance without the texts input and output"
        raise UnreadableError(msg)
    return item["input"].strip(), item["output"].strip()


def _schema(count: int, *, label_first: bool) -> JsonSchema:
    output = {"type": "string", "minLength": 1, "maxLength": 200 if label_first else 2000}
    given = {"type": "string", "maxLength": 2000}
    properties = {"output": output, "input": given} if label_first else {"input": given, "output": output}
    one = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return JsonSchema(
        schema_={
            "title": "LabelledInstances" if label_first else "Instances",
            "type": "object",
            "properties": {"instances": {"type": "array", "items": one, "minItems": 1, "maxItems": count}},
            "required": ["instances"],
            "additionalProperties": False,
        }
    )
