"""Grow instruction data from seed tasks with a model you serve yourself. Nothing runs on import; names load when used."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Classification": "records",
    "DropReason": "records",
    "Fate": "records",
    "Instance": "records",
    "Instruction": "records",
    "Judgement": "records",
    "PreferencePair": "records",
    "Response": "records",
    "Row": "records",
    "SeedTask": "records",
    "Engine": "engines.base",
    "Exporter": "stage",
    "Gate": "stage",
    "Stage": "stage",
    "Work": "stage",
    "Recipe": "recipe",
    "Report": "pipeline",
    "SelfInstructError": "errors",
    "NoveltyIndex": "text.rouge",
    "run": "pipeline",
    "run_sync": "pipeline",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - a list of str, computed


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Load a public name from where it lives."""
    if name not in _HOMES:
        msg = f"module 'selfinstruct' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"selfinstruct.{_HOMES[name]}"), name)
