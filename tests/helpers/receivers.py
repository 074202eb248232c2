"""Receivers of events on loopback: a real MQTT broker, and a web server that misbehaves."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from action_gru.core.progress import Reporter


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Told(Reporter):
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(mute=True)
        self.lines: list[str] = []

    def info(self, text: str, /, **fields: Any) -> None:
        self.lines.append(text)

    def warn(self, text: str, /, **fields: Any) -> None:
        self.lines.append(f"warning: {text}")

    def saying(self, part: str) -> list[str]:
        return [line for line in self.lines if part in line]


class Broker:
    """mosquitto on a port of its own; it can be killed and started again on the same port.

    config: further lines, as of users or certificates.
    """

    def __init__(self, folder: Path, config: str = "allow_anonymous true") -> None:
        if shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None:
            pytest.skip("mosquitto is not installed (apt install mosquitto)")
        self.port = free_port()
        self.file = folder / "mosquitto.conf"
        # Started by root it would change to a user who cannot read this folder.
        text = f"user root\nlistener {self.port} 127.0.0.1\n{config}\n"
        self.file.write_text(text)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Broker:
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        self.process = subprocess.Popen(
            [program, "-c", self.file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end_s = time.monotonic() + 20
        while time.monotonic() < end_s:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            time.sleep(0.02)
        raise AssertionError("mosquitto did not start")

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def __enter__(self) -> Broker:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.kill()


class Listener:
    """Subscribes to everything: (topic, text, retained) in the order of arrival."""

    def __init__(self, port: int, configure: Callable[[Any], object] = lambda client: None) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.got: list[tuple[str, str, bool]] = []
        self.ready = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2)
        configure(self.client)
        self.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = lambda client, data, one: self.got.append(
            (one.topic, one.payload.decode(), one.retain)
        )
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.ready.wait(20)

    def events(self, root: str) -> list[dict[str, Any]]:
        return [json.loads(text) for topic, text, _ in list(self.got) if topic == f"{root}/event"]

    def last(self, topic: str) -> str | None:
        return next((text for name, text, _ in reversed(list(self.got)) if name == topic), None)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Hook:
    """A web server that takes posts: (path, headers, body). `answers` are given one by one, then
    200: a status, "hang", "close" (the connection), or (status, headers).
    """

    def __init__(self, port: int = 0) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[Any] = []
        self.asked = 0
        self._over = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.asked += 1
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = hook.answers.pop(0) if hook.answers else 200
                if answer == "hang":
                    hook._over.wait(30)
                elif answer != "close":
                    status, headers = answer if isinstance(answer, tuple) else (answer, {})
                    if status < 300:
                        hook.got.append((self.path, dict(self.headers), body))
                    self.send_response(status)
                    for name, text in headers.items():
                        self.send_header(name, text)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                self.close_connection = True

            def do_GET(self) -> None:
                hook.asked += 100  # nobody may ask for anything

            def log_message(self, *words: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, _, body in list(self.got)]

    def close(self) -> None:
        self._over.set()
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self) -> Hook:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
