"""What following people costs, one to eight of them, and how often their labels are right.

    python benchmarks/people.py --model runs/demo [--scenes 10] [--detector people.pt]

Draws scenes of people side by side, each doing one of the demo's actions all the time. Without
--detector everyone is found where they truly are, give or take two pixels. A label counts once
there is an answer; it is the smoothed one, as it stands live.
Writes benchmarks/results/people.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line sets it

import numpy as np

from action_gru.demo.actions import CYCLE_S, IDLE
from action_gru.demo.scenes import Scene
from action_gru.detection.detector import Detections, Image
from action_gru.recognizer import ActionRecognizer
from action_gru.streaming.build import open_people
from action_gru.streaming.people import PeopleEngine

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from helpers.crowd import actor_at, crowd_scene, person_box

RESULTS = Path(__file__).parent / "results"
FPS, DURATION_S = 24.0, 6.0
STEADY = (*CYCLE_S, "jump", "kick", IDLE)  # what can be done all the time
JITTER_PX = 2.0
WARM_UP = 3  # samples


class TrueBoxes:
    """A detector that knows the scene."""

    names = ("person",)

    def __init__(self) -> None:
        self.scene: Scene | None = None
        self.time_s = 0.0
        self._rng = np.random.default_rng(0)

    def __call__(self, images: Sequence[Image]) -> list[Detections]:
        assert self.scene is not None
        boxes = np.stack([person_box(actor, self.time_s) for actor in self.scene.actors])
        boxes = (boxes + self._rng.normal(0, JITTER_PX, boxes.shape)).astype(np.float32)
        scores = np.full(len(boxes), 0.9, np.float32)
        return [Detections(boxes, scores, np.zeros(len(boxes), np.int64)) for _ in images]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--detector", type=Path, help="Weights in place of the true boxes.")
    parser.add_argument("--scenes", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=1000)
    options = parser.parse_args()
    weights = [f"detection.weights={options.detector}"] if options.detector else []
    recognizer = ActionRecognizer.load(options.model, overrides=weights)
    cost = {count: cost_of(recognizer, count) for count in range(1, 9)}
    for count, row in cost.items():
        print(count, row, flush=True)
    shares = right_shares(recognizer, bool(weights), options.scenes, options.first_seed)
    document = {"cost_ms_a_sample": cost, "right": shares}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "people.json").write_text(json.dumps(document, indent=1) + "\n")


def cost_of(recognizer: ActionRecognizer, count: int) -> dict[str, float]:
    """Median milliseconds of a sample with true boxes, all of it and a person's part of it."""
    detector = TrueBoxes()
    detector.scene = crowd_scene(["wave"] * count, 7, size_px=(1280, 720), duration_s=3.0)
    engine = PeopleEngine(recognizer.engine, detector)
    stream = open_people(engine, recognizer.checkpoint, recognizer.config)
    spent_ms = []
    for index in range(72):
        detector.time_s = index / FPS
        scene = stream.sampler.sample(detector.scene.image_at(detector.time_s), detector.time_s)
        if scene is None:
            continue
        began_s = time.perf_counter()
        engine.advance([stream], [scene])
        spent_ms.append(1000 * (time.perf_counter() - began_s))
    median_ms = float(np.median(spent_ms[WARM_UP:]))
    return {"sample_ms": round(median_ms, 2), "ms_a_person": round(median_ms / count, 2)}


def right_shares(
    recognizer: ActionRecognizer, detected: bool, scenes: int, first_seed: int
) -> dict[str, Any]:
    """Over scenes of four different actions: the share of right labels of each track."""
    by_action: dict[str, list[float]] = defaultdict(list)
    met = []
    for seed in range(first_seed, first_seed + scenes):
        rng = np.random.default_rng(seed)
        actions = [str(action) for action in rng.choice(STEADY, 4, replace=False)]
        right, people = play(recognizer, detected, actions, seed)
        met.append(people)
        for actor, action in enumerate(actions):
            by_action[action].append(float(np.mean(right[actor])) if right[actor] else 0.0)
        print(seed, {a: round(by_action[a][-1], 3) for a in actions}, people, flush=True)
    every = [share for some in by_action.values() for share in some]
    return {
        "tracks": len(every),
        "mean": round(float(np.mean(every)), 4),
        "share_of_tracks_at_95_percent": round(float(np.mean(np.array(every) >= 0.95)), 4),
        "people_met": met,
        "by_action": {a: round(float(np.mean(some)), 4) for a, some in sorted(by_action.items())},
    }


def play(
    recognizer: ActionRecognizer, detected: bool, actions: Sequence[str], seed: int
) -> tuple[dict[int, list[bool]], int]:
    scene = crowd_scene(actions, seed, size_px=(1280, 360), duration_s=DURATION_S)
    truth = TrueBoxes()
    truth.scene = scene
    detector = recognizer.detector if detected else truth
    engine = PeopleEngine(recognizer.engine, detector)
    stream = open_people(engine, recognizer.checkpoint, recognizer.config)
    right: dict[int, list[bool]] = defaultdict(list)
    for index in range(round(DURATION_S * FPS)):
        truth.time_s = time_s = index / FPS
        due = stream.sampler.sample(scene.image_at(time_s), time_s)
        if due is None:
            continue
        for person in engine.advance([stream], [due])[0]:
            if person.stream.smoothed is not None:
                actor = actor_at(scene, person.box, time_s)
                right[actor].append(person.stream.smoothed.label == actions[actor])
    return right, stream.met


if __name__ == "__main__":
    main()
