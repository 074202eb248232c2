"""Unpacks rar archives with a program that is on the PATH. Holds no rar code of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from action_gru.errors import DataError
from action_gru.prepare.budget import Budget

# bsdtar first: it never writes through a link that the archive itself has laid.
PROGRAMS: dict[str, Callable[[str, str], list[str]]] = {
    "bsdtar": lambda archive, folder: ["-x", "-f", archive, "-C", folder],
    "unrar": lambda archive, folder: ["x", "-o-", "-y", "-p-", "-idq", archive, f"{folder}/"],
    "unar": lambda archive, folder: ["-quiet", "-no-directory", "-o", folder, archive],
    "7zz": lambda archive, folder: ["x", "-y", f"-o{folder}", archive],
    "7z": lambda archive, folder: ["x", "-y", f"-o{folder}", archive],
}
_WATCH_S = 1.0


def unpack_rar(archive: Path, folder: Path, budget: Budget) -> None:
    """Unpack into an empty folder, surveyed every second while the program runs and at its end.

    Programs are tried in the order of PROGRAMS. Raises DataError where none is installed, none
    succeeds, or the result passes a limit or holds a link.
    """
    found = {name: path for name in PROGRAMS if (path := shutil.which(name))}
    if not found:
        raise DataError(
            f"{archive}: is a rar archive and none of {', '.join(PROGRAMS)} is on the PATH; "
            "install one (bsdtar comes with libarchive), or unpack it by hand and pass the folder"
        )
    complaints: list[str] = []
    for name, path in found.items():
        arguments = PROGRAMS[name](str(archive.resolve()), str(folder.resolve()))
        complaint = _run([path, *arguments], folder, budget)
        budget.survey(folder)
        if complaint is None:
            return
        complaints.append(f"{name}: {complaint}")
        _empty(folder)
    raise DataError(
        f"{archive}: not unpacked ({'; '.join(complaints)}); take the archive afresh, or unpack it "
        "by hand and pass the folder"
    )


def _run(command: list[str], folder: Path, budget: Budget) -> str | None:
    """None, or the complaint of a program that failed."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            complaint = _watch(process, folder, budget)
        except BaseException:
            process.kill()
            raise
    if process.returncode == 0:
        return None
    lines = complaint.decode(errors="replace").split("\n")
    return next((line.strip() for line in lines if line.strip()), f"exit {process.returncode}")


def _watch(process: subprocess.Popen[bytes], folder: Path, budget: Budget) -> bytes:
    while True:
        try:
            return process.communicate(timeout=_WATCH_S)[1]
        except subprocess.TimeoutExpired:
            budget.survey(folder)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
