"""One server behind a URL: sends a call, reads the answer, and says why there was none. Knows no retry and no other server."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import aiohttp

from selfinstruct.engines import _wire as wire
from selfinstruct.engines._metrics import Meters
from selfinstruct.engines.base import FinishReason, Reply, ServerState
from selfinstruct.errors import BadInputError, RefusedError, SelfInstructError, UnreachableError, UnreadableError
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from selfinstruct.engines.base import CompletionRequest

log = logging.getLogger(__name__)

CONNECT_SECONDS, LOOK_SECONDS = 30.0, 30.0
"""For a connection to be taken, and for /models, /version and /metrics to answer."""

TELL_SECONDS = 30.0
"""Between two lines that say that the server is away: nobody waits in silence."""

BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of one answer, at most, unpacked."""

LONGEST_WAIT = 60.0
"""Seconds: no server is given more, whatever it asks for."""

_OVERLOADED = frozenset({429, 503})
_PASSING = _OVERLOADED | {502, 504}
_REFUSED = frozenset({400, 413, 422})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a try gave no reply."""

    text: str
    own: bool
    """It looks like the request's fault, not the server's."""
    wait: float | None = None
    """Seconds that the server asks for."""
    overload: bool = False
    """The server is well, and has too much to do."""
    final: BadInputError | None = None
    """This server will never answer: the key or the model is refused."""


class Server:
    """One URL, the calls we have there, and how it has fared."""

    def __init__(self, url: str, *, session: aiohttp.ClientSession, key: str, key_name: str, deadline: float) -> None:
        """Take a base URL that ends in /v1, and an open session that sends the key."""
        self.url = url
        self.meters = Meters()
        self.in_flight = 0
        self.refused = 0
        self.down = ""
        """Why it is not asked; empty: it is."""
        self._session, self._key, self._key_name, self._deadline = session, key.encode(), key_name, deadline
        self._told = float("-inf")

    def state(self) -> ServerState:
        """Return what is known of it."""
        return ServerState(
            url=self.url, healthy=not self.down, in_flight=self.in_flight, refused=self.refused, **self.meters.figures()
        )

    # -- looking --------------------------------------------------------------------------------------------------

    async def find_model(self, wanted: str | None) -> str:
        """Return the name of the model to ask: `wanted`, or the only one.

        Raises:
            UnreachableError: nothing listens there. BadInputError: it does not have the model, or refuses the key.
        """
        status, value = await self.get("/models")
        names = wire.model_names(value)
        if status in {401, 403}:
            raise self._key_refused(status)
        if status in _PASSING:
            msg = f"status {status}"
            raise self.gone(msg)
        if names is None:
            msg = f"{self.url} is no OpenAI-compatible server: /models gave status {status} and no list"
            raise BadInputError(msg, remedy="check the URL; vLLM's ends in /v1")
        if wanted is None and len(names) == 1:
            return names[0]
        if wanted not in names:
            raise self._without(wanted, names)
        return wanted

    async def get(self, path: str) -> tuple[int, Any]:
        """Return status and JSON body (None when it is no JSON) of a GET below the base URL; `/..` leaves `/v1`.

        Raises:
            UnreachableError: nothing listens there.
        """
        status, body = await self.fetch(path)
        return status, wire.json_or_none(body)

    async def fetch(self, path: str, *, seconds: float = LOOK_SECONDS) -> tuple[int, bytes]:
        """Return status and body of a GET, as `get` does.

        Raises:
            UnreachableError: nothing listens there.
        """
        url = self.url.removesuffix("/v1") + path[3:] if path.startswith("/..") else self.url + path
        seconds = min(self._deadline, seconds)
        limit = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        try:
            async with self._session.get(url, allow_redirects=False, timeout=limit) as response:
                return response.status, await _read(response)
        except TimeoutError:
            msg = f"no answer within {seconds:g} s"
            raise self.gone(msg) from None
        except (aiohttp.ClientError, OSError) as error:
            raise self.gone(_told(error)) from None

    # -- calling --------------------------------------------------------------------------------------------------

    async def post(self, request: CompletionRequest, payload: bytes, *, model: str) -> Reply | Failure:
        """Send one call, once.

        Raises:
            RefusedError: refused (400, 413, 422, a redirect).
        """
        self.in_flight += request.n
        try:
            return await self._post(request, payload, model)
        except aiohttp.ConnectionTimeoutError:
            return Failure(f"no connection within {CONNECT_SECONDS:g} s", own=False)
        except TimeoutError:
            return Failure(f"no answer within {self._deadline:g} s", own=True)
        except aiohttp.ClientPayloadError as error:
            return Failure(f"an answer that cannot be read: {_told(error)}", own=True)
        except (aiohttp.ClientError, OSError) as error:
            return Failure(_told(error), own=False)
        finally:
            self.in_flight -= request.n

    async def _post(self, request: CompletionRequest, payload: bytes, model: str) -> Reply | Failure:
        path = "/completions" if isinstance(request.prompt, str) else "/chat/completions"
        headers = {"Content-Type": "application/json", "X-Request-Id": request.id}
        async with self._session.post(
            self.url + path, data=payload, headers=headers, allow_redirects=False
        ) as response:
            body = await _read(response)
            if response.status == 200:  # noqa: PLR2004 - OK
                return self._reply(request, body, model)
            return await self._refusal(response, body, path=path, model=model)

    async def _refusal(self, response: aiohttp.ClientResponse, body: bytes, *, path: str, model: str) -> Failure:
        status, said = response.status, self._said(body)
        text = f"status {status}: {said}"
        if status in {401, 403}:
            return Failure(text, own=False, final=self._key_refused(status))
        if status == 404:  # noqa: PLR2004 - not found
            return Failure(text, own=False, final=await self._not_there(path, said, model))
        if status in _REFUSED or 300 <= status < 400:  # noqa: PLR2004 - redirects are never followed
            raise RefusedError(text)
        overload = status in _OVERLOADED
        self.refused += overload
        wait = _retry_after(response.headers)
        return Failure(text, own=status not in _PASSING, wait=wait, overload=overload)

    async def _not_there(self, path: str, said: str, model: str) -> BadInputError:
        _, value = await self.get("/models")
        names = wire.model_names(value) or []
        if model not in names:
            return self._without(model, names)
        msg = f"{self.url} has model {model!r}, but no {path}: {said}"
        return BadInputError(msg, remedy=f"selfinstruct doctor --base-url {self.url}")

    def _reply(self, request: CompletionRequest, body: bytes, model: str) -> Reply | Failure:
        try:
            completions, usage = wire.read(request, wire.json_or_none(body))
        except UnreadableError as error:
            return Failure(f"status 200, an answer {error}: {self._said(body)[:120]}", own=True)
        if any(one.finish_reason is FinishReason.ABORT for one in completions):
            return Failure("aborted by the server: it is going down", own=False)
        return Reply(completions=completions, model=model, usage=usage)

    # -- telling --------------------------------------------------------------------------------------------------

    def tell(self, why: str, *, patience: float) -> None:
        """Say now and then that calls are waiting for the server, and for how long they will."""
        if time.monotonic() - self._told >= TELL_SECONDS:
            self._told = time.monotonic()
            log.warning("%s: %s; waiting up to %.0f s", self.url, why, patience)

    def gone(self, why: str) -> UnreachableError:
        """Return the error that ends a run, resumable."""
        msg = f"no model server at {self.url}: {why}"
        return UnreachableError(
            msg, remedy=f"start one, then the same command again; selfinstruct doctor --base-url {self.url}"
        )

    def _without(self, model: str | None, names: list[str]) -> BadInputError:
        if not names:
            msg = f"{self.url} has no model at all"
            return BadInputError(msg, remedy="serve one there")
        wanted = f"does not have model {model!r}" if model else "has several models"
        msg = f"{self.url} {wanted}; it has: {printable(', '.join(names), longest=400)}"
        return BadInputError(msg, remedy="name one of them with -m")

    def _key_refused(self, status: int) -> BadInputError:
        msg = f"{self.url} refuses the key (status {status})"
        return BadInputError(msg, remedy=f"put the right key into the environment variable {self._key_name}")

    def _said(self, body: bytes) -> str:
        """Return the server's words, safe to show; without the key, should it repeat it."""
        return wire.sentence(body.replace(self._key, b"***") if self._key else body)

    async def measure(self, *, seconds: float) -> None:
        """Read its metrics, if it has any; a server that does not answer in time keeps its last figures."""
        if not self.meters.offered:
            return
        try:
            status, body = await self.fetch("/../metrics", seconds=seconds)
        except SelfInstructError:
            return  # whether it is away is for the calls to find out
        self.meters.read(body if status == 200 else b"")  # noqa: PLR2004 - OK


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return the body; its length is counted unpacked, since a packed one may be a thousand times as large."""
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > BODY_LIMIT:
            response.close()
            msg = f"larger than {BODY_LIMIT} bytes"
            raise aiohttp.ClientPayloadError(msg)
        parts.append(part)
    return b"".join(parts)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that the server asks for; a date counts from the server's own clock where it tells it."""
    text = headers.get("Retry-After", "").strip()
    try:
        if text.replace(".", "", 1).isdecimal():
            seconds = float(text)
        elif text:
            now = _moment(headers["Date"]) if "Date" in headers else datetime.now(UTC)
            seconds = (_moment(text) - now).total_seconds()
        else:
            return None
    except (OverflowError, ValueError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _moment(text: str) -> datetime:
    moment = parsedate_to_datetime(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _told(error: BaseException) -> str:
    """Return a client error in words, without addresses of objects."""
    return printable(str(error) or type(error).__name__, longest=200)
