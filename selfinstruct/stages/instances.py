"""Writes the instances of an instruction: label first for classification, input first otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from selfinstruct import prompts
from selfinstruct.engines.base import FinishReason, JsonSchema, Sampling, user
from selfinstruct.errors import UnreadableError
from selfinstruct.records import Classification, Dropped, DropReason, Instance, Instruction
from selfinstruct.stage import Stage
from selfinstruct.text.reply import read_examples, read_labelled, read_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfinstruct.stage import Work


class Instances(Stage[Classification, Instance]):
    """Up to five inputs with their outputs for one instruction (Self-Instruct, generate_instances.py)."""

    kind: Literal["instances"] = "instances"
    prompt: str = "input_first"
    label_first_prompt: str = "label_first"
    """Prompt file for classification tasks."""
    format: Literal["json", "examples"] = "json"
    """json: chat models, constrained. examples: completion models, "Example 1 / Input / Output"."""
    sampling: Sampling = Sampling(max_tokens=1024)
    """How to draw."""
    label_first_max_tokens: Annotated[int, Field(ge=1)] | None = None
    """Longest answer for classification tasks; the same as for others when absent."""
    at_most: Annotated[int, Field(ge=1, le=20)] = 5
    """Instances kept per instruction."""

    def prompt_files(self) -> tuple[str, ...]:
        """Return both prompt files."""
        return (self.prompt, self.label_first_prompt)

    def demonstration_files(self) -> tuple[str, ...]:
        """Return the demonstrations shown."""
        return ("input_first", "label_first")

    async def process(self, record: Classification, work: Work) -> Sequence[Instance | Dropped]:
        """Ask for instances. A cut answer loses its last instance, an unreadable one is asked for again."""
        label_first = record.is_classification
        text = prompts.render(
            self.label_first_prompt if label_first else self.prompt,
            language=work.language,
            demonstrations=prompts.demonstrations(
                "label_first" if label_first else "input_first", language=work.language
            ),
            instruction=work.ancestor(Instruction).text,
            count=self.at_most,
        )
        json_wanted = self.format == "json"
        reply = await work.complete(
            user(text) if json_wanted else text,
            self._sampling(label_first=label_first),
            engine=self.engine,
            constraint=_schema(self.at_most, label_first=label_first) if json_wanted else None,
        )
        completion = reply.completions[0]
        cut = completion.finish_reason is not FinishReason.STOP
        dropped = Dropped(
            reason=DropReason(rule="cut", figure=completion.finish_reason.value, threshold="stop"), text=completion.text
        )
        if cut and json_wanted:
            return [dropped]
        pairs = self._read(completion.text, label_first=label_first)
        if cut:
            pairs = pairs[:-1]
        if not pairs and not cut:
            msg = "no instance in the answer"
            raise UnreadableError(msg)
        made = [work.make(Instance, input=given, output=output) for given, output in pairs[: self.at_most]]
        return [*made, dropped] if cut else made

    def _sampling(self, *, label_first: bool) -> Sampling:
        if label_first and self.label_first_max_tokens is not None:
            return self.sampling.model_copy(update={"max_tokens": self.label_first_max_tokens})
        return self.sampling

    def _read(self, text: str, *, label_first: bool) -> list[tuple[str, str]]:
        if self.format == "json":
            return [_pair(item) for item in read_list(text, name="instances")]
        return read_labelled(text) if label_first else read_examples(text)


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
