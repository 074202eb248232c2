"""The app of a server, and how it is run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from action_gru.apps.listening import Server, answer_errors
from action_gru.apps.serve import about, clips, streams, timelines
from action_gru.apps.serve.guard import Guard, Rules
from action_gru.apps.serve.models import load_models
from action_gru.apps.serve.service import Limits, Service
from action_gru.apps.serving import free_port, shown_address

ABOUT = 'Names actions in videos. Every error is {"error": a sentence that says how to mend it}.'
END_S = 2  # of connections, once nothing is being answered any more
SOCKET_BYTES = 8_000_000  # of a message: a frame


def make_app(service: Service, rules: Rules) -> FastAPI:
    """The app of a service that has been entered."""
    # No page of FastAPI's own: they load scripts from other servers.
    app = FastAPI(
        title="action-gru", summary=ABOUT, version=version("action_gru"), docs_url=None,
        redoc_url=None,
    )  # fmt: skip
    app.add_middleware(
        Guard, rules=rules, is_closing=lambda: service.is_closing, heard=service.metrics.hear
    )
    for part in (clips, timelines, streams, about):
        app.include_router(part.routes(service))
    app.mount("/page", StaticFiles(directory=about.PAGE), name="page")
    _name_keys(app)
    answer_errors(app, "GET /openapi.json tells every route", "look at the server's terminal")
    return app


def _name_keys(app: FastAPI) -> None:
    """Tell in the schema how a key is sent; FastAPI would also check it, which the guard does."""
    schema = app.openapi()
    schema["components"]["securitySchemes"] = {
        "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "Bearer": {"type": "http", "scheme": "bearer"},
    }
    schema["security"] = [{}, {"ApiKey": []}, {"Bearer": []}]  # {}: where none is asked for


def serve(
    runs: Sequence[Path],
    overrides: Sequence[str],
    port: int,
    rules: Rules,
    limits: Limits,
    ready: Callable[[str], None],
) -> None:
    """Serve some models until ctrl-C or SIGTERM; `ready` is called with the address.

    Raises CheckpointError, BackboneError, and ConfigError for a port that is taken.
    """
    port = free_port(rules.host, port)
    models = load_models(runs, overrides)
    address = shown_address(rules.host, port)
    with Service(models, limits) as service:
        Server(
            make_app(service, rules),
            rules.host,
            port,
            lambda: ready(address),
            service.drain,
            ws_max_size=SOCKET_BYTES,
            timeout_graceful_shutdown=END_S,
        ).serve_until_stopped()
    if not service.is_idle:  # a thread that is in torch while Python ends would abort it
        sys.stdout.flush()
        os._exit(0)
