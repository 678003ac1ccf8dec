"""Commands that write what there is to see to a file: report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfinstruct.cli._shared import GpuHour, PriceIn, PriceOut, app, say
from selfinstruct.cli.cataloguing import Place, place_of
from selfinstruct.errors import BadInputError

if TYPE_CHECKING:
    from selfinstruct.viewer.report import Told

BEGINS = b"<!doctype html>"


@app.command()
def report(
    target: Annotated[str, typer.Argument(help="Run folder, or dataset.", metavar="RUN|NAME[@V]")],
    out: Annotated[Path, typer.Option("-o", "--out", help="HTML file.")] = Path("report.html"),
    lang: Annotated[str, typer.Option("--lang", help="Its language: en or ko.")] = "en",
    catalogue: Place = None,
    price_in: PriceIn = 0,
    price_out: PriceOut = 0,
    gpu_hour: GpuHour = 0,
) -> None:
    """Write one HTML file to be mailed: what a run or a version is, every figure of it, what was dropped, what it cost.

    The file asks for nothing from anywhere. Of a run that goes on it shows this moment.
    """
    from selfinstruct import files
    from selfinstruct.price import Price
    from selfinstruct.viewer.report import html
    from selfinstruct.viewer.wording import languages, words

    if lang not in languages():
        msg = f"--lang {lang!r} is no language of a report"
        raise BadInputError(msg, remedy=f"one of: {', '.join(languages())}")
    if out.exists() and not (out.is_file() and out.open("rb").read(len(BEGINS)) == BEGINS):
        msg = f"{out} exists, and is no report"
        raise BadInputError(msg, remedy="another name: -o NAME.html")
    told = _told(target, catalogue)
    price = Price(per_million_in=price_in, per_million_out=price_out, per_gpu_hour=gpu_hour)
    text = html(told, words(lang), price=price)
    with files.publish(out) as temporary:
        temporary.write_bytes(text.encode("utf-8", "replace"))
    typer.echo(out)
    say(f"{told.figures.rows:,} rows told of in {out.stat().st_size / 1000:,.0f} kB; it can be mailed as it is")


def _told(target: str, catalogue: str | None) -> Told:
    from selfinstruct.catalogue.place import Catalogue
    from selfinstruct.catalogue.version import ref
    from selfinstruct.runs import open_stored
    from selfinstruct.store import has_run
    from selfinstruct.viewer import report

    if has_run(Path(target)):
        with open_stored(Path(target)) as run:
            return report.of_stored(run)
    found = Catalogue(place_of(catalogue))
    if not found.names():
        msg = f"{target} is no run folder, and there is no catalogue in {found.root}"
        raise BadInputError(msg, remedy="a run folder, or --catalogue DIR")
    return report.of_published(found.version(ref(target)))
