"""A GPU that decodes, on a processor: a stand-in for PyAV gives frames in a GPU's layout."""

import av
import numpy as np
import pytest
from av.codec.context import Flags
from av.codec.hwaccel import HWAccel, hwdevices_available
from helpers.videos import clip_of, extractor, moving_square, write_square

from action_gru.core.errors import ConfigError, VideoError
from action_gru.video import DecodeLimits, VideoFile, frame, stream_decoder

HERE = DecodeLimits(isolate=False)


class Beside:
    """An object of PyAV with some attributes of its own."""

    def __init__(self, real, **own) -> None:
        self.__dict__.update(real=real, own=own)

    def __getattr__(self, name):
        own = self.__dict__["own"]
        return own[name] if name in own else getattr(self.__dict__["real"], name)

    def __setattr__(self, name, value) -> None:
        setattr(self.__dict__["real"], name, value)


@pytest.fixture
def gpu(monkeypatch):
    """Settings of the stand-in, which opens what is to be opened by a GPU.

    fails_at: the packet at which it fails; layout: of its frames; decoded: how many it gave.
    """
    settings = {"fails_at": None, "layout": "nv12", "decoded": 0, "opens": True}
    real_open = av.open

    def stand_in(place, *mode, hwaccel=None, **options):
        if hwaccel is not None and not settings["opens"]:
            raise av.error.ExternalError(542398533, "Generic error in an external library")
        container = real_open(place, *mode, **options)
        if hwaccel is None:
            return container
        stream, packets = container.streams.video[0], iter(range(10_000))

        def decode(packet):
            if next(packets) == settings["fails_at"]:
                raise av.error.ExternalError(542398533, "out of surfaces")
            for made in stream.decode(packet):
                assert made.format.name == "yuv420p"  # of others the stand-in would lose colours
                settings["decoded"] += 1
                yield made.reformat(format=settings["layout"])

        context = Beside(stream.codec_context, is_hwaccel=True, pix_fmt="cuda")
        seen = Beside(stream, codec_context=context, decode=decode)
        streams = Beside(container.streams, video=[seen])
        return Beside(container, streams=streams, demux=lambda _: container.demux(stream))

    monkeypatch.setattr(frame, "check_hardware", lambda name: None)
    monkeypatch.setattr(av, "open", stand_in)
    return settings


def read(path, hardware="none"):
    limits = DecodeLimits(isolate=False, hardware=hardware)
    with VideoFile(path, limits=limits) as video:
        frames = list(video)
        return [f.time_s for f in frames], np.array([f.image for f in frames]), video


def alike(path) -> VideoFile:
    """The file as a GPU reads it, checked against the processor's pictures and instants."""
    times_s, images, plain = read(path)
    found_s, found, video = read(path, "cuda")
    assert found_s == times_s
    np.testing.assert_array_equal(found, images)
    assert (video.frames_decoded, video.damaged) == (plain.frames_decoded, plain.damaged)
    return video


@pytest.fixture
def path(tmp_path):
    return write_square(tmp_path / "a.mp4")


def test_a_gpu_gives_the_processors_pictures_and_instants(gpu, path):
    assert alike(path).notes == ()
    assert gpu["decoded"] == 20


@pytest.mark.parametrize("layout", stream_decoder.LAYOUTS)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("space", [1, 2, 5])
def test_the_layout_of_a_gpu_costs_no_bit(layout, full, space):
    rng = np.random.default_rng(0)
    format = stream_decoder.LAYOUTS[layout]
    plain = av.VideoFrame.from_ndarray(rng.integers(0, 256, (48, 64, 3), np.uint8)).reformat(
        format=format, dst_color_range=2 if full else 1
    )
    plain.colorspace = space
    same = plain.reformat(format=layout)
    made = frame.PictureMaker().picture(plain)
    np.testing.assert_array_equal(frame.PictureMaker().picture(same, format), made)


def test_an_interlaced_file_of_a_gpu_shows_whole_frames(gpu, tmp_path):
    path = tmp_path / "a.mts"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"x264opts": "tff=1"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        for image in moving_square(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    assert alike(path).notes == ()


@pytest.mark.parametrize("fails_at", [0, 7])
def test_what_a_gpu_fails_at_the_processor_decodes_from_there_on(gpu, path, fails_at):
    gpu["fails_at"] = fails_at
    video = alike(path)
    since = f" from frame {gpu['decoded']} on" if fails_at else ""
    assert len(video.notes) == 1
    assert f"decoding.hardware=cuda: decoded by the processor{since}, since" in video.notes[0]
    assert "out of surfaces" in video.notes[0]


def test_a_gpu_that_opens_nothing_blames_no_file(gpu, path):
    gpu["opens"] = False
    assert "by the processor, since" in alike(path).notes[0]


def test_a_layout_that_is_not_known_to_be_alike_is_left_to_the_processor(gpu, path):
    gpu["layout"] = "nv16"
    assert "since it gives frames of nv16" in alike(path).notes[0]


def test_a_codec_that_is_not_exact_is_left_to_the_processor(gpu, shared_cases):
    video = alike(shared_cases / "F01" / "interlaced.mpg")
    assert "since it decodes no mpeg2video to the bit" in video.notes[0]


def test_damage_is_counted_as_the_processor_counts_it(gpu, path):
    with av.open(str(path)) as container:
        place = [packet.pos for packet in container.demux(video=0)][10]
    content = bytearray(path.read_bytes())
    content[place : place + 8] = b"\xff" * 8
    path.write_bytes(content)
    video = alike(path)
    assert video.damaged == 1
    assert "Invalid data" in video.notes[0]


def test_a_file_that_is_no_video_is_named_as_ever(gpu, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(VideoError, match=r"empty \(0 bytes\)"):
        read(tmp_path / "a.mp4", "cuda")


def test_features_of_a_gpu_have_keys_of_their_own(gpu, path, tmp_path):
    keys = []
    for hardware in ("none", "cuda"):
        made = extractor(tmp_path, limits=DecodeLimits(hardware=hardware))
        keys.append(made.plan(clip_of(path)).keys)
    assert keys[0].keys() == keys[1].keys()
    assert not set(keys[0].values()) & set(keys[1].values())


def has_gpu() -> bool:
    try:
        HWAccel("cuda").create(av.Codec("h264", "r"))
    except (av.FFmpegError, NotImplementedError, OSError):
        return False
    return True


@pytest.mark.slow
@pytest.mark.skipif(has_gpu(), reason="needs a machine without an NVIDIA GPU")
def test_a_process_that_cannot_have_the_gpu_decodes_and_says_so(path, monkeypatch):
    """Such as one too many for the memory of the GPU; here FFmpeg itself refuses."""
    monkeypatch.setattr(frame, "check_hardware", lambda name: None)
    plain = read(path)[1]
    with VideoFile(path, limits=DecodeLimits(hardware="cuda")) as video:
        whole = np.array([one.image for one in video])
        notes = [video.notes]
        ran = np.array([made["rgb"] for _, made in video.run(all_pictures)])
        notes.append(video.notes)
    for images, told in zip((whole, ran), notes, strict=True):
        np.testing.assert_array_equal(images, plain)
        assert len(told) == 1
        assert told[0].startswith("decoding.hardware=cuda: decoded by the processor, since [Errno")


def all_pictures(video):
    for one in video:
        yield one.time_s, {"rgb": one.image}


@pytest.mark.skipif(has_gpu(), reason="needs a machine without an NVIDIA GPU")
def test_a_gpu_that_is_not_there_is_told_before_any_file():
    with pytest.raises(ConfigError, match=r"finds no GPU .* Set decoding\.hardware=none"):
        DecodeLimits(hardware="cuda")
    with pytest.raises(ConfigError, match="vaapi: No supported hardware config"):
        DecodeLimits(hardware="vaapi")


def test_ffmpeg_is_built_for_the_gpu_and_the_codecs():
    assert "cuda" in hwdevices_available()
    for name in stream_decoder.EXACT:
        configs = av.Codec(name, "r").hardware_configs
        assert "cuda" in [one.device_type.name for one in configs if one.is_supported], name


@pytest.mark.skipif(not has_gpu(), reason="needs an NVIDIA GPU")
def test_a_real_gpu_gives_the_processors_pictures(shared_data):
    told = {}
    for file in sorted((shared_data / "edge").glob("*.m*")):
        try:
            read(file)
        except VideoError:
            continue
        told[file.name] = alike(file).notes
    assert any(not notes for notes in told.values())
