"""Forms, retries and chunks of the flows, without a server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect.states import Failed
from prefect.utilities.callables import parameter_schema
from pydantic import ValidationError

from selfinstruct.errors import BadInputError, NoRoomError, UnreachableError

sys.path.insert(
    0, str(Path(__file__).parent.parent.parent / "flows")
)  # as Prefect does when it loads a flow from its file

import _work
import curate
import extend
import generate
import publish
from _forms import Making, Publishing

FLOWS: dict[str, Any] = {
    "extension": extend.extend,
    "generation": generate.generate,
    "publication": publish.publish,
    "curation": curate.curate,
}


@pytest.mark.parametrize("name", FLOWS)
def test_every_field_of_a_form_has_a_title_and_help(name: str) -> None:
    """Prefect's UI shows a form that explains itself, with lists to choose from."""
    schema = parameter_schema(FLOWS[name]).model_dump()
    [form] = [one for title, one in schema["definitions"].items() if title == name.capitalize()]
    fields: dict[str, Any] = form["properties"]
    assert all(len(one["description"]) > 10 for one in fields.values()), fields
    assert all(one["title"][0].isupper() for one in fields.values())
    assert not {"api_key", "key", "token", "password"} & set(fields)
    choices = {field: one["enum"] for field, one in fields.items() if "enum" in one}
    assert choices.keys() >= {"extension": {"recipe"}, "generation": {"recipe"}, "curation": {"rubric"}}.get(
        name, set()
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_url", ["http://me:pw@host/v1"]),
        ("base_url", ["http://host/v1?key=pw"]),
        ("base_url", ["file:///etc/passwd"]),
        ("settings", ["engines.writer.base_url=http://me:pw@host/v1"]),
        ("recipe", "alpagasus"),
        ("recipe_file", "https://me:pw@host/recipe.yaml"),
        ("folder", ""),
        ("add", 0),
        ("guard", "a b"),
        ("unknown", 1),
    ],
)
def test_what_is_wrong_or_secret_is_refused(field: str, value: object) -> None:
    """Each field by its name."""
    with pytest.raises(ValidationError) as caught:
        Making.model_validate({field: value})
    assert json.loads(caught.value.json())[0]["loc"][0] == field


def test_licences_may_be_said_of_models_by_name() -> None:
    """Names of models have slashes and colons; what is no KEY=LICENCE, or could be a password, is refused."""
    said = {"dataset": "cc-by-4.0", "Qwen/Qwen2.5-0.5B-Instruct": "apache-2.0", "llama3:8b": "a few words"}
    form = Publishing(dataset="x", licences=[f"{key}={value}" for key, value in said.items()])
    assert form.said == said
    for wrong in ("mit", "=mit", "dataset=", "me:pw@host=mit"):
        with pytest.raises(ValidationError, match="licences"):
            Publishing(dataset="x", licences=[wrong])


def test_only_what_passes_is_tried_again() -> None:
    """A server that is away and a full disk pass; bad input does not."""
    again = _work.AGAIN["retry_condition_fn"]
    kinds = {UnreachableError: True, NoRoomError: True, BadInputError: False}
    for kind, wanted in kinds.items():

        def fail(kind: type[Exception] = kind) -> None:
            raise kind("so it is")

        state = _work.attempt(fail)
        assert state is not None
        assert again(None, None, state) is wanted
    assert not again(None, None, Failed(message="anything else"))
