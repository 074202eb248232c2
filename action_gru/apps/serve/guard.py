"""Who may ask a server for what: by key, from which page, how much. Knows no route's work.

Without a key only this machine is served, and a page of another site in a browser here must not
reach the server: neither by a name that it points to this machine (the Host header) nor by a form,
a script or a web socket (Origin).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from action_gru.apps.serving import (
    Message,
    Receive,
    Scope,
    Send,
    answer,
    counted,
    declared_bytes,
    header,
    is_here,
    is_loopback,
)

App = Callable[[Scope, Receive, Send], Awaitable[None]]
OPEN = ("/", "/health", "/openapi.json")  # they tell nothing that a key protects
PAGE = "/page/"
VIDEOS = ("/classify", "/timeline")  # whose bodies are videos
JSON_BYTES = 100_000
FORM_BYTES = 100_000  # what a form adds to its file
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
CLOSED = 1008  # of a web socket: against the policy
NO_KEY = "this server asks for a key: send it as the header 'X-API-Key' or 'Authorization: Bearer'"
WRONG_KEY = "this key is not known here; ask whoever runs the server for one"


@dataclass(frozen=True)
class Rules:
    """keys: one of them must come with each request; none: no key is asked for.

    host: where the server listens. origins: pages of these addresses may ask too, '*' for all.
    """

    host: str = "127.0.0.1"
    keys: tuple[str, ...] = field(default=(), repr=False)
    origins: tuple[str, ...] = ()
    max_upload_bytes: int = 200_000_000

    def allows(self, given: str) -> bool:
        """Whether a key is one of them, in a time that says nothing of how much of it is right."""
        digest = _digest(given)
        found = [hmac.compare_digest(digest, _digest(key)) for key in self.keys]
        return any(found)


class Guard:
    """Wraps the server's app."""

    def __init__(
        self,
        app: App,
        rules: Rules,
        is_closing: Callable[[], bool],
        heard: Callable[[str, int], None],
    ) -> None:
        """heard: told of each answer's path and status."""
        self.app, self.rules, self.is_closing, self.heard = app, rules, is_closing, heard
        self._names: Collection[str] = {
            "localhost", rules.host.lower(), socket.gethostname().lower()
        }  # fmt: skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        is_socket, origin = scope["type"] == "websocket", self._foreign_origin(scope)
        send = self._counting(scope, send)
        shared = _cors(origin) if origin is not None and self._lets_in(origin) else []
        headers = [*HEADERS, *shared]
        if shared and scope.get("method") == "OPTIONS":
            await answer(send, 204, b"", b"text/plain", headers)
            return
        refused = self._refusal(scope, origin)
        if refused is not None and is_socket:
            await receive()  # its request to connect
            await send({"type": "websocket.close", "code": CLOSED, "reason": refused[1][:100]})
        elif refused is not None:
            await answer(send, *_sentence(*refused), [*headers, *_asking(refused[0])])
        else:
            await self._pass(scope, receive, send, headers)

    def _counting(self, scope: Scope, send: Send) -> Send:
        path = str(scope["path"])

        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.heard(path, int(message["status"]))
            await send(message)

        return count

    def _refusal(self, scope: Scope, origin: str | None) -> tuple[int, str] | None:
        """Status and sentence for a request that is refused by its head."""
        path = str(scope["path"])
        if not self.rules.keys and is_loopback(self.rules.host):
            host = header(scope, b"host") or ""
            if not is_here(host, self._names):
                return 403, f"this server is not '{host[:100]}'; use the address that it printed"
        if origin is not None and not self._lets_in(origin):
            return 403, (
                f"pages of {origin[:100]} may not ask this server; start it with "
                "--allow-origin and that address"
            )
        if self.rules.keys and path not in OPEN and not path.startswith(PAGE):
            given = _key(scope)
            if given is None:
                return 401, NO_KEY
            if not self.rules.allows(given):
                return 401, WRONG_KEY
        if self.is_closing() and path != "/health":
            return 503, "the server is closing; ask another one, or again in a minute"
        limit = self._limit(path)
        if declared_bytes(scope) > limit:
            return 413, f"larger than {limit // 1_000_000} MB, which is the limit here; {MEND}"
        return None

    def _foreign_origin(self, scope: Scope) -> str | None:
        """The address of another site's page that asks; None for no page, or for our own."""
        origin, host = header(scope, b"origin"), (header(scope, b"host") or "").lower()
        is_own = origin is None or origin.lower() in (f"http://{host}", f"https://{host}")
        return None if is_own else origin

    def _lets_in(self, origin: str) -> bool:
        return "*" in self.rules.origins or origin.rstrip("/") in self.rules.origins

    def _limit(self, path: str) -> int:
        return self.rules.max_upload_bytes + FORM_BYTES if path in VIDEOS else JSON_BYTES

    async def _pass(
        self, scope: Scope, receive: Receive, send: Send, headers: list[tuple[bytes, bytes]]
    ) -> None:
        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *headers]
            await send(message)

        if scope["type"] == "websocket":
            await self.app(scope, receive, headed)
        else:
            limit = self._limit(str(scope["path"]))
            await self.app(scope, counted(receive, limit), headed)


MEND = "cut the video into parts, or start the server with a larger --max-upload-mb"


def _sentence(status: int, text: str) -> tuple[int, bytes, bytes]:
    return status, json.dumps({"error": text}).encode(), b"application/json"


def _asking(status: int) -> list[tuple[bytes, bytes]]:
    found = {401: (b"www-authenticate", b"Bearer"), 503: (b"retry-after", b"60")}
    return [found[status]] if status in found else []


def _cors(origin: str) -> list[tuple[bytes, bytes]]:
    """What lets a browser hand an answer to a page of another site."""
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-headers", b"authorization, content-type, x-api-key"),
        (b"access-control-allow-methods", b"GET, POST, DELETE"),
        (b"vary", b"origin"),
    ]


def _key(scope: Scope) -> str | None:
    """The key that came with a request, in one of the two headers, or as a web socket's protocol.

    A browser can set no header of a web socket but that one.
    """
    given = header(scope, b"x-api-key")
    if given is not None:
        return given
    kind, _, rest = (header(scope, b"authorization") or "").partition(" ")
    if kind.lower() == "bearer":
        return rest.strip()
    offered = (header(scope, b"sec-websocket-protocol") or "").split(",")
    keys = [one.strip().removeprefix("key.") for one in offered if one.strip().startswith("key.")]
    return keys[0] if keys and scope["type"] == "websocket" else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
