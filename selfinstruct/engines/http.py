"""Speaks to an OpenAI-compatible server: chat and completions, as vLLM 0.32 names things. aiohttp, one pool, many calls.

Knows which failures pass (and waits) and which cannot (and says so). Retries of a record are the runner's.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

import aiohttp
from pydantic import Field, PrivateAttr, field_validator

from selfinstruct.engines.base import (
    Choice,
    Completion,
    CompletionRequest,
    Constraint,
    Engine,
    FinishReason,
    JsonSchema,
    Reply,
    Usage,
)
from selfinstruct.errors import BadInputError, CallError, UnreachableError
from selfinstruct.text.reply import harmless
from selfinstruct.text.show import printable

if TYPE_CHECKING:
    from types import TracebackType

log = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
"""Seconds of backoff: doubled each time, with jitter; Retry-After is honoured up to the longest."""

TELL_SECONDS = 30.0
"""Between two lines that say that the server is away: nobody waits in silence."""

BODY_LIMIT = 64 * 1024 * 1024
"""Bytes of one answer, at most."""

LEAST_TOP_P = 1e-6
"""Sent for a top_p of 0, which servers refuse although the papers have it: the likeliest token alone, either way."""

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
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            msg = "must be an http or https URL, for instance http://127.0.0.1:8000/v1"
            raise ValueError(msg)
        if parts.username or parts.password:
            msg = "must not hold a user or a key: put the key into the environment variable SELFINSTRUCT_API_KEY"
            raise ValueError(msg)
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
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),  # concurrency is the runner's
            timeout=aiohttp.ClientTimeout(total=self.deadline),
            trust_env=False,  # no proxy that happens to be in the environment sees the data
            headers=self._headers(),
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

    def _headers(self) -> dict[str, str]:
        key = os.environ.get(self.api_key_env, "")
        return {"Authorization": f"Bearer {key}"} if key else {}

    async def _find_model(self) -> str:
        status, body = await self.get("/models")
        names = [str(one["id"]) for one in body["data"] if "id" in one] if _has_list(body, "data") else None
        if status in {401, 403}:
            raise self._key_refused(status)
        if names is None:
            msg = f"{self.base_url} is no OpenAI-compatible server: /models gave status {status} and no list"
            raise BadInputError(msg, remedy="check the URL; vLLM's ends in /v1")
        if self.model is None and len(names) == 1:
            return names[0]
        if self.model not in names:
            wanted = f"does not have model {self.model!r}" if self.model else "has several models"
            shown = printable(", ".join(names) or "none", longest=400)
            msg = f"{self.base_url} {wanted}; it has: {shown}"
            raise BadInputError(msg, remedy="name one of them with -m")
        return self.model

    async def get(self, path: str) -> tuple[int, Any]:
        """Return status and JSON body (None when it is no JSON) of a GET below the base URL; `/..` leaves `/v1`.

        Raises:
            UnreachableError: nothing listens there.
        """
        url = self.base_url.removesuffix("/v1") + path[3:] if path.startswith("/..") else self.base_url + path
        try:
            async with self._open().get(url, allow_redirects=False) as response:
                return response.status, _json_or_none(await _read(response))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._gone(_told(error)) from None

    # -- calling --------------------------------------------------------------------------------------------------

    async def complete(self, request: CompletionRequest) -> Reply:
        """Answer `request`, waiting out what passes.

        Raises:
            CallError: refused (400, 413, 422), or failed `attempts` times on its own.
            UnreachableError: gone or overloaded for longer than `patience`.
            BadInputError: key or model refused (401, 403, 404).
        """
        chat = not isinstance(request.prompt, str)
        payload = json.dumps(self._body(request, chat=chat), ensure_ascii=False).encode("utf-8", "replace")
        own, tries, since = 0, 0, None
        while True:
            outcome = await self._try(request, payload, chat=chat)
            if isinstance(outcome, Reply):
                return outcome
            tries += 1
            own += outcome.own
            if own >= self.attempts:
                msg = f"{outcome.text} ({own} tries)"
                raise CallError(msg)
            if not outcome.own:
                since = since or time.monotonic()
                if time.monotonic() - since >= self.patience:
                    raise self._gone(outcome.text)
                self._tell(outcome.text)
            longest = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(tries - 1, 10))
            wait = outcome.wait if outcome.wait is not None else longest * random.uniform(0.5, 1)  # noqa: S311 - jitter
            await asyncio.sleep(wait)

    async def _try(self, request: CompletionRequest, payload: bytes, *, chat: bool) -> Reply | _Failure:
        url = self.base_url + ("/chat/completions" if chat else "/completions")
        headers = {"Content-Type": "application/json", "X-Request-Id": request.id}
        try:
            async with self._open().post(url, data=payload, headers=headers, allow_redirects=False) as response:
                body = await _read(response)
                if response.status == 200:  # noqa: PLR2004 - OK
                    return self._reply(request, body, chat=chat)
                return self._refusal(response, body)
        except TimeoutError:
            return _Failure(f"no answer within {self.deadline:g} s", own=True)
        except (aiohttp.ClientError, OSError) as error:
            return _Failure(_told(error), own=False)

    def _refusal(self, response: aiohttp.ClientResponse, body: bytes) -> _Failure:
        """Return a failure that may pass, or raise one that cannot."""
        status = response.status
        said = _sentence(body)
        if status in {401, 403}:
            raise self._key_refused(status)
        if status == 404:  # noqa: PLR2004 - not found
            msg = f"{self.base_url} does not have model {self.model_name!r} or this path: {said}"
            raise BadInputError(msg, remedy=f"selfinstruct doctor --base-url {self.base_url}")
        if status in _REFUSED or 300 <= status < 400:  # noqa: PLR2004 - redirects are never followed
            msg = f"status {status}: {said}"
            raise CallError(msg)
        return _Failure(f"status {status}: {said}", own=status not in _PASSING, wait=_retry_after(response))

    def _reply(self, request: CompletionRequest, body: bytes, *, chat: bool) -> Reply | _Failure:
        value = _json_or_none(body)
        choices = value.get("choices") if isinstance(value, dict) else None
        if not isinstance(choices, list) or len(choices) != request.n:
            shown = printable(body[:120].decode("utf-8", "replace"))
            return _Failure(f"status 200 without {request.n} choices: {shown}", own=True)
        try:
            ordered = sorted(choices, key=lambda one: one.get("index", 0))
            completions = tuple(_completion(one, chat=chat) for one in ordered)
            usage = value.get("usage") or {}
            counts = Usage(
                prompt_tokens=int(usage.get("prompt_tokens") or 0),
                completion_tokens=int(usage.get("completion_tokens") or 0),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return _Failure(f"an answer of another shape: {type(error).__name__}", own=True)
        if any(one.finish_reason is FinishReason.ABORT for one in completions):
            return _Failure("aborted by the server: it is going down", own=False)
        return Reply(completions=completions, model=self.model_name, usage=counts)

    def _body(self, request: CompletionRequest, *, chat: bool) -> dict[str, Any]:
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self.model_name,
            "n": request.n,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": max(sampling.top_p, LEAST_TOP_P),
            "presence_penalty": sampling.presence_penalty,
            "frequency_penalty": sampling.frequency_penalty,
        }
        for name in ("top_k", "min_p", "repetition_penalty"):
            if getattr(sampling, name) is not None:
                body[name] = getattr(sampling, name)
        if sampling.stop:
            body["stop"] = list(dict.fromkeys(sampling.stop))
        if sampling.logit_bias:
            body["logit_bias"] = sampling.logit_bias
        if request.seed is not None:
            body["seed"] = request.seed
        if chat:
            body["messages"] = [{"role": one.role, "content": one.content} for one in request.prompt]  # type: ignore[union-attr]
        else:
            body["prompt"] = request.prompt
        if request.top_logprobs:
            body |= (
                {"logprobs": True, "top_logprobs": request.top_logprobs} if chat else {"logprobs": request.top_logprobs}
            )
        if request.constraint is not None:
            body |= self._constraint(request.constraint)
        return body

    def _constraint(self, constraint: Constraint) -> dict[str, Any]:
        if self.structured_outputs == "vllm":
            if isinstance(constraint, Choice):
                return {"structured_outputs": {"choice": list(constraint.choices)}}
            if isinstance(constraint, JsonSchema):
                return {"structured_outputs": {"json": constraint.schema_}}
            return {"structured_outputs": {"regex": constraint.pattern}}
        if self.structured_outputs == "openai" and isinstance(constraint, JsonSchema):
            schema = {"name": constraint.schema_.get("title", "answer"), "strict": True, "schema": constraint.schema_}
            return {"response_format": {"type": "json_schema", "json_schema": schema}}
        return {}

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
    if response.content_length is not None and response.content_length <= BODY_LIMIT:
        return await response.read()
    body = await response.content.read(BODY_LIMIT + 1)
    while not response.content.at_eof() and len(body) <= BODY_LIMIT:
        body += await response.content.read(BODY_LIMIT + 1 - len(body))
    if len(body) > BODY_LIMIT:
        response.close()
        msg = f"answer larger than {BODY_LIMIT} bytes"
        raise aiohttp.ClientPayloadError(msg)
    return body


def _completion(choice: dict[str, Any], *, chat: bool) -> Completion:
    text = choice["message"].get("content") if chat else choice["text"]
    reason = choice.get("finish_reason")
    known = reason if reason in set(FinishReason) else FinishReason.UNKNOWN
    return Completion.model_construct(
        text=harmless(text or ""),
        finish_reason=FinishReason(known),
        logprobs=_logprobs(choice.get("logprobs"), chat=chat),
    )


def _logprobs(value: Any, *, chat: bool) -> tuple[dict[str, float], ...]:  # noqa: ANN401 - the server's
    if not value:
        return ()
    if chat:
        return tuple({one["token"]: one["logprob"] for one in token["top_logprobs"]} for token in value["content"])
    return tuple(value["top_logprobs"])


def _json_or_none(body: bytes) -> Any:  # noqa: ANN401
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _has_list(body: Any, name: str) -> bool:  # noqa: ANN401
    return isinstance(body, dict) and isinstance(body.get(name), list) and all(isinstance(x, dict) for x in body[name])


def _sentence(body: bytes) -> str:
    """Return what the server says of its refusal, safe to show."""
    value = _json_or_none(body[:20_000])
    if isinstance(value, dict):
        error = value.get("error", value)
        value = error.get("message", error) if isinstance(error, dict) else error
    return printable(value if value is not None else body[:300].decode("utf-8", "replace"), longest=300)


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    text = response.headers.get("Retry-After", "").strip()
    if not text:
        return None
    try:
        seconds = (
            float(text)
            if text.replace(".", "", 1).isdecimal()
            else (parsedate_to_datetime(text).timestamp() - time.time())
        )
    except (TypeError, ValueError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _told(error: BaseException) -> str:
    """Return a client error in words, without addresses of objects."""
    return printable(str(error) or type(error).__name__, longest=200)
