"""Versions of any files, quickly: what a download does with them does not depend on who made them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.shards import Shards
from selfinstruct.catalogue.version import MANIFEST, File, Version
from tests.support.published import LICENCES


def publish_files(root: Path, files: dict[str, bytes], **changes: Any) -> Catalogue:
    """Publish `files` as version 1 of `tiny` in the catalogue `root`; `changes` are fields of the manifest."""
    facts: dict[str, Any] = {"name": "tiny", "version": 1, "trial": True, "rows": {}, "added": {}, **changes}
    folder = root / facts["name"] / str(facts["version"])
    for path, body in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(body)
    (root / "catalogue.json").write_text(f'{{"format": 1, "trial": {str(facts["trial"]).lower()}}}\n')
    told = {path: File(sha256=hashlib.sha256(body).hexdigest(), bytes=len(body)) for path, body in files.items()}
    manifest = Version(
        files=told, created="2026-11-21T00:00:00+00:00", licences=LICENCES, recipe="r", language="en", made_by="0", **facts
    )  # fmt: skip
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return Catalogue(str(root))


def sft_shard(folder: Path, texts: list[str], *, score: float | None = 5.0) -> bytes:
    """Return a shard of the view `sft`, each of its rows of one text."""
    with Shards(folder, earlier={}) as shards:
        for number, text in enumerate(texts):
            row: dict[str, Any] = {"id": f"{number:016x}", "instruction": text, "input": text, "output": text}
            told = {"reasoning": "", "is_classification": None, "score": score, "raw_score": score, "model": "m"}
            shards.add("sft", {**row, **told, "judge": "", "flags": "", "version": 1})
    return (folder / "data/sft/train-00000.parquet").read_bytes()
