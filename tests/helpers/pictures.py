"""Tiny folders of frames, and archives of them."""

import tarfile
import zipfile
from pathlib import Path

from PIL import Image

from helpers.videos import moving_square


def write_frames(folder: Path, count: int = 20, seed: int = 0) -> Path:
    """The pictures of `write_square` as img_001.png, img_002.png, ..."""
    folder.mkdir(parents=True)
    for number, image in enumerate(moving_square(count, seed), start=1):
        Image.fromarray(image).save(folder / f"img_{number:03d}.png")
    return folder


def pack(folder: Path, kind: str, backwards: bool = False) -> Path:
    """FOLDER.zip, .tar or .tar.gz of a folder's files, with the folder's name before theirs."""
    path = folder.with_name(f"{folder.name}.{kind}")
    files = sorted(folder.iterdir(), reverse=backwards)
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, f"{folder.name}/{file.name}")
        return path
    with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as tar:
        for file in files:
            tar.add(file, f"{folder.name}/{file.name}")
    return path
