"""Who may ask the studio for what: this machine's own page alone, within limits. Knows no route.

A page of another site in the same browser must not reach the studio. It cannot by a name that it
points to this machine (the Host header), not by a form, a script or a WebSocket (Origin), and not
by an element such as <video> (Sec-Fetch-Site).
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable

from action_gru.apps.serving import (
    READING,
    Message,
    Rates,
    Receive,
    Scope,
    Send,
    address_of,
    answer,
    counted,
    declared_bytes,
    header,
    is_here,
)

App = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON_BYTES = 8_000_000  # the segments of a long video are the largest
LABELS_BYTES = 64_000_000
CLIP_BYTES = 2_000_000_000
VIDEO_BYTES = 50_000_000_000
# What takes more than JSON.
LIMITS = {
    "/api/clips": CLIP_BYTES,
    "/api/tries": CLIP_BYTES,
    "/api/use/classify": CLIP_BYTES,
    "/api/videos": VIDEO_BYTES,
    "/api/videos/import": LABELS_BYTES,
}
SENDS_PER_S, SENDS_AT_ONCE = 20.0, 600.0  # 200 files are dropped at once
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self' ws://{host} wss://{host}; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-cache"),  # a newer package has another page
)
CLOSED = 1008  # of a WebSocket: against the policy


class Guard:
    """Wraps the studio's app. host: where it listens, by name or address."""

    def __init__(
        self,
        app: App,
        host: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        self.hosts = {"localhost", host.lower(), socket.gethostname().lower()}
        self.rates = Rates(SENDS_PER_S, SENDS_AT_ONCE, clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refused = self._refusal(scope)
        if refused is None:
            await self._pass(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()  # its request to connect
            await send({"type": "websocket.close", "code": CLOSED, "reason": refused[1][:100]})
        else:
            await _refuse(send, *refused)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and sentence for a request that is refused by its head."""
        host = header(scope, b"host") or ""
        if not is_here(host, self.hosts):
            return 403, f"this studio is not '{host[:100]}'; open the address that it printed"
        is_socket = scope["type"] == "websocket"
        if is_socket or scope.get("method") not in READING:
            origin = (header(scope, b"origin") or "").lower()
            if origin not in (f"http://{host.lower()}", f"https://{host.lower()}"):
                return 403, "only the studio's own page may change something; open it again"
            if not self.rates.allow(address_of(scope)):
                return 429, "too many requests at once; wait a moment"
        if scope["path"].startswith("/api/"):
            site = header(scope, b"sec-fetch-site")
            if site not in (None, "same-origin", "none"):
                return 403, "only the studio's own page may ask for this; open the studio"
        limit = _limit(scope)
        if declared_bytes(scope) > limit:
            return 413, f"larger than {limit // 1_000_000} MB, which is the limit here"
        return None

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        policy = POLICY.format(host=header(scope, b"host")).encode("latin-1")

        is_begun = False

        async def headed(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            if message["type"] == "http.response.start":
                headers = [(b"content-security-policy", policy), *HEADERS]
                message["headers"] = [*message.get("headers", []), *headers]
            await send(message)

        is_socket = scope["type"] == "websocket"
        try:
            await self.app(scope, receive if is_socket else counted(receive, _limit(scope)), headed)
        except asyncio.CancelledError:  # ctrl-C, and what was asked for took too long
            if is_begun or is_socket:
                raise
            await _refuse(send, 503, "the studio is closing; start it again, then repeat this")


def _limit(scope: Scope) -> int:
    return LIMITS.get(str(scope["path"]), JSON_BYTES)


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"error": sentence}).encode()
    await answer(send, status, body, b"application/json", HEADERS)
