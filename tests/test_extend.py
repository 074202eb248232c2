"""docs/extend.md: each example, appended to the file it names, does what the page says."""

import json
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
PROGRAM = """
import json, os, sys, tempfile, traceback

told = []
for use in json.load(sys.stdin):
    os.chdir(tempfile.mkdtemp(dir=os.environ["PYTHONPATH"]))
    try:
        exec(use, {"__name__": "__main__"})
        told.append("")
    except BaseException:
        told.append(traceback.format_exc())
print(json.dumps(told))
"""


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


@pytest.fixture(scope="module")
def outcomes(extended: Path) -> list[str]:
    """What each use raised, in one process: to import torch takes longer than all of them."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(USES), cwd=extended, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(extended)}, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("index", range(len(USES)))
def test_what_the_page_adds_can_be_used(outcomes, index):
    assert outcomes[index] == ""


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
