"""The rows of a published version, view by view, read off a run in one pass and bounded memory. Writes nothing."""

from __future__ import annotations

import json
from itertools import groupby
from math import inf
from statistics import fmean
from typing import TYPE_CHECKING, Any

from selfinstruct import seeds
from selfinstruct.catalogue import kinship
from selfinstruct.export import kept_records
from selfinstruct.records import Fate, PreferencePair, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from selfinstruct.judging.cut import Cut
    from selfinstruct.runs import StoredRun
    from selfinstruct.store import RecordRow

    Stored = tuple[RecordRow, Any]
    Fact = dict[str, Any]

TEXTS = ("instruction", "input", "text", "output", "chosen", "rejected")
"""Fields of a record that hold what it says, in the order in which they are read."""


def views(run: StoredRun, *, version: int, cut: Cut | None = None) -> Iterator[tuple[str, Fact]]:
    """Yield (view, row) in admission order, the seeds last; columns as in `version.VIEWS`. A run of given rows has none.

    With `cut`, the rows and pairs that it keeps; what the run kept and the cut does not is among the dropped, by `score`.
    """
    rows, pairs = (_InStep(kept_records(run, kind, cut)) for kind in (Row, PreferencePair))
    answers = _InStep((f"{request}", (work, reply)) for request, work, reply in run.store.answers())
    stored = run.store.scan(upto=run.closing)
    for number, group in groupby(stored, key=lambda one: one[0].request):
        family = _Family(group, (reply for _, reply in answers.of(number)))
        kept = [row for _, row in rows.of(number)]
        paired = [pair for _, pair in pairs.of(number)]
        for row in kept:
            yield "sft", {**family.sft(row), "version": version}
            yield "lineage", {"id": row.id, "lineage": _json(family.lineage(row)), "version": version}
        for pair in paired:
            yield "preference", {**_preference(pair), "version": version}
        for dropped in family.dropped(kept, run.tree.rows, cut):
            yield "dropped", {**dropped, "version": version}
    if kinship.is_given(run.recipe):
        return
    tasks, _ = seeds.load(seeds.find(run.recipe.seeds))
    for task in tasks:
        instances = _json([one.model_dump() for one in task.instances])
        yield "seeds", {**task.model_dump(exclude={"instances"}), "instances": instances, "version": version}


def lineage_of(run: StoredRun, wanted: str) -> list[Fact]:
    """Return the lineage of the row of that id, as the view of that name has it; empty when there is no such row."""
    found = next((row for row, _ in run.store.find(wanted) if row.id == wanted), None)
    if found is None:
        return []
    group = sorted(run.store.of_requests([found.request]), key=lambda one: (one[0].path, one[0].stage))
    works = dict.fromkeys(row.work for row, _ in group)
    family = _Family(group, ((work, reply) for work in works for _, reply in run.store.calls_of(work)))
    record = next(body["record"] for row, body in group if row.id == wanted)
    return family.lineage(Row.model_validate(record)) if found.stage == run.tree.rows else []


class _InStep:
    """What is ordered by path, handed out request by request."""

    def __init__(self, found: Iterator[tuple[str, Any]]) -> None:
        self._groups = groupby(found, key=lambda one: int(one[0].partition(".")[0]))
        self._next = next(self._groups, None)

    def of(self, number: int) -> list[tuple[str, Any]]:
        while self._next is not None and self._next[0] < number:
            self._next = next(self._groups, None)
        return list(self._next[1]) if self._next is not None and self._next[0] == number else []


class _Family:
    """Everything that descends from one request."""

    def __init__(self, stored: Iterable[Stored], answers: Iterable[tuple[str, Any]]) -> None:
        self._stored = list(stored)
        self._by_id = {row.id: (row, body) for row, body in self._stored}
        self._below: dict[str, list[Stored]] = {}
        self._answers: dict[str, list[Any]] = {}
        for work, reply in answers:
            self._answers.setdefault(work, []).append(reply)

    def sft(self, row: Row) -> Fact:
        answer, verdicts = self._chosen(row)
        return {
            **row.model_dump(
                include={"id", "instruction", "input", "output", "reasoning", "is_classification", "score"}
            ),
            "raw_score": row.score if row.raw_score is None else row.raw_score,
            "model": (answer or row.model_dump())["provenance"]["model"],
            "judge": ", ".join(dict.fromkeys(one["judge"] for one in verdicts)),
            "flags": ",".join(dict.fromkeys(flag for one in verdicts for flag in one["flags"])),
        }

    def lineage(self, row: Row) -> list[Fact]:
        """Return what the row descends from, first things first, then everything that was made of its instance."""
        chain: list[Stored] = []
        found = self._by_id.get(row.parent)
        while found is not None:
            chain.append(found)
            found = self._by_id.get(found[0].parent)
        return [self._step(*one) for one in (*chain[::-1], *self._under(row.parent))]

    def dropped(self, kept: Iterable[Row], rows_stage: str, cut: Cut | None) -> Iterator[Fact]:
        """Yield what was decided against; with a cut, by the cut where it decides."""
        saved = {one.parent for one in kept} if cut is not None else set()
        for row, body in self._stored:
            decided = cut is not None and row.stage == rows_stage and row.rule in {None, "score"}
            if decided and row.parent not in saved:
                assert cut is not None  # noqa: S101 - decided says so
                drop = {
                    "rule": "score",
                    "figure": body["record"].get("score"),
                    "threshold": cut.min_score,
                    "evidence": {},
                }
                yield _dropped(row, body, drop)
            elif row.fate == Fate.DROPPED and not decided:
                yield _dropped(row, body, body["drop"])

    def _under(self, instance: str) -> list[Stored]:
        if instance not in self._below:
            found = self._by_id.get(instance)
            path = "" if found is None else f"{found[0].path}."
            self._below[instance] = [one for one in self._stored if path and one[0].path.startswith(path)]
        return self._below[instance]

    def _chosen(self, row: Row) -> tuple[Fact | None, list[Fact]]:
        """Return the answer that became the row's output, None where it was written with the instance, and its verdicts."""
        made = [body["record"] for one, body in self._under(row.parent) if one.fate == Fate.ACCEPTED]
        verdicts: dict[str, list[Fact]] = {}
        for one in made:
            if "judge" in one:
                verdicts.setdefault(one["of"] or one["parent"], []).append(one)
        answers = [one for one in made if one.get("text") == row.output]
        answer = max(
            answers, key=lambda one: _mean(verdicts.get(one["id"], ())), default=None
        )  # of equal texts the best
        about = row.parent if answer is None else answer["id"]
        return answer, verdicts.get(about, [])

    def _step(self, row: RecordRow, body: Mapping[str, Any]) -> Fact:
        drop = {"drop": body["drop"]} if body["drop"] else {}
        calls = self._answers.get(row.work, [])
        return {
            "id": row.id,
            "stage": row.stage,
            "path": row.path,
            "fate": row.fate,
            **drop,
            "record": body["record"],
            "calls": calls,
        }


def _mean(verdicts: Sequence[Fact]) -> float:
    return fmean(one["score"] for one in verdicts) if verdicts else -inf


def _preference(pair: PreferencePair) -> Fact:
    return {
        **pair.model_dump(include={"id", "instruction", "input", "chosen", "rejected"}),
        "row": pair.parent,
        "score_chosen": pair.chosen_score,
        "score_rejected": pair.rejected_score,
        "verdicts": ",".join(pair.verdicts),
    }


def _dropped(row: RecordRow, body: Mapping[str, Any], drop: Mapping[str, Any]) -> Fact:
    record = body["record"] or {}
    return {
        "id": row.id,
        "stage": row.stage,
        "rule": drop["rule"],
        "figure": _shown(drop["figure"]),
        "threshold": _shown(drop["threshold"]),
        "text": "\n\n".join(str(record[name]) for name in TEXTS if record.get(name)),
        "evidence": _json(drop["evidence"]),
    }


def _shown(figure: float | str | None) -> str | None:
    return None if figure is None else f"{figure}"


def _json(value: Any) -> str:  # noqa: ANN401 - JSON is of any shape
    return json.dumps(value, ensure_ascii=False)
