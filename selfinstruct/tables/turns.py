"""Reads conversations in the forms that datasets have: role/content, from/value, one message, a text. Knows no columns."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from selfinstruct.errors import BadInputError
from selfinstruct.tables.read import kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

USER, ASSISTANT, SYSTEM = "user", "assistant", "system"
_ROLES = {
    "human": USER, "prompter": USER, "gpt": ASSISTANT, "bot": ASSISTANT, "model": ASSISTANT, "chatgpt": ASSISTANT,
}  # fmt: skip
"""Other words for a role: ShareGPT's, OpenAssistant's, Gemma's."""
_MESSAGES = re.compile(r'\s*+(?:\[\s*+)?\{\s*+"(?:role|content|from|value)"\s*+:')
_SPOKEN = re.compile(r"(?:\A|\n\n)(Human|Assistant): ?")
"""How whole conversations stand in one text (hh-rlhf)."""


class Turn(NamedTuple):
    """One message: who speaks (user, assistant, system, tool ...) and the text."""

    role: str
    text: str


def text_of(value: object) -> str:
    """Return a text; null is an empty one.

    Raises:
        BadInputError: anything else.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    msg = f"a {kind_of(value)}, not a text"
    raise BadInputError(msg, remedy="mend or remove the row")


def turns_of(value: object, *, speaker: str = USER, packed: bool = True) -> list[Turn]:
    """Return the turns of a list of messages or of one message; a text is one turn of `speaker`.

    With `packed` a text that is the JSON of messages, as CSV holds them, is read as those.

    Raises:
        BadInputError: neither of them, or a message without role or text.
    """
    value = _unpacked(value) if packed else value
    if isinstance(value, dict):
        return [_turn(value)]
    if isinstance(value, list):
        return [_turn(one) for one in value]
    return [Turn(speaker, text_of(value))]


def is_packed(texts: Sequence[str]) -> bool:
    """Say whether most of the texts of a column are the JSON of messages: a few may be broken, or be asked-for JSON."""
    return 2 * sum(map(_holds_turns, texts)) > len(texts)


def _holds_turns(text: str) -> bool:
    try:
        return isinstance(value := _unpacked(text), dict | list) and bool(turns_of(value))
    except BadInputError:
        return False


def spoken_turns(text: str) -> list[Turn] | None:
    """Return the turns of a text that marks them by `Human:` and `Assistant:`; None where it does not."""
    parts = _SPOKEN.split(text.strip("\n"))
    if len(parts) < 3 or parts[0]:  # noqa: PLR2004 - what is before the first mark, the mark, what it says
        return None
    roles = {"Human": USER, "Assistant": ASSISTANT}
    return [Turn(roles[role], said.strip()) for role, said in zip(parts[1::2], parts[2::2], strict=True)]


def listed(value: object) -> list[Any] | None:
    """Return a list, also one that stands as JSON in a text (CSV); None for anything else."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = _parsed(value)
    return value if isinstance(value, list) else None


def _unpacked(value: object) -> object:
    return _parsed(value) if isinstance(value, str) and _MESSAGES.match(value) else value


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _turn(message: object) -> Turn:
    if not isinstance(message, dict):
        msg = f"a message that is a {kind_of(message)}, not an object"
        raise BadInputError(msg, remedy="each message has role and content, or from and value")
    role = next((message[key] for key in ("role", "from") if isinstance(message.get(key), str)), None)
    key = next((key for key in ("content", "value", "text") if key in message), None)
    if role is None or key is None:
        lacks = "content" if role is not None else "role"
        msg = f"a message without {lacks} (it has: {', '.join(list(message)[:12]) or 'nothing'})"
        raise BadInputError(msg, remedy="each message has role and content, or from and value")
    content = message[key]
    text = "\n".join(_part(one) for one in content) if isinstance(content, list) else text_of(content)
    return Turn(_ROLES.get(role.lower(), role.lower()), text)


def _part(part: object) -> str:
    """Return the text of one part of a message in parts; only texts can be read."""
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        return str(part["text"])
    kind = part.get("type", "unknown") if isinstance(part, dict) else kind_of(part)
    msg = f"a message with a part that is no text ({kind})"
    raise BadInputError(msg, remedy="only texts can be read: remove the row")
