"""Extraction on a real Ray cluster of two nodes on this machine."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.videos import clip_of, write_square

from action_gru.config import Config, build_config
from action_gru.core.errors import ClusterError
from action_gru.core.progress import Reporter
from action_gru.features import Extractor, FeatureCache, extract_on_cluster
from action_gru.features.source import build_backbone, build_extractor, make_extractor

pytestmark = pytest.mark.slow
CLIPS = 500


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head without cores, where this program stands, and two nodes of one core each.

    Each test has its own: Ray counts a killed node as alive for some seconds, and workers that are
    started there in that time are lost too.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    import ray
    from ray.cluster_utils import Cluster

    store = {"object_store_memory": 100_000_000}
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **store})
    made.workers = [made.add_node(num_cpus=1, **store) for _ in range(2)]
    ray.init(made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()


def config_of(root: Path, cache: str = "cache") -> Config:
    return build_config(
        {
            "sampling": {"fps": 10.0},
            "features": {
                "weights": "builtin",
                "image_size": 32,
                "views": ["rgb"],
                "cache_dir": str(root / cache),
                "workers": 1,
            },
        }
    )


def clips_in(root: Path, count: int) -> list[Any]:
    """Short clips of different content; written once in a dozen lengths and then made unlike."""
    bases = [write_square(root / f"base{index}.mp4", 3 + index, seed=index) for index in range(10)]
    clips = []
    for index in range(count):
        path = root / f"{index:03d}.mp4"
        shutil.copy(bases[index % len(bases)], path)
        with path.open("ab") as file:  # a box that players skip: other bytes, the same pictures
            file.write((12).to_bytes(4, "big") + b"free" + index.to_bytes(4, "big"))
        clips.append(clip_of(path))
    return clips


def entries(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("??/*.safetensors")}


class Watcher(Reporter):
    """Calls back once, when so many clips are done."""

    def __init__(self, after: int, act: Any) -> None:
        super().__init__()
        self.after, self.act, self.notes = after, act, []

    def bar(self, title: str, total: int) -> Any:
        from contextlib import contextmanager

        @contextmanager
        def bar() -> Iterator[Any]:
            done = 0

            def advance(steps: float = 1, note: str = "") -> None:
                nonlocal done
                self.notes.append(note)
                if done < self.after <= done + steps:
                    threading.Thread(target=self.act).start()
                done += int(steps)

            yield advance

        return bar()


def test_a_node_that_dies_half_way_costs_only_its_clips_in_flight(cluster, tmp_path):
    clips = clips_in(tmp_path, CLIPS)
    local = config_of(tmp_path, "local")
    work = build_extractor(local, build_backbone(local), FeatureCache(local.features.cache_dir))
    expected = work.extract(clips)
    watcher = Watcher(
        CLIPS // 2, lambda: cluster.remove_node(cluster.workers[0], allow_graceful=False)
    )
    found = extract_on_cluster(make_extractor, config_of(tmp_path).to_tree(), clips, watcher)
    assert found.extraction.clips == CLIPS
    assert found.extraction.quarantined == {}
    assert found.extraction.keys == expected.keys
    assert entries(tmp_path / "cache") == entries(tmp_path / "local")
    assert len(entries(tmp_path / "cache")) == CLIPS
    assert FeatureCache(tmp_path / "cache").verify() == []
    assert (found.workers, found.lost_workers) == (2, 1)
    assert found.again > 0
    assert 0 <= found.redone <= found.again < CLIPS // 2
    assert any("2 workers" in note for note in watcher.notes)
    assert "1 workers" in watcher.notes[-1]
    again = extract_on_cluster(make_extractor, config_of(tmp_path).to_tree(), clips, Reporter())
    assert (again.extraction.cached, again.extraction.frames) == (CLIPS, 0)


def test_a_clip_that_kills_its_workers_is_given_up_and_takes_no_other_with_it(cluster, tmp_path):
    clips = clips_in(tmp_path, 30)

    def make(tree: dict[str, Any]) -> Extractor:
        config = build_config(tree)
        cache = FeatureCache(config.features.cache_dir)
        made = build_extractor(config, build_backbone(config), cache)
        plan = made.plan

        def deadly(clip: Any) -> Any:
            if clip.name == "007.mp4":
                os._exit(1)
            return plan(clip)

        made.plan = deadly
        return made

    found = extract_on_cluster(
        make, config_of(tmp_path).to_tree(), clips, Reporter(), most_attempts=2
    )
    assert list(found.extraction.quarantined) == ["007.mp4"]
    assert "2 workers were lost over it" in found.extraction.quarantined["007.mp4"]
    assert found.lost_workers == 2
    assert len(entries(tmp_path / "cache")) == 29


def test_what_a_worker_cannot_do_ends_the_run_in_words(cluster, tmp_path):
    clips = clips_in(tmp_path, 10)
    config = config_of(tmp_path, "file")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ClusterError, match=r"cannot be written .*set features.cache_dir.* worker"):
        extract_on_cluster(make_extractor, config.to_tree(), clips, Reporter())
    tree = config_of(tmp_path).to_tree()
    tree["features"]["weights"] = "absent/weights.pt"
    with pytest.raises(ClusterError, match=r"absent/weights\.pt.*\(a worker on "):
        extract_on_cluster(make_extractor, build_config(tree).to_tree(), clips, Reporter())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_in_words(tmp_path, number):
    clips = clips_in(tmp_path, 300)
    rows = "".join(f"{clip.name},{index % 2}\n" for index, clip in enumerate(clips))
    (tmp_path / "m.csv").write_text(f"path,label\n{rows}")
    tree = config_of(tmp_path).to_tree() | {"data": {"manifest": str(tmp_path / "m.csv")}}
    (tmp_path / "c.yaml").write_text(json.dumps(tree))
    command = [sys.executable, "-m", "action_gru", "extract", str(tmp_path / "c.yaml")]
    process = subprocess.Popen([*command, "--engine", "ray"], stderr=subprocess.PIPE, text=True)
    until_s = time.monotonic() + 120
    while not entries(tmp_path / "cache") and time.monotonic() < until_s:
        time.sleep(0.05)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert "summary: 300 clips: " in said
    assert "error: interrupted; what was finished is kept; run the same command again:\n" in said
    assert (
        said.rstrip()
        .splitlines()[-1]
        .endswith(f"-m action_gru extract {tmp_path / 'c.yaml'} --engine ray")
    )
