"""Whether a run goes on with a published version: made against its rows, and as they were made. Writes nothing."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from selfinstruct import recipe as recipes
from selfinstruct.catalogue.version import RECIPE
from selfinstruct.stages.given import Given

if TYPE_CHECKING:
    from collections.abc import Mapping

    from selfinstruct.catalogue.place import Published
    from selfinstruct.recipe import Recipe
    from selfinstruct.runs import StoredRun

AGAINST = "against "
"""How the inputs of a run begin that are files of texts which count as earlier."""
FILE = "file "
"""How the input begins that is a file of given rows."""
_EVERY_NIGHT = re.compile(r"(seed|seeds|engines\.[^.]+\.model|stages\..*\.against(\.\d+)?)")
"""Fields that may differ from night to night. Models and the seed file count as they were found: among the inputs."""


def inputs_of(run: StoredRun) -> dict[str, str]:
    """Return what a run depends on beside its recipe, by name."""
    found: dict[str, str] = json.loads(run.store.get_meta()["inputs"])
    return found


def is_given(recipe: Recipe) -> bool:
    """Say whether a run starts from the rows of a file: its recipe's seeds have no part in it then."""
    return any(isinstance(stage, Given) for stage in recipe.stages)


def origin(inputs: Mapping[str, str], *, given: bool) -> set[str]:
    """Return the digests of what all rows of a run come from: its seed file, or the file of rows that it was given."""
    return {digest for name, digest in inputs.items() if (name.startswith(FILE) if given else name == "seeds")}


def split(inputs: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the inputs without the earlier texts, and the digests of those."""
    against = {digest for name, digest in inputs.items() if name.startswith(AGAINST)}
    return {name: digest for name, digest in inputs.items() if not name.startswith(AGAINST)}, tuple(sorted(against))


def extends(inputs: Mapping[str, str], base: Published) -> bool:
    """Say whether every row of `base` counted as earlier in the run with these inputs."""
    rows = {base.manifest.files[shard].sha256 for shard in base.manifest.shards("sft")}
    return rows <= set(split(inputs)[1])


def recipe_of(version: Published) -> Recipe:
    """Return the recipe that the last run of a version was made with; where its servers were does not stand in it.

    Raises:
        BadInputError: this version of selfinstruct does not know a part of it.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415 - wanted only here

    data: dict[str, Any] = YAML(typ="safe", pure=True).load(version.text(RECIPE))
    return recipes.build(data, source=f"{version.manifest.ref} {RECIPE}")


def changes(base: Published, recipe: Recipe, inputs: Mapping[str, str]) -> list[str]:
    """Return a line for each field in which what makes rows differs from what made those of `base`.

    Seed and earlier texts differ from night to night, and so they should.
    """
    found = (line for line in recipe_of(base).changes(recipe) if not _EVERY_NIGHT.fullmatch(line.partition(":")[0]))
    old, new = base.manifest.inputs, split(inputs)[0]
    return [
        *found,
        *(
            f"{name}: {old.get(name, 'absent')} -> {new.get(name, 'absent')}"
            for name in sorted(old.keys() | new.keys())
            if old.get(name) != new.get(name)
        ),
    ]


def published_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as it stands in a version: without servers and files of the machine that made it.

    An engine that is the writer under another name is left out, as in a recipe that was written by hand: it moves with it.
    """
    data: dict[str, Any] = recipe.model_dump(mode="json")
    writer, named = recipe.engines["writer"], {name for stage in recipe.stages for name in stage.named()}
    data["engines"] = {
        name: {key: value for key, value in data["engines"][name].items() if key not in engine.operational}
        for name, engine in recipe.engines.items()
        if name == "writer" or name in named or engine != writer
    }
    for stage in data["stages"]:
        for gate in stage["gates"]:
            if "against" in gate:
                gate["against"] = []
    return data
