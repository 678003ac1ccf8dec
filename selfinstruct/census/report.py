"""Adds findings up to one report, as JSON, with the first examples of each rule. Knows neither rules nor pages."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from selfinstruct.census.findings import OF_THE_WHOLE, RULES, Finding, Place
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from pathlib import Path

    from selfinstruct.tables.layouts import Layout

SCHEMA = 1
"""Of the JSON. Keys may come; one that goes or changes raises it."""
_KEPT = 300
"""Characters of an example's evidence, at most."""


class Counts:
    """Counts rows and findings, and keeps the first examples of each rule."""

    def __init__(self, examples: int, *, drop: frozenset[str] = frozenset()) -> None:
        """Take how many examples of each rule are kept, and the rules whose rows are remembered as `dropped`."""
        self._most, self._drop = examples, drop
        self.dropped: dict[Place, list[Finding]] = {}
        self._files: list[dict[str, Any]] = []
        self._rows = 0
        self._found: Counter[str] = Counter()
        self._examples: dict[str, list[dict[str, Any]]] = {}
        self._last: dict[str, Place] = {}
        self._with_findings = 0
        self._last_bad: Place | None = None

    def file(self, path: Path, layout: Layout) -> None:
        """Begin a file."""
        self._files.append({"file": str(path), "layout": layout.name, "columns": dict(layout.columns)})

    def row(self) -> None:
        """Begin a row."""
        self._rows += 1

    def take(self, place: Place, finding: Finding) -> None:
        """Count a finding; a row counts once for a rule, however many tasks it holds."""
        if finding.rule in self._drop:
            self.dropped.setdefault(place, []).append(finding)
        if place.row and self._last.get(finding.rule) == place:
            return
        self._last[finding.rule] = place
        self._found[finding.rule] += 1
        if place.row and place != self._last_bad:
            self._last_bad = place
            self._with_findings += 1
        shown = self._examples.setdefault(finding.rule, [])
        if len(shown) < self._most:
            evidence = printable(finding.evidence, longest=_KEPT)
            shown.append({**place._asdict(), **finding._asdict(), "evidence": evidence})

    def told(self) -> dict[str, Any]:
        """Return everything as JSON: files, rows, rows with findings, and each rule with count, share and examples.

        The share is of the rows; None for a rule about many rows together.
        """
        return {
            "schema": SCHEMA,
            "files": self._files,
            "rows": self._rows,
            "rows_with_findings": self._with_findings,
            "findings": [
                {
                    "rule": rule,
                    "meaning": meaning,
                    "count": self._found[rule],
                    "share": None if rule in OF_THE_WHOLE else round(self._found[rule] / max(1, self._rows), 6),
                    "examples": self._examples.get(rule, []),
                }
                for rule, meaning in RULES.items()
            ],
        }
