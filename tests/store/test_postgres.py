"""What may happen to a server in the course of a run, and what it must never give away."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from selfinstruct.errors import BadInputError, Exit, NoRoomError, UnreachableError
from selfinstruct.pipeline import Progress
from selfinstruct.store import CallRow, RunStore, open_run, read_run, write
from selfinstruct.verify import verify
from tests.store.support import environment, export_of, make
from tests.support.postgres import SECRET, Cluster
from tests.support.running import command


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_restarts_costs_nothing(
    tmp_path: Path, postgres: Cluster, wanted: dict[str, bytes], caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    """Stopped or crashed in mid-run and started again: the run waits for it, loses nothing and doubles nothing."""
    folder = tmp_path / "run"
    moments = [10, 60]

    def watch(progress: Progress) -> None:
        if moments and progress.tally.calls >= moments[0]:
            moments.pop(0)
            postgres.stop(mode)
            postgres.start()

    with caplog.at_level(logging.WARNING):
        report = make(folder, url=postgres.url(), watch=watch)
    assert (report.exit_status, moments) == (Exit.DONE, [])
    assert "trying again for 60 s" in caplog.text
    assert export_of(folder) == wanted
    assert list(verify(folder)) == []


def test_a_server_that_stays_away_ends_the_run(
    tmp_path: Path, postgres: Cluster, wanted: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the stated time, as one to be resumed; and a look at it says that the server is away."""
    monkeypatch.setattr(write, "PATIENCE", 1.0)
    folder = tmp_path / "run"
    stopped: list[bool] = []

    def watch(progress: Progress) -> None:
        if progress.tally.calls > 20 and not stopped:
            postgres.stop()
            stopped.append(True)

    try:
        with pytest.raises(UnreachableError, match=f"{postgres.port}") as caught:
            make(folder, url=postgres.url(), watch=watch)
        looked = command("stats", folder)
    finally:
        postgres.start()
    assert caught.value.remedy.endswith(f"selfinstruct resume {folder}")
    assert looked.returncode == 3, looked.stderr
    make(folder)
    assert export_of(folder) == wanted


FULL = """CREATE FUNCTION "{0}".refuse() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END$$"""
REFUSE = 'CREATE TRIGGER refuse BEFORE INSERT ON "{0}".calls EXECUTE FUNCTION "{0}".refuse()'


def test_a_full_disk_at_the_server_ends_the_run(tmp_path: Path, postgres: Cluster, wanted: dict[str, bytes]) -> None:
    """With what the server says of a full disk, told as such; when there is room again, it goes on."""
    make(tmp_path / "run", url=postgres.url(), rows=2)
    schema = json.loads((tmp_path / "run/store.json").read_text())["schema"]
    postgres.sql(FULL.format(schema), database="runs", whole=True)
    postgres.sql(REFUSE.format(schema), database="runs")
    with pytest.raises(NoRoomError, match="No space left on device") as caught:
        make(tmp_path / "run")
    assert "make room at the server, then: selfinstruct resume" in caught.value.remedy
    postgres.sql(f'DROP FUNCTION "{schema}".refuse() CASCADE', database="runs")
    make(tmp_path / "run")
    assert export_of(tmp_path / "run") == wanted


def test_a_database_that_cannot_be_written(tmp_path: Path, postgres: Cluster) -> None:
    """One set read-only, one in which not every character can be said: told before anything is asked."""
    make(tmp_path / "run", url=postgres.url(), rows=2)
    postgres.sql("ALTER DATABASE runs SET default_transaction_read_only = on")
    try:
        with pytest.raises(NoRoomError, match="read-only") as caught:
            make(tmp_path / "run")
    finally:
        postgres.sql("ALTER DATABASE runs RESET default_transaction_read_only")
    assert "make the database writable" in caught.value.remedy
    postgres.sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(BadInputError, match="is in LATIN1"):
        open_run(tmp_path / "latin", url=postgres.url(database="latin"))
    assert not (tmp_path / "latin/store.json").exists()


def _row(number: int) -> CallRow:
    return CallRow(f"c{number}", "w", "respond", 0, "p", 1, 1, "{}")


def _drop_sessions(postgres: Cluster) -> None:
    postgres.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'runs'")


def test_who_lost_the_run_to_another_writes_no_more(tmp_path: Path, postgres: Cluster) -> None:
    """The connection breaks, another owner comes and goes: the first one's commit fails, though the lock is free again."""
    first = open_run(tmp_path / "first", url=postgres.url())
    first.append_call(_row(0))
    first.flush()
    (tmp_path / "second").mkdir()
    shutil.copy(tmp_path / "first/store.json", tmp_path / "second")
    with pytest.raises(BadInputError, match=r"in use by pid \d+ on .* since 20"):
        open_run(tmp_path / "second")
    _drop_sessions(postgres)
    second = open_run(tmp_path / "second")
    second.append_call(_row(1))
    second.close()
    first.append_call(_row(2))
    with pytest.raises(UnreachableError, match="took the run over"):
        first.flush()
    with pytest.raises(UnreachableError):
        first.append_call(_row(3))
    first.close()
    with read_run(tmp_path / "first") as store:
        assert {call for call, _, _ in store.answered()} == {"c0", "c1"}


def test_a_commit_whose_answer_is_lost_is_made_once(tmp_path: Path, postgres: Cluster) -> None:
    """It landed and the connection broke before anybody was told: the second try changes nothing."""
    store = open_run(tmp_path, url=postgres.url())
    lost = _lose_answers(store, postgres, times=2)
    store.append_call(_row(0))
    store.put_meta({"told": "once"})
    store.flush()
    assert lost == [True, True]
    store.append_call(_row(1))
    store.close()
    with read_run(tmp_path) as reader:
        assert {call for call, _, _ in reader.answered()} == {"c0", "c1"}
        assert reader.get_meta()["told"] == "once"
        assert list(reader.damage()) == []


def _lose_answers(store: RunStore, postgres: Cluster, *, times: int) -> list[bool]:
    """After each of the next commits, break the connection before its answer is seen."""
    hold = store._hold
    lost: list[bool] = []
    whole = hold.transaction

    @contextmanager
    def transaction() -> Iterator[sa.Connection]:
        with whole() as connection:
            yield connection
        if len(lost) < times:
            lost.append(True)
            _drop_sessions(postgres)
            with whole() as connection:
                connection.execute(sa.text("SELECT 1"))

    hold.transaction = transaction  # type: ignore[method-assign]
    return lost


def test_a_lost_lock_alone_is_taken_again(tmp_path: Path, postgres: Cluster) -> None:
    """Sessions ended from outside while nothing is written: the next commit takes the lock again and lands."""
    store = open_run(tmp_path, url=postgres.url())
    for number in range(3):
        _drop_sessions(postgres)
        store.append_call(_row(number))
        store.flush()
    assert store.usage()[0] == 3
    with pytest.raises(BadInputError, match="in use"):
        _elsewhere(tmp_path)
    store.close()


def _elsewhere(folder: Path) -> None:
    """Open the same run from a copy of its folder, as another machine would."""
    copy = folder.parent / "elsewhere"
    copy.mkdir()
    shutil.copy(folder / "store.json", copy)
    open_run(copy).close()


@pytest.mark.parametrize(
    ("user", "database", "status", "told"),
    [
        ("guest", "runs", Exit.BAD_INPUT, "GRANT CREATE ON DATABASE runs TO guest"),
        ("nobody", "runs", Exit.BAD_INPUT, "does not exist"),
        ("postgres", "absent", Exit.BAD_INPUT, "does not exist"),
        ("locked", "runs", Exit.BAD_INPUT, "PGPASSWORD"),
        ("locked:Wr0ng%2FSECRET", "runs", Exit.BAD_INPUT, "PGPASSWORD"),
    ],
)
def test_who_is_not_let_in_is_told_why(
    tmp_path: Path, postgres: Cluster, user: str, database: str, status: Exit, told: str
) -> None:
    """Exit status, server's words and remedy; no password, and no trace of a run that never was."""
    done = command("demo", "-n", 2, "-o", tmp_path / "run", "--store", postgres.url(user=user, database=database))
    assert done.returncode == status, done.stderr
    assert told in done.stderr
    assert "SECRET" not in done.stdout + done.stderr
    assert not (tmp_path / "run/store.json").exists()


def test_whatever_is_asked_of_a_server_that_went_away_says_so(tmp_path: Path, postgres: Cluster) -> None:
    """Also what the owner of a run asks: a word and a remedy, not an error of the driver's."""
    store = open_run(tmp_path, url=postgres.url())
    postgres.stop("fast")
    try:
        with pytest.raises(UnreachableError):
            list(store.answers())
        with pytest.raises(UnreachableError):
            store.usage_by_stage()
    finally:
        postgres.start()
        store.close()


@pytest.mark.parametrize(
    "url", ["postgresql://u:SECRET@127.0.0.1:1/runs", "postgresql://u@127.0.0.1:1/runs?password=SECRET"]
)
def test_a_server_that_is_not_there(tmp_path: Path, postgres: Cluster, url: str) -> None:
    """Exit 3 at once, by name, without the password; -v shows none either."""
    del postgres
    for options in ((), ("-v",)):
        done = command(*options, "demo", "-n", 2, "-o", tmp_path / "run", "--store", url)
        assert done.returncode == Exit.UNREACHABLE, done.stderr
        assert "127.0.0.1:1/runs" in done.stderr
        assert "SECRET" not in done.stdout + done.stderr


@pytest.mark.parametrize("url", ["mysql://u:SECRET@h/d", "postgresql://u:SECRET@h", "u:SECRET@h/d", "postgresql://u:SECRET@h:x/d", "sqlite:///SECRET"])  # fmt: skip
def test_a_url_that_is_none(tmp_path: Path, url: str) -> None:
    """Refused with an example, and not shown: it may hold a password."""
    with pytest.raises(BadInputError, match="--store is not the URL of a PostgreSQL database") as caught:
        open_run(tmp_path, url=url)
    assert "SECRET" not in str(caught.value) + caught.value.remedy


def test_without_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra: who has not installed it is told how."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for module in ("_postgres", "_postgres_errors"):
        monkeypatch.delitem(sys.modules, f"selfinstruct.store.{module}", raising=False)
    with pytest.raises(BadInputError, match="not installed") as caught:
        open_run(tmp_path, url="postgresql://u:SECRET@h/d")
    assert caught.value.remedy == "pip install 'selfinstruct[postgres]'"
    assert "SECRET" not in str(caught.value)


def test_a_password_is_used_and_never_kept(tmp_path: Path, postgres: Cluster) -> None:
    """From $SELFINSTRUCT_STORE or $PGPASSWORD; in no file, no fact and no message of the run."""
    url = sa.make_url(postgres.url(user="locked")).set(password=SECRET).render_as_string(hide_password=False)
    with environment(SELFINSTRUCT_STORE=url):
        made = command("demo", "-n", 2, "-o", tmp_path / "run")
        assert made.returncode == 0, made.stderr
        assert command("verify", tmp_path / "run").returncode == 0
    assert command("stats", tmp_path / "run").returncode == 2
    with environment(PGPASSWORD=SECRET):
        with read_run(tmp_path / "run") as store:
            assert SECRET not in str(store.get_meta())
        assert command("resume", tmp_path / "run").returncode == 0
    written = b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    for secret in (SECRET, url.partition("locked:")[2].partition("@")[0]):
        assert secret.encode() not in written
        assert secret not in made.stdout + made.stderr


def test_a_run_stays_where_it_is(tmp_path: Path, postgres: Cluster) -> None:
    """Another --store is refused; a run in its folder stays there whatever the environment says."""
    make(tmp_path / "file", rows=2)
    make(tmp_path / "base", rows=2, url=postgres.url())
    for folder in ("file", "base"):
        with pytest.raises(BadInputError, match=r"lies in .*, not in"):
            open_run(tmp_path / folder, url=postgres.url(database="postgres"))
    with environment(SELFINSTRUCT_STORE=postgres.url()):
        make(tmp_path / "file", rows=3)
    assert not (tmp_path / "file/store.json").exists()
    assert list(verify(tmp_path / "file")) == []


def test_a_schema_that_is_gone_is_not_made_anew(tmp_path: Path, postgres: Cluster) -> None:
    """An empty one in its place would have everything asked and paid for again."""
    make(tmp_path, rows=2, url=postgres.url())
    [(schema,)] = postgres.sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'run\\_%' ORDER BY oid DESC LIMIT 1", database="runs")  # fmt: skip
    postgres.sql(f'DROP SCHEMA "{schema}" CASCADE', database="runs")
    with pytest.raises(BadInputError, match="which is not there"):
        open_run(tmp_path)
    with pytest.raises(BadInputError, match="which is not there"), read_run(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"url": "postgresql://u@h/d", "schema": "public; drop"}', '{"url": 1, "schema": 2}'])  # fmt: skip
def test_a_note_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    """Whatever stands in store.json: told what is wanted there."""
    (tmp_path / "store.json").write_text(text)
    with pytest.raises(BadInputError, match=r"store\.json does not say where the run is"), read_run(tmp_path):
        pass
