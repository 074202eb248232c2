import itertools
import os
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.videos import BOTH, FakeBackbone, clip_of, extractor, write_square

from action_gru.core.errors import CacheError
from action_gru.dataset import Clip
from action_gru.features import (
    FeatureCache,
    LazyFeatures,
    ViewKey,
    duplicates_across,
    pack_entries,
)
from action_gru.features.entry import Rows, parse_entry
from action_gru.features.extractor import thread_budget, usable_cores
from action_gru.features.pipeline import THREAD_NAME
from action_gru.features.report import ExtractionReport
from action_gru.video import VideoFile
from action_gru.views import ViewMaker
from action_gru.views.sampler import sample_video


@pytest.fixture
def clips(tmp_path):
    frames = (20, 7, 1, 33, 12)
    return [clip_of(write_square(tmp_path / f"{i}.mp4", n, seed=i)) for i, n in enumerate(frames)]


def test_each_stream_of_each_clip_is_sampled_by_time(tmp_path, clips):
    work = extractor(tmp_path, flip=True)
    report = work.extract(clips)
    assert (report.clips, report.frames, report.cached, report.quarantined) == (5, 73, 0, {})
    for clip, steps in zip(clips, (10, 4, 1, 17, 6), strict=True):
        found = work.read(clip, report)
        assert set(found) == {ViewKey(view, flip) for view in BOTH for flip in (False, True)}
        for entry in found.values():
            assert entry.values.shape == (steps, 6)
            assert entry.times_s == pytest.approx(np.arange(steps) / 5)


def test_a_second_run_decodes_no_frame(tmp_path, clips):
    extractor(tmp_path).extract(clips)
    backbone = FakeBackbone()
    report = extractor(tmp_path, backbone).extract(clips)
    assert (report.frames, report.cached, backbone.calls) == (0, 5, 0)


def test_only_the_missing_stream_is_extracted(tmp_path, clips):
    extractor(tmp_path, views=("rgb",)).extract(clips)
    backbone = FakeBackbone()
    report = extractor(tmp_path, backbone).extract(clips[:1])
    assert (report.frames, backbone.calls) == (20, 3)  # 10 motion pictures in batches of 4


def test_features_do_not_depend_on_neighbours_workers_or_batches(tmp_path, clips):
    alone, together = extractor(tmp_path / "a"), extractor(tmp_path / "b", workers=3)
    report = together.extract(clips)
    for clip in clips:
        single = alone.extract([clip])
        for stream, entry in alone.read(clip, single).items():
            other = together.read(clip, report)[stream]
            assert entry.values.tobytes() == other.values.tobytes()


def test_bounds_cut_the_clip_and_motion_looks_before_them(tmp_path):
    video = write_square(tmp_path / "a.mp4", 30)
    whole, cut = clip_of(video), clip_of(video, 1.0, 2.0)
    work = extractor(tmp_path)
    report = work.extract([whole, cut])
    motion = ViewKey("motion")
    entry, reference = work.read(cut, report)[motion], work.read(whole, report)[motion]
    assert entry.times_s == pytest.approx([1.0, 1.2, 1.4, 1.6, 1.8])
    # The first instant of the cut has its past, as it has in the whole video.
    np.testing.assert_array_equal(entry.values, reference.values[5:10])


def test_bounds_outside_the_video_are_a_named_reason(tmp_path):
    clip = clip_of(write_square(tmp_path / "a.mp4", 10), 7.0, 9.0)
    report = extractor(tmp_path).extract([clip])
    assert "10 frames decoded, none of them inside" in report.quarantined[clip.name]


def test_a_bad_clip_is_quarantined_and_the_others_are_extracted(tmp_path, clips):
    broken, empty = tmp_path / "broken.mp4", tmp_path / "empty.mp4"
    broken.write_bytes(b"\0\1\2" * 500)
    empty.write_bytes(b"")
    bad = [clip_of(broken), clip_of(empty), clip_of(tmp_path / "missing.mp4")]
    report = extractor(tmp_path).extract([bad[0], *clips[:2], bad[1], bad[2], clips[3]])
    assert set(report.quarantined) == {"broken.mp4", "empty.mp4", "missing.mp4"}
    assert "0 bytes" in report.quarantined["empty.mp4"]
    assert "no such video file" in report.quarantined["missing.mp4"]
    work = extractor(tmp_path)
    assert work.extract(clips[:2] + clips[3:4]).cached == 3
    assert work.read(bad[0], report) is None


def test_a_damaged_entry_is_extracted_again_and_reported(tmp_path, clips):
    work = extractor(tmp_path)
    report = work.extract(clips)
    path = work.cache.path_of(report.keys["0.mp4"][ViewKey("rgb")])
    before = path.read_bytes()
    path.write_bytes(before[:-3])
    again = extractor(tmp_path)
    repeated = again.extract(clips)
    assert (repeated.frames, repeated.cached, len(repeated.damaged)) == (20, 4, 1)
    assert str(path) in repeated.damaged[0]
    assert path.read_bytes() == before


def test_an_interrupt_stops_the_threads_and_keeps_what_is_whole(tmp_path, clips):
    class Interrupted(FakeBackbone):
        def __call__(self, images):
            if self.calls == 4:
                raise KeyboardInterrupt
            return super().__call__(images)

    with pytest.raises(KeyboardInterrupt):
        extractor(tmp_path, Interrupted(), workers=1).extract(clips)
    assert THREAD_NAME not in [thread.name for thread in threading.enumerate()]
    cache = FeatureCache(tmp_path / "cache")
    assert cache.verify() == []
    assert cache.stats()["leftovers"] == 0
    report = extractor(tmp_path).extract(clips)
    assert report.quarantined == {}


def test_clips_come_as_they_end_and_closing_stops_the_rest(tmp_path, clips):
    looked_at, report = threading.Event(), ExtractionReport()

    class Waiting(FakeBackbone):
        def __call__(self, images):
            assert not report.read or looked_at.wait(10)  # the second clip waits for the caller
            return super().__call__(images)

    extracted = extractor(tmp_path, Waiting(), workers=1).extracted(clips, report)
    first = next(extracted)
    assert first.name in report.keys
    looked_at.set()
    extracted.close()
    assert THREAD_NAME not in [thread.name for thread in threading.enumerate()]
    assert extractor(tmp_path).extract(clips[:1]).cached == 1


def test_ctrl_c_waits_for_what_a_thread_is_at(tmp_path, clips, ctrl_c):
    begun, sent, entered, ended = threading.Event(), threading.Event(), [], []

    class Slow(FakeBackbone):
        def __call__(self, images):
            entered.append(1)
            begun.set()
            sent.wait(60)  # on a busy machine the other thread may come late
            time.sleep(0.5)
            ended.append(1)
            return super().__call__(images)

    def interrupt():
        begun.wait(60)
        os.kill(os.getpid(), signal.SIGINT)
        sent.set()

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt):
        extractor(tmp_path, Slow(), workers=1).extract(clips)
    assert len(entered) == len(ended) > 0
    other.join()
    assert THREAD_NAME not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_backbone_that_fails_ends_the_run_and_blames_no_clip(tmp_path, clips, workers):
    class OutOfMemory(FakeBackbone):
        def __call__(self, images):
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        extractor(tmp_path, OutOfMemory(), workers=workers).extract(clips)
    assert THREAD_NAME not in [thread.name for thread in threading.enumerate()]


def test_a_cache_that_cannot_be_written_ends_the_run_with_its_name(tmp_path, clips):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(CacheError, match=r"cannot be written .* set features.cache_dir"):
        extractor(tmp_path).extract(clips)


def test_waiting_pictures_are_bounded_when_the_backbone_is_slow(tmp_path):
    """400 pictures are decoded at once; at most the queue and two batches may wait."""
    made = []

    class Slow(FakeBackbone):
        def __call__(self, images):
            time.sleep(0.02)
            made.append(self.observed() - 4 * (len(made) + 1))
            return super().__call__(images)

    backbone = Slow()
    work = extractor(tmp_path, backbone, fps=100.0, views=("rgb",), workers=1)
    decoded = []
    decode = work.decode

    def counting(job):
        for item in decode(job):
            decoded.append(1)
            yield item

    work.decode = counting
    backbone.observed = lambda: len(decoded)
    work.extract([clip_of(write_square(tmp_path / "a.mp4", 400))])
    assert len(decoded) == 400
    assert max(made) <= 2 * 4 + 4 + 2


def test_one_long_clip_keeps_every_thread_busy(tmp_path):
    """While one thread decodes, the other, which has no clip, embeds too."""
    threads, both = set(), threading.Event()

    class Watched(FakeBackbone):
        def __call__(self, images):
            threads.add(threading.get_ident())
            if len(threads) == 2:
                both.set()
            both.wait(10)  # for the other thread to come
            return super().__call__(images)

    backbone = Watched()
    work = extractor(tmp_path, backbone, fps=100.0, views=("rgb",), workers=2)
    clip = clip_of(write_square(tmp_path / "a.mp4", 40))
    report = work.extract([clip])
    assert backbone.calls == 10
    assert len(threads) == 2
    (entry,) = work.read(clip, report).values()
    np.testing.assert_array_equal(
        entry.values, alone(tmp_path / "alone", clip, fps=100.0, views=("rgb",))
    )


def alone(folder: Path, clip: Clip, **options) -> np.ndarray:
    """The features of a clip by one thread."""
    work = extractor(folder, workers=1, **options)
    (entry,) = work.read(clip, work.extract([clip])).values()
    return entry.values


def test_a_clip_that_fails_half_way_leaves_nothing_and_harms_no_other(tmp_path, clips):
    work = extractor(tmp_path, workers=2)
    decode = work.decode

    def failing(job):
        for index, item in enumerate(decode(job)):
            if job.clip.name == "3.mp4" and index == 9:
                raise RuntimeError("the decoder gave up")
            yield item

    work.decode = failing
    report = work.extract(clips)
    assert list(report.quarantined) == ["3.mp4"]
    assert report.quarantined["3.mp4"].endswith("RuntimeError while decoding: the decoder gave up")
    assert work.cache.stats()["entries"] == 8
    assert {n: len(work.read(c, report)) for n, c in enumerate(clips) if n != 3} == {
        0: 2, 1: 2, 2: 2, 4: 2,
    }  # fmt: skip


def test_a_long_clip_goes_through_a_file_and_gives_the_same_entry(tmp_path, monkeypatch):
    clip = clip_of(write_square(tmp_path / "a.mp4", 60))
    short = extractor(tmp_path / "short", fps=100.0, flip=True)
    keys = short.extract([clip]).keys[clip.name].values()
    monkeypatch.setattr("action_gru.features.entry.MOST_CLIP_BYTES", 84)
    long = extractor(tmp_path / "long", fps=100.0, flip=True, workers=3)
    long.extract([clip])
    for key in keys:
        assert long.cache.path_of(key).read_bytes() == short.cache.path_of(key).read_bytes()


def test_rows_may_come_out_of_order_and_must_all_come(monkeypatch):
    monkeypatch.setattr("action_gru.features.entry.MOST_CLIP_BYTES", 10)
    rows = Rows()
    for place in (1, 0, 3, 4):
        rows.put(place, np.full(2, place, np.float16))
    with pytest.raises(AssertionError):
        rows.whole(5)
    rows.put(2, np.full(2, 2, np.float16))
    assert rows.whole(5).tolist() == [[0, 0], [1, 1], [2, 2], [3, 3], [4, 4]]
    rows.close()


def test_features_are_kept_while_there_is_room_and_read_again_beyond_it(tmp_path, clips):
    work = extractor(tmp_path)
    bad = clip_of(tmp_path / "missing.mp4")
    report = work.extract([*clips, bad])
    reads = []
    name_of = {key: name for name, keys in report.keys.items() for key in keys.values()}
    get = work.cache.get
    work.cache.get = lambda key: (reads.append(name_of[key]), get(key))[1]
    kept = LazyFeatures(work.cache, report, [*clips, bad], most_bytes=600)
    assert list(kept) == [clip.name for clip in clips]
    assert "missing.mp4" not in kept
    for _ in range(2):  # of 10 steps x (6 x 2 + 8 bytes) x 2 views there is room for one
        assert len(kept["0.mp4"][ViewKey("rgb")].values) == 10
        assert len(kept["3.mp4"][ViewKey("rgb")].values) == 17
    assert reads == 2 * ["0.mp4"] + 4 * ["3.mp4"]  # two streams each
    work.cache.path_of(report.keys["4.mp4"][ViewKey("rgb")]).unlink()
    with pytest.raises(CacheError, match=r"cache entries of 4\.mp4 vanished while in use"):
        kept["4.mp4"]


def test_the_report_is_in_the_order_of_the_clips_whoever_was_first(tmp_path, clips):
    report = extractor(tmp_path, workers=3).extract(clips)
    assert list(report.keys) == list(report.content) == [clip.name for clip in clips]


def test_threads_share_the_cores_and_give_them_back(monkeypatch):
    monkeypatch.setattr("action_gru.features.extractor.usable_cores", lambda: 6)
    before = torch.get_num_threads(), cv2.getNumThreads()
    for wanted, workers, share in ((None, 6, 1), (40, 40, 1), (3, 3, 2)):
        with thread_budget(wanted) as (count, claim):
            assert cv2.getNumThreads() == 1
            shares = []
            thread = threading.Thread(
                target=lambda claim=claim, shares=shares: (
                    claim(), shares.append(torch.get_num_threads())
                )
            )  # fmt: skip
            thread.start()
            thread.join()
        assert (count, shares) == (workers, [share])
        assert (torch.get_num_threads(), cv2.getNumThreads()) == before
    first, second = ExitStack(), ExitStack()
    first.enter_context(thread_budget(2))
    second.enter_context(thread_budget(2))
    first.close()
    assert cv2.getNumThreads() == 1
    second.close()
    assert (torch.get_num_threads(), cv2.getNumThreads()) == before


@pytest.mark.parametrize(("limit", "cores"), [("1", 1), ("", 4), ("99", 4), ("0", 1), ("x", 4)])
def test_the_cores_are_those_that_the_process_may_use(monkeypatch, limit, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    assert usable_cores() == cores


def test_the_number_of_decoding_threads_changes_no_frame(tmp_path):
    path = write_square(tmp_path / "a.mp4", 30)
    one, many = ([f.image.tobytes() for f in VideoFile(path, threads)] for threads in (1, 4))
    assert len(one) == 30
    assert one == many


def test_copies_on_two_sides_are_found_by_bytes_and_moment():
    def clip(name: str, split: str, start_s: float | None = None, end_s: float | None = None):
        return Clip(Path(name), name, "x", name, split, start_s, end_s)

    clips = [
        clip("a [1].mp4", "train"),
        clip("b [2].mp4", "test"),
        clip("c.mp4", "train", 0.0, 2.0),
        clip("d.mp4", "test", 2.0, 3.0),
        clip("e.mp4", "test", 1.5, None),
        clip("f.mp4", "test"),
    ]
    content = {c.name: sha for c, sha in zip(clips, "112223", strict=True)}
    pairs = [(a.relative, b.relative) for a, b in duplicates_across(clips, content)]
    assert pairs == [("a [1].mp4", "b [2].mp4"), ("c.mp4", "e.mp4")]


def test_the_motion_view_is_still_where_nothing_moves_and_bright_where_it_does(tmp_path):
    maker = ViewMaker(("motion",), 64, "squash")
    still = np.full((64, 64, 3), 100, np.uint8)
    moved = still.copy()
    moved[20:40, 20:40] = 200
    first = maker.observe(still, 0.0)["motion"]
    second = maker.observe(still, 1 / 30)["motion"]
    third = maker.observe(moved, 2 / 30)["motion"]
    assert len({tuple(np.unique(view)) for view in (first, second)}) == 1
    assert (third[30, 30] != first[30, 30]).all()
    assert (third[5, 5] == first[5, 5]).all()


def test_the_accel_view_shows_how_motion_changes_and_not_a_steady_brightening():
    maker = ViewMaker(("accel",), 32, "squash")
    for index, level in enumerate([40, 50, 60, 70, 80, 90, 160]):
        picture = np.full((32, 32, 3), level, np.uint8)
        made = maker.observe(picture, index * 0.04)["accel"]
        if index == 5:  # 20 more than 80 ms ago, at an even pace: 128 + 1.5 * 20
            assert made[16, 16].tolist() == [158, 128, 128]
    # 160 - 80, 160 - 2 * 90 + 80, 160 - 2 * 80 + 60, times 1.5
    assert made[16, 16].tolist() == [248, 218, 218]


def test_the_focus_view_marks_where_something_moves():
    maker = ViewMaker(("focus",), 64, "squash")
    still = np.full((64, 64, 3), 100, np.uint8)
    moved = still.copy()
    moved[20:40, 20:40] = 200
    assert maker.observe(still, 0.0)["focus"][..., 3].max() == 0
    focus = maker.observe(moved, 0.04)["focus"]
    np.testing.assert_array_equal(focus[..., :3], moved)
    assert focus[30, 30, 3] > 100
    assert focus[5, 5, 3] == 0


def test_fifty_and_twenty_five_fps_show_the_same_motion():
    def last(fps: float) -> np.ndarray:
        maker = ViewMaker(("motion",), 32, "squash")
        for index in range(int(0.4 * fps) + 1):
            image = np.full((32, 32, 3), 40, np.uint8)
            edge = round(index / fps * 50)
            image[:, edge : edge + 6] = 220
            made = maker.observe(image, index / fps)["motion"]
        return made

    np.testing.assert_array_equal(last(25.0), last(50.0))


def test_rgb_alone_converts_only_the_sampled_frames(tmp_path):
    video = write_square(tmp_path / "a.mp4", 20)
    with VideoFile(video) as file:
        times_s = [t for t, _ in sample_video(file, ViewMaker(("rgb",), 32, "crop"), 2.0)]
    assert times_s == pytest.approx([0.0, 0.5, 1.0, 1.5])


def test_fits_keep_what_they_promise():
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, :8] = 255  # a bar at the left edge
    made = {how: ViewMaker(("rgb",), 32, how).observe(image, 0.0)["rgb"] for how in
            ("squash", "letterbox", "crop")}  # fmt: skip
    assert {view.shape for view in made.values()} == {(32, 32, 3)}
    assert made["squash"][:, 0].min() == 255
    assert made["letterbox"][16, 0].min() == 255
    assert made["letterbox"][0, 0].tolist() == [114, 114, 114]
    assert made["crop"].max() == 0  # the bar is cut off


def test_embedding_is_not_called_with_more_than_a_batch(tmp_path, clips):
    backbone = FakeBackbone()
    extractor(tmp_path, backbone).extract(clips)
    assert backbone.sizes == {4}
    assert torch.is_tensor(backbone([np.zeros((32, 32, 3), np.uint8)]))


def test_segments_of_a_file_are_packed_each_side_by_side(tmp_path):
    video = write_square(tmp_path / "a.mp4", 30)
    work = extractor(tmp_path, flip=True)
    work.extract([clip_of(video, 0.2 * number, 0.2 * number + 1.0) for number in range(6)])
    pack_entries(work.cache)
    clips = [
        parse_entry(data, entry.key).provenance["clip"]
        for entry, data in work.cache.packs.entries([])
    ]
    assert [(name, len(list(run))) for name, run in itertools.groupby(clips)] == [
        (name, 4) for name in dict.fromkeys(clips)
    ]
    assert "a.mp4[0.2:1.2]" in clips
    assert len(set(clips)) == 6
