"""One night of a dataset that grows by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfinstruct import nightly, pipeline
from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.version import Ref
from selfinstruct.errors import BadInputError, SelfInstructError
from selfinstruct.runner import Limits
from selfinstruct.verify import verify

ROWS = 12


def one_night(
    place: Path, *, recipe: str = "demo", sets: tuple[str, ...] = (), new_lineage: bool = False
) -> nightly.Tonight:
    return nightly.tonight(
        "night", str(place / "catalogue"), recipe=recipe, folder=place / "runs", sets=sets, flags={"n": ROWS},
        new_lineage=new_lineage, trial=True,
    )  # fmt: skip


def test_the_first_night_makes_the_first_version_and_the_next_one_adds(tmp_path: Path) -> None:
    """The same call every night: version 1 by the recipe, then versions that hold all rows before."""
    for number in (1, 2):
        night = one_night(tmp_path)
        assert night.ref == Ref("night", number)
        report = pipeline.run_sync(night.recipe, night.folder, target=ROWS)
        assert nightly.worth_publishing(report) == []
        made = night.publish()
        assert made.manifest.rows["sft"] == number * ROWS
    assert Catalogue(str(tmp_path / "catalogue")).versions("night") == [1, 2]


def test_a_night_that_was_cut_short_is_planned_again(tmp_path: Path) -> None:
    """Nothing published: the same version in the same folder comes out, and goes on where it stopped."""
    night = one_night(tmp_path)
    report = pipeline.run_sync(night.recipe, night.folder, target=ROWS, limits=Limits(tokens=20_000))
    again = one_night(tmp_path)
    assert (again.ref, again.folder) == (night.ref, night.folder)
    calls = report.accounts.calls["total"]
    report = pipeline.run_sync(again.recipe, again.folder, target=ROWS)
    assert list(verify(again.folder)) == []
    assert report.accounts.calls["total"] > calls
    assert again.publish().manifest.rows["sft"] == ROWS


def test_another_recipe_is_refused_or_a_new_lineage(tmp_path: Path) -> None:
    """What is made otherwise than the latest version is refused before anything is asked, unless it is wanted."""
    first = one_night(tmp_path)
    pipeline.run_sync(first.recipe, first.folder, target=ROWS)
    first.publish()
    odd = ("stages.select.gates.score.least=4",)
    with pytest.raises(BadInputError, match="made otherwise"):
        one_night(tmp_path, sets=odd)
    assert one_night(tmp_path, sets=odd, new_lineage=True).ref == Ref("night", 2)


def test_a_cap_is_published_and_told(tmp_path: Path) -> None:
    """Some rows at a cap are worth publishing, with a note; none are an error with its remedy."""
    night = one_night(tmp_path)
    some = pipeline.run_sync(night.recipe, night.folder, target=ROWS, limits=Limits(tokens=60_000))
    assert 0 < some.accounts.ledger.accepted < ROWS
    [note] = nightly.worth_publishing(some)
    assert "the cap on tokens" in note
    none = pipeline.run_sync(night.recipe, tmp_path / "none", target=ROWS, limits=Limits(tokens=1))
    with pytest.raises(SelfInstructError, match="0 of 12 rows") as caught:
        nightly.worth_publishing(none)
    assert caught.value.remedy


REAL = {"dataset": "cc-by-4.0", "writer": "apache-2.0", "judge": "apache-2.0"}


@pytest.mark.parametrize(
    ("name", "recipe", "licences", "trial", "reason"),
    [
        ("all", "demo", {}, True, "no dataset can be called"),
        ("night", "demo", REAL, False, "scripted engine"),
        ("night", "chat", {}, False, "which licence stand: dataset, writer, judge$"),
        ("night", "chat", {**REAL, "dataset": ""}, False, "which licence stand: dataset$"),
        ("night", "chat", {"dataset": "mit", "writer": "mit"}, False, "which licence stand: judge$"),
        ("night", "chat", REAL, True, "for trying out"),
    ],
)
def test_what_cannot_be_published_is_refused_before_it_is_made(
    tmp_path: Path,
    name: str,
    recipe: str,
    licences: dict[str, str],
    *,
    trial: bool,
    reason: str,
) -> None:
    """Name, kind of catalogue and licences are looked at in the plan: no night is spent on rows that nobody may have."""
    with pytest.raises(BadInputError, match=reason):
        nightly.tonight(name, str(tmp_path / "catalogue"), recipe=recipe, licences=licences, trial=trial)


def test_the_licence_of_a_model_that_its_server_names_may_be_said_by_name(tmp_path: Path) -> None:
    """What a server has is not known before it is asked: a name may be meant for it; once it is known, it may not."""
    said = {"dataset": "mit", "Some/Model": "apache-2.0"}
    url = str(tmp_path / "catalogue")
    assert nightly.tonight("night", url, recipe="chat", licences=said).ref == Ref("night", 1)
    with pytest.raises(BadInputError, match="nothing of that name"):
        nightly.tonight("night", url, recipe="chat", licences=said, flags={"engines.writer.model": "other"})
