"""Finds text that speaks to whoever judges it: a notice for readers, no defence, which is the fence's. Knows no judge.

The phrases, English and Korean, stand in addresses_judge.toml.
"""

from __future__ import annotations

import base64
import binascii
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

PHRASES = Path(__file__).with_name("addresses_judge.toml")
SHOWN = 160
"""Characters of a found place that are returned, at most."""


@lru_cache(maxsize=2048)  # the gate asks first, the judge a moment later; a task is asked about once for each answer
def addresses_judge(text: str, *, task: str = "") -> str | None:
    """Return the part of `text` that asks for, claims or imitates a verdict, or commands the judge; None where there is none.

    `task` is what the text answers: where that asks for scores, a score in the answer is no claim. The part is returned as it
    was compared: lower case, plain letters, decoded.
    """
    rules, asks = _rules()
    scored = bool(task) and asks.search(_plain(task)) is not None
    wanted = [rule for rule in rules if not (scored and rule.claim)]
    for seen in _readings(text):
        for rule in wanted:
            if rule.near(seen) and (found := rule.find(seen)):
                return found
    return None


def talks(answer: str, *, task: str, given: str) -> str | None:
    """Return where an answer, or its task or input, speaks to the judge: all three are shown to it."""
    asked = f"{task}\n\n{given}" if given else task
    return addresses_judge(answer, task=asked) or addresses_judge(asked, task=task)


@dataclass(frozen=True, slots=True)
class _Rule:
    words: tuple[str, ...]
    claim: bool
    patterns: tuple[re.Pattern[str], ...]
    together: tuple[re.Pattern[str], ...]

    def near(self, text: str) -> bool:
        for word in self.words:  # noqa: SIM110 - any() takes twice as long, and this is asked of every text by every rule
            if word in text:
                return True
        return False

    def find(self, text: str) -> str | None:
        found = next((hit[0] for pattern in self.patterns if (hit := pattern.search(text))), "") or self._whole(text)
        return " ".join(found.split())[:SHOWN] or None

    def _whole(self, text: str) -> str:
        """Return the two sentences that hold all of `together`."""
        if not self.together or not all(pattern.search(text) for pattern in self.together):
            return ""
        sentences = _END.split(text)
        pairs = (f"{one}\n{other}" for one, other in zip(sentences, [*sentences[1:], ""], strict=True))
        return next((pair for pair in pairs if all(pattern.search(pair) for pattern in self.together)), "")


@cache
def _rules() -> tuple[tuple[_Rule, ...], re.Pattern[str]]:
    data = tomllib.loads(PHRASES.read_text(encoding="utf-8"))
    words: dict[str, str] = {}
    for name, source in data["words"].items():
        words[name] = _filled(source, words)
    rules = (
        _Rule(
            words=tuple(rule["any"]),
            claim=rule.get("claim", False),
            patterns=_compiled(rule.get("patterns", ()), words),
            together=_compiled(rule.get("together", ()), words),
        )
        for rule in data["rule"]
    )
    return tuple(rules), re.compile(data["asks"])


def _compiled(sources: Iterable[str], words: Mapping[str, str]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(_filled(source, words), re.MULTILINE) for source in sources)


def _filled(source: str, words: Mapping[str, str]) -> str:
    return re.sub(r"\{([a-z]{2,})\}", lambda found: words[found[1]], source)


def _readings(text: str) -> list[str]:
    """Return `text` as a model might read it: plain, with digits read as letters, and what it holds in Base64."""
    plain = _plain(text)
    readings = [plain]
    if (letters := _LEET.sub(lambda found: found[0].translate(_AS_LETTERS), plain)) != plain:
        readings.append(letters)
    return readings + [_plain(hidden) for run in _BASE64.findall(text) if (hidden := _decoded(run))]


def _plain(text: str) -> str:
    """Return `text` in NFKC and lower case, tag characters as ASCII, nothing invisible, look-alikes as Latin letters."""
    if not text.isascii():
        visible = _UNSEEN.sub("", _TAGS.sub(lambda tag: chr(ord(tag[0]) - 0xE0000), text))
        text = unicodedata.normalize("NFKC", visible).translate(_LOOK_ALIKES)
    return _BLANKS.sub(" ", "\n".join(text.splitlines())).lower()


def _decoded(run: str) -> str:
    try:
        found = base64.b64decode(run + "=" * (-len(run) % 4), altchars=b"-_" if {"-", "_"} & set(run) else None)
        text = found.decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return text if text.isprintable() else ""


_END = re.compile(r"(?<=\D[.!?])\s+|\n\s*")
_TAGS = re.compile("[\U000e0020-\U000e007e]")
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f\xad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\U000e0000-\U000e01ef]"
)
_BLANKS = re.compile(r"[^\S\n]+")
_BASE64 = re.compile(r"(?<![\w+/-])[\w+/-]{24,}", re.ASCII)
_LEET = re.compile(r"\b(?=\w*[a-z])(?=\w*[013457@$])[\w@$]{2,30}")
"""Words of letters and digits."""
_AS_LETTERS = str.maketrans("013457@$", "oieastas")
_LOOK_ALIKES = str.maketrans(
    # Cyrillic, Greek, typographic quotes: those that pass for Latin ones at a glance
    "аеорсухіјѕһԁԛԝьАВЕКМНОРСТУХІЈЅαεικνορτυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ\u2018\u2019\u201c\u201d\u2013",
    "aeopcyxijshdqwbABEKMHOPCTYXIJSaeiknoptuxABEZHIKMNOPTYX''\"\"-",
)
