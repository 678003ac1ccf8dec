"""The prompt that a row's instruction came from, put together again: a version keeps what was shown, not the prompt itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import TemplateError

from selfinstruct import prompts
from selfinstruct.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Sequence


def prompt(recipe: dict[str, Any], shown: Sequence[str]) -> str:
    """Return the prompt of the bootstrap stage of `recipe` with these tasks; empty where one is unknown, or the recipe is."""
    stages = recipe.get("stages")
    found = (
        [one for one in stages if isinstance(one, dict) and one.get("kind") == "bootstrap"]
        if isinstance(stages, list)
        else []
    )
    if not shown or not all(shown) or not found:
        return ""
    stage = found[0]
    name, form, language = stage.get("prompt"), stage.get("format"), stage.get("language") or recipe.get("language")
    if not (isinstance(name, str) and name.isidentifier() and form != "blocks" and language in KNOWN):
        return ""
    texts = [" ".join(text.split()).rstrip(":") for text in shown]  # as bootstrap.py shows them
    try:
        return prompts.render(name, language=str(language), demonstrations=texts, count=stage.get("count"), form=form)
    except (TemplateError, BadInputError, TypeError, ValueError):
        return ""  # a prompt of another selfinstruct


KNOWN = frozenset(path.name for path in prompts.FOLDER.iterdir() if path.is_dir() and not path.name.startswith("_"))
"""Languages of the prompts: a recipe may come from anywhere, and is no part of a path."""
