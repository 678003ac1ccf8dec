"""One row with everything behind it, as the run has it."""

from __future__ import annotations

import html
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from selfinstruct import pipeline
from selfinstruct import recipe as recipes
from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.version import Ref
from selfinstruct.catalogue.views import lineage_of, views
from selfinstruct.engines.base import CompletionRequest, user
from selfinstruct.records import content_id
from selfinstruct.runs import open_stored
from selfinstruct.stages.bootstrap import Bootstrap, _schema
from selfinstruct.viewer.index import Asked
from selfinstruct.viewer.library import Library
from selfinstruct.viewer.lineage import read
from selfinstruct.viewer.prompted import prompt
from tests.support.markup import Page
from tests.support.viewing import Viewer, browse


@pytest.fixture(scope="module")
def published(catalogue: Catalogue) -> dict[str, list[dict[str, Any]]]:
    """The rows of all views of the second version."""
    found = catalogue.version(Ref("tiny", 2))
    return {view: list(found.rows(view)) for view in ("sft", "preference", "dropped", "seeds", "lineage")}


def test_every_row_has_its_lineage(library: Library, published: dict[str, list[dict[str, Any]]]) -> None:
    """What a page shows of a row is the line of the view `lineage` with its id."""
    shown = library.version(Ref("tiny", 2))
    shown.index(patience=60)
    for row in published["lineage"]:
        assert shown.lineage(row["id"]) == json.loads(row["lineage"])
    assert shown.lineage("none") == []


def test_a_run_has_the_lineage_that_it_is_published_with(made: Path) -> None:
    """Looking at a run shows the same steps as looking at what was published of it."""
    with open_stored(made / "run-1") as run:
        expected = {row["id"]: json.loads(row["lineage"]) for view, row in views(run, version=1) if view == "lineage"}
        for one, steps in expected.items():
            assert lineage_of(run, one) == steps
        assert lineage_of(run, "ffffffffffffffff") == []
        assert lineage_of(run, next(iter(expected.values()))[0]["id"]) == []


def test_what_is_read_of_a_lineage(library: Library, published: dict[str, list[dict[str, Any]]]) -> None:
    """Chosen and rejected answers, verdicts, demonstrations and calls are those of the rows, pairs and seeds."""
    shown = library.version(Ref("tiny", 2))
    seeds = {one["id"] for one in published["seeds"]}
    pairs = {(one["instruction"], one["input"], one["chosen"]): one for one in published["preference"]}
    told = 0
    for row in published["sft"]:
        found = read(shown.lineage(row["id"]), row, shown.recipe)
        assert [one.text for one in found.answers if one.chosen] == [row["output"]]
        chosen = next(one for one in found.answers if one.chosen)
        assert chosen.score == row["score"]
        assert row["is_classification"] == (found.margin is not None and found.margin > 0)
        assert len(found.shown) == 8
        assert set(found.shown) & seeds
        assert found.calls
        assert all(call.completions and call.seed for call in found.calls)
        pair = pairs.get((row["instruction"], row["input"], row["output"]))
        if pair is not None and found.pair is not None:
            told += 1
            assert (found.pair.chosen, found.pair.rejected) == (pair["chosen"], pair["rejected"])
            assert [one.text for one in found.answers if one.rejected] == [pair["rejected"]]
    assert told > len(published["preference"]) / 2


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [{}],
        [{"record": None, "calls": None}],
        [{"record": {"shown": 7, "votes": "x", "judge": None}}],
        [{"record": {"text": None}, "calls": [None, 3, {"usage": 1, "completions": "x"}]}],
    ],
)
def test_a_lineage_of_any_shape_is_read(steps: list[dict[str, Any]]) -> None:
    """Nothing is taken to be there."""
    read(steps, {"output": "x"}, {"stages": "none"})


def test_the_prompt_is_the_one_that_was_sent(made: Path, library: Library) -> None:
    """Put together again from recipe and demonstrations, it is to the letter what the run sent: the journal's digest says so."""
    shown = library.version(Ref("tiny", 1))
    index = shown.index(patience=60)
    with open_stored(made / "run-1") as run, closing(sqlite3.connect(made / "run-1" / "run.db")) as journal:
        stage = next(one for one in run.recipe.stages if isinstance(one, Bootstrap))
        rows = index.find(Asked(), count=100).rows
        compared = 0
        for row in rows:
            first = shown.lineage(row["id"])[0]
            shown_ids = first["record"]["shown"]
            texts = index.demonstrations(shown_ids)
            again = prompt(shown.recipe, [texts.get(one, ("", None))[0] for one in shown_ids])
            assert bool(again) == (set(shown_ids) <= set(texts))
            if again:
                seed = first["record"]["provenance"]["seed"]
                request = CompletionRequest(
                    id="", prompt=user(again), sampling=stage.sampling, n=1, seed=seed, constraint=_schema(stage.count)
                )
                work = run.store.find(first["id"])[0][0].work
                sent = {one for (one,) in journal.execute("SELECT prompt FROM calls WHERE work = ?", (work,))}
                assert content_id(request.model_dump_json(exclude={"id"})) in sent
                compared += 1
        assert compared > len(rows) / 2


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"stages": 3},
        {"stages": [{"kind": "bootstrap", "prompt": "../../etc/passwd"}], "language": "en"},
        {"stages": [{"kind": "bootstrap", "prompt": "bootstrap"}], "language": "../en"},
    ],
)
def test_a_recipe_from_anywhere_gives_no_prompt(recipe: dict[str, Any]) -> None:
    """Nothing of a recipe becomes a path or a template."""
    assert prompt(recipe, ["a", "b"]) == ""


def test_a_row_page_shows_it_all(viewer: Viewer, published: dict[str, list[dict[str, Any]]]) -> None:
    """Instruction, answer, candidates, rationales, demonstrations and raw answers are on the page, as text."""
    seeds = {one["id"]: one["instruction"] for one in published["seeds"]}
    for row in published["sft"][:6]:
        page = Page(viewer.page(f"/d/tiny/2/row/{row['id']}"))
        said = " ".join(page.text.split())
        steps = json.loads(next(one["lineage"] for one in published["lineage"] if one["id"] == row["id"]))
        records = [step["record"] for step in steps]
        wanted = [row["instruction"], row["output"], *(one["rationale"] for one in records if "rationale" in one)]
        wanted += [one["text"] for one in records if "text" in one]
        wanted += [seeds[one] for one in records[0]["shown"] if one in seeds]
        wanted += [done["text"] for step in steps for call in step["calls"] for done in call["completions"]]
        for text in wanted:
            assert " ".join(text.split()) in said


def test_what_is_nearest_is_marked(viewer: Viewer, published: dict[str, list[dict[str, Any]]]) -> None:
    """The nearest other instructions come in order of their likeness, each another one."""
    from selfinstruct.text.rouge import NoveltyIndex

    texts = list(dict.fromkeys(one["instruction"] for one in published["sft"]))
    index = NoveltyIndex(tokenizer="unicode")
    index.extend(texts)
    row = published["sft"][3]
    expected = [one.score for one in index.nearest(row["instruction"], 4) if one.text != row["instruction"]][:3]
    found = viewer.page(f"/d/tiny/2/near/{row['id']}")
    told = [float(one) for one in re.findall(r"<strong>([\d.]+)</strong>", found)]
    assert told == pytest.approx(expected, abs=0.006)
    assert "<mark>" in found


def test_drops_show_rule_figure_threshold_and_evidence(
    viewer: Viewer, published: dict[str, list[dict[str, Any]]]
) -> None:
    """Every drop is on the page of its stage and rule, and its own page says why."""
    assert published["dropped"]
    for one in published["dropped"]:
        listed = viewer.page(f"/d/tiny/2/drops?stage={one['stage']}&rule={one['rule']}")
        assert f"/d/tiny/2/drop/{one['id']}" in listed
        said = " ".join(Page(viewer.page(f"/d/tiny/2/drop/{one['id']}")).text.split())
        assert " ".join(one["text"].split()) in said
        for value in json.loads(one["evidence"]).values():
            assert value == "unicode" or " ".join(str(value).split()) in said


def test_pairs_in_both_orders(tmp_path: Path) -> None:
    """Where a judge was shown a pair in both orders, the page says what it said each time."""
    recipe = recipes.load("ultrafeedback", environment={}, flags={})
    scripted = recipes.load("demo", environment={}, flags={}).engines
    told = {
        **recipe.model_dump(mode="json"),
        "engines": {name: scripted["writer"].model_dump(mode="json") for name in recipe.engines},
    }
    pipeline.run_sync(recipes.build(told, source="test"), tmp_path / "run", target=12)
    with browse(Library(run=tmp_path / "run")) as viewer:
        rows = re.findall(r'href="(/run/row/[^"]+)"', viewer.page("/run/rows"))
        pages = [html.unescape(viewer.page(row)) for row in rows]
    both = [page for page in pages if "Asked in both orders" in page]
    assert both
    assert all("1: chosen" in page and "2: chosen" in page for page in both)
