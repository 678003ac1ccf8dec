"""What may be asked of a flow: fields of the forms in Prefect's UI, held before a run exists. Knows no secret, and no flow.

Keys of model servers come from the worker's environment (SELFINSTRUCT_API_KEY). Prefect stores every parameter and shows it
to whoever opens the page of a run: what looks like a password in a URL is refused.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from selfinstruct import recipe as recipes
from selfinstruct import rubrics
from selfinstruct.catalogue.licences import parse
from selfinstruct.catalogue.version import NAME

RECIPES = [name for name in recipes.names() if name != "alpagasus"]
"""Shipped recipes that grow a dataset; the other one wants a file of rows."""
RUBRICS = rubrics.names()


class Form(BaseModel):
    """A form: what is not one of its fields is refused; the docstring under a field is its help."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


def _rubric(name: str) -> str:
    if name not in RUBRICS:
        msg = f"one of: {', '.join(RUBRICS)}"
        raise ValueError(msg)
    return name


def _shipped(name: str) -> str:
    if name not in RECIPES:
        msg = f"one of: {', '.join(RECIPES)}"
        raise ValueError(msg)
    return name


Name = Annotated[str, Field(pattern=f"^{NAME}$")]
Shipped = Annotated[str, AfterValidator(_shipped), Field(json_schema_extra={"enum": list(RECIPES)})]
Rubric = Annotated[str, AfterValidator(_rubric), Field(json_schema_extra={"enum": list(RUBRICS)})]
Url = Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+(/[^?#@\s]*)?$")]
"""A server; no user, password or token in it."""
UrlOrNone = Annotated[str, Field(pattern=r"^(https?://[^/?#@\s]+(/[^?#@\s]*)?)?$")]
"""The same, or nothing: an empty text, which the form shows as a plain field."""
Place = Annotated[str, Field(pattern=r"^[^@?\s][^@?]*$")]
"""A folder seen from the worker's working directory, or a URL of fsspec; no user, password or token in it."""
PlaceOrNone = Annotated[str, Field(pattern=r"^([^@?\s][^@?]*)?$")]
"""The same, or nothing."""
Setting = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*=[^@]*$")]
"""KEY=VALUE; what stands before an @ may be a password."""
Licence = Annotated[str, Field(pattern=r"^[^@]*[^@=\s][^@]*=[^@]*[^@=\s][^@]*$")]
"""KEY=LICENCE; names of models have slashes and colons."""


class Asking(Form):
    """What every flow that asks a model is asked."""

    base_url: Annotated[list[Url], Field(title="Model servers")] = []
    """OpenAI-compatible, for instance http://127.0.0.1:8000/v1; several share the calls. The recipe's when empty."""
    model: Annotated[str, Field(title="Model", max_length=200)] = ""
    """Found by itself when the server has one."""
    settings: Annotated[list[Setting], Field(title="Settings")] = []
    """Other fields of the recipe as in `--set`, for instance stages.respond.n=2."""
    guard: Annotated[str, Field(title="Guarded by", pattern=r"^[A-Za-z0-9_-]*$")] = ""
    """Global concurrency limit of which the run holds one slot while it asks the model, for instance vllm. It must exist."""
    folder: Annotated[Place, Field(title="Run folders")] = "runs"
    """Where run folders lie, seen from the worker's working directory."""

    @property
    def flags(self) -> dict[str, Any]:
        """Return the fields of a recipe that are said here."""
        return {"engines.writer.base_url": self.base_url or None, "engines.writer.model": self.model or None}


class Making(Asking):
    """What every flow that makes rows is asked."""

    add: Annotated[int, Field(title="Rows to add", ge=1, le=1_000_000)] = 1000
    """New rows, after every gate."""
    recipe: Annotated[Shipped, Field(title="Recipe")] = "chat"
    """Shipped recipe: how rows are made."""
    recipe_file: Annotated[PlaceOrNone, Field(title="Recipe file")] = ""
    """A recipe of your own that the worker can read, instead of a shipped one."""
    chunk: Annotated[int, Field(title="Rows per task", ge=1)] = 500
    """The page shows a task for so many rows."""

    @property
    def named(self) -> str:
        """Return the name or file of the recipe."""
        return self.recipe_file or self.recipe

    def load(self) -> recipes.Recipe:
        """Return the recipe with everything that is said here laid over it.

        Raises:
            BadInputError: as `recipe.load`.
        """
        return recipes.load(self.named, sets=self.settings, flags=self.flags)


class Publishing(Form):
    """What every flow that publishes a version is asked."""

    dataset: Annotated[Name, Field(title="Dataset")]
    """Name in the catalogue."""
    catalogue: Annotated[Place, Field(title="Catalogue")] = "catalogue"
    """Where datasets lie: a folder seen from the worker's working directory, or a URL of fsspec."""
    licences: Annotated[list[Licence], Field(title="Licences")] = []
    """KEY=LICENCE of dataset, writer, judge, seeds, or of a model by name; said once, it holds for later versions."""
    new_lineage: Annotated[bool, Field(title="New lineage")] = False
    """Allow a changed recipe or model; the version tells what was changed."""
    trial: Annotated[bool, Field(title="For trying out")] = False
    """The catalogue is for rows of the scripted engine, and is made when it is absent."""
    viewer: Annotated[UrlOrNone, Field(title="Viewer")] = ""
    """Where `selfinstruct view --serve` shows this catalogue; the page of the run then links to the version."""

    @property
    def said(self) -> dict[str, str]:
        """Return the licences that are said here.

        Raises:
            BadInputError: one is not of the form KEY=LICENCE.
        """
        return parse(self.licences)


class Cutting(Form):
    """What rows and pairs are held against, instead of a run's own thresholds."""

    min_score: Annotated[float, Field(title="Lowest score")]
    """Of a row, and of the chosen answer of a pair."""
    min_margin: Annotated[float | None, Field(title="Lowest margin of a pair", gt=0)] = None
    """The run's own when empty."""
    max_length_ratio: Annotated[float | None, Field(title="Largest ratio of lengths in a pair", gt=1)] = None
    """The run's own when empty."""
