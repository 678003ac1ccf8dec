"""Finds the class behind a `kind`: the one public class of `<folder>/<kind>.py`, or `package.module:Class`.

There is no registry to edit: a new file is a new kind.
"""

from __future__ import annotations

import importlib
import inspect
import re
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from selfinstruct.errors import BadInputError


def resolve(kind: object, base: type[Any], *, folders: tuple[str, ...]) -> type[Any]:
    """Return the subclass of `base` that `kind` names.

    Raises:
        BadInputError: no such kind (names the nearest), or it is not a `base`.
    """
    if not isinstance(kind, str) or not re.fullmatch(r"[\w.]+(:\w+)?", kind):
        msg = f"kind {str(kind)[:80]!r} is not a name"
        raise BadInputError(msg, remedy=f"one of: {', '.join(known(folders))}; or package.module:Class")
    found = _outside(kind) if ":" in kind else _inside(kind, folders)
    if not (isinstance(found, type) and issubclass(found, base)):
        msg = f"{kind} is not a {base.__name__}"
        raise BadInputError(msg, remedy=f"one of: {', '.join(known(folders))}")
    return found


def known(folders: tuple[str, ...]) -> list[str]:
    """Return the kinds that live in these folders of the package."""
    here = Path(__file__).parent
    files = (path for folder in folders for path in (here / folder).glob("*.py"))
    return sorted(path.stem for path in files if not path.stem.startswith("_") and path.stem not in {"base", "probe"})


def public_classes(module: ModuleType) -> list[type]:
    """Return the public classes that a module defines itself; pydantic leaves its parametrised ones there too."""
    classes = inspect.getmembers(module, inspect.isclass)
    return [
        one for name, one in classes if name.isidentifier() and name[0] != "_" and one.__module__ == module.__name__
    ]


def _inside(kind: str, folders: tuple[str, ...]) -> object:
    for folder in folders:
        if kind in known((folder,)):
            return public_classes(importlib.import_module(f"selfinstruct.{folder}.{kind}"))[0]
    near = get_close_matches(kind, known(folders), n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    msg = f"no {folders[0].rstrip('s')} of kind {kind!r}"
    raise BadInputError(msg, remedy=f"{hint}known: {', '.join(known(folders))}")


def _outside(kind: str) -> object:
    module, _, name = kind.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        msg = f"cannot load {kind}: {error}"
        raise BadInputError(msg, remedy="install the package that has it, or correct the name") from error
