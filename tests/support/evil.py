"""A published dataset that is hostile wherever text may stand."""

from __future__ import annotations

import json
from pathlib import Path

from selfinstruct.catalogue.publish import _files
from selfinstruct.catalogue.shards import Shards
from selfinstruct.catalogue.version import AUDIT, CARD, DIFF, FIGURES, MANIFEST, RECIPE, VIEWS, Licences, Version
from selfinstruct.figures.model import Example, Figures, LabelCounts, StageCounts
from tests.support.markup import payloads


def stored(text: str) -> str:
    """What Parquet takes."""
    return text.encode("utf-8", "replace").decode()


def id_of(text: str, place: int) -> str:
    return f"{place}-{text[:60]}"


def _lineage(text: str, one: str) -> str:
    def step(kind: str, **record: object) -> dict[str, object]:
        made = {"stage": text, "model": text, "seed": text, "sampling": {text[:50]: text}}
        call = {
            "completions": [{"text": text, "finish_reason": text, "reasoning": text}],
            "model": text,
            "usage": {"prompt_tokens": text},
        }
        drop = {"rule": text, "figure": text, "threshold": text, "evidence": {text[:50]: text}}
        return {"id": text, "stage": text or kind, "path": text, "fate": "accepted", "drop": drop, "record": {"id": one, "provenance": made, **record}, "calls": [call]}  # fmt: skip

    verdict = {
        "score": 4.5,
        "rationale": text,
        "judge": text,
        "of": one,
        "votes": [{"judge": text, "score": 1.0}],
        "flags": [text],
        "expected": 4.0,
    }
    pair = {
        "instruction": text,
        "chosen": text,
        "rejected": text + "!",
        "chosen_score": 5.0,
        "rejected_score": 1.0,
        "verdicts": [text, text],
    }
    steps = [step("a", text=text, shown=[text, one, "s"]), step("b", is_classification=True, margin=1.0), step("c", input=text, output=text),
             step("d", text=text, reasoning=text), step("e", text=text + "!"), step("f", **verdict), step("g", **pair), 7, None, {"record": text}]  # fmt: skip
    return json.dumps(steps, ensure_ascii=False)


def make_hostile(root: Path) -> Path:
    """Make a catalogue in `root` whose one version holds every payload in every place where text may stand."""
    folder = root / "evil" / "1"
    folder.mkdir(parents=True)
    texts = [stored(text) for text in payloads()]
    with Shards(folder, earlier={}) as shards:
        for place, text in enumerate(texts):
            one = id_of(text, place)
            row = dict.fromkeys(("instruction", "input", "output", "reasoning", "model", "judge"), text)
            shards.add(
                "sft",
                {
                    "id": one,
                    **row,
                    "flags": text,
                    "is_classification": True,
                    "score": 4.5,
                    "raw_score": 4.0,
                    "version": 1,
                },
            )
            shards.add("lineage", {"id": one, "lineage": _lineage(text, one), "version": 1})
            evidence = json.dumps(
                {"nearest": text, "rationale": text, text[:50]: text, "tokenizer": text[:20]}, ensure_ascii=False
            )
            drop = dict.fromkeys(("stage", "rule", "figure", "threshold", "text"), text)
            shards.add("dropped", {"id": one, **drop, "evidence": evidence if place % 2 else text, "version": 1})
            shards.add(
                "seeds", {"id": one, "name": text, "instruction": text, "instances": "[]", "is_classification": False}
            )
    counts = {text[:200]: place + 1 for place, text in enumerate(texts)}
    example = Example(id="x", stage=texts[0], text=texts[0])
    figures = Figures(
        runs=1, rows=len(texts), funnel={name: StageCounts(generated=2, accepted=1, dropped=1, drops={name: 1}) for name in counts},
        examples=dict.fromkeys(counts, (example,)), scripts=counts, verbs=dict.fromkeys(list(counts)[:3], counts),
        labels=LabelCounts(labels=counts), models={"answer": counts}, flags=counts,
    )  # fmt: skip
    (folder / FIGURES).write_text(figures.model_dump_json(), encoding="utf-8")
    for name in (CARD, RECIPE, *AUDIT, *DIFF):
        (folder / name).write_text("\n\n".join(text[:500] for text in texts), encoding="utf-8")
    terms = Licences(
        dataset=texts[0], writers={text[:80]: text[:80] for text in texts}, judges={texts[1]: texts[2]}, seeds=texts[3]
    )
    rows = {view: sum(count for name, count in shards.rows.items() if f"/{view}/" in name) for view in VIEWS}
    manifest = Version(
        name="evil", version=1, created=texts[0], rows=rows, added=rows, files=_files(folder, shards.rows, known={}), licences=terms,
        recipe=texts[0], language=texts[1], trial=True, made_by=texts[2],
    )  # fmt: skip
    (folder / MANIFEST).write_text(manifest.model_dump_json(), encoding="utf-8")
    (root / "catalogue.json").write_text('{"format": 1, "trial": true}', encoding="utf-8")
    return root
