"""kill -9 at drawn moments: nothing is lost, damaged or done twice, and the end is the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import killing

KILLING = Path(__file__).parent / "helpers" / "killing.py"
WRONG = ("lost", "damaged", "redone", "different", "orphans", "failed")
NOTHING: dict = {name: [] for name in WRONG}


def kill_often(kind: str, kills: int, before: str = "") -> dict:
    """The summary of killing.py, after some statements that change what it kills."""
    start = f"import runpy, sys\n{before}\nsys.argv[0] = {str(KILLING)!r}\n"
    start += f"sys.path.insert(0, {str(KILLING.parents[1])!r})\n"
    start += f"runpy.run_path({str(KILLING)!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", start, kind, str(kills), os.environ.get("KILL_SEED", "0")],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout.strip())
    return json.loads(done.stdout.splitlines()[-1])


LANES = [
    pytest.param("extraction", 10, marks=pytest.mark.slow),
    pytest.param("training", 3, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("kind", "kills"), LANES)
def test_a_killed_run_loses_nothing_and_ends_as_if_it_had_not_been(kind, kills):
    found = kill_often(kind, kills)
    assert found["kills"] == kills
    assert {name: found[name] for name in WRONG} == NOTHING


@pytest.mark.skipif("KILLS" not in os.environ, reason="the longer lane: make faults KILLS=100")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("kind", "share"), [("extraction", 1.0), ("training", 0.3)])
def test_many_kills(kind, share):
    kills = round(int(os.environ["KILLS"]) * share)
    found = kill_often(kind, kills)
    assert found["kills"] == kills
    assert {name: found[name] for name in WRONG} == NOTHING


NOT_ATOMIC = """
import time
from action_gru.features import storage
def write(path, pieces, root):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece)
            file.flush()
            time.sleep(0.02)
storage.write_atomically = write
"""


@pytest.mark.slow
def test_the_killing_sees_files_that_are_not_written_at_once():
    assert kill_often("extraction", 5, NOT_ATOMIC)["damaged"] != []


def test_the_killing_sees_processes_that_go_on(monkeypatch):
    monkeypatch.setattr(killing, "ORPHANS_S", 0.1)
    orphan = subprocess.Popen(["sleep", "60"], env=os.environ | {killing.MARK: "abc"})
    try:
        assert killing.outliving("abc") == [orphan.pid]
    finally:
        orphan.kill()
        orphan.wait()
    assert killing.outliving("abc") == []


def test_the_moments_cover_the_whole_run():
    drawn = sorted(killing.moments(20, 10.0, seed=3))
    assert [int(moment * 2) for moment in drawn] == list(range(20))
    assert killing.moments(20, 10.0, seed=3) == killing.moments(20, 10.0, seed=3)
    assert killing.moments(20, 10.0, seed=3) != killing.moments(20, 10.0, seed=4)
