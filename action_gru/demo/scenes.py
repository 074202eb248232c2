"""Draws labelled clips and long videos of figures doing actions, for a demo with no download.

A `Scene` is a background and its `Actor`s; an `Actor` plays `Move`s one after another. Everything
is a pure function of a seed. A reversed pair shares one generator: a frame of one is as likely in
the other, so only the order of frames distinguishes them.
"""

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from action_gru.demo.actions import (
    IDLE,
    TRACKS,
    Move,
    Pose,
    blend,
    clip_moves,
    long_moves,
    sway_at,
    track_of,
)
from action_gru.demo.figures import (
    Figure,
    box_centre,
    draw_chair,
    draw_figure,
    draw_shadow,
    random_figure,
)
from action_gru.demo.shapes import Image, View, draw_cuboid

_BOX_SIZE = (0.13, 0.17, 0.13)
_FADE_S = 0.8  # how long a chair or box takes to come or go in a pause
_CALM_S = 0.3  # how long after an action until a figure sways
_NOISE_SHIFT = 48  # px
# Of a long video, in shares of the picture: how far a figure walks, where its feet may be.
_WIDEST, _SIDE, _LOWEST = 0.5, 0.2, 0.97
# A wide picture made square narrows its figure: larger and turned further, it looks as in a clip.
_LONG_STATURE = (0.62, 0.72)  # of the picture's height; in clips 0.52 to 0.69
_LEAST_TURNED_DEG = 30.0  # in clips 22


@dataclass(frozen=True)
class Actor:
    """A figure, its place, and its moves in order of time, at least one.

    sway: how much it drifts while it does nothing, 1 as people usually do; sway_from_s: when in an
    endless drift it begins.
    """

    figure: Figure
    view: View
    moves: tuple[Move, ...]
    prop_colour: tuple[int, int, int] = (150, 104, 62)
    sway: float = 0.0
    sway_from_s: float = 0.0

    def move_at(self, time_s: float) -> Move:
        """The move going on, or else the nearer one in time: it labels a single frame."""
        return min(self.moves, key=lambda move: max(move.start_s - time_s, time_s - move.end_s))

    def pose_at(self, time_s: float) -> Pose:
        """The pose (16,); in a gap between two moves it blends from one to the next."""
        left, right = self._around(time_s)
        pose = left.pose_at(time_s)
        if left is not right:
            weight = (time_s - left.end_s) / (right.start_s - left.end_s)
            pose = blend(pose, right.pose_at(time_s), weight)
        calm_s = min(move.distance_s(time_s) for move in self.moves) if self.sway else 0.0
        if calm_s > 0.0:
            drift = self.sway * sway_at(self.sway_from_s + time_s)
            pose = blend(pose, pose + drift, min(calm_s / _CALM_S, 1.0))
        return pose

    def _around(self, time_s: float) -> tuple[Move, Move]:
        """The moves before and after a gap; out of gaps twice the one going on or nearest."""
        before = [move for move in self.moves if move.end_s < time_s]
        after = [move for move in self.moves if move.start_s > time_s]
        if before and after and len(before) + len(after) == len(self.moves):
            return before[-1], after[0]
        return (self.move_at(time_s),) * 2

    def draw(self, canvas: Image, time_s: float) -> None:
        """Draw the figure and its prop into canvas (H, W, 3); in a gap, props fade out and in."""
        left, right = self._around(time_s)
        pose = self.pose_at(time_s)
        view = self.view.ahead(sum(move.travel_at(time_s) for move in self.moves))
        draw_shadow(canvas, view, pose)
        middle_s = (left.span_s[1] + right.span_s[0]) / 2
        weight = min(max((time_s - middle_s) / _FADE_S + 0.5, 0.0), 1.0)
        if left.prop == right.prop:
            weight = 0.0
        later = canvas.copy() if 0.0 < weight < 1.0 else canvas
        if weight < 1.0:
            self._draw(canvas, view, pose, left, time_s)
        if weight > 0.0:
            self._draw(later, view, pose, right, time_s)
        if later is not canvas:
            cv2.addWeighted(canvas, 1.0 - weight, later, weight, 0.0, dst=canvas)

    def _draw(self, canvas: Image, view: View, pose: Pose, move: Move, time_s: float) -> None:
        """The figure in a pose with what a move needs."""
        if move.prop == "chair":
            draw_chair(canvas, view, self.prop_colour)
        box = partial(draw_cuboid, canvas, view, size=_BOX_SIZE, colour=self.prop_colour)
        held = box_centre(pose, move.phase_at(time_s)) if move.prop == "box" else None
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
            height, width = canvas.shape[:2]
            tile = _noise_tile(height + _NOISE_SHIFT, width + _NOISE_SHIFT, self.noise)
            rng = np.random.default_rng((self.seed, round(time_s * 1e4)))
            top, left = rng.integers(0, _NOISE_SHIFT, 2)
            window = tile[top : top + height, left : left + width]
            canvas = cv2.add(canvas, window, dtype=cv2.CV_8U)
        return np.asarray(canvas, np.uint8)


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
    corners = (int(left), int(top)), (int(left + wide), int(top + tall))
    cv2.rectangle(canvas, *corners, colour, -1, cv2.LINE_AA)
    cv2.rectangle(canvas, *corners, frame, int(rng.integers(1, 5)), cv2.LINE_AA)


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
    track = IDLE if action == IDLE else track_of(action)[0]
    rng = np.random.default_rng((seed, (*TRACKS, IDLE).index(track)))
    figure = random_figure(rng if person is None else np.random.default_rng(person))
    background, horizon = draw_background(rng, size_px)
    moves = clip_moves(action, rng, (round(duration_s * fps) - 1) / fps)
    travels = action == "walk" or (action == IDLE and rng.random() < 0.25)
    view = _random_view(rng, size_px, horizon, travels=travels)
    # Actions stay as the backbone was trained on them: still in pauses.
    return _scene(background, Actor(figure, view, moves), rng, seed, sways=action == IDLE)


def long_scene(
    seed: int,
    *,
    size_px: tuple[int, int] = (640, 360),
    duration_s: float = 75.0,
    person: int | None = None,
) -> Scene:
    """One actor who does many actions in turn, each once it is possible, and idles in between.

    Which action is seen when: `action` and `span_s` of its moves.
    """
    rng = np.random.default_rng((seed, len(TRACKS) + 1))
    figure = random_figure(rng if person is None else np.random.default_rng(person))
    background, horizon = draw_background(rng, size_px)
    moves = long_moves(rng, duration_s)
    travel = sum(move.travel_at(duration_s) for move in moves)
    view = _random_view(rng, size_px, horizon, travels=False)
    view = replace(view, scale_px=float(size_px[1] * rng.uniform(*_LONG_STATURE)))
    view = _view_half_way(view, travel, size_px).ahead(-travel / 2)
    return _scene(background, Actor(figure, view, moves), rng, seed, sways=True)


def _scene(
    background: Image, actor: Actor, rng: np.random.Generator, seed: int, *, sways: bool
) -> Scene:
    actor = replace(actor, prop_colour=random_figure(rng).shirt)
    gain, noise = float(rng.uniform(0.75, 1.2)), int(rng.integers(1, 8))
    if sways:
        sway = float(rng.uniform(0.3, 1.6))
        actor = replace(actor, sway=sway, sway_from_s=rng.uniform(0, 1000))
    return Scene(background, (actor,), gain, noise, seed)


def _view_half_way(view: View, travel: float, size_px: tuple[int, int]) -> View:
    """A view turned and moved so that all of a walk of `travel` statures is in the picture.

    Walking brings the figure nearer to the camera, so that its feet end lower than they began.
    """
    width, height = size_px
    steepest = _WIDEST * width / max(travel * view.scale_px, 1.0)
    most_deg = float(np.degrees(np.arcsin(min(steepest, 1.0))))
    turned_deg = min(max(abs(view.yaw_deg), _LEAST_TURNED_DEG), most_deg)
    view = replace(view, yaw_deg=float(np.copysign(turned_deg, view.yaw_deg)))
    across_px = abs(view.ahead(travel / 2).x_px - view.x_px)
    margin_px = _SIDE * width + across_px
    x_px = min(max(view.x_px, margin_px), width - margin_px)
    sunk_px = view.ahead(travel / 2).y_px - _LOWEST * height
    return replace(view, x_px=x_px, y_px=view.y_px - max(sunk_px, 0.0))


def _random_view(
    rng: np.random.Generator, size_px: tuple[int, int], horizon: float, *, travels: bool
) -> View:
    """Facing left or right, a quarter to three quarters turned from the camera."""
    width, height = size_px
    yaw_deg = float(rng.uniform(22, 62) * rng.choice((-1.0, 1.0)))
    scale_px = float(height * rng.uniform(0.52, 0.69))
    y_px = float(np.clip(horizon + height * rng.uniform(0.08, 0.3), 0.84 * height, 0.95 * height))
    x_px = width * rng.uniform(0.2, 0.8)  # where a walk may end, so that place says nothing
    if travels:  # start on the side that the figure walks away from, to stay in the picture
        x_px = width * (0.5 - np.sign(yaw_deg) * rng.uniform(0.22, 0.34))
    return View(float(x_px), y_px, scale_px, yaw_deg)


def draw_clip(
    action: str, seed: int, *, fps: float = 24.0, duration_s: float = 2.0, **scene_of: Any
) -> NDArray[np.uint8]:
    """A clip of one person doing one action, (T, H, W, 3) uint8 RGB with T = duration x fps.

    scene_of: what else `clip_scene` takes.
    """
    scene = clip_scene(action, seed, fps=fps, duration_s=duration_s, **scene_of)
    return np.stack([scene.image_at(i / fps) for i in range(round(duration_s * fps))])
