"""Draws a person-like figure, a chair or a box in a given pose. Knows nothing of actions or time.

In the figure space of `shapes`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from action_gru.demo.actions import GRASP_PHASE, Pose, pose_at
from action_gru.demo.shapes import (
    Blob,
    Colour,
    Image,
    Points,
    View,
    draw_blobs,
    draw_cuboid,
    mix,
    shade,
)

_THIGH, _SHIN, _UPPER_ARM, _FOREARM = 0.235, 0.235, 0.165, 0.155
_TORSO, _NECK, _ANKLE_Z = 0.30, 0.125, 0.035
_SHOULDER_Y, _HIP_Y = 0.105, 0.055
_HEAD_RADIUS = 0.078


@dataclass(frozen=True)
class Figure:
    """How one person looks. Colours are RGB, build scales limb thickness."""

    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    shoes: Colour
    build: float
    long_sleeves: bool
    shorts: bool


def skeleton(pose: Pose) -> Mapping[str, Points]:
    """Joints of a pose: name -> (3,) in figure space; limbs as 'left_' and 'right_' joints."""
    return _skeleton(pose.tobytes())


@lru_cache(maxsize=8)  # of one frame the shadow, the figure and what it holds ask for it
def _skeleton(of_pose: bytes) -> Mapping[str, Points]:
    pose = np.frombuffer(of_pose)
    forward, height, lean, nod = pose[:4]
    pelvis = np.array([forward, 0.0, height])
    spine = np.array([np.sin(np.radians(lean)), 0.0, np.cos(np.radians(lean))])
    crown = np.radians(0.7 * lean + nod)
    neck = pelvis + spine * _TORSO
    joints = {
        "pelvis": pelvis,
        "neck": neck,
        "head": neck + np.array([np.sin(crown), 0.0, np.cos(crown)]) * _NECK,
        "face": np.array([np.cos(crown), 0.0, -np.sin(crown)]),
    }
    for side, sign, arm, foot in (
        ("left", 1.0, pose[4:8], pose[12:14]),
        ("right", -1.0, pose[8:12], pose[14:16]),
    ):
        out = np.array([0.0, sign, 0.0])
        shoulder = neck - spine * 0.03 + out * _SHOULDER_Y
        elbow, hand = _arm(shoulder, arm, sign)
        hip = pelvis + out * _HIP_Y
        ankle = np.array([foot[0], sign * (_HIP_Y + 0.015), foot[1] + _ANKLE_Z])
        knee, ankle = _leg(hip, ankle)
        names = ("shoulder", "elbow", "hand", "hip", "knee", "ankle", "toe")
        points = (shoulder, elbow, hand, hip, knee, ankle, _toe(knee, ankle, foot[1]))
        joints |= {f"{side}_{name}": point for name, point in zip(names, points, strict=True)}
    return joints


def _arm(shoulder: Points, arm: Points, sign: float) -> tuple[Points, Points]:
    """Elbow and hand from (swing, lift, bend, twist) in degrees; sign +1 left, -1 right."""
    swing, lift, bend, twist = np.radians(arm)
    down, ahead_share = -np.cos(swing) * np.cos(lift), np.sin(swing) * np.cos(lift)
    upper = np.array([ahead_share, sign * np.sin(lift), down])
    ahead = np.array([np.cos(swing), 0.0, np.sin(swing)])
    outward = -sign * np.cross(upper, ahead)
    lower = np.cos(bend) * upper + np.sin(bend) * (np.cos(twist) * ahead + np.sin(twist) * outward)
    elbow = shoulder + upper * _UPPER_ARM
    return elbow, elbow + lower * _FOREARM


def _leg(hip: Points, ankle: Points) -> tuple[Points, Points]:
    """Knee, bent forward, by the law of cosines; a foot out of reach is pulled in."""
    line = ankle - hip
    reach = float(np.linalg.norm(line))
    limit = (_THIGH + _SHIN) * 0.999
    if reach > limit:
        line, reach = line * (limit / reach), limit
    along = (reach**2 + _THIGH**2 - _SHIN**2) / (2 * reach)
    height = np.sqrt(max(_THIGH**2 - along**2, 0.0))
    unit = line / reach
    ahead = np.array([1.0, 0.0, 0.0]) - unit * unit[0]
    ahead /= max(float(np.linalg.norm(ahead)), 1e-6)
    return hip + unit * along + ahead * height, hip + line


def _toe(knee: Points, ankle: Points, lift: float) -> Points:
    """Flat on the floor; the higher the foot, the more it stays square to the shin."""
    shin = (ankle - knee) / _SHIN
    square = np.array([-shin[2], 0.0, shin[0]])
    free = min(float(lift) / 0.12, 1.0)
    direction = (1 - free) * np.array([1.0, 0.0, -0.12]) + free * square
    return ankle + direction * 0.085


def draw_figure(
    canvas: Image,
    figure: Figure,
    pose: Pose,
    view: View,
    held: Points | None = None,
    draw_held: Callable[[Points], None] | None = None,
) -> None:
    """Draw a figure into canvas (H, W, 3), far parts first, with what it holds at `held` (3,)."""
    names, points = zip(*skeleton(pose).items(), strict=True)
    pixels, near = view.project(np.stack(points))
    at = dict(zip(names, pixels, strict=True))
    depth = dict(zip(names, near, strict=True))
    unit = view.scale_px
    face = at["face"] - np.array([view.x_px, view.y_px])
    parts = [
        *_limbs(figure, at, depth, unit),
        (depth["pelvis"] / 2 + depth["neck"] / 2, _torso(figure, at, unit)),
        # Leaning back, the chin still covers the chest.
        (depth["head"] + 0.07, _head(figure, at, face, depth["face"], unit)),
    ]
    parts.sort(key=lambda part: part[0])
    if held is None or draw_held is None:
        draw_blobs(canvas, [blob for _, part in parts for blob in part])
        return
    held_near = float(view.project(held[None])[1][0])
    draw_blobs(canvas, [blob for near, part in parts if near <= held_near for blob in part])
    draw_held(held)
    draw_blobs(canvas, [blob for near, part in parts if near > held_near for blob in part])


Part = tuple[float, list[Blob]]  # how near to the camera


def _limbs(
    figure: Figure, at: dict[str, Points], depth: dict[str, float], unit: float
) -> list[Part]:
    """The arms and legs."""
    sleeve = figure.shirt if figure.long_sleeves else figure.skin
    leg = figure.skin if figure.shorts else figure.trousers
    thick = unit * figure.build
    parts: list[Part] = []
    for side in ("left", "right"):
        for names, radii, colour in (
            (("ankle", "toe"), (0.030, 0.023), figure.shoes),
            (("knee", "ankle"), (0.040, 0.028), leg),
            (("hip", "knee"), (0.054, 0.042), figure.trousers),
            (("hand",), (0.030,), figure.skin),
            (("elbow", "hand"), (0.031, 0.024), sleeve),
            (("shoulder", "elbow"), (0.040, 0.032), figure.shirt),
        ):
            keys = [f"{side}_{name}" for name in names]
            # A thigh joins the pelvis and must not cover the belly: legs rank a bit further back.
            back = 0.03 if "hip" in names else 0.0
            near = float(sum(depth[key] for key in keys) / len(keys)) - back
            centres = np.stack([at[key] for key in keys])
            parts.append((near, [Blob(centres, np.array(radii) * thick, colour)]))
    return parts


def _torso(figure: Figure, at: dict[str, Points], unit: float) -> list[Blob]:
    thick = unit * figure.build
    hips = np.stack([at["left_hip"], at["right_hip"]])
    waist = 0.88 * hips + 0.12 * at["neck"]
    chest = np.stack([at["left_shoulder"], at["right_shoulder"]])
    radii = np.array([0.052, 0.052, 0.044, 0.044]) * thick
    return [
        Blob(hips, np.full(2, 0.056 * thick), figure.trousers),
        Blob(np.concatenate([waist, chest]), radii, figure.shirt),
    ]


def _head(
    figure: Figure, at: dict[str, Points], face: Points, near: float, unit: float
) -> list[Blob]:
    """Hair behind a face that sits towards where the figure looks; face is in pixels."""
    radius, centre = _HEAD_RADIUS * unit, at["head"]
    throat = np.stack([0.85 * at["neck"] + 0.15 * centre, centre])
    look = face / unit
    skin = centre + radius * np.array([0.34 * look[0], 0.16 + 0.3 * look[1]])
    blobs = [
        Blob(throat, np.full(2, 0.42 * radius), figure.skin),
        Blob(centre[None] - [0, 0.10 * radius], np.array([radius]), figure.hair),
        Blob(skin[None], np.array([0.82 * radius]), figure.skin, plain=True),
    ]
    across = np.array([near, 0.12]) * radius * 0.34
    for eye in (-1.0, 1.0) if near >= 0.0 else ():
        spot = skin + radius * np.array([0.42 * look[0], -0.08]) + eye * across * [1.0, 0.0]
        blobs.append(Blob(spot[None], np.array([0.10 * radius]), (30, 26, 28), plain=True))
    return blobs


def box_centre(pose: Pose, phase: float) -> Points:
    """Where the box of a 'pick' pose is, (3,): on the floor before the grasp, then in the hands."""
    held = skeleton(pose if phase >= GRASP_PHASE else pose_at("pick", GRASP_PHASE))
    middle: Points = (held["left_hand"] + held["right_hand"]) / 2
    middle += (0.03, 0.0, -0.02)
    return middle


def draw_shadow(canvas: Image, view: View, pose: Pose) -> None:
    """Darken the floor under a figure."""
    joints = skeleton(pose)
    feet = np.stack([joints["left_ankle"], joints["right_ankle"], joints["pelvis"]])
    spots, _ = view.project(feet * [1.0, 1.0, 0.0])
    radius = int(0.16 * view.scale_px)
    x, y = (int(value) for value in spots.mean(0))
    top, left = max(y - radius // 3, 0), max(x - radius * 3 // 2, 0)
    patch = canvas[top : y + radius // 3 + 1, left : x + radius * 3 // 2 + 1]
    if patch.size == 0:
        return
    dark = np.zeros(patch.shape[:2], np.uint8)
    cv2.ellipse(dark, (x - left, y - top), (radius * 4 // 3, radius // 4), 0, 0, 360, 90, -1)
    shadow = cv2.GaussianBlur(dark, (9, 9), 0)[..., None]
    patch[:] = patch.astype(np.uint16) * (255 - shadow) // 255


def draw_chair(canvas: Image, view: View, colour: Colour, x: float = -0.20) -> None:
    """A chair with its seat under a seated figure's pelvis."""
    seat_z, depth, width = 0.21, 0.26, 0.30
    for leg_x in (-1, 1):
        if leg_x == 1:
            back = np.array([x - depth / 2, 0.0, seat_z + 0.16])
            draw_cuboid(canvas, view, back, (0.025, width, 0.30), shade(colour, 0.85))
        for leg_y in (-1, 1):
            across = leg_y * (width / 2 - 0.02)
            foot = np.array([x + leg_x * (depth / 2 - 0.02), across, seat_z / 2])
            draw_cuboid(canvas, view, foot, (0.028, 0.028, seat_z), shade(colour, 0.7))
    draw_cuboid(canvas, view, np.array([x, 0.0, seat_z]), (depth, width, 0.035), colour)


def random_figure(rng: np.random.Generator) -> Figure:
    """A person with random skin, hair, clothes and build."""

    def bright() -> Colour:
        hue, saturation, value = rng.integers(0, 180), rng.integers(60, 230), rng.integers(70, 240)
        pixel = np.array([[[hue, saturation, value]]], np.uint8)
        red, green, blue = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].tolist()
        return red, green, blue

    tone = rng.uniform(0.0, 1.0)
    skin = mix((241, 205, 176), (104, 68, 48), tone)
    hairs: tuple[Colour, ...] = ((36, 28, 26), (88, 56, 34), (168, 124, 66), (128, 128, 132))
    return Figure(
        skin=skin,
        hair=hairs[int(rng.integers(len(hairs)))],
        shirt=bright(),
        trousers=shade(bright(), 0.75),
        shoes=shade(bright(), 0.6),
        build=float(rng.uniform(0.88, 1.22)),
        long_sleeves=bool(rng.random() < 0.6),
        shorts=bool(rng.random() < 0.3),
    )
