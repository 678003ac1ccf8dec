"""Writes what stands beside the data of a version: recipe, audit, figures, diff, card, Croissant. Decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from selfinstruct.catalogue import kinship
from selfinstruct.catalogue.card import Facts, card
from selfinstruct.catalogue.croissant import croissant
from selfinstruct.catalogue.diff import Diff, alarms, diff
from selfinstruct.catalogue.diff_page import page
from selfinstruct.catalogue.version import AUDIT, CARD, CROISSANT, DIFF, FIGURES, RECIPE, File
from selfinstruct.errors import DamageError
from selfinstruct.figures.count import of_run
from selfinstruct.figures.draw import ENGLISH, draw
from selfinstruct.figures.model import Figures
from selfinstruct.files import sha256
from selfinstruct.judging import page as audit_page
from selfinstruct.judging.audit import audit, can_audit
from selfinstruct.records import Frozen

if TYPE_CHECKING:
    from pathlib import Path

    from selfinstruct.catalogue.diff import Limits
    from selfinstruct.catalogue.place import Published
    from selfinstruct.catalogue.version import Version
    from selfinstruct.judging.cut import Cut
    from selfinstruct.runs import StoredRun

Told = TypeVar("Told", bound=Frozen)
SHOWN = ("verbs",)
"""Pictures that stand in a card."""


def write_papers(
    run: StoredRun, folder: Path, draft: Version, *, base: Published | None = None, cut: Cut | None = None
) -> None:
    """Write them to `folder`; `draft` is the manifest with all shards, and nothing else, among its files.

    Raises:
        BadInputError: the base has no figures. DamageError: they cannot be read.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415 - wanted only where something is published

    added = of_run(run, cut)
    before = None if base is None else _read(base, FIGURES, Figures)
    figures = added if before is None else before + added
    compared = None if before is None else diff(draft, before, added)
    audited = audit(run).under(cut) if can_audit(run) else None
    pictures = _pictures(figures)
    told = tuple((name, what) for name, (what, _) in pictures.items())
    facts = Facts(draft, figures, seed=run.recipe.seed, audited=audited, diff=compared, pictures=told)
    texts = {FIGURES: figures.model_dump_json(indent=2) + "\n", CARD: card(facts)}
    if audited is not None:
        texts |= dict(zip(AUDIT, (audited.model_dump_json(indent=2) + "\n", audit_page.page(audited)), strict=True))
    if compared is not None:
        texts |= dict(zip(DIFF, (compared.model_dump_json(indent=2) + "\n", page(compared)), strict=True))
    with (folder / RECIPE).open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(kinship.published_recipe(run.recipe), file)
    texts |= {name: picture for name, (_, picture) in pictures.items()}
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    papers = {name: _file(folder / name) for name in sorted({*texts, RECIPE})}
    described = draft.model_copy(update={"files": {**papers, **draft.files}})
    (folder / CROISSANT).write_text(croissant(described), encoding="utf-8")


def _pictures(figures: Figures) -> dict[str, tuple[str, str]]:
    """Return file -> what it shows, and the picture: the one that text bars cannot tell."""
    drawn = draw(figures, standalone=True)
    return {f"card/{name}.svg": (getattr(ENGLISH, name), drawn[name]) for name in SHOWN if name in drawn}


def alarms_of(version: Published, limits: Limits | None = None) -> list[str]:
    """Return a line for each limit that what a version added has crossed; nothing for one that stands on no other.

    Raises:
        DamageError: its diff cannot be read.
    """
    return alarms(_read(version, DIFF[0], Diff), limits) if DIFF[0] in version.manifest.files else []


def _read(version: Published, file: str, kind: type[Told]) -> Told:
    try:
        return kind.model_validate_json(version.text(file))
    except ValidationError as error:
        msg = f"{version.root}/{file}: not what it should be ({' '.join(str(error).split())[:120]})"
        raise DamageError(msg, remedy=f"selfinstruct datasets verify {version.manifest.ref}") from None


def _file(path: Path) -> File:
    return File(sha256=sha256(path), bytes=path.stat().st_size)
