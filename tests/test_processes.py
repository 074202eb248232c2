"""Several processes of one training: what each reads, and what is told where one is not enough."""

import numpy as np
import pytest
import torch
from helpers.toy_training import settings, toy_set

from action_gru.cli.commands import app
from action_gru.cli.common import make_reporter, run
from action_gru.core.errors import ConfigError, LostProcessError
from action_gru.core.machine import only_one_was_meant, processes_here, refuse_several
from action_gru.features import ClipFeatures
from action_gru.features.extractor import usable_cores
from action_gru.features.sequences import SequenceSet
from action_gru.training.batches import Batches
from action_gru.training.processes import Processes, join_processes


def numbered(count: int) -> SequenceSet:
    """Clips of one to three rows that hold the clip's number."""
    clips = [
        [ClipFeatures(np.full((1 + n % 3, 1), n, np.float16), np.arange(1.0 + n % 3))]
        for n in range(count)
    ]
    return SequenceSet(clips, [n % 2 for n in range(count)])


def parts(data, count: int, weights=None, **options) -> list[list]:
    """By process the parts of the batches of one epoch."""
    plain = {"temporal_crop": 0.0, "speed_jitter": 0.0, "batch_size": 4} | options
    return [
        list(Batches(data, settings(**plain), 8, 5, Processes(rank, count), weights).epoch(1))
        for rank in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_all_processes_together_read_every_clip_once(count):
    data = numbered(13)  # batches of 4, 4, 4 and 1: a last one with less clips than processes
    read = [
        int(number)
        for process in parts(data, count)
        for part in process
        if part.share
        for number in part.batch.features[:, 0, 0]
    ]
    assert sorted(read) == list(range(13))
    assert all(len(process) == 4 for process in parts(data, count))


@pytest.mark.parametrize(
    "options",
    [{}, {"frame_dropout": 0.3, "temporal_crop": 0.5, "speed_jitter": 0.5}],
)
def test_the_parts_side_by_side_are_the_batch_of_one_process(options):
    data = toy_set(flipped=True, count=22)
    (whole,), divided = parts(data, 1, **options), parts(data, 3, **options)
    for one, *of_three in zip(whole, *divided, strict=True):
        of_three = [part for part in of_three if part.share]
        for name in ("features", "lengths", "labels"):
            together = torch.cat([getattr(part.batch, name) for part in of_three])
            assert torch.equal(together, getattr(one.batch, name))
        assert {part.answers for part in of_three} == {len(one.batch.labels)}


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 3.0])])
def test_what_the_parts_weigh_adds_up_to_the_whole(weights):
    divided = parts(numbered(13), 5, weights)
    for of_five in zip(*divided, strict=True):
        shares = [part.share for part in of_five]
        assert sum(shares) == pytest.approx(1.0)
    # The last batch has one clip: four processes read it and count for nothing.
    assert sorted(shares) == [0.0, 0.0, 0.0, 0.0, 1.0]


def test_validation_clips_are_divided_once_each():
    shares = [Processes(rank, 3).share(7).tolist() for rank in range(3)]
    assert shares == [[0, 1, 2], [3, 4], [5, 6]]
    some = numbered(7).only(torch.tensor([3, 4]))
    clip, start, length = some.read_windows(8)
    assert some.values[start].flatten().tolist() == [3.0, 4.0]
    assert (len(some), clip.tolist(), length.tolist()) == (2, [0, 1], [1, 2])


def several(monkeypatch, rank: int | str = 1) -> None:
    for name, value in {"WORLD_SIZE": 4, "RANK": rank, "LOCAL_WORLD_SIZE": 2}.items():
        monkeypatch.setenv(name, str(value))


def test_one_numbered_device_for_several_processes_is_refused(monkeypatch):
    several(monkeypatch)
    with pytest.raises(ConfigError, match=r"cuda:1 is one device, and there are 4 processes"):
        join_processes(torch.device("cuda", 1))


def test_commands_for_one_process_are_refused_in_several(monkeypatch):
    refuse_several("cv")
    several(monkeypatch)
    assert processes_here() == 2
    with pytest.raises(ConfigError, match=r"cv runs in one process, and a launcher started 4"):
        refuse_several("cv")


@pytest.mark.parametrize("command", ["train", "evaluate"])
@pytest.mark.parametrize("said", ["0", "²", "two", "-1"])
def test_a_launcher_that_says_no_number_is_a_usage_error(monkeypatch, capfd, said, command):
    monkeypatch.setattr("signal.signal", lambda *given: None)
    monkeypatch.setenv("WORLD_SIZE", said)
    with pytest.raises(SystemExit) as ended:
        run(app, [command, "c.yaml"])
    assert ended.value.code == 2
    assert capfd.readouterr().err.startswith(f"error: WORLD_SIZE: the environment says '{said}'")


def test_a_rank_that_is_no_number_is_named(monkeypatch):
    several(monkeypatch, "²")
    with pytest.raises(ConfigError, match=r"^RANK: the environment says '²'"):
        make_reporter(quiet=False)


def test_processes_that_do_not_know_where_to_meet_are_refused(monkeypatch):
    several(monkeypatch)
    monkeypatch.setenv("MASTER_PORT", "29500")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(ConfigError, match=r"^MASTER_ADDR: not set, and WORLD_SIZE=4"):
        join_processes(torch.device("cpu"))


def test_a_limit_of_threads_that_is_no_number_is_no_limit(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    cores = usable_cores()
    monkeypatch.setenv("OMP_NUM_THREADS", "²")
    assert usable_cores() == cores


def test_only_the_first_process_speaks(monkeypatch, capfd):
    for rank, said in ((1, ""), (0, "warning: a")):
        several(monkeypatch, rank)
        make_reporter(quiet=False).warn("a")
        assert capfd.readouterr().err.strip() == said


def test_a_launch_that_starts_one_process_in_place_of_several_is_noticed(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert not only_one_was_meant()
    monkeypatch.setenv("MASTER_PORT", "29500")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    assert only_one_was_meant()


def test_a_lost_process_tells_how_to_go_on():
    assert "go on with 'action-gru resume RUN'" in str(LostProcessError())
