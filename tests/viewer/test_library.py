"""Indexes: built once, kept between views, never another's; a run that goes on is followed."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import sqlite3
import tempfile
import threading
import time
from pathlib import Path
from typing import TypeVar

import pytest
from httpx2 import Response

from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.verify import verify
from selfinstruct.catalogue.version import MANIFEST, Ref
from selfinstruct.errors import BadInputError, DamageError, SelfInstructError
from selfinstruct.viewer import cache as caches
from selfinstruct.viewer import facts
from selfinstruct.viewer.export import export
from selfinstruct.viewer.index import Asked
from selfinstruct.viewer.library import Library, Preparing, ShownRun, ShownVersion
from tests.store.support import make
from tests.support.running import eventually, running
from tests.support.viewing import Viewer, browse

T = TypeVar("T", int, tuple[int, list[str]])


@pytest.fixture
def own(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the catalogue, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(made / "catalogue", tmp_path / "catalogue")
    return tmp_path


def _files(own: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (own / "cache" / "selfinstruct" / "indexes").iterdir()}


def test_an_index_is_kept(own: Path) -> None:
    """A second viewer of the same version reads the index of the first; another version has its own."""
    for _ in range(2):
        index = Library(Catalogue(str(own / "catalogue"))).version(Ref("tiny", 2)).index(patience=60)
        assert index.find(Asked()).total == 40
        before = _files(own)
        assert len(before) == 1
    assert _files(own) == before
    assert Library(Catalogue(str(own / "catalogue"))).version(Ref("tiny", 1)).index(patience=60).count == 20
    assert len(_files(own)) == 2


def test_only_the_last_ones_are_kept(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache does not grow for ever."""
    monkeypatch.setattr(caches, "KEPT", 1)
    for version in (1, 2):
        Library(Catalogue(str(own / "catalogue"))).version(Ref("tiny", version)).index(patience=60)
    assert len(_files(own)) == 1


def test_an_index_that_others_removed_is_built_again(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is room for one index only, both versions can be looked at in turn, in one viewer."""
    monkeypatch.setattr(caches, "KEPT", 1)
    with browse(Library(Catalogue(str(own / "catalogue")))) as viewer:
        for version in (1, 2, 1, 2):
            assert "data-item" in viewer.page(f"/d/tiny/{version}/rows")


def test_an_index_that_could_not_be_built_is_tried_again(own: Path) -> None:
    """Whatever went wrong (here: the cache was a file), it is forgotten with its cause."""
    place = own / "cache" / "selfinstruct" / "indexes"
    shown = Library(Catalogue(str(own / "catalogue"))).version(Ref("tiny", 1))
    shutil.rmtree(place)
    place.write_text("in the way")
    with pytest.raises((OSError, sqlite3.Error)):
        shown.index(patience=60)
    place.unlink()
    place.mkdir()
    assert shown.index(patience=60).count == 20


def test_a_run_that_was_away_for_a_moment_comes_back(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One failed look is one failed look, before the first index and after it."""
    folder = tmp_path / "run"
    shutil.copytree(made / "run-1", folder)
    shown = ShownRun(folder)
    (folder / "run.db").rename(tmp_path / "away")
    with pytest.raises(SelfInstructError):
        shown.index(patience=60)
    (tmp_path / "away").rename(folder / "run.db")
    first = shown.index(patience=60)
    assert first.count == 20
    (folder / "run.db").rename(tmp_path / "away")
    monkeypatch.setattr(ShownRun, "AGAIN", 0.0)
    for _ in range(50):
        assert shown.index(patience=60) is first
        time.sleep(0.01)
    (tmp_path / "away").rename(folder / "run.db")
    assert shown.index(patience=60) is first  # it has not grown meanwhile
    shown._seen = -1
    assert eventually(lambda: shown.index(patience=60) is not first or None)


def test_many_who_ask_at_once_wait_for_one_index(own: Path) -> None:
    """It is built once, and those who do not wait are told how far it is."""
    shown = Library(Catalogue(str(own / "catalogue"))).version(Ref("tiny", 2))
    found: list[object] = []

    def ask() -> None:
        try:
            found.append(shown.index(patience=60))
        except Preparing as error:  # pragma: no cover - on a machine that stands still
            found.append(error)

    with pytest.raises(Preparing) as told:
        shown.index(patience=0)
    assert told.value.total == 40 + 40 + 175 + shown.manifest.rows["dropped"]
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len({id(one) for one in found}) == 1
    assert len(_files(own)) == 1


def test_a_damaged_shard_is_told(own: Path, made: Path) -> None:
    """No index is built of it, the page says so, and what needs no index is still shown."""
    shard = own / "catalogue" / "tiny" / "2" / "data" / "sft" / "train-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-20])
    library = Library(Catalogue(str(own / "catalogue")))
    with browse(library) as viewer:
        assert viewer.get("/d/tiny/2").status_code == 200
        answer = eventually(lambda: _ready(viewer, "/d/tiny/2/rows"))
        assert answer.status_code == 500
        assert "data/sft/train-00001.parquet" in answer.text
        told = viewer.get("/files/tiny/2/data/sft/train-00001.parquet")
        assert (told.status_code, "data/sft/train-00001.parquet" in told.text) == (500, True)
        assert _files(own) == {}
        assert "data-item" in viewer.page("/d/tiny/1/rows")
        shutil.copy(made / "catalogue" / "tiny" / "2" / "data" / "sft" / "train-00001.parquet", shard)
        assert "data-item" in viewer.page("/d/tiny/2/rows")


def test_a_flipped_bit_is_found_and_not_used(own: Path, tmp_path: Path) -> None:
    """Of a shard with the right size and other bytes nothing is shown, sent, exported or kept; once restored, all of it is."""
    shard = own / "catalogue" / "tiny" / "2" / "data" / "sft" / "train-00000.parquet"
    good = shard.read_bytes()
    at = good.index(b"PAR1") + len(good) // 8
    shard.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
    library = Library(Catalogue(str(own / "catalogue")))
    urls = ("/d/tiny/2/rows", "/download/tiny/2/messages.jsonl")
    with browse(library) as viewer:
        for url in urls:
            answer = _answer(viewer, url)
            assert (answer.status_code, "data/sft/train-00000.parquet" in answer.text) == (500, True), url
        assert _files(own) == {}
        with pytest.raises(DamageError, match=r"data/sft/train-00000\.parquet"):
            export(library, tmp_path / "pages")
        shard.write_bytes(good)
        for url in urls:
            assert _answer(viewer, url).status_code == 200
        shard.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        os.utime(shard, (1, 1))
        assert viewer.get(urls[1]).status_code == 500


def test_without_a_place_for_a_cache_nothing_is_left_behind(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that cannot be made, or a user without a home: indexes lie in a folder that goes with the viewer."""
    (own / "file").write_text("")
    monkeypatch.setattr(tempfile, "tempdir", str(own))
    for home in (str(own / "file"), ""):
        monkeypatch.setenv("XDG_CACHE_HOME", home)
        monkeypatch.delenv("HOME", raising=False)
        monkeypatch.setattr(os, "getuid", lambda: 54_321)  # of nobody: there is no home to be found
        library = Library(Catalogue(str(own / "catalogue")))
        assert library.version(Ref("tiny", 1)).index(patience=60).count == 20
        assert [path.suffix for path in library.caches.iterdir()] == [".sqlite"]
        assert library.caches.parent == own
        place = library.caches
        del library
        gc.collect()
        assert not place.exists()


def test_what_nobody_foresaw_is_told_in_a_line(
    own: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """A full disk and a fault of ours cost their page, say what they are there and in one line, and print no traceback."""
    library = Library(Catalogue(str(own / "catalogue")))
    with browse(library) as viewer:
        shutil.rmtree(library.caches)
        answer = eventually(lambda: _ready(viewer, "/d/tiny/2/rows"))
        assert answer.status_code == 500
        assert "OperationalError" in answer.text
        assert str(library.caches) in answer.text
        library.caches.mkdir()
        assert "data-item" in viewer.page("/d/tiny/2/rows")
        monkeypatch.setattr(facts, "PAGE", None)  # a fault: nothing can be counted in pages
        answer = viewer.get("/d/tiny/2/drops")
        assert (answer.status_code, "TypeError" in answer.text) == (500, True)
    assert [record.exc_info for record in caplog.records if record.name.startswith("selfinstruct.viewer")] == [
        None,
        None,
    ]
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_manifest_that_counts_nothing_hides_nothing(own: Path) -> None:
    """One version without counts costs its own numbers, not the page of all datasets."""
    manifest = own / "catalogue" / "tiny" / "2" / MANIFEST
    told = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps({**told, "rows": {}, "added": {}}), encoding="utf-8")
    with browse(Library(Catalogue(str(own / "catalogue")))) as viewer:
        assert "/d/tiny/1" in viewer.page("/")
        assert viewer.get("/d/tiny/2").status_code == 200


def test_no_link_leads_out_of_a_catalogue(own: Path, tmp_path: Path) -> None:
    """A paper or a shard that is a link to a file of the reader's is neither shown, sent nor exported; inside, links are links."""
    secret = tmp_path / "netrc"
    root = own / "catalogue" / "tiny" / "2"
    size = (root / "README.md").stat().st_size
    secret.write_text("password".ljust(size))
    shard = root / "data" / "sft" / "train-00000.parquet"
    for place, urls in (
        (root / "README.md", ("/d/tiny/2", "/files/tiny/2/README.md")),
        (shard, ("/d/tiny/2/rows", "/download/tiny/2/messages.jsonl", "/files/tiny/2/data/sft/train-00000.parquet")),
    ):
        place.rename(tmp_path / "kept")
        outside = secret if place.suffix == ".md" else tmp_path / "kept"
        place.symlink_to(outside)
        library = Library(Catalogue(str(own / "catalogue")))
        with browse(library) as viewer:
            for url in urls:
                answer = _answer(viewer, url)
                assert (answer.status_code, "password" in answer.text) == (500, False), url
                assert "leads out of the catalogue" in answer.text
        with pytest.raises(DamageError, match="leads out"):
            export(library, tmp_path / "pages")
        assert list(verify(Catalogue(str(own / "catalogue")), Ref("tiny", 2))) == [
            f"{place}: a link that leads out of the catalogue"
        ]
        place.unlink()
        (tmp_path / "kept").rename(place)
    shard.rename(own / "catalogue" / "shard")
    shard.symlink_to(own / "catalogue" / "shard")
    with browse(Library(Catalogue(str(own / "catalogue")))) as viewer:
        assert "data-item" in viewer.page("/d/tiny/2/rows")


def test_a_version_without_figures_and_papers_is_shown(own: Path) -> None:
    """Figures of a later selfinstruct, or none, cost the pictures and nothing else."""
    root = own / "catalogue" / "tiny" / "1"
    told = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    for change in ("{}x", '{"new": 1}', None):
        if change is None:
            told["files"] = {name: file for name, file in told["files"].items() if name.startswith("data/")}
            (root / MANIFEST).write_text(json.dumps(told), encoding="utf-8")
        else:
            (root / "figures.json").write_text(change, encoding="utf-8")
        with browse(Library(Catalogue(str(own / "catalogue")))) as viewer:
            assert "chart-scores" not in viewer.page("/d/tiny/1")
            assert "data-item" in viewer.page("/d/tiny/1/rows")
            assert viewer.get("/d/tiny/1/against/2").status_code == 200


def test_a_catalogue_at_a_url(own: Path) -> None:
    """Any fsspec URL is shown as a folder is; files are passed on, rows in a format are left to the command."""
    import fsspec

    fsspec.filesystem("memory").put(str(own / "catalogue"), "/far/catalogue", recursive=True)
    with browse(Library(Catalogue("memory://far/catalogue"))) as viewer:
        assert "data-item" in viewer.page("/d/tiny/2/rows")
        page = viewer.page("/d/tiny/2")
        assert "--format messages" in page
        assert "/download/" not in page
        assert viewer.get("/download/tiny/2/messages.jsonl").status_code == 404
        for name in ("manifest.json", "data/sft/train-00000.parquet", "README.md"):
            assert viewer.get(f"/files/tiny/2/{name}").content == (own / "catalogue" / "tiny" / "2" / name).read_bytes()


def test_a_half_written_version_is_not_there(own: Path) -> None:
    """Without a manifest there is no version; with that of another one there is damage, named."""
    half = own / "catalogue" / "tiny" / "3"
    shutil.copytree(own / "catalogue" / "tiny" / "2", half)
    manifest = (half / MANIFEST).read_bytes()
    (half / MANIFEST).unlink()
    library = Library(Catalogue(str(own / "catalogue")))
    assert library.sets() == {"tiny": [1, 2]}
    with pytest.raises(BadInputError):
        library.version(Ref("tiny", 3))
    (half / MANIFEST).write_bytes(manifest)
    with pytest.raises(DamageError):
        library.version(Ref("tiny", 3))
    with browse(library) as viewer:
        assert viewer.get("/d/tiny/3").status_code == 500
        assert "the manifest is that of tiny@2" in viewer.page("/")
        assert "/d/tiny/2" in viewer.page("/")
        assert "v1" in viewer.page("/d/tiny/2")


def test_a_version_of_a_newer_format_hides_no_other(own: Path) -> None:
    """It is named with what helps, and the others are shown."""
    manifest = own / "catalogue" / "tiny" / "2" / MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text(encoding="utf-8")), "format": 2}), encoding="utf-8")
    with browse(Library(Catalogue(str(own / "catalogue")))) as viewer:
        page = viewer.page("/")
        assert ("a manifest of format 2" in page, "/d/tiny/1" in page) == (True, True)
        assert viewer.page("/d/tiny/1")


def test_who_comes_early_is_asked_to_come_again(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the index is being built, a page says how far it is, and asks for itself again; then it is there."""
    monkeypatch.setattr(ShownVersion.index, "__kwdefaults__", {"patience": 0})
    with browse(Library(Catalogue(str(own / "catalogue")))) as viewer:
        first = viewer.get("/d/tiny/2/rows?lang=ko")
        assert first.status_code == 202
        assert '<meta http-equiv="refresh" content="1">' in first.text
        assert "<progress" in first.text
        assert "data-item" in viewer.page("/d/tiny/2/rows")


def test_a_run_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its page follows it: news grow, rows that came can be looked at, and the index takes them in."""
    monkeypatch.setattr(ShownRun, "AGAIN", 0.5)
    with running(tmp_path / "run", rows=100_000):
        library = eventually(lambda: _library(tmp_path / "run"))
        with browse(library) as viewer:
            assert viewer.get("/").headers["location"] == "/run"
            first = eventually(lambda: _rows_of(viewer.page("/run/news")) or None)
            page = viewer.page("/run")
            assert 'data-news="/run/news"' in page
            more = eventually(lambda: _more(_rows_of(viewer.page("/run/news")), first))
            assert more[1]
            assert viewer.get(f"/run/row/{more[1][0]}").status_code in {200, 404, 202}
            found = eventually(lambda: _total(viewer.page("/run/rows")) or None)
            assert eventually(lambda: _more(_total(viewer.page("/run/rows")), found))
            assert "data-item" in viewer.page("/run/drops")
            row = eventually(lambda: next(iter(_rows_of(viewer.page("/run/rows"))[1]), None))
            assert 'id="answers"' in viewer.page(f"/run/row/{row}")


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_run_that_has_grown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, kind: str
) -> None:
    """Wherever it lies: its index is built anew when it has grown, and not while it stands still."""
    url = request.getfixturevalue("postgres").url() if kind == "postgres" else None
    monkeypatch.setattr(ShownRun, "AGAIN", 0)
    make(tmp_path / "run", url=url, rows=5)
    shown = ShownRun(tmp_path / "run")
    first = shown.index(patience=60)
    assert shown.index() is first
    make(tmp_path / "run", rows=12)
    shown.index()  # begins to build it
    grown = eventually(lambda: found if (found := shown.index()) is not first else None)
    assert grown.count > first.count


def test_a_run_that_ended_says_so(made: Path) -> None:
    """The page of a finished run has its figures, and asks for no news."""
    with browse(Library(run=made / "run-1")) as viewer:
        page = eventually(lambda: page if "chart-scores" in (page := viewer.page("/run")) else None)
        assert 'data-ended=""' not in page
        assert "chart-scores" in page
        assert "20" in page


def test_a_run_is_called_by_its_name(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was opened from within, too; it has no papers."""
    monkeypatch.chdir(made / "run-1")
    shown = ShownRun(Path())
    assert (shown.title, shown.paper("README.md")) == ("run-1", "")


def test_no_run_is_told(tmp_path: Path) -> None:
    """A folder without a run is refused by name."""
    with pytest.raises(BadInputError, match=str(tmp_path)):
        Library(run=tmp_path)


def _library(folder: Path) -> Library | None:
    try:
        return Library(run=folder)
    except SelfInstructError:  # it is just being made
        time.sleep(0.1)
        return None


def _answer(viewer: Viewer, url: str) -> Response:
    return eventually(lambda: _ready(viewer, url))


def _ready(viewer: Viewer, url: str) -> Response | None:
    answer = viewer.get(url)
    return None if answer.status_code == 202 else answer


def _more(now: T, before: T) -> T | None:
    return now if now > before else None


def _rows_of(page: str) -> tuple[int, list[str]]:
    count = re.search(r"<dd>([\d,]+)<small>", page)
    return int(count[1].replace(",", "")) if count else 0, re.findall(r'href="/run/row/([0-9a-f]+)"', page)


def _total(page: str) -> int:
    found = re.search(r'role="status">([\d,]+) rows', page)
    return int(found[1].replace(",", "")) if found else 0
