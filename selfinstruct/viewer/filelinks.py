"""Where the pages of a static folder lie, as seen from one of them. Every address is relative: the folder may lie anywhere."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from selfinstruct.viewer.links import Links
from selfinstruct.viewer.wording import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Mapping


class FileLinks(Links):
    """The addresses of a page in `folder` of an export, in one language."""

    live = False
    policy = (
        "default-src 'none'; script-src 'self' file:; style-src 'self' file:; img-src 'self' file: data:; "
        "form-action 'none'; base-uri 'none'"
    )
    """`file:` because a page that was opened as a file is of no origin; a page of a server may load no such file anyway."""
    scripts = ("viewer.js", "export.js")

    def __init__(self, folder: str, language: str, *, held: Mapping[str, tuple[str, int]], root: str = "") -> None:
        """Take a page's folder; `held`: base -> the base whose rows hold its own, and up to which version (0: all).

        What lies at the base `root` lies in the export's own folder.
        """
        self._folder, self._held, self._root = folder or ".", held, root
        self._suffix = "" if language == DEFAULT else f".{language}"

    def folder_of(self, base: str) -> str:
        """Return the folder of a version's or run's pages, inside of the export."""
        return "" if base == self._root else base.strip("/")

    def file_of(self, base: str, page: str) -> str:
        """Return the path of a page, inside of the export."""
        return posixpath.join(self.folder_of(base), f"{page}{self._suffix}.html")

    def beside(self, page: str) -> str:
        """Return the address of another page of this folder."""
        return f"{page}{self._suffix}.html"

    def in_language(self, page: str, language: str) -> str:
        """Return the address of the page `page` of this folder in another language."""
        return f"{page}{'' if language == DEFAULT else f'.{language}'}.html"

    def _to(self, path: str) -> str:
        return posixpath.relpath(path, self._folder)

    def _page(self, base: str, page: str, **asked: object) -> str:
        told = {name: value for name, value in asked.items() if value not in ("", None, 0)}
        return self._to(self.file_of(base, page)) + (f"#{urlencode(told)}" if told else "")

    def data(self, base: str) -> str:
        """The folder of the scripts that hold its rows."""
        return self._to(posixpath.join(self.folder_of(self._held[base][0]), "data"))

    def home(self) -> str:
        """The first page."""
        return self._page(self._root, "index")

    def static(self, name: str) -> str:
        """Style, scripts and icon."""
        return self._to(f"static/{name}")

    def version(self, name: str, version: int) -> str:
        """A version of a dataset."""
        return self._page(f"/d/{name}/{version}", "index")

    def overview(self, base: str) -> str:
        """The figures."""
        return self._page(base, "index")

    def rows(self, base: str, **asked: object) -> str:
        """Rows, those of an earlier version among those of the one that holds them."""
        holder, upto = self._held[base]
        return self._page(holder, "rows", upto=upto, **asked)

    def rows_from(self, base: str) -> str:
        """Rows from a score on."""
        holder, upto = self._held[base]
        return f"{self._page(holder, 'rows', upto=upto)}{'&' if upto else '#'}min="

    def row(self, base: str, one: str) -> str:
        """One row, by its id."""
        return self._page(self._held[base][0], "row", id=one)

    def near(self, base: str, one: str) -> str:
        """Nothing looks for what is near."""
        del base, one
        return ""

    def drops(self, base: str, **asked: object) -> str:
        """Drops, likewise."""
        holder, upto = self._held[base]
        return self._page(holder, "drops", upto=upto, **asked)

    def compare(self, name: str, version: int, other: int) -> str:
        """Two versions side by side."""
        return self._page(f"/d/{name}/{version}", f"against-{other}")
