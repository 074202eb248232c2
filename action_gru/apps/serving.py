"""What the servers share: a free port, the disk, how requests are refused. Knows no framework.

Headers and messages are those of ASGI, the interface of Python's web servers.
"""

from __future__ import annotations

import ipaddress
import re
import shutil
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from pathlib import Path
from typing import Any

from action_gru.core.errors import ActionGruError, ConfigError, is_full

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]

READING = ("GET", "HEAD", "OPTIONS")  # methods that change nothing
ADDRESSES_KEPT = 1000
STUDIO_PORT = 7861
SPARE_BYTES = 100_000_000  # what must stay free for features and the system
FULL_MEND = "the disk is full: free space, then try again"
_HOST = re.compile(r"(?P<name>[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")


class MissingThingError(ActionGruError):
    """What a request names is not there, or not any more."""

    status = 404


class NoSpaceError(ActionGruError):
    """The disk is full."""

    status = 507


def status_of(error: ActionGruError) -> int:
    """The HTTP status of an error of ours: its own, that of a full disk, or 400."""
    return int(getattr(error, "status", 507 if is_full(error) else 400))


def check_space(folder: Path, wanted: int) -> None:
    """Raise NoSpaceError where a folder's disk has no room for so many bytes, and some to spare."""
    free = shutil.disk_usage(folder).free
    if free < wanted + SPARE_BYTES:
        raise NoSpaceError(
            f"{FULL_MEND}: {free // 1_000_000} MB are left, and {wanted // 1_000_000} MB would come"
        )


def is_here(host: str, names: Collection[str]) -> bool:
    """Whether a Host header names this machine: by an address, or by a name of its own.

    Another site can point a name of its own at this machine, but it cannot have an address.
    """
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = found["name"].lower()
    if name in names:
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


class Rates:
    """How often an address may do a thing: per_s on average, and a burst after a rest.

    A token bucket for each address; the least recently seen is dropped first.
    """

    def __init__(
        self, per_s: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_s, self.burst, self.clock = per_s, burst, clock
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, since when

    def allow(self, address: str) -> bool:
        """Count one try; False where it is too soon."""
        now_s = self.clock()
        tokens, since_s = self._held.pop(address, (self.burst, now_s))
        tokens = min(self.burst, tokens + (now_s - since_s) * self.per_s)
        self._held[address] = (tokens - 1 if tokens >= 1 else tokens, now_s)
        while len(self._held) > ADDRESSES_KEPT:
            self._held.popitem(last=False)
        return tokens >= 1


class TooLargeError(Exception):
    """A request went on past its limit."""


def counted(receive: Receive, limit: int) -> Receive:
    """The same messages; raises TooLargeError once their bodies hold more than limit bytes."""
    taken = 0

    async def count() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise TooLargeError
        return message

    return count


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of a name in small letters."""
    values = (value for one, value in scope.get("headers", ()) if one == name)
    found = next(values, None)
    return None if found is None else found.decode("latin-1")


def declared_bytes(scope: Scope) -> int:
    """How large a request says that its body is; 0 where it says nothing."""
    length = header(scope, b"content-length") or ""
    return int(length) if length.isascii() and length.isdigit() else 0


def address_of(scope: Scope) -> str:
    """Who asks; behind a proxy all are the proxy."""
    return str((scope.get("client") or ("", 0))[0])


async def answer(send: Send, status: int, body: bytes, kind: bytes, headers: Headers) -> None:
    """A whole answer. kind: its content type."""
    own = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": own})
    await send({"type": "http.response.body", "body": body})


def free_port(host: str, port: int) -> int:
    """The port if it is free, any free one for 0. Raises ConfigError."""
    if not host:  # as of an unset variable; the system would take it for every address
        raise ConfigError(
            "--host is empty; leave it out for this machine alone, or give 0.0.0.0 for everybody"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"{host}, port {port}: cannot be listened on ({error}); choose others with --host "
            "and --port, 0 for any free port"
        ) from error


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    return host == "localhost" or host.startswith("127.") or host == "::1"


def usual_port(host: str) -> int:
    """The port of the studio, or any free one where that is taken."""
    try:
        return free_port(host, STUDIO_PORT)
    except ConfigError:
        return 0


def shown_address(host: str, port: int) -> str:
    """Where a browser on this machine finds what listens there."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}/"
