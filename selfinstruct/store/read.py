"""Everything that is asked of a stored run. Reads in the caller's thread, whoever owns the folder."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from selfinstruct.records import Fate
from selfinstruct.store.schema import (
    RecordRow,
    WorkRow,
    calls,
    child_path,
    meta,
    records,
    request_path,
    seal,
    unpack,
    work,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from selfinstruct.store.place import Place


BRANCH = len(child_path(request_path(0), 0))
"""Characters of the path of a first stage's record."""


CHUNK = 500
"""Numbers in one question: SQLite takes 32,766."""


def _parts(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    yield from (numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK))


class RunReader:
    """The questions."""

    def __init__(self, folder: Path, *, engine: sa.Engine, place: Place) -> None:
        """Use `open_run` or `read_run` instead."""
        self.folder = folder
        self.place = place
        self._engine = engine

    @contextmanager
    def _asking(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise self.place.told(error, writing=False) from error

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()

    def get_meta(self) -> dict[str, str]:
        """All run-wide facts."""
        with self._asking() as connection:
            columns = (
                sa.inspect(connection).get_columns("meta") if connection.dialect.has_table(connection, "meta") else []
            )
            if columns and "digest" not in {column["name"] for column in columns}:
                return {"format": "1"}  # before every column had its digest
            if not columns:
                return {}
            rows = [self._sound(row, "fact") for row in connection.execute(sa.select(meta))]
            return {row["key"]: row["value"] for row in rows}

    def scan(
        self, stage: str | None = None, *, fate: Fate | None = None, rule: str | None = None, upto: str | None = None
    ) -> Iterator[tuple[RecordRow, Any]]:
        """Yield (row, decoded body) in admission order; `upto` is a path that is the last one wanted."""
        query = sa.select(records).order_by(records.c.path, records.c.stage)
        for column, value in ((records.c.stage, stage), (records.c.fate, fate), (records.c.rule, rule)):
            if value is not None:
                query = query.where(column == value)
        yield from self._rows(query.where(_within(records.c.path, upto)))

    def of_requests(self, numbers: Sequence[int]) -> Iterator[tuple[RecordRow, Any]]:
        """Yield every record that descends from these requests, in admission order."""
        for part in _parts(numbers):
            yield from self._rows(
                sa.select(records).where(records.c.request.in_(part)).order_by(records.c.path, records.c.stage)
            )

    def find(self, prefix: str) -> list[tuple[RecordRow, Any]]:
        """Return the records whose id begins with `prefix` (hex digits; anything else finds nothing)."""
        if not prefix or not set(prefix) <= set("0123456789abcdef"):
            return []
        return list(
            self._rows(
                sa.select(records)
                .where(records.c.id.startswith(prefix, autoescape=True))
                .order_by(records.c.id)
                .limit(20)
            )
        )

    def _rows(self, query: sa.Select[Any]) -> Iterator[tuple[RecordRow, Any]]:
        with self._asking() as connection:
            found = connection.execution_options(yield_per=500).execute(query)
            names = tuple(found.keys())  # once: a row would look them up 52,000 times
            for row in found:
                values = self._sound(row, "record", names)
                body = values.pop("body")
                yield RecordRow(**values, body=""), body

    def _sound(self, row: sa.Row[Any], what: str, names: Sequence[str] = ()) -> dict[str, Any]:
        stored = dict(zip(names or row._fields, row, strict=True))
        return unpack(stored, place=lambda: f"{self.folder} {what} {row[0]}")

    def works(self, *, failed: bool | None = None, numbers: Sequence[int] | None = None) -> list[WorkRow]:
        """Return finished work: all of it, or only failed / only done, or only of some requests."""
        query = sa.select(work).order_by(work.c.path, work.c.stage)
        if failed is not None:
            query = query.where(work.c.error.is_not(None) if failed else work.c.error.is_(None))
        queries = [query]
        if numbers is not None:
            queries = [query.where(work.c.request.in_(part)) for part in _parts(numbers)]
        with self._asking() as connection:
            return [WorkRow(**self._sound(row, "work")) for one in queries for row in connection.execute(one)]

    def answered(self, *, numbers: Sequence[int] | None = None) -> Iterator[tuple[str, str, Any]]:
        """Yield (call id, prompt digest, reply) of every answer (or of some requests) whose work is not done, or has failed."""
        done = sa.select(work.c.id).where(work.c.id == calls.c.work, work.c.error.is_(None)).exists()
        query = sa.select(calls).where(~done)
        if numbers is not None:
            query = query.where(calls.c.request.in_(numbers))
        with self._asking() as connection:
            for row in connection.execute(query):
                yield row.id, row.prompt, self._sound(row, "call")["body"]

    def answers(self) -> Iterator[tuple[int, str, Any]]:
        """Yield (request, work id, reply) of every answer, in the order of requests and of call ids."""
        order = sa.select(calls.c.id, calls.c.request).order_by(calls.c.request, calls.c.id)
        with self._asking() as connection:
            found = connection.execute(order).all()  # bodies are fetched in parts: a database would sort them on disk
            for start in range(0, len(found), CHUNK):
                wanted = sa.select(calls).where(calls.c.id.in_([row.id for row in found[start : start + CHUNK]]))
                rows = connection.execute(wanted.order_by(calls.c.request, calls.c.id)).all()
                yield from ((row.request, row.work, self._sound(row, "call")["body"]) for row in rows)

    def calls_of(self, work_id: str) -> list[tuple[str, Any]]:
        """Return (call id, reply) of the answers behind one piece of work."""
        with self._asking() as connection:
            rows = connection.execute(sa.select(calls).where(calls.c.work == work_id).order_by(calls.c.id))
            return [(row.id, self._sound(row, "call")["body"]) for row in rows]

    def pending(self, stage: str, *, parent: str, upto: str | None = None, failed: bool = True) -> list[int]:
        """Return the requests with accepted records of stage `parent` that `stage` has not worked on, or (`failed`) failed."""
        done = sa.select(work.c.id).where(
            work.c.stage == stage, work.c.path == records.c.path, work.c.parent == records.c.id
        )
        if failed:
            done = done.where(work.c.error.is_(None))
        query = (
            sa.select(records.c.request)
            .distinct()
            .where(records.c.stage == parent, records.c.fate == Fate.ACCEPTED, ~done.exists())
            .where(_within(records.c.path, upto))
        )
        with self._asking() as connection:
            return sorted(connection.execute(query).scalars())

    def paths(self, stage: str, *, numbers: Sequence[int] | None = None) -> list[tuple[int, str]]:
        """Return (request, path) of the accepted records of a stage: all of them, or those of some requests."""
        query = sa.select(records.c.request, records.c.path)
        if numbers is not None:
            query = query.where(records.c.request.in_(numbers))
        with self._asking() as connection:
            rows = connection.execute(query.where(records.c.stage == stage, records.c.fate == Fate.ACCEPTED))
            return [(row[0], row[1]) for row in rows]

    def fates(self, *, upto: str | None = None) -> dict[tuple[str, str], int]:
        """Return counts by (stage, fate); failed work counts under its stage."""
        made = sa.select(records.c.stage, records.c.fate, sa.func.count()).where(_within(records.c.path, upto))
        failed = sa.select(work.c.stage, sa.func.count()).where(work.c.error.is_not(None), _within(work.c.path, upto))
        with self._asking() as connection:
            counts = {(r[0], r[1]): r[2] for r in connection.execute(made.group_by(records.c.stage, records.c.fate))}
            for row in connection.execute(failed.group_by(work.c.stage)):
                counts[row[0], Fate.FAILED.value] = row[1]
        return counts

    def worked(self, *, upto: str | None = None) -> dict[str, int]:
        """Return the number of finished pieces of work by stage."""
        query = sa.select(work.c.stage, sa.func.count()).where(_within(work.c.path, upto)).group_by(work.c.stage)
        with self._asking() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def started_requests(self, stage: str, *, upto: str | None = None) -> int:
        """Return how many requests of the first stage have an answer but no admission yet."""
        last = int(upto.partition(".")[0]) if upto is not None else None
        query = sa.select(sa.func.count(calls.c.work.distinct())).where(
            calls.c.stage == stage,
            ~sa.select(work.c.id).where(work.c.id == calls.c.work).exists(),
            sa.true() if last is None else calls.c.request <= last,
        )
        with self._asking() as connection:
            return int(connection.execute(query).scalar_one())

    def drops(self, *, upto: str | None = None) -> dict[tuple[str, str], int]:
        """Return counts of dropped records by (stage, rule)."""
        query = (
            sa.select(records.c.stage, records.c.rule, sa.func.count())
            .where(records.c.fate == Fate.DROPPED, _within(records.c.path, upto))
            .group_by(records.c.stage, records.c.rule)
        )
        with self._asking() as connection:
            return {(row[0], row[1]): row[2] for row in connection.execute(query)}

    def spent(self, *, before: int) -> list[tuple[str, str, int, int, int]]:
        """Return (branch, stage, calls, prompt tokens, completion tokens) of finished work of the requests below `before`.

        A branch is all that descends from one record of the first stage, named by its path; what the first stage itself
        did stands under the path of its request.
        """
        branch = sa.func.substr(work.c.path, 1, BRANCH)
        sums = [sa.func.sum(column) for column in (calls.c.prompt_tokens, calls.c.completion_tokens)]
        query = sa.select(branch, work.c.stage, sa.func.count(), *sums).join_from(
            calls, work, calls.c.work == work.c.id
        )
        with self._asking() as connection:
            rows = connection.execute(query.where(work.c.request < before).group_by(branch, work.c.stage))
            return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]

    def came(self, *, before: int) -> list[tuple[str, str, str, int]]:
        """Return (branch, stage, fate, count) of the records and failed works of the requests below `before`."""
        made, tried = (sa.func.substr(table.c.path, 1, BRANCH) for table in (records, work))
        fates = sa.select(made, records.c.stage, records.c.fate, sa.func.count()).where(records.c.request < before)
        failed = sa.select(tried, work.c.stage, sa.literal(Fate.FAILED.value), sa.func.count())
        failed = failed.where(work.c.error.is_not(None), work.c.request < before)
        queries = fates.group_by(made, records.c.stage, records.c.fate), failed.group_by(tried, work.c.stage)
        with self._asking() as connection:
            return [(row[0], row[1], row[2], row[3]) for query in queries for row in connection.execute(query)]

    def rules(self, stage: str) -> dict[int, list[str | None]]:
        """Return for each request the rules that dropped its records of `stage`, None for one that was accepted."""
        found: dict[int, list[str | None]] = {}
        with self._asking() as connection:
            for request, rule in connection.execute(
                sa.select(records.c.request, records.c.rule).where(records.c.stage == stage)
            ):
                found.setdefault(request, []).append(rule)
        return found

    def usage(self) -> tuple[int, int, int]:
        """Return (calls, prompt tokens, completion tokens) answered so far, surplus included."""
        query = sa.select(
            sa.func.count(), sa.func.sum(calls.c.prompt_tokens), sa.func.sum(calls.c.completion_tokens)
        ).select_from(calls)
        with self._asking() as connection:
            count, prompt, completion = connection.execute(query).one()
        return int(count), int(prompt or 0), int(completion or 0)

    def usage_by_stage(self) -> dict[str, tuple[int, int, int]]:
        """Return the same by stage."""
        query = sa.select(
            calls.c.stage, sa.func.count(), sa.func.sum(calls.c.prompt_tokens), sa.func.sum(calls.c.completion_tokens)
        ).group_by(calls.c.stage)
        with self._asking() as connection:
            return {row[0]: (int(row[1]), int(row[2]), int(row[3])) for row in connection.execute(query)}

    def extent(self) -> int:
        """Return how many works, records and answers there are together: it grows with every row."""
        counts = [sa.select(sa.func.count()).select_from(table).scalar_subquery() for table in (work, records, calls)]
        with self._asking() as connection:
            return sum(connection.execute(sa.select(*counts)).one())

    def damage(self) -> Iterator[str]:
        """Yield a line for every broken body, orphan, double fate or miscount. None means the store is whole."""
        with self._asking() as connection:
            yield from self.place.integrity(connection)
            for table in (meta, work, records, calls):
                for row in connection.execution_options(yield_per=CHUNK).execute(sa.select(table)):
                    if seal(dict(row._mapping)) != row.digest:  # noqa: SLF001
                        yield f"{table.name} {row[0]}: stored bytes do not match their digest"
            for text, query in _checks():
                for row in connection.execute(query):
                    yield f"{row[0]}: {text}"


def _within(column: sa.Column[Any], upto: str | None) -> sa.ColumnElement[bool]:
    # "~" sorts after "." and the digits: the path itself and all that descends from it are within.
    return sa.true() if upto is None else column <= upto + "~"


def _checks() -> list[tuple[str, sa.Select[Any]]]:
    # Counted once for all: a count per piece of work would read every record each time.
    made = sa.select(records.c.work, sa.func.count().label("total")).group_by(records.c.work).subquery()
    miscounted = sa.select(work.c.id).join(made, made.c.work == work.c.id, isouter=True)
    parents = sa.alias(records, "parents")
    accepted = sa.select(parents.c.id).where(parents.c.id == work.c.parent, parents.c.fate == Fate.ACCEPTED).exists()
    root = sa.func.length(work.c.path) == len(request_path(0))
    return [
        (
            "work says it made another number of records than there are",
            miscounted.where(work.c.made != sa.func.coalesce(made.c.total, 0)),
        ),
        (
            "done work that made nothing, not even a drop",
            sa.select(work.c.id).where(work.c.error.is_(None), work.c.made == 0),
        ),
        ("work on a record that was never accepted", sa.select(work.c.id).where(~accepted, ~root)),
        (
            "record of work that was never finished",
            sa.select(records.c.id).where(~sa.select(work.c.id).where(work.c.id == records.c.work).exists()),
        ),
    ]
