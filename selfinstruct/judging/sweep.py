"""Every threshold of the scale side by side: what each would keep of a judged table, and what that would be like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from selfinstruct.judging.cut import Cut
from selfinstruct.judging.repaired import own_pairing, pairs
from selfinstruct.records import Frozen, PreferencePair
from selfinstruct.text.script import letters
from selfinstruct.text.tokens import count_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from selfinstruct.judging.scored import ScoredRow, ScoredTable
    from selfinstruct.runs import StoredRun

BAR = 20
"""Characters of the longest bar."""
SCRIPTS = ("hangul", "latin", "other")


class Step(Frozen):
    """What one threshold keeps. Shares are of the kept rows where nothing else is said; None: nothing to measure."""

    least: float
    in_use: bool
    kept: int
    share: float
    """Of all rows with a score."""
    words: float | None
    """Mean length of an answer."""
    scripts: dict[str, float]
    """Share of rows by the script that most letters of the answer are of."""
    classification: float | None
    """Share of classification tasks among the rows of which it is known."""
    top_label: float | None
    """Share of the most frequent answer among the classification tasks: near 1 says that one label is left."""
    pairs: int | None
    """Preference pairs whose chosen answer scores so high; None where the run pairs nothing."""


def sweep(table: ScoredTable, chosen: Sequence[float] | None = None) -> list[Step]:
    """Return a line for every threshold, the lowest first. `chosen`: scores of the chosen answers of all pairs."""
    measured = [(row, count_words(row.output), script(row.output)) for row in table.rows]
    steps = []
    for least in table.steps():
        kept = [one for one in measured if one[0].score >= least]
        scripts = Counter(one[2] for one in kept)
        steps.append(
            Step(
                least=least,
                in_use=least == table.threshold,
                kept=len(kept),
                share=len(kept) / len(table.rows),
                words=sum(one[1] for one in kept) / len(kept) if kept else None,
                scripts={name: scripts[name] / len(kept) if kept else 0.0 for name in SCRIPTS},
                classification=_classification(one[0] for one in kept),
                top_label=_top_label(one[0] for one in kept),
                pairs=None if chosen is None else sum(score >= least for score in chosen),
            )
        )
    return steps


def chosen_scores(run: StoredRun, lowest: float) -> list[float] | None:
    """Return the score of the chosen answer of every pair that `run` could make; None where its recipe pairs nothing."""
    if not any(stage.writes() is PreferencePair for stage in run.recipe.stages):
        return None
    found = pairs(run, own_pairing(run) or Cut(min_score=lowest))
    return [one.chosen_score for _, one in found if isinstance(one, PreferencePair)]


def script(text: str) -> str:
    """Return the script that most letters of `text` are of: hangul, latin or other (no letter at all, too)."""
    counts = letters(text)._asdict()
    return max(counts, key=lambda name: counts[name]) if any(counts.values()) else "other"


def chart(steps: Sequence[Step]) -> str:
    """Return the table as text, a bar for the kept share in each line."""
    pairs_too = any(step.pairs is not None for step in steps)
    head = f"{'least':>6} {'kept':>9} {'share':>7}  {'':{BAR}} {'words':>7}  " + " ".join(
        f"{one:>6}" for one in SCRIPTS
    )
    lines = [f"{head} {'class.':>7} {'top label':>9}" + (f" {'pairs':>9}" if pairs_too else "")]
    for step in steps:
        words = "-" if step.words is None else f"{step.words:.1f}"
        scripts = " ".join(f"{step.scripts[name]:6.1%}" if step.kept else f"{'-':>6}" for name in SCRIPTS)
        line = f"{step.least:6g} {step.kept:9,} {step.share:7.1%}  {'█' * round(BAR * step.share):{BAR}} {words:>7}  {scripts}"
        line += f" {_share(step.classification):>7} {_share(step.top_label):>9}"
        line += f" {step.pairs or 0:9,}" if pairs_too else ""
        lines.append(line + ("  <- in use" if step.in_use else ""))
    return "\n".join(lines)


def _classification(rows: Iterable[ScoredRow]) -> float | None:
    known = [row.is_classification for row in rows if row.is_classification is not None]
    return sum(known) / len(known) if known else None


def _top_label(rows: Iterable[ScoredRow]) -> float | None:
    labels = Counter(" ".join(row.output.lower().split()).rstrip(".") for row in rows if row.is_classification)
    return labels.most_common(1)[0][1] / labels.total() if labels else None


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
