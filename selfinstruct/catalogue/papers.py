"""Writes what stands beside the data of a version: recipe, audit, figures, diff, card, Croissant. Decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfinstruct.catalogue import kinship
from selfinstruct.catalogue.card import Facts, card
from selfinstruct.catalogue.croissant import croissant
from selfinstruct.catalogue.diff import Diff, alarms, diff
from selfinstruct.catalogue.diff_page import page
from selfinstruct.catalogue.version import AUDIT, CARD, CROISSANT, DIFF, FIGURES, RECIPE, File
from selfinstruct.figures.count import of_run
from selfinstruct.figures.model import Figures
from selfinstruct.files import sha256
from selfinstruct.judging import page as audit_page
from selfinstruct.judging.audit import audit, can_audit

if TYPE_CHECKING:
    from pathlib import Path

    from selfinstruct.catalogue.diff import Limits
    from selfinstruct.catalogue.place import Published
    from selfinstruct.catalogue.version import Version
    from selfinstruct.judging.cut import Cut
    from selfinstruct.runs import StoredRun


def write_papers(
    run: StoredRun,
    folder: Path,
    draft: Version,
    *,
    base: Published | None = None,
    cut: Cut | None = None,
    limits: Limits | None = None,
) -> None:
    """Write them to `folder`; `draft` is the manifest with all shards, and nothing else, among its files.

    Raises:
        BadInputError: the base has no figures.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415 - wanted only where something is published

    added = of_run(run, cut)
    before = None if base is None else Figures.model_validate_json(base.text(FIGURES))
    figures = added if before is None else before + added
    compared = None if before is None else diff(draft, before, added, limits=limits)
    audited = audit(run).under(cut) if can_audit(run) else None
    facts = Facts(draft, figures, seed=run.recipe.seed, audited=audited, diff=compared)
    texts = {FIGURES: figures.model_dump_json(indent=2) + "\n", CARD: card(facts)}
    if audited is not None:
        texts |= dict(zip(AUDIT, (audited.model_dump_json(indent=2) + "\n", audit_page.page(audited)), strict=True))
    if compared is not None:
        texts |= dict(zip(DIFF, (compared.model_dump_json(indent=2) + "\n", page(compared)), strict=True))
    with (folder / RECIPE).open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(kinship.published_recipe(run.recipe), file)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    papers = {path.name: _file(path) for path in sorted(folder.iterdir()) if path.is_file()}
    described = draft.model_copy(update={"files": {**papers, **draft.files}})
    (folder / CROISSANT).write_text(croissant(described), encoding="utf-8")


def alarms_of(version: Published) -> list[str]:
    """Return a line for each limit that what a version added has crossed; nothing for one that stands on no other."""
    if DIFF[0] not in version.manifest.files:
        return []
    return alarms(Diff.model_validate_json(version.text(DIFF[0])))


def _file(path: Path) -> File:
    return File(sha256=sha256(path), bytes=path.stat().st_size)
