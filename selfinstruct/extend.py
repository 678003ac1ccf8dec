"""Goes on with a published dataset: a run that is like the one before and near to none of its rows, then the next version.

Knows no engine and no schedule. One night is three steps, so that a flow may carry out the middle one in tasks of its own:
`plan`, `pipeline.run(night.recipe, night.folder)`, `night.publish`. After a kill the same plan comes out, and each step goes on.
"""

from __future__ import annotations

import logging
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from selfinstruct import formats, pipeline, seeds
from selfinstruct import recipe as recipes
from selfinstruct.catalogue import kinship
from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.publish import publish_run
from selfinstruct.catalogue.version import RECIPE, Ref, ref
from selfinstruct.errors import BadInputError
from selfinstruct.files import publish, sha256
from selfinstruct.judging.cut import Cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from selfinstruct.catalogue.place import Published
    from selfinstruct.recipe import Recipe

log = logging.getLogger(__name__)

EARLIER = "earlier"
"""Folder in a run for the rows of a catalogue at a URL."""


class Night(NamedTuple):
    """What extends a dataset by one version."""

    recipe: Recipe
    folder: Path
    """Of the run, which may have begun."""
    base: Published
    """The latest version."""
    url: str
    new_lineage: bool

    @property
    def ref(self) -> Ref:
        """The version that comes of it."""
        return Ref(self.base.manifest.name, self.base.manifest.version + 1)

    def publish(self, *, licences: Mapping[str, str] | None = None) -> Published:
        """Publish what the run has, with the thresholds of the base.

        Raises:
            SelfInstructError: as `publish_run`.
        """
        asked = self.base.manifest.cut
        return publish_run(
            self.folder,
            str(self.ref),
            self.url,
            licences=licences,
            cut=None if asked is None else Cut(**asked),
            add=True,
            new_lineage=self.new_lineage,
        )


def plan(
    name: str,
    url: str,
    *,
    folder: Path = Path("runs"),
    against: Sequence[Path] = (),
    recipe: str | None = None,
    sets: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    new_lineage: bool = False,
) -> Night:
    """Return the run that makes the next version of `name` in the catalogue at `url`; its folder will lie in `folder`.

    Everything is as in the recipe of the latest version (or in `recipe`, with `sets` and `flags` over it), but for the seed, so
    that other requests are drawn, and for what is too near: all instructions of all earlier versions, and the files of `against`.
    The texts of a catalogue at a URL are brought into the run's folder.

    Raises:
        BadInputError: no such dataset; a recipe, model, prompt or seed file that is another than that of the latest version
            (each change named), without `new_lineage`; a recipe without a gate that tells what is near.
        DamageError: rows of the catalogue are not what its manifest says.
    """
    wanted, catalogue = ref(name), Catalogue(url)
    base = catalogue.version(Ref(wanted.name))
    if wanted.version not in {None, base.manifest.version}:
        msg = f"{wanted} is not the latest version: {base.manifest.ref} is"
        raise BadInputError(msg, remedy=f"selfinstruct extend {wanted.name}: what is extended is the latest one")
    run = folder / f"{wanted.name}-{base.manifest.version + 1}"
    first = catalogue.version(Ref(wanted.name, catalogue.versions(wanted.name)[0]))
    seed = kinship.recipe_of(first).seed + base.manifest.version
    with _recipe_file(base, recipe) as file:
        called = f"recipe of {base.manifest.ref}{', with --set' * bool(sets)}" if recipe is None else None
        bare = recipes.load(file, sets=sets, flags={**(flags or {}), "seed": seed}, called=called)
    bare = formats.kept(bare, kinship.recipe_of(base).model_dump(mode="json"))
    if not new_lineage:
        bare = _with_models(bare, base)
        _refuse_changes(bare, base)
    earlier = [_rows_of(version, run) for version in _whole(catalogue, base)]
    held = _held_against(bare, [*earlier, *against])
    _tell_forgotten(held, base)
    return Night(held, run, base, url, new_lineage)


@contextmanager
def _recipe_file(base: Published, recipe: str | None) -> Iterator[str]:
    """Yield the name of the recipe to begin with."""
    if recipe is not None:
        yield recipe
        return
    with tempfile.TemporaryDirectory(prefix="selfinstruct-") as folder:
        file = Path(folder) / f"{base.manifest.ref}.yaml"
        file.write_text(base.text(RECIPE), encoding="utf-8")
        yield str(file)


def _with_models(recipe: Recipe, base: Published) -> Recipe:
    """Return the recipe with the models of the base where it leaves them open: a server that has another is refused at once."""
    data = recipe.model_dump(mode="json")
    for name, engine in data["engines"].items():
        if engine.get("model", "") is None:
            engine["model"] = base.manifest.inputs.get(f"model of {name}")
    return recipes.build(data)


def _refuse_changes(recipe: Recipe, base: Published) -> None:
    models = {name: engine.model_name for name, engine in recipe.engines.items()}
    bare = recipes.build(
        kinship.published_recipe(recipe)
    )  # without files of earlier texts, which would be read for nothing
    inputs = pipeline.inputs_of(bare, models, seeds.load(seeds.find(recipe.seeds))[1])
    if changes := kinship.changes(base, recipe, inputs):
        listed = "".join(f"\n  {change}" for change in changes)
        msg = f"{base.manifest.ref} was made otherwise; changed:{listed}"
        raise BadInputError(msg, remedy="undo the change; or --new-lineage: the next version then tells it")
    if recipe.scripted != base.manifest.trial:
        msg = f"{base.manifest.ref} was {'not ' * recipe.scripted}made by the scripted engine"
        raise BadInputError(msg, remedy="scripted rows lie in catalogues for trying out, real ones in others")


def _whole(catalogue: Catalogue, latest: Published) -> list[Published]:
    """Return versions whose rows are, together, those of all versions: the latest, and others only where one was replaced."""
    found: list[Published] = []
    held: set[int] = set()
    known = catalogue.versions(latest.manifest.name)
    for number in reversed(known):
        if number not in held:
            found.append(catalogue.version(Ref(latest.manifest.name, number)))
            base: int | None = number
            while base in known:  # an old version may have been removed: its rows stand in those that go on with it
                held.add(base)
                base = catalogue.version(Ref(latest.manifest.name, base)).manifest.base
    return found


def _rows_of(version: Published, run: Path) -> Path:
    """Return the folder with the rows of a version, each shard compared with its manifest; brought here from a URL.

    Raises:
        DamageError: a shard is not what the manifest names.
    """
    shards = version.manifest.shards("sft")
    if version.folder is not None:
        for shard in shards:
            version.check(shard)
        return version.folder / "data" / "sft"
    folder = run / EARLIER / str(version.manifest.version)
    for shard in shards:
        file, wanted = folder / Path(shard).name, version.manifest.files[shard].sha256
        if file.is_file() and sha256(file) == wanted:
            continue
        with publish(file) as half:
            version.catalogue.files.get_file(f"{version.root}/{shard}", str(half))
            if sha256(half) != wanted:
                raise version.damaged(shard)
    return folder


def _held_against(recipe: Recipe, files: Sequence[Path]) -> Recipe:
    """Return the recipe with the texts of `files` among those that count as earlier.

    Raises:
        BadInputError: no gate of it compares with earlier texts.
    """
    data = recipe.model_dump(mode="json")
    gates = [gate for stage in data["stages"] for gate in stage["gates"] if "against" in gate]
    if not gates:
        msg = f"no gate of the recipe {recipe.name} tells what is near to earlier rows"
        raise BadInputError(
            msg, remedy="a dataset that grows needs the gate `rouge` at bootstrap: publish one that has it"
        )
    for gate in gates:
        gate["against"] = [*gate["against"], *map(str, files)]
    return recipes.build(data)


def _tell_forgotten(recipe: Recipe, base: Published) -> None:
    """Warn when the base was held against texts that this night is not: nobody knows any more where those lay."""
    inputs = [gate.inputs() for stage in recipe.stages for gate in stage.gates]
    if lost := set(base.manifest.against).difference(*(one.values() for one in inputs)):
        log.warning(
            "%s was also held against %d file(s) that are not given now, or were changed: their texts do not count "
            "(--against FILE, again each night)",
            base.manifest.ref,
            len(lost),
        )
