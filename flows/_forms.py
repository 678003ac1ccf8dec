"""What may be asked of a flow: fields of the forms in Prefect's UI, held before a run exists. Knows no secret, and no flow.

Keys of model servers come from the worker's environment (SELFINSTRUCT_API_KEY). Prefect stores every parameter and shows it
to whoever opens the page of a run: what looks like a password in a URL is refused.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from selfinstruct import recipe as recipes
from selfinstruct.catalogue.version import NAME

RECIPES = [name for name in recipes.names() if name != "alpagasus"]
"""Shipped recipes that grow a dataset; the other one wants a file of rows."""


class Form(BaseModel):
    """A form: what is not one of its fields is refused; the docstring under a field is its help."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


def _shipped(name: str) -> str:
    if name not in RECIPES:
        msg = f"one of: {', '.join(RECIPES)}"
        raise ValueError(msg)
    return name


Name = Annotated[str, Field(pattern=f"^{NAME}$")]
Shipped = Annotated[str, AfterValidator(_shipped), Field(json_schema_extra={"enum": list(RECIPES)})]
Url = Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+(/[^?#@\s]*)?$")]
"""A server; no user, password or token in it."""
Place = Annotated[str, Field(pattern=r"^[^@?\s][^@?]*$")]
"""A folder seen from the worker's working directory, or a URL of fsspec; no user, password or token in it."""
Setting = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*=[^@]*$")]
"""KEY=VALUE; what stands before an @ may be a password."""


class Making(Form):
    """What every flow that makes rows is asked."""

    add: Annotated[int, Field(title="Rows to add", ge=1, le=1_000_000)] = 1000
    """New rows, after every gate."""
    recipe: Annotated[Shipped, Field(title="Recipe")] = "chat"
    """Shipped recipe; how rows are made."""
    recipe_file: Annotated[Place | None, Field(title="Recipe file")] = None
    """A recipe of your own that the worker can read, instead of a shipped one."""
    base_url: Annotated[list[Url], Field(title="Model servers")] = []
    """OpenAI-compatible, for instance http://127.0.0.1:8000/v1; several share the calls. The recipe's when empty."""
    model: Annotated[str | None, Field(title="Model", max_length=200)] = None
    """Found by itself when the server has one."""
    settings: Annotated[list[Setting], Field(title="Settings")] = []
    """Other fields of the recipe as in `--set`, for instance stages.respond.n=2."""
    guard: Annotated[str, Field(title="Guarded by", pattern=r"^[A-Za-z0-9_-]*$")] = ""
    """Global concurrency limit of which this run holds one slot while it asks the model, for instance vllm. It must exist."""
    chunk: Annotated[int, Field(title="Rows per task", ge=1)] = 500
    """A task on the page for so many rows."""

    def load(self) -> recipes.Recipe:
        """Return the recipe with everything that is said here laid over it.

        Raises:
            BadInputError: as `recipe.load`.
        """
        flags = {"engines.writer.base_url": self.base_url or None, "engines.writer.model": self.model}
        return recipes.load(self.recipe_file or self.recipe, sets=self.settings, flags=flags)
