"""Every format: its columns, whole or absent, the same bytes each time, and read by `datasets` as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selfinstruct import export, pipeline, recipe, runs
from selfinstruct.errors import BadInputError, NoRoomError, SelfInstructError

COLUMNS = {
    "alpaca": {"instruction", "input", "output", "text"},
    "messages": {"messages"},
    "prompt-completion": {"prompt", "completion"},
    "dpo": {"prompt", "chosen", "rejected", "score_chosen", "score_rejected", "margin"},
    "dpo-text": {"prompt", "chosen", "rejected", "score_chosen", "score_rejected", "margin"},
    "parquet": {"id", "instruction", "input", "output", "is_classification", "score", "model", "scripted"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "run"
    pipeline.run_sync(recipe.load("demo", environment={}, sets=["exports=[]"]), path, target=40)
    return path


def write(folder: Path, kind: str, path: Path) -> export.Manifest:
    with runs.open_stored(folder) as stored:
        return export.export(stored, kind, path)


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
    if not kind.startswith("dpo"):
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
    """The folder form carries what LLaMA-Factory, axolotl and TRL want, naming the data file."""
    write(folder, "alpaca", tmp_path / "alpaca")
    info = json.loads((tmp_path / "alpaca/train/dataset_info.json").read_text())
    assert info["selfinstruct_sft"]["file_name"] == "train.jsonl"
    assert "type: alpaca" in (tmp_path / "alpaca/train/axolotl.yaml").read_text()
    write(folder, "dpo", tmp_path / "dpo")
    compile((tmp_path / "dpo/train/trl_dpo.py").read_text(), "trl_dpo.py", "exec")


def test_nothing_foreign_is_overwritten(folder: Path, tmp_path: Path) -> None:
    """A file or folder that is no export of ours stays as it is."""
    (tmp_path / "mine.jsonl").write_text("precious")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "mine.jsonl", tmp_path / "folder"):
        with pytest.raises(BadInputError, match="not an export of ours"):
            write(folder, "alpaca", path)
    assert (tmp_path / "mine.jsonl").read_text() == "precious"


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
