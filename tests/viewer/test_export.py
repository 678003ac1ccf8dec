"""A static folder holds every row, lineage and drop of what it was made of, in scripts of one call; nothing else is written over."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.version import Ref
from selfinstruct.catalogue.views import views
from selfinstruct.errors import BadInputError, DamageError
from selfinstruct.runs import open_stored
from selfinstruct.viewer import chunks
from selfinstruct.viewer.export import MARK, Part, export
from selfinstruct.viewer.library import Library
from selfinstruct.viewer.lineage import read
from selfinstruct.viewer.steps import LONGEST, steps_of
from selfinstruct.viewer.wording import languages
from tests.support.evil import make_hostile
from tests.support.markup import MARKUP, Page
from tests.support.running import command, eventually, progressed, running


def held(data: Path, kind: str) -> list[Any]:
    """Everything of a kind, as a page is given it."""
    found: list[Any] = []
    for number in range(len(list(data.glob(f"{kind}-*.js")))):
        text = (data / f"{kind}-{number}.js").read_text(encoding="utf-8")
        call = re.fullmatch(rf'exported\("{kind}",{number},(.*)\);\n', text, re.DOTALL)
        assert call is not None
        part = json.loads(call[1])
        found += part[1] if kind == "lineages" else part if isinstance(part, list) else [part]
    return found


def dropped(data: Path) -> list[tuple[str, str, int, Any]]:
    groups = held(data, "facts")[0]["groups"]
    found = [(*group[:3], one) for at, group in enumerate(groups) for one in held(data, f"drops-{at}")]
    assert len(found) == sum(group[3] for group in groups)
    return found


@pytest.fixture(scope="module")
def exported(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "tiny"
    assert export(Part(catalogue, Ref("tiny")), out) == 40
    return out


def test_every_row_and_drop_is_in_it_once(exported: Path, catalogue: Catalogue) -> None:
    """In the order of the version, with all that the pages show; those of an earlier version are not written twice."""
    data = exported / "d" / "tiny" / "2" / "data"
    version = catalogue.version(Ref("tiny", 2))
    told = list(version.rows("sft"))
    rows, facts = held(data, "rows"), held(data, "facts")[0]
    assert [tuple(row) for row in rows] == [
        tuple(row[name] for name in ("id", "instruction", "input", "output", "raw_score")) for row in told
    ]
    assert facts["score"] == [row["score"] for row in told]
    assert facts["version"] == [row["version"] for row in told]
    assert [facts["tables"]["judge"][one] for one in facts["judge"]] == [row["judge"] for row in told]
    drops = [(row["stage"], row["rule"], row["version"], row["id"], row["text"]) for row in version.rows("dropped")]
    assert sorted((stage, rule, came, one[0], one[3]) for stage, rule, came, one in dropped(data)) == sorted(drops)
    assert not (exported / "d" / "tiny" / "1" / "data").exists()


def test_a_lineage_is_what_the_viewer_reads_each_text_once(
    exported: Path, catalogue: Catalogue, library: Library
) -> None:
    """Put together again, it is what `lineage.read` finds; the ids of demonstrations lead to seeds and rows."""
    data = exported / "d" / "tiny" / "2" / "data"
    version, shown = catalogue.version(Ref("tiny", 2)), library.version(Ref("tiny", 2))
    steps = {row["id"]: json.loads(row["lineage"]) for row in version.rows("lineage")}
    lineages = held(data, "lineages")
    ids = held(data, "ids")[0]
    known = {one for one, _ in ids["seeds"]} | set(ids["roots"])
    for row, told in zip(version.rows("sft"), lineages, strict=True):
        found = read(steps[row["id"]], row, shown.recipe)

        def once(text: str | int, told: Any = told, row: Any = row) -> str:
            return (
                text
                if isinstance(text, str)
                else row["output"]
                if text == 0
                else once(told["answers"][text - 1][0], told, row)
            )

        assert [once(one[0]) for one in told["answers"]] == [one.text for one in found.answers]
        assert [(one[4], one[5]) for one in told["answers"]] == [(one.chosen, one.rejected) for one in found.answers]
        assert [once(said[0]) for call in told["calls"] for said in call[4]] == [
            said[0] for call in found.calls for said in call.completions
        ]
        assert (told["pair"] is None) == (found.pair is None)
        if found.pair is not None:
            assert [once(text) for text in told["pair"][:2]] == [found.pair.chosen, found.pair.rejected]
        assert tuple(told["shown"]) == found.shown
    assert any(one in known for told in lineages for one in told["shown"])
    assert len(json.dumps(lineages)) < 0.7 * len(json.dumps(list(steps.values())))


def test_all_pages_are_there_in_both_languages_and_lead_to_each_other(exported: Path) -> None:
    """Every link of every page is relative and leads to a file of the folder; nothing comes from elsewhere."""
    pages = sorted(exported.rglob("*.html"))
    names = {path.relative_to(exported).as_posix() for path in pages}
    for suffix in ("", ".ko"):
        assert {f"index{suffix}.html", f"d/tiny/1/index{suffix}.html", f"d/tiny/1/against-2{suffix}.html"} <= names
        assert {f"d/tiny/2/{name}{suffix}.html" for name in ("index", "rows", "row", "drops", "drop")} <= names
    assert len(names) == 8 * len(languages())
    for path in pages:
        html = path.read_text(encoding="utf-8")
        assert "default-src &#39;none&#39;" in html
        assert "/work" not in html
        for link in re.findall(r'(?<![-\w])(?:href|src)="([^"]*)"', html):
            if not link.startswith("#"):
                assert (path.parent / link.partition("#")[0]).resolve().is_relative_to(exported.resolve()), link
                assert (path.parent / link.partition("#")[0]).is_file(), link


def test_an_earlier_version_is_shown_within_the_later_one(exported: Path) -> None:
    """Its rows are those of the later one up to it."""
    html = (exported / "d" / "tiny" / "1" / "index.html").read_text(encoding="utf-8")
    assert 'href="../2/rows.html#upto=1"' in html
    assert 'data-rows="../2/rows.html#upto=1&amp;min="' in html


def test_a_run_is_exported_as_it_is(made: Path, tmp_path: Path) -> None:
    """The same rows and drops as a publication would have, at the root of the folder."""
    out = tmp_path / "run"
    assert export(Library(run=made / "run-1"), out) == 20
    with open_stored(made / "run-1") as run:
        stored = list(views(run, version=1))
    assert [row[0] for row in held(out / "data", "rows")] == [row["id"] for view, row in stored if view == "sft"]
    assert len(dropped(out / "data")) == sum(view == "dropped" for view, _ in stored)
    assert "row.html#id=" in (out / "index.html").read_text(encoding="utf-8")


def test_a_run_that_goes_on_can_be_exported(tmp_path: Path) -> None:
    """The figures are those of the rows that are in it."""
    seen = tmp_path / "events"
    with running(tmp_path / "run", "--events", seen):
        eventually(lambda: progressed(seen))
        rows = export(Library(run=tmp_path / "run"), tmp_path / "out")
    assert len(held(tmp_path / "out" / "data", "rows")) == rows > 0


def test_many_chunks_and_processes(catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one file is full the next one goes on; rows whose lineage found no room have none, and say so."""
    for name, value in (("ROWS", 7), ("LINEAGES", 3), ("DROPS", 2), ("ROOM", 20_000), ("AT_ONCE", 1)):
        monkeypatch.setattr(chunks, name, value)
    out = tmp_path / "out"
    export(Part(catalogue, Ref("tiny", 2)), out)
    data = out / "d" / "tiny" / "2" / "data"
    version = catalogue.version(Ref("tiny", 2))
    assert len(list(data.glob("rows-*.js"))) == 6
    assert [row[0] for row in held(data, "rows")] == [row["id"] for row in version.rows("sft")]
    facts, lineages = held(data, "facts")[0], held(data, "lineages")
    assert 0 < facts["lineages"] < len(lineages) == 40
    assert all(lineages[: facts["lineages"]])
    assert not any(lineages[facts["lineages"] :])
    assert f"that of the first {facts['lineages']} rows" in (data.parent / "row.html").read_text(encoding="utf-8")
    assert len(dropped(data)) == version.manifest.rows["dropped"]


def test_hostile_rows_are_strings_of_json_and_pages_hold_none_of_them(tmp_path: Path) -> None:
    """A script of rows is one call with JSON; a page's markup is ours alone."""
    out = tmp_path / "out"
    export(Part(Catalogue(str(make_hostile(tmp_path / "hostile"))), None), out)
    data = out / "d" / "evil" / "1" / "data"
    said = [row[1] for row in held(data, "rows")]
    assert all(text in said for text in MARKUP if len(text) < chunks.LONGEST and text.isascii())
    assert len(held(data, "lineages")) == len(said)
    assert dropped(data)
    for path in out.rglob("*.html"):
        read = Page(path.read_text(encoding="utf-8").replace('src="', 'src="/static/'))
        assert not [
            wrong
            for wrong in read.wrong
            if wrong.startswith(("<script", "<iframe", "<img", "<svg on")) or " on" in wrong
        ], path
    for path in data.iterdir():
        assert re.fullmatch(r"(rows|lineages|facts|ids|drops-\d+)-\d+\.js", path.name)


@pytest.mark.parametrize(
    "text", ["", "null", "7", "[]", "[" * 100_000, '{"a": 1}', "not json", '[{"record": 7}, 3, null]']
)
def test_a_lineage_that_is_none(text: str) -> None:
    """What cannot be read is no lineage, or one without steps, and no error."""
    told = steps_of({"output": "x", "raw_score": None}, text, {}, {})
    assert told is None or told["answers"] == []


def test_long_texts_are_cut_and_say_so() -> None:
    """How much more there was stands at their end."""
    step = {"fate": "accepted", "record": {"id": "a", "text": "y" * (LONGEST + 1234)}}
    told = steps_of({"output": "x", "raw_score": None}, json.dumps([step]), {}, {})
    assert told is not None
    assert told["answers"][0][0] == "y" * LONGEST + " … +1,234"


def test_a_folder_of_somebody_else_is_left_alone(catalogue: Catalogue, tmp_path: Path) -> None:
    """A new folder, an empty one and an earlier export are written; anything else is refused, and nothing changes."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "one.md").write_text("chapter one")
    with pytest.raises(BadInputError, match="no export"):
        export(Part(catalogue, None), tmp_path / "thesis")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["one.md"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInputError, match="no export"):
        export(Part(catalogue, None), tmp_path / "file")
    (tmp_path / "out").mkdir()
    export(Part(catalogue, None), tmp_path / "out")
    (tmp_path / "out" / "old.html").write_text("of yesterday")
    export(Part(catalogue, Ref("tiny", 1)), tmp_path / "out")
    assert not (tmp_path / "out" / "old.html").exists()
    assert (tmp_path / "out" / MARK).is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out", "thesis"]


def test_a_damaged_version_leaves_no_folder(made: Path, tmp_path: Path) -> None:
    """The shard is named; what was written so far is gone, and the earlier export still stands."""
    root = tmp_path / "catalogue"
    shutil.copytree(made / "catalogue", root)
    export(Part(Catalogue(str(root)), None), tmp_path / "out")
    shard = next((root / "tiny" / "2" / "data" / "dropped").iterdir())
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(DamageError, match=shard.name):
        export(Part(Catalogue(str(root)), None), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["catalogue", "out"]
    assert (tmp_path / "out" / "index.html").is_file()


def test_the_command(made: Path, catalogue: Catalogue, tmp_path: Path) -> None:
    """It prints the page to open; what is not there is told, and nothing is written."""
    done = command("view", "tiny@1", "--catalogue", catalogue.root, "--export", tmp_path / "one")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == tmp_path / "one" / "index.html"
    assert "20 rows" in done.stderr
    assert not (tmp_path / "one" / "d" / "tiny" / "2").exists()
    assert command("view", made / "run-1", "--export", tmp_path / "run").returncode == 0
    gone = command("view", "tiny@7", "--catalogue", catalogue.root, "--export", tmp_path / "gone")
    assert (gone.returncode, "try:" in gone.stderr) == (2, True), gone.stderr
    assert not (tmp_path / "gone").exists()
