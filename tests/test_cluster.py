"""What a cluster run hands out, and what it makes of lost workers; Ray is in the slow lane."""

import signal
import sys
import types
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import pytest
from helpers.videos import clip_of

from action_gru.config import build_config
from action_gru.core.errors import ClusterError
from action_gru.core.progress import Reporter
from action_gru.features import extract_on_cluster, ray_engine
from action_gru.features.ray_worker import MOST_CLIPS, Portion, Portions, connected
from action_gru.features.source import make_extractor

CLIPS = [clip_of(Path(f"{number}.mp4")) for number in range(40)]


def names(portion: Portion | None) -> list[str]:
    return [clip.name for clip in portion.clips] if portion else []


def test_every_clip_is_handed_out_once_in_order():
    portions = Portions(CLIPS, 3)
    seen = []
    while portion := portions.take(workers=2):
        seen += names(portion)
    assert seen == [clip.name for clip in CLIPS]
    assert len(portions) == 0


def test_a_portion_grows_to_ten_seconds_of_work_and_shrinks_towards_the_end():
    portions = Portions(CLIPS, 3)
    assert len(names(portions.take(1))) == 4  # nothing is known yet
    portions.learn(clips=4, seconds=8.0)
    assert len(names(portions.take(1))) == 5
    portions.learn(clips=100, seconds=0.02)
    assert len(names(portions.take(1))) == 10  # one second a clip is still expected
    portions.learn(clips=100, seconds=0.02)
    portions.learn(clips=100, seconds=0.02)
    assert len(names(portions.take(4))) == 4  # 21 left for four workers: a second of work each
    assert MOST_CLIPS == 256


def test_lost_clips_come_back_alone_and_are_given_up_after_the_last_attempt():
    portions = Portions(CLIPS[:6], 2)
    first = portions.take(1)
    assert names(first) == ["0.mp4", "1.mp4", "2.mp4"]
    assert portions.lose(first) == []
    assert len(portions) == 6
    assert names(portions.take(1)) == ["3.mp4", "4.mp4"]
    assert names(portions.take(1)) == ["5.mp4"]
    again = portions.take(1)
    assert (names(again), again.again) == (["0.mp4"], True)
    assert portions.lose(again) == [CLIPS[0]]
    assert [names(portions.take(1)) for _ in range(3)] == [["1.mp4"], ["2.mp4"], []]
    assert portions.lost == Counter({"0.mp4": 2, "1.mp4": 1, "2.mp4": 1})


def test_a_portion_that_was_not_begun_is_not_blamed():
    portions = Portions(CLIPS[:6], 1)
    first = portions.take(1)
    portions.give_back(first)
    assert not portions.lost
    rest = [portions.take(1) for _ in range(3)]
    assert names(rest[-1]) == ["0.mp4", "1.mp4", "2.mp4"]
    assert not rest[-1].again


def test_an_address_where_nobody_is_is_named():
    pytest.importorskip("ray")
    with pytest.raises(ClusterError, match=r"no Ray cluster at 127\.0\.0\.1:1 .*ray start --head"):
        extract_on_cluster(
            make_extractor, build_config({}).to_tree(), [], Reporter(), "127.0.0.1:1"
        )


@pytest.mark.parametrize("where", ["memory://a", "MEMORY://a"])
def test_a_cache_in_the_memory_of_one_process_is_refused(where):
    config = build_config({"features": {"cache_dir": where}})
    with pytest.raises(ClusterError, match=r"memory of one process.*a folder that all of them see"):
        extract_on_cluster(make_extractor, config.to_tree(), [], Reporter())


@pytest.mark.parametrize(
    ("nodes", "device", "expected"),
    [
        ([{"CPU": 2.0}], "auto", (1, {"num_cpus": 2})),
        ([{"CPU": 16.0}, {"CPU": 9.0}], "auto", (6, {"num_cpus": 4})),
        ([{"CPU": 32.0, "GPU": 4.0}], "auto", (4, {"num_cpus": 8, "num_gpus": 1})),
        ([{"CPU": 32.0, "GPU": 4.0}], "cpu", (8, {"num_cpus": 4})),
        ([{}], "auto", (0, {"num_cpus": 4})),
    ],
)
def test_one_worker_a_gpu_or_a_few_cores(nodes, device, expected):
    from action_gru.features.ray_engine import _Run

    run = _Run(None, {"features": {"device": device}}, Portions([], 1), None, None, None)
    assert run._room(nodes) == expected


@pytest.fixture
def pretended_ray(monkeypatch):
    """Ray's module, of which `init` takes over a signal, as the real one does."""

    def init(*given, **named):
        made.joined += 1
        signal.signal(signal.SIGTERM, lambda number, frame: None)

    made = types.SimpleNamespace(
        joined=0, is_initialized=lambda: False, init=init, shutdown=lambda: None
    )
    monkeypatch.setitem(sys.modules, "ray", made)
    before = signal.getsignal(signal.SIGTERM)
    yield made
    signal.signal(signal.SIGTERM, before)


def test_joining_leaves_the_signals_to_their_handlers(pretended_ray):
    def ours(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, ours)
    with connected(None):
        assert signal.getsignal(signal.SIGTERM) is ours
    assert pretended_ray.joined == 1


def test_workers_for_whom_this_machine_has_no_room_are_refused_at_once(pretended_ray, monkeypatch):
    monkeypatch.setattr("action_gru.features.ray_worker.usable_cores", lambda: 2)
    said = r"--cores-per-worker 3: this machine has 2 for workers.* give 2 or fewer"
    with pytest.raises(ClusterError, match=said):
        extract_on_cluster(
            make_extractor, build_config({}).to_tree(), CLIPS, Reporter(), cores_each=3
        )
    assert pretended_ray.joined == 0
    with connected("cluster", 3):  # other nodes may have it
        assert pretended_ray.joined == 1


@pytest.mark.parametrize("error", [ClusterError("lost"), KeyboardInterrupt()])
def test_a_run_that_ends_in_an_error_tells_how_far_it_came(monkeypatch, capsys, error):
    def go(run):
        run.report.extraction.read = 7
        raise error

    monkeypatch.setattr(ray_engine, "connected", lambda *given: nullcontext())
    monkeypatch.setattr(ray_engine._Run, "go", go)
    with pytest.raises(type(error)):
        extract_on_cluster(make_extractor, build_config({}).to_tree(), CLIPS, Reporter(quiet=False))
    said = capsys.readouterr().err
    assert said.count("summary: 40 clips: 7 read") == 1
    assert "33 not reached" in said
