"""Finds instruction, input, output and rejected answer in rows of any usual layout. Knows no file's form and no judge.

Alpaca, prompt and completion, messages (role/content, from/value), preferences with or without a prompt, seed tasks.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain, islice
from os.path import commonprefix
from typing import TYPE_CHECKING, Any, NamedTuple

from selfinstruct.errors import BadInputError
from selfinstruct.tables.read import Row, kind_of, read_rows
from selfinstruct.tables.turns import ASSISTANT, USER, Turn, is_packed, listed, spoken_turns, text_of, turns_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

_NAMES: dict[str, tuple[str, ...]] = {
    "chosen": ("chosen",),
    "rejected": ("rejected",),
    "instances": ("instances",),
    "instruction": ("instruction", "prompt", "question", "query", "problem"),
    "input": ("input", "context"),
    "output": ("output", "completion", "response", "answer", "solution"),
    "messages": ("messages", "conversations", "conversation"),
}
"""Roles, and the columns that play them without being named; the surest first."""
_LAYOUTS: tuple[tuple[str, tuple[str, ...], tuple[str, ...], str], ...] = (
    ("preferences", ("chosen", "rejected"), ("instruction", "input", "messages"), "chosen, rejected, perhaps prompt"),
    ("seed tasks", ("instruction", "instances"), (), "instruction, instances"),
    ("instructions", ("instruction", "output"), ("input",), "instruction, output, perhaps input"),
    ("messages", ("messages",), (), "messages or conversations"),
)
"""(name, roles that it needs, roles that it takes, how errors tell it). The first that fits: like TRL, a prompt with its
completion goes before messages in the same row."""
_HIDES: dict[str, set[str]] = {
    "output": {"chosen", "rejected", "messages", "instances"},
    "instruction": {"messages"},
    "messages": {"instruction", "input", "output", "chosen", "rejected", "instances"},
}
"""Roles that are no longer found by themselves when a user names this one."""
_SYNONYMS = {"prompt": "instruction", "completion": "output", "response": "output", "conversations": "messages"}
"""Other words for roles in `--columns`."""
_LOOKED_AT = 100
"""Rows at the beginning of a file whose columns decide: a row of JSONL may lack what is empty there (see `later`)."""
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Task:
    """What one row teaches: a task and its answer; of a preference, `output` is the chosen answer."""

    instruction: str
    """The last thing that the user says."""
    input: str
    output: str
    rejected: str | None = None
    """None where the layout has none."""
    earlier: tuple[Turn, ...] = ()
    """The other turns before the answer: a system prompt, a conversation."""
    prompt_twice: bool = False
    """There is a prompt, and the chosen answer is a whole conversation that holds it again."""

    @property
    def asked(self) -> str:
        """Instruction and input as one text."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction


class Found(NamedTuple):
    """A row of a file and the tasks in it, or why there is none."""

    row: Row
    tasks: tuple[Task, ...]
    """One; of seed tasks one for each instance."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column plays which role."""

    name: str
    columns: Mapping[str, str]
    """Role (`instruction`, `input`, `output`, `chosen`, `rejected`, `messages`, `instances`) to column."""
    later: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Role that no column plays so far, though one may: to the names of such a column."""
    packed: frozenset[str] = frozenset()
    """Columns in which messages stand as JSON in a text."""

    def widened(self, row: Mapping[str, Any]) -> Layout:
        """Return the layout of a row that has columns which those before it lack."""
        more = {role: name for role, names in self.later.items() for name in reversed(names) if name in row}
        return replace(self, columns={**self.columns, **more}) if more else self

    def tasks(self, row: Mapping[str, Any]) -> tuple[Task, ...]:
        """Return the tasks of a row: one, but of seed tasks one for each instance.

        Raises:
            BadInputError: a column is missing or holds what cannot be read; names the field (not the file).
        """
        if self.name == "seed tasks":
            return tuple(self._instances(row))
        if self.name == "messages":
            return (_conversation(self._turns(row, "messages")),)
        if self.name == "instructions":
            output = self._turns(row, "output", speaker=ASSISTANT)
            return (self._prompted(row, output),)
        chosen = self._turns(row, "chosen", speaker=ASSISTANT)
        rejected = self._turns(row, "rejected", speaker=ASSISTANT)
        if self.columns.keys() & {"instruction", "messages"}:
            return (self._prompted(row, chosen, rejected),)
        return (_implicit(chosen, rejected),)

    def _prompted(self, row: Mapping[str, Any], output: list[Turn], rejected: list[Turn] | None = None) -> Task:
        earlier, instruction = _asked(self._turns(row, "instruction" if "instruction" in self.columns else "messages"))
        return Task(
            instruction, self._text(row, "input"), _last(output), None if rejected is None else _last(rejected), earlier,
            prompt_twice=any(turn.role == USER for turn in output),
        )  # fmt: skip

    def _instances(self, row: Mapping[str, Any]) -> Iterator[Task]:
        instruction, name = self._text(row, "instruction"), self.columns["instances"]
        instances = listed(row.get(name))
        if not instances or not all(isinstance(one, dict) for one in instances):
            msg = f"field {name}: no list of instances with input and output"
            raise BadInputError(msg, remedy="mend or remove the row")
        for number, one in enumerate(instances):
            given, output = (_checked(one.get(key), f"{name}.{number}.{key}") for key in ("input", "output"))
            yield Task(instruction, given, output)

    def _text(self, row: Mapping[str, Any], role: str) -> str:
        name = self.columns.get(role)
        return "" if name is None else _checked(row.get(name), name)

    def _turns(self, row: Mapping[str, Any], role: str, *, speaker: str = USER) -> list[Turn]:
        name = self.columns[role]
        if name not in row:
            msg = f"no field {name} (there are: {', '.join(list(row)[:_SHOWN]) or 'none'})"
            raise BadInputError(msg, remedy="mend or remove the row")
        if role == "messages" and row[name] is not None and listed(row[name]) is None:
            msg = f"field {name}: a {kind_of(row[name])}, not a list of messages"
            raise BadInputError(msg, remedy="mend or remove the row")
        try:
            return turns_of(row[name], speaker=speaker, packed=role == "messages" or name in self.packed)
        except BadInputError as error:
            msg = f"field {name}: {error}"
            raise BadInputError(msg, remedy=error.remedy) from None


def parse_columns(text: str) -> dict[str, str]:
    """Read `instruction=question,output=answer` to {role: column}.

    Raises:
        BadInputError: not of this form, a role that there is not, or one given twice.
    """
    named: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        word, mark, column = (piece.strip() for piece in part.partition("="))
        role = _SYNONYMS.get(word, word)
        if not mark or not column or role not in _NAMES or role in named:
            msg = f"--columns: cannot read {part!r}{' (given twice)' if role in named else ''}"
            raise BadInputError(msg, remedy=f"ROLE=COLUMN,... with roles {', '.join(_NAMES)}")
        named[role] = column
    return named


def layout_of(columns: Iterable[str], *, named: Mapping[str, str] | None = None) -> Layout:
    """Return which of `columns` play which role; `named` ({role: column}) goes before what their names say.

    Raises:
        BadInputError: no layout fits, or a named column is not there; tells what was looked for and what there is.
    """
    there, named = list(columns), named or {}
    listing = ", ".join(there[:_SHOWN]) or "none"
    for role, column in named.items():
        if column not in there:
            msg = f"no column {column!r} for {role} (there are: {listing})"
            raise BadInputError(msg, remedy=f"name one of them: --columns {role}=COLUMN")
    hidden = set[str]().union(*(_HIDES.get(role, ()) for role in named))
    by_name = {role: next((name for name in names if name in there), None) for role, names in _NAMES.items()}
    roles = {role: name for role, name in by_name.items() if name is not None and role not in hidden} | dict(named)
    for name, needed, taken, _ in _LAYOUTS:
        if all(role in roles for role in needed):
            columns = {role: roles[role] for role in (*needed, *taken) if role in roles}
            later = {
                role: tuple(one for one in _NAMES[role] if one not in columns.values())
                for role in taken
                if role not in columns and role not in hidden
            }
            return Layout(name, columns, later)
    looked = "; ".join(f"{name} ({told})" for name, _, _, told in _LAYOUTS)
    msg = f"no layout fits the columns that are there ({listing}); looked for {looked}"
    remedy = "--columns instruction=COLUMN,output=COLUMN (also input, chosen, rejected), or --columns messages=COLUMN"
    raise BadInputError(msg, remedy=remedy)


def read_tasks(path: Path, *, named: Mapping[str, str] | None = None) -> tuple[Layout, Iterator[Found]]:
    """Return the layout of a file, and its rows with their tasks, streamed; a bad row comes with its problem.

    Raises:
        BadInputError: no row at all can be read, or `layout_of` finds none; later, the file is broken as a whole.
    """
    rows = read_rows(path)
    first = list(islice(rows, _LOOKED_AT))
    good = [row.value for row in first if not row.problem]
    if not good:
        msg = f"{path}: no row to read ({first[0].problem if first else 'it is empty'})"
        raise BadInputError(msg, remedy="give a dataset with one object per row")
    try:
        layout = layout_of(dict.fromkeys(chain.from_iterable(good)), named=named)
    except BadInputError as error:
        msg = f"{path}: {error}"
        raise BadInputError(msg, remedy=error.remedy) from None
    layout = replace(layout, packed=frozenset(name for name in layout.columns.values() if _is_packed(name, good)))
    return layout, _found(layout, chain(first, rows))


def _is_packed(name: str, rows: Iterable[Mapping[str, Any]]) -> bool:
    return is_packed([text for row in rows if isinstance(text := row.get(name), str) and text.strip()])


def _found(layout: Layout, rows: Iterable[Row]) -> Iterator[Found]:
    for row in rows:
        if row.problem:
            yield Found(row, (), row.problem)
            continue
        try:
            yield Found(row, layout.widened(row.value).tasks(row.value))
        except BadInputError as error:
            yield Found(row, (), str(error))


def _checked(value: object, name: str) -> str:
    try:
        return text_of(value)
    except BadInputError as error:
        msg = f"field {name}: {error}"
        raise BadInputError(msg, remedy=error.remedy) from None


def _asked(turns: list[Turn]) -> tuple[tuple[Turn, ...], str]:
    """Return (all other turns, the last that the user says)."""
    place = max((place for place, turn in enumerate(turns) if turn.role == USER), default=None)
    if place is None:
        return tuple(turns), ""
    return (*turns[:place], *turns[place + 1 :]), turns[place].text


def _last(turns: list[Turn]) -> str:
    """Return the last thing that the assistant says, of a single turn whoever says it."""
    said = [turn.text for turn in turns if turn.role == ASSISTANT]
    return said[-1] if said else turns[0].text if len(turns) == 1 else ""


def _conversation(turns: list[Turn]) -> Task:
    place = max((place for place, turn in enumerate(turns) if turn.role == ASSISTANT), default=len(turns))
    earlier, instruction = _asked(turns[:place])
    return Task(instruction, "", turns[place].text if place < len(turns) else "", earlier=earlier)


def _implicit(chosen: list[Turn], rejected: list[Turn]) -> Task:
    """Return the task of two whole conversations: their shared beginning is the prompt."""
    if len(chosen) == len(rejected) == 1:
        spoken = spoken_turns(chosen[0].text), spoken_turns(rejected[0].text)
        if spoken[0] is None or spoken[1] is None:
            return _shared(chosen[0].text, rejected[0].text)
        chosen, rejected = spoken[0], spoken[1]
    task = _conversation(chosen)
    return Task(task.instruction, "", task.output, _last(rejected), task.earlier)


def _shared(chosen: str, rejected: str) -> Task:
    """Return the task of two texts: the prompt is what they share at the beginning, as whole lines."""
    shared = commonprefix([chosen, rejected])  # noqa: RUF071 - character by character is what is wanted
    cut = shared.rfind("\n") + 1 if chosen != rejected else 0
    return Task(chosen[:cut].strip(), "", chosen[cut:], rejected[cut:])
