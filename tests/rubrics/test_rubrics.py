"""Rubrics are files: shipped ones in two languages, and a user's own, whose scale is checked before a call is paid for."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfinstruct import rubrics
from selfinstruct.errors import BadInputError

PUBLISHED = {
    "accuracy": (0, 5, 0.5, 4.5),
    "helpfulness": (0, 5, 0.5, 4.5),
    "instruction-following": (1, 5, 1, 4),
    "honesty": (1, 5, 1, 4),
    "truthfulness": (1, 5, 1, 4),
    "helpfulness-5": (1, 5, 1, 4),
    "educational-value": (0, 5, 1, 3),
}
"""AlpaGasus: 0 to 5 by half points, keep 4.5. UltraFeedback: four aspects, 1 to 5. Educational value: 0 to 5, keep 3."""


@pytest.mark.parametrize("language", ["en", "ko"])
def test_shipped_rubrics(language: str) -> None:
    """Every one in every language, with the published scale; whole scores are told apart in the criteria."""
    assert set(rubrics.names(language)) == set(PUBLISHED)
    for name, scale in PUBLISHED.items():
        found = rubrics.load(name, language=language)
        assert (found.lowest, found.highest, found.step, found.keep) == scale
        for score in range(int(found.lowest), int(found.highest) + 1):
            assert f"- {score}: " in found.criteria
        assert found.scores[0] == found.lowest
        assert found.scores[-1] == found.highest


def head(**changes: object) -> str:
    values = {"about": "wit", "lowest": 1, "highest": 7, "step": 1, "keep": 5} | changes
    lines = [f"{key}: {value}" for key, value in values.items() if value is not None]
    return "\n".join(["---", *lines, "---", "Is it funny?", ""])


def test_a_rubric_of_ones_own(tmp_path: Path) -> None:
    """A file like the shipped ones, named by its path."""
    file = tmp_path / "wit.md"
    file.write_text(head(), encoding="utf-8")
    found = rubrics.load(str(file))
    assert (found.scores, found.criteria) == ((1, 2, 3, 4, 5, 6, 7), "Is it funny?")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("Is it funny?", "line 1: no head"),
        (head(lowest=None), "lowest: Field required"),
        (head(highest="many"), "line 4, highest"),
        (head(lowest=7), "lowest 7 is not below highest 7"),
        (head(step=4), "step 4 does not lead from 1 to 7"),
        (head(step=0), "line 5, step"),
        (head(highest=".inf"), "line 4, highest"),
        (head(step=".inf"), "line 5, step"),
        (head(step="1e300"), "does not lead from 1 to 7"),
        (head(step=0.001), "in 101 scores"),
        (head(keep=8), "keep 8 is outside of the scale, 1 to 7"),
        (head(color="red"), "color"),
        (head(about="[1, 2"), "no YAML mapping"),
        ("---\n- 1\n---\nIs it funny?", "no YAML mapping"),
        (head().replace("Is it funny?", ""), "criteria"),
    ],
)
def test_a_rubric_without_a_proper_scale_is_refused(tmp_path: Path, text: str, what: str) -> None:
    """The file, the line, the field; what a rubric looks like is the remedy."""
    file = tmp_path / "wit.md"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(BadInputError) as caught:
        rubrics.load(str(file))
    assert what in str(caught.value)
    assert str(file) in str(caught.value)
    assert "accuracy.md" in str(caught.value.remedy)


def test_scores_are_what_is_written(tmp_path: Path) -> None:
    """Tenths too: the constraint and the reader know the same numbers."""
    file = tmp_path / "tenths.md"
    file.write_text(head(lowest=0, highest=0.3, step=0.1, keep=0.2), encoding="utf-8")
    assert rubrics.load(str(file)).scores == (0, 0.1, 0.2, 0.3)


def test_an_unknown_rubric_is_told_with_those_that_exist(tmp_path: Path) -> None:
    """And a file that is no text."""
    with pytest.raises(BadInputError, match="neither a shipped name nor a file") as caught:
        rubrics.load("acuracy")
    assert "accuracy" in str(caught.value.remedy)
    (tmp_path / "x.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInputError, match="cannot read rubric"):
        rubrics.load(str(tmp_path / "x.md"))
