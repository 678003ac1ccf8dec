"""The fragments, read as LLaMA-Factory and axolotl read theirs: their keys and rules are written down here.

LLaMA-Factory: src/llamafactory/data/parser.py (set_attr, join; 2026-08, as in 85b0f312ff) and converter.py
(f816ae466b, which converts each row or skips it with a line in the log) of hiyouga/LlamaFactory.
axolotl: src/axolotl/utils/schemas/datasets.py (07e83ab884), prompt_strategies/chat_template.py (cf0c79d52e) and
prompt_strategies/dpo/chat_template.py (1377ccc3e4) of axolotl-ai-cloud/axolotl.
TRL is run itself, in tests/trainers.
"""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from selfinstruct import export, pipeline, recipe, runs

ENTRY = {"file_name", "formatting", "ranking", "subset", "split", "folder", "num_samples", "columns", "tags"}
"""Keys of an entry for a local file. Others are ignored without a word, so a wrong name is found by nobody else."""
COLUMNS = {"prompt", "query", "response", "history", "messages", "system", "tools", "images", "videos", "audios"}
COLUMNS |= {"chosen", "rejected", "kto_tag"}
"""Names of columns. Once `columns` is there, each that it leaves out is None: the defaults are gone."""
TAGS = {"role_tag", "content_tag", "user_tag", "assistant_tag", "observation_tag", "function_tag", "system_tag"}
"""The same for `tags`."""
DEFAULT_TAGS = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"}

AXOLOTL = {"path", "split", "type", "data_files", "revision", "ds_type", "name", "field_messages", "roles_to_train"}
AXOLOTL |= {"message_property_mappings", "roles", "train_on_eos", "chat_template"}
"""Keys of an entry of `datasets`; unknown ones are ignored there, too."""
ROLES = {"user": "user", "assistant": "assistant", "system": "system", "tool": "tool"}
"""Roles of preference data; SFT also takes human and gpt."""

LLAMA_FACTORY = ("alpaca", "messages", "sharegpt", "dpo-text")
READ_BY_AXOLOTL = ("alpaca", "messages", "sharegpt", "dpo", "dpo-text", "dpo-conversations")
READ_BY_TRL = {"prompt-completion": "SFT", "messages": "SFT", "dpo": "DPO", "dpo-text": "DPO", "kto": "KTO"}
READ_BY_TRL |= {"dpo-conversations": "DPO", "reward": "Reward"}


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every format of a demo run, with a validation side."""
    folder = tmp_path_factory.mktemp("fragments")
    pipeline.run_sync(recipe.load("demo", environment={}, sets=["exports=[]"]), folder / "run", target=30)
    with runs.open_stored(folder / "run") as run:
        for form in export.formats():
            export.export(run, form, folder / form, split=0.3)
    return folder


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def converted(entry: dict[str, Any], row: dict[str, Any]) -> tuple[str, list[str]]:
    """What LLaMA-Factory makes of a row: the user's text and the answers; AssertionError where it would skip the row."""
    columns = dict.fromkeys(COLUMNS) | entry["columns"]
    if entry.get("formatting", "alpaca") == "alpaca":
        asked = [row[columns[one]] for one in ("prompt", "query") if columns[one] and row[columns[one]]]
        named = ("chosen", "rejected") if entry.get("ranking") else ("response",)
        answers = [row[columns[one]] for one in named]
        assert all(isinstance(one, str) for one in answers)
        return "\n".join(asked), answers
    assert entry["formatting"] == "sharegpt"
    tags = dict.fromkeys(TAGS) | entry["tags"] if "tags" in entry else DEFAULT_TAGS
    turns = row[columns["messages"]]
    assert [turn[tags["role_tag"]] for turn in turns] == [tags["user_tag"], tags["assistant_tag"]]
    question, answer = (turn[tags["content_tag"]] for turn in turns)
    return question, [answer]


@pytest.mark.parametrize("form", LLAMA_FACTORY)
def test_llama_factory_finds_file_and_columns(exports: Path, form: str) -> None:
    """Known keys only; the path, joined as it joins it, is the data; every row becomes one question and its answers."""
    folder = exports / form / "trainers"
    info = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))
    assert len(info) == 2
    for (name, entry), side in zip(info.items(), ("train", "validation"), strict=True):
        assert name.endswith("_validation") == (side == "validation")
        assert entry.keys() <= ENTRY
        assert entry["columns"].keys() <= COLUMNS
        assert entry.get("tags", {}).keys() <= TAGS
        data = Path(os.path.join(folder, entry["file_name"]))  # noqa: PTH118 - their own join
        assert data.resolve() == exports / form / f"{side}.jsonl"
        for question, answers in (converted(entry, row) for row in rows(data)):
            assert question.strip()
            assert all(answer.strip() for answer in answers)
            assert len({*answers}) == (2 if entry.get("ranking") else 1)


@pytest.mark.parametrize("form", READ_BY_AXOLOTL)
def test_axolotl_finds_file_and_columns(exports: Path, form: str) -> None:
    """Known keys only; from the folder of the export the path is the data; the strategy finds the columns it reads."""
    text = (exports / form / "trainers/axolotl.yaml").read_text(encoding="utf-8")
    config = YAML(typ="safe").load(text)
    assert "&id" not in text
    preference = form.startswith("dpo")
    assert config.keys() == {"datasets", "test_datasets"} | ({"rl"} if preference else set())
    assert config.get("rl", "dpo") == "dpo"
    for key, side in (("datasets", "train"), ("test_datasets", "validation")):
        (entry,) = config[key]
        assert entry.keys() <= AXOLOTL
        assert (entry["ds_type"], entry["split"]) == ("json", "train")  # a file of JSON has that one split
        data = exports / form / entry["path"]
        assert data == exports / form / f"{side}.jsonl"
        for row in rows(data):
            check_strategy(entry, row)


def check_strategy(entry: dict[str, Any], row: dict[str, Any]) -> None:
    names = entry.get("message_property_mappings", {"role": "role", "content": "content"})
    messages = row.get(entry.get("field_messages", "messages"))
    if entry["type"] == "alpaca":
        assert row.keys() >= {"instruction", "input", "output"}
    elif entry["type"] == "chat_template":
        assert messages is not None
        assert [turn[names["role"]] for turn in messages] in (["user", "assistant"], ["human", "gpt"])
        assert all(turn[names["content"]].strip() for turn in messages)
    elif entry["type"] == "chat_template.default":
        assert isinstance(messages, str) or [turn["role"] for turn in messages or []] == ["user"]
        answers = [
            row[side] if isinstance(row[side], str) else row[side][-1]["content"] for side in ("chosen", "rejected")
        ]
        assert answers[0] != answers[1]
        assert all(isinstance(row[side], str) or row[side][-1]["role"] in ROLES for side in ("chosen", "rejected"))
    else:
        assert entry["type"] == "chat_template.argilla_chat"
        assert row["chosen"][:-1] == row["rejected"][:-1] != []
        assert row["chosen"][-1]["role"] == row["rejected"][-1]["role"] == "assistant"
        assert row["chosen"][-1] != row["rejected"][-1]
        assert "prompt" not in row  # axolotl makes that column


@pytest.mark.parametrize("form", READ_BY_TRL)
def test_trl_scripts_name_trainer_and_files(exports: Path, form: str) -> None:
    """The script is Python, imports its trainer, and names both files; tests/trainers runs it."""
    trainer = READ_BY_TRL[form]
    text = (exports / form / f"trainers/trl_{trainer.lower()}.py").read_text(encoding="utf-8")
    imported = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and node.module == "trl"]
    assert {alias.name for alias in imported[0].names} == {f"{trainer}Trainer", f"{trainer}Config"}
    assert {"train.jsonl", "validation.jsonl"} <= {
        node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)
    }


def test_no_fragment_promises_what_a_trainer_cannot_read(exports: Path) -> None:
    """Message lists as answers: LLaMA-Factory drops them in silence, axolotl's KTO prints them; no fragment says otherwise."""
    found = {
        name: {form for form in export.formats() if (exports / form / "trainers" / name).is_file()}
        for name in ("dataset_info.json", "axolotl.yaml")
    }
    assert found == {"dataset_info.json": {*LLAMA_FACTORY}, "axolotl.yaml": {*READ_BY_AXOLOTL}}


def test_without_a_split_there_is_no_validation_file(exports: Path) -> None:
    """Nothing names a file that is not there."""
    with runs.open_stored(exports / "run") as run:
        for form in export.formats():
            manifest = export.export(run, form, exports / f"{form}.whole")
            assert manifest.split == {}
            files = [
                path for path in (exports / f"{form}.whole").rglob("*") if path.suffix in {".json", ".yaml", ".py"}
            ]
            assert exports / f"{form}.whole/manifest.json" in files
            for path in files:
                asked = path.read_text(encoding="utf-8").replace('data.get("validation")', "")  # none is fine there
                assert "validation" not in asked
