"""How new the candidates of a run were: nearest earlier text of each, share of novel ones over time. Reads only."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from selfinstruct import seeds
from selfinstruct.errors import BadInputError
from selfinstruct.gates.rouge import Rouge
from selfinstruct.records import Frozen
from selfinstruct.text.rouge import NoveltyIndex
from selfinstruct.text.tokens import caution, count_unseen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfinstruct.runs import StoredRun
    from selfinstruct.text.rouge import Neighbour

BINS = 20
"""Of the histogram, each 0.05 wide."""
PARTS = 10
"""Of a run, by its requests, for the share over time."""
_BAR = 40


class Bin(Frozen):
    """Candidates whose nearest earlier text scores F from `low` to the next bin's low."""

    low: float
    kept: int
    dropped: int


class Novelty(Frozen):
    """What the novelty gate of a run saw."""

    threshold: float
    tokenizer: str
    candidates: int
    """Instructions that reached the gate."""
    dropped: int
    """Those too near to a seed or an earlier one."""
    measured: int
    """Kept ones whose nearest earlier text was looked up for the histogram, evenly over the run."""
    bins: tuple[Bin, ...]
    unseen: float
    """Share of the letters of kept instructions that the tokenizer does not see."""
    share: tuple[float | None, ...]
    """Of the candidates that were novel, in each tenth of the requests; None where there were no candidates."""


def novelty(run: StoredRun, *, sample: int = 2000) -> Novelty:
    """Return it; every dropped candidate counts in the histogram, and at most `sample` kept ones.

    Raises:
        BadInputError: no stage of the run has a novelty gate, or its seed file is gone.
    """
    gate, label = _gate(run)
    index = NoveltyIndex(gate.threshold, tokenizer=gate.tokenizer)
    index.extend(_seed_texts(run))
    first = len(index)
    kept: list[int] = []
    dropped: list[tuple[int, float]] = []
    for row, body in run.store.scan(label, upto=run.closing):
        if body["drop"] is None:
            index.add(body["record"]["text"])
            kept.append(row.request)
        elif body["drop"]["rule"] == gate.kind:
            dropped.append((row.request, body["drop"]["figure"]))
    step = max(1, -(-len(kept) // sample))
    looked = [index.survey(index.text(at), 1, before=at)[0] for at in range(first, len(index), step)]
    unseen, letters = count_unseen((index.text(at) for at in range(first, len(index))), gate.tokenizer)
    return Novelty(
        threshold=gate.threshold,
        tokenizer=gate.tokenizer,
        candidates=len(kept) + len(dropped),
        dropped=len(dropped),
        measured=len(looked),
        unseen=unseen / letters if letters else 0.0,
        bins=_bins([near[0].score if near else 0.0 for near in looked], [figure for _, figure in dropped]),
        share=_shares(kept, [request for request, _ in dropped]),
    )


def nearest(run: StoredRun, text: str, k: int) -> tuple[list[Neighbour], float]:
    """Return the `k` seeds and accepted instructions nearest to `text`, itself left out, and the mean F with all others.

    Raises:
        BadInputError: no stage of the run has a novelty gate, or its seed file is gone.
    """
    gate, label = _gate(run)
    index = NoveltyIndex(gate.threshold, tokenizer=gate.tokenizer)
    texts = [body["record"]["text"] for _, body in run.store.scan(label, upto=run.closing) if body["drop"] is None]
    index.extend([other for other in (*_seed_texts(run), *texts) if other != text])
    return index.survey(text, k)


def chart(told: Novelty) -> str:
    """Return it as lines to read: bars of kept and dropped per bin of F, then the share over time."""
    most = max((one.kept + one.dropped for one in told.bins), default=0) or 1
    rows = [
        f"{one.low:.2f}  {'█' * round(_BAR * one.kept / most)}{'░' * round(_BAR * one.dropped / most)} "
        f"{one.kept or ''}{f' / {one.dropped} dropped' if one.dropped else ''}".rstrip()
        for one in told.bins
        if one.kept or one.dropped
    ]
    shares = " ".join("-" if one is None else f"{one:.0%}" for one in told.share)
    head = f"{told.candidates} candidates, {told.dropped} dropped as too near (ROUGE-L F above {told.threshold}, "
    return "\n".join(
        [
            f"{head}tokenizer {told.tokenizer})",
            f"F with the nearest earlier text (of {told.measured} kept, █, and all dropped, ░):",
            *rows,
            f"novel, by tenths of the run: {shares}",
            *([told_of] if (told_of := caution(round(told.unseen * 1000), 1000)) else []),
        ]
    )


def _gate(run: StoredRun) -> tuple[Rouge, str]:
    for stage in run.recipe.stages:
        for gate in stage.gates:
            if isinstance(gate, Rouge):
                return gate, stage.label
    msg = f"{run.folder}: no stage of its recipe has a rouge gate"
    raise BadInputError(msg, remedy="selfinstruct stats shows what was dropped, and by what")


def _seed_texts(run: StoredRun) -> list[str]:
    tasks, _ = seeds.load(seeds.find(run.recipe.seeds))
    return [task.instruction for task in tasks]


def _bins(kept: Sequence[float], dropped: Sequence[float]) -> tuple[Bin, ...]:
    def count(figures: Sequence[float]) -> Counter[int]:
        return Counter(min(BINS - 1, int(figure * BINS + 1e-9)) for figure in figures)

    stay, go = count(kept), count(dropped)
    return tuple(Bin(low=at / BINS, kept=stay[at], dropped=go[at]) for at in range(BINS))


def _shares(kept: Sequence[int], dropped: Sequence[int]) -> tuple[float | None, ...]:
    last = max((*kept, *dropped), default=-1) + 1
    cuts = [last * part // PARTS for part in range(PARTS + 1)]
    shares: list[float | None] = []
    for low, high in pairwise(cuts):
        stay, go = (sum(low <= request < high for request in some) for some in (kept, dropped))
        shares.append(stay / (stay + go) if stay + go else None)
    return tuple(shares)
