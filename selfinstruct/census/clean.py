"""Writes the rows that break none of some rules; the others, with their reasons, beside them. Decides nothing."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from selfinstruct.census.findings import OF_THE_WHOLE, RULES, Finding, Place
from selfinstruct.errors import BadInputError
from selfinstruct.files import publish
from selfinstruct.tables import check_writable, place, read_rows, write_rows
from selfinstruct.tables.write import dumps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from selfinstruct.tables import Row

_RAW = 10_000
"""Bytes of an unreadable line that its drop shows."""


def checked_rules(text: str) -> frozenset[str]:
    """Read `rule,rule`.

    Raises:
        BadInputError: a rule that there is not, or one that no single row breaks.
    """
    rules = frozenset(filter(None, (part.strip() for part in text.split(","))))
    able = [rule for rule in RULES if rule not in OF_THE_WHOLE]
    for rule in sorted(rules - set(able)):
        msg = f"--drop {rule!r}: {'no single row breaks it' if rule in OF_THE_WHOLE else 'no such rule'}"
        raise BadInputError(msg, remedy=f"one or several of {', '.join(able)}")
    if not rules:
        raise BadInputError("no rule to drop rows by", remedy=f"--drop with one or several of {', '.join(able)}")
    return rules


def dropped_file(out: Path) -> Path:
    """Return where dropped rows go."""
    return out.with_name(f"{out.name}.dropped.jsonl")


def write_clean(
    files: Sequence[Path], out: Path, dropped: Mapping[Place, Sequence[Finding]], *, rows: int
) -> dict[str, int]:
    """Write the rows that are not in `dropped` to `out`, the others beside it; return how many of each: `rows` in all.

    A row that cannot be read at all is always among the others.

    Raises:
        BadInputError: an unknown kind of file, rows that it cannot hold, or not as many rows as said.
        NoRoomError: the disk refused.
    """
    check_writable(out)
    with publish(out) as kept, publish(dropped_file(out)) as beside, beside.open("wb") as file:
        walk = _Walk(files, dropped)
        write_rows(kept, walk.rows(file), kind=out.suffix.lower(), survey=lambda: _Walk(files, dropped).rows(None))
        if walk.kept + walk.gone != rows:
            msg = f"{files[0].parent}: an input changed while it was read"
            raise BadInputError(msg, remedy="give the same command again")
    return {"kept": walk.kept, "dropped": walk.gone}


class _Walk:
    """One pass over the files: gives the kept rows, writes the others on the way, counts both."""

    def __init__(self, files: Sequence[Path], dropped: Mapping[Place, Sequence[Finding]]) -> None:
        self.kept = self.gone = 0
        self._files, self._dropped = files, dropped

    def rows(self, beside: IO[bytes] | None) -> Iterator[Row]:
        for path in self._files:
            for row in read_rows(path):
                findings = self._dropped.get(Place(str(path), row.number), ())
                if not findings and not row.problem:
                    self.kept += 1
                    yield row
                    continue
                self.gone += 1
                if beside is not None:
                    reasons = findings or (Finding("unreadable_row", "", row.problem),)
                    shown = row.raw[:_RAW].decode(errors="replace") if row.problem and row.raw else row.value
                    drops = [one._asdict() for one in reasons]
                    entry = {"place": f"{path} {place(path, row.number)}", "drops": drops, "row": shown}
                    beside.write(dumps(entry, binary=True) + b"\n")
