"""The web page's limits, and the middleware that refuses requests beyond them.

Refuses requests that are too large, too frequent, or that the page itself never sends.
A piece of ASGI middleware; knows nothing of actions and imports no Gradio.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import unquote

from action_gru.core.errors import ConfigError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MESSAGE_BYTES = 16_000_000  # a camera's frame as text is far smaller
# What the page posts to. Gradio has more: it cuts recordings, edits its own code, keeps histories.
POSTED = ("/queue/join", "/upload", "/cancel", "/reset", "/stream/")
ADDRESSES_KEPT = 1000
FORM_BYTES = 100_000  # what a form adds to its file
# The page comes from this server alone. Gradio's own pages need inline scripts and templates.
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; form-action 'self'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


@dataclass(frozen=True)
class Limits:
    """Every value is greater than 0; ConfigError otherwise.

    max_upload_mb: of one file. max_duration_s: of one video. videos, cameras: at the same time.
    keep_s: how long uploads and results are kept. idle_s: a camera that sends nothing for so long
    gives up its place. posts_per_s, uploads_per_min: of one address; beyond them it is to wait.
    """

    max_upload_mb: int = 200
    max_duration_s: float = 600.0
    videos: int = 2
    cameras: int = 4
    keep_s: float = 1800.0
    idle_s: float = 30.0
    posts_per_s: float = 100.0
    uploads_per_min: float = 20.0

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            if not value > 0:
                raise ConfigError(f"{part.name.replace('_', '-')}: must be above 0; got {value}")

    @property
    def max_upload_bytes(self) -> int:
        return self.max_upload_mb * 1_000_000


class Rates:
    """How often an address may do a thing: per_s on average, and a burst after a rest.

    A token bucket for each address; the ones that rested longest are forgotten first.
    """

    def __init__(
        self, per_s: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_s, self.burst, self.clock = per_s, burst, clock
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, since when

    def allow(self, address: str) -> bool:
        """Count one try; False where it comes too soon."""
        now_s = self.clock()
        tokens, since_s = self._held.pop(address, (self.burst, now_s))
        tokens = min(self.burst, tokens + (now_s - since_s) * self.per_s)
        self._held[address] = (tokens - 1 if tokens >= 1 else tokens, now_s)
        while len(self._held) > ADDRESSES_KEPT:
            self._held.popitem(last=False)
        return tokens >= 1


class TooLargeError(Exception):
    """A request went on past its limit."""


class Guard:
    """Wraps the page's server. bytes_held says how much its temporary files take now."""

    def __init__(
        self,
        app: Any,
        max_upload_bytes: int,
        max_held_bytes: int,
        bytes_held: Callable[[], int],
        posts: Rates,
        uploads: Rates,
    ) -> None:
        self.app, self.posts, self.uploads = app, posts, uploads
        self.max_upload_bytes, self.max_held_bytes = max_upload_bytes, max_held_bytes
        self.bytes_held = bytes_held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = unquote(str(scope.get("path", "")))
        uploads = path.rstrip("/").endswith("/upload")
        limit = self.max_upload_bytes + FORM_BYTES if uploads else MESSAGE_BYTES
        posts = scope.get("method") not in ("GET", "HEAD", "OPTIONS")
        if posts and not path.partition("/gradio_api")[2].startswith(POSTED):
            await _answer(send, 403, "this page asks for no such thing")
            return
        if posts and not (self.uploads if uploads else self.posts).allow(_address(scope)):
            await _answer(send, 429, "too many requests; wait a moment")
            return
        if refused := self._refusal(path, uploads, _declared(scope), limit):
            await _answer(send, *refused)
            return
        await self._pass(scope, receive, send, limit)

    def _refusal(
        self, path: str, uploads: bool, declared: int, limit: int
    ) -> tuple[int, str] | None:
        if "/proxy=" in path or any(f"/file={scheme}" in path for scheme in ("http:", "https:")):
            return 403, "this server fetches nothing from other addresses"
        if declared > limit:
            return 413, f"larger than {limit // 1_000_000} MB, which is the limit here"
        if uploads and self.bytes_held() + declared > self.max_held_bytes:
            return 507, "the server holds as many videos as it may; try again later"
        return None

    async def _pass(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        taken, begun = 0, False

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise TooLargeError
            return message

        async def headed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        try:
            await self.app(scope, counted, headed)
        except TooLargeError:
            if not begun:
                await _answer(send, 413, f"larger than {limit // 1_000_000} MB, the limit here")


def _address(scope: Scope) -> str:
    """Who asks, as the network says; behind a proxy all are the proxy."""
    return str((scope.get("client") or ("", 0))[0])


def _declared(scope: Scope) -> int:
    for name, value in scope.get("headers", []):
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


async def _answer(send: Send, status: int, words: str) -> None:
    body = words.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        *HEADERS,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
