"""Four drawn people who do different things at once, with a model and a detector trained here."""

from collections import defaultdict

import cv2
import numpy as np
import pytest
from helpers.crowd import actor_at, crowd_scene
from helpers.drawn_detector import draw_people, train_detector
from helpers.people_doubles import SceneDetector

from action_gru import ActionRecognizer
from action_gru.config import build_config
from action_gru.core.progress import Reporter
from action_gru.demo.dataset import write_video
from action_gru.demo.scenes import draw_clip
from action_gru.detection.detector import Detector
from action_gru.training import train

ACTIONS = ("wave", "clap", "punch", "kick", "jump", "idle")
CLIPS, FPS, DURATION_S = 14, 24.0, 6.0

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A model of six actions, trained on whole frames of one person each."""
    root = tmp_path_factory.mktemp("actions")
    rows = ["path,label"]
    for number, action in enumerate(ACTIONS):
        for person in range(CLIPS):
            name = f"{action}_{person}.mp4"
            write_video(root / name, draw_clip(action, 100 * number + person, person=person), FPS)
            rows.append(f"{name},{action}")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    tree = {
        "run": {"folder": str(root / "runs")},
        "data": {"manifest": str(root / "manifest.csv"), "split": "none"},
        "features": {
            "weights": "builtin", "views": ["rgb", "motion"], "cache_dir": str(root / "cache")
        },
        "training": {"epochs": 20, "device": "cpu", "mean_pooled_baseline": False},
    }  # fmt: skip
    return train(build_config(tree), Reporter(quiet=True))


@pytest.fixture(scope="module")
def detector_weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("detector") / "people.pt"
    return train_detector(path, draw_people, ["person"], steps=400)  # 200 leave it to chance


def right_shares(recognizer, scene, actions):
    """Of each actor's samples with an answer: the share whose label is right; and people met.

    An actor who has no answer in four fifths of all samples counts as never right; the first
    ones come after half of the window.
    """
    stream, engine = recognizer.people(), recognizer.people_engine
    right = defaultdict(list)
    for index in range(round(DURATION_S * FPS)):
        time_s = index / FPS
        if isinstance(engine.detector, SceneDetector):
            engine.detector.time_s = time_s
        due = stream.sampler.sample(scene.image_at(time_s), time_s)
        if due is None:
            continue
        for person in engine.advance([stream], [due])[0]:
            actor = actor_at(scene, person.box, time_s)
            if person.stream.smoothed is not None:
                right[actor].append(person.stream.smoothed.label == actions[actor])
    enough = 0.8 * DURATION_S * stream.sampler.fps
    shares = {
        actor: float(np.mean(right[actor])) if len(right[actor]) >= enough else 0.0
        for actor in range(len(actions))
    }
    return shares, stream.met


@pytest.mark.parametrize("seed", [501, 502])
def test_each_of_four_has_the_right_label_for_95_percent_of_the_time(run, monkeypatch, seed):
    actions = ["wave", "idle", "jump", "kick"] if seed % 2 else ["punch", "clap", "idle", "wave"]
    scene = crowd_scene(actions, seed, size_px=(960, 360), duration_s=DURATION_S)
    detector = SceneDetector(scene)
    monkeypatch.setattr("action_gru.recognizer.build_detector", lambda config: detector)
    shares, met = right_shares(ActionRecognizer.load(run.path), scene, actions)
    assert met == 4
    assert min(shares.values()) >= 0.95, shares


def test_the_same_with_a_trained_detector(run, detector_weights):
    actions = ["wave", "clap", "idle", "jump"]
    scene = crowd_scene(actions, 503, size_px=(960, 360), duration_s=DURATION_S)
    weights = f"detection.weights={detector_weights}"
    recognizer = ActionRecognizer.load(run.path, overrides=[weights])
    shares, _ = right_shares(recognizer, scene, actions)
    assert min(shares.values()) >= 0.95, shares


def test_the_trained_detector_finds_the_drawn_and_nothing_else(detector_weights):
    detector = Detector(str(detector_weights), min_score=0.3)
    assert (detector.names, detector.image_size) == (("person",), 256)
    rng = np.random.default_rng(99)
    drawn = found = both = 0
    for _ in range(40):
        image, truth, _ = draw_people(rng)
        larger = cv2.resize(image, None, fx=2.5, fy=2.5)  # boxes come back in the frame's pixels
        boxes = detector([larger])[0].boxes / 2.5
        overlaps = np.array([[overlap(one, other) for other in boxes] for one in truth])
        drawn, found = drawn + len(truth), found + len(boxes)
        both += int((overlaps.max(1) > 0.5).sum()) if len(boxes) else 0
    assert both / drawn >= 0.95
    assert both / found >= 0.9


def overlap(one, other):
    """Intersection over union of two boxes (4,)."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    inside = np.prod(np.clip(high - low, 0, None))
    areas = np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2])
    return inside / (areas - inside)
