"""Parts of the Ray engine: joining a cluster, portions of clips, and the worker on a node."""

from __future__ import annotations

import math
import os
import platform
import signal
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from action_gru.core.errors import ActionGruError, ClusterError, MissingExtraError
from action_gru.core.machine import use_one_arena
from action_gru.dataset import Clip
from action_gru.features.extractor import Extractor, usable_cores
from action_gru.features.report import ExtractionReport

CONNECT_S = 10.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STORE_BYTES = 100_000_000  # nothing large passes through Ray
# A batch of the backbone ends with a portion: ten seconds waste one part in some dozens, and a
# lost worker costs no more than ten seconds of its work.
PORTION_S = 10.0
LEAST_S = 1.0  # also towards the end, when few clips are left
FIRST_CLIPS = 4  # until it is known how long a clip takes
MOST_CLIPS = 256

MakeExtractor = Callable[[dict[str, Any]], Extractor]


@contextmanager
def connected(address: str | None, cores_each: int | None = None) -> Iterator[Any]:
    """Ray, joined to a cluster. One that was joined before is left as it is.

    address: None starts one on this machine. Raises ClusterError where none answers, and where a
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
    own = {"num_cpus": cores, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    try:
        _check_listening(address)
        with _same_signals():
            options: dict[str, Any] = {} if address else own
            ray.init(address or "local", log_to_driver=False, logging_level="ERROR", **options)
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
    """Ray takes over SIGTERM, and dies of it with a trace of its own: restore the handlers."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                if handler is not None:  # one that was not set from Python
                    signal.signal(number, handler)


def _check_listening(address: str | None) -> None:
    """Raise OSError where none listens: Ray itself would wait for minutes."""
    host, colon, port = (address or "").rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), CONNECT_S).close()


@dataclass(frozen=True)
class Portion:
    """Clips that one worker is given at once. again: they were lost with a worker before."""

    clips: tuple[Clip, ...]
    again: bool = False


class Portions:
    """The clips that are left, in portions of about PORTION_S seconds.

    A clip that was lost with its worker is handed out again alone, so that a clip which kills its
    workers takes no other with it; after most_attempts it is given up.
    """

    def __init__(self, clips: Iterable[Clip], most_attempts: int) -> None:
        self.most_attempts = most_attempts
        self.lost: Counter[str] = Counter()
        self._waiting = deque(clips)
        self._returned: deque[Portion] = deque()
        self._clip_s = 0.0

    def __len__(self) -> int:
        """How many clips wait."""
        return len(self._waiting) + sum(len(portion.clips) for portion in self._returned)

    def take(self, workers: int) -> Portion | None:
        """The next portion, small enough that each of so many workers gets two of what is left."""
        if self._waiting:
            fair = math.ceil(len(self._waiting) / (2 * max(1, workers)))
            size = max(min(self._size(PORTION_S), fair), self._size(LEAST_S))
            size = min(size, len(self._waiting))
            return Portion(tuple(self._waiting.popleft() for _ in range(size)))
        return self._returned.popleft() if self._returned else None

    def _size(self, seconds: float) -> int:
        """How many clips take a worker so long."""
        if not self._clip_s:
            return FIRST_CLIPS if seconds == PORTION_S else 1
        return max(1, min(MOST_CLIPS, round(seconds / self._clip_s)))

    def learn(self, clips: int, seconds: float) -> None:
        """So many clips took a worker so long: half of what is expected of the next ones."""
        latest = max(1e-4, seconds / max(1, clips))
        self._clip_s = (self._clip_s + latest) / 2 if self._clip_s else latest

    def give_back(self, portion: Portion) -> None:
        """Clips that were handed out and not begun."""
        self._returned.append(portion)

    def lose(self, portion: Portion) -> list[Clip]:
        """The worker was lost over these clips; those that are given up."""
        self.lost.update(clip.name for clip in portion.clips)
        given_up = [c for c in portion.clips if self.lost[c.name] >= self.most_attempts]
        self._returned += [Portion((c,), again=True) for c in portion.clips if c not in given_up]
        return given_up


class Worker:
    """Holds one extractor. folder: where the run was started, so that a relative path to weights
    means the same here.

    Errors of ours come back as ClusterError with the node's name: one kind, which can travel.
    """

    def __init__(self, tree: dict[str, Any], folder: str, make: MakeExtractor) -> None:
        self._tree, self._folder, self._make = tree, folder, make

    def start(self) -> str:
        """Load the backbone; the node's name."""
        use_one_arena()
        if os.path.isdir(self._folder):  # noqa: PTH112
            os.chdir(self._folder)
        with self._errors_named():
            self._extractor = self._make(self._tree)
        return platform.node()

    def extract(self, clips: Sequence[Clip]) -> tuple[ExtractionReport, float]:
        """Bring the clips into the cache; what came of it, and how many seconds it took."""
        begun = time.perf_counter()
        self._extractor.cache.damaged.clear()  # each is reported once
        with self._errors_named():
            return self._extractor.extract(clips), time.perf_counter() - begun

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except ActionGruError as error:
            where = f"a worker on {platform.node()}, in {os.getcwd()}"  # noqa: PTH109
            raise ClusterError(f"{error} ({where})") from error
