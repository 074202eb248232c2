"""The clips of a config through the workers of a Ray cluster.

With connection.py the only place that sees Ray.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from action_gru.config import Config
from action_gru.core.errors import ClusterError
from action_gru.core.progress import Reporter
from action_gru.dataset import Clip
from action_gru.features.object_store import ObjectStore, open_storage
from action_gru.features.ray_connection import connected
from action_gru.features.ray_portions import Portion, Portions, portions_of
from action_gru.features.ray_worker import MakeExtractor, Outcome, Worker, make_extractor
from action_gru.features.report import ExtractionReport, report_on_error
from action_gru.features.storage import Folder

AHEAD = 2  # portions with a worker at once: it never waits for the next one
MOST_ATTEMPTS = 3
CORES_EACH = 4
LOOK_S = 2.0  # how often the nodes are counted
PATIENCE_S = 300.0  # without any worker


@dataclass
class ClusterReport:
    """extraction: as of the local engine. again: clips handed out again after a worker was lost;
    redone: those of them that it had not finished. seconds: since the first worker was ready.
    """

    extraction: ExtractionReport
    workers: int = 0
    nodes: int = 0
    lost_workers: int = 0
    again: int = 0
    redone: int = 0
    seconds: float = 0.0


@dataclass
class Member:
    """A worker, from its request on. starting: the answer of `Worker.start`, until it came."""

    actor: Any
    starting: Any
    node: str = ""
    given: deque[tuple[Any, Portion]] = field(default_factory=deque)

    @property
    def answers(self) -> list[Any]:
        return [self.starting] if self.starting is not None else [ref for ref, _ in self.given]


def extract_on_cluster(
    config: Config,
    clips: Sequence[Clip],
    reporter: Reporter,
    address: str | None = None,
    *,
    cores_each: int | None = None,
    most_workers: int | None = None,
    most_attempts: int = MOST_ATTEMPTS,
    make: MakeExtractor = make_extractor,
) -> ClusterReport:
    """Bring every clip's features into the config's cache.

    address: of a running cluster, or `auto`; None starts one on this machine, for this run.
    cores_each: processor cores of a worker where there is no GPU; by default four, or the whole of
    a smaller node. A clip over which most_attempts workers were lost is quarantined. Raises
    ClusterError when there is no cluster, no worker comes up, or a worker cannot do its work, and
    CacheError when the cache is none; how far it came is told first.
    """
    storage = open_storage(config.features.cache_dir)
    storage.check_there()
    if isinstance(storage, ObjectStore) and storage.scheme == "memory":
        raise ClusterError(
            f"features.cache_dir: {config.features.cache_dir} is the memory of one process, and "
            "workers are others; take a folder that all of them see, or s3://"
        )
    tree = config.to_tree()
    if isinstance(storage, Folder):  # a worker may stand in another folder
        tree["features"]["cache_dir"] = str(storage.root.absolute())
    with connected(address, cores_each) as ray:
        run = _Run(ray, tree, portions_of(clips, most_attempts), make, cores_each, most_workers)
        run.report.extraction.clips = len(clips)
        with report_on_error(run.report.extraction, reporter):
            try:
                with reporter.bar("extract", len(clips)) as run.advance:
                    run.go()
            finally:
                run.dismiss()
    run.report.extraction.sort(clips)
    return run.report


class _Run:
    """One pass over the clips. Workers come and go with the nodes."""

    def __init__(
        self,
        ray: Any,
        tree: dict[str, Any],
        portions: Portions,
        make: MakeExtractor,
        cores_each: int | None,
        most_workers: int | None,
    ) -> None:
        self.ray, self.tree, self.portions, self.make = ray, tree, portions, make
        self.cores_each, self.most_workers = cores_each, most_workers
        self.report = ClusterReport(ExtractionReport())
        self.advance: Any = lambda *_, **__: None
        self._crew: list[Member] = []
        self._looked_s = self._begun_s = 0.0
        self._alive_s = time.monotonic()
        self._wanted = 0
        self._options: dict[str, Any] = {}
        self._done = self._failed_starts = 0

    def go(self) -> None:
        while len(self.portions) or any(member.given for member in self._crew):
            self._hire()
            self._hand_out()
            answers = [answer for member in self._crew for answer in member.answers]
            if not answers:
                time.sleep(0.1)
            else:
                self.ray.wait(answers, num_returns=1, timeout=1.0)
            for member in list(self._crew):
                self._collect(member)
        if self._begun_s:
            self.report.seconds = time.monotonic() - self._begun_s

    def dismiss(self) -> None:
        for member in self._crew:
            self.ray.kill(member.actor)
        self._crew = []

    def _hire(self) -> None:
        """As many workers as the living nodes have room for."""
        now = time.monotonic()
        if now - self._looked_s > LOOK_S:
            self._looked_s = now
            nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
            self._wanted, self._options = self._room(nodes)
        ready = any(member.starting is None for member in self._crew)
        self._alive_s = now if ready else self._alive_s
        if now - self._alive_s > PATIENCE_S:
            raise ClusterError(
                f"no worker came up in {PATIENCE_S:.0f} s: the cluster has room for "
                f"{self._wanted} of {self._options}; look at 'ray status', or lower "
                "--cores-per-worker"
            )
        busy = sum(bool(member.given) for member in self._crew)
        while len(self._crew) < min(self._wanted, busy + len(self.portions)):
            actor = (
                self.ray.remote(Worker)
                .options(max_restarts=0, **self._options)
                .remote(self.tree, str(Path.cwd()), self.make)
            )
            self._crew.append(Member(actor, actor.start.remote()))

    def _room(self, nodes: Sequence[dict[str, float]]) -> tuple[int, dict[str, Any]]:
        """How many workers the nodes hold, and what each of them asks for."""
        cores = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1]
        graphics = sum(int(node.get("GPU", 0)) for node in nodes)
        if graphics and self.tree["features"]["device"] != "cpu":
            each = self.cores_each or max(1, min(16, sum(cores) // graphics))
            count, options = graphics, {"num_cpus": each, "num_gpus": 1}
        else:
            each = self.cores_each or min([CORES_EACH, *cores])
            count, options = sum(core // each for core in cores), {"num_cpus": each}
        return min(count, self.most_workers or count), options

    def _hand_out(self) -> None:
        ready = [member for member in self._crew if member.starting is None]
        for depth in range(AHEAD):
            for member in ready:
                if len(member.given) > depth:
                    continue
                portion = self.portions.take(len(ready))
                if portion is None:
                    return
                self.report.again += portion.again
                answer = member.actor.extract.remote(list(portion.clips))
                member.given.append((answer, portion))

    def _collect(self, member: Member) -> None:
        """Take what a worker has answered, in order; or note that it is lost."""
        from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError

        try:
            if member.starting is not None:
                member.node = self._get(member.starting)
                member.starting, self._failed_starts = None, 0
                self._begun_s = self._begun_s or time.monotonic()
                self.report.workers += 1
            while member.given:
                self._keep(self._get(member.given[0][0]), member.given[0][1])
                member.given.popleft()
        except GetTimeoutError:
            return
        except (RayActorError, ActorUnavailableError) as error:
            self._lose(member, error)

    def _get(self, answer: Any) -> Any:
        from ray.exceptions import RayTaskError

        try:
            return self.ray.get(answer, timeout=0)
        except RayTaskError as error:  # what the worker raised
            raise (error.cause if isinstance(error.cause, ClusterError) else error) from None

    def _keep(self, outcome: Outcome, portion: Portion) -> None:
        came, total = outcome.report, self.report.extraction
        if portion.again:
            self.report.redone += len(portion.clips) - came.cached
            total.read += came.cached  # by the worker that was lost
        else:
            total.cached += came.cached
        total.frames += came.frames
        total.read += came.read
        total.retried += came.retried
        for name in ("quarantined", "keys", "content"):
            getattr(total, name).update(getattr(came, name))
        total.damaged += came.damaged
        total.slow += came.slow
        self.portions.learn(len(portion.clips), outcome.seconds)
        self._tell(len(portion.clips))

    def _lose(self, member: Member, error: Exception) -> None:
        self._crew.remove(member)
        self.ray.kill(member.actor)  # one that only cannot be reached must not go on
        self.report.lost_workers += 1
        self._looked_s = 0.0
        if member.starting is not None:
            self._failed_starts += 1
            if self._failed_starts >= MOST_ATTEMPTS:
                reason = " ".join(str(error).split())[:500]
                raise ClusterError(f"workers die while they start: {reason}") from error
        for place, (_, portion) in enumerate(member.given):
            if place:  # it waited behind the one that was worked on
                self.portions.give_back(portion)
                continue
            for clip in self.portions.lose(portion):
                self.report.extraction.quarantined[clip.name] = (
                    f"{clip.path}: {self.portions.lost[clip.name]} workers were lost over it; "
                    "extract it alone on one machine to see why"
                )
                self._tell(1)

    def _tell(self, clips: int) -> None:
        self._done += clips
        lasted = max(1e-9, time.monotonic() - self._begun_s)
        ready = sum(member.starting is None for member in self._crew)
        hosts = {member.node for member in self._crew if member.node}
        self.report.nodes = max(self.report.nodes, len(hosts))
        self.advance(
            clips,
            note=f"{self._done / lasted:.1f} clips/s, "
            f"{self.report.extraction.frames / lasted:.0f} frames/s, {ready} workers",
        )
