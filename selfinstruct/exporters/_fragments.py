"""Configuration for trainers, ready in the folder `trainers` of an export: what the formats have in common. Knows no row.

Written for the folder where it lies: LLaMA-Factory joins `file_name` to the folder of `dataset_info.json`, a TRL script
looks from where it stands, axolotl from where it is started, which is the folder of the export.
"""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def llama_factory(name: str, train: str, validation: str, **entry: Any) -> dict[str, str]:  # noqa: ANN401 - JSON
    """Return `dataset_info.json`: `entry` under `name`, and under `name_validation` for `eval_dataset`."""
    files = {name: train, f"{name}_validation": validation}
    info = {key: {"file_name": f"../{file}", **entry} for key, file in files.items() if file}
    return {"dataset_info.json": json.dumps(info, indent=2) + "\n"}


def axolotl(train: str, validation: str, head: Mapping[str, Any] | None = None, **entry: Any) -> dict[str, str]:  # noqa: ANN401 - YAML
    """Return `axolotl.yaml`: `head`, then `datasets` and `test_datasets` of one `entry` each. JSON files have one split."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - wanted only when an export has such a fragment

    def listed(file: str) -> list[dict[str, Any]]:
        return [{"path": file, "ds_type": "json", "split": "train", **copy.deepcopy(entry)}]  # else YAML writes anchors

    config = {**(head or {}), "datasets": listed(train)}
    if validation:
        config["test_datasets"] = listed(validation)
    text = io.StringIO()
    YAML().dump(config, text)
    return {
        "axolotl.yaml": f"# Lines for your configuration; start axolotl in the folder of {train}.\n{text.getvalue()}"
    }


def trl(trainer: str, train: str, validation: str) -> dict[str, str]:
    """Return `trl_<trainer>.py`, which trains TRL's `trainer` (SFT, DPO, KTO, Reward) on the files."""
    files = {"train": train} | ({"validation": validation} if validation else {})
    name = f"trl_{trainer.lower()}.py"
    text = _TRL.format(trainer=trainer, name=name, files=json.dumps(files), output=Path(name).stem)
    return {name: text}


_TRL = '''"""Train a model on this export with TRL: pip install trl; python trainers/{name} MODEL"""

import sys
from pathlib import Path

from datasets import load_dataset
from trl import {trainer}Config, {trainer}Trainer

FOLDER = Path(__file__).resolve().parent.parent
FILES = {files}
data = load_dataset("json", data_files={{side: str(FOLDER / file) for side, file in FILES.items()}})

trainer = {trainer}Trainer(
    model=sys.argv[1],
    args={trainer}Config(output_dir="{output}"),
    train_dataset=data["train"],
    eval_dataset=data.get("validation"),
)
trainer.train()
'''
