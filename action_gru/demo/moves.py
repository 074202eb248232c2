"""What a figure does when: one action in a clip, many in turn, or none. Knows nothing of pixels."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from action_gru.demo.poses import (
    ACTIONS,
    CYCLE_S,
    IDLE,
    REVERSED_PAIRS,
    STANDING,
    WALK_TRAVEL,
    Pose,
    blend,
    pose_at,
    track_of,
)

SHORTEST_LONG_S = 8.0  # room for the longest pause and the longest action
_ONE_SHOT_S = 1.1  # usual duration of an action that happens once
_BLEND_S = 0.35  # how long a figure takes to get into a cyclic action and out of it
_PAUSE_S = (0.5, 3.0)
_PROP_PAUSE_S = 1.0  # the shortest pause in which a chair or box comes or goes
_CYCLIC_S = (1.2, 3.3)  # without getting into it and out of it: an action is seen 1.9 to 4 s
_WALK_S = (1.0, 1.3)
_MOST_WALKS = 2  # of one figure, which walks one way and stays in the picture
_UNDONE_BY = dict(REVERSED_PAIRS)


class Moment(NamedTuple):
    """The pose track at an instant and its phase in [0, 1]; a reversed pair shares both."""

    track: str
    phase: float


@dataclass(frozen=True)
class Move:
    """One action from start_s to end_s; cycles: how often a cyclic action repeats in between."""

    action: str
    start_s: float
    end_s: float
    cycles: float = 1.0

    @property
    def span_s(self) -> tuple[float, float]:
        """When the action is seen: getting into a cyclic one and out of it is part of it."""
        margin_s = _BLEND_S if track_of(self.action)[0] in CYCLE_S else 0.0
        return self.start_s - margin_s, self.end_s + margin_s

    def distance_s(self, time_s: float) -> float:
        """How far an instant lies from the span; 0 or less within it."""
        start_s, end_s = self.span_s
        return max(start_s - time_s, time_s - end_s)

    def shifted(self, by_s: float) -> "Move":
        return replace(self, start_s=self.start_s + by_s, end_s=self.end_s + by_s)

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


def prop_of(move: Move) -> str | None:
    """What the action needs, shown while its figure does it and in the pauses around it."""
    return {"sit": "chair", "pick": "box"}.get(track_of(move.action)[0])


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
        changes = bool(moves) and prop_of(moves[-1]) != prop_of(move)
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
