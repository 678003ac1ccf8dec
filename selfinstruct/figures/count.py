"""Counts a stored run: one pass over it, one request in memory at a time. Asks no model, changes nothing.

Takes what reading the store takes: 20,000 rows (275,000 records) were 8.3 s of one core and 89 MB.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import groupby
from math import inf
from statistics import fmean
from typing import TYPE_CHECKING, Any

from selfinstruct.census.scripts import shares
from selfinstruct.errors import BadInputError
from selfinstruct.figures.bins import HUNDREDTHS, Lengths, hundredths, length_bin
from selfinstruct.figures.model import (
    EXAMPLES,
    NONE,
    Example,
    Fates,
    Figures,
    LabelCounts,
    Nearness,
    Scores,
    StageCounts,
    Usage,
)
from selfinstruct.judging import refilter
from selfinstruct.judging.balance import Counted, label_of
from selfinstruct.judging.cut import check
from selfinstruct.judging.scored import scale_of
from selfinstruct.novelty import novelty
from selfinstruct.records import Classification, Fate, Instance, Instruction, Judgement, PreferencePair, Response, Row
from selfinstruct.stage import least_kept
from selfinstruct.text.labels import plain
from selfinstruct.text.show import printable
from selfinstruct.text.tokens import count_words
from selfinstruct.text.verbs import verb_noun

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from selfinstruct.judging.cut import Cut
    from selfinstruct.ledger import Accounts
    from selfinstruct.runs import StoredRun
    from selfinstruct.store import RecordRow

SAMPLE = 2000
"""Kept instructions of a run whose nearest earlier text is looked up, as `novelty` does."""
UNKNOWN = "unknown"
"""Model of a record that does not name one, engine of a stage that asks several."""
_LOOKED_AT = 20_000
"""Characters of a text whose script is told."""
_SYLLABLES, _LETTERS = frozenset({"Hangul", "Han", "Kana"}), 2
"""A character of these is a syllable, two letters at least: a Korean sentence with English names in it is Korean."""
_ASCII_LETTER = re.compile("[A-Za-z]")
_TEXTS = ("instruction", "input", "output")

Found = tuple["RecordRow", Any]
"""A stored record with its decoded body."""


def of_run(run: StoredRun, cut: Cut | None = None, *, sample: int = SAMPLE) -> Figures:
    """Count `run` up to its last row; with a `cut`, as if that had been asked of rows and pairs.

    A cut that corrects for length has corrected scores of kept rows, and the judge's own of dropped ones. What a pair stage
    dropped stays as the run has it.

    Raises:
        BadInputError: the cut lies outside of the judge's scale, or the run has no scores.
    """
    scale = _scale(run)
    if cut is not None:
        check(cut, scale_of(run))
    counted = _Counted(run, scored=scale is not None)
    kept = _Kept(run, cut)
    for _, group in groupby(run.store.scan(upto=run.closing), key=lambda one: one[0].request):
        counted.add(list(group), kept)
    accounts = run.accounts()
    found = counted.figures()
    funnel, ledger = _funnel(run, accounts, found.rows)
    least = least_kept(run.recipe.stages) if cut is None else cut.min_score
    failed = funnel[run.tree.rows].failed
    return found.model_copy(
        update={
            "pairs": _pairs(run, cut, accounts),
            "surplus": accounts.surplus,
            "ledger": ledger,
            "funnel": funnel,
            "scores": found.scores.model_copy(
                update={
                    "thresholds": () if least is None else (float(least),),
                    "scales": (scale,),
                    "unscored": found.scores.unscored + failed,
                }
            )
            if scale
            else Scores(),
            "nearness": _nearness(run, sample),
            **_usage(run),
        }
    )


class _Kept:
    """The rows that are kept: the run's own, or those of a cut, which come in the order of the requests."""

    def __init__(self, run: StoredRun, cut: Cut | None) -> None:
        self._rows = iter(()) if cut is None else refilter.records(run, cut, Row)
        self.cut = cut
        self._next = next(self._rows, None)
        self._label = run.tree.rows

    def of(self, group: list[Found]) -> dict[str, Any]:
        """Return path -> row of one request; with a cut the path can be that of the instance."""
        if self.cut is None:
            return {
                row.path: body["record"]
                for row, body in group
                if row.stage == self._label and row.fate == Fate.ACCEPTED
            }
        found: dict[str, Any] = {}
        number = group[0][0].path.partition(".")[0]
        while self._next is not None and self._next[0].partition(".")[0] <= number:
            path, record = self._next
            found[path] = record.model_dump(mode="json")
            self._next = next(self._rows, None)
        return found


class _Counted:
    """The counters behind the figures that are counted record by record."""

    def __init__(self, run: StoredRun, *, scored: bool) -> None:
        self._kinds = {stage.label: stage.writes() for stage in run.recipe.stages}
        self._label, self._scored = run.tree.rows, scored
        self._depth = len(run.tree.trunk())
        self._plain: Counter[str] = Counter()
        self._bins: dict[str, Counter[int]] = {}
        self._counts: dict[str, Counter[str]] = {}
        self._verbs: dict[str, Counter[str]] = {}
        self._models: dict[str, Counter[str]] = {}
        self._examples: dict[str, list[Example]] = {}
        self._written, self._kept = Counted(), Counted()

    def add(self, group: list[Found], keeper: _Kept) -> None:
        """Count all records of one request."""
        kept = keeper.of(group)
        accepted = [
            (row.path, self._kinds[row.stage], body["record"]) for row, body in group if row.fate == Fate.ACCEPTED
        ]
        instances = {self._instance(path): record for path, record in kept.items()}
        for row, body in group:
            if row.stage == self._label:
                self._score(row, body, kept.get(row.path) or kept.get(self._instance(row.path)), keeper.cut)
            elif row.fate == Fate.DROPPED:
                self._example(row, _text(body["record"]) or _text(_above(row.path, accepted)), body["drop"])
        for path, record in instances.items():
            self._row(record)
            self._lineage(path, record, accepted)
        self._labels(accepted, instances)

    def _instance(self, path: str) -> str:
        """Return the path of the instance that a row is of."""
        return ".".join(path.split(".")[: self._depth])

    def _score(self, row: RecordRow, body: Any, kept: Any, cut: Cut | None) -> None:  # noqa: ANN401 - stored bodies
        record, drop = body["record"], body["drop"]
        score = (kept or record or {}).get("score")
        if kept is None and drop is None and cut is not None:
            drop = {"rule": "score", "figure": score, "threshold": cut.min_score, "evidence": {}}
        if kept is None and drop is not None:
            self._example(row, _text(record), drop)
        rule = "" if kept is not None else drop["rule"]
        if rule not in {"", "score", *refilter.UNSCORED} or not self._scored:
            return
        if score is None:
            self._plain["unscored"] += 1
        else:
            self._bins.setdefault("dropped" if rule else "kept", Counter())[hundredths(score)] += 1

    def _example(self, row: RecordRow, text: str, drop: Any) -> None:  # noqa: ANN401 - a stored body
        shown = self._examples.setdefault(drop["rule"], [])
        if len(shown) < EXAMPLES:
            evidence = drop.get("evidence") or {}
            shown.append(
                Example(
                    id=row.id,
                    stage=row.stage,
                    text=printable(text),
                    figure=_shown(drop.get("figure")),
                    threshold=_shown(drop.get("threshold")),
                    evidence=printable(evidence.get("nearest") or evidence.get("rationale") or ""),
                )
            )

    def _row(self, record: Mapping[str, Any]) -> None:
        self._plain["rows"] += 1
        self._plain["scripted"] += record["provenance"]["scripted"]
        for name in _TEXTS:
            text = record[name]
            self._bins.setdefault(f"{name} characters", Counter())[length_bin(len(text))] += 1
            self._bins.setdefault(f"{name} words", Counter())[length_bin(count_words(text))] += 1
        for name, text in (("scripts", record["instruction"]), ("output_scripts", record["output"])):
            self._counts.setdefault(name, Counter())[main_script(text)] += 1
        verb, noun = verb_noun(record["instruction"])
        self._verbs.setdefault(verb, Counter())[noun] += 1
        told = {True: "yes", False: "no", None: UNKNOWN}[record["is_classification"]]
        self._counts.setdefault("classification", Counter())[told] += 1

    def _lineage(self, path: str, record: Mapping[str, Any], accepted: list[tuple[str, Any, Any]]) -> None:
        """Count who wrote and who judged a row, and what was flagged."""
        above = _above(path, accepted)
        under = [(kind, one) for at, kind, one in accepted if at.startswith(f"{path}.")]
        answers = [one for kind, one in under if kind is Response and one["text"] == record["output"]]
        verdicts: dict[str, list[Any]] = {
            one["id"]: [] for one in answers
        }  # several can have the same text: the best of them was chosen
        for kind, one in under:
            if kind is Judgement and (of := one["of"] or one["parent"]) in verdicts:
                verdicts[of].append(one)
        found = max(
            verdicts.values(), key=lambda some: fmean(one["score"] for one in some) if some else -inf, default=[]
        )
        self._models.setdefault("instruction", Counter())[_model(above)] += above is not None
        self._models.setdefault("answer", Counter())[_model(answers[0] if answers else record)] += 1
        for judge in {one["judge"] for one in found}:
            self._models.setdefault("judge", Counter())[judge or UNKNOWN] += 1
        self._counts.setdefault("flags", Counter()).update(flag for one in found for flag in one["flags"])

    def _labels(self, accepted: list[tuple[str, Any, Any]], rows: Mapping[str, Mapping[str, Any]]) -> None:
        """Count the labels of the request's classification tasks, as `balance.of_run` does."""
        for at, kind, classification in accepted:
            if kind is Classification and classification["is_classification"]:
                below = f"{at}."
                labels = {
                    path: plain(one["output"])
                    for path, kind, one in accepted
                    if kind is Instance and path.startswith(below)
                }
                self._written.add(labels.values())
                self._kept.add(label_of(row["output"], labels, path) for path, row in rows.items() if path in labels)

    def figures(self) -> Figures:
        """Return what has been counted."""
        lengths = {
            name: Lengths(characters=self._bin(f"{name} characters"), words=self._bin(f"{name} words"))
            for name in _TEXTS
        }
        counts = {name: dict(found.most_common()) for name, found in self._counts.items()}
        return Figures(
            runs=1,
            rows=self._plain["rows"],
            scripted_rows=self._plain["scripted"],
            examples={rule: tuple(shown) for rule, shown in self._examples.items()},
            scores=Scores(kept=self._bin("kept"), dropped=self._bin("dropped"), unscored=self._plain["unscored"]),
            **lengths,
            **counts,
            verbs={verb: dict(nouns.most_common()) for verb, nouns in _most(self._verbs)},
            labels=_label_counts(self._kept),
            labels_written=_label_counts(self._written),
            models={role: dict((+found).most_common()) for role, found in self._models.items() if +found},
        )

    def _bin(self, name: str) -> dict[int, int]:
        return dict(sorted(self._bins.get(name, {}).items()))


def _above(path: str, accepted: list[tuple[str, Any, Any]]) -> Any:  # noqa: ANN401 - a stored record
    """Return the instruction that stands above a path; None where there is none."""
    return next((one for at, kind, one in accepted if kind is Instruction and path.startswith(f"{at}.")), None)


def main_script(text: str) -> str:
    """Return the script that most letters of a text are of; `(none)` where there are no letters."""
    text = text[:_LOOKED_AT]
    if text.isascii():
        return "Latin" if _ASCII_LETTER.search(text) else NONE
    found = {script: count * (_LETTERS if script in _SYLLABLES else 1) for script, count in shares(text).items()}
    return max(found.items(), key=lambda one: (one[1], one[0]), default=(NONE, 0))[0]


def _most(verbs: Mapping[str, Counter[str]]) -> Iterator[tuple[str, Counter[str]]]:
    yield from sorted(verbs.items(), key=lambda one: (-one[1].total(), one[0]))


def _label_counts(counted: Counted) -> LabelCounts:
    return LabelCounts(
        tasks=counted.tasks,
        rows=counted.rows,
        several=counted.several,
        one_label=counted.single,
        evenness=counted.evenness,
        labels=dict(counted.every.most_common()),
    )


def _text(record: Mapping[str, Any] | None) -> str:
    return next((record[key] for key in ("output", "text", "chosen") if record.get(key)), "") if record else ""


def _model(record: Mapping[str, Any] | None) -> str:
    return (record["provenance"]["model"] if record else "") or UNKNOWN


def _shown(value: object) -> float | str | None:
    return value if value is None or isinstance(value, int | float) else printable(value)


def _scale(run: StoredRun) -> tuple[float, float] | None:
    try:
        return scale_of(run)
    except BadInputError:
        return None


def _funnel(run: StoredRun, accounts: Accounts, rows: int) -> tuple[dict[str, StageCounts], Fates]:
    """Return stages and ledger; with as many rows kept as the figures count, a cut moves the others to `score` or back."""
    funnel = {
        label: StageCounts(**stage.model_dump(), drops=accounts.drops_by_stage[label])
        for label, stage in accounts.stages.items()
    }
    ledger = Fates(**accounts.ledger.model_dump())
    last = funnel[run.tree.rows]
    if more := rows - last.accepted:
        drops = Counter(last.drops)
        drops["score"] -= more
        moved = {"accepted": rows, "dropped": last.dropped - more}
        funnel[run.tree.rows] = last.model_copy(update={**moved, "drops": dict(+drops)})
        ledger = ledger.model_copy(update={"accepted": rows, "dropped": ledger.dropped - more})
    return funnel, ledger


def _pairs(run: StoredRun, cut: Cut | None, accounts: Accounts) -> int:
    label = run.writer_of(PreferencePair)
    if label is None or cut is None:
        return accounts.stages[label].accepted if label else 0
    return sum(1 for _ in refilter.records(run, cut, PreferencePair))


def _nearness(run: StoredRun, sample: int) -> Nearness:
    """Return the likenesses that a run's ROUGE gate saw; nothing without that gate, or when the seed file is gone."""
    try:
        told = novelty(run, sample=sample)
    except BadInputError:
        return Nearness()
    return Nearness(
        kept={round(one.low * HUNDREDTHS): one.kept for one in told.bins if one.kept},
        dropped={round(one.low * HUNDREDTHS): one.dropped for one in told.bins if one.dropped},
        thresholds=(told.threshold,),
        tokenizers=(told.tokenizer,),
    )


def _usage(run: StoredRun) -> dict[str, Any]:
    known = run.store.get_meta()
    inputs: dict[str, str] = json.loads(known.get("inputs", "{}"))
    engines = {stage.label: stage.engines() for stage in run.recipe.stages}
    by_stage: dict[str, Usage] = {}
    by_model: dict[str, Usage] = {}
    for label, (calls, prompt, completion) in run.store.usage_by_stage().items():
        used = Usage(calls=calls, prompt_tokens=prompt, completion_tokens=completion)
        asked = engines.get(label, ())
        model = inputs.get(f"model of {asked[0]}", UNKNOWN) if len(asked) == 1 else UNKNOWN
        by_stage[label] = used
        by_model[model] = by_model.get(model, Usage()) + used
    return {
        "usage": sum(by_stage.values(), Usage()),
        "usage_by_stage": by_stage,
        "usage_by_model": by_model,
        "seconds": round(float(known.get("seconds", 0))),
    }
