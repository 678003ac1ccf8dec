"""What a gate is handed, for tests that ask one gate alone."""

from __future__ import annotations

from selfinstruct.engines.base import CompletionRequest, Reply
from selfinstruct.pool import Pool
from selfinstruct.records import Instance, Instruction, Provenance
from selfinstruct.stage import Work

PROVENANCE = Provenance(stage="test")


def at_a_gate(outputs: list[Instance] | None = None, *, pool: Pool | None = None) -> Work:
    record = Instruction(id="i", parent="", provenance=PROVENANCE, text="Any.")

    async def nobody(engine: str, request: CompletionRequest) -> Reply:
        msg = f"a gate asks nobody, not {engine} for {request.id}"
        raise AssertionError(msg)

    return Work(
        id="w", stage="test", record=record, ancestors=(), below=(), failed_below=0, pool=pool or Pool(()), run_seed=1,
        language="en", attempt=1, ask=nobody, outputs=outputs or [],
    )  # fmt: skip


def instruction(text: str) -> Instruction:
    return Instruction(id="x", parent="", provenance=PROVENANCE, text=text)
