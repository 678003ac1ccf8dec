"""Judged rows of any dataset: which of them are kept, and which make a preference pair. Every other one is named with why."""

from __future__ import annotations

import json
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

from selfinstruct.errors import BadInputError
from selfinstruct.exporters.dpo import Dpo
from selfinstruct.files import publish
from selfinstruct.judged import Candidate
from selfinstruct.pairing import Guards, Strategy, pair
from selfinstruct.records import DropReason, Fate, Judgement, PreferencePair, Provenance, content_id
from selfinstruct.runs import open_stored
from selfinstruct.stages.given import Given, answers
from selfinstruct.tables import place, write_table
from selfinstruct.tables.layouts import Task, parse_columns, read_tasks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from selfinstruct.runs import StoredRun

SCORE, CHOSEN, REJECTED = "score", "score_chosen", "score_rejected"
"""Columns that `judge` adds and `pair` reads."""

Fact = dict[str, Any]


def dropped_file(out: Path) -> Path:
    """Return where the rows that are not in `out` are named."""
    return out.with_name(f"{out.name}.dropped.jsonl")


def kept_rows(folder: Path, out: Path) -> Counter[str]:
    """Write the rows that the judged run in `folder` kept, with their scores, to `out`; count what became of all.

    A row is kept when each answer in it that should be good is; of a preference the chosen one, and it must score above the
    rejected one (else: `not_better`). Keys of the counts: `kept`, and the rules of the drops and failures.
    """
    with open_stored(folder) as run:
        given = next(stage for stage in run.recipe.stages if isinstance(stage, Given))
        scores, reasons = _scores(run), _reasons(run)
    kept: list[Fact] = []
    dropped: list[Fact] = []
    for number, found in enumerate(given.table):
        wanted = sum(len(answers(task)) for task in found.tasks)
        values = [scores.get((number, index)) for index in range(wanted)]
        reason = reasons.get(number) or _unpreferred(found.tasks, values)
        if reason is None:
            kept.append({**found.row.value, **_columns(found.tasks, values)})
        else:
            dropped.append({"row": found.row.number, **reason.model_dump(exclude_none=True)})
    _write(out, kept, dropped)
    return Counter({"kept": len(kept)}) + Counter(fact["rule"] for fact in dropped)


def _scores(run: StoredRun) -> dict[tuple[int, int], float]:
    """Return (row, answer in it) -> score, whether it was enough or not."""
    rows = ((row, body["record"]) for row, body in run.store.scan(run.tree.rows))
    return {
        (row.request, int(row.path.split(".")[1])): record["score"]
        for row, record in rows
        if record.get("score") is not None
    }


def _reasons(run: StoredRun) -> dict[int, DropReason]:
    """Return row -> why it cannot be kept, of the first of its answers that had to go. A weak rejected answer may stay."""
    found: dict[int, DropReason] = {}
    given = next(stage for stage in run.recipe.stages if isinstance(stage, Given))
    preference = given.layout.name == "preferences"
    for row, body in run.store.scan(fate=Fate.DROPPED):
        second = preference and not row.path.partition(".")[2].startswith("0000")
        if not (second and row.rule == "score"):
            found.setdefault(row.request, DropReason.model_validate(body["drop"]))
    for work in run.store.works(failed=True):
        found.setdefault(work.request, DropReason(rule="unscored", evidence={"error": work.error}))
    return found


def _unpreferred(tasks: Sequence[Task], values: Sequence[float | None]) -> DropReason | None:
    if len(tasks) != 1 or tasks[0].rejected is None:
        return None
    chosen, rejected = values
    if chosen is None or rejected is None:
        return DropReason(rule="unscored")
    if chosen > rejected:
        return None
    return DropReason(rule="not_better", figure=chosen, threshold=rejected)


def _columns(tasks: Sequence[Task], values: Sequence[float | None]) -> Fact:
    if len(tasks) == 1 and tasks[0].rejected is not None:
        return dict(zip((CHOSEN, REJECTED), values, strict=True))
    return {SCORE: min(value for value in values if value is not None)}


def pair_rows(
    file: Path, out: Path, *, strategy: Strategy, guards: Guards, score: str = SCORE, columns: str = "", seed: int = 42
) -> Counter[str]:
    """Pair the judged answers in `file` that are answers to one task; write DPO rows to `out`; count what became of the tasks.

    Rows of one task are those with equal instruction and input; their score stands in column `score`. Rows that are
    preferences already have two, as `judge` writes them.

    Raises:
        BadInputError: no column of that name, a score that is no number, columns that fit no layout.
    """
    pairs: list[PreferencePair] = []
    dropped: list[Fact] = []
    for (instruction, given), candidates in _tasks(file, score=score, columns=columns).items():
        task = content_id(instruction, given)
        draw = Random(f"{seed}:{task}")  # noqa: S311 - repeatable sampling, not secrecy
        found = pair(candidates, strategy=strategy, guards=guards, draw=draw)
        if isinstance(found, DropReason):
            rows = [int(one.id.partition(".")[0]) for one in candidates]
            dropped.append({"rows": rows, **found.model_dump(exclude_none=True)})
            continue
        chosen, rejected = found
        pairs.append(
            PreferencePair(
                id=content_id(task, chosen.id, rejected.id), parent=task, provenance=Provenance(stage="pair"),
                instruction=instruction, input=given, chosen=chosen.text, rejected=rejected.text,
                chosen_score=chosen.score or 0, rejected_score=rejected.score or 0,
            )
        )  # fmt: skip
    if not pairs:
        rules = Counter(fact["rule"] for fact in dropped)
        msg = f"{file}: no pair among {len(dropped)} tasks ({', '.join(f'{rule} {n}' for rule, n in rules.most_common())})"
        raise BadInputError(
            msg, remedy="lower --min-chosen or --min-margin; a pair needs two scored answers to one task"
        )
    _write(out, list(Dpo().rows(iter(pairs))), dropped)
    return Counter({"pairs": len(pairs)}) + Counter(fact["rule"] for fact in dropped)


def _tasks(file: Path, *, score: str, columns: str) -> dict[tuple[str, str], list[Candidate]]:
    layout, rows = read_tasks(file, named=parse_columns(columns))
    tasks: dict[tuple[str, str], list[Candidate]] = {}
    names = (CHOSEN, REJECTED) if layout.name == "preferences" else (score,)
    for found in rows:
        where = f"{file} {place(file, found.row.number)}"
        if found.problem:
            msg = f"{where}: {found.problem}"
            raise BadInputError(msg, remedy="mend or remove the row")
        values = [_number(found.row.value, name, where) for name in names]
        for task in found.tasks:
            for index, (text, value) in enumerate(zip(answers(task), values, strict=False)):
                verdict = Judgement(
                    id=f"{where}.{index}",
                    parent="",
                    provenance=Provenance(stage="given"),
                    score=value,
                    rationale="",
                    judge="",
                )
                model = str(found.row.value.get("model") or "")
                one = Candidate(f"{found.row.number}.{index}", text, model, (verdict,))
                tasks.setdefault((task.instruction, task.input), []).append(one)
    return tasks


def _number(row: Mapping[str, Any], name: str, where: str) -> float:
    if name not in row:
        msg = f"{where}: no column {name!r} (there are: {', '.join(list(row)[:12])})"
        raise BadInputError(
            msg,
            remedy="name it with --score COLUMN, or have the rows judged: selfinstruct judge FILE --min-score 0 -o OUT",
        )
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        value = float("nan")
    if value != value:  # noqa: PLR0124 - NaN alone differs from itself
        msg = f"{where}, {name}: {str(row[name])[:40]!r} is no score"
        raise BadInputError(msg, remedy="mend or remove the row")
    return value


def _write(out: Path, rows: Sequence[Fact], dropped: Sequence[Fact]) -> None:
    """Write both files, each whole or not at all."""
    write_table(out, list(rows))
    with publish(dropped_file(out)) as temporary, temporary.open("w", encoding="utf-8") as file:
        for fact in dropped:
            file.write(json.dumps(fact, ensure_ascii=False, allow_nan=False) + "\n")
