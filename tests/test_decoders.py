"""The file decoder against files written here, and against a second, independent decoder."""

import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from av.codec.context import Flags
from helpers.videos import moving_square

from action_gru.core.errors import VideoError
from action_gru.video import DecodeLimits, VideoFile

HERE = DecodeLimits(isolate=False)


def write(path, images, codec="mpeg2video", interlaced=False, **options):
    """A file of the images, 25 a second; interlaced: coded and marked as such."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        if interlaced:
            stream.codec_context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    return path


def read(path):
    with VideoFile(path, limits=HERE) as video:
        return list(video)


def difference(one, other):
    return max(
        np.abs(a.image.astype(int) - b.image).mean() for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize(
    ("codec", "ending"),
    [("mpeg2video", "mpg"), ("mpeg2video", "mts"), ("mpeg4", "avi"), ("libx264", "mts")],
)
def test_interlaced_video_gives_the_pictures_of_its_progressive_twin(tmp_path, codec, ending):
    images = list(moving_square(12))
    options = {"x264opts": "tff=1"} if codec == "libx264" else {}
    plain = read(write(tmp_path / f"plain.{ending}", images, codec))
    path = write(tmp_path / f"interlaced.{ending}", images, codec, interlaced=True, **options)
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    frames = read(path)
    assert difference(frames, plain) < 3
    assert np.abs(frames[0].image.astype(int) - frames[-1].image).mean() > 1  # and they move


def test_an_interlaced_file_is_read_alike_in_a_process_of_its_own(tmp_path):
    path = write(tmp_path / "a.mpg", list(moving_square(12)), interlaced=True)
    with VideoFile(path) as video:
        assert difference(read(path), list(video)) == 0.0


def test_a_name_that_looks_like_an_address_is_a_file(tmp_path, monkeypatch):
    for name in ("cam1:12:30.mpg", "-3abc.mpg", "a?b=1&c.mpg", "100%d.mpg", "ü 走.mpg"):
        write(tmp_path / "plain.mpg", list(moving_square(3))).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for name in os.listdir():  # noqa: PTH208 - relative, as a user types them
        assert len(read(name)) == 3, name


def test_joined_files_do_not_jump_in_time(tmp_path):
    path = write(tmp_path / "a.mts", list(moving_square(12)))
    joined = tmp_path / "joined.mts"
    joined.write_bytes(path.read_bytes() * 3)
    times_s = [frame.time_s for frame in read(joined)]
    assert len(times_s) > 30
    assert np.diff(times_s) == pytest.approx([0.04] * (len(times_s) - 1), abs=0.001)


def add_cover(container):
    """A stream whose one picture is the cover."""
    cover = container.add_stream("mjpeg", rate=1)
    cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
    cover.disposition = av.stream.Disposition.attached_pic
    picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
    return [*cover.encode(picture), *cover.encode()]


def test_a_cover_picture_is_not_the_video(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        sound, cover = container.add_stream("aac", rate=16000), add_cover(container)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        container.mux([*cover, *sound.encode(frame), *sound.encode()])
    with pytest.raises(VideoError, match="but a cover picture; give a file that holds video"):
        read(path)


def test_the_video_beside_a_cover_picture_is_read(tmp_path):
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        cover, stream = add_cover(container), container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        images = [av.VideoFrame.from_ndarray(image, "rgb24") for image in moving_square(5)]
        packets = [packet for image in images for packet in stream.encode(image)]
        container.mux([*cover, *packets, *stream.encode()])
    assert [frame.image.shape for frame in read(path)] == [(64, 96, 3)] * 5


def test_mirrored_video_is_flipped(shared_cases):
    plain, mirrored = (read(shared_cases / "F03" / f"{n}.mp4") for n in ("plain", "mirrored"))
    assert all(
        np.array_equal(a.image[:, ::-1], b.image) for a, b in zip(plain, mirrored, strict=True)
    )


def test_a_picture_that_starts_after_the_sound_has_the_players_time(shared_cases):
    frames = read(shared_cases / "F04" / "video_after_2s.mp4")
    assert [round(frame.time_s, 3) for frame in frames[:3]] == [2.0, 2.1, 2.2]


def test_the_interlaced_cases_show_the_recorded_pictures(shared_cases):
    progressive = read(shared_cases / "F01" / "progressive.mpg")
    assert difference(read(shared_cases / "F01" / "interlaced.mpg"), progressive) < 3
    for name in ("interlaced.mpg", "interlaced.mts"):
        frames = read(shared_cases / "F01" / name)
        assert [round(frame.image.mean()) for frame in frames] == [125] * 15
        assert np.abs(frames[0].image.astype(int) - frames[8].image).mean() > 3


def by_ffmpeg(path: Path, shape: tuple[int, ...]):
    """(pictures, instants) as ffmpeg's own program decodes the file; pictures one at a time."""
    command = [
        "ffmpeg", "-nostdin", "-v", "info", "-copyts", "-i", str(path), "-map", "0:V:0",
        "-fps_mode", "passthrough", "-vf", "showinfo", "-f", "rawvideo", "-pix_fmt", "rgb24", "-",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lines: list[bytes] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stderr))
    reader.start()

    def pictures():
        while len(raw := process.stdout.read(int(np.prod(shape)))) == np.prod(shape):
            yield np.frombuffer(raw, np.uint8).reshape(shape)

    def instants():
        reader.join()
        process.wait()
        start_s = max(0.0, container_start_s(path))
        found = re.findall(rb"pts_time:\s*(\S+)", b"".join(lines))
        return [float(text) - start_s for text in found]

    return pictures(), instants


def container_start_s(path: Path) -> float:
    command = ["ffprobe", "-v", "error", "-show_entries", "format=start_time", "-of", "csv=p=0"]
    told = subprocess.run([*command, str(path)], capture_output=True, text=True, check=True).stdout
    return 0.0 if "N/A" in told else float(told.strip().rstrip(","))


def videos(folder: Path) -> list[Path]:
    others = {".csv", ".txt", ".npy", ".jpg", ".ts", ""}
    return [p for p in sorted(folder.rglob("*")) if p.is_file() and p.suffix not in others]


@pytest.mark.slow
@pytest.mark.parametrize("part", ["data/edge", "cases"])
def test_pictures_and_times_agree_with_a_second_decoder(shared_data, part):
    """Mean absolute difference under 3 of 255 and one millisecond, frame by frame."""
    if shutil.which("ffmpeg") is None:
        pytest.fail("needs the program ffmpeg: apt-get install ffmpeg")
    compared = 0
    for path in videos(shared_data.parent / part):
        try:
            ours = VideoFile(path, limits=HERE).frames()
            first = next(ours)
        except VideoError:
            continue  # test_video says which these are
        pictures, instants = by_ffmpeg(path, first.image.shape)
        times_s = []
        for frame in (first, *ours):
            worst = np.abs(frame.image.astype(np.int16) - next(pictures)).mean()
            assert worst < 3, (path.name, frame.index)
            times_s.append(frame.time_s)
        cut_off = sum(1 for _ in pictures)  # pictures of which the file holds only a part
        assert cut_off == path.name.count("_truncated_"), path.name
        assert times_s == pytest.approx(instants()[: len(times_s)], abs=0.001), path.name
        compared += 1
    assert compared >= {"data/edge": 26, "cases": 40}[part]
