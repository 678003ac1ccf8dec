"""A published version becomes files as they are, or rows of a format: the bytes of the run's own export, whole or absent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from selfinstruct import export, runs
from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.shards import Shards
from selfinstruct.catalogue.version import CARD, MANIFEST, VIEWS, ref
from selfinstruct.download import Order, download, make_plan, open_source
from selfinstruct.errors import BadInputError, DamageError, NoRoomError, NothingToExportError
from selfinstruct.files import publish, sha256
from tests.exporters.test_judged import HOSTILE
from tests.support.hand_made import publish_files, sft_shard
from tests.support.published import make_catalogue

FORMATS = [
    "alpaca",
    "messages",
    "prompt-completion",
    "sharegpt",
    "dpo",
    "dpo-text",
    "dpo-conversations",
    "reward",
    "parquet",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions in `catalogue`, of `run-1` and `run-2`."""
    folder = tmp_path_factory.mktemp("made")
    make_catalogue(folder, versions=2)
    return folder


def get(catalogue: str | Path, path: Path, form: str | None = None, name: str = "tiny@1", **order: Any) -> bool:
    source = open_source(str(catalogue), ref(name))
    return download(source, make_plan(source.manifest, Order(form, **order)), path, waits=())


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", FORMATS)
def test_rows_are_those_of_the_run(made: Path, tmp_path: Path, form: str) -> None:
    """The bytes of `selfinstruct export` of the run, the same lines for trainers, and an export that verifies."""
    get(made / "catalogue", tmp_path / "got", form)
    with runs.open_stored(made / "run-1") as run:
        manifest = export.export(run, form, tmp_path / "run")
    data = f"train{'.parquet' if form == 'parquet' else '.jsonl'}"
    assert (tmp_path / "got" / data).read_bytes() == (tmp_path / "run" / data).read_bytes()
    assert snapshot(tmp_path / "got/trainers") == snapshot(tmp_path / "run/trainers")
    told = export.Manifest.model_validate_json((tmp_path / "got/manifest.json").read_bytes())
    assert (told.rows, told.format, told.published, told.recipe) == (manifest.rows, form, "tiny@1", manifest.recipe)
    assert told.scripted
    assert list(export.verify_export(tmp_path / "got")) == []
    assert json.loads((tmp_path / "got/licences.json").read_text())["dataset"] == "cc0-1.0"


@pytest.mark.parametrize("form", ["messages", "alpaca", "dpo", "parquet"])
@pytest.mark.filterwarnings("ignore")  # datasets' own
def test_datasets_loads_the_folder(made: Path, tmp_path: Path, form: str) -> None:
    """`load_dataset(FOLDER)` finds the rows among papers and fragments; both versions of the newest are there."""
    from datasets import load_dataset

    get(made / "catalogue", tmp_path / "got", form, "tiny")
    loaded = load_dataset(str(tmp_path / "got"), cache_dir=str(tmp_path / "cache"))
    told = Catalogue(str(made / "catalogue")).version(ref("tiny")).manifest.rows
    assert list(loaded) == ["train"]
    assert loaded["train"].num_rows == told["preference" if form == "dpo" else "sft"]


def test_files_as_they_are(made: Path, tmp_path: Path) -> None:
    """Without a format: every file of the version, byte for byte, with its manifest, and nothing else."""
    assert get(made / "catalogue", tmp_path / "got")
    assert snapshot(tmp_path / "got") == snapshot(made / "catalogue/tiny/1")
    assert [one.name for one in tmp_path.iterdir()] == ["got"]


def test_from_any_url_that_fsspec_reads(made: Path, tmp_path: Path) -> None:
    """The same from a URL as from the folder, as it is and converted."""
    import fsspec

    fsspec.filesystem("memory").put(str(made / "catalogue"), "/afar", recursive=True)
    assert get("memory://afar", tmp_path / "got")
    assert snapshot(tmp_path / "got") == snapshot(made / "catalogue/tiny/1")
    assert get("memory://afar", tmp_path / "rows", "dpo")
    get(made / "catalogue", tmp_path / "near", "dpo")
    assert snapshot(tmp_path / "rows") == snapshot(tmp_path / "near")


@pytest.mark.parametrize("view", VIEWS)
def test_one_view(made: Path, tmp_path: Path, view: str) -> None:
    """--view fetches the shards of that view alone, and what stands beside them."""
    get(made / "catalogue", tmp_path / "got", view=view)
    wanted = {
        name for name in snapshot(made / "catalogue/tiny/1") if not name.startswith("data/") or f"/{view}/" in name
    }
    assert snapshot(tmp_path / "got").keys() == wanted


def test_the_card_goes_with_the_rows(tmp_path: Path) -> None:
    """As CARD.md, with its pictures and the recipe: a README.md would tell `datasets` where the Parquet files of a version are."""
    papers = {
        CARD: b"---\nconfigs: []\n---\n![](card/verbs.svg)\n",
        "card/verbs.svg": b"<svg/>",
        "recipe.yaml": b"a: 1\n",
    }
    publish_files(tmp_path / "catalogue", {**papers, "data/sft/train-00000.parquet": sft_shard(tmp_path, ["a"])})
    get(tmp_path / "catalogue", tmp_path / "got", "messages")
    got = snapshot(tmp_path / "got")
    assert (got["CARD.md"], got["card/verbs.svg"], got["recipe.yaml"]) == tuple(papers.values())
    assert CARD not in got
    told = export.Manifest.model_validate_json(got["manifest.json"])
    assert told.files.keys() == {"CARD.md", "card/verbs.svg", "licences.json", "recipe.yaml", "train.jsonl"}
    (tmp_path / "got/card/verbs.svg").write_text("mine")
    with pytest.raises(DamageError, match=r"card/verbs\.svg"):
        get(tmp_path / "catalogue", tmp_path / "got", "messages")


def test_no_link_of_the_card_is_dead(made: Path, tmp_path: Path) -> None:
    """What the card of a second version links to went with it."""
    get(made / "catalogue", tmp_path / "got", "messages", "tiny@2")
    linked = set(re.findall(r"\]\(([^)#]+)\)", (tmp_path / "got/CARD.md").read_text(encoding="utf-8")))
    assert {"audit.md", "diff.md", "recipe.yaml"} <= linked
    assert not [name for name in linked if not (tmp_path / "got" / name).is_file()]


def test_again_is_nothing_to_do(made: Path, tmp_path: Path) -> None:
    """What is there and whole stays as it is, down to its times."""
    for form in (None, "messages"):
        place = tmp_path / f"{form}"
        assert get(made / "catalogue", place, form)
        before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
        assert not get(made / "catalogue", place, form)
        assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before


@pytest.mark.parametrize(
    ("form", "name", "order"),
    [("dpo", "tiny@1", {}), ("messages", "tiny@2", {}), ("messages", "tiny@1", {"least": 4.0}), (None, "tiny@1", {})],
)
def test_another_download_is_refused(made: Path, tmp_path: Path, form: str | None, name: str, order: Any) -> None:
    """Another format, version or threshold at the same place: refused, and nothing changes."""
    get(made / "catalogue", tmp_path / "got", "messages")
    before = snapshot(tmp_path)
    with pytest.raises(BadInputError, match="exists and is not this download"):
        get(made / "catalogue", tmp_path / "got", form, name, **order)
    assert snapshot(tmp_path) == before


def test_a_smaller_view_beside_a_whole_version(made: Path, tmp_path: Path) -> None:
    """A whole version is not the download of one view, nor the other way, and nobody changed it; a lost shard is damage."""
    get(made / "catalogue", tmp_path / "whole", name="tiny@2")
    get(made / "catalogue", tmp_path / "part", name="tiny@2", view="sft")
    with pytest.raises(BadInputError, match="is not this download"):
        get(made / "catalogue", tmp_path / "whole", name="tiny@2", view="sft")
    with pytest.raises(BadInputError, match="is not this download"):
        get(made / "catalogue", tmp_path / "part", name="tiny@2")
    (tmp_path / "part/data/sft/train-00001.parquet").unlink()
    with pytest.raises(DamageError, match=r"train-00001\.parquet is not as it was downloaded"):
        get(made / "catalogue", tmp_path / "part", name="tiny@2", view="sft")


@pytest.mark.parametrize(
    ("form", "name"), [(None, "recipe.yaml"), ("messages", "train.jsonl"), ("messages", "audit.md")]
)
def test_a_changed_download_is_not_touched(made: Path, tmp_path: Path, form: str | None, name: str) -> None:
    """What somebody wrote into it is told and stays."""
    get(made / "catalogue", tmp_path / "got", form)
    (tmp_path / "got" / name).write_text("mine")
    before = snapshot(tmp_path)
    with pytest.raises(DamageError, match=name):
        get(made / "catalogue", tmp_path / "got", form)
    assert snapshot(tmp_path) == before


def test_nothing_foreign_is_replaced(made: Path, tmp_path: Path) -> None:
    """A folder, a file, a link of somebody else stop it; so does the name of a file."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("folder", "file", "link"):
        with pytest.raises(BadInputError, match="exists and is not this download"):
            get(made / "catalogue", tmp_path / name)
    with pytest.raises(BadInputError, match="makes a folder"):
        get(made / "catalogue", tmp_path / "x.jsonl", "messages")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "folder", "link"]


@pytest.mark.parametrize("path", ["nope/..", "..", ".", "/"])
def test_a_path_that_names_nothing(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """For a download, an export, any file: refused with what helps, and no folder on the way to it is left."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(BadInputError, match="no name for something new"):
        get(made / "catalogue", Path(path), "messages")
    with runs.open_stored(made / "run-1") as run, pytest.raises(BadInputError, match="no name for something new"):
        export.export(run, "messages", Path(path))
    with pytest.raises(BadInputError, match="no name for something new"), publish(Path(path)):
        pass
    assert [one.name for one in tmp_path.rglob("*")] == ["here"]


@pytest.mark.parametrize("form", ["kto", "ranked"])
def test_formats_of_all_answers_name_those_that_can(made: Path, tmp_path: Path, form: str) -> None:
    """A version holds the answers that were kept; the message says which formats those make."""
    with pytest.raises(BadInputError, match="all judged answers") as caught:
        get(made / "catalogue", tmp_path / "got", form)
    assert all(one in caught.value.remedy for one in FORMATS)


def test_a_view_that_the_format_is_not_made_of(made: Path, tmp_path: Path) -> None:
    """The remedy names formats that are made of it."""
    with pytest.raises(BadInputError, match="dpo is made of the view preference, not of sft") as caught:
        get(made / "catalogue", tmp_path / "got", "dpo", view="sft")
    assert "messages" in caught.value.remedy


def test_orders_that_make_no_sense(made: Path, tmp_path: Path) -> None:
    """Unknown formats and views, a threshold without rows to hold against it, one that is no number: nothing is written."""
    orders: list[tuple[str | None, dict[str, Any]]] = [
        ("mesages", {}),
        (None, {"view": "all"}),
        (None, {"least": 4.0}),
        ("dpo", {"least": float("nan")}),
    ]
    for form, order in orders:
        with pytest.raises(BadInputError):
            get(made / "catalogue", tmp_path / "got", form, **order)
    assert not list(tmp_path.iterdir())


def test_formats_are_told_as_they_are_written(made: Path, tmp_path: Path) -> None:
    """With dashes, as everywhere else, and only those that can be had of a version."""
    with pytest.raises(BadInputError, match="no format 'mesages'") as caught:
        get(made / "catalogue", tmp_path / "got", "mesages")
    assert caught.value.remedy.startswith("did you mean messages? one of: ")
    told = caught.value.remedy.partition("one of: ")[2].split(", ")
    assert set(told) == set(FORMATS)


def test_min_score_keeps_the_better(made: Path, tmp_path: Path) -> None:
    """Rows below are counted as left out, and the manifest says by what they were cut; above the best nothing is written."""
    published = Catalogue(str(made / "catalogue")).version(ref("tiny@1"))
    scores = sorted(row["score"] for row in published.rows("sft"))
    least = scores[len(scores) // 2]
    get(made / "catalogue", tmp_path / "got", "messages", least=least)
    told = export.Manifest.model_validate_json((tmp_path / "got/manifest.json").read_bytes())
    kept = sum(score >= least for score in scores)
    assert (told.rows, told.left_out.get("score", 0)) == (kept, len(scores) - kept)
    assert told.cut == {"min_score": least}
    with pytest.raises(NothingToExportError, match="no row of a score of 9"):
        get(made / "catalogue", tmp_path / "none", "messages", least=9.0)
    assert not (tmp_path / "none").exists()


def test_hostile_text_comes_out_as_it_went_in(tmp_path: Path) -> None:
    """One line a row, and every text as it was: no mark in it does anything."""
    texts = [text for text in HOSTILE if text.encode("utf-8", "ignore").decode() == text]
    publish_files(tmp_path / "catalogue", {"data/sft/train-00000.parquet": sft_shard(tmp_path, texts)})
    get(tmp_path / "catalogue", tmp_path / "got", "alpaca")
    lines = (tmp_path / "got/train.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    assert [json.loads(line)["output"] for line in lines] == texts


def test_a_shard_that_lies(tmp_path: Path) -> None:
    """Bytes as promised, and yet no rows: no Parquet, other columns, a score that is no number; named, and nothing is made."""
    good = sft_shard(tmp_path / "good", ["a"])
    bodies = [
        (b"not parquet", "cannot be read"),
        (good[:8] + bytes(300) + good[308:], "cannot be read"),
        (_pairs(tmp_path / "pairs"), "has no column output"),
        (sft_shard(tmp_path / "nan", ["a"], score=float("nan")), "no number"),
    ]
    for number, (body, what) in enumerate(bodies):
        root = tmp_path / f"catalogue-{number}"
        publish_files(root, {"data/sft/train-00000.parquet": body})
        with pytest.raises(DamageError, match=what) as caught:
            get(root, tmp_path / "got", "messages")
        assert "data/sft/train-00000.parquet" in str(caught.value)
        assert not (tmp_path / "got").exists()


def _pairs(folder: Path) -> bytes:
    row = dict.fromkeys(("id", "row", "instruction", "input", "chosen", "rejected", "verdicts"), "x")
    with Shards(folder, earlier={}) as shards:
        shards.add("preference", {**row, "score_chosen": 5.0, "score_rejected": 1.0, "version": 1})
    return (folder / "data/preference/train-00000.parquet").read_bytes()


def test_a_damaged_catalogue_is_named(tmp_path: Path) -> None:
    """Other bytes than the manifest says: the file and both hashes; a missing one by name; nothing is made."""
    publish_files(tmp_path / "catalogue", {"recipe.yaml": b"a: 1\n", "audit.md": b"# audit\n"})
    place = tmp_path / "catalogue/tiny/1/recipe.yaml"
    wanted = sha256(place)
    place.write_bytes(b"b: 1\n")
    with pytest.raises(DamageError) as caught:
        get(tmp_path / "catalogue", tmp_path / "got")
    assert all(one in str(caught.value) for one in ("recipe.yaml", wanted, sha256(place)))
    place.write_bytes(b"a: 1 and more\n")
    with pytest.raises(DamageError, match="has 14 bytes, and the manifest says 5"):
        get(tmp_path / "catalogue", tmp_path / "got")
    place.unlink()
    with pytest.raises(DamageError, match=r"recipe\.yaml: missing"):
        get(tmp_path / "catalogue", tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_what_an_earlier_try_left_wrong_is_fetched_anew(tmp_path: Path) -> None:
    """Half a file of other bytes, as a power cut may leave it, costs that file once more and nothing else."""
    publish_files(tmp_path / "catalogue", {"recipe.yaml": b"a: 1\n" * 100})
    digest = sha256(tmp_path / "catalogue/tiny/1/recipe.yaml")
    room = tmp_path / ".got.download"
    room.mkdir()
    (room / digest).write_bytes(b"\0" * 250)
    get(tmp_path / "catalogue", tmp_path / "got")
    assert snapshot(tmp_path / "got") == snapshot(tmp_path / "catalogue/tiny/1")
    assert not room.exists()


def test_no_room(tmp_path: Path) -> None:
    """A place that cannot be written: told, and nothing is left; more bytes than the disk has: told before any is fetched."""
    publish_files(tmp_path / "catalogue", {"recipe.yaml": b"a: 1\n"})
    (tmp_path / "file").write_text("")
    with pytest.raises(NoRoomError):
        get(tmp_path / "catalogue", tmp_path / "file/got")
    manifest = tmp_path / "catalogue/tiny/1" / MANIFEST
    manifest.write_text(manifest.read_text().replace('"bytes": 5', f'"bytes": {10**15}'))
    with pytest.raises(NoRoomError, match="takes 1,000,000,000,000,000 bytes more"):
        get(tmp_path / "catalogue", tmp_path / "got")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["catalogue", "file"]


def test_equal_and_empty_files(tmp_path: Path) -> None:
    """Two names of the same bytes, and a file without any: each is there."""
    files = {"audit.md": b"same", "diff.md": b"same", "diff.json": b""}
    publish_files(tmp_path / "catalogue", files)
    get(tmp_path / "catalogue", tmp_path / "got")
    assert snapshot(tmp_path / "got") == {**files, MANIFEST: (tmp_path / "catalogue/tiny/1" / MANIFEST).read_bytes()}
