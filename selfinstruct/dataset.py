"""The novelty gate and the judge's verdicts on any dataset of one row per task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from selfinstruct.errors import BadInputError
from selfinstruct.records import Fate
from selfinstruct.runs import open_stored
from selfinstruct.tables import read_table, write_table
from selfinstruct.text.reply import harmless
from selfinstruct.text.rouge import NoveltyIndex
from selfinstruct.text.tokens import TOKENIZERS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def dedupe(
    file: Path, out: Path, *, against: Sequence[Path], field: str, threshold: float, tokenizer: str
) -> dict[str, Any]:
    """Keep a row only if no earlier one, and none of `against`, scores above `threshold`; return the counts.

    The first of two near rows stays. Dropped rows go to `<out>.dropped.jsonl` with score and nearest neighbour.

    Raises:
        BadInputError: a file cannot be read, a row has no text in `field`, or `out` is the input.
    """
    if tokenizer not in TOKENIZERS:
        msg = f"no tokenizer {tokenizer!r}"
        raise BadInputError(msg, remedy=f"one of {', '.join(TOKENIZERS)}")
    if out.resolve() in {one.resolve() for one in (file, *against)}:
        msg = f"{out} is one of the inputs"
        raise BadInputError(msg, remedy="give another path with -o")
    index = NoveltyIndex(threshold, tokenizer=tokenizer)
    for other in against:
        index.extend([_text(row, field, other, place) for place, row in read_table(other, needed=(field,))])
    kept: list[dict[str, Any]] = []
    dropped: list[dict[str, Any]] = []
    for place, row in read_table(file, needed=(field,)):
        text = _text(row, field, file, place)
        rival = index.rival(text)
        if rival is None:
            index.add(text)
            kept.append(row)
        else:
            evidence = {"rule": "rouge", "figure": rival.score, "threshold": threshold, "nearest": rival.text}
            dropped.append({"place": place, "drop": evidence, "row": row})
    write_table(out, kept)
    dropped_file = out.with_name(f"{out.name}.dropped.jsonl")
    write_table(dropped_file, dropped)
    return {
        "rows": len(kept) + len(dropped),
        "kept": len(kept),
        "dropped": len(dropped),
        "dropped_file": str(dropped_file),
    }


def _text(row: dict[str, Any], field: str, file: Path, place: str) -> str:
    value = row[field]
    if not isinstance(value, str):
        msg = f"{file} {place}, field {field}: {type(value).__name__}, not a text"
        raise BadInputError(msg, remedy="mend the row, or name another column with --field")
    return harmless(value)


def kept_rows(folder: Path, file: Path, out: Path) -> int:
    """Write the rows of `file` that the judged run in `folder` kept, with their scores, to `out`; return their number."""
    with open_stored(folder) as run:
        label = run.tree.rows
        scores = {row.request: body["record"]["score"] for row, body in run.store.scan(label, fate=Fate.ACCEPTED)}
    rows = [row for _, row in read_table(file)]
    write_table(out, [{**rows[number], "score": score} for number, score in sorted(scores.items())])
    return len(scores)
