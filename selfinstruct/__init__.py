"""Grow instruction data from seed tasks with a model you serve yourself. Nothing runs on import; names load when used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names, for type checkers; at run time they load when used
    from selfinstruct.engines.base import Engine
    from selfinstruct.errors import SelfInstructError
    from selfinstruct.pipeline import Report, run, run_sync
    from selfinstruct.recipe import Recipe
    from selfinstruct.records import (
        Classification,
        DropReason,
        Fate,
        Instance,
        Instruction,
        Judgement,
        PreferencePair,
        Response,
        Row,
        SeedTask,
    )
    from selfinstruct.stage import Exporter, Gate, Stage, Work
    from selfinstruct.text.rouge import NoveltyIndex
    from selfinstruct.working import Worked, work

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
    "Worked": "working",
    "run": "pipeline",
    "run_sync": "pipeline",
    "work": "working",
}

__all__ = [
    "Classification",
    "DropReason",
    "Engine",
    "Exporter",
    "Fate",
    "Gate",
    "Instance",
    "Instruction",
    "Judgement",
    "NoveltyIndex",
    "PreferencePair",
    "Recipe",
    "Report",
    "Response",
    "Row",
    "SeedTask",
    "SelfInstructError",
    "Stage",
    "Work",
    "Worked",
    "run",
    "run_sync",
    "work",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Load a public name from where it lives."""
    if name not in _HOMES:
        msg = f"module 'selfinstruct' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"selfinstruct.{_HOMES[name]}"), name)
