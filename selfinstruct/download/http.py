"""A catalogue that is served over HTTP (`view --serve`): `/catalogue.json`, `/files/NAME/VERSION/FILE`. Follows no link away."""

from __future__ import annotations

import http.client
import re
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from pydantic import ValidationError

from selfinstruct import __version__
from selfinstruct.catalogue.version import FORMAT, MANIFEST, Ref
from selfinstruct.download.source import Stream, manifest_of, patiently, whole
from selfinstruct.errors import LATER, BadInputError, DamageError, UnreachableError
from selfinstruct.records import Frozen
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPMessage, HTTPResponse
    from typing import IO

SECONDS = 30.0
"""Without a byte, after which a server counts as gone."""
BLOCK = 1 << 18


class _Head(Frozen, extra="ignore"):
    """`/catalogue.json`."""

    format: int
    datasets: dict[str, list[int]]


class _AtHome(HTTPRedirectHandler):
    """Follows a redirect only where it stays on the host that the user named."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if urlsplit(newurl)[:2] != urlsplit(req.full_url)[:2]:
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Http:
    """A version in a served catalogue."""

    def __init__(self, url: str, wanted: Ref) -> None:
        """Read the head of the catalogue and the manifest; see `open_source`."""
        parts = urlsplit(url)
        if not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
            msg = "--from takes http(s)://HOST[:PORT][/PATH], without a name, a password or a question in it"
            raise BadInputError(msg, remedy="for instance --from http://127.0.0.1:8000")
        self._base = url.rstrip("/")
        # No proxy that happens to be in the environment stands between, nor learns what is fetched.
        self._opener = build_opener(_AtHome, ProxyHandler({}))
        head = patiently(lambda: self._head(f"{self._base}/catalogue.json"))
        known = head.datasets.get(wanted.name, [])
        number = wanted.version or max(known, default=0)
        if number not in known:
            there = ", ".join(str(Ref(wanted.name, one)) for one in sorted(known)) or ", ".join(sorted(head.datasets))
            msg = f"no {wanted} in {self._base}"
            raise BadInputError(msg, remedy=f"there are: {printable(there, longest=200) or 'none'}")
        self.where = f"{self._base}/files/{wanted.name}/{number}"
        found = patiently(lambda: whole(self.open))
        self.manifest = manifest_of(Ref(wanted.name, number), found, f"{self.where}/{MANIFEST}")

    def open(self, file: str, start: int) -> Stream:
        """Ask for `file` from `start` on; see `Source`."""
        return self._open(f"{self.where}/{file}", start)

    def _head(self, url: str) -> _Head:
        try:
            head = _Head.model_validate_json(whole(self._open, url))
        except ValidationError:
            msg = f"{url}: not the head of a catalogue"
            raise BadInputError(msg, remedy="--from takes the address that `selfinstruct view --serve` tells") from None
        if head.format > FORMAT:
            msg = f"{self._base} is a catalogue of format {head.format}, this version reads up to {FORMAT}"
            raise BadInputError(msg, remedy=LATER)
        return head

    def _open(self, url: str, start: int) -> Stream:
        headers = {"User-Agent": f"selfinstruct/{__version__}", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        try:
            answer = self._opener.open(Request(url, headers=headers), timeout=SECONDS)  # noqa: S310 - only http(s) comes here
        except HTTPError as error:
            with error:
                raise _refusal(url, error) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            msg = f"{url} does not answer: {printable(str(getattr(error, 'reason', error)), longest=160)}"
            raise UnreachableError(msg, remedy="the same command once it does") from None
        return _stream(url, answer)


def _refusal(url: str, error: HTTPError) -> Exception:
    """Return what an answer that is none means."""
    if error.code >= 500 or error.code in {408, 429}:  # noqa: PLR2004 - RFC 9110: the server's fault, or its wish
        return UnreachableError(f"{url} answers {error.code}", remedy="the same command once it is well")
    if 300 <= error.code < 400:  # noqa: PLR2004 - RFC 9110
        there = printable(error.headers.get("Location", ""), longest=160)
        return BadInputError(
            f"{url} sends on to {there!r}, which is not followed", remedy="give that address with --from"
        )
    if error.code == 416:  # noqa: PLR2004 - RFC 9110: it ends before the place that was asked for
        return DamageError(f"{url} is shorter than its manifest says", remedy="tell who keeps that catalogue")
    return BadInputError(f"{url} answers {error.code}", remedy="look at the address; is it a catalogue that is served?")


def _stream(url: str, answer: HTTPResponse) -> Stream:
    length = answer.headers.get("Content-Length", "")
    start, size = 0, int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None
    if answer.status == 206:  # noqa: PLR2004 - RFC 9110: a part
        told = re.fullmatch(
            r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)", answer.headers.get("Content-Range", "")
        )
        if told is None:
            answer.close()
            msg = f"{url} sends a part and does not say which"
            raise DamageError(msg, remedy="tell who keeps that catalogue")
        start, size = int(told[1]), None if told[2] == "*" else int(told[2])
    return Stream(start, size, _blocks(url, answer), answer.close)


def _blocks(url: str, answer: HTTPResponse) -> Iterator[bytes]:
    try:
        while block := answer.read(BLOCK):
            yield block
    except (OSError, http.client.HTTPException) as error:
        msg = f"{url} stopped in the middle: {printable(str(error), longest=160) or type(error).__name__}"
        raise UnreachableError(msg, remedy="the same command goes on from there") from None
