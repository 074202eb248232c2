"""Which pose a drawn figure takes at which phase of an action. Knows nothing of pixels.

Lengths are in statures (figure height = 1), angles in degrees. A pose is a flat array, so that
two poses blend with one weighted sum.
"""

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
_SEATED = pose(forward=-0.19, height=0.275, lean=4, arms=(38, 5, 45, 0))
_BENT = pose(forward=-0.10, height=0.34, lean=66, nod=-25, arms=(24, 4, 4, 0))
_GUARD: Arm = (38, 12, 112, -12)
_JAB: Arm = (88, -4, 4, 0)
_GUARDED = pose(height=0.47, lean=6, arms=_GUARD)
_CROUCH = pose(height=0.38, forward=-0.05, lean=32, arms=(-40, 10, 15, 0))

# Each row: (phase, pose). Between rows the pose eases symmetrically, so that a row read backwards
# in time is as smooth as forwards.
_TRACKS: dict[str, tuple[tuple[float, Pose], ...]] = {
    "sit": (
        (0.0, STANDING),
        (0.5, pose(forward=-0.12, height=0.40, lean=38, nod=-15, arms=(48, 8, 20, 0))),
        (1.0, _SEATED),
    ),
    "pick": ((0.0, STANDING), (0.5, _BENT), (1.0, pose(lean=-4, arms=(18, 4, 72, 0)))),
    "raise": (
        (0.0, STANDING),
        (0.5, pose(arms=(8, 82, 12, 90))),
        (1.0, pose(nod=-8, arms=(10, 166, 10, 90))),
    ),
    "wave": (
        (0.0, pose(right_arm=(10, 78, 62, 90))),
        (0.5, pose(right_arm=(10, 84, 124, 90))),
        (1.0, pose(right_arm=(10, 78, 62, 90))),
    ),
    "clap": (
        (0.0, pose(arms=(62, 34, 34, -40))),
        (0.5, pose(arms=(58, 2, 44, -72))),
        (1.0, pose(arms=(62, 34, 34, -40))),
    ),
    "jump": (
        (0.0, STANDING),
        (0.3, _CROUCH),
        (
            0.55,
            pose(
                height=0.70,
                nod=-8,
                arms=(150, 22, 10, 0),
                left_foot=(-0.04, 0.20),
                right_foot=(-0.02, 0.22),
            ),
        ),
        (0.78, pose(height=0.40, forward=-0.04, lean=26, left_arm=(30, 25, 25, 0))),
        (1.0, STANDING),
    ),
    "kick": (
        (0.0, STANDING),
        (0.3, pose(lean=12, right_foot=(-0.26, 0.14), left_arm=(40, 30, 20, 0))),
        (
            0.55,
            pose(
                height=0.49,
                lean=-16,
                right_foot=(0.42, 0.34),
                left_arm=(-20, 45, 20, 0),
                right_arm=(-25, 40, 25, 0),
            ),
        ),
        (1.0, STANDING),
    ),
    "punch": (
        (0.0, _GUARDED),
        (0.25, pose(height=0.46, lean=14, forward=0.03, left_arm=_JAB, right_arm=_GUARD)),
        (0.5, _GUARDED),
        (0.75, pose(height=0.46, lean=14, forward=0.03, left_arm=_GUARD, right_arm=_JAB)),
        (1.0, _GUARDED),
    ),
}


def _walk_cycle() -> tuple[tuple[float, Pose], ...]:
    """A step with each foot: contact, passing, contact, passing, contact."""
    swing: Arm = (32, 8, 24, 0)
    back: Arm = (-30, 8, 10, 0)
    left = pose(height=0.475, lean=5, left_arm=back, right_arm=swing, left_foot=(0.18, 0.0))
    left[14:16] = (-0.18, 0.03)
    right = pose(height=0.475, lean=5, left_arm=swing, right_arm=back, right_foot=(0.18, 0.0))
    right[12:14] = (-0.18, 0.03)
    pass_right = pose(lean=5, right_foot=(0.0, 0.11))
    pass_left = pose(lean=5, left_foot=(0.0, 0.11))
    return ((0.0, left), (0.25, pass_right), (0.5, right), (0.75, pass_left), (1.0, left))


_TRACKS["walk"] = _walk_cycle()

# action -> (pose track, read backwards)
_ACTION_TRACKS: dict[str, tuple[str, bool]] = {
    "sit_down": ("sit", False),
    "stand_up": ("sit", True),
    "pick_up": ("pick", False),
    "put_down": ("pick", True),
    "raise_arms": ("raise", False),
    "lower_arms": ("raise", True),
    "wave": ("wave", False),
    "clap": ("clap", False),
    "punch": ("punch", False),
    "walk": ("walk", False),
    "jump": ("jump", False),
    "kick": ("kick", False),
}
ACTIONS: tuple[str, ...] = tuple(_ACTION_TRACKS)
IDLE = "idle"  # no action: a figure holds still; no track, no phase, not for the backbone to learn
CLASSES: tuple[str, ...] = (*ACTIONS, IDLE)
TRACKS: tuple[str, ...] = tuple(_TRACKS)
REVERSED_PAIRS: tuple[tuple[str, str], ...] = (
    ("sit_down", "stand_up"),
    ("pick_up", "put_down"),
    ("raise_arms", "lower_arms"),
)
# Repeated while the action lasts; the value is one cycle's usual duration in seconds.
CYCLE_S: dict[str, float] = {"wave": 0.60, "clap": 0.45, "punch": 0.80, "walk": 0.95}
WALK_TRAVEL = 0.72  # statures forward in one cycle: two steps of twice 0.18
GRASP_PHASE = 0.5  # the box leaves the floor here

# How far a figure that holds still drifts from its pose, and how often: people breathe and balance.
_SWAY = pose(forward=0.004, height=0.002, lean=0.7, nod=2.0, arms=(1.5, 1.0, 2.5, 0))
_SWAY_HZ = 0.11 + 0.26 * np.modf(np.arange(_SWAY.size) * 0.618)[0]


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
