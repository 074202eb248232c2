"""What gives the class away: the form of the file, and copies on two sides of the split."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from action_gru.dataset import Clip
from action_gru.dataset.leaks import (
    SHOTS,
    ClipFacts,
    copies,
    copy_findings,
    giveaways,
    nearest_majority,
)


def facts(seed: int, **values) -> ClipFacts:
    """Facts of a clip with changes of its own."""
    rng = np.random.default_rng(seed)
    change = rng.normal(size=SHOTS * 48 * 48)
    plain = ClipFacts(
        320, 240, 25.0, 2.0, "mp4", 24, False, "", 100.0, 200.0, 40.0,
        rng.random((SHOTS, 64)) < 0.5,
        (change / np.linalg.norm(change)).astype(np.float16),
        np.zeros((72, 96, 3), np.uint8),
    )  # fmt: skip
    return replace(plain, **values)


def clips_of(count: int, labels: str = "ab") -> list[Clip]:
    return [
        Clip(Path(f"{n}.mp4"), f"{n}.mp4", labels[n % len(labels)], f"g{n}", "train")
        for n in range(count)
    ]


def copy_of(one: ClipFacts, noise: float, seed: int = 99) -> ClipFacts:
    rng = np.random.default_rng(seed)
    change = one.change.astype(np.float64)
    change = change + noise * rng.normal(size=change.shape) / np.sqrt(change.size)
    return replace(one, change=(change / np.linalg.norm(change)).astype(np.float16))


def test_a_copy_with_noise_is_found_and_other_clips_are_not():
    clips = clips_of(8)
    known = {clip.name: facts(n) for n, clip in enumerate(clips)}
    known["7.mp4"] = copy_of(known["2.mp4"], 0.7)
    assert [(a.name, b.name) for a, b in copies(clips, known)] == [("2.mp4", "7.mp4")]


def test_two_moments_of_one_camera_are_no_copies():
    """The same outlines everywhere: what stands still is not compared."""
    clips = clips_of(8)
    outline = facts(0).outline
    known = {clip.name: facts(n, outline=outline) for n, clip in enumerate(clips)}
    assert copies(clips, known) == []


def test_where_all_clips_look_alike_a_pair_must_be_closer():
    clips, base = clips_of(12), facts(0)
    known = {clip.name: copy_of(base, 0.6, seed=n) for n, clip in enumerate(clips)}
    assert copies(clips, known) == []
    known["11.mp4"] = copy_of(known["3.mp4"], 0.05)
    assert [(a.name, b.name) for a, b in copies(clips, known)] == [("3.mp4", "11.mp4")]


def test_a_clip_that_stands_still_is_nobodys_copy():
    clips = clips_of(2)
    still = np.zeros(SHOTS * 48 * 48, np.float16)
    assert copies(clips, {clip.name: facts(0, change=still) for clip in clips}) == []


def test_two_stretches_of_one_file_are_no_copies():
    first, second = (Clip(Path("a.mp4"), "a.mp4", "a", "a", "", s, s + 2.0) for s in (0.0, 1.0))
    known = {clip.name: facts(0) for clip in (first, second)}
    assert copies([first, second], known) == []


def test_copies_are_a_problem_across_the_split_and_with_two_labels():
    a, b = clips_of(2, "a")
    across = copy_findings([(a, replace(b, split="test"))], False, True)
    assert [(f.severity, f.topic) for f in across] == [("problem", "copies_across")]
    allowed = copy_findings([(a, replace(b, split="test"))], True, True)
    assert [(f.severity, f.topic) for f in allowed] == [("advice", "copies_across")]
    relabelled = copy_findings([(a, replace(b, label="other", group=a.group))], False, True)
    assert [(f.severity, f.topic) for f in relabelled] == [
        ("problem", "copies_relabelled"),
        ("advice", "copies_within"),
    ]
    apart = copy_findings([(a, b)], False, is_drawn=True)
    assert [(f.severity, f.topic) for f in apart] == [("advice", "copies_apart")]
    given = copy_findings([(a, b)], False, is_drawn=False)
    assert [(f.severity, f.topic) for f in given] == [("advice", "copies_within")]


def test_a_size_that_tells_the_class_is_a_problem_and_named_with_its_values():
    clips = clips_of(20)
    known = {
        clip.name: facts(n, width_px=320 if clip.label == "a" else 256)
        for n, clip in enumerate(clips)
    }
    (finding,) = giveaways(clips, known)
    assert finding.severity == "problem"
    assert finding.what == "size alone tells the class"
    assert "right on 1.00" in finding.got
    assert "a 320x240 and b 256x240" in finding.got


def test_one_class_that_is_told_surely_is_named():
    clips = clips_of(40, "abcd")
    rng = np.random.default_rng(3)
    known = {
        clip.name: facts(n, length_s=9.0 if clip.label == "d" else 2 + float(rng.random()))
        for n, clip in enumerate(clips)
    }
    named = [finding for finding in giveaways(clips, known) if "length alone" in finding.what]
    assert len(named) == 1
    assert "surely d (F1 1.00)" in named[0].got
    assert named[0].severity == "advice"  # how long an action takes may be its own


def test_traits_without_the_class_in_them_say_nothing():
    clips = clips_of(60)
    rng = np.random.default_rng(0)
    known = {
        clip.name: facts(n, length_s=1 + float(rng.random()), light=float(rng.uniform(60, 120)))
        for n, clip in enumerate(clips)
    }
    assert giveaways(clips, known) == []


def test_the_rule_never_learns_from_the_clips_own_group():
    values = np.array([[0.0], [0.0], [1.0], [1.0]])
    truth = np.array([0, 0, 1, 1])
    assert nearest_majority(values, truth, np.array([0, 1, 2, 3]), 2).tolist() == [0, 0, 1, 1]
    assert nearest_majority(values, truth, np.array([0, 0, 1, 1]), 2).tolist() == [1, 1, 0, 0]
