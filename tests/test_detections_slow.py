"""What two kinds of drawn things do, told from the boxes of a detector that is trained here."""

import numpy as np
import pytest
from helpers.drawn_detector import train_detector
from helpers.moving_things import EVENTS, FPS, NAMES, draw_clip, draw_things

from action_gru.config import build_config
from action_gru.core.progress import Reporter
from action_gru.demo.dataset import write_video
from action_gru.evaluation.evaluate import evaluate
from action_gru.training import train

TRAIN, TEST = 60, 20  # clips a class

pytestmark = pytest.mark.slow


def test_events_of_two_kinds_of_things_are_told_from_their_boxes(tmp_path):
    weights = train_detector(tmp_path / "things.pt", draw_things, NAMES, steps=400)
    rows = ["path,label,split"]
    for number, event in enumerate(EVENTS):
        for index in range(TRAIN + TEST):
            rng = np.random.default_rng((77, number, index))
            name = f"{event}_{index}.mp4"
            write_video(tmp_path / name, iter(draw_clip(event, rng)[0]), FPS)
            rows.append(f"{name},{event},{'train' if index < TRAIN else 'test'}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    tree = {
        "run": {"folder": str(tmp_path / "runs")},
        "data": {"manifest": str(tmp_path / "manifest.csv")},
        "features": {"views": ["detections"], "flip": True, "cache_dir": str(tmp_path / "cache")},
        "detection": {"weights": str(weights), "top": 3},
        "model": {"projection_size": 64, "hidden_size": 64, "normalisation": "channel"},
        "training": {"epochs": 40, "device": "cpu"},
    }
    report, _ = evaluate(train(build_config(tree), Reporter(quiet=True)), Reporter(quiet=True))
    assert report.metrics.clips == TEST * len(EVENTS)
    print(f"top-1 {report.metrics.top1:.3f}, mean-pooled {report.baselines['mean_pooled']:.3f}")
    assert report.metrics.top1 >= 0.95
