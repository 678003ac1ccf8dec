"""What the tests of workers share: a real PostgreSQL, and the run that one process makes alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.killing import Server
from tests.support.postgres import postgres
from tests.workers.support import Books, books, lead

__all__ = ["postgres"]


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Books:
    """The books of the run that the tests repeat with workers, kept by one process in a file."""
    folder: Path = tmp_path_factory.mktemp("alone")
    with Server(folder / "log.jsonl", latency_ms=1) as server, lead(server, folder / "run") as process:
        _, told = process.communicate(timeout=120)
        assert process.returncode == 0, told
    return books(folder / "run")
