"""Speaks to an OpenAI-compatible server: one pool of connections, many calls at once, patience where it helps.

Knows which failures pass (and waits) and which cannot (and says so). Bodies are `_wire`'s; retries of a record the runner's.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

import aiohttp
from pydantic import ConfigDict, Field, PrivateAttr, field_validator

from selfinstruct.engines import _wire as wire
from selfinstruct.engines.base import CompletionRequest, Engine, FinishReason, Reply
from selfinstruct.errors import BadInputError, CallError, UnreachableError, UnreadableError
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

log = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
"""Seconds of backoff: doubled each time, with jitter; Retry-After is honoured between the two."""

CONNECT_SECONDS, LOOK_SECONDS = 30.0, 30.0
"""For a connection to be taken, and for /models and /version to answer."""

IDLE_SECONDS = 4.0
"""An idle connection is closed by us: vLLM's server closes it after 5 s, and a call sent into that is lost."""

TELL_SECONDS = 30.0
"""Between two lines that say that the server is away: nobody waits in silence."""

BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of one answer, at most, unpacked."""

_PASSING = frozenset({429, 502, 503, 504})
_REFUSED = frozenset({400, 413, 422})


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a try gave no reply. `own`: it looks like the request's fault, not the server's."""

    text: str
    own: bool
    wait: float | None = None


class HttpEngine(Engine):
    """A model behind an OpenAI-compatible URL."""

    model_config = ConfigDict(hide_input_in_errors=True)  # a URL that is refused may hold a key

    kind: Literal["http"] = "http"
    base_url: str = "http://127.0.0.1:8000/v1"
    """Where it listens. Keys never stand here: see `api_key_env`."""
    model: str | None = None
    """Name of the model; asked for when absent, which works when the server has exactly one."""
    api_key_env: str = "SELFINSTRUCT_API_KEY"
    """Environment variable that holds the key, if the server wants one."""
    deadline: Annotated[float, Field(gt=0)] = 300.0
    """Seconds that one call may take."""
    attempts: Annotated[int, Field(ge=1)] = 4
    """Tries of a call whose failure looks like its own: status 500, an answer that cannot be read, a deadline."""
    patience: Annotated[float, Field(ge=0)] = 600.0
    """Seconds that the server may be gone or overloaded before the run stops."""
    structured_outputs: Literal["vllm", "openai", "none"] = "vllm"
    """How constraints are written: vLLM's `structured_outputs`, OpenAI's `response_format`, or not at all."""

    operational: ClassVar[frozenset[str]] = frozenset({"base_url", "api_key_env", "deadline", "attempts", "patience"})
    _session: aiohttp.ClientSession | None = PrivateAttr(default=None)
    _model: str = PrivateAttr(default="")
    _told: float = PrivateAttr(default=float("-inf"))

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.netloc.isprintable():
            msg = "must be an http or https URL, for instance http://127.0.0.1:8000/v1"
            raise ValueError(msg)
        if parts.username or parts.password or parts.query or parts.fragment:
            msg = "must not hold a user, key or query: put the key into the environment variable SELFINSTRUCT_API_KEY"
            raise ValueError(msg)
        _ = parts.port  # raises ValueError when it is none
        path = parts.path.rstrip("/")
        return f"{parts.scheme}://{parts.netloc}{path if path.endswith('/v1') else path + '/v1'}"

    @property
    def model_name(self) -> str:
        """The name found or given; known once the engine is open."""
        return self._model or self.model or ""

    # -- opening --------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open the pool and find the model.

        Raises:
            UnreachableError: nothing listens there. BadInputError: it does not have the model, or refuses the key.
        """
        key = self._key()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS),  # concurrency is the runner's
            timeout=aiohttp.ClientTimeout(total=self.deadline, sock_connect=CONNECT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),  # an answer depends on its request alone
            trust_env=False,  # no proxy that happens to be in the environment sees the data
            headers={"Authorization": f"Bearer {key}"} if key else {},
        )
        try:
            self._model = await self._find_model()
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()

    def _key(self) -> str:
        key = os.environ.get(self.api_key_env, "").strip()  # files that hold keys end in a newline
        if not (key.isascii() and key.isprintable()):
            msg = f"the key in {self.api_key_env} holds characters that no key has"
            raise BadInputError(msg, remedy="copy it again, without quotes and line breaks")
        return key

    async def _find_model(self) -> str:
        status, value = await self.get("/models")
        names = wire.model_names(value)
        if status in {401, 403}:
            raise self._key_refused(status)
        if status in _PASSING:
            why = f"status {status}"
            raise self._gone(why)
        if names is None:
            msg = f"{self.base_url} is no OpenAI-compatible server: /models gave status {status} and no list"
            raise BadInputError(msg, remedy="check the URL; vLLM's ends in /v1")
        if self.model is None and len(names) == 1:
            return names[0]
        if self.model not in names:
            raise self._without(self.model, names)
        return self.model

    def _without(self, model: str | None, names: list[str]) -> BadInputError:
        if not names:
            msg = f"{self.base_url} has no model at all"
            return BadInputError(msg, remedy="serve one there")
        wanted = f"does not have model {model!r}" if model else "has several models"
        msg = f"{self.base_url} {wanted}; it has: {printable(', '.join(names), longest=400)}"
        return BadInputError(msg, remedy="name one of them with -m")

    async def get(self, path: str) -> tuple[int, Any]:
        """Return status and JSON body (None when it is no JSON) of a GET below the base URL; `/..` leaves `/v1`.

        Raises:
            UnreachableError: nothing listens there.
        """
        url = self.base_url.removesuffix("/v1") + path[3:] if path.startswith("/..") else self.base_url + path
        seconds = min(self.deadline, LOOK_SECONDS)
        limit = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        try:
            async with self._open().get(url, allow_redirects=False, timeout=limit) as response:
                return response.status, wire.json_or_none(await _read(response))
        except TimeoutError:
            why = f"no answer within {seconds:g} s"
            raise self._gone(why) from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._gone(_told(error)) from None

    # -- calling --------------------------------------------------------------------------------------------------

    async def complete(self, request: CompletionRequest) -> Reply:
        """Answer `request`, waiting out what passes.

        Raises:
            CallError: refused (400, 413, 422), or failed `attempts` times on its own.
            UnreachableError: gone or overloaded for longer than `patience`.
            BadInputError: key or model refused (401, 403, 404).
        """
        body = wire.body(request, model=self.model_name, dialect=self.structured_outputs)
        payload = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        own, tries = 0, 0
        since: float | None = None
        while True:
            outcome = await self._try(request, payload)
            if isinstance(outcome, Reply):
                return outcome
            tries += 1
            if outcome.own:
                own, since = own + 1, None  # the server took the call: patience starts anew
                if own >= self.attempts:
                    msg = f"{outcome.text} ({own} tries)"
                    raise CallError(msg)
            else:
                since = time.monotonic() if since is None else since
                if time.monotonic() - since >= self.patience:
                    raise self._gone(outcome.text)
                self._tell(outcome.text)
            await asyncio.sleep(_pause(tries, outcome.wait))

    async def _try(self, request: CompletionRequest, payload: bytes) -> Reply | _Failure:
        path = "/completions" if isinstance(request.prompt, str) else "/chat/completions"
        headers = {"Content-Type": "application/json", "X-Request-Id": request.id}
        try:
            async with self._open().post(
                self.base_url + path, data=payload, headers=headers, allow_redirects=False
            ) as response:
                body = await _read(response)
                if response.status == 200:  # noqa: PLR2004 - OK
                    return self._reply(request, body)
                return await self._refusal(response, body, path)
        except aiohttp.ConnectionTimeoutError:
            return _Failure(f"no connection within {CONNECT_SECONDS:g} s", own=False)
        except TimeoutError:
            return _Failure(f"no answer within {self.deadline:g} s", own=True)
        except aiohttp.ClientPayloadError as error:
            return _Failure(f"an answer that cannot be read: {_told(error)}", own=True)
        except (aiohttp.ClientError, OSError) as error:
            return _Failure(_told(error), own=False)

    async def _refusal(self, response: aiohttp.ClientResponse, body: bytes, path: str) -> _Failure:
        """Return a failure that may pass, or raise one that cannot."""
        status = response.status
        said = self._said(body)
        if status in {401, 403}:
            raise self._key_refused(status)
        if status == 404:  # noqa: PLR2004 - not found
            raise await self._not_there(path, said)
        if status in _REFUSED or 300 <= status < 400:  # noqa: PLR2004 - redirects are never followed
            msg = f"status {status}: {said}"
            raise CallError(msg)
        return _Failure(f"status {status}: {said}", own=status not in _PASSING, wait=_retry_after(response.headers))

    async def _not_there(self, path: str, said: str) -> BadInputError:
        _, value = await self.get("/models")
        names = wire.model_names(value) or []
        if self.model_name not in names:
            return self._without(self.model_name, names)
        msg = f"{self.base_url} has model {self.model_name!r}, but no {path}: {said}"
        return BadInputError(msg, remedy=f"selfinstruct doctor --base-url {self.base_url}")

    def _reply(self, request: CompletionRequest, body: bytes) -> Reply | _Failure:
        try:
            completions, usage = wire.read(request, wire.json_or_none(body))
        except UnreadableError as error:
            return _Failure(f"status 200, an answer {error}: {self._said(body)[:120]}", own=True)
        if any(one.finish_reason is FinishReason.ABORT for one in completions):
            return _Failure("aborted by the server: it is going down", own=False)
        return Reply(completions=completions, model=self.model_name, usage=usage)

    def _said(self, body: bytes) -> str:
        """Return the server's words, safe to show; without the key, should it repeat it."""
        key = self._key().encode()
        return wire.sentence(body.replace(key, b"***") if key else body)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            msg = "the engine is not open: use `async with`"
            raise RuntimeError(msg)
        return self._session

    def _tell(self, why: str) -> None:
        """Say now and then that calls are waiting for the server, and for how long they will."""
        if time.monotonic() - self._told >= TELL_SECONDS:
            self._told = time.monotonic()
            log.warning("%s: %s; waiting up to %.0f s", self.base_url, why, self.patience)

    def _gone(self, why: str) -> UnreachableError:
        msg = f"no model server at {self.base_url}: {why}"
        return UnreachableError(
            msg, remedy=f"start one, then the same command again; selfinstruct doctor --base-url {self.base_url}"
        )

    def _key_refused(self, status: int) -> BadInputError:
        msg = f"{self.base_url} refuses the key (status {status})"
        return BadInputError(msg, remedy=f"put the right key into the environment variable {self.api_key_env}")


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


def _pause(tries: int, asked: float | None) -> float:
    """Return the seconds to wait after so many failures; a server that asks for 0 is not hammered either."""
    jitter = random.uniform(0.5, 1)  # noqa: S311 - not a secret
    if asked is not None:
        return max(asked, FIRST_WAIT * jitter)
    longest: float = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(tries - 1, 10))
    return longest * jitter


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
