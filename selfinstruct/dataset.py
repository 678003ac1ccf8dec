"""Judged rows of any dataset: which of them are kept, and which make a preference pair. Every other one is named with why."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from random import Random
from typing import TYPE_CHECKING, Any

from selfinstruct import recipe as recipes
from selfinstruct import rubrics
from selfinstruct.errors import BadInputError
from selfinstruct.exporters.dpo import Dpo
from selfinstruct.files import publish
from selfinstruct.judged import Candidate
from selfinstruct.judging.audit import audit, can_audit
from selfinstruct.judging.page import page
from selfinstruct.pairing import Guards, Strategy, pair
from selfinstruct.records import DropReason, Fate, Judgement, PreferencePair, Provenance, content_id
from selfinstruct.runs import open_stored
from selfinstruct.stages.answered import parts
from selfinstruct.stages.given import Given, answers, input_of, no_text
from selfinstruct.tables import Row, check_writable, place, write_rows
from selfinstruct.tables.layouts import Found, Task, parse_columns, read_tasks
from selfinstruct.tables.write import dumps
from selfinstruct.text.reasoning import has_trace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from selfinstruct.recipe import Recipe
    from selfinstruct.runs import StoredRun

SCORE, CHOSEN, REJECTED = "score", "score_chosen", "score_rejected"
"""Columns that `judge` adds and `pair` reads."""

LARGEST = 1e100
"""A score is at most this far from 0, so that differences of scores are numbers too."""

Fact = dict[str, Any]


def judging(
    file: Path,
    *,
    rubric: str,
    language: str = "en",
    min_score: float | None = None,
    columns: str = "",
    written_by: str = "",
    sets: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> Recipe:
    """Return the recipe of a run that judges every answer in `file` by `rubric`; kept are scores of `min_score`, or the rubric's.

    `sets` and `flags` as for `recipe.load`.

    Raises:
        BadInputError: a file without usable rows, an unknown rubric, a threshold outside of its scale.
    """
    rows = Given(file=str(file), columns=columns).table
    least = rubrics.load(rubric, language=language).keep if min_score is None else min_score
    said = {
        # A row without a task counts too: else a run with enough good rows ends before it gets to the bad ones at the end.
        "n": sum(max(1, sum(len(answers(task)) for task in found.tasks)) for found in rows),
        "language": language,
        "stages.given.file": str(file),
        "stages.given.columns": columns or None,
        "stages.answered.written_by": written_by or None,
        "stages.judge.rubric": rubric,
        "stages.select.gates.score.least": least,
    }
    return recipes.load("alpagasus", sets=sets, flags={**said, **(flags or {})})


def dropped_file(out: Path) -> Path:
    """Return where the rows that are not in `out` are named: one JSON object a line, `row` counts from 1.

    Of JSONL and CSV it is the line of the file, of JSON and Parquet the row.
    """
    return _beside(out, "dropped.jsonl")


def audit_files(out: Path) -> tuple[Path, Path]:
    """Return where the audit of the judge stands, for people and for programs."""
    return _beside(out, "audit.md"), _beside(out, "audit.json")


def check_apart(file: Path, out: Path) -> None:
    """Refuse to write over what is read.

    Raises:
        BadInputError: `out`, or what stands beside it, is `file`.
    """
    if file.resolve() in {path.resolve() for path in (out, dropped_file(out), *audit_files(out))}:
        msg = f"-o {out} would write over {file}, which is read"
        raise BadInputError(msg, remedy="give another path with -o")


def kept_rows(folder: Path, out: Path) -> Fact:
    """Write the rows that the judged run in `folder` kept, with their scores, to `out`, and the audit of the judge beside it.

    A row is kept when each answer in it that should be good is; of a preference the chosen one, and it must score above the
    rejected one (else: `not_better`). A column that is there already and has the name of a score is kept under another.

    Returns: `kept` rows; `rows` that are not, by rule; `renamed` columns, old name to new; `audit`, its page or None.
    """
    with open_stored(folder) as run:
        given = next(stage for stage in run.recipe.stages if isinstance(stage, Given))
        scores, reasons = _scores(run), _reasons(run)
        audited = audit(run) if can_audit(run) else None
    added = (CHOSEN, REJECTED) if given.layout.name == "preferences" else (SCORE,)
    renamed = _renamed((found.row.value for found in given.table if found.tasks), added)
    kept: list[Fact] = []
    dropped: list[Fact] = []
    for number, found in enumerate(given.table):
        wanted = sum(len(answers(task)) for task in found.tasks)
        values = [scores.get((number, index)) for index in range(wanted)]
        reason = reasons.get(number) or _unpreferred(found.tasks, values)
        if reason is None:
            row = {renamed.get(name, name): value for name, value in found.row.value.items()}
            kept.append({**row, **_columns(found.tasks, values)})
        else:
            dropped.append({"row": found.row.number, **_why(reason)})
    pages: dict[Path, bytes] = {}
    if audited is not None:
        text, data = page(audited), audited.model_dump_json(indent=2) + "\n"
        pages = dict(zip(audit_files(out), (text.encode(), data.encode()), strict=True))
    _write(out, kept, dropped, pages)
    told = {"kept": len(kept), "rows": dict(_rules(dropped)), "renamed": renamed}
    return {**told, "audit": str(audit_files(out)[0]) if pages else None}


def _renamed(rows: Iterable[Mapping[str, Any]], added: Sequence[str]) -> dict[str, str]:
    """Return a free name for each column that has the name of one to be added."""
    there = {name for row in rows for name in row}
    renamed: dict[str, str] = {}
    for name in added:
        free = name
        while free in there:
            free += "_before"
        if free != name:
            renamed[name] = free
    return renamed


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
) -> Fact:
    """Pair the judged answers in `file` that are answers to one task; write DPO rows to `out`; count what became of all.

    Rows of one task are those with equal instruction, input and earlier turns; their score stands in column `score`. Rows that
    are preferences already have two, as `judge` writes them. Traces of reasoning are left out.

    Returns: `pairs`; `tasks` without one, by rule; `rows` that hold no task or lack an answer, by rule.

    Raises:
        BadInputError: no column of that name, a score that is no number, columns that fit no layout, not a single pair.
    """
    pairs: list[PreferencePair] = []
    unpaired: list[Fact] = []
    tasks, unread = _tasks(file, score=score, columns=columns)
    for (instruction, given), candidates in tasks.items():
        task = content_id(instruction, given)
        draw = Random(f"{seed}:{task}")  # noqa: S311 - repeatable sampling, not secrecy
        found = pair(candidates, strategy=strategy, guards=guards, draw=draw)
        if isinstance(found, DropReason):
            rows = [int(one.id.partition(".")[0]) for one in candidates]
            unpaired.append({"rows": rows, **_why(found)})
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
        rules = ", ".join(f"{rule} {count}" for rule, count in _rules([*unpaired, *unread]))
        msg = f"{file}: no pair among {len(unpaired)} tasks ({rules})"
        raise BadInputError(
            msg, remedy="lower --min-chosen or --min-margin; a pair needs two scored answers to one task"
        )
    _write(out, list(Dpo().rows(iter(pairs))), [*unread, *unpaired])
    return {"pairs": len(pairs), "tasks": dict(_rules(unpaired)), "rows": dict(_rules(unread))}


def _tasks(file: Path, *, score: str, columns: str) -> tuple[dict[tuple[str, str], list[Candidate]], list[Fact]]:
    """Return (instruction, input) -> answers, and the rows that give none, with why: a row counts whole, as `judge` has it."""
    layout, rows = read_tasks(file, named=parse_columns(columns))
    tasks: dict[tuple[str, str], list[Candidate]] = {}
    unread: list[Fact] = []
    names = (CHOSEN, REJECTED) if layout.name == "preferences" else (score,)
    for found in rows:
        where = f"{file} {place(file, found.row.number)}"
        said = _said(found)
        if isinstance(said, DropReason):
            unread.append({"row": found.row.number, **_why(said)})
            continue
        values = [_number(found.row.value, name, where) for name in names]
        for task, texts in said:
            for index, (text, value) in enumerate(zip(texts, values, strict=True)):
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
                tasks.setdefault((task.instruction, input_of(task)), []).append(one)
    return tasks, unread


def _said(found: Found) -> list[tuple[Task, list[str]]] | DropReason:
    """Return the tasks of a row with their answers, traces left out; or why the row is of no use."""
    if (reason := no_text(found)) is not None:
        return reason
    said: list[tuple[Task, list[str]]] = []
    for task in found.tasks:
        said.append((task, []))
        for text in answers(task):
            if isinstance(one := parts(text), DropReason):
                return one
            if has_trace(one[1]):  # talk about tags, or thoughts that would leak: nobody can tell
                return DropReason(rule="trace")
            said[-1][1].append(one[1])
    return said


def _number(row: Mapping[str, Any], name: str, where: str) -> float:
    if name not in row:
        msg = f"{where}: no column {name!r} (there are: {', '.join(list(row)[:12])})"
        raise BadInputError(
            msg,
            remedy="name it with --score COLUMN, or have the rows judged: selfinstruct judge FILE --min-score 0 -o OUT",
        )
    try:
        value = float("nan") if isinstance(row[name], bool) else float(row[name])
    except (TypeError, ValueError, OverflowError):
        value = float("nan")
    if not -LARGEST <= value <= LARGEST:
        msg = f"{where}, {name}: {str(row[name])[:40]!r} is no score"
        raise BadInputError(msg, remedy="mend or remove the row")
    return value


def _why(reason: DropReason) -> Fact:
    return reason.model_dump(exclude_defaults=True)


def _rules(dropped: Sequence[Fact]) -> list[tuple[str, int]]:
    return Counter(str(fact["rule"]) for fact in dropped).most_common()


def _beside(out: Path, name: str) -> Path:
    return out.with_name(f"{out.name}.{name}")


def _write(out: Path, rows: Sequence[Fact], dropped: Sequence[Fact], pages: Mapping[Path, bytes] | None = None) -> None:
    """Write `out`, what was dropped, and `pages` (path -> bytes): all are written before one has its name, `out` the last.

    Raises:
        BadInputError: unknown kind, or rows that this kind cannot hold. NoRoomError: the disk refused.
    """
    check_writable(out)
    numbered = [Row(number, row) for number, row in enumerate(rows, 1)]
    texts = {**(pages or {}), dropped_file(out): b"".join(dumps(fact) + b"\n" for fact in dropped)}
    with publish(out) as kept, ExitStack() as others:
        write_rows(kept, numbered, kind=out.suffix.lower(), survey=lambda: numbered)
        for path, text in texts.items():
            others.enter_context(publish(path)).write_bytes(text)
