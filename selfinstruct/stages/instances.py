"""Writes the instances of an instruction: label first for classification, input first otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from selfinstruct import prompts
from selfinstruct.engines.base import Ability, JsonSchema, Sampling, user
from selfinstruct.errors import UnreadableError
from selfinstruct.records import Classification, Dropped, Instance, Instruction
from selfinstruct.stage import Stage, unfinished
from selfinstruct.text.reply import END, read_examples, read_labelled, read_list, read_pairs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from selfinstruct.stage import Work


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

    forms: ClassVar[tuple[str, ...]] = ("json", "lines")

    def wants(self) -> AbstractSet[Ability]:
        """Return what its form of answer takes."""
        if self.format in {"auto", "json"}:
            return {Ability.CHAT, Ability.STRUCTURED}
        return {Ability.CHAT if self.format in self.forms else Ability.COMPLETIONS}

    def prompt_files(self) -> tuple[str, ...]:
        """Return both prompt files."""
        return (self.prompt, self.label_first_prompt)

    def demonstration_files(self) -> tuple[str, ...]:
        """Return the demonstrations shown."""
        return ("input_first", "label_first")

    async def process(self, record: Classification, work: Work) -> Sequence[Instance | Dropped]:
        """Ask for instances. A cut answer loses its last instance (JSON: all), an unreadable one is asked for again."""
        label_first = record.is_classification
        text = prompts.render(
            self.label_first_prompt if label_first else self.prompt,
            language=work.language,
            demonstrations=prompts.demonstrations(
                "label_first" if label_first else "input_first", language=work.language
            ),
            instruction=work.ancestor(Instruction).text,
            count=self.at_most,
            form=self.format,
        )
        reply = await work.complete(
            user(text) if self.format in self.forms else text,
            self._sampling(label_first=label_first),
            engine=self.engine,
            constraint=_schema(self.at_most, label_first=label_first) if self.format == "json" else None,
        )
        answer = reply.completions[0]
        cut = unfinished(answer)
        pairs = self._read(answer.text, label_first=label_first, cut=cut is not None)
        made = [work.make(Instance, input=given, output=output) for given, output in pairs[: self.at_most]]
        if cut:
            return [*made, Dropped(reason=cut, text=answer.text)]
        if not made:
            msg = "no instance in the answer"
            raise UnreadableError(msg)
        return made

    def _sampling(self, *, label_first: bool) -> Sampling:
        if label_first and self.label_first_max_tokens is not None:
            return self.sampling.model_copy(update={"max_tokens": self.label_first_max_tokens})
        return self.sampling

    def _read(self, text: str, *, label_first: bool, cut: bool) -> list[tuple[str, str]]:
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


def _given(text: str) -> str:
    """Return an input; empty for what the prompt has a model write when there is none, and what weak ones make of it."""
    return "" if text.casefold().strip("()<>.") in {"none", "noinput"} else text


def _pair(item: Any) -> tuple[str, str]:  # noqa: ANN401 - whatever the model put there
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
