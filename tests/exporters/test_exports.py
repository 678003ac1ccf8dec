"""Every format: its columns, whole or absent, the same bytes each time, and read by `datasets` as it is."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from selfinstruct import export, pipeline, recipe, runs
from selfinstruct.errors import BadInputError, DamageError, NoRoomError, SelfInstructError
from selfinstruct.files import publish

COLUMNS = {
    "alpaca": {"instruction", "input", "output", "text"},
    "messages": {"messages"},
    "prompt-completion": {"prompt", "completion"},
    "dpo": {"prompt", "chosen", "rejected", "score_chosen", "score_rejected", "margin"},
    "dpo-text": {"prompt", "chosen", "rejected", "score_chosen", "score_rejected", "margin"},
    "dpo-conversations": {"chosen", "rejected", "score_chosen", "score_rejected", "margin"},
    "reward": {"prompt", "chosen", "rejected", "score_chosen", "score_rejected", "margin"},
    "kto": {"prompt", "completion", "label", "score"},
    "ranked": {"prompt", "responses", "scores", "models"},
    "sharegpt": {"conversations"},
    "parquet": {"id", "instruction", "input", "output", "is_classification", "score", "raw_score", "model", "scripted"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "run"
    pipeline.run_sync(recipe.load("demo", environment={}, sets=["exports=[]"]), path, target=40)
    return path


def write(folder: Path, kind: str, path: Path) -> export.Manifest:
    with runs.open_stored(folder) as stored:
        return export.export(stored, kind, path)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_table_names_every_format() -> None:
    """No format is left untested."""
    assert set(export.formats()) == COLUMNS.keys()


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.filterwarnings("ignore")  # datasets' own
def test_datasets_loads_it(folder: Path, tmp_path: Path, kind: str) -> None:
    """load_dataset takes the file; the columns are those of the ecosystem; no row is empty."""
    from datasets import load_dataset

    suffix = ".parquet" if kind == "parquet" else ".jsonl"
    manifest = write(folder, kind, tmp_path / f"data{suffix}")
    loaded = load_dataset(
        "parquet" if kind == "parquet" else "json",
        data_files=str(tmp_path / f"data{suffix}"), split="train", cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    assert set(loaded.column_names) == COLUMNS[kind]
    assert len(loaded) == manifest.rows
    if kind in {"alpaca", "messages", "prompt-completion", "sharegpt", "parquet"}:
        assert len(loaded) == 40
    check(kind, loaded[0])


def check(kind: str, row: dict[str, Any]) -> None:
    if kind == "messages":
        assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"]
        assert all(turn["content"] for turn in row["messages"])
    elif kind == "alpaca":
        assert "### Response:" in row["text"]
        assert row["output"] in row["text"]
        assert row["instruction"] in row["text"]
    elif kind == "dpo":
        assert [[turn["role"] for turn in row[side]] for side in ("prompt", "chosen", "rejected")] == [
            ["user"],
            ["assistant"],
            ["assistant"],
        ]
        assert row["chosen"] != row["rejected"]
        assert row["margin"] > 0
    elif kind == "dpo-text":
        assert row["prompt"].endswith("\n")
        assert row["chosen"] != row["rejected"]


@pytest.mark.parametrize("kind", COLUMNS)
def test_same_run_same_bytes(folder: Path, tmp_path: Path, kind: str) -> None:
    """Twice the same sha256; over itself too; and verify agrees."""
    first = write(folder, kind, tmp_path / "a")
    again = write(folder, kind, tmp_path / "b")
    assert first.files == again.files
    assert write(folder, kind, tmp_path / "a").files == first.files
    assert list(export.verify_export(tmp_path / "a")) == []


def test_fragments_for_trainers(folder: Path, tmp_path: Path) -> None:
    """The folder form carries what LLaMA-Factory, axolotl and TRL want; `test_fragments.py` reads it as they do."""
    write(folder, "alpaca", tmp_path / "alpaca")
    assert {path.name for path in (tmp_path / "alpaca/trainers").iterdir()} == {"dataset_info.json", "axolotl.yaml"}
    write(folder, "dpo", tmp_path / "dpo")
    assert {path.name for path in (tmp_path / "dpo/trainers").iterdir()} == {"trl_dpo.py", "axolotl.yaml"}


@pytest.mark.parametrize("place", ["train", "trainers"])
def test_fragments_of_an_older_export_are_replaced(folder: Path, tmp_path: Path, place: str) -> None:
    """Its manifest names none, and they may lie in a folder called train: ours by their names; anything else there is not."""
    out = tmp_path / "alpaca"
    write(folder, "alpaca", out)
    told = json.loads((out / "manifest.json").read_text())
    (out / "manifest.json").write_text(json.dumps({key: value for key, value in told.items() if key != "fragments"}))
    (out / "trainers").rename(out / place)
    (out / place / "precious.txt").write_text("precious")
    with pytest.raises(BadInputError, match=rf"{place}/precious\.txt"):
        write(folder, "alpaca", out)
    (out / place / "precious.txt").unlink()
    write(folder, "alpaca", out)
    assert sorted(path.name for path in (out / "trainers").iterdir()) == ["axolotl.yaml", "dataset_info.json"]
    assert not (out / "train").exists()


def test_nothing_foreign_is_overwritten(folder: Path, tmp_path: Path) -> None:
    """A file or folder that is no export of ours stays as it is."""
    (tmp_path / "mine.jsonl").write_text("precious")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "mine.jsonl", tmp_path / "folder"):
        with pytest.raises(BadInputError, match="not an export of ours"):
            write(folder, "alpaca", path)
    assert (tmp_path / "mine.jsonl").read_text() == "precious"


def test_what_somebody_put_into_an_export_is_not_lost(folder: Path, tmp_path: Path) -> None:
    """A folder that is written again: a file of somebody else in it stops that, and is named."""
    write(folder, "alpaca", tmp_path / "out")
    write(folder, "alpaca", tmp_path / "out")
    (tmp_path / "out/notes.txt").write_text("precious")
    with pytest.raises(BadInputError, match=r"notes\.txt"):
        write(folder, "alpaca", tmp_path / "out")
    assert (tmp_path / "out/notes.txt").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


@pytest.mark.parametrize(
    "name", ["trainers/trl_sft/model.bin", "trainers/mine.yaml", "train/precious.txt", "trainers/run"]
)
def test_what_a_training_left_in_an_export_is_not_lost(folder: Path, tmp_path: Path, name: str) -> None:
    """Checkpoints beside the script that made them, notes in folders of our names, a link: all stop the export and are named."""
    out = tmp_path / "out"
    write(folder, "prompt-completion", out)
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    if name == "trainers/run":
        (out / name).symlink_to(tmp_path, target_is_directory=True)
    else:
        (out / name).write_text("precious")
    before = snapshot(out)
    with pytest.raises(BadInputError, match=f"also holds {name}, which would be lost"):
        write(folder, "prompt-completion", out)
    assert snapshot(out) == before


@pytest.mark.parametrize("name", ["train.jsonl", "trainers/axolotl.yaml", "audit.md"])
def test_what_somebody_changed_in_an_export_is_not_lost(folder: Path, tmp_path: Path, name: str) -> None:
    """An edit of rows, lines for a trainer or audit stays: the export stops, and goes on when the file is moved away."""
    out = tmp_path / "out"
    write(folder, "alpaca", out)
    good = (out / name).read_bytes()
    (out / name).write_bytes(good + b"\n")
    before = snapshot(out)
    with pytest.raises(DamageError, match=f"{name} was changed since it was exported"):
        write(folder, "alpaca", out)
    assert snapshot(out) == before
    (out / name).rename(tmp_path / "mine")
    write(folder, "alpaca", out)
    assert (out / name).read_bytes() == good


def test_a_manifest_of_somebody_else_is_not_lost(folder: Path, tmp_path: Path) -> None:
    """A file that stands where the manifest would go stops the export, also where the data is not there yet."""
    (tmp_path / "z.jsonl.manifest.json").write_text('{"mine": 1}')
    with pytest.raises(BadInputError, match=r"z\.jsonl\.manifest\.json exists and is not an export of ours"):
        write(folder, "alpaca", tmp_path / "z.jsonl")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"z.jsonl.manifest.json": '{"mine": 1}'}


def test_data_that_is_gone_is_written_again(folder: Path, tmp_path: Path) -> None:
    """A manifest and audit of ours without their rows are no reason to refuse; rows that they do not name are."""
    out = tmp_path / "x.jsonl"
    write(folder, "alpaca", out)
    wanted = out.read_bytes()
    out.unlink()
    write(folder, "alpaca", out)
    assert out.read_bytes() == wanted
    (tmp_path / "y.jsonl").write_text("precious")
    (tmp_path / "y.jsonl.manifest.json").write_bytes((tmp_path / "x.jsonl.manifest.json").read_bytes())
    with pytest.raises(BadInputError, match=r"y\.jsonl exists and is not an export of ours"):
        write(folder, "alpaca", tmp_path / "y.jsonl")
    assert (tmp_path / "y.jsonl").read_text() == "precious"


def test_a_dot_makes_no_suffix(folder: Path, tmp_path: Path) -> None:
    """`kept-4.5` is a folder, whatever stands behind its dot."""
    manifest = write(folder, "messages", tmp_path / "kept-4.5")
    assert (tmp_path / "kept-4.5/train.jsonl").is_file()
    assert write(folder, "messages", tmp_path / "kept-4.5") == manifest
    assert list(export.verify_export(tmp_path / "kept-4.5")) == []


@pytest.mark.parametrize(("kind", "name"), [("parquet", "p.jsonl"), ("messages", "m.parquet"), ("alpaca", "a.csv")])
def test_a_suffix_is_kept_to(folder: Path, tmp_path: Path, kind: str, name: str) -> None:
    """No file whose name says another kind than its bytes: refused, and nothing is written."""
    with pytest.raises(BadInputError, match=rf"{kind} writes \.[a-z]+, not {Path(name).suffix}"):
        write(folder, kind, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_killed_between_two_names(folder: Path, tmp_path: Path) -> None:
    """New manifest, old data, and the new data still under its temporary name: the next export mends it by itself."""
    out, dead = tmp_path / "x.jsonl", 4_194_304  # one more than the largest process number of Linux
    write(folder, "alpaca", out)
    wanted = out.read_bytes()
    (tmp_path / f".x.jsonl.{dead}.partial").write_bytes(wanted)
    out.write_bytes(b"what an earlier export held")
    write(folder, "alpaca", out)
    assert out.read_bytes() == wanted
    beside = ["x.jsonl.audit.json", "x.jsonl.audit.md", "x.jsonl.manifest.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.jsonl", *beside]
    out.write_bytes(b"what somebody wrote")
    with pytest.raises(DamageError, match="was changed"):
        write(folder, "alpaca", out)


def test_a_folder_is_replaced_in_one_step(tmp_path: Path) -> None:
    """Whoever looks at any moment finds the old folder or the new one; a killed process's leavings are swept."""
    place = tmp_path / "out"
    place.mkdir()
    (place / "old").write_text("old")
    (tmp_path / ".out.4194304.partial").mkdir()
    seen, done = set(), threading.Event()

    def look() -> None:
        while not done.is_set():
            before = place.stat()
            names = tuple(sorted(path.name for path in place.iterdir()))
            after = place.stat()
            if (before.st_ino, before.st_ctime_ns) == (
                after.st_ino,
                after.st_ctime_ns,
            ):  # else it looked at two folders
                seen.add(names)

    looker = threading.Thread(target=look)
    looker.start()
    for number in range(200):
        with publish(place) as temporary:
            temporary.mkdir()
            (temporary / f"new{number % 2}").write_text("new")
    done.set()
    looker.join()
    assert seen <= {("old",), ("new0",), ("new1",)}
    assert len(seen) > 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_unknown_format_names_the_known(folder: Path, tmp_path: Path) -> None:
    """Did you mean."""
    with pytest.raises(BadInputError) as caught:
        write(folder, "alpacca", tmp_path / "x.jsonl")
    assert "did you mean 'alpaca'" in caught.value.remedy


def test_a_run_without_pairs_says_which_stage_to_add(tmp_path: Path) -> None:
    """DPO from a run that never judged: the stage that is missing is named."""
    loaded = recipe.load("self-instruct", environment={}, sets=["engines.writer={kind: scripted}"])
    pipeline.run_sync(loaded, tmp_path / "run", target=5)
    with pytest.raises(BadInputError) as caught:
        write(tmp_path / "run", "dpo", tmp_path / "x.jsonl")
    assert "`pair`" in caught.value.remedy


def test_no_room_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    """A path that cannot be written: exit 3, and no half file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(NoRoomError):
        write(folder, "alpaca", tmp_path / "file/x.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


def test_model_text_stays_text(folder: Path, tmp_path: Path) -> None:
    """What a model wrote is never rendered: template marks come out as they went in."""
    from selfinstruct.exporters.alpaca import Alpaca
    from selfinstruct.records import Provenance, Row

    del folder
    hostile = "{{ 7*191 }}{% for x in y %}</script>\u2028\x1b[31m"
    row = Row(id="1", parent="", provenance=Provenance(stage="t"), instruction=hostile, input=hostile, output=hostile)
    (made,) = Alpaca().rows(iter([row]))
    assert made["text"].count(hostile) == 3
    assert issubclass(NoRoomError, SelfInstructError)
    assert not list(tmp_path.iterdir())
