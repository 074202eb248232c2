"""Draws the pictures of the docs again, and writes what the tutorial's commands print into it.

    python scripts/draw_docs.py                                 # all that need nothing but this project
    python scripts/draw_docs.py webcam.png timeline.png         # these
    python scripts/draw_docs.py real --data DIR --weights FILE  # the tutorial and its pictures

DIR holds `falls` and `fights`, two public data sets (data/README.md). docs/images/README.md lists
which script makes which picture.
"""  # noqa: E501

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import docs_real

ROOT = Path(__file__).parents[1]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pictures", nargs="*")
    parser.add_argument("--data", type=Path, help="folder with `falls` and `fights`")
    parser.add_argument("--weights", default="yolo26n-cls.pt")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "docs")
    chosen = parser.parse_args(arguments)
    docs_real.tell(chosen.data.resolve(), chosen.work, chosen.weights)
    video, model = chosen.work / "videos" / docs_real.SHOWN, chosen.work / "runs" / "home3"
    docs_real.moving_picture(video, model / "best.safetensors", chosen.out / "real_clips.gif")


if __name__ == "__main__":
    main()
