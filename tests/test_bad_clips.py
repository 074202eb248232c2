"""A run over many clips of which one in ten is bad, in ten different ways."""

import json
import re
import subprocess
import sys
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import pytest
from helpers.videos import write_square

from action_gru.features import FeatureCache
from action_gru.features.report import named


def empty(path: Path, good: bytes) -> None:
    path.write_bytes(b"")


def noise(path: Path, good: bytes) -> None:
    path.write_bytes(bytes((37 * i * i + 11 * i) % 251 for i in range(4000)))


def zeros(path: Path, good: bytes) -> None:
    path.write_bytes(bytes(len(good)))


def cut_before_its_index(path: Path, good: bytes) -> None:
    path.write_bytes(good[: good.index(b"moov") + 100])


def pointer_of_git(path: Path, good: bytes) -> None:
    path.write_text(
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 4096\n"
    )


def page_of_an_error(path: Path, good: bytes) -> None:
    path.write_text("<!DOCTYPE html><html><body>404 Not Found</body></html>\n")


def archive(path: Path, good: bytes) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("clip.mp4", good)


def huge_picture(path: Path, good: bytes) -> None:
    """A PNG whose header claims 60,000 x 60,000 pixels."""
    size = (60_000).to_bytes(4, "big")
    head = b"IHDR" + size + size + bytes([8, 2, 0, 0, 0])
    head = (13).to_bytes(4, "big") + head + zlib.crc32(head).to_bytes(4, "big")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + bytes(400))


def dangling(path: Path, good: bytes) -> None:
    path.symlink_to(path.with_suffix(".gone"))


def folder(path: Path, good: bytes) -> None:
    path.mkdir()


WAYS = [empty, noise, zeros, cut_before_its_index, pointer_of_git, page_of_an_error, archive,
        huge_picture, dangling, folder]  # fmt: skip


def make_clips(root: Path, count: int) -> None:
    """So many clips and their manifest; every tenth is bad, and each way as often as the others."""
    rows = ["path,label"]
    good = b""
    for number in range(count):
        name = f"{number:04}.mp4"
        if number % 10 == 9:
            WAYS[number // 10 % 10](root / name, good)
        else:
            good = write_square(root / name, 4, seed=number).read_bytes()
        rows.append(f"{name},{'bright' if number % 2 else 'dark'}")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    (root / "config.yaml").write_text(
        "data: {manifest: manifest.csv}\n"
        "sampling: {fps: 10}\n"
        "features: {weights: builtin, image_size: 64, views: [rgb], cache_dir: cache}\n"
    )


def extract(root: Path, share: float) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "action_gru", "extract", "config.yaml", "--json", "-q",
         f"data.max_bad_share={share}"],
        capture_output=True, text=True, cwd=root, check=False,
    )  # fmt: skip


LANES = [100, 1000]


@pytest.mark.slow
@pytest.mark.parametrize("count", LANES)
def test_each_bad_clip_costs_itself_and_has_a_reason(tmp_path, count):
    make_clips(tmp_path, count)
    bad, good = count // 10, count - count // 10
    done = extract(tmp_path, 0.1)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["clips"], answer["quarantined"]) == (count, bad)
    assert FeatureCache(tmp_path / "cache").stats()["entries"] == good
    assert FeatureCache(tmp_path / "cache").verify() == []
    found = dict(re.findall(r"^warning: left out (\d{4}\.mp4): (.+)$", done.stderr, re.MULTILINE))
    assert sorted(found) == [f"{number:04}.mp4" for number in range(9, count, 10)]
    for name, reason in found.items():
        assert name not in reason  # the line names it already
        assert len(reason) > 30, reason
    kinds = Counter(re.sub(r"\S*\d{4}\.mp4", "", reason) for reason in found.values())
    assert len(kinds) >= 8, kinds  # some of the ten meet the decoder in the same way
    again = extract(tmp_path, 0.099)
    assert again.returncode == 3
    assert f"{bad} of {count} clips cannot be read, more than data.max_bad_share=0.099" in (
        again.stderr
    )
    assert len(re.findall(r"^warning: left out ", again.stderr, re.MULTILINE)) == bad
    assert FeatureCache(tmp_path / "cache").stats()["entries"] == good


@pytest.mark.parametrize("reason", ["seq0.csv: no rows", "/data/seq0.csv: no rows", "no rows"])
def test_a_clip_is_named_once_before_its_reason(reason):
    said = named("seq0.csv", reason)
    assert said.count("seq0.csv") == 1
    assert said.endswith("seq0.csv: no rows")
