"""What stands before every page: who may ask, for what, and what a browser may do with the answer. Pure ASGI."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    Refuse = Callable[[Scope, int], Awaitable[ASGIApp]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Content-Security-Policy: nothing inline runs, nothing comes from elsewhere."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}
LONGEST = 8_000
"""Bytes of a path and its query."""


class Guard:
    """Answers under its own name only (a page elsewhere could otherwise reach it by a name that leads here), and only reads."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], refused: Callable[[int], ASGIApp]) -> None:
        """Let those through who ask for one of `hosts` (with port); `refused` makes the answer of a status."""
        self._app, self._refused = app, refused
        self._hosts = {one.lower() for one in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = {name for name, _ in message["headers"]}
                more = ((name.encode(), value.encode()) for name, value in HEADERS.items())
                message["headers"] = [*message["headers"], *(one for one in more if one[0] not in told)]
            await send(message)

        status = self._status(scope)
        app = self._app if status is None else self._refused(status)
        await app(scope, receive, send_guarded)

    def _status(self, scope: Scope) -> int | None:
        asked = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
        if len(asked) != 1 or asked[0] not in self._hosts:
            return 421
        if scope["method"] not in {"GET", "HEAD"}:
            return 405
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > LONGEST:
            return 414
        return None
