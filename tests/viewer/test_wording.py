"""Both languages say the same things."""

from __future__ import annotations

import json
import re
import string

import pytest

from selfinstruct import kinds
from selfinstruct.viewer.pages import HERE
from selfinstruct.viewer.wording import DEFAULT, FOLDER, Words, languages, preferred, words

TEXTS = {language: json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8")) for language in languages()}


def test_there_are_two_languages() -> None:
    """English first."""
    assert languages() == [DEFAULT, "ko"]


def test_both_have_the_same_keys_in_the_same_order() -> None:
    """Nothing is said in one language only."""
    assert list(TEXTS["en"]) == list(TEXTS["ko"])


def test_both_have_the_same_places() -> None:
    """A number that one language tells stands in the other, too."""

    def places(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for key in TEXTS["en"]:
        assert places(TEXTS["en"][key]) == places(TEXTS["ko"][key]), key


def test_korean_is_korean() -> None:
    """No text was left in English, but names."""
    same = {
        key
        for key in TEXTS["en"]
        if TEXTS["en"][key] == TEXTS["ko"][key] and re.search("[A-Za-z]{3}", TEXTS["en"][key])
    }
    assert same <= {"axis.f", "format.alpaca", "format.dpo"}


def test_every_text_that_is_used_is_there_and_the_other_way_round() -> None:
    """Pages name no text that does not exist; no text waits for nobody."""
    sources = [
        path.read_text(encoding="utf-8") for pattern in ("templates/*.html", "*.py") for path in HERE.glob(pattern)
    ]
    used = {
        key
        for text in sources
        for key in re.findall(r"""(?:\bt|words|said|t\.raw)\(\s*["']([\w.]*\w)["'][,)\s]""", text)
    }
    known = set(TEXTS["en"])
    assert used - known - {"en"} == set()
    groups = (
        "rule.",
        "stage.",
        "flag.",
        "script.",
        "language.",
        "format.",
        "class.",
        "verdict.",
        "sort.",
        "paper.",
        "chart.",
        "error.",
        "ended.",
        "role.",
    )
    loose = {key for key in known - used if not key.startswith(groups)}
    assert all(any(f'"{key}"' in text or f"'{key}'" in text for text in sources) for key in loose), loose


@pytest.mark.parametrize("folder", ["stages", "judges"])
def test_every_stage_has_a_name(folder: str) -> None:
    """A stage of ours is named in both languages."""
    unnamed = {kind for kind in kinds.known((folder,)) if f"stage.{kind}" not in TEXTS["en"]}
    assert unnamed == set()


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("ko", "ko"),
        ("en;q=0.3, ko-KR;q=0.8", "ko"),
        ("de, fr", "en"),
        ("ko;q=x, en", "en"),
        ("*", "en"),
        ("KO-kr", "ko"),
        (";q=,,;q=1" * 50, "en"),
    ],
)
def test_the_browser_is_asked(accepted: str, language: str) -> None:
    """The language that a browser likes best, of those that there are."""
    assert preferred(accepted) == language


def test_an_unknown_name_is_itself() -> None:
    """A rule that somebody else wrote is shown by its own name; an unknown language is English."""
    said = words("../../etc")
    assert said.language == DEFAULT
    assert isinstance(said, Words)
    assert said.of("rule", "my_rule") == "my_rule"
    assert said("found.rows", n=1234567) == "1,234,567 rows"
