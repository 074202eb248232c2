"""What the package answers today, frozen: keys, features, answers, reports, and files of its own.

Knows the command line and the files on disk alone, so that modules may move below it. The values
and how to make them anew: tests/golden/README.md.
"""

import hashlib
import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from golden import renew

GOLDEN = json.loads(renew.VALUES.read_text(encoding="utf-8"))
CLOSE = {"abs": 2e-3}  # of a score or a share, where the weights are the same
TRAINED = {"abs": 0.02}  # where they were trained, 40 epochs in fp32
# Of trained weights, where a processor's own rounding decides: whether one clip of a class of three
# is right in the probes of order, and how sure one event of the long video is.
BY_A_HAIR = {
    re.compile(r"\.order\..*\.costs\."): {"abs": 0.34},
    re.compile(r"\.events\[\d+\]\.score$"): {"abs": 0.05},
}


def differences(found, frozen, tolerance, where="") -> list[str]:
    """Every place where two JSON trees differ: keys and words at all, numbers by more than that."""
    if isinstance(frozen, dict) and isinstance(found, dict):
        lost = [f"{where}.{key} is lost" for key in frozen.keys() - found.keys()]
        new = [f"{where}.{key} is new" for key in found.keys() - frozen.keys()]
        below = [
            text
            for key in frozen.keys() & found.keys()
            for text in differences(found[key], frozen[key], tolerance, f"{where}.{key}")
        ]
        return lost + new + below
    if isinstance(frozen, list) and isinstance(found, list):
        if len(frozen) != len(found):
            return [f"{where} has {len(found)} items, had {len(frozen)}"]
        pairs = enumerate(zip(found, frozen, strict=True))
        return [d for n, (a, b) in pairs for d in differences(a, b, tolerance, f"{where}[{n}]")]
    if _is_number(frozen) and _is_number(found):
        hairs = BY_A_HAIR.items() if tolerance == TRAINED else ()
        close = next((each for place, each in hairs if place.search(where)), tolerance)
        same = found == pytest.approx(frozen, rel=1e-3, nan_ok=True, **close)
        return [] if same else [f"{where} is {found}, was {frozen}"]
    return [] if found == frozen else [f"{where} is {found!r}, was {frozen!r}"]


def _is_number(value) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def cosine(a, b) -> float:
    return float(np.dot(a, b) / math.sqrt(np.dot(a, a) * np.dot(b, b)))


def test_every_command_has_the_options_that_it_had():
    found, frozen = (
        {f"{command} {option}" for command, options in tree.items() for option in options}
        for tree in (renew.surface(), GOLDEN["surface"])
    )
    assert sorted(frozen - found) == [], "lost"
    assert sorted(found - frozen) == [], "new: write it down by tests/golden/renew.py"


def test_the_python_api_has_its_names():
    import action_gru

    names = {
        "ActionGruError", "ActionRecognizer", "ActionStream", "Event", "Prediction", "Predictions",
        "SequenceRecognizer", "Timeline", "__version__",
    }  # fmt: skip
    assert set(action_gru.__all__) == names
    assert all(hasattr(action_gru, name) for name in names)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return renew.pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    return renew.vectors(tmp_path_factory.mktemp("vectors"))


def test_cache_keys_are_what_they_were(pictures):
    """A clip and a stretch of another, by each view, plain and mirrored."""
    keys = {name: one["key"] for name, one in pictures.items()}
    assert keys == {name: one["key"] for name, one in GOLDEN["pictures"].items()}
    assert len(set(keys.values())) == 16


@pytest.mark.parametrize("name", GOLDEN["pictures"])
def test_features_are_what_they_were(pictures, name):
    found, frozen = pictures[name], GOLDEN["pictures"][name]
    assert found["times_s"] == pytest.approx(frozen["times_s"], abs=1e-9)
    assert found["shape"] == frozen["shape"]
    assert found["norms"] == pytest.approx(frozen["norms"], rel=0.01)
    assert cosine(found["mean"], frozen["mean"]) > 0.999


@pytest.mark.parametrize(
    ("view", "layer", "dim"),
    [
        ("detections", "encoding 1, top 3 of classes 0+1, score 1e-06, overlap 0.7, bytetrack", 32),
        ("pose", "pose encoding 2, score 1e-06, overlap 0.7", 101),
    ],
)
def test_the_key_of_a_vector_is_made_of_these_parts(vectors, view, layer, dim):
    """Written out, since the bytes of its network differ between versions of torch."""

    def digest(parts):
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    for side in ("plain", "mirrored"):
        found = vectors[f"left_0.mp4 {view} {side}"]
        fingerprint = digest(
            {
                "view": view, "weights_sha256": found["weights_sha256"], "layer": layer,
                "image_size": 64, "fit": "frame", "precision": "fp32", "dim": dim,
                "preprocessing": 2,
            }
        )[:32]  # fmt: skip
        video = hashlib.sha256((renew.CLIPS / "left_0.mp4").read_bytes()).hexdigest()
        assert found["key"] == digest(
            {
                "video": video, "bounds_s": [None, None], "fps": 4.0,
                "flipped": side == "mirrored", "decoding": 2, "features": fingerprint,
            }
        )  # fmt: skip
        assert found["values"].shape == (6, dim)


@pytest.fixture(scope="module")
def answers():
    return renew.answers()


@pytest.mark.parametrize("command", ["classify", "timeline", "watch"])
def test_a_stored_run_answers_what_it_did(answers, command):
    """Its checkpoint is of the day that the values were first written."""
    assert differences(answers[command], GOLDEN["answers"][command], CLOSE, command) == []


def test_a_stored_cache_is_read_and_nothing_is_decoded(tmp_path):
    """Half of it is single files, half is packed; both are of that day."""
    shutil.copytree(renew.CACHE, tmp_path / "cache")
    cache = tmp_path / "cache"
    verified = renew.action_gru("cache", "verify", cache, "--json", "-q").answer
    assert verified == {"entries": 4, "damaged": [], "leftovers": 0}
    assert renew.action_gru("cache", "stats", cache, "--json", "-q").answer["packed"] == 2
    manifest = tmp_path / "test.csv"
    manifest.write_text("path,label\nleft_0.mp4,left\nright_0.mp4,right\n")
    done = renew.action_gru(
        "extract", renew.write_config(tmp_path, renew.SETTINGS), f"data.manifest={manifest}",
        f"data.root={renew.CLIPS}", f"features.cache_dir={cache}", "--json", "-q",
    ).answer  # fmt: skip
    assert (done["clips"], done["cached"], done["frames"]) == (2, 2, 0)


def test_a_stored_run_scores_a_stored_cache_as_it_did(tmp_path):
    found = renew.stored_evaluation(tmp_path)
    assert differences(found, GOLDEN["stored_evaluation"], CLOSE) == []


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return renew.trained_reports(tmp_path_factory.mktemp("trained"))


@pytest.mark.slow  # it trains
@pytest.mark.parametrize("data", ["clips", "table"])
def test_a_trained_run_is_reported_as_it_was(trained, data):
    assert differences(trained[data], GOLDEN["trained_reports"][data], TRAINED, data) == []


def test_the_stored_files_are_small_and_name_no_place():
    files = [path for path in Path(renew.HERE).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files if "__pycache__" not in path.parts) < 500_000
    assert all(path.stat().st_size < 100_000 for path in files)
    for path in files:
        data = path.read_bytes()
        if path.suffix == ".safetensors":  # the header alone: numbers may look like anything
            data = data[8 : 8 + int.from_bytes(data[:8], "little")]
        if path.suffix in (".safetensors", ".json", ".yaml", ".csv"):
            assert re.search(rb"[\s\"'](/|[A-Z]:)\w", data) is None, path
