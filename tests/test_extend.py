"""docs/extend.md: each example, appended to the file it names, does what the page says."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

PAGE = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
NAMED = re.compile(r"# (action_gru/\S+\.py)\n")
PARTS = [block for block in BLOCKS if NAMED.match(block)]
USES = [block for block in BLOCKS if not NAMED.match(block)]


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with every part of the page in it."""
    folder = tmp_path_factory.mktemp("extended")
    shutil.copytree(ROOT / "action_gru", folder / "action_gru")
    for block in PARTS:
        path = folder / NAMED.match(block)[1]
        with path.open("a", encoding="utf-8") as file:
            file.write("\n\n" + block.partition("\n")[2])
    return folder


@pytest.mark.parametrize("index", range(len(USES)))
def test_what_the_page_adds_can_be_used(extended, tmp_path, index):
    environment = {**os.environ, "PYTHONPATH": str(extended)}
    done = subprocess.run(
        [sys.executable, "-c", USES[index]], cwd=tmp_path, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_each_part_is_short_and_there_is_one_for_each_table():
    assert max(block.count("\n") for block in BLOCKS) < 30
    for table in (
        "CELLS",
        "LOSSES",
        "POOLINGS",
        "VIEWS",
        "FRAME_VIEWS",
        "DATA_KINDS",
        "BUILDERS",
        "FORMATS",
    ):
        assert any(f"\n{table}[" in block for block in PARTS), table
