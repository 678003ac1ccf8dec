"""The viewer's pages as a folder of files: opened from a disk or served by anything, without network. Knows no command."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfinstruct import files
from selfinstruct.catalogue.version import Ref
from selfinstruct.catalogue.views import views
from selfinstruct.errors import BadInputError
from selfinstruct.figures.count import of_run
from selfinstruct.runs import open_stored
from selfinstruct.viewer import facts
from selfinstruct.viewer.chunks import Chunks
from selfinstruct.viewer.filelinks import FileLinks
from selfinstruct.viewer.index import ORDERS, Asked
from selfinstruct.viewer.library import Library, ShownRun, ShownVersion
from selfinstruct.viewer.pages import HERE, page
from selfinstruct.viewer.wording import Words, languages, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selfinstruct.catalogue.place import Catalogue
    from selfinstruct.figures.model import Figures
    from selfinstruct.viewer.library import Shown

    Fact = dict[str, Any]

MARK = "selfinstruct-export.txt"
"""A file that only a folder of ours has."""
STATIC = ("viewer.css", "viewer.js", "export.js", "icon.svg")
NAMED = ("rule", "stage", "flag", "verdict")
"""Groups of names that the script says in the reader's language."""


def export(library: Library, out: Path, *, told: Callable[[int], None] = lambda _: None) -> int:
    """Write the pages of all that `library` has to the folder `out`, whole or not at all; return the rows.

    `told` hears how many rows are written. Of more than a few, lineages are written by processes of their own: a script that
    calls this stands under `if __name__ == "__main__"`.

    Raises:
        BadInputError: `out` is there, and no export of ours. DamageError: a version cannot be read.
    """
    if out.exists() and not (out / MARK).is_file() and not (out.is_dir() and not any(out.iterdir())):
        msg = f"{out} exists, and is no export of selfinstruct"
        raise BadInputError(msg, remedy="a new folder, or that of an earlier export")
    with files.publish(out) as folder:
        folder.mkdir()
        (folder / "static").mkdir()
        for name in STATIC:
            shutil.copyfile(HERE / "static" / name, folder / "static" / name)
        (folder / MARK).write_text("Written by `selfinstruct view --export`, which may replace this folder.\n")
        return _Writer(folder, library, told).write()


class Part(Library):
    """The datasets of a catalogue that are exported; where it lies is nobody else's business."""

    def __init__(self, catalogue: Catalogue, wanted: Ref | None) -> None:
        """Take all versions of what is wanted, one of them, or everything."""
        super().__init__(catalogue)
        sets = super().sets()
        if wanted is not None:
            found = catalogue.version(wanted).manifest  # says so where there is none
            sets = {wanted.name: sets[wanted.name] if wanted.version is None else [found.version]}
        self._sets = sets

    @property
    def where(self) -> str:
        """Nowhere that could be told."""
        return ""

    def sets(self) -> dict[str, list[int]]:
        """Return name -> versions, the oldest first."""
        return self._sets


class Moment(ShownRun):
    """A run with the figures of the moment at which its rows were read."""

    def __init__(self, folder: Path, figures: Figures) -> None:
        """Show the run in `folder`."""
        super().__init__(folder)
        self._figures = figures


class _Writer:
    """Writes one export."""

    def __init__(self, folder: Path, library: Library, told: Callable[[int], None]) -> None:
        self._folder, self._library, self._told = folder, library, told
        self._rows = 0
        self._held: dict[str, tuple[str, int]] = {}

    def write(self) -> int:
        if self._library.run is not None:
            with open_stored(self._library.run.folder) as run:
                shown = Moment(run.folder, of_run(run))
                self._held[shown.base] = shown.base, 0
                self._write_run(shown, views(run, version=1))
            return self._rows
        for name, numbers in self._library.sets().items():
            versions = [self._library.version(Ref(name, number)) for number in numbers]
            self._held |= held(versions)
        for name, numbers in self._library.sets().items():
            self._write_set([self._library.version(Ref(name, number)) for number in numbers])
        for said in map(words, languages()):
            self._put("", "index", "catalogue", said, **facts.catalogue(self._library))
        return self._rows

    def _write_run(self, shown: Moment, stream: Iterator[tuple[str, Fact]]) -> None:
        chunks = self._write_data(shown, stream)
        for said in map(words, languages()):
            links = self._links(shown.base, said)
            self._put(shown.base, "index", "run", said, **facts.dataset(shown, self._library, said, links))
            self._write_lists(shown, said, chunks)

    def _write_set(self, versions: list[ShownVersion]) -> None:
        """Write the pages of a dataset: the rows of each version that no later one holds, and how versions differ."""
        for shown in versions:
            chunks = self._write_data(shown, stream(shown)) if self._held[shown.base][0] == shown.base else None
            for said in map(words, languages()):
                told = facts.dataset(shown, self._library, said, self._links(shown.base, said))
                self._put(shown.base, "index", "dataset", said, **told)
                if chunks is not None:
                    self._write_lists(shown, said, chunks)
        for first, second in combinations(versions, 2):
            for said in map(words, languages()):
                told = facts.compare(first, second, said, self._links(first.base, said))
                self._put(first.base, f"against-{second.manifest.version}", "compare", said, **told)

    def _write_data(self, shown: Shown, stream: Iterator[tuple[str, Fact]]) -> Chunks:
        folder = self._folder / self._links(shown.base, words("en")).folder_of(shown.base) / "data"
        with _writing(Chunks(folder, shown.recipe)) as chunks:
            for view, row in stream:
                chunks.add(view, row)
                if view == "sft":
                    self._rows += 1
                    if not self._rows % 1000:
                        self._told(self._rows)
        return chunks

    def _write_lists(self, shown: Shown, said: Words, chunks: Chunks) -> None:
        """Write the pages whose rows a script puts in."""
        names = {group: said.group(group) for group in NAMED}
        facets = chunks.facets()
        told = {
            "shown": shown,
            "names": names,
            "facets": facets,
            "count": chunks.count,
            "lineages": chunks.with_lineage,
        }
        often = facts.COMMON * chunks.count
        self._put(
            shown.base, "rows", "export_rows", said,
            **told, asked=Asked(), form={}, orders=list(ORDERS), told=[one for one, n in facets["flags"].items() if n < often],
        )  # fmt: skip
        for name in ("row", "drops", "drop"):
            self._put(shown.base, name, f"export_{name}", said, **told)

    def _links(self, base: str, said: Words) -> FileLinks:
        root = "/run" if self._library.run is not None else ""
        folder = FileLinks("", said.language, held=self._held, root=root).folder_of(base)
        return FileLinks(folder, said.language, held=self._held, root=root)

    def _put(self, base: str, name: str, template: str, said: Words, **told: Any) -> None:  # noqa: ANN401 - facts
        links = self._links(base, said)
        tongues = {one: links.in_language(name, one) for one in languages()}
        path = self._folder / links.file_of(base, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        html = page(template, said, links, tongues, **told)
        path.write_bytes(html.encode("utf-8", "replace"))


def held(versions: list[ShownVersion]) -> dict[str, tuple[str, int]]:
    """Return base -> (base whose rows hold those of this version, up to which version they are its own; 0: all).

    A version that was extended stands in the next one, row by row: its rows need to be written only once.
    """
    known = {shown.manifest.version: shown for shown in versions}
    above = {shown.manifest.base: shown for shown in versions if shown.manifest.base in known}
    found: dict[str, tuple[str, int]] = {}
    for shown in versions:
        top = shown
        while (later := above.get(top.manifest.version)) is not None and later.manifest.version > top.manifest.version:
            top = later
        found[shown.base] = top.base, 0 if top is shown else shown.manifest.version
    return found


def stream(shown: ShownVersion) -> Iterator[tuple[str, Fact]]:
    """Yield (view, row) of a version as `views` does of a run: seeds, each row with its lineage behind it, then drops."""
    yield from (("seeds", row) for row in shown.rows("seeds"))
    lineages = shown.rows("lineage")
    waiting = next(lineages, None)
    for row in shown.rows("sft"):
        yield "sft", row
        if waiting is not None and waiting["id"] == row["id"]:
            yield "lineage", waiting
            waiting = next(lineages, None)
    yield from (("dropped", row) for row in shown.rows("dropped"))


@contextmanager
def _writing(chunks: Chunks) -> Iterator[Chunks]:
    try:
        yield chunks
        chunks.close()
    finally:
        chunks.stop()
