"""What the pages show is true: their commands and Python run, in a folder as they assume it.

A block that cannot run says why in a comment right above it: `<!-- not run: needs a camera -->`.
"""

import contextlib
import io
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from helpers import ROOT, SHARED
from helpers.doc_blocks import (
    COMMANDS,
    PAGES,
    SHOWN,
    STEADY,
    Block,
    Shell,
    blocks_of,
    missing_lines,
    quick_config,
)  # fmt: skip
from helpers.series_tables import engines, machines, table_config
from helpers.videos import moving_square, write_square
from PIL import Image

from action_gru.config import Config, build_config
from action_gru.core.progress import Reporter
from action_gru.timeline import Event, Timeline, write_timeline
from action_gru.training import train
from action_gru.video import VideoWriter

ELSEWHERE = {
    "extend.md": "tests/test_extend.py runs each of its parts",
    "serving.md": "tests/test_serve_clients.py starts the server and runs each against it",
}
# What may stand behind `not run:`; a block that could run has no reason here.
REASONS = (
    "needs a ", "needs the ", "needs several ", "installs", "downloads ", "a server",
    "ends only ", "writes ", "minutes",
)  # fmt: skip
LANGUAGES = {
    *COMMANDS, *SHOWN, "python", "text", "csv", "json", "yaml", "ini", "html", "js",
    "dockerfile", "xml",
}  # fmt: skip
MOST_NOT_RUN = 0.45  # of the blocks of commands, beside installations


CLASSES = [
    *("clips/wave", "clips/clap", "my-videos/hug", "my-videos/kick"),
    *("street/fight", "street/noFight"),
]


def _all_blocks() -> list[Block]:
    return [block for page in PAGES for block in blocks_of(page)]


def test_every_block_says_what_it_is_and_why_it_is_not_run():
    blocks = _all_blocks()
    unknown = [f"{b.name}: {b.language!r}" for b in blocks if b.language not in LANGUAGES]
    assert unknown == []
    reasons = {b.name: b.reason for b in blocks if b.reason}
    assert {n: r for n, r in reasons.items() if not r.startswith(REASONS)} == {}
    commands = [b for b in blocks if b.language in COMMANDS and b.reason != "installs"]
    assert len([b for b in commands if b.reason]) <= MOST_NOT_RUN * len(commands)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_yaml_of_a_page_is_a_config(page):
    for block in blocks_of(page):
        tree = yaml.safe_load(block.text) if block.language == "yaml" else {}
        if set(tree) <= set(Config.model_fields):
            build_config(tree)


def test_a_line_of_another_form_is_missing_and_numbers_may_differ():
    printed = "new.mp4: noFight 0.9  fight 0.1\ndone in 3 s\n"
    assert missing_lines("new.mp4: fight 0.966  noFight 0.034\n...\ndone in 12 s\n", printed) == []
    assert missing_lines("done in 1 s\nnew.mp4: fight 1 noFight 0\n", printed) == [
        "new.mp4: fight 1 noFight 0"
    ]
    assert missing_lines("new.mp4: fight 1\n", printed) == ["new.mp4: fight 1"]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, small_run) -> Path:
    """What the pages take for granted: clips by class, long videos, tables, trained runs."""
    folder = tmp_path_factory.mktemp("pages")
    for at, place in enumerate(CLASSES):
        (folder / place).mkdir(parents=True)
        for index in range(6):
            _write_drift(folder / place / f"{index}.mp4", 10 * at + index, (-1) ** at)
    (folder / "my-frames" / "hug" / "one").mkdir(parents=True)
    for index, image in enumerate(moving_square(12)):
        Image.fromarray(image).save(folder / "my-frames" / "hug" / "one" / f"img_{index:05}.jpg")
    for name in ("match", "street", "long"):
        write_square(folder / f"{name}.mp4", 60)
    for name in ("new", "clip"):
        write_square(folder / f"{name}.mp4", 16, seed=101)
    _write_lists(folder)
    quick = {"epochs": 2, "temporal_crop": 0.0}
    text = engines().replace("wear", "sensor_2").replace("noise", "sensor_3")
    settings = {"series": {"horizon": 5}, "training": quick}
    train(table_config(folder, "turbofan", text, **settings), Reporter(quiet=True))
    (folder / "rows.csv").write_text(text)
    (folder / "pumps.csv").write_text(machines())
    for name in ("mine", "demo"):
        shutil.copytree(small_run.path, folder / "runs" / name)
    return folder


def _write_drift(path: Path, seed: int, direction: int) -> None:
    """Colours that no other clip has; they drift to the left or, in another class, to the right."""
    colours = np.random.default_rng(seed).integers(0, 255, (6, 9, 3), dtype=np.uint8)
    with VideoWriter(path, (96, 64), 10.0) as writer:
        for step in range(12):
            writer.write(cv2.resize(np.roll(colours, direction * step, axis=1), (96, 64)))


def _write_lists(folder: Path) -> None:
    """Manifests of the clips, and the files of an annotation tool with their videos."""
    rows = [f"clips/{path.parent.name}/{path.name},{path.parent.name}" for path in _clips(folder)]
    for name in ("clips", "other"):
        (folder / f"{name}.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
    spans = [(0.0, 2.0, "dark"), (2.5, 4.5, "bright")]
    events = tuple(Event(label, start, end, 1.0) for start, end, label in spans)
    for place in ("days", "export"):
        (folder / place).mkdir()
    for seed, day in enumerate(("monday", "tuesday", "wednesday")):
        write_square(folder / "days" / f"{day}.mp4", 60, seed=seed)
        timeline = Timeline(f"{day}.mp4", ("dark", "bright"), events, 6.0)
        for place in ("days", "export"):
            write_timeline(timeline, folder / place / f"{day}.eaf")
    (folder / "later").mkdir()
    write_square(folder / "later" / "friday.mp4", 60, seed=3)
    write_timeline(timeline, folder / "later" / "friday.eaf")


def _clips(folder: Path) -> list[Path]:
    return sorted((folder / "clips").glob("*/*.mp4"))


@pytest.fixture
def folder(template, tmp_path, monkeypatch) -> Path:
    shutil.copytree(template, tmp_path / "work", symlinks=True)
    for name in ("examples", "configs"):
        (tmp_path / "work" / name).symlink_to(ROOT / name)
    if (SHARED / "weights").is_dir():  # what a user fetches once
        (tmp_path / "home" / "weights").mkdir(parents=True)
        found = SHARED / "weights" / "yolo26n-cls-features.pt"
        shutil.copy(found, tmp_path / "home" / "weights" / "yolo26n-cls.pt")
    networks = template.parent / "networks"  # converted once for all blocks
    for one in (networks, tmp_path / "home"):
        one.mkdir(exist_ok=True)
    (tmp_path / "home" / "networks").symlink_to(networks)
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path / "home"))
    for name, value in STEADY.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Config, "model_validate_json", quick_config(Config.model_validate_json))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


RUN = [
    page
    for page in PAGES
    if page.name not in ELSEWHERE
    and any(b.language in COMMANDS | {"python"} and not b.reason for b in blocks_of(page))
]


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run_one_after_another(page, folder):
    with Shell(folder) as shell:
        _run_page(page, shell)


def _run_page(page: Path, shell: Shell) -> None:
    printed, names = None, {"__name__": "__main__"}
    for block in blocks_of(page):
        if block.language in SHOWN:
            assert printed is not None, f"{block.name}: what printed this was not run"
            assert missing_lines(block.text, printed) == [], f"{block.name}, of:\n{printed}"
        elif block.reason:
            printed = None
        elif block.language in COMMANDS:
            printed = "".join(_told(block, line, shell) for line in block.lines)
        elif block.language == "python":
            printed = _ran(block, names, shell)


def _told(block: Block, line: str, shell: Shell) -> str:
    try:
        return shell.run(line)
    except (AssertionError, pytest.fail.Exception) as error:
        raise AssertionError(f"{block.name}: {line}\n{error}") from error


def _ran(block: Block, names: dict, shell: Shell) -> str:
    """What the block prints; a page's blocks share their names, as in a notebook."""
    said = io.StringIO()
    padding = "\n" * block.line  # so that an error names the line of the page
    with contextlib.redirect_stdout(said):
        code = padding + shell.at_free_ports(block.text)
        exec(compile(code, str(block.page), "exec"), names)
    return said.getvalue()
