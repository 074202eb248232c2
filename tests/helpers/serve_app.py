"""A server's app in this process, on the stored run, asked over HTTP."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

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
