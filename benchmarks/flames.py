"""Where each second goes: flame pictures of the demo, of a training and of one cold answer.

    pip install py-spy
    python benchmarks/flames.py --data data/fights --weights yolo26n-cls.pt [--only classify]

--data: a folder with clips.csv and its clips. Writes benchmarks/results/flames-KIND-NAME.svg for
this kind of machine: a box is a function, as wide as its share of the samples of all threads that
ran; functions below LEAST_PERCENT are left out. Hold it to AVX2 with the variables of the Makefile.
"""

from __future__ import annotations

import argparse
import csv
import re
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from rows.commands import ACTION_GRU, training_words
from rows.results import RESULTS, into_page, kind_of_machine
from rows.turns import ROOT, shell
from rows.untrained import untrained_run

RATES = {"classify": 100, "train": 20, "demo": 20}  # samples a second: enough, and small
LEAST_PERCENT = 0.5
BOX = re.compile(r'<g><title>[^<]*</title><rect x="[^"]*" y="[^"]*" width="([^"%]*)%".*?</g>', re.S)
ELSEWHERE = re.compile(r"(?<![\w.):/])/[\w.-]+(/[\w.-]+)+")  # a path from the root
TITLE = re.compile(r'(<text id="title"[^>]*>)[^<]*')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", default="yolo26n-cls.pt")
    parser.add_argument("--only", nargs="+", choices=RATES, default=list(RATES))
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    if shutil.which("py-spy") is None:
        raise SystemExit("py-spy is not installed; install it with: pip install py-spy")
    kind = kind_of_machine("cpu")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for stage, command in prepare(folder, options.data, options.weights, options.only).items():
            picture = folder / "flames.svg"
            record = ["py-spy", "record", "--subprocesses", "--nolineno", "-o", picture]
            shell([*record, "-r", str(RATES[stage]), "--", *ACTION_GRU, *command], folder)
            target = options.out / f"flames-{kind}-{stage}.svg"
            title = f"action-gru {stage}, {kind}"
            target.write_text(tidy(picture.read_text(encoding="utf-8"), title, folder))
            print(f"{target}: {target.stat().st_size // 1024} kB", flush=True)
    if options.out == RESULTS:
        show(kind)


def show(kind: str) -> None:
    """All pictures of this kind of machine, in the page How fast."""
    names = {stage: f"flames-{kind}-{stage}.svg" for stage in RATES}
    pictures = [
        f"![Flames of {stage}](../benchmarks/results/{name})\n"
        for stage, name in names.items()
        if (RESULTS / name).is_file()
    ]
    into_page(f"flames: {kind}", "\n".join(pictures))


def prepare(
    folder: Path, data: Path, weights: str, stages: list[str]
) -> dict[str, list[str | Path]]:
    """The words of each command; the pictures show them, so paths are those of the folder."""
    if Path(weights).is_file():
        (folder / Path(weights).name).symlink_to(Path(weights).absolute())
        weights = Path(weights).name
    here = folder / data.name
    here.symlink_to(data.absolute())
    with (data / "clips.csv").open(encoding="utf-8") as file:
        clip = Path(data.name) / next(csv.DictReader(file))["path"]
    words = training_words(Path(data.name), weights)
    if "train" in stages:
        shell([*ACTION_GRU, "extract", *words], folder)
    if "classify" in stages:
        untrained_run(folder, str(folder / weights) if (folder / weights).exists() else weights)
    commands: dict[str, list[str | Path]] = {
        "classify": ["classify", clip, "-m", ".", "--quiet"],
        "train": ["train", *words],
        "demo": ["demo", "--quiet"],
    }
    return {stage: commands[stage] for stage in RATES if stage in stages}


def tidy(svg: str, title: str, folder: Path) -> str:
    """Without the narrowest boxes, and without paths of this machine."""
    kept = BOX.sub(lambda box: box[0] if float(box[1]) >= LEAST_PERCENT else "", svg)
    named = TITLE.sub(rf"\g<1>{title}", kept)
    for path in (folder, Path(sys.prefix), ROOT):
        named = named.replace(f"{path}/", "")
    return ELSEWHERE.sub("...", named)


if __name__ == "__main__":
    main()
