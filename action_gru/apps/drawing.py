"""Draws short labelled clips of figures doing actions, for a demo and tests with no download.

A `Scene` is a background and its `Actor`s; an `Actor` plays `Move`s one after another. Everything
is a pure function of a seed. A reversed pair shares one generator: a frame of one is as likely in
the other, so only the order of frames tells them apart.
"""

from dataclasses import dataclass, replace
from functools import lru_cache, partial

import cv2
import numpy as np
from numpy.typing import NDArray

from action_gru.apps.figures import (
    Figure,
    box_centre,
    draw_chair,
    draw_figure,
    draw_shadow,
    random_figure,
)
from action_gru.apps.poses import (
    ACTIONS,
    CYCLE_S,
    REVERSED_PAIRS,
    STANDING,
    TRACKS,
    WALK_TRAVEL,
    Pose,
    blend,
    pose_at,
    track_of,
)
from action_gru.apps.shapes import Image, View, draw_cuboid

__all__ = [
    "ACTIONS",
    "REVERSED_PAIRS",
    "Actor",
    "Moment",
    "Move",
    "Scene",
    "clip_scene",
    "draw_background",
    "draw_clip",
]

_ONE_SHOT_S = 1.1  # usual duration of an action that happens once
_BOX_SIZE = (0.13, 0.17, 0.13)
_NOISE_SHIFT = 48  # px
_BLEND_S = 0.35  # how long a figure takes to get into a cyclic action and out of it


@dataclass(frozen=True)
class Moment:
    """What an actor does at an instant: the pose track and its phase in [0, 1].

    Both members of a reversed pair share the track and its phase.
    """

    track: str
    phase: float


@dataclass(frozen=True)
class Move:
    """One action from start_s to end_s; cycles: how often a cyclic action repeats in between."""

    action: str
    start_s: float
    end_s: float
    cycles: float = 1.0

    def phase_at(self, time_s: float) -> float:
        """The pose track's phase in [0, 1], held before the start and after the end."""
        done = min(max((time_s - self.start_s) / (self.end_s - self.start_s), 0.0), 1.0)
        track, backwards = track_of(self.action)
        if track in CYCLE_S:
            return done * self.cycles % 1.0
        return 1.0 - done if backwards else done

    def pose_at(self, time_s: float) -> Pose:
        """The pose (16,), at rest before and after a cyclic action."""
        track, _ = track_of(self.action)
        pose = pose_at(track, self.phase_at(time_s))
        if track in CYCLE_S:
            outside_s = max(self.start_s - time_s, time_s - self.end_s, 0.0)
            return blend(pose, STANDING, min(outside_s / _BLEND_S, 1.0))
        return pose

    def travel_at(self, time_s: float) -> float:
        """How far the figure has walked, in statures."""
        if self.action != "walk":
            return 0.0
        done = min(max((time_s - self.start_s) / (self.end_s - self.start_s), 0.0), 1.0)
        return done * self.cycles * WALK_TRAVEL


@dataclass(frozen=True)
class Actor:
    """A figure, where it stands, and what it does: moves in order of time, at least one."""

    figure: Figure
    view: View
    moves: tuple[Move, ...]
    prop_colour: tuple[int, int, int] = (150, 104, 62)

    def move_at(self, time_s: float) -> Move:
        """The move going on, or else the nearer one in time."""
        return min(self.moves, key=lambda move: max(move.start_s - time_s, time_s - move.end_s))

    def moment_at(self, time_s: float) -> Moment:
        """The pose track and phase at an instant: the label of a single frame."""
        move = self.move_at(time_s)
        return Moment(track_of(move.action)[0], move.phase_at(time_s))

    def pose_at(self, time_s: float) -> Pose:
        """The pose (16,); in a gap between two moves it blends from one to the next."""
        before = [move for move in self.moves if move.end_s < time_s]
        after = [move for move in self.moves if move.start_s > time_s]
        if before and after and len(before) + len(after) == len(self.moves):
            left, right = before[-1], after[0]
            weight = (time_s - left.end_s) / (right.start_s - left.end_s)
            return blend(left.pose_at(left.end_s), right.pose_at(right.start_s), weight)
        return self.move_at(time_s).pose_at(time_s)

    def draw(self, canvas: Image, time_s: float) -> None:
        """Draw the figure and its prop into canvas (H, W, 3)."""
        move, pose = self.move_at(time_s), self.pose_at(time_s)
        travel = sum(each.travel_at(time_s) for each in self.moves)
        view = self.view.ahead(travel)
        draw_shadow(canvas, view, pose)
        track, _ = track_of(move.action)
        if track == "sit":
            draw_chair(canvas, view, self.prop_colour)
        box = partial(draw_cuboid, canvas, view, size=_BOX_SIZE, colour=self.prop_colour)
        held = box_centre(pose, move.phase_at(time_s)) if track == "pick" else None
        draw_figure(canvas, self.figure, pose, view, held=held, draw_held=box)


@dataclass(frozen=True)
class Scene:
    """A background (H, W, 3), actors from back to front, and how the camera sees them."""

    background: Image
    actors: tuple[Actor, ...]
    gain: float = 1.0
    noise: int = 0
    seed: int = 0

    def image_at(self, time_s: float) -> Image:
        """The picture at an instant, (H, W, 3) uint8 RGB; the same instant gives the same noise."""
        canvas = self.background.copy()
        for actor in sorted(self.actors, key=lambda actor: actor.view.y_px):
            actor.draw(canvas, time_s)
        if self.gain != 1.0:
            canvas = cv2.convertScaleAbs(canvas, alpha=self.gain)
        if self.noise:
            canvas = self._noisy(canvas, time_s)
        return np.asarray(canvas, np.uint8)

    def _noisy(self, canvas: Image, time_s: float) -> Image:
        height, width = canvas.shape[:2]
        tile = _noise_tile(height + _NOISE_SHIFT, width + _NOISE_SHIFT, self.noise)
        rng = np.random.default_rng((self.seed, round(time_s * 1e4)))
        top, left = rng.integers(0, _NOISE_SHIFT, 2)
        noisy = cv2.add(canvas, tile[top : top + height, left : left + width], dtype=cv2.CV_8U)
        return np.asarray(noisy, np.uint8)


@lru_cache(maxsize=16)
def _noise_tile(height: int, width: int, sigma: int) -> NDArray[np.int16]:
    """Camera noise (height, width, 3), larger than a frame: each frame takes another window."""
    rng = np.random.default_rng(sigma)
    values = rng.standard_normal((height, width, 3), np.float32) * sigma
    return np.rint(values).astype(np.int16)


def draw_background(rng: np.random.Generator, size_px: tuple[int, int]) -> tuple[Image, float]:
    """A room with wall, floor and furniture: (H, W, 3) uint8 and the floor's upper edge in px."""
    width, height = size_px
    horizon = height * rng.uniform(0.52, 0.72)
    rows = np.linspace(0.0, 1.0, height)[:, None, None]
    columns = np.linspace(-1.0, 1.0, width)[None, :, None]
    wall, floor = _muted(rng, 70, 230), _muted(rng, 50, 190)
    light = 1.0 + 0.25 * (rows - 0.5) * rng.uniform(-1, 1) + 0.15 * columns * rng.uniform(-1, 1)
    picture = np.where(rows * height < horizon, wall, floor) * light
    blobs = rng.normal(0, rng.uniform(0, 12), (5, 7, 3)).astype(np.float32)
    picture = picture + cv2.resize(blobs, size_px, interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, rng.uniform(0, 7), (height // 4, width // 4, 1)).astype(np.float32)
    picture = picture + cv2.resize(grain, size_px, interpolation=cv2.INTER_LINEAR)[..., None]
    canvas = np.clip(picture, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(1, 5))):
        _draw_furniture(canvas, rng, horizon)
    return canvas, horizon


def _muted(
    rng: np.random.Generator, low: float, high: float, spread: float = 17.0
) -> NDArray[np.float64]:
    """A colour (3,) around a grey, as rooms have, so that clothes stand out."""
    return np.clip(rng.uniform(low, high) + rng.normal(0, spread, 3), 20, 245)


def _draw_furniture(canvas: Image, rng: np.random.Generator, horizon: float) -> None:
    """A picture or window on the wall, or a cabinet before it: a rectangle in a frame."""
    height, width = canvas.shape[:2]
    wide, tall = width * rng.uniform(0.08, 0.30), height * rng.uniform(0.10, 0.35)
    left = rng.uniform(-0.05, 0.95) * width
    on_wall = rng.random() < 0.6
    top = rng.uniform(0.0, horizon - tall) if on_wall else horizon + 0.04 * height - tall
    colour, frame = (_muted(rng, 30, 230, spread=42.0).tolist() for _ in range(2))
    corner = (int(left), int(top))
    opposite = (int(left + wide), int(top + tall))
    cv2.rectangle(canvas, corner, opposite, colour, -1, cv2.LINE_AA)
    cv2.rectangle(canvas, corner, opposite, frame, int(rng.integers(1, 5)), cv2.LINE_AA)


def clip_scene(
    action: str,
    seed: int,
    *,
    size_px: tuple[int, int] = (320, 240),
    fps: float = 24.0,
    duration_s: float = 2.0,
    person: int | None = None,
) -> Scene:
    """One actor doing one action at a random time, size and place; `person` fixes the figure.

    The members of a reversed pair get the same random numbers, and times mirrored in the clip.
    """
    track, backwards = track_of(action)
    rng = np.random.default_rng((seed, TRACKS.index(track)))
    figure = random_figure(rng if person is None else np.random.default_rng(person))
    background, horizon = draw_background(rng, size_px)
    last_s = (round(duration_s * fps) - 1) / fps
    move = _random_move(action, rng, last_s)
    if backwards:
        move = replace(move, start_s=last_s - move.end_s, end_s=last_s - move.start_s)
    actor = Actor(
        figure,
        _random_view(rng, size_px, horizon, travels=action == "walk"),
        (move,),
        prop_colour=random_figure(rng).shirt,
    )
    gain, noise = float(rng.uniform(0.75, 1.2)), int(rng.integers(1, 8))
    return Scene(background, (actor,), gain=gain, noise=noise, seed=seed)


def _random_move(action: str, rng: np.random.Generator, last_s: float) -> Move:
    """An action between 0 and last_s: a cyclic one fills most of it, others start at any time."""
    track, _ = track_of(action)
    speed = float(rng.uniform(0.8, 1.25))
    pause, rest = rng.uniform(0.02, 0.2, 2).tolist()
    if track in CYCLE_S:
        start_s, end_s = pause * last_s, (1.0 - rest) * last_s
        return Move(action, start_s, end_s, speed * (end_s - start_s) / CYCLE_S[track])
    length_s = min(speed * _ONE_SHOT_S, 0.9 * last_s)
    start_s = float(rng.uniform(0.0, last_s - length_s))
    return Move(action, start_s, start_s + length_s)


def _random_view(
    rng: np.random.Generator, size_px: tuple[int, int], horizon: float, *, travels: bool
) -> View:
    """Facing left or right, a quarter to three quarters turned from the camera."""
    width, height = size_px
    yaw_deg = float(rng.uniform(22, 62) * rng.choice((-1.0, 1.0)))
    scale_px = float(height * rng.uniform(0.52, 0.69))
    y_px = float(np.clip(horizon + height * rng.uniform(0.08, 0.3), 0.84 * height, 0.95 * height))
    x_px = width * rng.uniform(0.34, 0.66)
    if travels:  # start on the side that the figure walks away from, to stay in the picture
        x_px = width * (0.5 - np.sign(yaw_deg) * rng.uniform(0.22, 0.34))
    return View(float(x_px), y_px, scale_px, yaw_deg)


def draw_clip(
    action: str,
    seed: int,
    *,
    size_px: tuple[int, int] = (320, 240),
    fps: float = 24.0,
    duration_s: float = 2.0,
    person: int | None = None,
) -> NDArray[np.uint8]:
    """A clip of one person doing one action, (T, H, W, 3) uint8 RGB with T = duration x fps."""
    scene = clip_scene(action, seed, size_px=size_px, fps=fps, duration_s=duration_s, person=person)
    return np.stack([scene.image_at(i / fps) for i in range(round(duration_s * fps))])
