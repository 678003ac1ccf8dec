"""The live panel: figures laid out for the terminal as it is at this moment. Knows where nothing fits, and leaves it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from selfinstruct.console import words
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, ConsoleOptions, RenderableType

    from selfinstruct.console.figures import Figures, StageFigures

NARROWEST = {"stage": 0, "kept": 0, "dropped": 0, "failed": 0, "made": 42, "in flight": 52, "/min": 58, "kept %": 110}
"""A column is there from this width on."""
REASONS_FROM = 66
"""Characters of a terminal that also has the column `dropped by`."""
STYLES = {"kept": "green", "dropped": "yellow", "failed": "bold red", "in flight": "cyan"}
ORDER = ("stage", "made", "kept", "kept %", "dropped", "failed", "in flight", "/min")
GAP = "  "


@dataclass(frozen=True, slots=True)
class Panel:
    """One moment of a run. Never higher than the terminal less one line, never wider; no line is wrapped."""

    figures: Figures
    title: str
    """Of the run: its folder."""
    note: str = ""
    """Something that is wrong, or how it ended: said at the top."""
    over: bool = False
    """Whether nothing more comes: then there is no time left."""

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay it out: the head before the stages, the stages before more than one line of servers."""
        width, room = options.max_width, options.size.height - 1
        head = self._head(width)[:room]
        room -= len(head)
        servers = self._servers(width)
        stages = self._stages_for(room - bool(servers))
        table = len(stages) + 1 + (len(stages) < len(self.figures.stages)) if stages else 0
        lines = _fewer(servers, room - table, [_fit(words.servers(self.figures.servers), width)])
        yield from head
        yield from lines
        if not stages:
            return
        if room - table - len(lines) > 0:
            yield Text("")
        yield _table(stages, width)
        if len(stages) < len(self.figures.stages):
            yield _fit([f"and {len(self.figures.stages) - len(stages)} more stages"], width, style="dim")

    def _head(self, width: int) -> list[RenderableType]:
        figures = self.figures
        names = ", ".join(printable(model, longest=60) for model in figures.models)
        title = _fit([printable(self.title, longest=60), words.clock(figures.seconds), names], width, style="dim")
        title.stylize("bold not dim", 0, len(printable(self.title, longest=60)))
        head: list[RenderableType] = [title, _bar(figures, width)]
        if self.note:
            head.append(_fit([self.note], width, style="bold yellow"))
        if not self.over:
            head.append(_fit(words.pace(figures), width))
        return [*head, _fit(words.traffic(figures), width)]

    def _servers(self, width: int) -> list[Text]:
        """Return a line for each server, those that do not answer first."""
        ordered = sorted(self.figures.servers, key=lambda one: one.healthy)
        return [_fit(words.server(one), width, style="" if one.healthy else "bold red") for one in ordered]

    def _stages_for(self, room: int) -> Sequence[StageFigures]:
        stages = self.figures.stages
        return stages if len(stages) < room else stages[: max(0, room - 2)]


def _fewer(lines: list[Text], room: int, instead: list[Text]) -> list[Text]:
    return lines if len(lines) <= room else instead[: max(0, room)]


def _fit(parts: Sequence[str], width: int, *, style: str = "") -> Text:
    """Return the parts that fit on a line, the first one cut when it alone does not."""
    line = parts[0]
    for part in parts[1:]:
        if cell_len(line + GAP + part) <= width:
            line += GAP + part
    text = Text(line, style=style, no_wrap=True, overflow="ellipsis", end="\n")
    text.truncate(width, overflow="ellipsis")
    return text


def _bar(figures: Figures, width: int) -> RenderableType:
    share = min(1.0, figures.rows / figures.target) if figures.target else 1.0
    label = words.rows(figures)
    percent = f"{int(100 * share)}%"
    if width < len(label) + 20:
        return _fit([label, percent], width)
    grid = Table.grid(padding=(0, 1))
    grid.add_row(label, ProgressBar(total=1, completed=share, width=width - len(label) - len(percent) - 3), percent)
    return grid


def _table(stages: Sequence[StageFigures], width: int) -> Table:
    names = [name for name in ORDER if NARROWEST[name] <= width]
    rows = [_cells(stage) for stage in stages]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    taken = 0
    for name in names:
        column = max(cell_len(name), *(cell_len(row[name]) for row in rows))
        taken += column + 1
        table.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True, overflow="ellipsis")
    reasons = width - taken - 1 if width >= REASONS_FROM else 0
    if reasons > 0:
        table.add_column("dropped by", no_wrap=True, overflow="ellipsis")
    for stage, row in zip(stages, rows, strict=True):
        cells = [Text(row[name], style=STYLES.get(name, "") if row[name] != "0" else "dim") for name in names]
        table.add_row(*cells, *([Text(_reasons(stage, reasons))] if reasons > 0 else []))
    return table


def _cells(stage: StageFigures) -> dict[str, str]:
    return {
        "stage": printable(stage.name, longest=20),
        "made": f"{stage.made:,}",
        "kept": f"{stage.accepted:,}",
        "kept %": f"{100 * stage.accepted / stage.made:.0f}" if stage.made else "",
        "dropped": f"{stage.dropped:,}",
        "failed": f"{stage.failed:,}",
        "in flight": f"{stage.in_flight:,}",
        "/min": words.per_minute(stage.per_min),
    }


def _reasons(stage: StageFigures, width: int) -> str:
    """Return as many rules as fit, and how many more there are."""
    ordered = words.ordered(stage.drops)
    for count in range(len(ordered), 0, -1):
        more = f" +{len(ordered) - count}" if count < len(ordered) else ""
        told = ", ".join(ordered[:count]) + more
        if cell_len(told) <= width:
            return told
    return ordered[0] if ordered else ""
