"""Runs the TRL script of every export below a folder for three steps, and writes down what the trainers saw.

Runs in `.venv-trainers`: python train.py FOLDER. Judges nothing: `facts.json` is for the test to look at.
"""

from __future__ import annotations

import functools
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import tiny_model
import trl

SMALL = {
    "max_steps": 3,
    "per_device_train_batch_size": 4,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "bf16": False,  # what a CPU needs
    "use_cpu": True,
}


def main(folder: Path) -> None:
    """Make the model, then run the scripts as a user would, on settings that make them small."""
    for name in ("SFTConfig", "DPOConfig", "KTOConfig", "RewardConfig"):
        setattr(trl, name, functools.partial(getattr(trl, name), **SMALL))
    scripts = sorted(folder.glob("*/trainers/trl_*.py"))
    texts = [line for script in scripts for line in (script.parent.parent / "train.jsonl").open(encoding="utf-8")]
    tiny_model.make(texts, folder / "model")
    facts = {script.parent.parent.name: _facts(script, folder / "model") for script in scripts}
    (folder / "facts.json").write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")


def _facts(script: Path, model: Path) -> dict[str, Any]:
    sys.argv = [str(script), str(model)]
    try:
        trainer = runpy.run_path(str(script))["trainer"]
    except Exception as error:  # noqa: BLE001 - what a trainer refuses is a fact, too
        return {"error": f"{type(error).__name__}: {error}"}
    steps = [one for one in trainer.state.log_history if "loss" in one]
    return {
        "losses": [one["loss"] for one in steps],
        "gradients": [one["grad_norm"] for one in steps],
        "evaluated": trainer.evaluate()["eval_loss"],
        "seen": _seen(trainer),
    }


def _seen(trainer: Any) -> list[dict[str, Any]]:
    """Return, for the first rows of the validation file in their order, all tokens as text and those with a loss."""
    batch = next(iter(trainer.get_eval_dataloader()))
    rows = []
    for place, tokens in enumerate(batch["input_ids"]):
        there = batch["attention_mask"][place].bool()
        learned = there
        if "labels" in batch:
            learned = batch["labels"][place] != -100  # torch's mark for: no loss here
        elif "completion_mask" in batch:
            learned = batch["completion_mask"][place].bool()
        row = {"whole": _text(trainer, tokens[there]), "learned": _text(trainer, tokens[learned])}
        extra = {key: batch[key][place].item() for key in ("label", "margin") if place < len(batch.get(key, ()))}
        rows.append(row | extra)
    return rows


def _text(trainer: Any, tokens: Any) -> str:
    return str(trainer.processing_class.decode(tokens, skip_special_tokens=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
