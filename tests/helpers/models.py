"""Untrained classifiers and checkpoints of them."""

from typing import get_args

import torch

from action_gru.backbone import FeatureSpec
from action_gru.config.learning import ModelSection
from action_gru.model import CELLS, ActionClassifier
from action_gru.training import Checkpoint

POOLINGS = get_args(ModelSection.model_fields["pooling"].annotation)
# Every two of a cell, a pooling and a fusion.
COMBINATIONS = [
    (cell, pooling, ("late", "early")[(i + j) % 2])
    for i, cell in enumerate([*CELLS, "none"])
    for j, pooling in enumerate(POOLINGS)
]


def build_model(**options):
    torch.manual_seed(0)
    trend = options.get("cell") != "none"  # as a training has it
    options = {"projection_size": 6, "hidden_size": 5, "trend": trend} | options
    model = ActionClassifier((4, 3), 3, **options).eval()
    model.fit_statistics(torch.randn(50, 7) * 2 + 1)
    if model.linear is not None:  # as if solved
        model.linear.weight.normal_()
        model.linear.bias.normal_()
        model.shares.copy_(torch.rand(len(model.shares)).softmax(0))
        model.linear_share.fill_(0.4)
    return model


ARGUMENTS = {"view_dims": [4, 4], "num_classes": 2, "projection_size": 3, "hidden_size": 3}


def spec(view: str, **changes) -> FeatureSpec:
    parts = {
        "view": view, "weights": "w.pt", "weights_sha256": "ab", "layer": "embedding",
        "image_size": 224, "fit": "squash", "precision": "bf16", "dim": 4,
    }  # fmt: skip
    return FeatureSpec(**(parts | changes))


def checkpoint(**changes) -> Checkpoint:
    parts = {
        "weights": ActionClassifier(**ARGUMENTS).state_dict(),
        "model": ARGUMENTS,
        "classes": ("sit", "stånd"),
        "features": (spec("rgb"), spec("motion")),
        "sampling": {"fps": 12.0, "max_frames": 64},
        "flip": False,
        "data": {"hash": "x", "allow_leakage": False},
        "config": {"model": {"cell": "gru"}},
    }
    return Checkpoint(**(parts | changes))
