"""What the tests of the store share: every kind of database, and the export that each of them must give."""

from __future__ import annotations

import pytest

from tests.store.support import export_of, make
from tests.support.postgres import Cluster, postgres

__all__ = ["postgres"]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """Where a new run's tables go; None is its folder."""
    for variable in ("SELFINSTRUCT_STORE", "PGPASSWORD"):
        monkeypatch.delenv(variable, raising=False)
    if request.param == "sqlite":
        return None
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.url()


@pytest.fixture(scope="session")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every file that an undisturbed run in SQLite exports."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    make(folder)
    return export_of(folder)
