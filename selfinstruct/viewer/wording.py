"""What the pages say, in the language of who reads them: words/LANGUAGE.json. Knows no page."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "words"
DEFAULT = "en"


class Words:
    """The texts of one language."""

    def __init__(self, language: str) -> None:
        """Load `words/language.json`."""
        self.language = language
        self._texts: dict[str, str] = json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))

    def __call__(self, key: str, **values: object) -> str:
        """Return the text of `key`, numbers in it with their thousands set apart."""
        shown = {name: f"{value:,}" if isinstance(value, int) else value for name, value in values.items()}
        return self._texts[key].format(**shown)

    def raw(self, key: str) -> str:
        """Return the text of `key` with its places left open, for a script to fill."""
        return self._texts[key]

    def of(self, group: str, name: str) -> str:
        """Return the text of `group.name`, or `name` itself where there is none: names of rules, stages, scripts."""
        return self._texts.get(f"{group}.{name}", name)

    def group(self, name: str) -> dict[str, str]:
        """Return all texts of a group, by their names in it."""
        return {key.removeprefix(f"{name}."): text for key, text in self._texts.items() if key.startswith(f"{name}.")}

    @property
    def keys(self) -> set[str]:
        """All keys."""
        return set(self._texts)


def languages() -> list[str]:
    """Return the languages that there are, the default first."""
    return sorted((path.stem for path in FOLDER.glob("*.json")), key=lambda one: (one != DEFAULT, one))


@cache
def words(language: str) -> Words:
    """Return the texts of a language; of the default one where it is not among them."""
    return Words(language if language in languages() else DEFAULT)


def preferred(accepted: str) -> str:
    """Return the language that an Accept-Language header likes best."""
    wanted: list[tuple[float, str]] = []
    for part in accepted[:500].split(","):
        name, _, quality = part.partition(";q=")
        try:
            wanted.append((-float(quality or 1), name.strip().lower().partition("-")[0]))
        except ValueError:
            continue
    return next((name for _, name in sorted(wanted, key=lambda one: one[0]) if name in languages()), DEFAULT)
