"""Clips through the workers of a Ray cluster. With ray_worker the only place that sees Ray."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from action_gru.core.errors import ClusterError
from action_gru.core.progress import Reporter
from action_gru.dataset import Clip
from action_gru.features.ray_worker import (
    MakeExtractor,
    Portion,
    Portions,
    Worker,
    connected,
)
from action_gru.features.report import ExtractionReport, report_on_error
from action_gru.features.storage import Folder, open_storage

AHEAD = 2  # portions with a worker at once: it never waits for the next one
MOST_ATTEMPTS = 3
CORES_EACH = 4
COUNT_S = 2.0  # how often the nodes are counted
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


def extract_on_cluster(
    make: MakeExtractor,
    tree: dict[str, Any],
    clips: Sequence[Clip],
    reporter: Reporter,
    address: str | None = None,
    *,
    cores_each: int | None = None,
    most_workers: int | None = None,
    most_attempts: int = MOST_ATTEMPTS,
) -> ClusterReport:
    """Bring every clip's features into the cache that a config's plain tree names.

    make: what each worker calls with the tree. address: of a running cluster, or `auto`; None
    starts one on this machine, for this run. cores_each: processor cores of a worker where there is
    no GPU; by default four, or the whole of a smaller node. A clip over which most_attempts workers
    were lost is quarantined. Raises ClusterError when there is no cluster, no worker comes up, or a
    worker cannot do its work, and CacheError when the cache is none; how far it came is reported
    first.
    """
    cache_dir = tree["features"]["cache_dir"]
    storage = open_storage(cache_dir)
    storage.check_there()
    if isinstance(storage, Folder):  # a worker may run in another folder
        cache_dir = str(storage.root.absolute())
    elif storage.scheme == "memory":
        raise ClusterError(
            f"features.cache_dir: {cache_dir} is the memory of one process, and workers are "
            "others; take a folder that all of them see, or s3://"
        )
    tree = tree | {"features": tree["features"] | {"cache_dir": cache_dir}}
    with connected(address, cores_each) as ray:
        run = _Run(ray, tree, Portions(clips, most_attempts), make, cores_each, most_workers)
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
        self._counted_s = self._begun_s = 0.0
        self._alive_s = time.monotonic()
        self._wanted = 0
        self._options: dict[str, Any] = {}
        self._done = self._failed_starts = 0

    def go(self) -> None:
        while len(self.portions) or any(member.given for member in self._crew):
            self._hire()
            self._hand_out()
            answers = [answer for member in self._crew for answer, _ in member.given]
            answers += [m.starting for m in self._crew if m.starting is not None]
            if answers:
                self.ray.wait(answers, num_returns=1, timeout=1.0)
            else:
                time.sleep(0.1)
            for member in list(self._crew):
                self._collect(member)
        if self._begun_s:
            self.report.seconds = time.monotonic() - self._begun_s

    def dismiss(self) -> None:
        for member in self._crew:
            self.ray.kill(member.actor)
        self._crew = []

    def _ready(self) -> list[Member]:
        return [member for member in self._crew if member.starting is None]

    def _hire(self) -> None:
        """As many workers as the living nodes have room for."""
        now = time.monotonic()
        if now - self._counted_s > COUNT_S:
            self._counted_s = now
            nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
            self._wanted, self._options = self._room(nodes)
        if self._ready():
            self._alive_s = now
        if now - self._alive_s > PATIENCE_S:
            raise ClusterError(
                f"no worker came up in {PATIENCE_S:.0f} s: the cluster has room for "
                f"{self._wanted} of {self._options}; look at 'ray status', or lower "
                "--cores-per-worker"
            )
        busy = sum(bool(member.given) for member in self._crew)
        while len(self._crew) < min(self._wanted, busy + len(self.portions)):
            kind = self.ray.remote(Worker).options(max_restarts=0, **self._options)
            actor = kind.remote(self.tree, str(Path.cwd()), self.make)
            self._crew.append(Member(actor, actor.start.remote()))

    def _room(self, nodes: Sequence[dict[str, float]]) -> tuple[int, dict[str, Any]]:
        """How many workers the nodes hold, and the resources of each."""
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
        ready = self._ready()
        for depth in range(AHEAD):
            for member in ready:
                if len(member.given) > depth:
                    continue
                portion = self.portions.take(len(ready))
                if portion is None:
                    return
                self.report.again += portion.again
                member.given.append((member.actor.extract.remote(list(portion.clips)), portion))

    def _collect(self, member: Member) -> None:
        """Take what a worker has answered, in order; or note that it is lost."""
        from ray.exceptions import (
            ActorUnavailableError,
            GetTimeoutError,
            RayActorError,
            RayTaskError,
        )

        try:
            if member.starting is not None:
                member.node = self.ray.get(member.starting, timeout=0)
                member.starting, self._failed_starts = None, 0
                self._begun_s = self._begun_s or time.monotonic()
                self.report.workers += 1
            while member.given:
                answer, portion = member.given[0]
                came, seconds = self.ray.get(answer, timeout=0)
                self._keep(came, seconds, portion)
                member.given.popleft()
        except GetTimeoutError:
            return
        except (RayActorError, ActorUnavailableError) as error:
            self._lose(member, error)
        except RayTaskError as error:  # what the worker raised
            raise (error.cause if isinstance(error.cause, ClusterError) else error) from None

    def _keep(self, came: ExtractionReport, seconds: float, portion: Portion) -> None:
        if portion.again:
            self.report.redone += len(portion.clips) - came.cached
            came.read, came.cached = came.read + came.cached, 0  # by the worker that was lost
        self.report.extraction.add(came)
        self.portions.learn(len(portion.clips), seconds)
        self._count(len(portion.clips))

    def _lose(self, member: Member, error: Exception) -> None:
        self._crew.remove(member)
        self.ray.kill(member.actor)  # one that only cannot be reached must not go on
        self.report.lost_workers += 1
        self._counted_s = 0.0
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
                self._count(1)

    def _count(self, clips: int) -> None:
        self._done += clips
        lasted = max(1e-9, time.monotonic() - self._begun_s)
        hosts = {member.node for member in self._crew if member.node}
        self.report.nodes = max(self.report.nodes, len(hosts))
        self.advance(
            clips,
            note=f"{self._done / lasted:.1f} clips/s, "
            f"{self.report.extraction.frames / lasted:.0f} frames/s, {len(self._ready())} workers",
        )
