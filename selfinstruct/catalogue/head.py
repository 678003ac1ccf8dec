"""The YAML head of a card: what the Hub and `datasets.load_dataset` read of it. Knows the manifest alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from selfinstruct.catalogue.version import VIEWS

if TYPE_CHECKING:
    from selfinstruct.catalogue.version import Version

DEFAULT = "sft"
"""The view that is loaded where none is named."""
SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M", 10_000_000: "1M<n<10M"}
"""Rows below -> what the Hub calls that."""
_NAMED = """
apache-2.0 mit afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5
cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0
cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
cdla-permissive-2.0 ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl
lgpl-2.1 lgpl-3.0 isc mpl-2.0 ms-pl ncsa odc-by odbl openrail osl-3.0 pddl unlicense wtfpl zlib gemma llama2
llama3 llama3.1 llama3.2 llama3.3
"""
HUB_LICENCES = frozenset(_NAMED.split())
"""What the Hub takes as `license` (huggingface.co/docs/hub/repositories-licenses); all else is `other` with a name."""


def head(version: Version) -> str:
    """Return it, between its lines of dashes: one config for each view that has rows, `sft` the default."""
    from huggingface_hub import DatasetCardData  # noqa: PLC0415 - 0.3 s, wanted only where something is published

    views = [view for view in VIEWS if version.shards(view)]
    known = re.fullmatch("[a-z]{2,3}", version.language)
    data = DatasetCardData(
        pretty_name=version.name,
        language=[version.language] if known else None,
        **_licence(version.licences.dataset),
        size_categories=[_size(version.rows.get(DEFAULT, 0))],
        task_categories=["text-generation"],
        annotations_creators=["machine-generated"],
        language_creators=["machine-generated"],
        tags=_tags(version),
        configs=[_config(view) for view in views],
        dataset_info=[_info(version, view) for view in views],
    )
    return f"---\n{data.to_yaml()}\n---"


def _licence(said: str) -> dict[str, Any]:
    if said.lower() in HUB_LICENCES:
        return {"license": said.lower()}
    name = re.sub("[^a-z0-9.]+", "-", said.lower()).strip("-.")[:64]
    return {"license": "other", "license_name": name or "see-below"}


def _size(rows: int) -> str:
    return next((name for below, name in SIZES.items() if rows < below), "n>10M")


def _tags(version: Version) -> list[str]:
    pairs = ["preference", "dpo"] if version.rows.get("preference") else []
    return ["synthetic", "self-instruct", "instruction-tuning", *pairs, *(["trial"] if version.trial else [])]


def _config(view: str) -> dict[str, Any]:
    files = [{"split": "train", "path": f"data/{view}/train-*.parquet"}]
    return {"config_name": view, **({"default": True} if view == DEFAULT else {}), "data_files": files}


def _info(version: Version, view: str) -> dict[str, Any]:
    size = sum(version.files[name].bytes for name in version.shards(view))
    return {
        "config_name": view,
        "features": [{"name": name, "dtype": kind} for name, kind in VIEWS[view].items()],
        "splits": [
            {"name": "train", "num_bytes": size, "num_examples": version.rows[view]}
        ],  # bytes: must be said; as they lie
        "download_size": size,
        "dataset_size": size,
    }
