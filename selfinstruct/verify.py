"""Whether a run folder is sound: every stored byte, every count, every export, every ROUGE-L figure. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfinstruct.exported import verify_export
from selfinstruct.records import Fate
from selfinstruct.runs import open_stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selfinstruct.runs import StoredRun


def verify(folder: Path) -> Iterator[str]:
    """Yield a line for everything that is not as it was written or does not add up; nothing when the run is sound."""
    with open_stored(folder) as run:
        yield from run.store.damage()
        yield from run.accounts().problems()
        if run.ended in {"filled", "collapsed"} and run.accounts().ledger.open:
            yield f"the run says it ended ({run.ended}), but {run.accounts().ledger.open} rows are open"
        yield from _rescored(run)
    for manifest in sorted(folder.glob("exports/**/*manifest.json")):
        whole_folder = manifest.name == "manifest.json"
        yield from verify_export(
            manifest.parent if whole_folder else manifest.with_name(manifest.name.removesuffix(".manifest.json"))
        )


def _rescored(run: StoredRun) -> Iterator[str]:
    """Score every novelty drop of the published tokenizer again with rouge_score itself, the reference."""
    scorer = None
    for row, body in run.store.scan(fate=Fate.DROPPED, rule="rouge"):
        drop = body["drop"]
        text = body["record"]["text"]
        if drop["evidence"]["tokenizer"] != "rouge" and not (text + drop["evidence"]["nearest"]).isascii():
            continue
        if scorer is None:
            from rouge_score.rouge_scorer import RougeScorer  # noqa: PLC0415 - 0.8 s of nltk, wanted only here

            scorer = RougeScorer(["rougeL"], use_stemmer=False)
        score = scorer.score(drop["evidence"]["nearest"], text)["rougeL"].fmeasure
        if score != drop["figure"] or not score > drop["threshold"]:
            yield f"drop {row.id}: recorded ROUGE-L {drop['figure']}, rouge_score says {score}"
