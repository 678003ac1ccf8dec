"""URL -> facts -> page. The only module that knows HTTP; decides nothing that a page shows, and writes nothing."""

from __future__ import annotations

import hashlib
import logging
import mimetypes
import sqlite3
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from selfinstruct.catalogue.version import FORMAT, MANIFEST, Ref, ref
from selfinstruct.errors import BadInputError, DamageError, SelfInstructError
from selfinstruct.text.show import printable
from selfinstruct.viewer import facts, sending
from selfinstruct.viewer.guard import Guard
from selfinstruct.viewer.index import ORDERS, Asked
from selfinstruct.viewer.library import Library, Preparing, Shown, ShownRun, ShownVersion
from selfinstruct.viewer.links import Links
from selfinstruct.viewer.pages import page
from selfinstruct.viewer.wording import Words, languages, preferred, words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from selfinstruct.catalogue.place import Published

log = logging.getLogger(__name__)
STATIC = Path(__file__).parent / "static"
LONGEST = 200
"""Characters of a field of a form."""
TYPES = {
    ".md": "text/plain; charset=utf-8",
    ".yaml": "text/plain; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
}
BLOCK = 1 << 18
"""Bytes that are sent at once."""
KEPT = "max-age=31536000, immutable"
"""Of what never changes."""


class _Id(Convertor[str]):
    """Whatever a version calls its rows: nothing of it is a path, it is looked up."""

    regex = r"[\s\S]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", _Id())


def app(library: Library, *, hosts: Collection[str]) -> ASGIApp:
    """Return the viewer of a library as an ASGI app that answers under `hosts` (names with port)."""
    server = _Server(library)
    under = [("/d/{name}/{version}", server.of_version), ("/run", server.of_run)]
    pages: list[tuple[str, Callable[..., Response]]] = [
        ("", server.dataset), ("/rows", server.rows), ("/row/{id:id}", server.row), ("/near/{id:id}", server.near),
        ("/drops", server.drops), ("/drop/{id:id}", server.drop), ("/news", server.news),
    ]  # fmt: skip
    routes: list[tuple[str, Callable[..., Response]]] = [
        ("/", server.home),
        ("/d/{name}", server.latest),
        *((base + path, partial(server.shown, find, show)) for base, find in under for path, show in pages),
        ("/d/{name}/{version}/against/{other}", server.compare),
        ("/download/{name}/{version}/{file}", server.download),
        ("/catalogue.json", server.head),
        ("/files/{name}/{version}/{path:path}", server.file),
        ("/static/{file:path}", server.static),
        ("/favicon.ico", server.icon),
    ]
    handlers: dict[Any, Any] = {
        HTTPException: lambda request, error: server.refusal(error.status_code, request),
        Preparing: server.preparing,
        SelfInstructError: server.told,
        Exception: lambda request, _: server.refusal(500, request),
    }
    answers = [Route(path, partial(server.answer, show)) for path, show in routes]
    inner = Starlette(routes=answers, exception_handlers=handlers)
    inner.router.redirect_slashes = False
    return Guard(inner, hosts=hosts, refused=server.refusal)


class _Server:
    """The handlers. They run in threads: what they ask, they wait for."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.links = Links()

    def answer(self, show: Callable[[Request], Response], request: Request) -> Response:
        """Answer; what nobody foresaw is told on the page and in one line: Starlette would print a traceback."""
        try:
            return show(request)
        except (HTTPException, Preparing, SelfInstructError):
            raise
        except (OSError, sqlite3.Error) as error:
            told = SelfInstructError(
                _said(error), remedy=f"see that {self.library.caches} has room; then this page again"
            )
        except Exception as error:  # noqa: BLE001 - a fault of ours: this page fails, the others do not
            told = SelfInstructError(_said(error), remedy="a fault of selfinstruct: report it with this page's address")
        log.error("%s: %s", printable(request.url.path, longest=200), told)
        return self.told(request, told)

    # who is asked for

    def of_version(self, request: Request) -> ShownVersion:
        """Return the version that a URL names."""
        return self.library.version(self._ref(request.path_params["name"], request.path_params["version"]))

    def of_run(self, request: Request) -> ShownRun:
        """Return the run."""
        del request
        if self.library.run is None:
            raise HTTPException(404)
        return self.library.run

    def _ref(self, name: str, version: str | None = None) -> Ref:
        """Read a name and a version; what is neither is not found."""
        try:
            found = ref(name if version is None else f"{name}@{version}")
        except BadInputError:
            raise HTTPException(404) from None
        if self.library.catalogue is None or (found.version is None) != (version is None):
            raise HTTPException(404)
        known = self.library.catalogue.versions(found.name)
        if not known or (version is not None and found.version not in known):
            raise HTTPException(404)
        return Ref(found.name, found.version or known[-1])

    def shown(
        self, find: Callable[[Request], Shown], show: Callable[[Request, Shown], Response], request: Request
    ) -> Response:
        """Answer with a page of a version or run."""
        return show(request, find(request))

    # pages

    def home(self, request: Request) -> Response:
        """The catalogue, or the run where there is no catalogue."""
        if self.library.catalogue is None:
            return RedirectResponse("/run", 302)
        return self._page(request, "catalogue", **facts.catalogue(self.library))

    def latest(self, request: Request) -> Response:
        """Send on to the latest version."""
        found = self._ref(request.path_params["name"])
        return RedirectResponse(self.links.version(found.name, found.version or 1), 302)

    def dataset(self, request: Request, shown: Shown) -> Response:
        """Numbers, figures and papers of a version; the funnel of a run that goes on."""
        told = facts.dataset(shown, self.library, self._words(request), self.links)
        return self._page(request, "run" if isinstance(shown, ShownRun) else "dataset", **told)

    def news(self, request: Request, shown: Shown) -> Response:
        """What changes on the page of a run."""
        if not isinstance(shown, ShownRun):
            raise HTTPException(404)
        return self._page(request, "news", **facts.news(shown, self._words(request), self.links))

    def rows(self, request: Request, shown: Shown) -> Response:
        """Rows: search, facets, order, pages."""
        asked = _asked(request)
        number = _whole(request, "page") or 1
        told = facts.rows(shown, asked, number)
        return self._page(request, "rows", **told)

    def row(self, request: Request, shown: Shown) -> Response:
        """One row with its lineage."""
        return self._page(request, "row", **facts.row(shown, self._row(request, shown)))

    def near(self, request: Request, shown: Shown) -> Response:
        """What is nearest to a row: a part of its page, for it takes long the first time."""
        return self._page(request, "near", **facts.near(shown, self._row(request, shown)))

    def drops(self, request: Request, shown: Shown) -> Response:
        """Drops by stage and rule."""
        stage, rule = (request.query_params.get(name, "")[:LONGEST] for name in ("stage", "rule"))
        version, number = _whole(request, "version"), _whole(request, "page") or 1
        told = facts.drops(shown, stage, rule, version, number)
        return self._page(request, "drops", **told)

    def drop(self, request: Request, shown: Shown) -> Response:
        """One drop."""
        found = shown.index().drop(request.path_params["id"])
        if found is None:
            raise HTTPException(404)
        return self._page(request, "drop", **facts.drop(shown, found))

    def compare(self, request: Request) -> Response:
        """Two versions side by side."""
        name = request.path_params["name"]
        first, second = (
            self.library.version(self._ref(name, request.path_params[one])) for one in ("version", "other")
        )
        return self._page(request, "compare", **facts.compare(first, second, self._words(request), self.links))

    def _row(self, request: Request, shown: Shown) -> dict[str, Any]:
        found = shown.index().row(request.path_params["id"])
        if found is None:
            raise HTTPException(404)
        return found

    # files

    def head(self, request: Request) -> Response:
        """Tell which versions there are, for `download`."""
        del request
        trial = self.library.catalogue is not None and self.library.catalogue.trial
        return JSONResponse({"format": FORMAT, "trial": trial, "datasets": self.library.sets()})

    def file(self, request: Request) -> Response:
        """A file that the manifest names, whole or a part of it."""
        shown, path = self.of_version(request), request.path_params["path"]
        published = shown.published
        if path != MANIFEST and path not in published.manifest.files:
            raise HTTPException(404)
        kind = TYPES.get(
            Path(path).suffix, "application/octet-stream" if not path.endswith(".json") else "application/json"
        )
        if path == MANIFEST:
            with published.open(path) as opened:
                bytes_ = opened.read()
            digest, size = hashlib.sha256(bytes_).hexdigest(), len(bytes_)
        else:
            digest, size = published.manifest.files[path].sha256, published.manifest.files[path].bytes
        headers = {"etag": f'"{digest}"', "cache-control": "no-cache" if path == MANIFEST else KEPT}
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        if published.folder is not None:
            place = Path(published.place(path))
            if not place.is_file() or place.stat().st_size != size:
                msg = f"{shown.title}: {path} is not what the manifest says"
                raise DamageError(msg, remedy=f"selfinstruct datasets verify {shown.title}")
            return FileResponse(place, media_type=kind, headers=headers)
        length = {"content-length": str(size)}
        return StreamingResponse(_blocks(published, path), media_type=kind, headers={**headers, **length})

    def download(self, request: Request) -> Response:
        """Rows in a format, converted while they are sent."""
        shown, file = self.of_version(request), request.path_params["file"]
        form = file.removesuffix(sending.SUFFIX)
        folder = shown.published.folder
        if form == file or folder is None or not facts.can_send(shown, form):
            raise HTTPException(404)
        name = f"{shown.manifest.name}-v{shown.manifest.version}-{file}"
        return StreamingResponse(
            sending.lines(shown.published, folder, form),
            media_type="application/jsonl",
            headers={"content-disposition": f'attachment; filename="{name}"'},
        )

    def static(self, request: Request) -> Response:
        """Style, script and icon: what lies in the folder now, by name."""
        found = {path.relative_to(STATIC).as_posix(): path for path in STATIC.rglob("*") if path.is_file()}
        path = found.get(request.path_params["file"])
        if path is None:
            raise HTTPException(404)
        kind = mimetypes.guess_type(path.name)[0] or "text/plain"
        return FileResponse(path, media_type=kind, headers={"cache-control": "no-cache"})

    def icon(self, request: Request) -> Response:
        """What a browser asks for where it got a part of a page alone."""
        del request
        return FileResponse(STATIC / "icon.svg", media_type="image/svg+xml")

    # what is no page

    def preparing(self, request: Request, error: Exception) -> Response:
        """Ask to come again: the index is being built."""
        assert isinstance(error, Preparing)  # noqa: S101 - registered for it
        said = self._words(request)
        text = said("preparing.text" if error.total else "preparing.run", done=error.done, total=error.total)
        told = {"title": said("preparing.title"), "text": text, "remedy": "", "again": True}
        return self._page(request, "message", status=202, **told, done=error.done, total=error.total)

    def told(self, request: Request, error: Exception) -> Response:
        """Tell an error as the command line does."""
        said = self._words(request)
        status = 500 if isinstance(error, DamageError) or not isinstance(error, BadInputError) else 404
        told = {"title": said("error.500" if status == 500 else "error.404"), "text": str(error), "again": False}  # noqa: PLR2004
        return self._page(request, "message", status=status, **told, remedy=getattr(error, "remedy", ""))

    def refusal(self, status: int, request: Request | None = None) -> Response:
        """Return the page of a status; without a request, in English."""
        said = words("en") if request is None else self._words(request)
        key = f"error.{status}" if f"error.{status}" in said.keys else "error.400"
        text = said(f"{key}.text") if f"{key}.text" in said.keys else ""
        html = page("message", said, self.links, {}, title=said(key), text=text, remedy="", again=False)
        return HTMLResponse(html, status, headers={"allow": "GET, HEAD"} if status == 405 else None)  # noqa: PLR2004

    def _page(self, request: Request, name: str, *, status: int = 200, **told: Any) -> Response:  # noqa: ANN401 - facts
        said = self._words(request)
        tongues = {one: _in(request, one) for one in languages()}
        html = page(name, said, self.links, tongues, **told)
        headers = {"cache-control": "no-cache", "vary": "accept-language, cookie", "content-language": said.language}
        response = Response(html.encode("utf-8", "replace"), status, headers, "text/html; charset=utf-8")
        if (asked := request.query_params.get("lang")) in languages():
            response.set_cookie("lang", asked, samesite="strict", httponly=True)
        return response

    def _words(self, request: Request) -> Words:
        """Return the texts in the language of ?lang=, of the cookie that it left, or of the browser."""
        for asked in (request.query_params.get("lang"), request.cookies.get("lang")):
            if asked in languages():
                return words(str(asked))
        return words(preferred(request.headers.get("accept-language", "")))


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {printable(error, longest=300)}"


def _blocks(published: Published, path: str) -> Iterator[bytes]:
    with published.open(path) as opened:
        yield from iter(partial(opened.read, BLOCK), b"")


def _in(request: Request, language: str) -> str:
    """Return where the same page is in another language."""
    query = urlencode(
        [*((name, value) for name, value in request.query_params.multi_items() if name != "lang"), ("lang", language)]
    )
    return f"?{query}"


def _asked(request: Request) -> Asked:
    field = {name: request.query_params.get(name, "")[:LONGEST] for name in ("q", "class", "flag", "script", "sort")}
    return Asked(
        text=field["q"],
        classification={"yes": True, "no": False}.get(field["class"]),
        flag=field["flag"],
        script=field["script"],
        version=_whole(request, "version"),
        least=_number(request, "min"),
        most=_number(request, "max"),
        order=field["sort"] if field["sort"] in ORDERS else "",
    )


def _whole(request: Request, name: str) -> int | None:
    """Return a whole number of a query, 1 to a million; None for anything else."""
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 7 and int(text) else None  # noqa: PLR2004


def _number(request: Request, name: str) -> float | None:
    try:
        found = float(request.query_params.get(name, "")[:20])
    except ValueError:
        return None
    return found if abs(found) < float("inf") else None
