"""A run or a version as one HTML file to be mailed: its style within, no script, no request. Knows no command, writes nothing."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from functools import cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from markupsafe import Markup

from selfinstruct import __version__
from selfinstruct.catalogue.kinship import published_recipe
from selfinstruct.catalogue.version import AUDIT, FIGURES, RECIPE
from selfinstruct.errors import BadInputError
from selfinstruct.figures.count import of_run
from selfinstruct.judging.audit import Audit, audit, can_audit
from selfinstruct.judging.page import page as audit_page
from selfinstruct.judging.words import meanings
from selfinstruct.price import Price
from selfinstruct.text.show import printable
from selfinstruct.viewer.charts import charts, singles
from selfinstruct.viewer.facts import numbers
from selfinstruct.viewer.library import ShownVersion
from selfinstruct.viewer.links import Links
from selfinstruct.viewer.pages import HERE, page

if TYPE_CHECKING:
    from selfinstruct.catalogue.place import Published
    from selfinstruct.catalogue.version import Version
    from selfinstruct.figures.bins import Lengths
    from selfinstruct.figures.model import Figures, Usage
    from selfinstruct.runs import StoredRun
    from selfinstruct.viewer.wording import Words

FREE = Price()


class Told(NamedTuple):
    """What a report tells of: the same of a run, which may go on, and of a published version."""

    title: str
    figures: Figures
    recipe: str
    """As YAML, without servers and files of the machine that ran it."""
    name: str
    """Of the recipe."""
    about: str
    again: tuple[str, ...]
    """Commands that make it again."""
    trial: bool
    findings: list[str]
    """What the judge's audit means, in Markdown, in English."""
    audit: str
    """The whole of it, in Markdown; empty where no model judged."""
    manifest: Version | None = None
    ended: str = ""
    """How the last invocation ended; empty while one is under way or was killed."""
    target: int = 0
    """Rows that were asked for; 0 where that is not known."""


def of_stored(run: StoredRun) -> Told:
    """Gather what there is to tell of a run, as it is at this moment."""
    name, audited = run.folder.resolve().name, audit(run) if can_audit(run) else None
    return Told(
        title=name,
        figures=of_run(run),
        recipe=_yaml(published_recipe(run.recipe)),
        name=run.recipe.name,
        about=run.recipe.about,
        again=(_with(__version__), f"selfinstruct run recipe.yaml -n {run.target} -o runs/again"),
        trial=run.recipe.scripted,
        findings=meanings(audited) if audited else [],
        audit=audit_page(audited) if audited else "",
        ended=run.ended or "open",
        target=run.target,
    )


def of_published(published: Published) -> Told:
    """Gather what a version's own files tell.

    Raises:
        BadInputError: it has no figures, or those of another selfinstruct.
    """
    shown, manifest = ShownVersion(published, caches=Path()), published.manifest
    if shown.figures is None:
        msg = f"{manifest.ref}: no {FIGURES} that selfinstruct {__version__} can read"
        raise BadInputError(
            msg, remedy=f"selfinstruct {printable(manifest.made_by, longest=20)} wrote it; or report the run itself"
        )
    made = f"run {RECIPE}" if manifest.base is None else f"extend {manifest.name} --recipe {RECIPE}"
    return Told(
        title=str(manifest.ref),
        figures=shown.figures,
        recipe=shown.paper(RECIPE),
        name=str(shown.recipe.get("name", "")),
        about=str(shown.recipe.get("about", "")),
        again=(
            _with(manifest.made_by),
            f"selfinstruct download {manifest.ref} -o {manifest.name}",
            f"selfinstruct {made} -n {manifest.ordered or manifest.added.get('sft', 0)}",
        ),
        trial=manifest.trial,
        findings=_findings(shown.paper(AUDIT[0])),
        audit=shown.paper(AUDIT[1]),
        manifest=manifest,
    )


def html(told: Told, words: Words, *, price: Price = FREE) -> str:
    """Return the report."""
    figures = told.figures
    return page(
        "report",
        words,
        Within(),
        {},
        told=told,
        figures=figures,
        style=_style(),
        policy=f"default-src 'none'; style-src '{_digest(_style())}'; img-src data:",
        written=datetime.now(UTC).isoformat(sep=" ", timespec="minutes").removesuffix("+00:00"),
        numbers=numbers(told.manifest, figures, words),
        charts=charts(figures, words, Within(), ""),
        singles=[one for one in singles(figures, words) if one[0] != words("chart.models")],  # roles tell them
        lengths=[(name, found) for name, found in _measured(figures) if found.rows],
        models=[(role, model, rows) for role, some in figures.models.items() for model, rows in some.items()],
        findings="\n".join(f"- {one}" for one in told.findings),
        spent=_spent(figures, price),
        cost=price.cost(figures.usage.prompt_tokens, figures.usage.completion_tokens, figures.seconds),
        priced=price != FREE,
    )


class Within(Links):
    """The places of a report: drops are told below, by rule; nothing else is anywhere."""

    live = False

    def rows(self, base: str, **asked: object) -> str:
        """Rows are not in it."""
        del base, asked
        return ""

    def drops(self, base: str, **asked: object) -> str:
        """Drops of a rule; of a stage, all of them."""
        del base
        return f"#{self.rule(str(asked['rule']))}" if asked.get("rule") else "#drops"

    def rule(self, name: str) -> str:
        """Return the id of a rule's drops; names of rules may come from anywhere."""
        return f"rule-{quote(name, safe='')}"


def _measured(figures: Figures) -> list[tuple[str, Lengths]]:
    """Return the lengths of the texts of a row; an input that is empty is none."""
    there = {
        unit: {at: rows for at, rows in getattr(figures.input, unit).items() if at} for unit in ("characters", "words")
    }
    return [
        ("instruction", figures.instruction),
        ("input", figures.input.model_copy(update=there)),
        ("output", figures.output),
    ]


def _spent(figures: Figures, price: Price) -> list[list[tuple[str, Usage, float]]]:
    """Return (name, usage, cost of its tokens) of every stage that asked, and of every model where there are several."""
    stages = {name: figures.usage_by_stage[name] for name in figures.funnel if name in figures.usage_by_stage}
    models = figures.usage_by_model if len(figures.usage_by_model) > 1 else {}
    return [
        [
            (name, one, price.cost(one.prompt_tokens, one.completion_tokens, 0))
            for name, one in some.items()
            if one.calls
        ]
        for some in (stages, models)
    ]


def _findings(text: str) -> list[str]:
    try:
        return meanings(Audit.model_validate(json.loads(text or "null")))
    except (ValueError, RecursionError):  # of another selfinstruct, or of anybody
        return []


def _with(version: str) -> str:
    return f"# with selfinstruct {printable(version, longest=20)}, installed from its repository"


def _yaml(recipe: dict[str, Any]) -> str:
    from ruamel.yaml import YAML  # noqa: PLC0415 - wanted only here

    text = StringIO()
    YAML(typ="safe", pure=True).dump(recipe, text)
    return text.getvalue()


@cache
def _style() -> Markup:
    """Return the style sheet of the pages, and of a report."""
    return Markup("\n".join((HERE / "static" / f"{name}.css").read_text("utf-8") for name in ("viewer", "report")))  # noqa: S704 - ours


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
