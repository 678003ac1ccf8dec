"""Commands that look at a run, or write files of it: stats, watch, novelty, verify, why, drops, export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from selfinstruct.cli._shared import (
    Folder,
    Json,
    app,
    say,
)
from selfinstruct.errors import BadInputError, Exit, SelfInstructError
from selfinstruct.text.show import printable


@app.command()
def stats(folder: Folder, *, as_json: Json = False) -> None:
    """Show the funnel: what was made, kept, dropped, failed, and is open, per stage; and how even the labels are."""
    from rich.console import Console

    from selfinstruct.console import funnel, labels
    from selfinstruct.judging import balance
    from selfinstruct.runs import open_stored

    with open_stored(folder) as stored:
        counted, labelled = stored.accounts(), balance.of_run(stored)
        facts = {"recipe": stored.recipe.name, "target": stored.target, "ended": stored.ended}
    if as_json:
        told = labelled.model_dump(mode="json") if labelled.there else None
        typer.echo(json.dumps({**facts, **counted.model_dump(mode="json"), "labels": told}))
    else:
        Console().print(funnel(counted))
        if labelled.there:
            Console().print(labels(labelled))
        typer.echo(
            f"{counted.ledger.accepted} of {facts['target']} rows; {counted.calls['total']} calls; {facts['ended'] or 'open'}"
        )
    for alarm, remedy in labelled.alarms():
        say(f"skewed labels: {alarm}")
        say(f"  try: {remedy}")
    if list(counted.problems()):
        raise typer.Exit(Exit.FAILED)


@app.command()
def watch(
    folder: Folder,
    *,
    once: Annotated[bool, typer.Option("--once", help="Show it as it is now, and end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what is known now as one JSON object, and end.")
    ] = False,
) -> None:
    """Look at a run that goes on in another terminal, until it ends; Ctrl-C ends the looking, not the run."""
    from selfinstruct.console import attach

    if as_json:
        typer.echo(json.dumps(attach.snapshot(folder)))
    elif once:
        attach.show_once(folder)
    else:
        attach.follow(folder)


@app.command()
def novelty(
    folder: Folder,
    sample: Annotated[int, typer.Option(min=1, help="Kept rows whose nearest earlier text is looked up.")] = 2000,
    *,
    as_json: Json = False,
) -> None:
    """Show how new the instructions were: F with the nearest earlier text, and the novel share over time."""
    from selfinstruct.novelty import chart
    from selfinstruct.novelty import novelty as look
    from selfinstruct.runs import open_stored

    with open_stored(folder) as stored:
        told = look(stored, sample=sample)
    typer.echo(told.model_dump_json() if as_json else chart(told))


@app.command()
def verify(target: Annotated[Path, typer.Argument(help="Run folder, or an export.", metavar="RUN|EXPORT")]) -> None:
    """Check every stored byte, every count and every export; say where something is wrong."""
    from selfinstruct.exported import verify_export
    from selfinstruct.store import has_run
    from selfinstruct.verify import verify as check

    problems = list(check(target) if has_run(target) else verify_export(target))
    for problem in problems:
        typer.echo(printable(problem, longest=500))
    if problems:
        msg = f"{target}: {len(problems)} problem{'s' * (len(problems) > 1)}"
        raise SelfInstructError(msg, remedy="restore it from a copy, or run again into another folder")
    say(f"{target}: sound")


@app.command()
def why(
    record: Annotated[str, typer.Argument(help="Id of a row or record, or its beginning.", metavar="ID")],
    folder: Annotated[
        Path | None, typer.Argument(help="Run folder [default: every run below here].", metavar="RUN")
    ] = None,
    near: Annotated[
        int, typer.Option("--near", min=0, help="Also the nearest so many other instructions, and the mean F.")
    ] = 0,
) -> None:
    """Tell what became of a row and why, with everything it descends from."""
    from selfinstruct.novelty import nearest
    from selfinstruct.runs import lineage, open_stored
    from selfinstruct.store import runs_below

    folders = [folder] if folder else runs_below(Path())
    for one in folders:
        with open_stored(one) as stored:
            found = lineage(stored, record)
            for line in found:
                typer.echo(json.dumps(line, ensure_ascii=True))
            if found and near:
                neighbours, mean = nearest(stored, _instruction(found), near)
                shown = [{"score": other.score, "text": other.text} for other in neighbours]
                typer.echo(json.dumps({"nearest": shown, "mean": mean}, ensure_ascii=True))
        if found:
            return
    msg = f"no record {printable(record, longest=40)!r} in {', '.join(map(str, folders)) or 'any run below here'}"
    raise BadInputError(
        msg, remedy="ids are shown by: selfinstruct drops RUN; selfinstruct export RUN --format parquet"
    )


def _instruction(found: list[dict[str, Any]]) -> str:
    """Return the instruction that a lineage is about."""
    return next(str(line["record"][key]) for line in found for key in ("text", "instruction") if key in line["record"])


@app.command()
def drops(
    folder: Folder,
    by: Annotated[str | None, typer.Option("--by", help="Only this rule.")] = None,
    limit: Annotated[int, typer.Option("-n", min=1, help="Rows shown.")] = 20,
    *,
    as_json: Json = False,
) -> None:
    """List dropped rows with rule, figure, threshold and evidence."""
    import itertools

    from selfinstruct.runs import open_stored

    with open_stored(folder) as stored:
        counted = stored.accounts()
        if by is not None and by not in counted.drops:
            msg = f"nothing was dropped by {by!r}"
            raise BadInputError(msg, remedy=f"rules that dropped: {', '.join(counted.drops) or 'none'}")
        for row, body in itertools.islice(stored.drops(by), limit):
            fact = {"id": row.id, "stage": row.stage, **body["drop"], "record": body["record"]}
            typer.echo(json.dumps(fact, ensure_ascii=True) if as_json else _drop_line(fact))
    say(f"{sum(counted.drops.values())} dropped: " + ", ".join(f"{rule} {n}" for rule, n in counted.drops.items()))


def _drop_line(fact: dict[str, Any]) -> str:
    record = fact["record"]
    text = record.get("text") or record.get("output") or ""
    against = "" if fact["threshold"] is None else f" against {fact['threshold']}"
    figure = "" if fact["figure"] is None else f" {printable(fact['figure'], longest=30)}{against}"
    nearest = fact["evidence"].get("nearest") or fact["evidence"].get("rationale") or ""
    because = f"  <- {printable(nearest, longest=80)}" if nearest else ""
    return f"{fact['id']}  {fact['stage']}/{fact['rule']}{figure}  {printable(text, longest=100)}{because}"


@app.command()
def export(
    folder: Folder,
    form: Annotated[str, typer.Option("--format", help="See the list above.", metavar="FORMAT")],
    out: Annotated[
        Path, typer.Option("-o", help="File (with a suffix), or folder (with fragments for trainers beside the data).")
    ],
    split: Annotated[
        float,
        typer.Option("--split", help="Share of the tasks for validation.jsonl; nothing like them is in train.jsonl."),
    ] = 0.0,
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="Option of the format; kto: least=4.5 is good, below=3 is bad.")
    ] = None,
    *,
    reasoning: Annotated[
        bool, typer.Option("--reasoning", help="Traces of reasoning models before their answers: <think>...</think>.")
    ] = False,
) -> None:
    """Write the rows of a run for a trainer.

    \b
    alpaca             instruction, input, output: LLaMA-Factory, axolotl
    messages           a conversation, loss on all of it: TRL; all others, too
    prompt-completion  loss on the answer alone: TRL
    sharegpt           turns of human and gpt: LLaMA-Factory, axolotl
    dpo                prompt, chosen, rejected: TRL, axolotl
    dpo-text           the same as plain text: TRL, axolotl, LLaMA-Factory
    dpo-conversations  no prompt: TRL, axolotl, torchtune, open-instruct
    reward             dpo for a reward model, margin included: TRL
    kto                every judged answer, labelled good or bad: TRL
    ranked             all judged answers of a task, best first
    parquet            rows with ids, scores and models, in typed columns
    """  # noqa: D301 - click's mark for lines that stay as they are must be the character itself
    from selfinstruct.export import export as write
    from selfinstruct.runs import open_stored

    with open_stored(folder) as stored:
        manifest = write(stored, form, out, split=split, reasoning=reasoning, options=_options(sets or []))
    typer.echo(out)
    sides = ", ".join(f"{side} {rows}" for side, rows in manifest.split.items())
    say(f"{manifest.rows} rows{f' ({sides})' if sides else ''}; sha256 {next(iter(manifest.files.values()))}")
    if manifest.left_out:
        say("left out: " + ", ".join(f"{rule} {number}" for rule, number in manifest.left_out.items()))


def _options(sets: list[str]) -> dict[str, str]:
    """Read key=value settings."""
    for setting in sets:
        if not all(part.strip() for part in setting.partition("=")):
            msg = f"--set {setting!r} is not key=value"
            raise BadInputError(msg, remedy="for instance: --set least=4.5")
    return {key.strip(): value.strip() for key, _, value in (setting.partition("=") for setting in sets)}
