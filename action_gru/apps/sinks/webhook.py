"""Posts each message to an address, signed, until the server has it."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from action_gru.apps.sinks.message import Message
from action_gru.apps.sinks.secrets import expanded, secret_of, tls_context
from action_gru.apps.sinks.worker import RefusedError, SinkDownError
from action_gru.config.sinks import WebhookSinkSection
from action_gru.video.live_reader import redacted

Headers = Mapping[str, str]
SECRET = "ACTION_GRU_WEBHOOK_SECRET"
REDIRECTS, MOST_REDIRECTS = (301, 302, 303, 307, 308), 3
# The server has looked at this very message and will not take it later, either.
REFUSALS = (400, 413, 415, 422)
LONGEST_RETRY_AFTER_S = 300.0
_KEY = re.compile(r"\{(\w+)\}")


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows nothing by itself: the library would turn a post into a get."""

    def redirect_request(self, *args: Any) -> None:
        return None


class WebhookSink:
    """See docs/events.md for the headers."""

    def __init__(self, settings: WebhookSinkSection) -> None:
        self._settings, self._name = settings, redacted(settings.url)
        self._url = expanded(settings.url, "url")
        headers = {key: expanded(text, f"headers.{key}") for key, text in settings.headers.items()}
        self._headers = {
            "Content-Type": "application/json",
            "User-Agent": "action-gru",
            **headers,
        }
        self._secret = secret_of(settings.secret_file, SECRET)
        https = urllib.request.HTTPSHandler(context=tls_context(settings.ca_file))
        self._opener = urllib.request.build_opener(_StayHere, https)

    def deliver(self, item: Message, is_old: bool) -> None:
        body = json.dumps(_filled(self._settings.body, item) or item).encode()
        headers = self._headers | {"X-Action-Gru-Event": f"{item['id']}-{item['state']}"}
        if self._secret is not None:
            headers |= signature(body, self._secret, int(time.time()))
        url = self._url
        for _ in range(1 + MOST_REDIRECTS):
            status, answered = self._post(url, body, headers)
            if status not in REDIRECTS:
                break
            url = self._followed(url, answered.get("location") or "")
        self._judge(status, answered)

    def look_after(self) -> None:
        """Nothing: each message has a connection of its own."""

    def close(self) -> None:
        """Nothing is open."""

    def _post(self, url: str, body: bytes, headers: dict[str, str]) -> tuple[int, Headers]:
        request = urllib.request.Request(url, body, headers, method="POST")
        try:
            with self._opener.open(request, timeout=self._settings.timeout_s) as answer:
                return answer.status, _lower(answer.headers)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code, _lower(error.headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            # Without its cause, which may quote an address with a token in it.
            raise SinkDownError(f"{self._name} cannot be reached ({reason})") from None

    def _followed(self, url: str, location: str) -> str:
        """Where the server sends us; another host, or plain http after https, gets nothing."""
        there = urljoin(url, location)
        was, now = urlsplit(url), urlsplit(there)
        if _host(was) != _host(now) or (was.scheme, now.scheme) == ("https", "http"):
            raise SinkDownError(
                f"{self._name} sends to another place, {now.scheme}://{now.netloc}; if that is "
                "right, name it in url"
            )
        return there

    def _judge(self, status: int, headers: Headers) -> None:
        if 200 <= status < 300:
            return
        if status in REFUSALS:
            raise RefusedError(f"{self._name} answers {status}")
        after = headers.get("retry-after") or ""
        pause_s = min(float(after), LONGEST_RETRY_AFTER_S) if after.isdecimal() else None
        raise SinkDownError(f"{self._name} answers {status}", pause_s)


def _lower(headers: Any) -> Headers:
    return {name.lower(): text for name, text in headers.items()}


def signature(body: bytes, secret: str, at: int) -> dict[str, str]:
    """The headers that prove who sent a body and when; at: seconds since 1970."""
    signed = f"{at}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return {"X-Action-Gru-Timestamp": str(at), "X-Action-Gru-Signature": f"sha256={digest}"}


def _host(parts: SplitResult) -> tuple[str | None, int | None]:
    """The host, and its port where it is not the scheme's own."""
    usual = {"http": 80, "https": 443}
    return parts.hostname, None if parts.port == usual.get(parts.scheme) else parts.port


def _filled(body: dict[str, str], message: Message) -> dict[str, str]:
    """A body of the user's own with the message's values in its texts."""

    def value(found: re.Match[str]) -> str:
        return str(message[found[1]]) if found[1] in message else found[0]

    return {key: _KEY.sub(value, text) for key, text in body.items()}
