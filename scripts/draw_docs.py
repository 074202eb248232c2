"""Draws the pictures of the docs again, and writes what the tutorial's commands print into it.

    python scripts/draw_docs.py                           # all that need nothing but this project
    python scripts/draw_docs.py webcam.png timeline.png   # these
    python scripts/draw_docs.py real --data DIR --weights yolo26n-cls.pt

`real` plays docs/tutorial.md with the clips of DIR, which holds the public data sets `falls` and
`fights`. docs/images/README.md lists which script makes which picture.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import docs_drawn
import docs_real

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / "docs" / "tutorial.md"
# <!-- said: NAME --> or <!-- said: NAME | HEADING -->; ^ stands for what is above all headings.
SAID = re.compile(r"<!-- said: ([^|>]+?)(?: \| ([^>]+?))? -->\n```text\n.*?^```$", re.DOTALL | re.M)


def with_said(page: str, said: Mapping[str, str]) -> str:
    """The page with what each command printed in the block below its comment."""

    def fill(found: re.Match[str]) -> str:
        text = said[found[1]]
        if found[2]:
            parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
            text = parts[0] if found[2] == "^" else next(p for p in parts if p.startswith(found[2]))
        text = text.strip("\n")
        comment = found[0].split("\n", 1)[0]
        return f"{comment}\n```text\n{text}\n```"

    return SAID.sub(fill, page)


def draw_real(data: Path, weights: Path, work: Path, out: Path) -> None:
    said = docs_real.tell(data.resolve(), work, weights)
    page = with_said(TUTORIAL.read_text(encoding="utf-8"), said)
    TUTORIAL.write_text(page, encoding="utf-8")
    shutil.copyfile(work / "timeline.png", out / "tutorial_timeline.png")
    video, model = work / "videos" / docs_real.SHOWN, work / "runs" / "moments"
    docs_real.moving_picture(video, model / "best.safetensors", out / "real_clips.gif")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pictures", nargs="*", help="names in docs/images, or `real`")
    parser.add_argument("--data", type=Path, help="folder with `falls` and `fights`")
    parser.add_argument("--weights", type=Path, default=Path("yolo26n-cls.pt"))
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "docs")
    parser.add_argument("--clips", type=int, default=20, help="drawn clips of each class (20)")
    parser.add_argument("--epochs", type=int, default=25, help="of the model of drawn clips (25)")
    chosen = parser.parse_args(arguments)
    drawn = docs_drawn.Drawn(chosen.work / "drawn", chosen.out, chosen.clips, chosen.epochs)
    drawings = drawn.pictures()
    names = chosen.pictures or list(drawings)
    if unknown := set(names) - {*drawings, "real"}:
        parser.error(
            f"no picture {', '.join(sorted(unknown))}; there are real, {', '.join(drawings)}"
        )
    for name in names:
        if name == "real":
            if chosen.data is None:
                parser.error("real needs --data DIR, the folder of the public clips")
            draw_real(chosen.data, chosen.weights, chosen.work / "real", chosen.out)
        else:
            drawings[name](chosen.out / name)
            docs_drawn.shrink(chosen.out / name)
        print(name)


if __name__ == "__main__":
    main()
