"""Figures of a run at one moment, for tests of what shows them."""

from __future__ import annotations

from typing import Any

from selfinstruct.console.figures import Figures, ServerFigures, StageFigures, TimeLeft


def stage(name: str, *, kept: int = 40, dropped: int = 2, failed: int = 0, drops: dict[str, int] | None = None) -> StageFigures:  # fmt: skip
    return StageFigures(
        name=name, made=kept + dropped + failed, accepted=kept, dropped=dropped, failed=failed, in_flight=7, per_min=12.5,
        drops={"rouge": dropped} if drops is None else drops,
    )  # fmt: skip


def server(url: str = "http://127.0.0.1:8000/v1", **changes: Any) -> ServerFigures:
    told: dict[str, Any] = {
        "in_flight": 30, "running": 28, "waiting": 3, "kv_cache": 0.45, "prefix_queries": 100, "prefix_hits": 92,
        "preemptions": 4, "prefix_hit_rate": 0.92,
    }  # fmt: skip
    return ServerFigures(url=url, **told | changes)


STAGES = ("bootstrap", "classify", "instances", "respond", "judge", "select", "pair")


def moment(**changes: Any) -> Figures:
    told: dict[str, Any] = {
        "time": 1_800_000_000.0, "seconds": 312.0, "rows": 412, "target": 1000, "rows_per_min": 49.0,
        "left": TimeLeft(seconds=720, least=610, most=900), "calls": 12_345, "prompt_tokens": 4_000_000,
        "completion_tokens": 900_000, "prompt_tokens_per_s": 15_120.0, "completion_tokens_per_s": 2830.0, "in_flight": 240,
        "slots": 256, "waiting": 31, "models": ("tiny",), "servers": (server(),), "stages": tuple(map(stage, STAGES)),
    }  # fmt: skip
    return Figures(**told | changes)
