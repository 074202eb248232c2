"""A stream engine of an untrained model, and frames for it."""

import torch

from action_gru.model import ActionClassifier
from action_gru.streaming import StreamEngine
from helpers.videos import FakeBackbone, moving_square

CLASSES = ("clap", "nod", "wave")


VIEWS = ("rgb", "motion")


FPS = 10.0


def make_engine(cell="gru", pooling="attention", num_layers=1, fusion="late", seed=0):
    torch.manual_seed(seed)
    model = ActionClassifier(
        [6, 6], len(CLASSES), cell, 8, 8, num_layers, pooling=pooling, fusion=fusion
    ).eval()
    return StreamEngine(model, FakeBackbone(), CLASSES, VIEWS, FPS)


def square_frames(count, seed=0):
    return list(moving_square(count, seed))
