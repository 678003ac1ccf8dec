"""Runs of older versions: one made by the code of its time, and ones taken back to the older format."""

from __future__ import annotations

import gzip
import hashlib
import logging
from pathlib import Path

import pytest
import sqlalchemy as sa

from selfinstruct import export, runs
from selfinstruct.errors import BadInputError, SelfInstructError
from selfinstruct.store import migrations, open_run, read_run
from selfinstruct.store.place import find
from selfinstruct.store.schema import FORMAT, meta, pack
from selfinstruct.verify import verify
from tests.store.support import change, export_of, make

OLD = Path(__file__).parent / "format-3.db.gz"
"""`selfinstruct demo -n 3` as of commit 4ccdc12, vacuumed ..."""
EXPORTED = {
    "alpaca": "8a16edbc360906b9db0a1e7ad5b36ebe3b6d6f0117102a583a4e3758ba01508b",
    "dpo": "8295128fb747d46a86ff1fe0f9c3f7b44130337679ca846496273202f36d2382",
    "messages": "b9c2e345762b87fb5c2fa28467b6f9dd873fc818cfc00b180619fb4ad1c4e0d0",
}
"""... and the sha256 of what it exported then."""


def _format(folder: Path, number: int) -> None:
    """Have the run in `folder` say that it is of another format."""
    hold = find(folder).own()
    with hold.transaction() as connection:
        connection.execute(sa.delete(meta).where(meta.c.key == "format"))
        connection.execute(sa.insert(meta), [pack({"key": "format", "value": str(number)})])
    hold.release()


def _tables(folder: Path) -> set[str]:
    hold = find(folder).own()
    with hold.transaction() as connection:
        found = set(sa.inspect(connection).get_table_names())
    hold.release()
    return found


def test_a_run_of_format_3(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Made by the code of its time: read as it is, then brought up to date by its owner, and exported as it was then."""
    (tmp_path / "run.db").write_bytes(gzip.decompress(OLD.read_bytes()))
    assert runs.accepted_rows(tmp_path) == 3
    with read_run(tmp_path) as store:
        assert store.get_meta()["format"] == "3"
    with caplog.at_level(logging.WARNING):
        open_run(tmp_path).close()
    assert f"store format 3 became {FORMAT}" in caplog.text
    with read_run(tmp_path) as store:
        assert store.get_meta()["format"] == str(FORMAT)
    assert "leases" in _tables(tmp_path)
    assert list(verify(tmp_path)) == []
    with runs.open_stored(tmp_path) as stored:
        for form, digest in EXPORTED.items():
            export.export(stored, form, tmp_path / f"{form}.jsonl")
            assert hashlib.sha256((tmp_path / f"{form}.jsonl").read_bytes()).hexdigest() == digest


def test_an_older_run_goes_on(tmp_path: Path, url: str | None, wanted: dict[str, bytes]) -> None:
    """Begun in format 3, resumed today: the export of a run that never changed its format."""
    make(tmp_path / "run", url=url, rows=4)
    change(tmp_path / "run", "DROP TABLE leases")
    _format(tmp_path / "run", 3)
    assert list(verify(tmp_path / "run")) == []
    make(tmp_path / "run")
    assert export_of(tmp_path / "run") == wanted
    assert "leases" in _tables(tmp_path / "run")


def test_a_migration_is_whole_or_absent(tmp_path: Path, url: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fails in the middle leaves the tables and their format as they were; the next one goes through."""
    open_run(tmp_path, url=url).close()
    change(tmp_path, "DROP TABLE leases")
    _format(tmp_path, 3)
    step = migrations.MIGRATIONS[3]

    def half(connection: sa.Connection) -> None:
        step(connection)
        connection.execute(sa.text("SELECT 1 FROM nothing"))

    with monkeypatch.context() as patched:
        patched.setitem(migrations.MIGRATIONS, 3, half)
        with pytest.raises(SelfInstructError, match="nothing"):
            open_run(tmp_path)
    assert "leases" not in _tables(tmp_path)
    with read_run(tmp_path) as store:
        assert store.get_meta()["format"] == "3"
    open_run(tmp_path).close()
    assert "leases" in _tables(tmp_path)


@pytest.mark.parametrize(("number", "remedy"), [(FORMAT + 1, "install a later selfinstruct, from its repository"), (2, "the selfinstruct version that wrote it")])  # fmt: skip
def test_formats_that_cannot_be_read(tmp_path: Path, url: str | None, number: int, remedy: str) -> None:
    """A newer one and one too old: refused with what helps, for readers and owners; left as they are."""
    open_run(tmp_path, url=url).close()
    _format(tmp_path, number)
    with pytest.raises(BadInputError, match=f"store format {number}, this version writes {FORMAT}") as caught:
        open_run(tmp_path)
    assert remedy in caught.value.remedy
    with pytest.raises(BadInputError, match=f"store format {number}"), read_run(tmp_path):
        pass
