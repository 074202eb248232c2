"""A figure that plays moves in turn: its pose, place and props at an instant, and their picture."""

from dataclasses import dataclass
from functools import partial

import cv2

from action_gru.apps.figures import Figure, box_centre, draw_chair, draw_figure, draw_shadow
from action_gru.apps.moves import Moment, Move, prop_of
from action_gru.apps.poses import Pose, blend, sway_at, track_of
from action_gru.apps.shapes import Image, View, draw_cuboid

_BOX_SIZE = (0.13, 0.17, 0.13)
_FADE_S = 0.8  # how long a chair or box takes to come or go in a pause
_CALM_S = 0.3  # how long after an action until a figure sways


@dataclass(frozen=True)
class Actor:
    """A figure, where it stands, and what it does: moves in order of time, at least one.

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
        """The move going on, or else the nearer one in time."""
        return min(self.moves, key=lambda move: max(move.start_s - time_s, time_s - move.end_s))

    def moment_at(self, time_s: float) -> Moment:
        """The pose track and phase at an instant: the label of a single frame."""
        move = self.move_at(time_s)
        return Moment(track_of(move.action)[0], move.phase_at(time_s))

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
        if prop_of(left) == prop_of(right) or weight == 0.0:
            self._draw(canvas, view, pose, left, time_s)
        elif weight == 1.0:
            self._draw(canvas, view, pose, right, time_s)
        else:
            later = canvas.copy()
            self._draw(canvas, view, pose, left, time_s)
            self._draw(later, view, pose, right, time_s)
            cv2.addWeighted(canvas, 1.0 - weight, later, weight, 0.0, dst=canvas)

    def _draw(self, canvas: Image, view: View, pose: Pose, move: Move, time_s: float) -> None:
        """The figure in a pose with what a move needs."""
        if prop_of(move) == "chair":
            draw_chair(canvas, view, self.prop_colour)
        box = partial(draw_cuboid, canvas, view, size=_BOX_SIZE, colour=self.prop_colour)
        held = box_centre(pose, move.phase_at(time_s)) if prop_of(move) == "box" else None
        draw_figure(canvas, self.figure, pose, view, held=held, draw_held=box)
