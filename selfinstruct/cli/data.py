"""Commands for any dataset: dedupe, judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from selfinstruct.cli._shared import (
    Json,
    Model,
    Quiet,
    Sets,
    Urls,
    app,
    say,
    summarise,
)
from selfinstruct.errors import Exit


@app.command()
def dedupe(  # noqa: PLR0913 - one parameter per option
    files: Annotated[
        list[Path], typer.Argument(help="JSON, JSONL, CSV, Parquet, or a folder of them.", metavar="FILE...")
    ],
    out: Annotated[Path, typer.Option("-o", help="Where the kept rows go; the suffix says the kind.")],
    against: Annotated[
        list[Path] | None, typer.Option("--against", help="Nothing near to these rows, or saved index, is kept.")
    ] = None,
    field: Annotated[str, typer.Option("--field", help="Column that is compared.")] = "instruction",
    threshold: Annotated[float, typer.Option(min=0.01, max=0.99, help="Highest ROUGE-L F that is kept.")] = 0.7,
    tokenizer: Annotated[str, typer.Option(help="unicode, or rouge (a-z and 0-9 only).")] = "unicode",
    save_index: Annotated[
        Path | None, typer.Option("--save-index", help="Also write the index, for --against of another day: X.novelty.")
    ] = None,
    *,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Put rows without a text among the dropped.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Drop near-duplicates of any dataset, the first stays; the same command again goes on where it stopped.

    Dropped rows go to OUT.dropped.jsonl with their nearest neighbour.
    """
    from selfinstruct.dedupe import dedupe as work
    from selfinstruct.dedupe.watch import Watcher

    try:
        with Watcher(quiet=quiet) as watch:
            told = work(
                files, out, against=against or (), field=field, threshold=threshold, tokenizer=tokenizer,
                skip_bad=skip_bad, save_index=save_index, watch=watch,
            )  # fmt: skip
    except KeyboardInterrupt:
        say("stopped; the same command goes on from here")
        raise typer.Exit(Exit.INTERRUPTED) from None
    typer.echo(json.dumps(told) if as_json else out)
    bad = f", {told['bad']} bad" if told["bad"] else ""
    unseen = f"; {told['without_tokens']} without a token, kept" if told["without_tokens"] else ""
    say(
        f"{told['rows']} rows: {told['kept']} kept, {told['dropped']} dropped{bad} (in {told['dropped_file']}){unseen}; "
        f"{told['seconds']:.1f} s",
        quiet=quiet,
    )


@app.command()
def judge(
    file: Annotated[Path, typer.Argument(help="Dataset with instruction, input, output.")],
    out: Annotated[Path, typer.Option("-o", help="Where the kept rows go; the suffix says the kind.")],
    base_url: Urls = None,
    model: Model = None,
    min_score: Annotated[float, typer.Option("--min-score", min=0, max=5, help="Lowest score kept.")] = 4.5,
    sets: Sets = None,
    *,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score the rows of any dataset from 0 to 5 and keep the good ones (AlpaGasus). The same command again goes on."""
    from selfinstruct import pipeline
    from selfinstruct import recipe as recipes
    from selfinstruct.console import Watcher
    from selfinstruct.dataset import kept_rows
    from selfinstruct.tables import check_writable, read_table

    check_writable(out)  # before a call is paid for
    flags = {
        "n": max(1, len(read_table(file, needed=("instruction", "output")))),
        "stages.given.file": str(file),
        "stages.select.gates.score.least": min_score,
        "engines.writer.base_url": base_url,
        "engines.writer.model": model,
    }
    recipe = recipes.load("alpagasus", sets=sets or (), flags=flags)
    folder = out.with_name(f"{out.name}.run")
    with Watcher(quiet=quiet) as watcher:
        report = pipeline.run_sync(recipe, folder, watch=watcher, handle_signals=True)
    summarise(report, quiet=quiet)
    if report.exit_status is Exit.DONE:
        kept = kept_rows(folder, file, out)
        typer.echo(json.dumps({"kept": kept, **report.accounts.model_dump(mode="json")}) if as_json else out)
    raise typer.Exit(report.exit_status)
