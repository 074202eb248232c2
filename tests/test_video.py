import csv
import gc
import os
import resource
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.videos import write_square

from action_gru.core.errors import VideoError
from action_gru.core.paths import diagnose
from action_gru.video import DecodeLimits, VideoFile, VideoWriter, file
from action_gru.video.clock import FrameClock
from action_gru.video.frame import PictureMaker, oriented

HERE = DecodeLimits(isolate=False)
# What OpenCV, whose counts the list has, cannot decode, gives up at a damaged packet, or decodes to
# a picture that is half green since the file is cut off in it.
BEYOND_OPENCV = {
    "torchcodec_av1_video.mkv": 125,
    "decord_corrupted.mp4": 49,
    "BraydenBoyson_truncated_0.avi": 35,
    "derived_truncated_exercise.avi": 152,
}


def open_handles() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_frames_come_in_order_as_rgb_with_real_times(square_video):
    with VideoFile(square_video) as video:
        frames = list(video)
    assert [frame.index for frame in frames] == list(range(20))
    assert [round(frame.time_s, 3) for frame in frames] == [index / 10 for index in range(20)]
    red, green, blue = np.concatenate([f.image.reshape(-1, 3) for f in frames]).max(0)
    assert red > 180 > green
    assert red > 180 > blue
    assert frames[0].image.shape == (64, 96, 3)


def test_only_wanted_frames_are_converted_and_all_are_counted(square_video, monkeypatch):
    converted = []
    real = file.FileReader.retrieve
    monkeypatch.setattr(file.FileReader, "retrieve", lambda self: converted.append(1) or real(self))
    with VideoFile(square_video, limits=HERE) as video:
        times_s = [f.time_s for f in video.frames(lambda time_s: time_s >= 1.0)]
        assert len(times_s) == len(converted) == 10
        assert video.frames_decoded == 20


def test_reading_stops_at_the_end_of_the_window(square_video):
    with VideoFile(square_video) as video:
        assert len(list(video.frames(end_s=0.5))) == 5
        assert video.frames_decoded == 6


def test_handles_are_released(square_video):
    before = open_handles()
    for _ in range(5):
        with VideoFile(square_video) as video:
            next(iter(video))
    assert open_handles() == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"empty \(0 bytes\); copy or download"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "Git LFS pointer.*git lfs pull",
        ),
        (b"hello, this is a text\n" * 20, "text, not a video"),
        (bytes(range(256)) * 40, "random or damaged bytes"),
        (b"\0\0\0\x10ftypisom\0\0\2\0\0\0\xff\xffmdat123", "cut short: its index"),
    ],
)
def test_a_file_that_is_no_video_is_named_with_the_mend(tmp_path, content, said):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=said), VideoFile(path) as video:
        next(iter(video))


def test_a_name_that_is_no_text_is_refused(tmp_path):
    path = Path(os.fsdecode(bytes(tmp_path) + b"/\xff.mp4"))
    path.write_bytes(b"x")
    with pytest.raises(VideoError, match="no valid text; rename"), VideoFile(path) as video:
        next(iter(video))


def test_a_target_that_is_no_video_name_is_refused(tmp_path):
    for name in ("out.txt", "."):
        with pytest.raises(VideoError, match="mp4"), VideoWriter(tmp_path / name, (96, 64), 10.0):
            pass


def test_a_missing_file_is_named(tmp_path):
    with (
        pytest.raises(VideoError, match="no such video file"),
        VideoFile(tmp_path / "a.mp4") as video,
    ):
        next(iter(video))


def test_every_odd_file_yields_its_frames_or_a_typed_error(shared_data):
    with (shared_data / "edge" / "expected.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 31
    for row in rows:
        path = shared_data / "edge" / row["file"]
        if row["opencv_opens"] == "0":
            with pytest.raises(VideoError, match=";"), VideoFile(path) as video:
                list(video)
            continue
        expected = BEYOND_OPENCV.get(row["file"], int(row["frames_decoded"]))
        with VideoFile(path) as video:
            frames = list(video.frames(lambda time_s: time_s < 0.2))
            assert video.frames_decoded == expected, row["file"]
        if int(row["width_px"]):
            shape = (int(row["height_px"]), int(row["width_px"]), 3)
            assert frames[0].image.shape == shape, row["file"]
        times_s = [frame.time_s for frame in frames]
        assert times_s == sorted(set(times_s)), row["file"]


def test_rotation_is_honoured(shared_data):
    def first(name: str) -> np.ndarray:
        with VideoFile(shared_data / "edge" / name) as video:
            return next(iter(video)).image.astype(float)

    upright = first("decord_rot0.mov")
    assert np.abs(upright - first("decord_rot180.mov")[::-1, ::-1]).mean() > 20  # shown upright
    assert first("decord_rot90.mov").shape == (568, 320, 3)


@pytest.mark.slow
def test_memory_stays_flat_over_a_long_video(tmp_path):
    """600 frames of 640x480 are 550 MB of pixels; reading them must not keep them."""
    path = tmp_path / "long.mp4"
    with VideoWriter(path, (640, 480), 30.0) as writer:
        for index in range(600):
            writer.write(np.full((480, 640, 3), index % 255, np.uint8))
    program = (
        "import resource, sys\n"
        "from action_gru.video import VideoFile\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "with VideoFile(sys.argv[1]) as video:\n"
        "    for frame in video:\n"
        "        if frame.index == 60: early = peak()\n"
        "print(frame.index + 1, peak() - early)\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(printed[0]) == 600
    assert float(printed[1]) < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


def test_a_failed_writer_leaves_no_file(tmp_path):
    path = tmp_path / "out.mp4"

    def fail() -> None:
        with VideoWriter(path, (96, 64), 10.0) as writer:
            writer.write(np.zeros((64, 96, 3), np.uint8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_the_writer_refuses_a_frame_of_another_size(tmp_path):
    with (
        pytest.raises(VideoError, match=r"shape \(10, 10, 3\) does not fit"),
        VideoWriter(tmp_path / "out.mp4", (96, 64), 10.0) as writer,
    ):
        writer.write(np.zeros((10, 10, 3), np.uint8))


def test_odd_sizes_and_rates_are_written(tmp_path):
    path = tmp_path / "odd.mp4"
    with VideoWriter(path, (97, 65), 30000 / 1001) as writer:
        for image in [np.full((65, 97, 3), 90, np.uint8)] * 4:
            writer.write(image)
    with VideoFile(path) as video:
        frames = list(video)
    assert len(frames) == 4
    assert frames[3].time_s == pytest.approx(3 * 1001 / 30000, abs=1e-3)


def test_diagnosis_needs_no_decoder(tmp_path):
    path = write_square(tmp_path / "whole.mp4")
    assert "no video stream" in diagnose(path)  # what is left to say of a whole MP4
    cut = Path(tmp_path / "cut.mp4")
    cut.write_bytes(path.read_bytes()[:200])
    assert "cut short" in diagnose(cut)


def times(stamps, *, start_s=0.0, may_restart=False, step_s=0.04):
    """The instants of frames with (pts, dts) in milliseconds."""
    clock = FrameClock(0.001, start_s, step_s, may_restart)
    return [round(clock.time_s(*stamp), 6) for stamp in stamps]


def both(*stamps):
    return [(stamp, stamp) for stamp in stamps]


def test_time_counts_from_where_the_container_starts():
    assert times(both(540, 580, 620), start_s=0.54) == [0.0, 0.04, 0.08]
    assert times(both(2000, 2100), start_s=0.0) == [2.0, 2.1]


def test_a_frame_without_stamps_comes_one_step_after_the_last():
    assert times([(None, None)] * 3) == [0.0, 0.04, 0.08]
    assert times([(0, 0), (None, None), (100, 100)]) == [0.0, 0.04, 0.1]


def test_stamps_that_do_not_grow_are_not_believed_while_the_others_do():
    assert times([(None, 3), (4, 4), (None, 5), (2, 6), (3, 7)]) == [
        0.003, 0.004, 0.005, 0.006, 0.007
    ]  # fmt: skip


@pytest.mark.parametrize("jump_ms", [95_443_717, 20_000, -1400])
def test_joined_streams_go_on_one_step_after_the_last_frame(jump_ms):
    stamps = both(1400, 1440, 1480 + jump_ms, 1520 + jump_ms)
    assert times(stamps, start_s=1.4, may_restart=True) == [0.0, 0.04, 0.08, 0.12]


def test_a_pause_in_a_file_that_cannot_be_joined_is_a_pause():
    assert times(both(0, 40, 60_000)) == [0.0, 0.04, 60.0]
    assert times(both(0, 40, 9_000), may_restart=True) == [0.0, 0.04, 9.0]


PICTURE = np.array([[[1, 1, 1], [2, 2, 2], [3, 3, 3]], [[4, 4, 4], [5, 5, 5], [6, 6, 6]]], np.uint8)


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), [[1, 2, 3], [4, 5, 6]]),
        ((-1, 0, 0, 1), [[3, 2, 1], [6, 5, 4]]),  # a selfie
        ((1, 0, 0, -1), [[4, 5, 6], [1, 2, 3]]),
        ((-1, 0, 0, -1), [[6, 5, 4], [3, 2, 1]]),
        ((0, 1, -1, 0), [[4, 1], [5, 2], [6, 3]]),  # a quarter turn clockwise
        ((0, -1, 1, 0), [[3, 6], [2, 5], [1, 4]]),
        ((0, 1, 1, 0), [[1, 4], [2, 5], [3, 6]]),
        ((0, -1, -1, 0), [[6, 3], [5, 2], [4, 1]]),
    ],
)
def test_each_display_matrix_turns_and_mirrors_as_a_player_does(matrix, shown):
    assert oriented(PICTURE, matrix)[..., 0].tolist() == shown


def grey_frame(width=64, height=48, level=120):
    frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), level, np.uint8), "rgb24")
    return frame.reformat(format="yuv420p")


@pytest.mark.parametrize("space", [3, 8, 10, 14, 15])
def test_a_colour_space_that_the_converter_refuses_still_gives_the_picture(space):
    frame = grey_frame()
    frame.colorspace = space
    picture = PictureMaker().picture(frame)
    assert picture.shape == (48, 64, 3)
    assert np.abs(picture.astype(int) - 120).max() <= 2


@pytest.mark.parametrize(("one_size", "second"), [(True, (48, 64, 3)), (False, (32, 32, 3))])
def test_pictures_keep_the_first_ones_size_where_asked(one_size, second):
    maker = PictureMaker(one_size)
    assert maker.picture(grey_frame(64, 48)).shape == (48, 64, 3)
    assert maker.picture(grey_frame(32, 32)).shape == second


def test_no_decoded_frame_waits_for_the_collector_of_cycles(square_video):
    gc.collect()
    gc.disable()
    try:
        reader = file.FileReader(square_video)
        while reader.grab() is not None:
            reader.retrieve()
        assert sum(type(one) is av.VideoFrame for one in gc.get_objects()) < 5
        reader.close()
        assert not any(type(one) is av.VideoFrame for one in gc.get_objects())
    finally:
        gc.enable()


def test_a_frame_can_be_converted_twice():
    maker, frame = PictureMaker(), grey_frame()
    assert np.array_equal(maker.picture(frame), maker.picture(frame))
