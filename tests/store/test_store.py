"""What a run's store promises, of every kind of database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from selfinstruct import export, runs
from selfinstruct.errors import BadInputError, DamageError, Exit
from selfinstruct.records import Fate
from selfinstruct.store import CallRow, Outcome, RecordRow, WorkRow, has_run, open_run, read_run, runs_below
from selfinstruct.store.place import find
from selfinstruct.verify import verify
from tests.store.support import ROWS, calls_of, change, export_of, make, process
from tests.support.running import command, eventually

HOSTILE = "\x00 \ud800 ' \" ; DROP TABLE records; -- \\ 😀 \u202e %s :w"


def test_the_same_export_everywhere(tmp_path: Path, url: str | None, wanted: dict[str, bytes]) -> None:
    """A run, stopped by its order and grown in a second one, exports the very bytes of one in SQLite; it is sound."""
    folder = tmp_path / "run"
    make(folder, url=url, rows=ROWS // 2)
    assert make(folder).exit_status is Exit.DONE
    assert export_of(folder) == wanted
    assert list(verify(folder)) == []
    assert runs.accepted_rows(folder) == ROWS
    assert has_run(folder)
    assert runs_below(tmp_path) == [folder]


def test_the_looking_commands_find_it(tmp_path: Path, url: str | None) -> None:
    """Nobody but the first command is told where the tables are."""
    folder = tmp_path / "run"
    make(folder, url=url)
    told = command("stats", folder, "--json")
    assert json.loads(told.stdout.splitlines()[-1])["ledger"]["accepted"] == ROWS, told.stderr
    with runs.open_stored(folder) as run:
        row = next(row for row, _ in run.store.scan(run.tree.rows, fate=Fate.ACCEPTED))
    assert command("why", row.id, folder).returncode == 0
    assert command("verify", folder).stderr.endswith("sound\n")
    assert command("export", folder, "--format", "alpaca", "-o", tmp_path / "out.jsonl").returncode == 0


def test_killed_and_resumed(tmp_path: Path, url: str | None, wanted: dict[str, bytes]) -> None:
    """After kill -9 the next start takes over with nothing to clean, keeps every answer, and exports the same bytes."""
    folder = tmp_path / "run"
    for calls in (15, 60):
        with process(folder, url=url) as killed:
            before = eventually(lambda calls=calls: calls_of(folder, at_least=calls))  # type: ignore[misc]
            killed.kill()
            killed.wait()
        assert read_ids(folder) >= before
    make(folder)
    assert export_of(folder) == wanted
    assert list(verify(folder)) == []


def test_a_run_without_tables_never_started(tmp_path: Path, url: str | None, wanted: dict[str, bytes]) -> None:
    """In its first moment, or killed in it: who reads is told so, not of damage; it counts no row, and can be started."""
    folder = tmp_path / "run"
    folder.mkdir()
    hold = find(folder, url=url).own()
    with hold.transaction():
        pass
    hold.release()
    assert has_run(folder)
    with pytest.raises(BadInputError, match="never started"), read_run(folder) as store:
        store.usage()
    told = command("verify", folder)
    assert (told.returncode, "never started" in told.stderr) == (2, True), told.stderr
    assert runs.accepted_rows(folder) == 0
    make(folder)
    assert export_of(folder) == wanted


def read_ids(folder: Path) -> int:
    """Open the run at once, as the next owner, and count its calls."""
    store = open_run(folder)
    try:
        return store.usage()[0]
    finally:
        store.close()


def test_a_second_owner_is_refused(tmp_path: Path, url: str | None) -> None:
    """It is told who the first one is; when that has ended, it may."""
    folder = tmp_path / "run"
    with process(folder, url=url) as first:
        eventually(lambda: calls_of(folder, at_least=1))
        with pytest.raises(BadInputError, match=f"in use by pid {first.pid} on .* since 20"):
            open_run(folder)
        first.kill()
        first.wait()
    open_run(folder).close()


def test_a_reader_sees_one_moment(tmp_path: Path, url: str | None) -> None:
    """What is counted twice of a run that goes on is the same twice; the next reader sees more."""
    folder = tmp_path / "run"
    with process(folder, url=url, rows=1000):
        eventually(lambda: calls_of(folder, at_least=20))
        with runs.open_stored(folder) as stored:
            before, calls = stored.accounts(), stored.store.usage()
            eventually(lambda: calls_of(folder, at_least=calls[0] + 20))
            assert (stored.accounts(), stored.store.usage()) == (before, calls)
            scanned = sum(1 for _ in stored.store.scan())
            assert scanned == sum(one.accepted + one.dropped for one in before.stages.values())


@pytest.mark.parametrize("table", ["records", "calls", "work", "meta"])
def test_damage_is_found_and_not_exported(tmp_path: Path, url: str | None, table: str) -> None:
    """A changed byte in any table: verify names it; a changed body is never exported."""
    folder = tmp_path / "run"
    make(folder, url=url, rows=3)
    column = {"records": "path", "calls": "prompt", "work": "path", "meta": "value"}[table]
    where = "key = 'target'" if table == "meta" else f"id = (SELECT max(id) FROM {table})"  # noqa: S608 - of this list
    change(folder, f"UPDATE {table} SET {column} = {column} || '0' WHERE {where}")  # noqa: S608 - the same
    try:
        found = list(verify(folder))
    except DamageError as error:
        found = [str(error)]
    assert any("digest" in problem for problem in found), found
    if table == "records":
        change(
            folder, "UPDATE records SET body = (SELECT body FROM records ORDER BY id LIMIT 1) WHERE stage = 'select'"
        )
        with runs.open_stored(folder) as stored, pytest.raises(DamageError, match="digest"):
            export.export(stored, "alpaca", tmp_path / "out.jsonl")
        assert not (tmp_path / "out.jsonl").exists()


def test_hostile_text_comes_back(tmp_path: Path, url: str | None) -> None:
    """Bodies come back as they went in; an error or fact that no database could hold is told in escapes, not lost."""
    store = open_run(tmp_path, url=url)
    body = json.dumps({"text": HOSTILE})
    works = [
        WorkRow("w", "respond", 0, "00000000", "", 1, 1, None),
        WorkRow("v", "respond", 1, "00000001", "", 0, 1, HOSTILE),
    ]
    store.append_call(CallRow("c", "v", "respond", 1, "p", 1, 1, body))
    made = RecordRow("r", "w", "respond", 0, "00000000.0000", "", Fate.DROPPED, HOSTILE, body)
    store.append_outcome(Outcome(works[0], (made,)))
    store.append_outcome(Outcome(works[1], ()))
    store.put_meta({"told": HOSTILE})
    store.close()
    plain = HOSTILE.replace("\x00", "\\x00").replace("\ud800", "\\ud800")
    with read_run(tmp_path) as reader:
        assert list(reader.answered()) == [("c", "p", {"text": HOSTILE})]
        assert [(row.rule, found) for row, found in reader.scan()] == [(plain, {"text": HOSTILE})]
        assert [row.error for row in reader.works(failed=True)] == [plain]
        assert reader.get_meta()["told"] == plain
        assert list(reader.damage()) == []


def test_text_order_is_admission_order(tmp_path: Path, url: str | None) -> None:
    """By bytes, whatever the language of the database: a path, then what descends from it, then the next one."""
    paths = [
        "00000001",
        "00000001.0000",
        "00000001.0000.0001",
        "00000001.0001",
        "00000001.0010",
        "00000002",
        "00000010",
    ]
    store = open_run(tmp_path, url=url)
    for number, path in enumerate(reversed(paths)):
        made = RecordRow(f"r{number}", f"w{number}", "s", int(path[:8]), path, "", Fate.ACCEPTED, None, "{}")
        store.append_outcome(Outcome(WorkRow(f"w{number}", "s", int(path[:8]), path, "", 1, 1, None), (made,)))
    store.flush()
    assert [row.path for row, _ in store.scan()] == paths
    assert [row.path for row, _ in store.scan(upto="00000001.0000")] == paths[:3]
    assert [row.path for row, _ in store.scan(upto="00000001")] == paths[:5]
    store.close()


def test_work_that_is_done_again_replaces_the_first_try(tmp_path: Path, url: str | None) -> None:
    """Its row and its records are there once, as the last try left them."""
    store = open_run(tmp_path, url=url)
    for tries, error in ((1, "no"), (2, None)):
        made = () if error else (RecordRow("r", "w", "s", 0, "00000000.0000", "", Fate.ACCEPTED, None, "{}"),)
        store.append_outcome(
            Outcome(WorkRow("w", "s", 0, "00000000", "", len(made), tries, error), made), replace=tries > 1
        )
    store.flush()
    assert [(row.tries, row.error) for row in store.works()] == [(2, None)]
    assert [row.id for row, _ in store.scan()] == ["r"]
    store.close()
