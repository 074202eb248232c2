"""Joining a Ray cluster, or starting one on this machine. Knows nothing of the work."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from action_gru.core.errors import ClusterError, MissingExtraError
from action_gru.features.threads import usable_cores

KNOCK_S = 10.0
STORE_BYTES = 100_000_000  # nothing large passes through Ray


@contextmanager
def connected(address: str | None, cores_each: int | None = None) -> Iterator[Any]:
    """Ray, joined to a cluster. One that was joined before is left as it is.

    address: None starts one on this machine. Raises ClusterError where nobody is, and where a
    machine of our own has no room for a worker of cores_each: no other node will come.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "ray", "--engine ray") from error
    if ray.is_initialized():
        yield ray
        return
    cores = usable_cores()
    if address is None and (cores_each or 1) > cores:
        raise ClusterError(
            f"--cores-per-worker {cores_each}: this machine has {cores} for workers, and no other "
            f"joins it; give {cores} or fewer, or the --address of a cluster of larger nodes"
        )
    own: dict[str, Any] = {
        "num_cpus": cores,
        "include_dashboard": False,
        "object_store_memory": STORE_BYTES,
    }
    try:
        _knock(address)
        with _same_signals():
            ray.init(
                address or "local",
                log_to_driver=False,
                logging_level="ERROR",
                **({} if address else own),
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise ClusterError(
            f"no Ray cluster at {address or 'this machine'} ({' '.join(str(error).split())}); "
            "start one with 'ray start --head', or leave --address out"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def _same_signals() -> Iterator[None]:
    """Ray takes over SIGTERM, and dies of it with a trace of its own: set back what was there."""
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.getsignal(getattr(signal, name)) for name in names}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for name, handler in before.items():
                if handler is not None:  # one that was not set from Python
                    signal.signal(getattr(signal, name), handler)


def _knock(address: str | None) -> None:
    """Raise OSError where nobody listens: Ray itself would wait for minutes."""
    host, colon, port = (address or "").rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), KNOCK_S).close()
