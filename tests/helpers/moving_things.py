"""Drawn clips of a ball and a cart that move: what happens is in how they move to each other."""

import cv2
import numpy as np

EVENTS = ("approach", "leave", "pass", "together", "wait")
NAMES = ("ball", "cart")
SIZE_PX = (128, 96)
FPS, FRAMES = 12.0, 24


def paths(event, rng):
    """Centres in px of ball and cart at each frame, (T, 2) each; either of them moves."""
    width = SIZE_PX[0]
    progress = np.linspace(0, 1, FRAMES)
    side = rng.choice([-1.0, 1.0])
    near, far = rng.uniform(22, 30), rng.uniform(62, 80)
    offsets = {  # from the one that stays to the one that moves, px
        "approach": far + (near - far) * progress,
        "leave": near + (far - near) * progress,
        "pass": 45 - 90 * progress,
        "together": np.full(FRAMES, near),
        "wait": np.full(FRAMES, rng.uniform(near, far)),
    }[event] * side
    lowest, highest = min(0.0, offsets.min()), max(0.0, offsets.max())
    room = max(1.0, width - 32 - (highest - lowest))
    drift = np.zeros(FRAMES)
    if event == "together":
        drift = rng.choice([-1.0, 1.0]) * rng.uniform(0.6, 0.95) * room * (progress - 0.5)
        start = 16 - lowest + room / 2
    else:
        start = 16 - lowest + rng.uniform(0, room)
    rows = rng.uniform(30, 66) + rng.uniform(-12, 12, 2)
    stays = np.stack([start + drift, np.full(FRAMES, rows[0])], 1)
    moves = np.stack([start + drift + offsets, np.full(FRAMES, rows[1])], 1)
    return (stays, moves) if rng.random() < 0.5 else (moves, stays)


def draw_clip(event, rng):
    """(frames (T, H, W, 3), boxes (T, 2, 4)): the ball's box first."""
    width, height = SIZE_PX
    background = rng.integers(40, 160, 3) + rng.normal(0, 8, (height, width, 3))
    colours = rng.integers(0, 255, (2, 3)).tolist()
    radius, size = rng.uniform(7, 11), rng.uniform(16, 24)
    frames, boxes = [], []
    for ball, cart in zip(*paths(event, rng), strict=True):
        canvas = np.clip(background, 0, 255).astype(np.uint8)
        behind = draw_cart(canvas, cart, size, colours[1])
        boxes.append([draw_ball(canvas, ball, radius, colours[0]), behind])
        frames.append(canvas)
    return np.stack(frames), np.clip(np.array(boxes, np.float32), 0, [width, height] * 2)


def draw_ball(canvas, centre, radius, colour):
    place = tuple(np.rint(centre).astype(int).tolist())
    cv2.circle(canvas, place, round(radius), (20, 20, 20), -1, cv2.LINE_AA)
    cv2.circle(canvas, place, round(radius) - 2, colour, -1, cv2.LINE_AA)
    return [place[0] - radius, place[1] - radius, place[0] + radius, place[1] + radius]


def draw_cart(canvas, centre, size, colour):
    left, top = np.rint(centre - np.array([size, size * 0.7]) / 2).astype(int).tolist()
    right, bottom = left + round(size), top + round(size * 0.7)
    cv2.rectangle(canvas, (left, top), (right, bottom - 4), (20, 20, 20), -1)
    cv2.rectangle(canvas, (left + 2, top + 2), (right - 2, bottom - 6), colour, -1)
    for wheel in (left + 4, right - 4):
        cv2.circle(canvas, (wheel, bottom - 3), 3, (20, 20, 20), -1)
    return [left, top, right, bottom]


def draw_things(rng):
    """One frame with its boxes (2, 4) and kinds (2,), for a detector to learn from."""
    frames, boxes = draw_clip(str(rng.choice(EVENTS)), rng)
    index = int(rng.integers(FRAMES))
    return frames[index], boxes[index], np.array([0, 1])
