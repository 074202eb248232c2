"""Rar archives: what the outside program may write, and what is said when there is none."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path

import pytest

from action_gru.errors import DataError
from action_gru.prepare.archives import unpack


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


RAR = b"Rar!\x1a\x07\x01\x00 stands for an archive"


def fake_bsdtar(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a bsdtar on the PATH that runs script in the folder it is to unpack into ($5)."""
    folder.mkdir()
    program = folder / "bsdtar"
    program.write_text(f'#!/bin/sh\ncd "$5" || exit 9\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda name: str(program) if name == "bsdtar" else None)


def test_rar_goes_through_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.rar").write_bytes(RAR)
    fake_bsdtar(tmp_path / "bin", "mkdir hug && printf clip > hug/one.avi", monkeypatch)
    unpack(tmp_path / "a.rar", tmp_path / "out")
    assert (tmp_path / "out/hug/one.avi").read_bytes() == b"clip"


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("ln -s /etc/passwd odd", "'odd' is a link or a device"),
        ("printf x > one && ln one two", "is a link or a device"),
        ("mkfifo odd", "'odd' is a link or a device"),
        ("head -c 20000000 /dev/zero > zeros", "200 times its size"),
        ("echo 'Unsupported method' >&2; exit 1", "bsdtar: Unsupported method"),
    ],
)
def test_what_the_rar_program_wrote_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, text: str
) -> None:
    (tmp_path / "a.rar").write_bytes(RAR)
    fake_bsdtar(tmp_path / "bin", script, monkeypatch)
    with pytest.raises(DataError, match=text):
        unpack(tmp_path / "a.rar", tmp_path / "out")
    assert names_in(tmp_path) == ["a.rar", "bin"]


def test_a_rar_bomb_is_stopped_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.rar").write_bytes(RAR)
    fake_bsdtar(tmp_path / "bin", "head -c 20000000 /dev/zero > zeros; exec sleep 60", monkeypatch)
    with pytest.raises(DataError, match="200 times its size"):
        unpack(tmp_path / "a.rar", tmp_path / "out")
    assert names_in(tmp_path) == ["a.rar", "bin"]


def test_rar_without_a_program_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.rar").write_bytes(RAR)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(DataError, match="none of bsdtar, unrar, unar, 7zz, 7z is on the PATH"):
        unpack(tmp_path / "a.rar", tmp_path / "out")
    assert names_in(tmp_path) == ["a.rar"]


def stored_rar(name: str, data: bytes) -> bytes:
    """A rar 4 archive of one uncompressed file."""

    def block(kind: int, flags: int, fields: bytes) -> bytes:
        body = struct.pack("<BHH", kind, flags, 7 + len(fields)) + fields
        return struct.pack("<H", zlib.crc32(body) & 0xFFFF) + body

    encoded = name.encode()
    sizes = struct.pack("<LLBL", len(data), len(data), 3, zlib.crc32(data))
    rest = struct.pack("<LBBHL", 0x210000, 20, 0x30, len(encoded), 0o100644)  # 1 January 1980
    file_block = block(0x74, 0x8000, sizes + rest + encoded)
    return (
        b"Rar!\x1a\x07\x00"
        + block(0x73, 0, bytes(6))
        + file_block
        + data
        + block(0x7B, 0x4000, b"")
    )


@pytest.mark.parametrize("program", ["bsdtar", "unrar", "unar"])  # 7z often comes without rar
def test_a_real_rar_unpacks_with_each_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not on the PATH")
    monkeypatch.setattr("shutil.which", lambda name: path if name == program else None)
    (tmp_path / "a b.rar").write_bytes(stored_rar("hug\\one.avi", b"clip"))
    unpack(tmp_path / "a b.rar", tmp_path / "out")
    assert (tmp_path / "out/hug/one.avi").read_bytes() == b"clip"


def test_a_program_without_rar_makes_way_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.rar").write_bytes(RAR)
    fake_bsdtar(tmp_path / "bin", "touch half; exit 1", monkeypatch)
    second = tmp_path / "bin/unrar"
    second.write_text('#!/bin/sh\nprintf clip > "${7}one.avi"\n')
    second.chmod(0o755)
    monkeypatch.setattr(
        "shutil.which",
        lambda name: str(tmp_path / "bin" / name) if name in ("bsdtar", "unrar") else None,
    )
    unpack(tmp_path / "a.rar", tmp_path / "out")
    assert names_in(tmp_path / "out") == [".unpacked-from", "one.avi"]
