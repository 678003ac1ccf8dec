"""What a version is: its name, its manifest, its views. Knows no file system."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import from_json

from selfinstruct.errors import LATER, BadInputError, DamageError
from selfinstruct.records import Frozen
from selfinstruct.text.show import printable

FORMAT = 1
"""Version of the layout in `catalogue/__init__.py`; a catalogue of a newer one is refused."""
NAME = r"[a-z0-9][a-z0-9._-]{0,63}"
"""What a dataset may be called: it becomes a folder, a part of a URL and a repository of the Hub."""
ALL = "all"
"""What a dataset may not be called: on a command line it means every one."""
MANIFEST, CARD, RECIPE, FIGURES = "manifest.json", "README.md", "recipe.yaml", "figures.json"
CROISSANT, AUDIT, DIFF = "croissant.json", ("audit.json", "audit.md"), ("diff.json", "diff.md")
VIEWS: dict[str, dict[str, str]] = {
    "sft": {
        "id": "string",
        "instruction": "string",
        "input": "string",
        "output": "string",
        "reasoning": "string",
        "is_classification": "bool",
        "score": "float64",
        "raw_score": "float64",
        "model": "string",
        "judge": "string",
        "flags": "string",
        "version": "int32",
    },
    "preference": {
        "id": "string",
        "row": "string",
        "instruction": "string",
        "input": "string",
        "chosen": "string",
        "rejected": "string",
        "score_chosen": "float64",
        "score_rejected": "float64",
        "verdicts": "string",
        "version": "int32",
    },
    "dropped": {
        "id": "string",
        "stage": "string",
        "rule": "string",
        "figure": "string",
        "threshold": "string",
        "text": "string",
        "evidence": "string",
        "version": "int32",
    },
    "seeds": {
        "id": "string",
        "name": "string",
        "instruction": "string",
        "instances": "string",
        "is_classification": "bool",
        "version": "int32",
    },
    "lineage": {"id": "string", "lineage": "string", "version": "int32"},
}
"""View -> column -> Arrow type. `version` is the one that a row came with; `row` of a pair is the id of its SFT row's parent, an
instance; `flags` and `verdicts` are joined by commas; `instances`, `evidence` and `lineage` are JSON; `lineage` has what
`runs.lineage` gives for the row of that id."""


class Ref(NamedTuple):
    """NAME, or NAME@VERSION."""

    name: str
    version: int | None = None

    def __str__(self) -> str:
        """As it is written on a command line."""
        return self.name if self.version is None else f"{self.name}@{self.version}"


def ref(text: str) -> Ref:
    """Read NAME or NAME@VERSION.

    Raises:
        BadInputError: it is neither.
    """
    found = re.fullmatch(rf"({NAME})(?:@v?([1-9][0-9]{{0,8}}))?", text, re.ASCII)
    if found is None:
        msg = f"{printable(text, longest=80)!r} is not the name of a dataset"
        raise BadInputError(
            msg, remedy="a-z, 0-9, dot, dash, underscore, at most 64; NAME or NAME@3 for its third version"
        )
    return Ref(found[1], int(found[2]) if found[2] else None)


class File(Frozen):
    """One file of a version."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]
    rows: int | None = None
    """Of a shard."""


class Licences(Frozen):
    """Terms of what a dataset was made with and of itself: SPDX names, or a few words. Who publishes says them."""

    dataset: str
    writers: dict[str, str]
    """Model -> its licence."""
    judges: dict[str, str]
    seeds: str = ""
    """Of the tasks that all others grew from; empty where none did."""
    source: str = ""
    """Of the rows that were given, where rows were not grown but judged; empty elsewhere."""


class Version(Frozen):
    """The manifest of a version."""

    format: int = FORMAT
    name: Annotated[str, Field(pattern=f"^{NAME}$")]
    version: Annotated[int, Field(ge=1)]
    created: str
    """UTC, ISO 8601, to the second."""
    base: int | None = None
    """The version whose rows all stand in this one, too; None where it stands alone."""
    rows: dict[str, int]
    """View -> rows."""
    added: dict[str, int]
    """View -> rows that came with this version."""
    files: dict[str, File]
    """Path inside of the version -> file; the manifest itself is not among them."""
    licences: Licences
    recipe: str
    """Digest of everything that decides what the last run made."""
    inputs: dict[str, str] = Field(default_factory=dict)
    """What that run depended on beside its recipe: models, digests of prompts and seeds, by name."""
    against: tuple[str, ...] = ()
    """sha256 of every file whose texts counted as earlier in that run: the shards of earlier versions, and others."""
    changed: tuple[str, ...] = ()
    """What was made otherwise than in `base`, a line each: it was published as a new lineage."""
    ended: str = "filled"
    """How that run ended: filled, exhausted, collapsed, at a cap on time, tokens or cost, or interrupted ..."""
    ordered: int = 0
    """... and how many rows it was asked for."""
    language: str
    trial: bool = False
    """Made by the scripted engine, for trying out: never sent to the Hub."""
    cut: dict[str, float] | None = None
    """Thresholds that were asked for instead of the run's own (`refilter`); None for its own."""
    made_by: str
    """Version of selfinstruct."""

    @field_validator("files")
    @classmethod
    def _inside(cls, files: dict[str, File]) -> dict[str, File]:
        """A manifest may come from anywhere: no path leaves the version's folder."""
        for name in files:
            if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*", name, re.ASCII):
                msg = f"{name!r} is no path inside of a version"
                raise ValueError(msg)
        return files

    @model_validator(mode="after")
    def _older(self) -> Self:
        """Who follows bases comes to an end."""
        if self.base is not None and not 1 <= self.base < self.version:
            msg = f"version {self.version} cannot go on with version {self.base}"
            raise ValueError(msg)
        return self

    @property
    def ref(self) -> Ref:
        """Its name."""
        return Ref(self.name, self.version)

    def shards(self, view: str) -> list[str]:
        """Return the files of a view in order."""
        return sorted(name for name in self.files if name.startswith(f"data/{view}/"))


def read_manifest(text: bytes, where: str, *, remedy: str) -> Version:
    """Return the manifest that was read from `where`; `remedy` is what helps when it is none.

    Raises:
        BadInputError: of a newer format. DamageError: it is none.
    """
    try:
        raw = from_json(text)
        newer = raw["format"] if isinstance(raw, dict) and isinstance(raw.get("format"), int) else FORMAT
        if newer > FORMAT:  # looked at first: what else is new in it is no damage
            msg = f"{where}: a manifest of format {newer}, this version reads up to {FORMAT}"
            raise BadInputError(msg, remedy=LATER)
        return Version.model_validate(raw)
    except (ValueError, ValidationError) as error:
        msg = f"{where}: no readable manifest ({printable(' '.join(str(error).split()), longest=160)})"
        raise DamageError(msg, remedy=remedy) from None
