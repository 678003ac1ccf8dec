"""How well the audit knows a judge: many small worlds whose biases are known, and the real pipeline with such a judge.

A world: tasks with answers of three models that differ in quality and length; judges who add points for length, for their own
family and for the first place, round to half points, waver, and write one reply in twenty that nobody can read. What each answer
deserves is known. Counted is how often a stated 95 % interval holds what was planted, how well the kept set agrees with the one
that is deserved, before and after the correction for length, and whether an unreadable reply became a score.

    python benchmarks/judging.py [WORLDS]
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from random import Random
from resource import RUSAGE_CHILDREN, getrusage

sys.path.insert(0, str(Path(__file__).parent.parent))
from throughput import server

from selfinstruct import pipeline, runs
from selfinstruct.engines import _answers as answers
from selfinstruct.engines import _grammar as grammar
from selfinstruct.engines.base import Completion, Reply
from selfinstruct.judged import JudgedTask
from selfinstruct.judges.rubric import RubricJudge
from selfinstruct.judging.audit import Audit, audit
from selfinstruct.judging.bias import corrected, length_slope, own_family
from selfinstruct.judging.estimate import Estimate, share
from selfinstruct.judging.stability import Repeats, orders
from selfinstruct.pool import Pool
from selfinstruct.records import Instance, Instruction, Provenance, Response
from selfinstruct.stage import Work
from tests.support.biased import HIGHEST, LOWEST, World, biased_recipe

WORLDS, TASKS, MANY = 200, 100, 20_000
SLOPE, LIFT, POSITION, UNREADABLE, LEAST = 0.3, 0.4, 0.3, 0.05, 3.0
STRANGER = ("exaone-j",)
BIASED = World(tasks=TASKS, slope=SLOPE, lift=LIFT, position=POSITION, unreadable=UNREADABLE)


def coverage(worlds: int) -> Counter[str]:
    """Print how often each interval holds the truth; return what was counted of replies."""
    turned = orders(replace(BIASED, tasks=10 * MANY).verdicts())
    apart = repeat(replace(BIASED, tasks=MANY // 4, votes=2, seed=-1)).value
    figures: list[tuple[str, World, Callable[[World], Estimate], float | None]] = [
        ("length slope, one judge", replace(BIASED, judges=STRANGER), slope, SLOPE),
        ("length slope, two judges of the writers' families", BIASED, slope, SLOPE),
        ("length slope, none planted", replace(BIASED, judges=STRANGER, slope=0), slope, 0),
        ("length slope, scores at the top of the scale", replace(BIASED, judges=STRANGER, centre=4.2), slope, SLOPE),
        ("own family lift, two judges", BIASED, lift, LIFT),
        ("own family lift, a stranger as second", replace(BIASED, judges=("qwen-j", *STRANGER)), lift, LIFT),
        ("own family lift, none planted", replace(BIASED, lift=0), lift, 0),
        ("flips of the order", BIASED, lambda world: orders(world.verdicts()).flips, turned.flips.value),
        ("flips towards the first", BIASED, lambda world: orders(world.verdicts()).first, turned.first.value),
        ("repeat, mean difference", replace(BIASED, votes=2), repeat, apart),
    ]
    print(f"\n{worlds} worlds of {TASKS} tasks (goal: the 95 % interval holds the truth in about 95 %)\n")
    print("| figure | planted | found, mean | interval, mean half | holds the truth |\n| --- | --- | --- | --- | --- |")
    counted: Counter[str] = Counter()
    for name, world, figure, truth in figures:
        seeded = [replace(world, seed=seed, seen={}) for seed in range(worlds)]
        found = [figure(one) for one in seeded]
        counted.update(sum((Counter(one.seen) for one in seeded), Counter()))
        print(row(name, found, truth))
    return counted


def row(name: str, found: list[Estimate], truth: float | None) -> str:
    """Return a line of the table; worlds in which it could not be known are told."""
    assert truth is not None
    known = [(one.value, one.low, one.high) for one in found if one.value is not None]
    ends = [(value, low, high) for value, low, high in known if low is not None and high is not None]
    held = share(sum(low <= truth <= high for _, low, high in ends), len(ends), of="worlds")
    mean, half = sum(one[0] for one in ends) / len(ends), sum(high - low for _, low, high in ends) / len(ends) / 2
    without = f" ({len(found) - len(ends)} not known)" if len(ends) < len(found) else ""
    return f"| {name} | {truth:.3f} | {mean:.3f} | {half:.3f} | {held.value:.1%} ({held.low:.0%} to {held.high:.0%}){without} |"


def slope(world: World) -> Estimate:
    """Return the slope found in a world."""
    return length_slope(world.table()[0])


def lift(world: World) -> Estimate:
    """Return the lift found in a world."""
    return own_family(world.table()[0])[0]


def repeat(world: World) -> Estimate:
    """Return the mean difference of two votes found in a world."""
    repeats = Repeats()
    for task in world.table()[0]:
        repeats.add(task)
    return repeats.itself().distance


def kept(tasks: Iterable[tuple[JudgedTask, dict[str, float]]]) -> set[str]:
    """Return the best answer of each task where it is good enough."""
    best = (max(scores.items(), key=lambda one: one[1]) for _, scores in tasks if scores)
    return {name for name, score in best if score >= LEAST}


def correction(worlds: int) -> None:
    """Print how well what is kept agrees with what should be, by raw scores and by corrected ones."""
    print(
        f"\nKept set (best of three, {LEAST:g} and more) against what the answers deserve; F1, mean of {worlds} worlds\n"
    )
    print("| length bias | raw scores | corrected | better, equal, worse in worlds |\n| --- | --- | --- | --- |")
    for points in (0.0, 0.15, SLOPE, 0.5):
        raw, after = [], []
        for seed in range(worlds):
            tasks, truth = replace(BIASED, slope=points, seed=seed).table()
            wanted = kept((task, {one.id: truth[one.id] for one in task.candidates}) for task in tasks)
            scores = [(task, {one.id: one.score or 0.0 for one in task.scored}) for task in tasks]
            raw.append(agree(kept(scores), wanted))
            after.append(agree(kept(corrected(tasks, length_slope(tasks), scale=(LOWEST, HIGHEST))), wanted))
        sides = Counter((one > other) - (one < other) for one, other in zip(after, raw, strict=True))
        told = f"{sum(raw) / worlds:.3f} | {sum(after) / worlds:.3f} | {sides[1]}, {sides[0]}, {sides[-1]}"
        print(f"| {points:.2f} points per doubling | {told} |")


def agree(one: set[str], other: set[str]) -> float:
    """Return F1 of two sets."""
    return 2 * len(one & other) / max(1, len(one) + len(other))


def through_the_pipeline(rows: int = 300) -> None:
    """Print what the audit of two real runs finds, one with fair judges and one with biased ones, answers the same."""
    found: list[Audit] = []
    with tempfile.TemporaryDirectory() as folder:
        for points, family in ((0.0, 0.0), (SLOPE, LIFT)):
            place = Path(folder) / f"{points}"
            pipeline.run_sync(biased_recipe(slope=points, lift=family, unreadable=UNREADABLE), place, target=rows)
            with runs.open_stored(place) as run:
                found.append(audit(run))
    fair, biased = found
    gained = (biased.length.value or 0) - (fair.length.value or 0)
    print(f"\nThrough the real pipeline, {rows} rows, two writers, two judges (`demo` with names):")
    print(
        f"length: fair judges {told(fair.length)}, biased {told(biased.length)}; difference {gained:+.3f}, planted {SLOPE:+.3f}"
    )
    print(f"own family: fair {told(fair.own_family)} (planted 0), biased {told(biased.own_family)} (planted {LIFT})")
    print(
        f"{biased.unscored} of {biased.unscored + sum(biased.judges.values())} verdicts could not be read, and are no scores"
    )


def capacity(rows: int = 6000) -> None:
    """Print how many rows a second the judge's side can handle: the stage alone, and the whole command over HTTP."""
    draw = Random(1)
    texts = [(task := grammar.instruction(draw), answers.good(task, "", draw)) for _ in range(rows)]
    reply = Reply(
        completions=(Completion(text='{"score":4.5,"rationale":"It is right."}', finish_reason="stop"),), model="j"
    )

    async def at_once(_engine: str, _request: object) -> Reply:
        return reply

    async def alone() -> None:
        pool, made = Pool(()), Provenance(stage="given", model="w")
        for number, (task, answer) in enumerate(texts):
            asked = Instruction(id=f"i{number}", parent="", provenance=made, text=task)
            given = Instance(id=f"n{number}", parent=asked.id, provenance=made, input="", output=answer)
            one = Response(id=f"a{number}", parent=given.id, provenance=made, text=answer)
            work = Work(
                id=one.id, stage="judge", record=one, ancestors=(asked, given), below=(), failed_below=0, pool=pool,
                run_seed=1, language="en", attempt=1, ask=at_once,
            )  # fmt: skip
            await RubricJudge().process(one, work)

    started = time.process_time()
    asyncio.run(alone())
    print(
        f"\nstage alone (prompt, fence, verdict): {rows / (time.process_time() - started):,.0f} rows/s of one core; goal 1,200"
    )
    with tempfile.TemporaryDirectory() as folder, server(Namespace(faults="", token_ms=0.05), 256) as url:
        file = Path(folder) / "rows.jsonl"
        file.write_text(
            "".join(json.dumps({"instruction": task, "output": answer}) + "\n" for task, answer in texts),
            encoding="utf-8",
        )
        command = [sys.executable, "-m", "selfinstruct", "judge", str(file), "-o", f"{folder}/out.jsonl", "-q"]
        started, before = time.perf_counter(), getrusage(RUSAGE_CHILDREN)
        subprocess.run([*command, "--base-url", url, "--set", "concurrency=256"], check=True, stdout=subprocess.DEVNULL)
        took, after = time.perf_counter() - started, getrusage(RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"`judge FILE` over HTTP, all included: {rows / took:,.0f} rows/s, {1000 * used / rows:.2f} ms CPU a row")


def told(one: Estimate) -> str:
    """Return an estimate in few words."""
    return f"{one.value:+.3f} [{one.low:+.3f}, {one.high:+.3f}]" if one.value is not None else one.why


def main(worlds: int) -> None:
    """Print all of it; exit 1 when an unreadable reply became a score."""
    started = time.perf_counter()
    counted = coverage(worlds)
    correction(worlds)
    print(
        f"\n{counted['replies']:,} replies, {counted['unreadable']:,} of them unreadable; read as a score: {counted['believed']}"
    )
    through_the_pipeline()
    capacity()
    print(f"\n{time.perf_counter() - started:.0f} s")
    sys.exit(counted["believed"] > 0)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else WORLDS)
