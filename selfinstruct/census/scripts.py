"""Says whether an answer is written in another script than its task, by shares of letters. Knows no language.

English answered in Spanish is not seen: both are Latin. No model is asked.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from selfinstruct.census.findings import Finding
from selfinstruct.census.wording import pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.tables.layouts import Task

_SCRIPTS = {
    "LATIN": "Latin", "FULLWIDTH LATIN": "Latin", "HANGUL": "Hangul", "HALFWIDTH HANGUL": "Hangul", "CJK": "Han",
    "HIRAGANA": "Kana", "KATAKANA": "Kana", "HALFWIDTH KATAKANA": "Kana", "CYRILLIC": "Cyrillic", "GREEK": "Greek",
    "ARABIC": "Arabic", "HEBREW": "Hebrew", "DEVANAGARI": "Devanagari", "THAI": "Thai", "BENGALI": "Bengali",
    "TAMIL": "Tamil", "ARMENIAN": "Armenian", "GEORGIAN": "Georgian", "KHMER": "Khmer", "MYANMAR": "Myanmar", "LAO": "Lao",
}  # fmt: skip
_FEWEST = 12
"""Letters of an answer from which its script can be told."""
_FEWEST_FOREIGN = 4
"""Letters of a script that the task does not have, from which it is no quotation of a symbol."""
FOREIGN = 0.3
"""Share of letters in scripts that the task does not have, above which an answer is in another language."""
OWN = 0.1
"""Share of letters in the task's own script, below which a Latin answer to a task in another one is in another language."""
_MAIN = 0.3
"""Share of a task's letters from which a script is one of its own."""
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|\$[^$\n]*\$|https?://\S+|<[^<>\n]{1,200}>", re.DOTALL)
_EXPRESSION = re.compile(r"[{};=<>\\^_|]|\w\(")
_SIGNS, _SIGNS_OF_CODE = 0.02, 0.004
"""Signs of code or formulas per character, above which an answer is no prose: in any task, and in one that asks for code."""
_FEWEST_WORDS, _SMALL = 4, 0.4
"""Words in lower case that make prose, and their share of all words."""
_SHORT = 200
"""Characters of an input that may say which language is wanted; a longer one is a text that names languages."""
_LETTERS_LOOKED_AT = 20_000


def look(task: Task) -> Iterator[Finding]:
    """Yield at most one finding: the answer's foreign share."""
    if task.asked.isascii() and task.output.isascii():
        return
    found = foreign(task)
    told = f"{task.instruction}\n{task.input}" if len(task.input) <= _SHORT else task.instruction or task.input
    if found and not pattern("other_language").search(told):
        script, figure, threshold = found
        yield Finding("wrong_language", "output", f"{script}: {task.output[:160]}", round(figure, 3), threshold)


def foreign(task: Task) -> tuple[str, float, float] | None:
    """Return (the answer's script, share, threshold) if it is not one of the task's; None if it is, or cannot be told."""
    output = shares(_CODE.sub(" ", task.output[:_LETTERS_LOOKED_AT]))
    asked, given = shares(task.instruction[:_LETTERS_LOOKED_AT]), shares(task.input[:_LETTERS_LOOKED_AT])
    total, known = output.total(), asked.total()
    if total < _FEWEST or not known:
        return None
    own = {script for script in asked if asked[script] >= _MAIN * known}
    if own & {"Han", "Kana"} and asked["Kana"]:
        own |= {"Han", "Kana"}
    there = own | {script for script in given if given[script] >= _FEWEST_FOREIGN} | {"Latin"}
    strange = Counter({script: count for script, count in output.items() if script not in there})
    if strange.total() >= _FEWEST_FOREIGN and strange.total() > FOREIGN * total:
        return strange.most_common(1)[0][0], strange.total() / total, FOREIGN
    ours = sum(output[script] for script in own) / total
    if "Latin" in own or ours >= OWN or given["Latin"] > max(_FEWEST, _MAIN * given.total()):
        return None
    signs = len(_EXPRESSION.findall(task.output[:_LETTERS_LOOKED_AT])) / len(task.output[:_LETTERS_LOOKED_AT])
    code = pattern("code").search(task.instruction)
    if signs > _SIGNS or (code and signs > _SIGNS_OF_CODE) or not _is_prose(task.output):
        return None
    return output.most_common(1)[0][0], ours, OWN


def shares(text: str) -> Counter[str]:
    """Return how many letters of each script there are."""
    counted: Counter[str] = Counter()
    for character, count in Counter(text).items():
        if script := _script(character):
            counted[script] += count
    return counted


@lru_cache(maxsize=1 << 16)
def _script(character: str) -> str:
    if not character.isalpha():
        return ""
    name = unicodedata.name(character, "")
    found = next((script for start, script in _SCRIPTS.items() if name.startswith(start)), "")
    return found or name.split(" ")[0].capitalize()


def _is_prose(text: str) -> bool:
    """Return whether most of it is words in lower case: names, titles, abbreviations and formulas are no language."""
    words = text.split()[:200]
    small = sum(word.strip(".,!?;:'\"()").isalpha() and word[:1].islower() for word in words)
    return small >= _FEWEST_WORDS and small >= _SMALL * len(words)
