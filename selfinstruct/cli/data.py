"""Commands for any dataset: dedupe, judge, pair."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from selfinstruct.errors import BadInputError, Exit
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Mapping


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


Columns = Annotated[
    str, typer.Option("--columns", help="Roles of columns that do not tell them: instruction=question,output=answer.")
]


@app.command()
def judge(  # noqa: PLR0913 - one parameter per option
    file: Annotated[
        Path, typer.Argument(help="Dataset: Alpaca, messages, prompt and completion, preferences, seed tasks.")
    ],
    out: Annotated[Path, typer.Option("-o", help="Where the kept rows go; the suffix says the kind.")],
    base_url: Urls = None,
    model: Model = None,
    rubric: Annotated[
        str, typer.Option("--rubric", help="accuracy, helpfulness, educational-value ..., or a file like them.")
    ] = "accuracy",
    language: Annotated[str, typer.Option("--language", help="Of rubric and prompt: en or ko.")] = "en",
    min_score: Annotated[
        float | None, typer.Option("--min-score", help="Lowest score kept [default: the rubric's; accuracy 4.5].")
    ] = None,
    columns: Columns = "",
    written_by: Annotated[
        str, typer.Option("--written-by", help="Model that wrote the answers: a judge of its family is told.")
    ] = "",
    *,
    sets: Sets = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score the answers of any dataset and keep the good rows (AlpaGasus). The same command again goes on.

    Rows that are not kept go to OUT.dropped.jsonl with their reason; `row` is the line of a JSONL or CSV file, else the number,
    from 1. The audit of the judge stands beside them: OUT.audit.md, OUT.audit.json.
    """
    from selfinstruct import pipeline
    from selfinstruct.console import Watcher
    from selfinstruct.dataset import check_apart, dropped_file, judging, kept_rows
    from selfinstruct.tables import check_writable

    check_writable(out)  # before a call is paid for
    check_apart(file, out)
    _check_finite({"--min-score": min_score or 0})
    flags = {"engines.writer.base_url": base_url, "engines.writer.model": model}
    recipe = judging(
        file, rubric=rubric, language=language, min_score=min_score, columns=columns, written_by=written_by,
        sets=sets or (), flags=flags,
    )  # fmt: skip
    folder = out.with_name(f"{out.name}.run")
    with Watcher(quiet=quiet) as watcher:
        report = pipeline.run_sync(recipe, folder, watch=watcher, handle_signals=True)
    summarise(report, quiet=quiet)
    if report.exit_status is Exit.DONE:
        counts = kept_rows(folder, out)
        typer.echo(json.dumps({**counts, **report.accounts.model_dump(mode="json")}) if as_json else out)
        _told(f"{counts['kept']} kept", counts["rows"], dropped_file(out), quiet=quiet)
        for old, new in counts["renamed"].items():
            say(f"column {old} was there already: it is now {new}", quiet=quiet)
        if counts["audit"]:
            say(f"audit of the judge: {counts['audit']}", quiet=quiet)
    raise typer.Exit(report.exit_status)


@app.command()
def pair(  # noqa: PLR0913 - one parameter per option
    file: Annotated[
        Path, typer.Argument(help="Dataset whose answers have scores, as `judge --min-score 0` writes it.")
    ],
    out: Annotated[
        Path, typer.Option("-o", help="Where the pairs go (prompt, chosen, rejected); the suffix says the kind.")
    ],
    strategy: Annotated[
        str,
        typer.Option(
            "--strategy", help="zephyr, max-min or margin: the best against a random, the worst, the nearest."
        ),
    ] = "zephyr",
    min_chosen: Annotated[float, typer.Option("--min-chosen", help="Lowest score of a chosen answer.")] = 4.5,
    min_margin: Annotated[float, typer.Option("--min-margin", help="Chosen minus rejected is at least this.")] = 0.5,
    max_length_ratio: Annotated[
        float, typer.Option("--max-length-ratio", help="The longer answer is at most so many times as long.")
    ] = 3.0,
    score: Annotated[str, typer.Option("--score", help="Column with the score.")] = "score",
    columns: Columns = "",
    *,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make preference pairs of judged answers to the same task; asks no model.

    Tasks without one, and rows without a task or an answer, go to OUT.dropped.jsonl; `row` and `rows` are lines of a JSONL or
    CSV file, else numbers, from 1. Traces of reasoning are left out.
    """
    from typing import get_args

    from selfinstruct.dataset import check_apart, dropped_file, pair_rows
    from selfinstruct.pairing import Guards, Strategy
    from selfinstruct.tables import check_writable

    check_writable(out)
    check_apart(file, out)
    _check_finite({"--min-chosen": min_chosen, "--min-margin": min_margin, "--max-length-ratio": max_length_ratio})
    if strategy not in get_args(Strategy):
        msg = f"--strategy {printable(strategy, longest=40)!r} is none"
        raise BadInputError(msg, remedy=f"one of: {', '.join(get_args(Strategy))}")
    if min_margin <= 0 or max_length_ratio <= 1:
        msg = f"--min-margin {min_margin:g}, --max-length-ratio {max_length_ratio:g}: a tie is no pair, nor can lengths agree"
        raise BadInputError(msg, remedy="--min-margin above 0, --max-length-ratio above 1")
    guards = Guards(least_chosen=min_chosen, least_margin=min_margin, most_length_ratio=max_length_ratio)
    counts = pair_rows(file, out, strategy=strategy, guards=guards, score=score, columns=columns)  # type: ignore[arg-type] # looked up above
    typer.echo(json.dumps(counts) if as_json else out)
    _told(f"{counts['pairs']} pairs", {**counts["tasks"], **counts["rows"]}, dropped_file(out), quiet=quiet)


def _check_finite(options: Mapping[str, float]) -> None:
    for name, value in options.items():
        if not math.isfinite(value):
            msg = f"{name} {value:g} is no number to compare with"
            raise BadInputError(msg, remedy=f"give {name} a finite number")


def _told(good: str, dropped: Mapping[str, int], where: Path, *, quiet: bool) -> None:
    others = ", ".join(f"{rule} {count}" for rule, count in dropped.items())
    say(f"{good}; {others or 'nothing dropped'} (in {where})", quiet=quiet)
