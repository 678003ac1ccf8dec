"""Label balance of classification tasks: input first, label first, and label first with a further round, in one run.

    python benchmarks/labels.py [TASKS]

It is scripted: the model is a script that, with a given chance, thinks of a task's first label whatever the label was to be;
the same chance in all three. What shows is what the order of writing and the further round do about a model that errs so,
not how often a real one does.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent))
from selfinstruct.engines._grammar import instruction, labels_of
from selfinstruct.engines.scripted import ScriptedEngine
from selfinstruct.judging.balance import spread
from selfinstruct.records import Classification, Instance, Instruction
from selfinstruct.stages.instances import Instances
from tests.support.canned import PROVENANCE, work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfinstruct.engines.base import CompletionRequest, Reply

TASKS = 400
CHANCES = (0.0, 0.25, 0.5)
FAULTLESS = {"bad_instances": 0, "broken_json": 0, "cut": 0, "empty": 0}
WAYS = {
    "input first": (Instances(), False),
    "label first": (Instances(), True),
    "label first, further round": (Instances(top_up=0.6), True),
}


def tasks(count: int) -> Iterator[str]:
    """Yield so many instructions that sort into labels."""
    number = found = 0
    while found < count:
        text = instruction(Random(number))
        number += 1
        if labels_of(text):
            found += 1
            yield text


async def row(stage: Instances, *, label_first: bool, chance: float, count: int) -> str:
    """Return what one way of writing makes of the tasks, as cells."""
    engine, calls = ScriptedEngine(skewed_labels=chance, **FAULTLESS), 0
    written: list[tuple[str, str]] = []
    first: list[float] = []

    async def ask(_: str, request: CompletionRequest) -> Reply:
        nonlocal calls
        calls += 1
        return await engine.complete(request)

    for number, text in enumerate(tasks(count)):
        above: dict[str, Any] = {"id": f"t{number}", "parent": "", "provenance": PROVENANCE}
        record = Classification(**above, is_classification=label_first)
        ancestors = [Instruction(**above, text=text)]
        made = await stage.process(record, work(record, ask, ancestors=ancestors, id=f"w{number}"))
        labels = [one.output for one in made if isinstance(one, Instance)]
        written += [(record.id, label) for label in labels]
        first.append(labels.count(labels_of(text)[0]) / len(labels))
    found = spread(written)
    return f"{calls / count:.2f} | {found.rows / count:.2f} | {found.one_label:.1%} | {found.evenness:.3f} | {fmean(first):.1%}"


async def main(count: int) -> None:
    """Print the table."""
    even = fmean(1 / len(labels_of(text)) for text in tasks(count))
    print(f"{count} classification tasks, scripted; an even split gives the first label {even:.1%}\n")
    print("| chance | written | calls a task | instances a task | one label only | evenness | first label |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for chance in CHANCES:
        for name, (stage, label_first) in WAYS.items():
            cells = await row(stage, label_first=label_first, chance=chance, count=count)
            print(f"| {chance:g} | {name} | {cells} |")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else TASKS))
