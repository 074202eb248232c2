"""Folders and archives of numbered pictures read as video."""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from helpers.pictures import pack, write_frames
from helpers.videos import extractor, moving_square
from numpy.typing import NDArray
from PIL import Image

from action_gru.core.errors import VideoError
from action_gru.dataset import Clip
from action_gru.features import ClipFeatures, ViewKey
from action_gru.video import DecodeLimits, Frame, VideoFile

HERE = DecodeLimits(isolate=False)


def read(path: Path, limits: DecodeLimits = HERE, rate: float | None = 10.0) -> list[Frame]:
    with VideoFile(path, limits=limits, frame_rate=rate) as video:
        return list(video)


def one_frame(folder: Path, name: str, data: bytes) -> NDArray[np.uint8]:
    """The picture that the data are read as."""
    folder.mkdir()
    (folder / name).write_bytes(data)
    (frame,) = read(folder)
    return frame.image


def encoded(image: NDArray[np.generic], suffix: str) -> bytes:
    return bytes(cv2.imencode(suffix, image)[1])


@pytest.mark.parametrize("isolate", [True, False])
def test_frames_come_in_order_with_the_time_of_their_number(tmp_path: Path, isolate: bool) -> None:
    folder = write_frames(tmp_path / "v", count=12)
    (folder / "img_005.png").unlink()
    (folder / "Thumbs.db").touch()
    with VideoFile(folder, limits=DecodeLimits(isolate=isolate), frame_rate=10.0) as video:
        frames = list(video)
        assert (video.frames_decoded, video.damaged, video.declared_s) == (11, 0, 1.2)
        assert [note.split(":")[0] for note in video.notes] == [
            "1 number missing at 1 place, the first between img_004.png and img_006.png",
            "1 file left out, as no pictures",
        ]
    assert [frame.time_s for frame in frames] == [n / 10 for n in range(12) if n != 4]
    true = list(moving_square(12))
    assert (frames[4].image == true[5]).all()


@pytest.mark.parametrize(
    ("kind", "backwards"), [("zip", True), ("tar", True), ("tar.gz", False), ("tar.gz", True)]
)
def test_an_archive_gives_the_frames_of_its_folder(
    tmp_path: Path, kind: str, backwards: bool
) -> None:
    folder = write_frames(tmp_path / "v", count=6)
    frames, packed = read(folder), read(pack(folder, kind, backwards))
    assert [one.time_s for one in packed] == [one.time_s for one in frames]
    assert all((a.image == b.image).all() for a, b in zip(packed, frames, strict=True))


def test_pictures_of_a_packed_tar_that_come_too_early_are_not_kept_without_end(
    tmp_path: Path,
) -> None:
    packed = pack(write_frames(tmp_path / "v", count=6), "tar.gz", backwards=True)
    with pytest.raises(VideoError, match=r"another order than their numbers.*sorted by name"):
        read(packed, DecodeLimits(isolate=False, max_memory_gb=4e-5))


def test_without_a_rate_the_error_names_the_key_and_the_column(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"v: pictures have no .*data\.frame_rate=25.*column fram"):
        read(write_frames(tmp_path / "v", count=2), rate=None)


def test_a_damaged_picture_costs_itself_only(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "v", count=6)
    first = folder / "img_001.png"
    first.write_bytes(first.read_bytes()[:900])
    (folder / "img_004.png").write_bytes(b"none")
    with VideoFile(folder, limits=HERE, frame_rate=10.0) as video:
        assert [frame.time_s for frame in video] == [0.1, 0.2, 0.4, 0.5]
        assert video.damaged == 2


def test_where_no_picture_can_be_decoded_the_first_reason_is_told(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "v", count=2)
    for path in folder.iterdir():
        path.write_bytes(b"none")
    with pytest.raises(VideoError, match=r"none of its 2 pictures can .* img_001\.png: none of"):
        read(folder)


def test_a_picture_that_vanishes_while_the_clip_is_read_is_no_damage(tmp_path: Path) -> None:
    """The features would stand in the cache under the hash of the whole folder."""
    folder = write_frames(tmp_path / "v", count=3)
    with VideoFile(folder, limits=HERE, frame_rate=10.0) as video:
        frames = iter(video)
        next(frames)
        (folder / "img_003.png").unlink()
        with pytest.raises(VideoError, match=r"img_003.png was there and is gone; read it again"):
            list(frames)


def test_pictures_of_two_sizes_are_refused_by_name(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "v", count=3)
    Image.new("RGB", (50, 40)).save(folder / "img_003.png")
    with pytest.raises(
        VideoError, match=r"img_002\.png is 96 x 64 pixels, img_003\.png 50 x 40; scale them"
    ):
        read(folder)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm"])
def test_every_lossless_format_gives_its_colours_to_the_bit(tmp_path: Path, suffix: str) -> None:
    (image,) = moving_square(1)
    assert (
        one_frame(tmp_path / "v", f"1{suffix}", encoded(image[..., ::-1], suffix)) == image
    ).all()


def test_webp_and_jpeg_are_read(tmp_path: Path) -> None:
    image = np.full((40, 60, 3), (200, 100, 50), np.uint8)
    for suffix in (".webp", ".JPG"):
        data = encoded(image[..., ::-1], suffix.lower())
        assert (
            np.abs(one_frame(tmp_path / suffix, f"1{suffix}", data) - image.astype(int)).max() < 4
        )


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_of_sixteen_bits_the_high_byte_is_taken(tmp_path: Path, suffix: str) -> None:
    grey = np.arange(0, 65_536, 41, np.uint16)[:1500].reshape(30, 50)
    image = one_frame(tmp_path / "grey", f"1{suffix}", encoded(grey, suffix))
    assert (image == (grey >> 8)[..., None]).all()
    colour = np.dstack([grey, grey // 2, grey // 3])
    image = one_frame(tmp_path / "colour", f"1{suffix}", encoded(colour, suffix))
    assert (image == (colour >> 8)[..., ::-1]).all()


def test_floating_point_pictures_are_damage(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="32 bits a pixel"):
        one_frame(tmp_path / "v", "1.tiff", encoded(np.zeros((9, 9), np.float32), ".tiff"))


def test_transparency_leaves_the_colours(tmp_path: Path) -> None:
    clear = np.dstack([np.full((9, 9), value, np.uint8) for value in (10, 20, 30, 0)])
    assert (one_frame(tmp_path / "v", "1.png", encoded(clear, ".png")) == (30, 20, 10)).all()


def test_a_picture_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :30] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is at the right
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", exif=exif)
    shown = one_frame(tmp_path / "v", "1.jpg", buffer.getvalue())
    assert shown.shape == (60, 40, 3)
    assert shown[:25].min() > 250 > 5 > shown[35:].max()


def huge_picture() -> bytes:
    """A PNG whose header claims 20,000 x 20,000 pixels."""
    size = (20_000).to_bytes(4, "big")
    head, body = b"IHDR" + size + size + bytes([8, 2, 0, 0, 0]), b"IDAT" + zlib.compress(bytes(99))
    chunks = [
        (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
        for chunk in (head, body)
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_limits_hold_before_anything_is_decoded(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "v", count=4)
    with pytest.raises(VideoError, match=r"img_001\.png: its header announces 96 x 64, more than"):
        read(folder, DecodeLimits(isolate=False, max_pixels=6000))
    with pytest.raises(VideoError, match=r"more than 3 frames.*decoding\.max_frames"):
        read(folder, DecodeLimits(isolate=False, max_frames=3))
    (folder / "img_002.png").write_bytes(huge_picture())
    with pytest.raises(VideoError, match=r"img_002\.png: its header announces 20000 x 20000, more"):
        read(folder)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb_in_an_archive_is_a_damaged_picture(tmp_path: Path, kind: str) -> None:
    folder = write_frames(tmp_path / "v", count=3)
    (folder / "img_002.png").write_bytes(bytes(3 << 20))
    packed = pack(folder, kind)
    assert packed.stat().st_size < 60_000
    with VideoFile(packed, limits=DecodeLimits(isolate=False, max_pixels=9000), frame_rate=1) as v:
        assert [frame.time_s for frame in v] == [0, 2]


def test_names_in_an_archive_are_never_paths_and_links_are_not_followed(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "v", count=2)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("/abs/1.png", "/abs/2.png", "../../escape_3.png"):
            tar.add(frames / "img_001.png", name)
        link = tarfile.TarInfo("abs/4.png")
        link.type, link.linkname = tarfile.SYMTYPE, str(frames / "img_001.png")
        tar.addfile(link)
    before = set(tmp_path.rglob("*"))
    with VideoFile(tmp_path / "a.tar", limits=HERE, frame_rate=10.0) as video:
        assert len(list(video)) == 2
        assert video.notes == ("1 file left out, as no pictures: ../../escape_3.png",)
    assert set(tmp_path.rglob("*")) == before


def test_archives_that_cannot_be_read_are_one_error(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "v", count=2)
    for kind in ("zip", "tar", "tar.gz"):
        packed = pack(frames, kind)
        packed.write_bytes(packed.read_bytes()[: packed.stat().st_size // 2])
        with pytest.raises(VideoError, match=r"v\.\S+: no archive that can be read .*copy it"):
            read(packed)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("readme.txt", "")
    with pytest.raises(VideoError, match=r"b\.zip: no picture in it"):
        read(tmp_path / "b.zip")


def lossless(path: Path, count: int) -> Path:
    """The pictures of `write_frames` as FFV1 in RGB, ten a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 96, 64, "bgr0"
        for image in moving_square(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    return path


def features(folder: Path, path: Path) -> tuple[dict[ViewKey, str], dict[ViewKey, ClipFeatures]]:
    """The keys of a clip, and its features."""
    clip, work = Clip(path, path.name, "x", path.name, frame_rate=10.0), extractor(folder)
    report = work.extract([clip])
    assert not report.quarantined
    found = work.read(clip, report)
    assert found is not None
    return report.keys[clip.name], found


def test_a_folder_has_the_features_of_the_same_pictures_as_a_lossless_video(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "v")
    keys, frames = features(tmp_path, folder)
    _, video = features(tmp_path, lossless(tmp_path / "v.mkv", 20))
    for view_key, entry in frames.items():
        assert entry.times_s == pytest.approx(video[view_key].times_s, abs=1e-9)
        assert entry.values == pytest.approx(video[view_key].values, abs=2e-2)
    (folder / "notes.txt").write_text("a stray file")
    assert features(tmp_path, folder)[0] == keys


def test_the_rate_is_part_of_what_features_are_kept_by(tmp_path: Path) -> None:
    folder, work = write_frames(tmp_path / "v", count=4), extractor(tmp_path)
    slow, fast = (Clip(folder, "v", "x", "v", frame_rate=rate) for rate in (5.0, 10.0))
    assert not set(work.plan(slow).keys.values()) & set(work.plan(fast).keys.values())
    assert work.plan(slow).content == work.plan(fast).content  # and a copy is found all the same
