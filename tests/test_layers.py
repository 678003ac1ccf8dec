"""Imports point down only, and nothing heavy is loaded by accident."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from selfinstruct import kinds
from selfinstruct.stage import Exporter, Gate, Stage

PACKAGE = Path(__file__).parent.parent / "selfinstruct"

LAYERS = [
    {"errors"},
    {"families", "files"},
    {"text"},
    {"pictures"},
    {"records"},
    {"rubrics", "prompts", "store", "seeds", "pool", "tables", "engines"},
    {"stage", "kinds", "slots", "price", "pace", "serving"},
    {"judged", "datafile"},
    {"pairing"},
    {"stages", "gates", "judges", "exporters", "runner", "ledger"},
    {"recipe"},
    {"runs", "formats"},
    {"judging", "split", "exported"},
    {"export"},
    {"verify", "pipeline", "dataset", "dedupe", "census", "novelty", "forecast", "doctor"},
    {"figures"},
    {"catalogue"},
    {"extend", "download"},
    {"working", "nightly"},
    {"console"},
    {"viewer"},
    {"cli"},
    {"__main__"},
]
HEAVY = {
    "prefect",
    "datasets",
    "torch",
    "vllm",
    "pandas",
    "nltk",
    "sqlalchemy",
    "aiohttp",
    "pyarrow",
    "starlette",
    "uvicorn",
}


def _layer(name: str) -> int:
    return next(level for level, names in enumerate(LAYERS) if name in names)


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("selfinstruct"):
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return found - {"__version__"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    """A module imports from its own folder or from a lower layer."""
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if name == "__init__":
        return
    for other in _imports(path) - {name}:
        assert _layer(other) < _layer(name), f"{name} imports {other}"


def _loaded(code: str) -> set[str]:
    script = f"import sys, json; {code}; print(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_is_light() -> None:
    """`import selfinstruct` loads nothing heavy, not even pydantic."""
    assert not _loaded("import selfinstruct") & (HEAVY | {"pydantic", "typer", "rich"})


def test_help_is_light() -> None:
    """`selfinstruct --help` loads typer and rich only."""
    code = "from typer.testing import CliRunner; from selfinstruct.cli import app; CliRunner().invoke(app, ['--help'])"
    assert not _loaded(code) & (HEAVY | {"pydantic", "jinja2"})


def test_the_package_never_imports_prefect() -> None:
    """Prefect stays in flows/: the command line must start in a fraction of the time that its import takes."""
    for path in PACKAGE.rglob("*.py"):
        assert "prefect" not in {alias.split(".")[0] for alias in _all_imports(path)}, path


def _all_imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize(
    ("base", "folder"),
    [(Stage, "stages"), (Stage, "judges"), (Gate, "gates"), (Exporter, "exporters")],
)
def test_one_public_class_per_file(base: type, folder: str) -> None:
    """The file name is the name: each module of a kind defines exactly one public class, of the right base."""
    for kind in kinds.known((folder,)):
        found = kinds.resolve(kind, base, folders=(folder,))
        assert kinds.public_classes(sys.modules[found.__module__]) == [found]
        assert found.model_fields["kind"].default == kind
