"""Recipe: the one configuration of a run. Defaults < file < environment < --set < flags; saved resolved.

Knows which keys change what a run makes and which only change how it is carried out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, InstanceOf, SerializeAsAny, ValidationError

from selfinstruct import kinds
from selfinstruct.engines.base import Engine
from selfinstruct.errors import BadInputError
from selfinstruct.records import Frozen, Row
from selfinstruct.slots import MOST
from selfinstruct.stage import Exporter, Gate, Stage, stage_parents
from selfinstruct.text.show import printable

FOLDER = Path(__file__).parent / "recipes"
STAGES, GATES, ENGINES, EXPORTERS = ("stages", "judges"), ("gates",), ("engines",), ("exporters",)
ALIASES = {"base_url": "engines.writer.base_url", "model": "engines.writer.model"}
"""Short names for --set and the environment."""

FREE = frozenset({"n", "concurrency", "exports", "about"})
"""Keys that may change between two calls of one run: they do not touch what a request gives."""


class StopRule(Frozen):
    """When the yield has collapsed."""

    requests: Annotated[int, Field(ge=1)] = 30
    """Look at so many of the latest requests, in request order ..."""
    rows: Annotated[int, Field(ge=0)] = 3
    """... and stop when they gave fewer rows than this, 0 for never, ..."""
    novel: Annotated[float, Field(ge=0, le=1)] = 0.0
    """... or when fewer than this share of their candidates passed the novelty gate. `selfinstruct novelty RUN` shows it."""


class Recipe(Frozen):
    """Engines, stages and exports of a run."""

    name: str
    """Name of the recipe."""
    about: str = ""
    """What it is for, in a sentence."""
    language: str = "en"
    """Folder of the prompts."""
    seeds: str = "en"
    """A shipped set (`en`), or a JSONL file in the published schema."""
    seed: Annotated[int, Field(ge=0)] = 42
    """Seed of everything drawn here; the published generation uses 42."""
    n: Annotated[int, Field(ge=1)] = 100
    """Rows wanted, after every gate."""
    concurrency: Literal["auto"] | Annotated[int, Field(ge=1, le=MOST)] = "auto"
    """Answers under way at once (a call for four counts four); auto finds what keeps the servers full."""
    engines: dict[str, SerializeAsAny[InstanceOf[Engine]]]
    """By name; `writer` is used for every name a stage asks for that is not here."""
    stages: tuple[SerializeAsAny[InstanceOf[Stage[Any, Any]]], ...]
    """In order; each reads what an earlier one writes."""
    exports: tuple[str, ...] = ()
    """Formats written into the run folder when a run ends."""
    stop: StopRule = StopRule()
    """When to stop because nothing new comes any more."""

    @property
    def scripted(self) -> bool:
        """Whether a scripted engine answers."""
        return any(engine.scripted for engine in self.engines.values())

    def changes(self, other: Recipe) -> list[str]:
        """Return a line for each field that differs and matters: `field: old -> new`."""
        old, new = _flat(self.essence()), _flat(other.essence())
        lost = object()
        return [
            f"{key}: {_shown(old.get(key))} -> {_shown(new.get(key))}"
            for key in sorted(old.keys() | new.keys())
            if old.get(key, lost) != new.get(key, lost)
        ]

    def essence(self) -> dict[str, Any]:
        """Return the fields that decide what a run makes, stages by label."""
        data = {key: value for key, value in self.model_dump(mode="json").items() if key not in FREE}
        data["stages"] = {stage.label: stage.essence() for stage in self.stages}
        for name, engine in self.engines.items():
            dumped = data["engines"][name]
            data["engines"][name] = {key: value for key, value in dumped.items() if key not in engine.operational}
        return data


def names() -> list[str]:
    """Return the names of the shipped recipes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def text(recipe: str) -> str:
    """Return a recipe file as it is written.

    Raises:
        BadInputError: there is none.
    """
    return _find(recipe).read_text(encoding="utf-8")


def schema() -> dict[str, Any]:
    """Return the JSON schema of a recipe, and of every kind of stage, gate and engine that is shipped."""
    found: dict[str, Any] = {"recipe": Recipe.model_json_schema(mode="serialization")}
    bases: tuple[tuple[type[Any], tuple[str, ...]], ...] = ((Stage, STAGES), (Gate, GATES), (Engine, ENGINES))
    for base, folders in bases:
        for kind in kinds.known(folders):
            model = kinds.resolve(kind, base, folders=folders)
            found[f"{base.__name__.lower()} {kind}"] = model.model_json_schema(mode="serialization")
    return found


def load(
    recipe: str = "chat",
    *,
    environment: Mapping[str, str] | None = None,
    sets: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    called: str | None = None,
) -> Recipe:
    """Read a shipped recipe by name, or a file, and lay environment, `k=v` settings and flags over it.

    `called` is what messages call it, where the file is not the user's.

    Raises:
        BadInputError: missing file, unknown key (names the nearest), value of the wrong type or out of range.
    """
    path = _find(recipe)
    data, lines = _read(path)
    for source, key, value in _overrides(os.environ if environment is None else environment, sets):
        _put(data, key, value, source=source)
    for key, value in (flags or {}).items():
        if value is not None:
            _put(data, key, value, source="flag")
    return build(data, source=called or str(path), lines={} if called else lines)


def _find(recipe: str) -> Path:
    path = FOLDER / f"{recipe}.yaml" if recipe in names() else Path(recipe)
    if not path.is_file():
        near = get_close_matches(recipe, names(), n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        msg = f"no recipe {recipe!r}: neither a shipped name nor a file"
        raise BadInputError(msg, remedy=f"{hint}shipped: {', '.join(names())}")
    return path


def build(data: dict[str, Any], *, source: str = "recipe", lines: Mapping[str, int] | None = None) -> Recipe:
    """Make a recipe from plain data (a file's, or a stored run's).

    Raises:
        BadInputError: as `load`.
    """
    place = _Place(source, lines or {})
    data = dict(data)
    engines = data.get("engines")
    stages = data.get("stages")
    if not isinstance(engines, Mapping) or "writer" not in engines or not isinstance(stages, Sequence):
        msg = f"{source}: a recipe needs `engines` with a `writer`, and a list of `stages`"
        raise BadInputError(msg, remedy="start from one: selfinstruct recipe show chat > mine.yaml")
    data["engines"] = {
        name: _make(Engine, value, ENGINES, place.at(f"engines.{name}")) for name, value in engines.items()
    }
    data["stages"] = [_stage(value, place.at(f"stages.{position}")) for position, value in enumerate(stages)]
    recipe: Recipe = _validate(Recipe, data, place)
    parents = stage_parents(recipe.stages)
    rows = [stage.label for stage in recipe.stages if stage.writes() is Row]
    if len(rows) != 1 or list(parents.values()).count(None) != 1:
        msg = f"{source}: a recipe needs one stage that starts from requests and one that writes rows"
        raise BadInputError(msg, remedy="begin with `bootstrap` and have one `select`")
    _check_thresholds(recipe, place)
    _check_answers(recipe, place)
    for exporter in recipe.exports:
        kinds.resolve(exporter, Exporter, folders=EXPORTERS)
    for position, stage in enumerate(recipe.stages):
        if absent := [name for name in stage.named() if name not in recipe.engines]:
            msg = f"{place.name(f'stages.{position}')}: no engine is called {absent[0]!r}"
            raise BadInputError(msg, remedy=f"there are: {', '.join(recipe.engines)}; add it under `engines`")
    wanted = {name for stage in recipe.stages for name in stage.engines()}
    missing = dict.fromkeys(sorted(wanted - recipe.engines.keys()), recipe.engines["writer"])
    return recipe.model_copy(update={"engines": {**recipe.engines, **missing}})


def _check_thresholds(recipe: Recipe, place: _Place) -> None:
    """Raise when a score is compared with one that no judge of the recipe can give, or unlike scales would be averaged."""
    judges = [(stage.label, stage.scale) for stage in recipe.stages if stage.scale is not None]
    if not judges:
        return
    (first, (lowest, highest)), *others = judges
    for label, scale in others:
        if scale != (lowest, highest):
            ranges = f"{first} judges from {lowest:g} to {highest:g}, {label} from {scale[0]:g} to {scale[1]:g}"
            msg = f"{place.name('stages')}: {ranges}"
            raise BadInputError(
                msg, remedy="an answer's score is the mean of its judges': give them rubrics of one scale"
            )
    for position, stage in enumerate(recipe.stages):
        where = place.at(f"stages.{position}")
        for field, value in stage.thresholds().items():
            if not lowest <= value <= highest:
                msg = f"{where.name(field)}: {value:g} is outside of the judge's scale"
                raise BadInputError(msg, remedy=f"a score from {lowest:g} to {highest:g}")
        for field, value in stage.margins().items():
            if not 0 < value <= highest - lowest:
                msg = f"{where.name(field)}: no two scores from {lowest:g} to {highest:g} differ by {value:g}"
                raise BadInputError(msg, remedy=f"a margin above 0, at most {highest - lowest:g}")


def _check_answers(recipe: Recipe, place: _Place) -> None:
    """Raise when more answers are written than a judge can take in one call: that is known before they are paid for."""
    written = max(stage.answers() for stage in recipe.stages)
    for position, stage in enumerate(recipe.stages):
        taken = stage.takes()
        if taken is not None and written > taken:
            msg = f"{place.name(f'stages.{position}')}: {stage.label} judges {taken} answers in one call, {written} are written"
            raise BadInputError(msg, remedy="lower n of the stage that responds, or judge each by `kind: rubric`")


class _Place:
    """Where in which file a value stands."""

    def __init__(self, source: str, lines: Mapping[str, int], prefix: str = "") -> None:
        self.source, self.lines, self.prefix = source, lines, prefix

    def at(self, prefix: str) -> _Place:
        return _Place(self.source, self.lines, f"{self.prefix}.{prefix}".lstrip("."))

    def name(self, key: str) -> str:
        full = f"{self.prefix}.{key}".strip(".")
        known = full
        while known and known not in self.lines:
            known = known.rpartition(".")[0]
        line = f" line {self.lines[known]}" if known else ""
        return f"{self.source}{line}, {full}" if full else f"{self.source}{line}"


def _stage(value: Any, place: _Place) -> Stage[Any, Any]:  # noqa: ANN401
    value = dict(value) if isinstance(value, Mapping) else value
    if isinstance(value, dict) and isinstance(value.get("gates"), Sequence):
        gates = enumerate(value["gates"])
        value["gates"] = [_make(Gate, gate, GATES, place.at(f"gates.{position}")) for position, gate in gates]
    made: Stage[Any, Any] = _make(Stage, value, STAGES, place)
    return made


def _make(base: type[Any], value: Any, folders: tuple[str, ...], place: _Place) -> Any:  # noqa: ANN401
    if isinstance(value, base):
        return value
    if not isinstance(value, Mapping):
        msg = f"{place.name('')}: {str(value)[:60]!r} is not a mapping with a `kind`"
        raise BadInputError(msg, remedy=f"kinds: {', '.join(kinds.known(folders))}")
    try:
        found = kinds.resolve(value.get("kind"), base, folders=folders)
    except BadInputError as error:
        msg = f"{place.name('kind')}: {error}"
        raise BadInputError(msg, remedy=error.remedy) from None
    return _validate(found, dict(value), place)


def _validate(model: type[BaseModel], data: dict[str, Any], place: _Place) -> Any:  # noqa: ANN401
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        near = get_close_matches(str(first["loc"][-1]), model.model_fields, n=1) if first["loc"] else []
        unknown = first["type"] == "extra_forbidden"
        what = "unknown key" if unknown else f"{first['msg']}, got {_shown(first['input'])}"
        msg = f"{place.name(key)}: {what}"
        hint = f"did you mean {near[0]!r}?" if near and unknown else "selfinstruct recipe schema shows every field"
        raise BadInputError(msg, remedy=hint) from None


def _read(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    from ruamel.yaml import YAML  # noqa: PLC0415 - wanted only when a file is read
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    try:
        text = path.read_text(encoding="utf-8-sig")
        data = YAML(typ="rt").load(text)
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        msg = f"cannot read recipe {path}: {' '.join(str(error).split())[:300]}"
        raise BadInputError(msg, remedy="selfinstruct recipe validate FILE") from None
    if not isinstance(data, Mapping):
        msg = f"{path}: not a mapping"
        raise BadInputError(msg, remedy="start from one: selfinstruct recipe show chat > mine.yaml")
    lines: dict[str, int] = {}
    return _plain(data, "", lines), lines


def _plain(value: Any, place: str, lines: dict[str, int]) -> Any:  # noqa: ANN401
    """Turn ruamel's containers into plain ones, noting the line of every key."""
    if isinstance(value, Mapping):
        for key in value:
            if key in value.lc.data:  # type: ignore[attr-defined] # merged keys have no line
                lines[f"{place}.{key}".lstrip(".")] = value.lc.key(key)[0] + 1  # type: ignore[attr-defined]
        return {str(key): _plain(item, f"{place}.{key}".lstrip("."), lines) for key, item in value.items()}
    if isinstance(value, list):
        for position in range(len(value)):
            lines[f"{place}.{position}"] = value.lc.item(position)[0] + 1  # type: ignore[attr-defined]
        return [_plain(item, f"{place}.{position}", lines) for position, item in enumerate(value)]
    return value


def moved(data: Mapping[str, Any], base_url: Sequence[str]) -> dict[str, Any]:
    """Return a recipe as JSON data with other servers for the writer, and for every name that it answers for."""
    writer = data["engines"]["writer"]
    engines = {
        name: engine | {"base_url": list(base_url)} if engine == writer else engine
        for name, engine in data["engines"].items()
    }
    return {**data, "engines": engines}


PREFIX = "SELFINSTRUCT_"
_NOT_OURS = frozenset(
    {"api_key", "catalogue", "store", "vllm"}
)  # read by the part that needs them, secrets by nothing else


def _overrides(environment: Mapping[str, str], sets: Sequence[str]) -> list[tuple[str, str, Any]]:
    found = []
    for name in sorted(environment):
        key = name.removeprefix(PREFIX).lower().replace("__", ".")
        if name.startswith(PREFIX) and key not in _NOT_OURS and not key.endswith("_key"):
            found.append((f"environment variable {name}", key, _scalar(environment[name])))
    for setting in sets:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            msg = f"--set {setting!r} is not key=value"
            raise BadInputError(msg, remedy="for instance: --set stages.respond.n=2")
        found.append((f"--set {key.strip()}", key.strip(), _scalar(value)))
    return found


def _scalar(text: str) -> Any:  # noqa: ANN401
    from ruamel.yaml import YAML  # noqa: PLC0415
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return text


def _put(data: dict[str, Any], key: str, value: Any, *, source: str) -> None:  # noqa: ANN401
    """Set a dotted key; a stage or gate is named by its label or its position."""
    *path, last = ALIASES.get(key, key).split(".")
    place: Any = data
    for part in path:
        place = _enter(place, part, source=source)
    if isinstance(place, list):
        place[_position(place, last, source=source)] = value
    else:
        place[last] = value


def _enter(place: Any, part: str, *, source: str) -> Any:  # noqa: ANN401
    if isinstance(place, list):
        return place[_position(place, part, source=source)]
    inner = place.setdefault(part, {})
    if not isinstance(inner, dict | list):
        msg = f"{source}: {part!r} holds a value, not a group"
        raise BadInputError(msg, remedy="selfinstruct recipe schema shows every field")
    return inner


def _position(items: list[Any], part: str, *, source: str) -> int:
    labels = [str(item.get("name") or item.get("kind")) if isinstance(item, dict) else "" for item in items]
    if part in labels:
        return labels.index(part)
    if part.isdecimal() and int(part) < len(items):
        return int(part)
    near = get_close_matches(part, labels, n=1)
    msg = f"{source}: nothing is called {part!r} there"
    raise BadInputError(msg, remedy=f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(labels)}")


def _flat(value: Any, place: str = "") -> dict[str, Any]:  # noqa: ANN401
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        return {place: value}
    flat: dict[str, Any] = {}
    for key, item in items:
        flat |= _flat(item, f"{place}.{key}".lstrip("."))
    return flat


def _shown(value: object) -> str:
    return printable(repr(value), longest=60)
