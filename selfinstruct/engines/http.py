"""Speaks to OpenAI-compatible servers: one pool of connections, many calls at once, patience where it helps.

Knows which failures pass (and waits) and which cannot (and says so). One try at one server is `_server`'s, the choice of
the server `_fleet`'s, bodies are `_wire`'s; retries of a record the runner's.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

import aiohttp
from pydantic import ConfigDict, Field, PrivateAttr, field_validator

from selfinstruct.engines import _wire as wire
from selfinstruct.engines._fleet import Fleet
from selfinstruct.engines._server import CONNECT_SECONDS, LONGEST_WAIT, Failure, Server
from selfinstruct.engines.base import Ability, CompletionRequest, Engine, Reply, ServerState, together
from selfinstruct.errors import BadInputError, CallError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet
    from types import TracebackType

log = logging.getLogger(__name__)

FIRST_WAIT = 0.5
"""Seconds of backoff: doubled each time, with jitter, to LONGEST_WAIT; Retry-After is honoured between the two."""

IDLE_SECONDS = 4.0
"""An idle connection is closed by us: vLLM's server closes it after 5 s, and a call sent into that is lost."""


class HttpEngine(Engine):
    """A model behind one OpenAI-compatible URL, or several that serve the same one."""

    model_config = ConfigDict(hide_input_in_errors=True)  # a URL that is refused may hold a key

    kind: Literal["http"] = "http"
    base_url: str | tuple[str, ...] = "http://127.0.0.1:8000/v1"
    """Where it listens; several share the calls, the least loaded first. Keys never stand here: see `api_key_env`."""
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
    structured_outputs: Literal["auto", "vllm", "openai", "none"] = "auto"
    """How constraints are written: vLLM's `structured_outputs`, OpenAI's `response_format`, or not at all. auto: the first
    of these that the server really keeps to, asked before the run."""

    operational: ClassVar[frozenset[str]] = frozenset({"base_url", "api_key_env", "deadline", "attempts", "patience"})
    _session: aiohttp.ClientSession | None = PrivateAttr(default=None)
    _fleet: Fleet | None = PrivateAttr(default=None)
    _watch: asyncio.Task[None] | None = PrivateAttr(default=None)
    _model: str = PrivateAttr(default="")
    _dialect: str = PrivateAttr(default="vllm")
    _singly: bool = PrivateAttr(default=False)

    @field_validator("base_url")
    @classmethod
    def _plain_urls(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(value, str):
            return _plain_url(value)
        urls = tuple(dict.fromkeys(map(_plain_url, value)))
        if not urls:
            msg = "must name a server, for instance http://127.0.0.1:8000/v1"
            raise ValueError(msg)
        return urls[0] if len(urls) == 1 else urls

    @property
    def urls(self) -> tuple[str, ...]:
        """All of its servers."""
        return (self.base_url,) if isinstance(self.base_url, str) else self.base_url

    @property
    def model_name(self) -> str:
        """The name found or given; known once the engine is open."""
        return self._model or self.model or ""

    # -- opening --------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open the pool and find the model. Of several servers some may be away: they are used when they come.

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
            servers = [
                Server(url, session=self._session, key=key, key_name=self.api_key_env, deadline=self.deadline)
                for url in self.urls
            ]
            self._model = await self._find_model(servers)
            self._fleet = Fleet(servers, model=self._model)
            await asyncio.gather(*(one.measure(seconds=FIRST_WAIT) for one in servers if not one.down))
            self._watch = asyncio.create_task(self._fleet.watch())
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the pool."""
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        if self._session is not None:
            await self._session.close()

    def _key(self) -> str:
        key = os.environ.get(self.api_key_env, "").strip()  # files that hold keys end in a newline
        if not (key.isascii() and key.isprintable()):
            msg = f"the key in {self.api_key_env} holds characters that no key has"
            raise BadInputError(msg, remedy="copy it again, without quotes and line breaks")
        return key

    async def _find_model(self, servers: list[Server]) -> str:
        """Return the model that all servers have which are there; one that is away is marked."""
        model, away = self.model, None
        for server in servers:
            try:
                model = await server.find_model(model)
            except UnreachableError as error:
                away, server.down = error, str(error)
        if away is not None:
            if all(server.down for server in servers):
                raise away
            for server in servers:
                if server.down:
                    log.warning("%s; going on without it", server.down)
        assert model is not None  # noqa: S101 - at least one server told
        return model

    def servers(self) -> tuple[ServerState, ...]:
        """Return what is known of its servers; nothing before it is opened."""
        return tuple(one.state() for one in self._fleet.servers) if self._fleet is not None else ()

    async def get(self, path: str) -> tuple[int, Any]:
        """Return status and JSON body (None when it is no JSON) of a GET below the base URL; `/..` leaves `/v1`.

        Raises:
            UnreachableError: nothing listens there.
        """
        return await self._open().pick().get(path)

    async def prepare(self, wanted: AbstractSet[Ability]) -> Sequence[str]:
        """Ask a few short questions: from the answers follows how to write constraints, and whether n answers come at once.

        Raises:
            BadInputError: it has no chat, or no completions, and they are wanted.
        """
        from selfinstruct.engines.probe import survey  # noqa: PLC0415 - which knows this engine

        self._dialect, self._singly = "vllm", False  # as it is asked, whatever was found at an earlier opening
        found = await survey(self, wanted)
        self._dialect, self._singly = found.dialect, found.singly
        return found.notes

    # -- calling --------------------------------------------------------------------------------------------------

    async def complete(self, request: CompletionRequest) -> Reply:
        """Answer `request`, waiting out what passes; a failure of one server is another's call, at once.

        Raises:
            CallError: refused (RefusedError: 400, 413, 422), or failed `attempts` times on its own.
            UnreachableError: gone or overloaded for longer than `patience`.
            BadInputError: key or model refused (401, 403, 404).
        """
        if self._singly and request.n > 1:
            return wire.joined(await together(*map(self.complete, wire.singly(request))))
        dialect = self._dialect if self.structured_outputs == "auto" else self.structured_outputs
        body = wire.body(request, model=self.model_name, dialect=dialect)
        payload = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        fleet = self._open()
        own, tries = 0, 0
        since: float | None = None
        server: Server | None = None
        while True:
            server = fleet.pick(but=server)
            outcome = await server.post(request, payload, model=self.model_name)
            if isinstance(outcome, Reply):
                fleet.good(server)
                return outcome
            fleet.bad(server, outcome)
            elsewhere = fleet.another(server)
            if outcome.final is not None and not elsewhere:
                raise outcome.final
            if outcome.own:
                own, since = own + 1, None  # the server took the call: patience starts anew
                if own >= self.attempts:
                    msg = f"{outcome.text} ({own} tries)"
                    raise CallError(msg)
            elif elsewhere:
                continue
            else:
                since = time.monotonic() if since is None else since
                if time.monotonic() - since >= self.patience:
                    raise server.gone(outcome.text)
                server.tell(outcome.text, patience=self.patience)
            tries += 1
            await fleet.pause(_pause(tries, outcome))

    def _open(self) -> Fleet:
        if self._fleet is None:
            msg = "the engine is not open: use `async with`"
            raise RuntimeError(msg)
        return self._fleet


def _plain_url(value: str) -> str:
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


def _pause(tries: int, failure: Failure) -> float:
    """Return the seconds to wait after so many failures; a server that asks for 0 is not hammered either."""
    jitter = random.uniform(0.5, 1)  # noqa: S311 - not a secret
    if failure.wait is not None:
        return max(failure.wait, FIRST_WAIT * jitter)
    longest: float = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(tries - 1, 10))
    return longest * jitter
