"""Reads what a model wrote: JSON, numbered lists, blocks. Pure functions; text is data, never evaluated.

Whatever cannot be read with certainty raises or is None; nothing here guesses.
"""

from __future__ import annotations

import json
import re
from typing import Any

from selfinstruct.errors import UnreadableError

LONGEST = 262_144
"""Characters looked at, at most: longer answers are not read (no pattern below ever sees more)."""


_UNSAFE = re.compile("[\x00\ud800-\udfff]")


def harmless(text: str) -> str:
    """Return `text` with lone surrogates and NUL replaced by U+FFFD: they cannot be stored or encoded."""
    return _UNSAFE.sub("\ufffd", text)


def read_json(text: str) -> Any:  # noqa: ANN401 - JSON is of any shape
    """Return the one JSON value that `text` holds, fenced in ``` or not, strings made harmless.

    Raises:
        UnreadableError: no JSON, more than JSON, NaN, a key that stands twice, or nesting too deep.
    """
    body = text[:LONGEST].strip()
    if body.startswith("```"):
        body = body.removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    try:
        # strict=False: constrained decoding (xgrammar) lets raw control characters into strings; their meaning is certain.
        return _clean(json.loads(body, strict=False, parse_constant=_refuse_constant, object_pairs_hook=_once))
    except (ValueError, RecursionError) as error:
        raise UnreadableError(_short(f"not JSON ({error})")) from None


def _refuse_constant(name: str) -> None:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that stands twice: which of them was meant is a guess, and a quoted attack may have brought the other."""
    found = dict(pairs)
    if len(found) != len(pairs):
        msg = "a key stands twice"
        raise ValueError(msg)
    return found


def _clean(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {harmless(key): _clean(item) for key, item in value.items()}
    return value


def _short(text: str) -> str:
    return text[:200]


def read_list(text: str, *, name: str) -> list[Any]:
    """Return the list under key `name` of a JSON object.

    Raises:
        UnreadableError: it is not there.
    """
    value = read_json(text)
    items = value.get(name) if isinstance(value, dict) else None
    if not isinstance(items, list):
        msg = f"no list {name!r} in the answer"
        raise UnreadableError(msg)
    return items


def read_numbered(text: str) -> list[str]:
    """Split a continued numbered list into its items.

    The split is newline + digits + optional space + ". " (Self-Instruct, bootstrap_instructions.py); the first item
    follows the number that the prompt ends with. Whitespace inside an item collapses to single blanks.
    """
    parts = re.split(r"\n\d{1,6} ?\. ", "\n" + text[:LONGEST].lstrip("\n"))
    items = [" ".join(part.split()) for part in parts]
    return [item for item in items if item]


def read_blocks(text: str, *, first: int) -> list[tuple[str, str, str] | None]:
    """Split an answer of `###` blocks into (instruction, input, output); None for a block of another shape.

    The answer continues block number `first` after its "Instruction:" (Alpaca, generate_instruction.py); `<noinput>` is
    an empty input.
    """
    blocks = ("Instruction:" + text[:LONGEST]).split("###")
    return [_read_block(block, number) for number, block in enumerate(blocks, first) if block.strip()]


def _read_block(block: str, number: int) -> tuple[str, str, str] | None:
    parts = re.split(rf"(?:{number}\. )?(Instruction|Input|Output):", block)
    if len(parts) != 7 or parts[1::2] != ["Instruction", "Input", "Output"]:  # noqa: PLR2004 - three headings, seven parts
        return None
    instruction, given, output = (part.strip() for part in parts[2::2])
    return " ".join(instruction.split()), "" if given.lower() in {"<noinput>", "noinput"} else given, output


END = "###"
"""The line that ends a pair of marked texts."""

_MARKED = re.compile(r"(?:[-*•] |\d{1,3}[.)] )?(?:\*\*)?(\w{1,20})(?: \d{1,3})?:(?:\*\*)?")
"""`Task: `, also as `- Task: `, `2. Task: `, `Task 2:` and in bold: how weak models write it."""


def _marked(line: str, names: tuple[str, ...]) -> tuple[str, str] | None:
    """Return (name, what follows) of a line that begins with one of `names` and a colon."""
    found = _MARKED.match(line.strip())
    return (found[1], line.strip()[found.end() :]) if found and found[1] in names else None


def read_marked(text: str, *, name: str) -> list[str]:
    """Return what follows each `name:` at the beginning of a line, up to the next one or an empty line.

    Whitespace inside becomes single blanks. What stands before the first or after an empty line is talk, and left out.
    """
    items: list[list[str]] = []
    inside = False
    for line in text[:LONGEST].split("\n"):
        found = _marked(line, (name,))
        if found is not None:
            items.append([found[1]])
        elif inside and line.strip():
            items[-1].append(line)
        inside = found is not None or (inside and bool(line.strip()))
    return [item for item in (" ".join(" ".join(lines).split()) for lines in items) if item]


def read_pairs(text: str, *, names: tuple[str, str]) -> list[tuple[str, str]]:
    """Read pairs of texts headed by `names` at the beginning of a line, each pair ended by a line `###`.

    What stands before the first name of a pair is talk, and left out. Other lines belong to the text they follow. The last
    pair may lack its end.

    Raises:
        UnreadableError: names of a pair that are not these two, each once, in this order.
    """
    pairs: list[tuple[str, str]] = []
    parts: list[tuple[str, list[str]]] = []
    for line in [*text[:LONGEST].split("\n"), END]:
        found = _marked(line, names)
        if found is not None:
            parts.append((found[0], [found[1]]))
        elif parts and line.strip() != END:
            parts[-1][1].append(line)
        elif parts:
            if [name for name, _ in parts] != [*names]:
                msg = f"not one {names[0]} and one {names[1]} before each line {END}"
                raise UnreadableError(msg)
            first, second = ("\n".join(lines).strip() for _, lines in parts)
            pairs.append((first, second))
            parts = []
    return pairs


def read_examples(text: str) -> list[tuple[str, str]]:
    """Read input-first examples: (input, output) per "Example N", or one output alone (Self-Instruct)."""
    pairs = []
    for part in re.split(r"Example \d{1,3}\.?", text[:LONGEST]):
        head, found, output = part.partition("Output:")
        if found:
            pairs.append((head.strip().removeprefix("Input:").strip(), output.strip()))
    if not pairs and text.strip() and "Input:" not in text:
        pairs.append(("", text.strip()))
    return pairs


def read_labelled(text: str) -> list[tuple[str, str]]:
    """Read label-first examples: (input, label) per "Class label:" (Self-Instruct)."""
    pairs = []
    for part in text[:LONGEST].split("Class label:")[1:]:
        label, _, given = part.strip().partition("\n")
        pairs.append((given.strip().removeprefix("Input:").strip(), label.strip()))
    return pairs
