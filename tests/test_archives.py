"""Unpacking: what a hostile or broken archive can do, and what it leaves behind."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from action_gru.errors import DataError
from action_gru.prepare.archives import unpack, unpack_beside, unpack_inside
from action_gru.prepare.budget import Budget, Limits

MIB = 2**20


def zip_of(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def tar_bytes(*members: tarfile.TarInfo, data: bytes = b"clip") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(data[: member.size]))
    return buffer.getvalue()


def tar_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    member.size = 4 if kind == tarfile.REGTYPE else 0
    return member


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.tar", bytes),
        ("a.tar.gz", gzip.compress),
        ("a.tar.bz2", bz2.compress),
        ("a.tar.xz", lzma.compress),
    ],
)
def test_every_tar_unpacks_to_its_files(
    tmp_path: Path, name: str, pack: Callable[[bytes], bytes]
) -> None:
    folder = tar_member("hug", tarfile.DIRTYPE)
    (tmp_path / name).write_bytes(pack(tar_bytes(folder, tar_member("./hug/one.avi"))))
    unpack(tmp_path / name, tmp_path / "out")
    assert (tmp_path / "out/hug/one.avi").read_bytes() == b"clip"


def test_zip_unpacks_to_its_files_whatever_its_slashes(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", {"hug/one.avi": b"clip", "hug\\two.avi": b"more"})
    unpack(archive, tmp_path / "out")
    assert (tmp_path / "out/hug/one.avi").read_bytes() == b"clip"
    assert (tmp_path / "out/hug/two.avi").read_bytes() == b"more"


ESCAPES = ["../evil", "a/../../evil", "/evil", "C:/evil", "c:evil", "..\\evil", "\\\\host\\evil"]


@pytest.mark.parametrize("name", ESCAPES)
def test_a_zip_path_never_leaves_the_target(tmp_path: Path, name: str) -> None:
    archive = zip_of(tmp_path / "a.zip", {"good.avi": b"x", name: b"x"})
    with pytest.raises(DataError, match="leads outside of the target folder"):
        unpack(archive, tmp_path / "in/out")
    assert names_in(tmp_path) == ["a.zip", "in"]
    assert names_in(tmp_path / "in") == []


@pytest.mark.parametrize("name", ESCAPES)
def test_a_tar_path_never_leaves_the_target(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.tar").write_bytes(tar_bytes(tar_member("good.avi"), tar_member(name)))
    with pytest.raises(DataError, match="leads outside of the target folder"):
        unpack(tmp_path / "a.tar", tmp_path / "in/out")
    assert names_in(tmp_path) == ["a.tar", "in"]
    assert names_in(tmp_path / "in") == []


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_tar_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    members = tar_member("good.avi"), tar_member("odd", kind, link="good.avi")
    (tmp_path / "a.tar").write_bytes(tar_bytes(*members))
    with pytest.raises(DataError, match="'odd' is a link or a device"):
        unpack(tmp_path / "a.tar", tmp_path / "out")
    assert names_in(tmp_path) == ["a.tar"]


def test_a_zip_symlink_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("odd")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="'odd' is a link or a device"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert names_in(tmp_path) == ["a.zip"]


def test_a_zip_bomb_is_stopped_by_its_ratio(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", {"zeros.avi": bytes(20 * MIB)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match=r"more than 16777216 bytes \(200 times its size\)"):
        unpack(archive, tmp_path / "out")
    assert names_in(tmp_path) == ["a.zip"]


def test_a_tar_bomb_is_stopped_by_its_ratio(tmp_path: Path) -> None:
    member = tarfile.TarInfo("zeros.avi")
    member.size = 20 * MIB
    data = tar_bytes(member, data=bytes(20 * MIB))
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(data, 1))
    with pytest.raises(DataError, match="200 times its size"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert names_in(tmp_path) == ["a.tar.gz"]


def test_a_zip_header_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "a.zip", {"zeros.avi": bytes(4 * MIB)}, zipfile.ZIP_DEFLATED)
    honest, lie = struct.pack("<L", 4 * MIB), struct.pack("<L", 10)
    archive.write_bytes(archive.read_bytes().replace(honest, lie))
    with zipfile.ZipFile(archive) as source:
        assert source.getinfo("zeros.avi").file_size == 10
    with pytest.raises(DataError, match="is damaged"):
        unpack(archive, tmp_path / "out")
    assert names_in(tmp_path) == ["a.zip"]


def test_a_tar_note_too_long_for_memory_is_refused(tmp_path: Path) -> None:
    note = tarfile.TarInfo("note")
    note.type, note.size = tarfile.XHDTYPE, 5 * MIB
    (tmp_path / "a.tar").write_bytes(tar_bytes(note, data=bytes(5 * MIB)))
    with pytest.raises(DataError, match="a header of 5242880 bytes"):
        unpack(tmp_path / "a.tar", tmp_path / "out")


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (Limits(entries=2), "more than 2 entries"),
        (Limits(file_bytes=3), "more than 3 bytes in one file"),
        (Limits(total_bytes=10), "more than 10 bytes in all"),
    ],
)
def test_each_limit_stops_the_unpacking(tmp_path: Path, limits: Limits, text: str) -> None:
    archive = zip_of(tmp_path / "a.zip", {f"{n}.avi": b"clip" for n in range(3)})
    with pytest.raises(DataError, match=text):
        unpack(archive, tmp_path / "out", limits)
    assert names_in(tmp_path) == ["a.zip"]


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zip_of(tmp_path / "a.zip", {"one.avi": b"clip", "two.avi": b"clip"})
    copy = Budget.copy

    def copy_then_interrupt(self: Budget, stream: io.BytesIO, target: Path) -> None:
        copy(self, stream, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(Budget, "copy", copy_then_interrupt)
    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / "out")
    assert names_in(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("keep", [30, 100])
def test_a_truncated_archive_is_called_damaged(tmp_path: Path, keep: int) -> None:
    archive = zip_of(tmp_path / "a.zip", {"one.avi": bytes(500)})
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(DataError, match="is damaged"):
        unpack(archive, tmp_path / "out")
    assert names_in(tmp_path) == ["a.zip"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_without_a_name_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("a.txt", "text")
    data = bytearray(archive.read_bytes())
    directory = data.index(b"PK\x01\x02")
    data[directory + 28 : directory + 34] = struct.pack("<HHH", 0, 0, 5)  # the name as a comment
    archive.write_bytes(data)
    with pytest.raises(DataError, match="is damaged"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_name_given_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("one.avi", b"first")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("one.avi", b"second")
    with pytest.raises(DataError, match=r"names 'one.avi' twice"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_file_that_is_no_archive_is_refused_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"is no zip, tar, .* or rar archive"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_an_archive_is_unpacked_once_and_never_over_a_foreign_folder(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "set.zip", {"one.avi": b"clip"})
    assert unpack_beside(archive) == tmp_path / "set"
    (tmp_path / "set/own.txt").write_text("mine")
    assert unpack_beside(archive) == tmp_path / "set"
    assert (tmp_path / "set/own.txt").read_text() == "mine"
    zip_of(archive, {"other.avi": b"another archive of that name"})
    with pytest.raises(DataError, match=r"was not unpacked from this set\.zip"):
        unpack_beside(archive)


def test_archives_inside_archives_are_unpacked_two_levels_deep(tmp_path: Path) -> None:
    zip_of(tmp_path / "inner.zip", {"hug/one.avi": b"clip"})
    zip_of(tmp_path / "outer.zip", {"hug.zip": (tmp_path / "inner.zip").read_bytes()})
    (tmp_path / "inner.zip").unlink()
    assert unpack_inside(tmp_path) == 2
    assert (tmp_path / "outer/hug/hug/one.avi").read_bytes() == b"clip"
    assert unpack_inside(tmp_path) == 0
