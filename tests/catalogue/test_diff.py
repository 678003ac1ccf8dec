"""The diff card: nights as they should be raise no alarm, nights that went astray do, and few rows never."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfinstruct import pipeline
from selfinstruct import recipe as recipes
from selfinstruct.catalogue.diff import ABOUT, Diff, Limits, alarms, compare, diff
from selfinstruct.catalogue.diff_page import page
from selfinstruct.catalogue.drift import drift
from selfinstruct.catalogue.place import Published
from selfinstruct.catalogue.version import DIFF, FIGURES, Ref, Version
from selfinstruct.figures.bins import Lengths
from selfinstruct.figures.count import of_run
from selfinstruct.figures.model import Figures
from selfinstruct.runs import open_stored
from tests.support.published import make_catalogue

Counts = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 400), min_size=1)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return make_catalogue(tmp_path_factory.mktemp("diff"), versions=2, n=80).version(Ref("tiny", 2))


@pytest.fixture(scope="module")
def nights(published: Published) -> tuple[Figures, Figures]:
    """Figures of the base, and of what the second night added."""
    before = Figures.model_validate_json(published.catalogue.version(Ref("tiny", 1)).text(FIGURES))
    run = Path(published.catalogue.root).parent / "run-2"
    with open_stored(run) as stored:
        return before, of_run(stored)


def _alarming(before: Figures, added: Figures, limits: Limits | None = None) -> list[str]:
    return [one.what for one in compare(before, added, limits=limits) if one.alarm]


def test_a_night_like_the_last_one_raises_no_alarm(published: Published) -> None:
    """Two nights of one recipe with other seeds: the diff of the version says so in JSON and in words, and names rows and rates."""
    found = Diff.model_validate_json(published.text(DIFF[0]))
    assert alarms(found) == []
    assert (found.base, found.version, found.before["sft"], found.added["sft"]) == (1, 2, 80, 80)
    assert [one.what for one in found.compared] == list(ABOUT)
    text = published.text(DIFF[1])
    assert text == page(found)
    assert "# tiny: what version 2 added to version 1\n" in text
    assert "\nNo limit was crossed.\n" in text
    assert "| `sft` | 80 | 80 |" in text
    assert "for trying out" in text


def test_a_first_version_has_no_diff(published: Published, nights: tuple[Figures, Figures]) -> None:
    """There is nothing to compare it with, and nobody is told that there is."""
    first = published.catalogue.version(Ref("tiny", 1)).manifest
    assert not set(DIFF) & set(first.files)
    with pytest.raises(ValueError, match="stands on no other"):
        diff(first, *nights)


def test_a_stricter_gate_raises_the_right_alarms(tmp_path: Path, nights: tuple[Figures, Figures]) -> None:
    """A real run whose novelty gate is set to 0.25: more duplicates and fewer kept, told before and after."""
    sets = ["stages.bootstrap.gates.rouge.threshold=0.25"]
    recipe = recipes.load("demo", environment={}, sets=sets, flags={"seed": 9})
    pipeline.run_sync(recipe, tmp_path / "strict", target=60)
    with open_stored(tmp_path / "strict") as stored:
        strict = of_run(stored)
    assert {"acceptance", "duplicates"} <= set(_alarming(nights[0], strict))
    assert "duplicates" not in _alarming(strict, nights[1])  # fewer of them are good news
    assert "acceptance" in _alarming(strict, nights[1])  # suddenly most is kept: something lets all through


def test_each_drift_raises_its_own_alarm_and_no_other(nights: tuple[Figures, Figures]) -> None:
    """Scores, lengths, scripts and topics, each moved alone."""
    before, added = nights
    shifted = added.scores.model_copy(
        update={"kept": {number - 100: count for number, count in added.scores.kept.items()}}
    )
    longer = {number + 16: count for number, count in added.output.characters.items()}
    moved: dict[str, dict[str, Any]] = {
        "score": {"scores": shifted},
        "length": {"output": Lengths(characters=longer, words=added.output.words)},
        "language": {"scripts": {"Latin": 70, "Hangul": 10}},
        "answer_language": {"output_scripts": {"Latin": 70, "Hangul": 10}},
        "topic": {"verbs": {"translate": {"poem": added.rows}}},
    }
    for what, update in moved.items():
        assert _alarming(before, added.model_copy(update=update)) == [what]


def test_alarms_say_what_moved_and_stand_first_on_the_page(
    published: Published, nights: tuple[Figures, Figures]
) -> None:
    """One line for each: how far, the limit, before and now; the page names the kinds that moved, as text."""
    before, added = nights
    hostile = "poem` <b> | [x](http://a.example)"
    astray = added.model_copy(update={"scripts": {"Hangul": added.rows}, "verbs": {"write": {hostile: added.rows}}})
    found = diff(published.manifest, before, astray)
    assert [line.partition(":")[0] for line in alarms(found)] == ["language", "topic"]
    assert alarms(found)[0].endswith("beyond chance, limit 0.05")
    text = page(found)
    assert text.index("- **language: ") < text.index("| `sft`")
    assert "- language: `Hangul` 0.0% to 100.0%, `Latin` 100.0% to 0.0%" in text
    assert "`` write poem` <b> ¦ [x](http://a.example) `` 0.0% to 100.0%" in text
    assert text.count("**alarm**") == 2


def test_few_rows_never_raise_an_alarm(nights: tuple[Figures, Figures]) -> None:
    """Below the fewest that are asked for, and where the same distance comes by chance, nothing is said."""
    before, added = nights
    few = added.model_copy(update={"scripts": {"Hangul": 29}})
    assert _alarming(before, few) == []
    assert _alarming(before, few, Limits(fewest=29)) == ["language"]
    assert _alarming(before, added.model_copy(update={"scripts": {"Latin": 79, "Hangul": 1}}), Limits(language=0)) == []


def test_limits_are_the_callers(published: Published, nights: tuple[Figures, Figures]) -> None:
    """Every limit can be set, also afterwards, of a diff that was stored; 1 is never crossed."""
    before, added = nights
    astray = added.model_copy(update={"scripts": {"Hangul": added.rows}})
    assert _alarming(before, astray, Limits(language=0.9)) == ["language"]
    assert _alarming(before, astray, Limits(language=1)) == []
    found = diff(published.manifest, before, astray)
    assert alarms(found, Limits(language=1)) == []
    assert Diff.model_validate_json(found.model_dump_json()) == found


def test_nothing_to_compare_is_no_alarm(published: Published, nights: tuple[Figures, Figures]) -> None:
    """A base without judge or gate has no scores: told as such."""
    found = diff(published.manifest, Figures(), nights[1])
    assert alarms(found) == []
    assert page(found).count("nothing to compare") == len(ABOUT)


@settings(max_examples=50, deadline=None)
@given(Counts, Counts)
def test_a_distance_is_one(one: dict[str, int], other: dict[str, int]) -> None:
    """Total variation: 0 for equal shares, the same from both sides, at most 1, and 1 where nothing is shared."""
    found = drift(one, other)
    if not sum(one.values()) or not sum(other.values()):
        assert found is None
        return
    back, same = drift(other, one), drift(one, {kind: 2 * count for kind, count in one.items()})
    assert found is not None
    assert back is not None
    assert same is not None
    assert found.distance == back.distance
    assert 0 <= found.excess <= found.distance <= 1
    assert (same.distance, same.excess) == (0, 0)
    assert drift(one, other) == found
    apart = drift(one, {f"{kind}'": count for kind, count in other.items()})
    assert apart is not None
    assert apart.distance == 1


def test_chance_is_seldom_taken_for_drift() -> None:
    """Of 300 nights drawn from what was there, some 1 % are told to lie beyond chance; of 300 from elsewhere, all."""
    draw = random.Random(5)
    kinds, weights = [str(number) for number in range(40)], [1 / (number + 1) for number in range(40)]
    before = Counter(draw.choices(kinds, weights, k=500))
    beyond = [drift(before, Counter(draw.choices(kinds, weights, k=60))) for _ in range(300)]
    assert sum(one is not None and one.excess > 0 for one in beyond) <= 9
    elsewhere = [drift(before, Counter(draw.choices(kinds, weights[::-1], k=60))) for _ in range(30)]
    assert all(one is not None and one.excess > 0.3 for one in elsewhere)


def test_a_manifest_without_rows_before_is_told(published: Published) -> None:
    """Views that are new in a version had no rows before."""
    manifest: Version = published.manifest.model_copy(update={"added": published.manifest.rows})
    assert set(diff(manifest, Figures(), Figures()).before.values()) == {0}
