"""The command line. Every command is a few lines over the library; stdout is data, stderr is talk.

Nothing heavy is imported before a command needs it: `--help` loads typer and rich only.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from selfinstruct import __version__
from selfinstruct.errors import BadInputError, Exit, SelfInstructError
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from selfinstruct.pipeline import Report
    from selfinstruct.recipe import Recipe

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: half the start-up time of panels
    help="Grow instruction data from 175 seed tasks with a model you serve yourself; every row accounted for.",
    epilog="New here? `selfinstruct demo` shows everything in under half a minute, without a model.",
)
seeds_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Seed tasks.")
recipe_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Recipes: the configuration of a run.")
app.add_typer(seeds_app, name="seeds")
app.add_typer(recipe_app, name="recipe")

Folder = Annotated[Path, typer.Argument(help="Run folder.", metavar="RUN")]
Url = Annotated[str | None, typer.Option("--base-url", help="OpenAI-compatible server, for instance vLLM's.")]
Model = Annotated[str | None, typer.Option("-m", "--model", help="Model name; found by itself when there is one.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="Recipe field, for instance stages.respond.n=2.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing but errors.")]
MaxTime = Annotated[str | None, typer.Option("--max-time", help="Stop cleanly after, for instance, 90s, 30m or 8h.")]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", min=1, help="Stop cleanly at so many tokens, in and out.")
]


# -- making -------------------------------------------------------------------------------------------------------


@app.command()
def demo(
    n: Annotated[int, typer.Option("-n", min=1, help="Rows wanted.")] = 100,
    out: Annotated[Path, typer.Option("-o", help="Run folder.")] = Path("demo"),
    *,
    quiet: Quiet = False,
) -> None:
    """Run the whole pipeline on the scripted engine: no network, no key, no GPU, under 30 s."""
    from selfinstruct import recipe as recipes

    recipe = recipes.load("demo", environment={})
    report = _run(recipe, out, n=n, quiet=quiet)
    _say("", quiet=quiet)
    _say("Now with a model of yours (vLLM serving on this machine):", quiet=quiet)
    _say("  selfinstruct run -n 1000 --base-url http://127.0.0.1:8000/v1 -o runs/first", quiet=quiet)
    raise typer.Exit(report.exit_status)


@app.command()
def run(  # noqa: PLR0913 - one parameter per option
    recipe: Annotated[str, typer.Argument(help="Shipped recipe or YAML file.")] = "chat",
    n: Annotated[int | None, typer.Option("-n", min=1, help="Rows wanted, after every gate.")] = None,
    base_url: Url = None,
    model: Model = None,
    out: Annotated[Path | None, typer.Option("-o", help="Run folder [default: runs/RECIPE].")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of everything drawn.")] = None,
    against: Annotated[
        list[Path] | None, typer.Option("--against", help="Dataset or X.novelty: nothing near to its texts is kept.")
    ] = None,
    sets: Sets = None,
    *,
    max_time: MaxTime = None,
    max_tokens: MaxTokens = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, ask nothing, write nothing.")] = False,
    quiet: Quiet = False,
) -> None:
    """Make a dataset. The same command again goes on where it stopped."""
    from selfinstruct import recipe as recipes

    others = [str(path) for path in against] if against else None
    flags = {
        "engines.writer.base_url": base_url, "engines.writer.model": model, "seed": seed, "n": n,
        "stages.bootstrap.gates.rouge.against": others,
    }  # fmt: skip
    resolved = recipes.load(recipe, sets=sets or (), flags=flags)
    folder = out or Path("runs") / resolved.name
    if dry_run:
        _dry_run(resolved, folder)
        return
    report = _run(resolved, folder, n=resolved.n, max_time=max_time, max_tokens=max_tokens, quiet=quiet)
    raise typer.Exit(report.exit_status)


@app.command()
def resume(
    folder: Folder,
    n: Annotated[int | None, typer.Option("-n", min=1, help="Rows wanted now [default: as before].")] = None,
    base_url: Url = None,
    max_time: MaxTime = None,
    max_tokens: MaxTokens = None,
    *,
    quiet: Quiet = False,
) -> None:
    """Go on with a run where it stopped: nothing answered is asked again; failed records are tried again."""
    from selfinstruct import recipe as recipes
    from selfinstruct.runs import open_stored

    with open_stored(folder) as stored:
        data, target = stored.recipe.model_dump(mode="json"), stored.target
    if base_url is not None:
        writer = dict(data["engines"]["writer"])
        for engine in data["engines"].values():
            if engine == writer:  # every name that the writer answers for moves with it
                engine["base_url"] = base_url
    report = _run(
        recipes.build(data, source=str(folder)), folder, n=n or target,
        max_time=max_time, max_tokens=max_tokens, quiet=quiet,
    )  # fmt: skip
    raise typer.Exit(report.exit_status)


def _run(
    recipe: Recipe,
    folder: Path,
    *,
    n: int,
    quiet: bool,
    max_time: str | None = None,
    max_tokens: int | None = None,
) -> Report:
    from selfinstruct import pipeline
    from selfinstruct.console import Watcher
    from selfinstruct.runner import Limits

    limits = Limits(seconds=_seconds(max_time), tokens=max_tokens)
    with Watcher(quiet=quiet) as watcher:
        report = pipeline.run_sync(recipe, folder, target=n, limits=limits, watch=watcher, handle_signals=True)
    _summarise(report, quiet=quiet)
    for path, _ in report.exports.values():
        typer.echo(path)
    return report


def _summarise(report: Report, *, quiet: bool) -> None:
    """Tell how it ended: everything, or with --quiet only what keeps it from being done."""
    from selfinstruct.console import summary

    if not quiet:
        summary(report)
    elif report.exit_status is not Exit.DONE:
        _say(report.message)
        _say(f"  try: {report.remedy}")


def _dry_run(recipe: Recipe, folder: Path) -> None:
    from selfinstruct import seeds

    tasks, _ = seeds.load(seeds.find(recipe.seeds))
    for stage in recipe.stages:
        stage.inputs(language=recipe.language)  # every file that it reads is there
    _say(f"recipe {recipe.name}: {' -> '.join(stage.label for stage in recipe.stages)}")
    _say(f"{len(tasks)} seed tasks; {recipe.n} rows wanted; folder {folder}; nothing was asked or written")


def _seconds(text: str | None) -> float | None:
    """Read 90, 90s, 30m, 8h, 2d."""
    if text is None:
        return None
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        msg = f"--max-time {text!r} is not a time"
        raise BadInputError(msg, remedy="for instance 90s, 30m or 8h")
    return seconds


# -- looking ------------------------------------------------------------------------------------------------------


@app.command()
def stats(folder: Folder, *, as_json: Json = False) -> None:
    """Show the funnel: what was made, kept, dropped, failed, and is open, per stage."""
    from rich.console import Console

    from selfinstruct.console import funnel
    from selfinstruct.runs import open_stored

    with open_stored(folder) as stored:
        counted = stored.accounts()
        facts = {"recipe": stored.recipe.name, "target": stored.target, "ended": stored.ended}
    if as_json:
        typer.echo(json.dumps({**facts, **counted.model_dump(mode="json")}))
    else:
        Console().print(funnel(counted))
        typer.echo(
            f"{counted.ledger.accepted} of {facts['target']} rows; {counted.calls['total']} calls; {facts['ended'] or 'open'}"
        )
    if list(counted.problems()):
        raise typer.Exit(Exit.FAILED)


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
    from selfinstruct.export import verify_export
    from selfinstruct.verify import verify as check

    problems = list(check(target) if (target / "run.db").is_file() else verify_export(target))
    for problem in problems:
        typer.echo(printable(problem, longest=500))
    if problems:
        msg = f"{target}: {len(problems)} problem{'s' * (len(problems) > 1)}"
        raise SelfInstructError(msg, remedy="restore it from a copy, or run again into another folder")
    _say(f"{target}: sound")


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

    below = (path.parent for depth in ("", "*/", "*/*/") for path in Path().glob(f"{depth}run.db"))
    folders = [folder] if folder else sorted(below)
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
    _say(f"{sum(counted.drops.values())} dropped: " + ", ".join(f"{rule} {n}" for rule, n in counted.drops.items()))


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
    form: Annotated[str, typer.Option("--format", help="See `selfinstruct export --help`.", metavar="FORMAT")],
    out: Annotated[Path, typer.Option("-o", help="File (with a suffix) or folder (with train/ fragments).")],
) -> None:
    """Write the rows for a trainer: alpaca, messages, prompt-completion, dpo, dpo-text, parquet."""
    from selfinstruct.export import export as write
    from selfinstruct.runs import open_stored

    with open_stored(folder) as stored:
        manifest = write(stored, form, out)
    typer.echo(out)
    _say(f"{manifest.rows} rows; sha256 {next(iter(manifest.files.values()))}")


# -- any dataset --------------------------------------------------------------------------------------------------


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
        _say("stopped; the same command goes on from here")
        raise typer.Exit(Exit.INTERRUPTED) from None
    typer.echo(json.dumps(told) if as_json else out)
    bad = f", {told['bad']} bad" if told["bad"] else ""
    unseen = f"; {told['without_tokens']} without a token, kept" if told["without_tokens"] else ""
    _say(
        f"{told['rows']} rows: {told['kept']} kept, {told['dropped']} dropped{bad} (in {told['dropped_file']}){unseen}; "
        f"{told['seconds']:.1f} s",
        quiet=quiet,
    )


@app.command()
def judge(
    file: Annotated[Path, typer.Argument(help="Dataset with instruction, input, output.")],
    out: Annotated[Path, typer.Option("-o", help="Where the kept rows go; the suffix says the kind.")],
    base_url: Url = None,
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
    _summarise(report, quiet=quiet)
    if report.exit_status is Exit.DONE:
        kept = kept_rows(folder, file, out)
        typer.echo(json.dumps({"kept": kept, **report.accounts.model_dump(mode="json")}) if as_json else out)
    raise typer.Exit(report.exit_status)


# -- before spending ----------------------------------------------------------------------------------------------


@seeds_app.command("check")
def seeds_check(file: Annotated[Path, typer.Argument(help="Seed file, JSONL.")]) -> None:
    """Name every problem of a seed file: line, field, problem, remedy."""
    from selfinstruct.seeds import check

    tasks, problems = check(file)
    for problem in problems:
        typer.echo(printable(problem, longest=500))
    if problems:
        msg = f"{file}: {len(problems)} problem{'s' * (len(problems) > 1)}"
        raise BadInputError(msg, remedy="mend the lines above")
    marked = sum(task.is_classification for task in tasks)
    _say(f"{file}: {len(tasks)} seed tasks, {marked} of them classification; no problem")


@recipe_app.command("list")
def recipe_list() -> None:
    """List the shipped recipes."""
    from selfinstruct import recipe as recipes

    for name in recipes.names():
        typer.echo(f"{name:14} {recipes.load(name, environment={}).about}")


@recipe_app.command("show")
def recipe_show(recipe: Annotated[str, typer.Argument(help="Shipped recipe or file.")] = "chat") -> None:
    """Print a recipe as it is written, to be changed and kept."""
    from selfinstruct import recipe as recipes

    typer.echo(recipes.text(recipe), nl=False)


@recipe_app.command("validate")
def recipe_validate(recipe: Annotated[str, typer.Argument(help="Shipped recipe or file.")], sets: Sets = None) -> None:
    """Check a recipe without running it; print it resolved."""
    from selfinstruct import recipe as recipes

    typer.echo(recipes.load(recipe, sets=sets or ()).model_dump_json(indent=2))


@recipe_app.command("schema")
def recipe_schema() -> None:
    """Print every field of a recipe, its stages, gates and engines, as JSON schema."""
    from selfinstruct import recipe as recipes

    typer.echo(json.dumps(recipes.schema(), indent=2))


@app.command()
def doctor(base_url: Url = None, model: Model = None) -> None:
    """Look at this machine and, with --base-url, at the server; say what would go wrong and what mends it."""
    from selfinstruct.doctor import examine

    bad = 0
    for finding in examine(base_url=base_url, model=model):
        bad += not finding.good
        typer.echo(f"{'ok  ' if finding.good else 'BAD '} {printable(finding.text, longest=400)}")
        if finding.remedy:
            typer.echo(f"      {printable(finding.remedy, longest=400)}")
    if bad:
        raise typer.Exit(Exit.FAILED)


# -- the program --------------------------------------------------------------------------------------------------


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"selfinstruct {__version__}")
        raise typer.Exit


@app.callback()
def common(
    *,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=lambda value: _version(wanted=value), is_eager=True)
    ] = False,
) -> None:
    """Take what every command has."""
    del version
    global _verbose  # noqa: PLW0603 - read once, where errors end
    _verbose = verbose


_verbose = False


def main() -> NoReturn:
    """Run a command; turn errors into one message, a remedy and an exit status."""
    os.environ.setdefault("DO_NOT_TRACK", "1")  # nothing phones home, nor do libraries of ours
    try:
        app()
    except SelfInstructError as error:
        _fail(error, status=error.exit_status, remedy=error.remedy)
    except KeyboardInterrupt:
        _say("stopped")
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output went away (`| head`): that is no error of ours, and nothing more can be said there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.DONE)
    except Exception as error:  # noqa: BLE001 - the end of the line: a fault of ours, told without a traceback
        _fail(error, status=Exit.FAILED, remedy="this is a fault of selfinstruct: the same command with -v shows where")
    sys.exit(Exit.DONE)


def _fail(error: Exception, *, status: Exit, remedy: str) -> NoReturn:
    if _verbose:
        import traceback

        traceback.print_exception(error)
    name = "" if isinstance(error, SelfInstructError) else f"{type(error).__name__}: "
    lines = [printable(line, longest=500) for line in f"{name}{error}".splitlines()]
    _say("error: " + "\n".join(lines or [type(error).__name__]))
    if remedy:
        _say(f"  try: {printable(remedy, longest=500)}")
    sys.exit(status)


def _say(text: str, *, quiet: bool = False) -> None:
    if not quiet:
        typer.echo(text, err=True)


if __name__ == "__main__":
    main()
