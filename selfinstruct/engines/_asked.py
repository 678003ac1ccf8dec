"""Tells the pipeline's prompts apart, and finds the material in them. Knows nothing of what will be answered.

Chat prompts by their constraint, or by how they begin when a server dialect did not send it; completion prompts by how
they end. Only the ends of long prompts are looked at.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum, auto

from selfinstruct.engines.base import Choice, CompletionRequest, Constraint, JsonSchema


class Asked(StrEnum):
    """What a prompt wants."""

    TASKS = auto()
    TASK_LINES = auto()
    NUMBERED = auto()
    BLOCKS = auto()
    CLASSIFY = auto()
    CONTINUE_CLASSIFY = auto()
    INSTANCES = auto()
    INSTANCE_LINES = auto()
    LABELLED = auto()
    LABELLED_LINES = auto()
    TOP_UP = auto()
    TOP_UP_LINES = auto()
    EXAMPLES = auto()
    LABELLED_EXAMPLES = auto()
    VERDICT = auto()
    VERDICT_TEXT = auto()
    SCORE = auto()
    RATINGS = auto()
    PREFERENCE = auto()
    CHOICE = auto()
    SCHEMA = auto()
    RESPOND = auto()


_TOP_UP = "You write further examples of a classification"
_TITLES = {
    "Tasks": Asked.TASKS,
    "Instances": Asked.INSTANCES,
    "LabelledInstances": Asked.LABELLED,
    "Verdict": Asked.VERDICT,
    "Ratings": Asked.RATINGS,
    "Preference": Asked.PREFERENCE,
}
_BEGINNINGS = {
    "You are extending a collection of tasks": Asked.TASKS,
    "Is a task classification?": Asked.CLASSIFY,
    "You write worked examples of tasks": Asked.INSTANCES,
    "You write worked examples of classification": Asked.LABELLED,
    _TOP_UP: Asked.TOP_UP,
}
_PLAIN = {
    Asked.TASKS: Asked.TASK_LINES,
    Asked.INSTANCES: Asked.INSTANCE_LINES,
    Asked.LABELLED: Asked.LABELLED_LINES,
    Asked.TOP_UP: Asked.TOP_UP_LINES,
}
_JSON_SHOWN = ('{"tasks":', '{"instances":')
_AGAIN = ("\n\nA first answer to this could not be read. ", "\n\n이 요청에 대한 첫 답을 읽을 수 없었습니다. ")
_END_OF_ANSWER = "\nEnd of answer "
HEAD = 4000
"""Characters of a judge's prompt that say what is wanted, its rubric included."""
_VERDICTS_SHOWN = {
    '{"score":': Asked.VERDICT,
    '{"ratings":': Asked.RATINGS,
    '{"better":': Asked.PREFERENCE,
    "Reply with the score alone, as a number,": Asked.SCORE,
}
_SHOWN = "Shown tasks:\n"
_TASK = "\nTask: "


def at_first(prompt: str) -> str:
    """Return a prompt without what is added when it is asked again."""
    place = max(map(prompt.rfind, _AGAIN))
    return prompt if place < 0 else prompt[:place]


def what(request: CompletionRequest, prompt: str) -> Asked:
    """Return what `request`, whose text is `prompt`, wants; RESPOND when it is none of the pipeline's."""
    judging = prompt.rfind(_END_OF_ANSWER, max(0, len(prompt) - 200)) >= 0
    if request.constraint is not None and (asked := _constrained(request.constraint, judging=judging)):
        return Asked.TOP_UP if asked is Asked.LABELLED and prompt.startswith(_TOP_UP) else asked
    if judging:
        head = prompt[:HEAD]
        return next((asked for shown, asked in _VERDICTS_SHOWN.items() if shown in head), Asked.VERDICT_TEXT)
    return _completion(prompt) if isinstance(request.prompt, str) else _chat(prompt)


def _constrained(constraint: Constraint, *, judging: bool) -> Asked | None:
    if isinstance(constraint, Choice):
        if judging and all(_NUMBER.fullmatch(choice) for choice in constraint.choices):
            return Asked.SCORE
        return Asked.CLASSIFY if {"yes", "no"} == {choice.lower() for choice in constraint.choices} else Asked.CHOICE
    if isinstance(constraint, JsonSchema):
        return _TITLES.get(str(constraint.schema_.get("title")), Asked.SCHEMA)
    return None


def _chat(prompt: str) -> Asked:
    found = next((asked for start, asked in _BEGINNINGS.items() if prompt.startswith(start)), Asked.RESPOND)
    in_json = any(start in prompt[:2000] for start in _JSON_SHOWN)
    return found if in_json else _PLAIN.get(found, found)


def _completion(prompt: str) -> Asked:
    last = prompt[prompt.rfind("\n") + 1 :]
    if last.endswith("Instruction:"):
        return Asked.BLOCKS
    if last.endswith("."):
        return Asked.NUMBERED if last[:-1].isdecimal() else _examples(prompt, last)
    if last.endswith("classification?"):
        return Asked.CONTINUE_CLASSIFY
    return _examples(prompt, last)


def _examples(prompt: str, last: str) -> Asked:
    if not last.startswith("Task: "):
        return Asked.RESPOND
    return Asked.LABELLED_EXAMPLES if "\nClass label: " in prompt else Asked.EXAMPLES


def number(prompt: str) -> int:
    """Return the number in the prompt's last line: the next of a list or of blocks, or how many tasks are wanted."""
    last = prompt.rstrip()
    digits = "".join(one if one.isdecimal() else " " for one in last[last.rfind("\n") + 1 :]).split()
    return int(digits[0][:6]) if digits else 1


def task(prompt: str) -> str:
    """Return the line after the last "Task: "; the whole prompt when there is none."""
    place = prompt.rfind(_TASK)
    return prompt if place < 0 else prompt[place + len(_TASK) :].partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Further:
    """What a top-up asks for; no label wanted by name: any but `enough`."""

    count: int
    wanted: tuple[str, ...]
    enough: tuple[str, ...]


def further(prompt: str) -> Further:
    """Return what the last two lines of a top-up prompt say; one of any label when they are not there."""
    enough, _, wanted = prompt.rpartition("\nWanted: ")
    count, _, names = wanted.partition(" of ")
    enough = enough.rpartition("\nEnough of: ")[2]
    return Further(int(count[:6]) if count.isdecimal() else 1, _names(names), _names(enough))


def _names(text: str) -> tuple[str, ...]:
    try:
        names = json.loads(text)
    except ValueError:
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()


def shown(prompt: str) -> list[str]:
    """Return the demonstrations of a bootstrap prompt."""
    place = prompt.rfind(_SHOWN)
    lines = prompt[place + len(_SHOWN) :] if place >= 0 else prompt
    items = [
        line.partition(" ")[2].removeprefix("Instruction: ")
        for line in lines.splitlines()
        if (line[:1] == "-" if place >= 0 else line[:1].isdecimal())
    ]
    return [item for item in items if len(item.split()) > 3]  # noqa: PLR2004 - not "Input:", nor a short answer


@dataclass(frozen=True, slots=True)
class Material:
    """What stands under judgement."""

    task: str
    input: str
    answers: tuple[str, ...]
    """One; several where they are rated or compared in one call, in the order of their letters."""


def material(prompt: str) -> Material:
    """Return the fenced texts of a judge's prompt."""
    letter, _, nonce = prompt[prompt.rfind(_END_OF_ANSWER) + len(_END_OF_ANSWER) :].partition("\n")[0].rpartition(" ")
    several = len(letter) == 1 and "A" <= letter <= "Z"
    names = [f"Answer {chr(one)}" for one in range(ord("A"), ord(letter) + 1)] if several else ["Answer"]
    answers = tuple(_fenced(prompt, name, nonce) for name in names)
    return Material(_fenced(prompt, "Task", nonce), _fenced(prompt, "Input", nonce), answers)


def scale(prompt: str) -> tuple[float, float]:
    """Return lowest and highest score that a judge's prompt asks for."""
    found = _SCALE.search(prompt[:HEAD])
    return (float(found[1]), float(found[2])) if found else (0.0, 5.0)


_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_SCALE = re.compile(r"(-?\d+(?:\.\d+)?)(?:점부터| to) (-?\d+(?:\.\d+)?)(?:점까지| in steps)")


def _fenced(prompt: str, name: str, nonce: str) -> str:
    opening = f"\n{name} {nonce}\n"
    start = prompt.rfind(opening)
    if start < 0:
        return ""
    start += len(opening)
    return prompt[start : prompt.find(f"\nEnd of {name[0].lower()}{name[1:]} {nonce}", start)]
