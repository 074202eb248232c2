"""The poses of each action, and the order of actions. Knows no pixels.

Lengths are in statures (figure height = 1), angles in degrees. A pose is a flat array, so that
two poses blend with one weighted sum.
"""

from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Pose = NDArray[np.float64]
Arm = tuple[float, float, float, float]  # forward swing, sideways lift, elbow bend, bend twist

PELVIS_Z = 0.50
RELAXED: Arm = (4, 13, 16, 0)


def pose(
    *,
    forward: float = 0.0,
    height: float = PELVIS_Z,
    lean: float = 0.0,
    nod: float = 0.0,
    arms: Arm = RELAXED,
    left_arm: Arm | None = None,
    right_arm: Arm | None = None,
    left_foot: tuple[float, float] = (0.0, 0.0),
    right_foot: tuple[float, float] = (0.0, 0.0),
) -> Pose:
    """One pose, (16,): pelvis forward and height, lean, nod, two arms (4), two feet (x, lift).

    Arm: swing 0 hangs and 90 points forward; lift 90 points sideways; twist turns the elbow's
    bend direction from forward (0) to up and outward (90) or inward (-90). arms: both arms, where
    neither left_arm nor right_arm says otherwise.
    """
    torso, left, right = (forward, height, lean, nod), left_arm or arms, right_arm or arms
    return np.array((*torso, *left, *right, *left_foot, *right_foot), np.float64)


STANDING = pose()
_GUARD: Arm = (38, 12, 112, -12)
_JAB: Arm = (88, -4, 4, 0)
_GUARDED = pose(height=0.47, lean=6, arms=_GUARD)

_STEP_AHEAD: Arm = (32, 8, 24, 0)
_STEP_BACK: Arm = (-30, 8, 10, 0)
_LEFT_STEP = pose(height=0.475, lean=5, left_arm=_STEP_BACK, right_arm=_STEP_AHEAD,
                  left_foot=(0.18, 0.0), right_foot=(-0.18, 0.03))  # fmt: skip
_RIGHT_STEP = pose(height=0.475, lean=5, left_arm=_STEP_AHEAD, right_arm=_STEP_BACK,
                   left_foot=(-0.18, 0.03), right_foot=(0.18, 0.0))  # fmt: skip
_OPEN, _CLOSED = pose(arms=(62, 34, 34, -40)), pose(arms=(58, 2, 44, -72))
_WAVE_IN, _WAVE_OUT = pose(right_arm=(10, 78, 62, 90)), pose(right_arm=(10, 84, 124, 90))

# Each row: (phase, pose). Between rows the pose eases symmetrically, so that a row read backwards
# in time is as smooth as forwards.
_TRACKS: dict[str, tuple[tuple[float, Pose], ...]] = {
    "sit": (
        (0.0, STANDING),
        (0.5, pose(forward=-0.12, height=0.40, lean=38, nod=-15, arms=(48, 8, 20, 0))),
        (1.0, pose(forward=-0.19, height=0.275, lean=4, arms=(38, 5, 45, 0))),
    ),
    "pick": (
        (0.0, STANDING),
        (0.5, pose(forward=-0.10, height=0.34, lean=66, nod=-25, arms=(24, 4, 4, 0))),
        (1.0, pose(lean=-4, arms=(18, 4, 72, 0))),
    ),
    "raise": (
        (0.0, STANDING),
        (0.5, pose(arms=(8, 82, 12, 90))),
        (1.0, pose(nod=-8, arms=(10, 166, 10, 90))),
    ),
    "wave": ((0.0, _WAVE_IN), (0.5, _WAVE_OUT), (1.0, _WAVE_IN)),
    "clap": ((0.0, _OPEN), (0.5, _CLOSED), (1.0, _OPEN)),
    "jump": (
        (0.0, STANDING),
        (0.3, pose(height=0.38, forward=-0.05, lean=32, arms=(-40, 10, 15, 0))),
        (0.55, pose(height=0.70, nod=-8, arms=(150, 22, 10, 0),
                    left_foot=(-0.04, 0.20), right_foot=(-0.02, 0.22))),
        (0.78, pose(height=0.40, forward=-0.04, lean=26, left_arm=(30, 25, 25, 0))),
        (1.0, STANDING),
    ),
    "kick": (
        (0.0, STANDING),
        (0.3, pose(lean=12, right_foot=(-0.26, 0.14), left_arm=(40, 30, 20, 0))),
        (0.55, pose(height=0.49, lean=-16, right_foot=(0.42, 0.34),
                    left_arm=(-20, 45, 20, 0), right_arm=(-25, 40, 25, 0))),
        (1.0, STANDING),
    ),
    "punch": (
        (0.0, _GUARDED),
        (0.25, pose(height=0.46, lean=14, forward=0.03, left_arm=_JAB, right_arm=_GUARD)),
        (0.5, _GUARDED),
        (0.75, pose(height=0.46, lean=14, forward=0.03, left_arm=_GUARD, right_arm=_JAB)),
        (1.0, _GUARDED),
    ),
    "walk": (  # contact, passing, contact, passing, contact
        (0.0, _LEFT_STEP),
        (0.25, pose(lean=5, right_foot=(0.0, 0.11))),
        (0.5, _RIGHT_STEP),
        (0.75, pose(lean=5, left_foot=(0.0, 0.11))),
        (1.0, _LEFT_STEP),
    ),
}  # fmt: skip

REVERSED_PAIRS: tuple[tuple[str, str], ...] = (
    ("sit_down", "stand_up"),
    ("pick_up", "put_down"),
    ("raise_arms", "lower_arms"),
)
# Repeated while the action lasts; the value is one cycle's usual duration in seconds.
CYCLE_S: dict[str, float] = {"wave": 0.60, "clap": 0.45, "punch": 0.80, "walk": 0.95}
WALK_TRAVEL = 0.72  # statures forward in one cycle: two steps of twice 0.18
GRASP_PHASE = 0.5  # the box leaves the floor here
# action -> (pose track, read backwards)
_ACTION_TRACKS: dict[str, tuple[str, bool]] = {
    action: (track, backwards)
    for track, pair in zip(("sit", "pick", "raise"), REVERSED_PAIRS, strict=True)
    for action, backwards in zip(pair, (False, True), strict=True)
} | {action: (action, False) for action in ("wave", "clap", "punch", "walk", "jump", "kick")}
ACTIONS: tuple[str, ...] = tuple(_ACTION_TRACKS)
IDLE = "idle"  # no action: a figure holds still; no track, no phase, not for the backbone to learn
CLASSES: tuple[str, ...] = (*ACTIONS, IDLE)
TRACKS: tuple[str, ...] = tuple(_TRACKS)
# How far a figure that holds still drifts from its pose, and how often: people breathe and balance.
_SWAY = pose(forward=0.004, height=0.002, lean=0.7, nod=2.0, arms=(1.5, 1.0, 2.5, 0))
_SWAY_HZ = 0.11 + 0.26 * np.modf(np.arange(_SWAY.size) * 0.618)[0]

SHORTEST_LONG_S = 8.0  # room for the longest pause and the longest action
_ONE_SHOT_S = 1.1  # usual duration of an action that happens once
_BLEND_S = 0.35  # how long a figure takes to get into a cyclic action and out of it
_PAUSE_S = (0.5, 3.0)
_PROP_PAUSE_S = 1.0  # the shortest pause in which a chair or box appears or disappears
_CYCLIC_S = (1.2, 3.3)  # without getting into it and out of it: an action is seen 1.9 to 4 s
_WALK_S = (1.0, 1.3)
_MOST_WALKS = 2  # of one figure, which walks one way and stays in the picture
_UNDONE_BY = dict(REVERSED_PAIRS)


def track_of(action: str) -> tuple[str, bool]:
    """The pose track that an action plays, and whether backwards; a pair shares one track."""
    if action not in _ACTION_TRACKS:
        raise ValueError(f"action {action!r}: not drawn; choose one of {', '.join(CLASSES)}")
    return _ACTION_TRACKS[action]


def pose_at(track: str, phase: float) -> Pose:
    """The pose (16,) of a track at a phase from 0 to 1, eased between its rows."""
    rows = _TRACKS[track]
    for (start, before), (end, after) in pairwise(rows):
        if phase <= end:
            return blend(before, after, (phase - start) / (end - start))
    return rows[-1][1]


def blend(before: Pose, after: Pose, weight: float) -> Pose:
    """From one pose (weight 0) to another (1) with a smooth start and end."""
    eased = weight * weight * (3.0 - 2.0 * weight)
    return before + (after - before) * eased


def sway_at(time_s: float) -> Pose:
    """The drift (16,) at an instant, to be added to a pose; the feet stay where they are."""
    turns = 2.0 * np.pi * _SWAY_HZ * time_s
    drift: Pose = _SWAY * (0.7 * np.sin(turns) + 0.3 * np.sin(2.3 * turns + 1.0))
    return drift


@dataclass(frozen=True)
class Move:
    """One action from start_s to end_s; cycles: how often a cyclic action repeats in between."""

    action: str
    start_s: float
    end_s: float
    cycles: float = 1.0

    @property
    def track(self) -> str:
        return track_of(self.action)[0]

    @property
    def prop(self) -> str | None:
        """What the action needs, shown while its figure does it and in the pauses around it."""
        return {"sit": "chair", "pick": "box"}.get(self.track)

    @property
    def span_s(self) -> tuple[float, float]:
        """When the action is seen: getting into a cyclic one and out of it is part of it."""
        margin_s = _BLEND_S if self.track in CYCLE_S else 0.0
        return self.start_s - margin_s, self.end_s + margin_s

    def distance_s(self, time_s: float) -> float:
        """Distance of an instant from the span; 0 or less within it."""
        start_s, end_s = self.span_s
        return max(start_s - time_s, time_s - end_s)

    def shifted(self, by_s: float) -> "Move":
        return replace(self, start_s=self.start_s + by_s, end_s=self.end_s + by_s)

    def phase_at(self, time_s: float) -> float:
        """The pose track's phase in [0, 1], held before the start and after the end."""
        done = self._done_at(time_s)
        if self.track in CYCLE_S:
            return done * self.cycles % 1.0
        return 1.0 - done if track_of(self.action)[1] else done

    def pose_at(self, time_s: float) -> Pose:
        """The pose (16,), at rest before and after a cyclic action."""
        pose = pose_at(self.track, self.phase_at(time_s))
        if self.track in CYCLE_S:
            outside_s = max(self.start_s - time_s, time_s - self.end_s, 0.0)
            return blend(pose, STANDING, min(outside_s / _BLEND_S, 1.0))
        return pose

    def travel_at(self, time_s: float) -> float:
        """How far the figure has walked, in statures."""
        return self._done_at(time_s) * self.cycles * WALK_TRAVEL if self.action == "walk" else 0.0

    def _done_at(self, time_s: float) -> float:
        return min(max((time_s - self.start_s) / (self.end_s - self.start_s), 0.0), 1.0)


def followers(action: str | None) -> tuple[str, ...]:
    """The actions possible after one, or at first: who sits can only stand up, and so on."""
    if action in _UNDONE_BY:
        return (_UNDONE_BY[action],)
    return tuple(each for each in ACTIONS if each not in _UNDONE_BY.values())


def clip_moves(action: str, rng: np.random.Generator, last_s: float) -> tuple[Move, ...]:
    """What happens in a clip that ends at last_s; a backwards action, mirrored in time."""
    if action == IDLE:
        return _idle_moves(rng, last_s)
    move = _clip_move(action, rng, last_s)
    if track_of(action)[1]:
        move = replace(move, start_s=last_s - move.end_s, end_s=last_s - move.start_s)
    return (move,)


def _clip_move(action: str, rng: np.random.Generator, last_s: float) -> Move:
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


def _idle_moves(rng: np.random.Generator, last_s: float) -> tuple[Move, Move]:
    """The moves before 0 and after last_s: a pause like those between the moves of `long_moves`.

    In three of five pauses the figure is seated, carries the box or has its arms raised.
    """
    if rng.random() < 0.6:
        before = str(rng.choice(list(_UNDONE_BY)))
    else:  # a walk would have carried the figure away from its place
        ends = [each for each in ACTIONS if each not in _UNDONE_BY and each != "walk"]
        before = str(rng.choice(ends))
    after = str(rng.choice(followers(before)))
    early_s, late_s = rng.uniform(0.0, 0.5, 2).tolist()
    left, right = (_random_move(action, rng) for action in (before, after))
    return left.shifted(-early_s - left.span_s[1]), right.shifted(last_s + late_s)


def long_moves(rng: np.random.Generator, duration_s: float) -> tuple[Move, ...]:
    """Moves in turn with pauses between, from 0 to duration_s, each action about as often."""
    if duration_s < SHORTEST_LONG_S:
        raise ValueError(f"duration_s: got {duration_s:g}; at least {SHORTEST_LONG_S:g}")
    moves: list[Move] = []
    now_s = 0.0
    while True:
        move = _random_move(_next_action(rng, [move.action for move in moves]), rng)
        changes = bool(moves) and moves[-1].prop != move.prop
        shortest_s = _PROP_PAUSE_S if changes else _PAUSE_S[0]
        move = move.shifted(now_s + float(rng.uniform(shortest_s, _PAUSE_S[1])))
        now_s = move.span_s[1]
        if now_s + _PAUSE_S[0] > duration_s:
            return tuple(moves)
        moves.append(move)


def _next_action(rng: np.random.Generator, past: list[str]) -> str:
    """One of the possible actions that were done least often so far."""
    counts = Counter(past)
    possible = [
        action
        for action in followers(past[-1] if past else None)
        if action not in past[-1:] and not (action == "walk" and counts[action] == _MOST_WALKS)
    ]
    least = min(counts[action] for action in possible)
    return str(rng.choice([action for action in possible if counts[action] == least]))


def _random_move(action: str, rng: np.random.Generator) -> Move:
    """An action of random length and speed whose span starts at 0."""
    track, _ = track_of(action)
    speed = float(rng.uniform(0.8, 1.25))
    if track not in CYCLE_S:
        return Move(action, 0.0, speed * _ONE_SHOT_S)
    length_s = float(rng.uniform(*(_WALK_S if action == "walk" else _CYCLIC_S)))
    return Move(action, _BLEND_S, _BLEND_S + length_s, speed * length_s / CYCLE_S[track])
