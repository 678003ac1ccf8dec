"""URLs of the pages, as the server knows them. What writes the pages as files has links of its own. Knows no page."""

from __future__ import annotations

from urllib.parse import quote, urlencode


class Links:
    """Where things are. `base` is that of what is shown: /d/NAME/VERSION, or /run."""

    live = True
    """Whether a server answers: searches, nearest neighbours, a run that goes on."""
    policy = ""
    """Content-Security-Policy that stands in the pages themselves; a server says its own."""
    scripts: tuple[str, ...] = ("viewer.js",)
    """Files of viewer/static."""

    def home(self) -> str:
        """The catalogue, or the run where there is no catalogue."""
        return "/"

    def static(self, name: str) -> str:
        """A file of viewer/static."""
        return f"/static/{name}"

    def version(self, name: str, version: int) -> str:
        """A version of a dataset."""
        return f"/d/{name}/{version}"

    def overview(self, base: str) -> str:
        """The figures of what is shown."""
        return base

    def rows(self, base: str, **asked: object) -> str:
        """Rows; `asked` as in the form of the page."""
        return f"{base}/rows{_query(asked)}"

    def rows_from(self, base: str) -> str:
        """Rows from a score on, which is put behind it."""
        return f"{base}/rows?min="

    def row(self, base: str, one: str) -> str:
        """One row."""
        return f"{base}/row/{quote(one, safe='')}"

    def near(self, base: str, one: str) -> str:
        """The part of a row's page that takes long: what is nearest to it."""
        return f"{base}/near/{quote(one, safe='')}"

    def drops(self, base: str, **asked: object) -> str:
        """Drops, of a stage and a rule."""
        return f"{base}/drops{_query(asked)}"

    def drop(self, base: str, one: str) -> str:
        """One drop."""
        return f"{base}/drop/{quote(one, safe='')}"

    def compare(self, name: str, version: int, other: int) -> str:
        """Two versions side by side, the earlier one first."""
        return f"/d/{name}/{version}/against/{other}"

    def download(self, base: str, file: str) -> str:
        """Rows in a format, made while they are sent."""
        return f"/download{base.removeprefix('/d')}/{file}"

    def news(self, base: str) -> str:
        """What changes on the page of a run that goes on."""
        return f"{base}/news"


def _query(asked: dict[str, object]) -> str:
    told = {name: value for name, value in asked.items() if value not in ("", None, 0)}
    return f"?{urlencode(told)}" if told else ""
