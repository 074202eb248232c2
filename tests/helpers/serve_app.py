"""A server on the stored run, asked over HTTP: its app in this process, or the command in one."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from starlette.testclient import TestClient

from action_gru.apps.serve.guard import Rules
from action_gru.apps.serve.models import Models, load_models
from action_gru.apps.serve.server import make_app
from action_gru.apps.serve.service import Limits, Service

HERE = "http://127.0.0.1:8000"
GOLDEN = Path(__file__).parents[1] / "golden"
CLIP = GOLDEN / "clips" / "long.mp4"


@cache
def golden_models() -> Models:
    return load_models([GOLDEN / "run"], [])


@contextmanager
def open_app(
    rules: Rules | None = None, limits: Limits | None = None, models: Models | None = None
) -> Iterator[tuple[TestClient, Service]]:
    """The client and the service while it runs."""
    with Service(models or golden_models(), limits or Limits()) as service:
        app = make_app(service, rules or Rules())
        with TestClient(app, base_url=HERE, raise_server_exceptions=False) as client:
            yield client, service


class Running:
    """The command in a process of its own, whose temporary files lie in a folder of ours."""

    def __init__(self, temporary: Path, *more: str) -> None:
        command = [sys.executable, "-m", "action_gru", "serve", "-m", str(GOLDEN / "run")]
        self.process = subprocess.Popen(
            [*command, "--port", "0", *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "TMPDIR": str(temporary)},
        )  # fmt: skip
        assert self.process.stdout is not None
        where = urlsplit(self.process.stdout.readline().strip())
        self.host, self.port = where.hostname, where.port

    def ask(self, body: bytes, headers: dict[str, str], path: str = "/classify"):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=240)
        with closing(connection):
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def upload(self, data: bytes, name: str = "a.mp4", field: str = "file", times: int = 1):
        part = (
            f'--x\r\ncontent-disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
        ).encode() + data
        body = b"\r\n".join([part] * times) + b"\r\n--x--\r\n"
        return self.ask(body, {"content-type": "multipart/form-data; boundary=x"})

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        with closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        said = self.process.communicate(timeout=120)[1]
        return self.process.returncode, said

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
