"""A record and where it stands, what came of one piece of work, and how both are written down. Knows no task and no engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from selfinstruct.records import Dropped, DropReason, Fate, Record, content_id
from selfinstruct.store import RecordRow

if TYPE_CHECKING:
    from selfinstruct.runner.plan import AnyStage
    from selfinstruct.stage import Work


@dataclass(frozen=True, slots=True)
class Place:
    """A record and where it stands in the tree."""

    request: int
    path: str
    record: Record
    ancestors: tuple[Record, ...] = ()

    def child(self, path: str, record: Record) -> Place:
        """Return the place of what was made of it."""
        return Place(self.request, path, record, (*self.ancestors, self.record))


@dataclass(slots=True)
class Tree:
    """What came of one piece of work, with all that descends from it."""

    accepted: list[Place] = field(default_factory=list)
    failed: int = 0
    below: list[Record] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    """Paths of the records that became finished rows."""

    def take(self, other: Tree) -> None:
        """Add what descends from one of its records."""
        self.below.extend(other.below)
        self.failed += other.failed
        self.rows.extend(other.rows)


def judged(stage: AnyStage, output: Record | Dropped, work: Work) -> DropReason | None:
    """Return why an output must go: its own reason, or the first gate's; None when it is accepted."""
    if isinstance(output, Dropped):
        return output.reason
    return next((reason for gate in stage.gates if (reason := gate.reason_to_drop(output, work)) is not None), None)


def record_row(
    stage: AnyStage, place: Place, work: Work, path: str, output: Record | Dropped, reason: DropReason | None
) -> RecordRow:
    """Return an output with its fate, as the store keeps it."""
    record_id = output.id if isinstance(output, Record) else content_id(work.id, "dropped", path)
    drop = "null" if reason is None else reason.model_dump_json()
    return RecordRow(
        id=record_id,
        work=work.id,
        stage=stage.label,
        request=place.request,
        path=path,
        parent=place.record.id,
        fate=Fate.ACCEPTED if reason is None else Fate.DROPPED,
        rule=reason.rule if reason is not None else None,
        body=f'{{"record":{output.model_dump_json()},"drop":{drop}}}',
    )
