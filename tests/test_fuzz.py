"""Files of anyone's making give a result or an ActionGruError: a few here, all by `make fuzz`.

FUZZ_CASES=5000 tries so many of each kind.
"""

import os
import random
import re

import pytest
from helpers import fuzzing

FEW = {
    "config": 100,
    "manifest": 150,
    "annotations": 100,
    "entry": 300,
    "index": 300,
    "shard": 200,
    "checkpoint": 36,
    "weights": 18,
    "array": 80,
    "table": 150,
    "video": 16,
    "studio_request": 8,
    "studio_project": 40,
    "studio_history": 20,
    "studio_rows": 30,
    "studio_frame": 20,
}
CASES = int(os.environ.get("FUZZ_CASES", "0"))


SLOW = pytest.mark.slow
LONGEST = ("studio_request", "studio_frame", "video", "checkpoint", "weights", "array")


@pytest.mark.timeout(36_000 if CASES else 300)
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=SLOW if kind in LONGEST else ()) for kind in FEW]
)
def test_every_file_gives_a_result_or_an_error_of_ours(kind, tmp_path):
    outcome = fuzzing.fuzz(kind, 0, CASES or FEW[kind], tmp_path)
    print(outcome)
    assert outcome.failed == {}, str(outcome)
    assert outcome.peak_mb < 2000
    assert outcome.results + sum(outcome.refusals.values()) == (CASES or FEW[kind])
    # Where nothing passes or nothing is refused, the cases no longer reach what they should.
    assert outcome.results > 0
    assert kind in ("entry", "shard", "studio_history") or outcome.refusals.total() > 0


def test_a_case_is_a_function_of_its_number():
    data = bytes(range(256)) * 4
    made = [fuzzing.mutated_bytes(data, random.Random(f"x {n}")) for n in (1, 1, 2)]
    assert made[0] == made[1] != made[2]


BEHAVIOURS = {
    "raises": ("raise KeyError('a')", "KeyError: 'a'"),
    "dies": ("import os; os.kill(os.getpid(), 11)", r"the process died \(-11\)"),
    "hangs": ("import time; time.sleep(60)", "hung for 1 s"),
    "runs": ("import os; os.system('true')", "it called os.system"),
    "unpickles": (
        "import pickle; pickle.loads(b'cos\\nsystem\\n.')",
        "it called pickle.find_class",
    ),
}


@pytest.mark.parametrize("behaviour", list(BEHAVIOURS))
def test_the_harness_sees_what_must_not_be(behaviour, tmp_path, monkeypatch):
    """A check that misbehaves at its second case, in place of a reader."""
    code, said = BEHAVIOURS[behaviour]
    copy = tmp_path / "bad_fuzzing.py"
    text = (fuzzing.ROOT / "tests" / "helpers" / "fuzzing.py").read_text()
    bad = (
        "def check_config(path):\n    global calls\n    calls += 1\n"
        f"    if calls == 2:\n        {code}\n"
    )
    text = text.replace("ROOT = Path(__file__).parents[2]", f"ROOT = Path({str(fuzzing.ROOT)!r})")
    text = text.replace("Kind = tuple[", f"calls = -{sources()}\n\n\n{bad}\n\nKind = tuple[", 1)
    copy.write_text(text)
    monkeypatch.setattr(fuzzing, "__file__", str(copy))
    monkeypatch.setattr(fuzzing, "LIMIT_S", 1.0)
    outcome = fuzzing.fuzz("config", 0, 3, tmp_path)
    assert list(outcome.failed) == [1], str(outcome)
    assert re.search(said, outcome.failed[1])


def sources() -> int:
    return len(fuzzing.config_sources(fuzzing.ROOT))
