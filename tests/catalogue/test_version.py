"""A manifest is read by one function, whatever it comes through: a newer one is told as newer, and all else as damage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from selfinstruct.catalogue.place import Catalogue
from selfinstruct.catalogue.version import MANIFEST, ref
from selfinstruct.download import open_source
from selfinstruct.errors import BadInputError, DamageError, SelfInstructError
from tests.support.file_server import serving
from tests.support.hand_made import publish_files

ODD: dict[str, tuple[dict[str, Any], type[SelfInstructError], str]] = {
    "newer": ({"format": 2}, BadInputError, "a manifest of format 2, this version reads up to 1"),
    "newer and other": ({"format": 2, "wings": True}, BadInputError, "a manifest of format 2, this version reads up to 1"),
    "unknown": ({"wings": True}, DamageError, "no readable manifest"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_a_manifest_that_cannot_be_read_is_told_alike(kind: str, tmp_path: Path) -> None:
    """In a catalogue, in one to download from, and in one that is served: one error, one reason, and what helps."""
    catalogue = publish_files(tmp_path, {"recipe.yaml": b"a: 1\n"})
    changes, error, what = ODD[kind]
    with serving(catalogue) as server:
        path = tmp_path / "tiny/1" / MANIFEST
        server.manners.manifest = lambda body: json.dumps({**json.loads(body), **changes}).encode()
        with pytest.raises(error, match=what):
            open_source(server.url, ref("tiny"))
        path.write_bytes(server.manners.manifest(path.read_bytes()))
    for ask in (lambda: open_source(str(tmp_path), ref("tiny")), lambda: Catalogue(str(tmp_path)).version(ref("tiny"))):
        with pytest.raises(error, match=what) as told:
            ask()
        assert ("a later selfinstruct" in told.value.remedy) == (error is BadInputError)
        assert str(path) in str(told.value)
