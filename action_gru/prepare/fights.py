"""Fight clips from surveillance cameras, grouped by source video. Reads names only, never a video.

Layout of the repository fight-detection-surv-dataset: `fight/fiNNN.mp4`, `noFight/nofiNNN.mp4` and
`videos.txt`, which lists the clips below the address of the video they were cut from and ends with
ranges of clips from other datasets:

    https://www.youtube.com/watch?v=OK56kxE8H9c
    fi018: 0.34.10 - 0.36.10
    nofi043: 0.0.50 - 0.11.50

    nofi062 - nofi076 : CamNet Dataset
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from action_gru.errors import DataError
from action_gru.prepare.rows import Row
from action_gru.prepare.tree import find_file, read_lines, require_split, videos_in

_LABELS = ("fight", "noFight")
_SOURCE = re.compile(r"https?://\S*?(?:[?&]v=(?P<id>[\w-]+)\S*)?")
_CLIP = re.compile(r"(?P<clip>(?:no)?fi\d+)\s*:.*")
_RANGE = re.compile(
    r"(?P<kind>(?:no)?fi)(?P<first>\d+)\s*-\s*(?P=kind)(?P<last>\d+)\s*:\s*(?P<source>.+)"
)
# videos.txt puts two clips under two sources each. nofi022 is 640x360 and 2.0 s long like the
# entry and all other clips of IZjLv7alWTk; those of g0x9-0pOuhw are 640x314, its entry 2.1 s.
# nofi076 shows the same corridor as nofi075.
_SETTLED = {"nofi022": "IZjLv7alWTk", "nofi076": "CamNet Dataset"}
_GET = "clone fight-detection-surv-dataset whole and pass its folder"


def build_fights(root: Path, split: int = 1) -> list[Row]:
    """Rows of the clips that are there; group is the video's id or the name of the dataset.

    A part of the clips is enough. Raises DataError for a clip that videos.txt does not name.
    """
    require_split("fights", split, 1)
    listing = find_file(root, "videos.txt", _GET)
    sources = _sources(listing)
    named = {(path.parent.name, path.name): path for path in videos_in(root)}
    clips = [path for (folder, _), path in named.items() if folder in _LABELS]
    unnamed = [str(path) for path in clips if path.stem not in sources]
    if unnamed:
        raise DataError(
            f"{listing}: names no source for {len(unnamed)} of {len(clips)} clips (first: "
            f"{unnamed[0]}), so they cannot be kept out of a split; {_GET}"
        )
    if not clips:
        raise DataError(f"{root}: holds no video in fight/ or noFight/; {_GET}")
    return [Row(str(path), path.parent.name, sources[path.stem]) for path in clips]


def _sources(listing: Path) -> dict[str, str]:
    """Clip name -> source video or dataset."""
    sources: dict[str, str] = {}
    for clip, source in _claims(listing):
        earlier = sources.setdefault(clip, source)
        if earlier != source:
            settled = _SETTLED.get(clip)
            if settled is None or settled not in (earlier, source):
                raise DataError(
                    f"{listing}: names two sources for {clip}, {earlier} and {source}; "
                    "remove the wrong line"
                )
            sources[clip] = settled
    return sources


def _claims(listing: Path) -> Iterator[tuple[str, str]]:
    """(clip, source) in the order of the file."""
    current: str | None = None
    for number, line in enumerate(read_lines(listing), start=1):
        if not line:
            continue
        if match := _SOURCE.fullmatch(line):
            current = match["id"] or line
        elif match := _RANGE.fullmatch(line):
            yield from _range(match)
        elif (match := _CLIP.fullmatch(line)) and current is not None:
            yield match["clip"], current
        else:
            raise DataError(
                f"{listing}:{number}: got {line!r}, expected the address of a video, then its "
                f"clips 'fi001: 0.13.50 - 0.15.60', or a range 'fi001 - fi009 : <source>'; {_GET}"
            )


def _range(match: re.Match[str]) -> Iterator[tuple[str, str]]:
    """nofi062 - nofi076 -> nofi062, nofi063, ... nofi076."""
    width = len(match["first"])
    for number in range(int(match["first"]), int(match["last"]) + 1):
        yield f"{match['kind']}{number:0{width}d}", match["source"]
