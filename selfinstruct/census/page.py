"""Shows an audit's report: as a table for a terminal, as a Markdown page to publish. Every text of the data is escaped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

_TICKS = re.compile("`+")
_SHOWN = 120
"""Characters of an example on a terminal."""
_SETS = 8
"""Sets of labels that are shown; the JSON has all."""


def screen(report: dict[str, Any]) -> Group:
    """Return the report for a terminal: the rules that rows break with their examples, then labels and lengths."""
    table = Table()
    table.add_column("rule")
    table.add_column("count", justify="right")
    table.add_column("share", justify="right")
    table.add_column("what it is; examples", ratio=1)
    for one in _broken(report):
        lines = [Text(one["meaning"])]
        lines += [Text(_example(report, shown), "dim", overflow="ellipsis") for shown in one["examples"]]
        table.add_row(one["rule"], f"{one['count']:,}", _share(one["share"]), Text("\n").join(lines))
    parts: list[Table | Text] = [Text(line) for line in _head(report)]
    if table.row_count:
        parts.append(table)
    return Group(*parts, *(Text(line) for line in _foot(report)))


def markdown(report: dict[str, Any]) -> str:
    """Return the report as a page in GitHub's Markdown."""
    lines = ["# Audit", "", *(f"- {_cell(line)}" for line in _head(report)), ""]
    broken = list(_broken(report))
    if broken:
        lines += ["| rule | rows | share | what it is |", "| --- | ---: | ---: | --- |"]
        lines += [
            f"| [{one['rule']}](#{one['rule']}) | {one['count']:,} | {_share(one['share'])} | {_cell(one['meaning'])} |"
            for one in broken
        ]
        lines.append("")
    lines += [f"- {_cell(line)}" for line in _foot(report)]
    for one in broken:
        if one["examples"]:
            lines += ["", f"## {one['rule']}", "", f"{one['count']:,}: {_cell(one['meaning'])}.", ""]
            lines += [_item(report, shown) for shown in one["examples"]]
    if report["labels"]:
        lines += [
            "",
            "## Labels",
            "",
            "| of | rows | largest | share (95 %) | skewed |",
            "| --- | ---: | --- | --- | --- |",
        ]
        for one in report["labels"]:
            low, high = one["interval"]
            share = f"{one['share']:.0%} ({low:.0%} to {high:.0%})"
            cells = (
                _cell(one["of"]),
                f"{one['rows']:,}",
                _cell(one["largest"]),
                share,
                "yes" if one["skewed"] else "no",
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _broken(report: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (one for one in report["findings"] if one["count"])


def _head(report: dict[str, Any]) -> Iterator[str]:
    for one in report["files"]:
        columns = ", ".join(
            role if role == column else f"{role} = {printable(column, longest=40)}"
            for role, column in one["columns"].items()
        )
        yield f"{printable(one['file'])}: {one['layout']} ({columns})"
    rows, bad = report["rows"], report["rows_with_findings"]
    yield f"{rows:,} rows, {bad:,} with findings ({_share(bad / max(1, rows))}); {report['seconds']:.1f} s"


def _foot(report: dict[str, Any]) -> Iterator[str]:
    whole = [one["rule"] for one in report["findings"] if not one["count"]]
    if whole:
        yield f"nothing found by: {', '.join(whole)}"
    if gap := report["lengths"]:
        low, high = gap["interval"]
        share = (
            "all are equally long"
            if gap["share"] is None
            else f"longer in {gap['share']:.0%} ({low:.0%} to {high:.0%})"
        )
        yield f"chosen answers: {share}; {gap['mean_chosen']:,.0f} characters in the mean, rejected {gap['mean_rejected']:,.0f}"
    for one in report["labels"][:_SETS]:
        low, high = one["interval"]
        skewed = ", skewed" if one["skewed"] else ""
        yield (
            f"{printable(one['of'], longest=80)}: {one['rows']:,} rows, {printable(one['largest'], longest=40)} in "
            f"{one['share']:.0%} ({low:.0%} to {high:.0%}){skewed}"
        )


def _share(share: float | None) -> str:
    if share is None:
        return ""
    return f"{share:.1%}" if share >= 0.001 or not share else f"{share:.3%}"  # noqa: PLR2004 - shown as 0.0% otherwise


def _where(report: dict[str, Any], shown: dict[str, Any]) -> str:
    if not shown["row"]:
        return ""
    name = f"{printable(Path(shown['file']).name, longest=40)} " if len(report["files"]) > 1 else ""
    figure = "" if shown["figure"] is None else f" {shown['figure']:g} (limit {shown['threshold']:g})"
    field = f" {shown['field']}" if shown["field"] else ""
    return f"{name}{shown['row']}{field}{figure}: "


def _example(report: dict[str, Any], shown: dict[str, Any]) -> str:
    return f"{_where(report, shown)}{printable(shown['evidence'], longest=_SHOWN)}"


def _item(report: dict[str, Any], shown: dict[str, Any]) -> str:
    """Return a list item; the evidence stands in a code span, in which nothing is markup."""
    text = printable(shown["evidence"], longest=300)
    fence = "`" * (1 + max((len(run) for run in _TICKS.findall(text)), default=0))
    span = f" {fence} {text} {fence}" if text.strip() else ""
    return f"- row {_cell(_where(report, shown).rstrip(': '))}:{span}" if shown["row"] else f"-{span}"


def _cell(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|#&~$])", r"\\\1", printable(text, longest=2000))
