"""Says why a file is no video, from its first bytes and its boxes."""

from __future__ import annotations

from pathlib import Path


def diagnose(path: Path) -> str:
    """Why a file does not open as video, in words, with the mend."""
    with path.open("rb") as file:
        head = file.read(512)
        boxes = _mp4_boxes(path) if head[4:8] == b"ftyp" else []
    if not head:
        return "the file is empty (0 bytes); copy or download it again"
    if head.startswith(b"version https://git-lfs"):
        return "this is a Git LFS pointer (text), not the video; run 'git lfs pull'"
    if boxes and b"moov" not in boxes:
        return "the MP4 is cut short: its index (moov) is missing; copy or download it again"
    if boxes:
        return "no video stream in it (audio only?); give a file that holds video"
    if not any(byte < 9 for byte in head):
        return "this is text, not a video; check what the path points to"
    return "not a video that can be read (random or damaged bytes); copy it again or re-encode it"


def _mp4_boxes(path: Path) -> list[bytes]:
    """Names of the top-level boxes that lie wholly inside the file (ISO/IEC 14496-12, 4.2)."""
    names: list[bytes] = []
    offset, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while offset + 8 <= size and len(names) < 64:
            file.seek(offset)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            length = length or size - offset
            if length < 8 or offset + length > size:
                break
            names.append(header[4:8])
            offset += length
    return names
