import gc
import itertools
import threading

import numpy as np
import pytest
import torch
from helpers.processes import alone, resident_bytes, steady_growth
from helpers.streams import CLASSES, FPS, VIEWS, make_engine, square_frames
from helpers.videos import write_square

from action_gru.core.errors import VideoError
from action_gru.core.machine import use_one_arena
from action_gru.streaming import TimelineReader
from action_gru.streaming.states import OverlappingWindows, join, reset_rows, split
from action_gru.timeline import EventTracker, ScoreTrack
from action_gru.video import DecodeLimits, VideoFile
from action_gru.video.clock import FrameClock
from action_gru.views import FrameSampler, ViewMaker
from action_gru.views.sampler import sample_video


def open_stream(engine, window_s=1.6, states=4, max_gap_s=1.0, **events):
    return engine.open(EventTracker(**events), window_s, states, max_gap_s)


def collect_features(engine, images, times_s):
    """What a stream's backbone saw of each sampled frame: (T, D) and its instants."""
    sampler = FrameSampler(lambda: ViewMaker(VIEWS, 32, "squash"), FPS, 1.0)
    samples = [sampler.sample(image, t) for image, t in zip(images, times_s, strict=True)]
    samples = [sample for sample in samples if sample]
    return engine.embed(samples), [sample.time_s for sample in samples]


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn", "none"])
@pytest.mark.parametrize("pooling", ["last", "mean", "attention"])
@pytest.mark.parametrize(("num_layers", "fusion"), [(1, "late"), (2, "early")])
def test_every_answer_of_a_stream_is_forward_on_its_window(cell, pooling, num_layers, fusion):
    engine = make_engine(cell, pooling, num_layers, fusion)
    stream = open_stream(engine)
    times_s = [index / 10 for index in range(60)]
    images = square_frames(60)
    features, sampled_s = collect_features(engine, images, times_s)
    for image, time_s in zip(images, times_s, strict=True):
        answer = stream.push(image, time_s)
        window = [
            index
            for index, instant_s in enumerate(sampled_s)
            if answer.since_s <= instant_s <= answer.time_s
        ]
        with torch.inference_mode():
            logits = engine.model(features[None, window], torch.tensor([len(window)]))
        whole = logits.softmax(-1)[0].numpy()
        assert answer.probabilities(CLASSES) == pytest.approx(whole, abs=1e-5)


def test_an_answer_rests_on_nearly_the_window_and_never_more():
    stream = open_stream(make_engine(), window_s=1.6, states=4)
    spans = []
    for index, image in enumerate(square_frames(80)):
        answer = stream.push(image, index / 10)
        spans.append(answer.time_s - answer.since_s)
    assert spans[:16] == pytest.approx([index / 10 for index in range(16)])  # all there was
    assert min(spans[16:]) == pytest.approx(1.2)
    assert max(spans[16:]) == pytest.approx(1.5)  # 16 frames, from the first to the last


def test_stages_restart_the_states_in_turn():
    windows = OverlappingWindows(4, 2.0)
    due = [windows.restarting(time_s) for time_s in (5.0, 5.4, 5.5, 6.0, 6.5, 6.9, 7.0, 7.5)]
    assert due == [[0], [], [1], [2], [3], [], [0], [1]]
    assert windows.oldest_first() == [2, 3, 0, 1]
    assert [windows.since_s[number] for number in windows.oldest_first()] == [6.0, 6.5, 7.0, 7.5]


def test_after_a_long_pause_between_samples_all_states_are_fresh():
    windows = OverlappingWindows(4, 2.0)
    windows.restarting(0.0)
    assert sorted(windows.restarting(30.0)) == [0, 1, 2, 3]
    assert {windows.since_s[number] for number in windows.oldest_first()} == {30.0}


@pytest.mark.parametrize("cell", ["gru", "lstm", "none"])
def test_a_reset_row_forgets_and_its_neighbours_do_not(cell):
    model = make_engine(cell).model
    steps = torch.randn(5, 3, 12)
    with torch.inference_mode():
        state = None
        for step in steps[:4]:
            _, state = model.step(step, state)
        kept = split(state, [1, 1, 1])
        expected = [model.step(steps[4][row : row + 1], kept[row])[0] for row in (0, 2)]
        fresh, _ = model.step(steps[4][1:2])
        reset_rows(state, [1], model.initial_state(1))
        logits, _ = model.step(steps[4], state)
    assert torch.allclose(logits[[0, 2]], torch.cat(expected), atol=1e-6)
    assert torch.allclose(logits[1:2], fresh, atol=1e-6)


def test_joined_states_split_into_what_they_were():
    model = make_engine("lstm").model
    with torch.inference_mode():
        states = [model.step(torch.randn(size, 12))[1] for size in (2, 1, 3)]
    parts = split(join(states), [2, 1, 3])
    for before, after in zip(states, parts, strict=True):
        assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_each_sample_goes_through_the_backbone_once():
    engine = make_engine()
    stream = open_stream(engine)
    for index, image in enumerate(square_frames(90)):
        stream.push(image, index / 30)  # 30 fps sampled at 10
    assert engine.backbone.calls == 30
    assert engine.backbone.sizes == {2}  # one picture a view


def test_several_streams_share_one_backbone_call_and_do_not_mix():
    engine = make_engine()
    together, alone = [open_stream(engine) for _ in range(3)], []
    calls = 0
    videos = [square_frames(30, seed) for seed in range(3)]
    for index in range(30):
        samples = [
            stream.sampler.sample(video[index], index / 10)
            for stream, video in zip(together, videos, strict=True)
        ]
        before = engine.backbone.calls
        answers = engine.advance(together, samples)
        calls += engine.backbone.calls - before
    assert calls == 30
    for video in videos:
        stream = open_stream(engine)
        for index, image in enumerate(video):
            answer = stream.push(image, index / 10)
        alone.append(answer)
    for one, other in zip(answers, alone, strict=True):
        assert one.labels == other.labels
        assert one.scores == pytest.approx(other.scores, abs=1e-6)


def test_a_slow_camera_and_a_fast_file_give_one_answer():
    """The same scene, changing smoothly, seen at 12, 30 and 60 frames a second."""
    finals = []
    for rate in (12, 30, 60):
        stream = engine_stream = open_stream(make_engine(), window_s=2.0, states=2)
        for index in range(3 * rate + 1):
            time_s = index / rate
            image = np.full((48, 64, 3), 90, np.uint8)
            left = 4 + round(15 * time_s)
            image[10:30, left : left + 12] = (250, 120, 60)
            answer = engine_stream.push(image, time_s)
        finals.append(stream.prediction.probabilities(CLASSES))
        assert answer.time_s >= 2.9
    assert finals[1] == pytest.approx(finals[2], abs=0.01)
    assert finals[0] == pytest.approx(finals[2], abs=0.05)


def test_a_gap_starts_afresh_and_says_so():
    stream = open_stream(make_engine())
    for index, image in enumerate(square_frames(20)):
        stream.push(image, index / 10)
    assert stream.restarts == 0
    images = square_frames(6, seed=9)
    for index, image in enumerate(images):
        after = stream.push(image, 5.1 + index / 10)
    assert (stream.restarts, stream.restart_reason) == (1, "no frame for 3.2 s")
    assert after.since_s == 5.1
    other = open_stream(stream.engine)
    for index, image in enumerate(images):
        alone = other.push(image, 5.1 + index / 10)
    assert after.scores == alone.scores  # motion across the gap is not measured either


def test_a_seek_back_starts_afresh():
    stream = open_stream(make_engine())
    for time_s in (0.0, 0.1, 0.2, 8.0, 8.1, 2.0):
        answer = stream.push(square_frames(1)[0], time_s)
    assert stream.restarts == 2
    assert stream.restart_reason == "time jumped back 6.1 s"
    assert answer.time_s == answer.since_s == 2.0


def test_frames_of_another_size_start_afresh_and_it_is_said():
    stream = open_stream(make_engine())
    images = [*square_frames(20), *(image[:36] for image in square_frames(20, seed=4))]
    answers = [stream.push(image, index / 10) for index, image in enumerate(images)]
    assert stream.restarts == 1
    assert stream.restart_reason == "the frames changed from 96 x 64 to 96 x 36 pixels"
    assert answers[20].since_s == 2.0
    alone = open_stream(make_engine())
    for index, image in enumerate(images[20:]):
        answer = alone.push(image, 2.0 + index / 10)
    assert answers[-1].scores == pytest.approx(answer.scores, abs=1e-6)  # no motion across it


def test_a_restart_that_is_asked_for_comes_with_the_next_frame():
    stream = open_stream(make_engine())
    images = square_frames(3)
    stream.push(images[0], 0.0)
    stream.sampler.restart("it came back otherwise")
    answer = stream.push(images[1], 0.1)
    assert (stream.restarts, stream.restart_reason) == (1, "it came back otherwise")
    assert answer.since_s == 0.1
    assert stream.push(images[2], 0.2).since_s == 0.1


@pytest.mark.parametrize("rate", [1, 2, 5])
def test_a_slow_camera_whose_frames_are_late_is_not_broken_off_at_each(rate):
    """Answers come with every frame and bear its time."""
    rng = np.random.default_rng(3)
    times_s = np.arange(60) / rate + rng.uniform(0, 0.4 / rate, 60)
    stream = open_stream(make_engine())
    images = square_frames(20)
    for index, time_s in enumerate(times_s):
        answer = stream.push(images[index % 20], float(time_s))
        assert answer.time_s == time_s
    assert stream.restarts <= 2  # before its rate is known
    before = stream.restarts
    stream.push(images[0], float(times_s[-1] + 20 / rate))
    assert stream.restarts == before + 1


def test_a_restart_is_noticed_though_the_sample_that_began_it_was_dropped():
    engine = make_engine()
    stream = open_stream(engine)
    stream.push(square_frames(1)[0], 0.0)
    stream.sampler.sample(square_frames(1)[0], 7.0)  # its sample never reaches the model
    sample = stream.sampler.sample(square_frames(1)[0], 7.1)
    (answer,) = engine.advance([stream], [sample])
    assert stream.restarts == 1
    assert answer.since_s == 7.1


def test_between_samples_the_answer_stands():
    stream = open_stream(make_engine())
    first = stream.push(square_frames(1)[0], 0.0)
    assert stream.push(square_frames(1)[0], 0.05) is first
    assert stream.push(square_frames(1)[0], 0.1) is not first


def test_a_stream_announces_every_event_once():
    engine = make_engine()
    stream = open_stream(engine, enter=0.35, exit=0.3, min_event_s=0.2, smoothing_s=0.2)
    announced = []
    for index, image in enumerate(
        [*square_frames(40, 1), *square_frames(40, 5), *square_frames(40, 1)]
    ):
        stream.push(image, index / 10)
        announced += stream.ended
    announced += stream.finish()
    assert announced
    assert list(stream.events) == announced
    assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(announced))
    assert announced[-1].end_s == pytest.approx(11.9)


def test_finishing_twice_announces_nothing_twice():
    stream = open_stream(make_engine(), enter=0.35, exit=0.3, min_event_s=0.2)
    for index, image in enumerate(square_frames(40, 1)):
        stream.push(image, index / 10)
    assert stream.finish()
    known = list(stream.events)
    assert stream.finish() == []
    assert list(stream.events) == known
    answer = stream.push(square_frames(1)[0], 4.0)
    assert answer.since_s == answer.time_s == 4.0


@pytest.mark.parametrize(
    ("image", "time_s", "said"),
    [
        (np.zeros((8, 8), np.uint8), 1.0, r"got shape \(8, 8\) of uint8"),
        (np.zeros((8, 8, 4), np.uint8), 1.0, r"got shape \(8, 8, 4\)"),
        (np.zeros((8, 8, 3), np.float32), 1.0, "of float32"),
        (np.zeros((0, 8, 3), np.uint8), 1.0, r"got shape \(0, 8, 3\)"),
        (None, 1.0, "got shape None of NoneType"),
        (np.zeros((8, 8, 3), np.uint8), float("nan"), "time_s is a finite number"),
        (np.zeros((8, 8, 3), np.uint8), "1", "time_s is a finite number"),
    ],
)
def test_what_is_no_frame_is_refused_and_the_stream_goes_on(image, time_s, said):
    stream = open_stream(make_engine())
    with pytest.raises(VideoError, match=said):
        stream.push(image, time_s)
    stream.push(square_frames(1)[0], 0.0)
    with pytest.raises(VideoError, match=said):
        stream.push(image, time_s)
    assert stream.push(square_frames(1)[0], 0.1).since_s == 0.0
    assert stream.restarts == 0


def sizes_of_a_stream() -> list[int]:
    """Bytes of a process after every thousand frames of a stream, from the thousandth."""
    use_one_arena()  # as the commands do
    stream = open_stream(make_engine(), enter=0.35, exit=0.3, min_event_s=0.1)
    images, sizes = square_frames(20), list[int]()
    for index in range(6001):
        stream.push(images[index % 20], index / 10)
        if index >= 1000 and index % 1000 == 0:
            sizes.append(resident_bytes())
    return sizes


@pytest.mark.slow
def test_memory_of_a_stream_does_not_grow():
    sizes = alone(sizes_of_a_stream)
    assert steady_growth(sizes) < 4e6, sizes


def test_a_timeline_is_what_a_stream_says_frame_by_frame(tmp_path):
    path = write_square(tmp_path / "long.mp4", 120, fps=30.0)
    engine = make_engine()
    events = {"enter": 0.35, "exit": 0.3, "min_event_s": 0.2}
    reader = TimelineReader(open_stream(engine, **events), path, batch=8)
    read = list(reader)
    timeline = reader.timeline()
    stream = open_stream(engine, **events)
    with VideoFile(path) as video:
        pushed = [stream.push(frame.image, frame.time_s) for frame in video]
    stream.finish()
    distinct = list(dict.fromkeys((answer.time_s, answer.scores) for answer in pushed))
    assert [answer.time_s for answer in read] == [time_s for time_s, _ in distinct]
    for answer, (_, scores) in zip(read, distinct, strict=True):
        assert answer.scores == pytest.approx(scores, abs=1e-5)
    assert [event.label for event in timeline.events] == [e.label for e in stream.events]
    assert timeline.complete
    assert timeline.duration_s == pytest.approx(3.9, abs=0.04)
    assert timeline.scores.values.sum(1) == pytest.approx(1.0)
    # The youngest state that has seen half of the window began at 2.8 s.
    assert timeline.scores.times_s[-1] == pytest.approx((2.8 + 3.9) / 2, abs=0.05)
    assert not timeline.scores.begins.any()


def test_a_timeline_broken_off_keeps_what_was_read(tmp_path):
    path = write_square(tmp_path / "long.mp4", 200)
    before = threading.active_count()
    reader = TimelineReader(open_stream(make_engine(), enter=0.34, exit=0.3), path, batch=4)
    for answer in reader:
        if answer.time_s > 5:
            break
    gc.collect()
    timeline = reader.timeline()
    assert not timeline.complete
    assert timeline.duration_s == pytest.approx(5.1)
    assert timeline.events
    assert timeline.events[-1].end_s == pytest.approx(5.1)
    assert threading.active_count() == before


def test_a_video_of_three_frames_has_a_timeline(tmp_path):
    reader = TimelineReader(open_stream(make_engine()), write_square(tmp_path / "s.mp4", 3), 32)
    assert len(list(reader)) == 3
    assert reader.timeline().complete


def test_a_file_that_is_no_video_is_said_to_be_none(tmp_path):
    (tmp_path / "no.mp4").write_bytes(b"no video at all" * 100)
    reader = TimelineReader(open_stream(make_engine()), tmp_path / "no.mp4", 32)
    with pytest.raises(VideoError, match=r"no\.mp4"):
        list(reader)


def test_one_state_alone_is_refused():
    with pytest.raises(ValueError, match="forget all at once"):
        OverlappingWindows(1, 2.0)


@pytest.mark.parametrize("first_s", [0.0, 0.04, 7.31])
def test_a_file_and_a_camera_are_looked_at_in_the_same_frames(tmp_path, monkeypatch, first_s):
    """Wherever the first frame stands: of a recording that begins with sound, not at 0."""
    source = write_square(tmp_path / "a.mp4", 60, fps=25.0)
    time_of = FrameClock.time_s
    shift = lambda self, pts, dts: time_of(self, pts, dts) + first_s  # noqa: E731
    monkeypatch.setattr(FrameClock, "time_s", shift)
    sampler = FrameSampler(lambda: ViewMaker(VIEWS, 32, "squash"), 10.0, 1.0)
    with VideoFile(source, limits=DecodeLimits(isolate=False)) as video:
        of_file = [
            time_s for time_s, _ in sample_video(video, ViewMaker(VIEWS, 32, "squash"), 10.0)
        ]
        live = [sample for frame in video if (sample := sampler.sample(frame.image, frame.time_s))]
    assert of_file == [sample.time_s for sample in live]
    assert of_file[:3] == pytest.approx([first_s, first_s + 0.12, first_s + 0.2])


def test_scores_go_on_to_a_gap_and_begin_anew_after_it():
    stream = open_stream(make_engine(), window_s=1.6, states=4)
    stream.track = ScoreTrack()
    for start_s in (0.0, 10.0):
        for index, image in enumerate(square_frames(40)):
            stream.push(image, start_s + index / 10)
    times_s, begins = stream.track.times_s, stream.track.begins
    assert stream.restarts == 1
    assert times_s[begins] == pytest.approx([10.0], abs=0.05)
    assert times_s[times_s < 10][-1] == pytest.approx((2.8 + 3.9) / 2, abs=0.05)


def test_a_jump_to_a_younger_state_is_no_gap_in_the_scores():
    stream = open_stream(make_engine(), window_s=6.0, states=2)
    stream.track = ScoreTrack()
    for index in range(200):
        stream.push(square_frames(1)[0], index / 10)
    steps_s = np.diff(stream.track.times_s)
    assert steps_s.max() > 10 * np.median(steps_s)
    assert not stream.track.begins.any()


def test_a_gap_is_kept_when_bins_of_scores_are_merged():
    track = ScoreTrack(capacity=64)
    for time_s in (*np.arange(0, 10, 0.1), *np.arange(30, 40, 0.1)):
        track.add(time_s, np.array([0.5, 0.5]), begins=time_s == 30)
    assert track.bin_s == 0.8
    assert track.times_s[track.begins] == pytest.approx([30.0], abs=0.8)
