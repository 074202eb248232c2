"""What one file may cost: its own frames, never the process that reads it."""

import importlib
import io
import mmap
import os
import signal
import socket
import struct
import sys
import threading
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from helpers.videos import FakeBackbone, clip_of, write_square

from action_gru.config.inputs import DecodingSection
from action_gru.core.errors import VideoError
from action_gru.features import Extractor, MemoryCache
from action_gru.video import DecodeLimits, VideoFile, decoder_process
from action_gru.video.file import FileReader
from action_gru.video.worker import Places, limit_memory
from action_gru.views.sampler import pictures

ARGUMENTS = {
    "views": ["rgb", "motion"], "size_px": 32, "fit": "crop", "fps": 5.0, "start_s": 0.3,
    "end_s": 1.6,
}  # fmt: skip


@pytest.fixture
def bad_program(monkeypatch, tmp_path):
    """Makes a worker run a program of this text in place of decoding."""

    def install(text: str):
        (tmp_path / "bad_program.py").write_text(f"import os, signal, time\n{text}")
        monkeypatch.syspath_prepend(tmp_path)
        for worker in decoder_process._idle:
            worker.end()
        decoder_process._idle.clear()
        sys.modules.pop("bad_program", None)
        return importlib.import_module("bad_program").program

    return install


def run(path: Path, program, **limits) -> list:
    with VideoFile(path, limits=DecodeLimits(**limits)) as video:
        return list(video.run(program))


def test_a_worker_gives_the_same_frames_and_pictures_to_the_bit(square_video):
    for isolate in (True, False):
        limits = DecodeLimits(isolate=isolate)
        with VideoFile(square_video, limits=limits) as video:
            frames = [(f.index, f.time_s, f.image) for f in video]
            samples = list(video.run(pictures, **ARGUMENTS))
            counted = video.frames_decoded
        if isolate:
            first = frames, samples, counted
    assert len(frames) == 20
    assert [round(t, 3) for t, _ in samples] == [0.3, 0.5, 0.7, 0.9, 1.1, 1.3, 1.5]
    assert first[2] == counted == 17
    for (i, t, image), (j, u, other) in zip(frames, first[0], strict=True):
        assert (i, t) == (j, u)
        np.testing.assert_array_equal(image, other)
    for (t, made), (u, others) in zip(samples, first[1], strict=True):
        assert t == u
        assert list(made) == list(others) == ["rgb", "motion"]
        for view in made:
            np.testing.assert_array_equal(made[view], others[view])


def test_frames_stay_what_they_were_when_the_next_one_comes(square_video):
    with VideoFile(square_video) as video:
        frames = [frame.image for frame in video]
        samples = [made["rgb"] for _, made in video.run(pictures, **ARGUMENTS)]
    assert len({frame.tobytes() for frame in frames}) > 10
    assert len({sample.tobytes() for sample in samples}) == 7


@pytest.mark.parametrize(
    ("body", "limits", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", {}, r"the decoder crashed \(SIGSEGV\)"),
        ("os._exit(3)", {}, r"the decoder crashed \(exit code 3\)"),
        ("os.abort()", {}, r"the decoder crashed \(SIGABRT\)"),
        ("bytearray(1 << 30)", {"max_memory_gb": 0.2}, r"more memory than decoding.max_memory_gb"),
        ("yield 0.0, {}; 1 / 0", {}, "ZeroDivisionError while decoding"),
        ("1 / 0", {}, "ZeroDivisionError while decoding"),
    ],
)
def test_a_decoder_that_fails_costs_its_file_only(square_video, bad_program, body, limits, said):
    program = bad_program(f"def program(video):\n    {body}\n    yield 0.0, {{}}\n")
    with pytest.raises(VideoError, match=said) as raised:
        run(square_video, program, **limits)
    assert str(square_video) in str(raised.value)
    with VideoFile(square_video) as video:  # and the next file is read as ever
        assert len(list(video)) == 20


def test_a_decoder_that_hangs_is_stopped_by_the_system_itself(square_video, bad_program):
    program = bad_program(
        "from action_gru.video.clock import FrameClock\n"
        "def program(video):\n"
        "    FrameClock.time_s = lambda self, pts, dts: time.sleep(60)\n"
        "    yield from ((f.time_s, {}) for f in video)\n"
    )
    with pytest.raises(VideoError, match=r"hung: no frame for 0.3 s.*decoding.max_silence_s"):
        run(square_video, program, max_silence_s=0.3)


@pytest.mark.parametrize("isolate", [True, False])
@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_pixels": 6143}, "announces frames of 96 x 64, more than 6,143 pixels"),
        ({"max_frames": 19}, "more than 19 frames; cut it, or raise decoding.max_frames"),
        ({"max_decode_s": 1e-9}, "took more than 1e-09 s, up to frame 0.*decoding.max_decode_s"),
    ],
)
def test_a_file_beyond_a_limit_is_refused_with_the_key(square_video, isolate, limits, said):
    limits = DecodeLimits(isolate=isolate, **limits)
    with pytest.raises(VideoError, match=said), VideoFile(square_video, limits=limits) as video:
        list(video)


def test_a_header_of_60000_by_60000_takes_no_memory(tmp_path):
    path = tmp_path / "small.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (96, 64))
    for _ in range(5):
        writer.write(np.zeros((64, 96, 3), np.uint8))
    writer.release()
    small = path.read_bytes()
    huge = small.replace(struct.pack("<II", 96, 64), struct.pack("<II", 60000, 60000))
    huge = huge.replace(struct.pack(">HH", 64, 96), struct.pack(">HH", 60000, 60000))  # JPEG's own
    assert huge != small
    path.write_bytes(huge)
    with (
        pytest.raises(VideoError, match="no frame decoded"),
        VideoFile(path, limits=DecodeLimits(max_memory_gb=0.25)) as video,
    ):
        list(video)


def test_a_file_at_its_limits_is_read(square_video):
    limits = DecodeLimits(max_pixels=6144, max_frames=20)
    with VideoFile(square_video, limits=limits) as video:
        assert len(list(video)) == 20


def test_a_file_of_one_crashed_worker_is_quarantined_and_the_rest_extracted(tmp_path, monkeypatch):
    paths = [write_square(tmp_path / f"{name}.mp4", 20) for name in "abc"]
    real = decoder_process.DecoderProcess.begin

    def crash_at_b(self, do, work, name, limits):
        if name.endswith("b.mp4"):
            os.kill(self._process.pid, signal.SIGSEGV)
        return real(self, do, work, name, limits)

    monkeypatch.setattr(decoder_process.DecoderProcess, "begin", crash_at_b)
    extractor = Extractor(FakeBackbone(), MemoryCache(), fps=5.0, views=["rgb"])
    report = extractor.extract([clip_of(path) for path in paths])
    assert list(report.quarantined) == ["b.mp4"]
    assert "crashed (SIGSEGV)" in report.quarantined["b.mp4"]
    assert extractor.read(clip_of(paths[2]), report) is not None


def test_a_worker_ends_with_the_process_that_asked_it(square_video):
    reader, writer = os.pipe()
    child = os.fork()
    if not child:  # a process that is killed while it reads a file
        with VideoFile(square_video) as video:
            next(iter(video))
            os.write(writer, str(video._reader._process._process.pid).encode())
            signal.pause()
    worker = int(os.read(reader, 20))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)
    for _ in range(100):
        if not Path(f"/proc/{worker}/cmdline").exists():
            return
        if Path(f"/proc/{worker}/stat").read_text().split()[2] == "Z":
            return
        time.sleep(0.05)
    raise AssertionError("the worker outlived its parent")


def test_breaking_off_stops_the_worker_and_leaves_no_handle(square_video):
    with VideoFile(square_video) as video:
        list(video)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with VideoFile(square_video) as video:
            samples = video.run(pictures, **ARGUMENTS)
            next(samples)
            samples.close()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_a_worker_can_write_no_file(square_video, bad_program, tmp_path):
    program = bad_program(
        f"def program(video):\n    with open({str(tmp_path / 'out')!r}, 'w') as file:\n"
        "        file.write('x' * 10)\n"
        "    yield 0.0, {}\n"
    )
    with pytest.raises(VideoError, match="File too large"):
        run(square_video, program)
    assert not (tmp_path / "out").exists() or not (tmp_path / "out").stat().st_size


@pytest.mark.parametrize("isolate", [True, False])
def test_a_playlist_in_a_videos_clothes_fetches_nothing(tmp_path, isolate):
    server = socket.create_server(("127.0.0.1", 0))
    server.setblocking(False)
    address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
    path = tmp_path / "clip.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{address}\n#EXT-X-ENDLIST\n")
    closer = threading.Timer(3.0, server.close)  # who waits for an answer is let go
    closer.start()
    with (
        pytest.raises(VideoError),
        VideoFile(path, limits=DecodeLimits(isolate=isolate)) as video,
    ):
        list(video)
    closer.cancel()
    with server, pytest.raises(BlockingIOError):  # nobody stands at the door
        server.accept()


def test_the_config_and_the_reader_have_the_same_limits():
    assert DecodeLimits(**DecodingSection().model_dump()) == DecodeLimits()


def test_a_worker_is_kept_for_the_next_file(square_video):
    with VideoFile(square_video) as video:
        list(video.run(pictures, **ARGUMENTS))
        worker = decoder_process._idle[-1]
        list(video.run(pictures, **ARGUMENTS))
    assert decoder_process._idle[-1] is worker


def test_metadata_that_is_no_text_does_not_hide_the_frames(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "METADATA"
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(picture))
        container.mux(stream.encode())
    content = path.read_bytes()
    assert b"METADATA" in content
    path.write_bytes(content.replace(b"METADATA", b"\xff\xfe\xff\xfe\xff\xfe\xff\xfe"))
    reader = FileReader(path)
    assert reader.info.first_s == 0.0
    reader.close()


def test_a_sample_waits_for_a_place_and_large_ones_for_all_others():
    places = Places(mmap.mmap(-1, 8 << 12), io.BytesIO(bytes(9)))
    assert [places.take(4096) for _ in range(8)] == [n << 12 for n in range(8)]
    assert places.take(4096) == 0  # the first one, once a byte has freed it
    assert places.take(4 << 20) == 0  # alone: the other eight are freed before
    with pytest.raises(EOFError):  # the parent has gone
        places.take(4096)


@pytest.mark.slow  # it starts a process with less memory
def test_pictures_larger_than_a_place_follow_the_answer(square_video, bad_program, monkeypatch):
    text = "import numpy as np\ndef program(video):\n"
    text += "    for n, side in enumerate([8, 400, 8]):\n"
    text += "        yield float(n), {'a': np.full((side, side, 1), n, np.uint8)}\n"
    program = bad_program(text)
    monkeypatch.setattr(decoder_process, "SHARED_BYTES", 1 << 20)
    made = [pictures["a"] for _, pictures in run(square_video, program)]
    decoder_process.end_idle()
    assert [(len(image), *np.unique(image)) for image in made] == [(8, 0), (400, 1), (8, 2)]


def test_the_memory_limit_counts_from_what_is_in_use():
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        limit_memory(0.5)
        with pytest.raises(MemoryError):
            np.empty(700 << 20, np.uint8)
        assert np.empty(100 << 20, np.uint8).size == 100 << 20
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
