"""Whether what a recipe would make may be published, asked before a row of it is paid for. Knows no run, and writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfinstruct import seeds
from selfinstruct.catalogue.admission import check_kind, check_name
from selfinstruct.catalogue.licences import SHIPPED_SEEDS, settle
from selfinstruct.catalogue.version import Ref
from selfinstruct.files import sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

    from selfinstruct.catalogue.place import Catalogue
    from selfinstruct.recipe import Recipe

ROLES = {False: "writer", True: "judge"}
"""What a model is called while its name is not known: servers tell it when the run begins."""


def check_order(recipe: Recipe, catalogue: Catalogue, name: str, said: Mapping[str, str], *, trial: bool) -> None:
    """Refuse rows of `recipe` that could not become a version of `name`; `said` and `trial` as for `publish_run`.

    The licence of a model that its server will name counts as said when one is said of its role, or of any name not known yet.

    Raises:
        BadInputError: a name that is none, rows for trying out among others, a licence that is unknown.
    """
    check_name(name)
    check_kind(f"a run of the recipe {recipe.name}", catalogue, scripted=recipe.scripted, trial=trial)
    models = [
        (stage.scale is not None, recipe.engines[one].model_name) for stage in recipe.stages for one in stage.engines()
    ]
    named = {model for _, model in models if model}
    if named != {model for _, model in models}:
        others = {key: value for key, value in said.items() if key not in {"dataset", "seeds", *ROLES.values(), *named}}
        said = {key: value for key, value in said.items() if key not in others}
        for licence in others.values():
            said = {**dict.fromkeys(ROLES.values(), licence), **said}
    before = catalogue.version(Ref(name)).manifest.licences if catalogue.versions(name) else None
    settle(
        said,
        writers=[model or ROLES[judges] for judges, model in models if not judges],
        judges=[model or ROLES[judges] for judges, model in models if judges],
        seeds=SHIPPED_SEEDS if _ships(recipe) else None,
        source="",  # a recipe that makes rows was given none
        before=before,
        trial=recipe.scripted or catalogue.trial,
    )


def _ships(recipe: Recipe) -> bool:
    digest = seeds.load(seeds.find(recipe.seeds))[1]
    return digest in map(sha256, seeds.shipped().parent.glob("*.jsonl"))
