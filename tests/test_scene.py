"""Crops that follow people: what they show, and that they show no motion of their own."""

import numpy as np
import pytest
from helpers.videos import moving_square

from action_gru.core.errors import VideoError
from action_gru.streaming.crowd import LEASH_SHARE, Crop
from action_gru.streaming.scene import GREY, Cutting, SceneSampler, cut, cut_views
from action_gru.views import ViewMaker

NOBODY = np.zeros((0, 4), np.float32)
FRAME_PX = (200, 120)


def box(*sides):
    return np.array(sides, np.float32)


def noise(seed=0):
    return np.random.default_rng(seed).integers(0, 255, (120, 200, 3), dtype=np.uint8)


def scenes_of(images, fps=25.0, views=("motion",)):
    sampler = SceneSampler(views, 12.5, 1.0)
    seen = [sampler.sample(image, index / fps) for index, image in enumerate(images)]
    return [scene for scene in seen if scene]


def test_a_crop_that_moves_over_a_still_scene_shows_no_motion():
    still = noise()
    for step, scene in enumerate(scenes_of([still] * 12)):
        cutting = Cutting((5 * step, 10, 80, 80), box(5 * step, 10, 5 * step + 80, 90), NOBODY)
        shown = cut_views(scene, cutting, ("motion",), 32, "squash")["motion"]
        assert (shown == 128).all()


@pytest.mark.parametrize("views", [("rgb", "motion"), ("focus", "accel")])
def test_a_still_crop_shows_what_the_views_of_the_cut_frames_show(views):
    images = list(moving_square(20, 3, (200, 120)))
    maker = ViewMaker(views, 32, "squash")
    area = (60, 20, 80, 80)
    expected = {}
    for index, image in enumerate(images):
        expected[index / 25] = maker.observe(cut(image, area), index / 25)
    scenes = scenes_of(images, views=views)
    assert len(scenes) == 10
    for scene in scenes:
        cutting = Cutting(area, box(60, 20, 140, 100), NOBODY)
        made = cut_views(scene, cutting, views, 32, "squash")
        for view in views:
            assert np.array_equal(made[view], expected[scene.time_s][view]), (view, scene.time_s)


def test_others_are_painted_over_but_not_where_they_cover_the_person():
    image = np.full((120, 200, 3), 200, np.uint8)
    own, other = box(50, 20, 90, 100), box(80, 20, 130, 60)
    part = Cutting((40, 10, 100, 100), own, np.stack([other])).of(image)
    assert part.shape == (100, 100, 3)
    assert (part[10:50, 50:90] == GREY).all()  # x 90 to 130 of the frame
    assert (part[10:50, 40:50] == 200).all()  # x 80 to 90: the person's own
    assert (part[50:, :] == 200).all()
    assert (image == 200).all()


def test_someone_outside_of_the_crop_changes_nothing():
    image = noise()
    area, own = (10, 10, 50, 50), box(15, 15, 50, 55)
    others = np.stack([box(100, 10, 150, 100), box(0, 0, 8, 8)])
    assert np.array_equal(Cutting(area, own, others).of(image), cut(image, area))


def test_outside_of_the_frame_it_is_grey():
    part = cut(np.full((20, 30, 3), 200, np.uint8), (-5, -5, 40, 40))
    assert part.shape == (40, 40, 3)
    assert (part[5:25, 5:35] == 200).all()
    assert (part[:5] == GREY).all()
    assert (part[25:] == GREY).all()
    assert (part[:, 35:] == GREY).all()


def test_no_motion_is_measured_across_a_gap_or_a_change_of_size():
    sampler = SceneSampler(("motion",), 25.0, 1.0)
    for index in range(5):
        scene = sampler.sample(noise(), index / 25)
    assert len(scene.earlier) == 3
    assert sampler.sample(noise(), 5.0).earlier == ()
    assert sampler.sample(noise(), 5.04).earlier != ()
    assert sampler.sample(noise()[:60], 5.08).earlier == ()


def test_views_without_motion_keep_no_frame_and_need_no_frame_between():
    scenes = scenes_of([noise()] * 6, views=("rgb",))
    assert all(scene.earlier == () for scene in scenes)
    sampler = SceneSampler(("rgb",), 12.5, 1.0)
    sampler.sample(noise(), 0.0)
    assert not sampler.wants(0.04)
    assert SceneSampler(("rgb", "motion"), 12.5, 1.0).wants(0.04)


def test_a_scene_refuses_what_is_no_frame():
    with pytest.raises(VideoError, match="a frame is an array"):
        SceneSampler(("rgb",), 12.5, 1.0).sample(np.zeros((4, 4)), 0.0)


def test_a_crop_is_a_square_with_a_margin_inside_of_the_frame():
    crop = Crop(margin=0.25)
    assert crop.follow(box(80, 30, 100, 90), 0.0, FRAME_PX) == (45, 15, 90, 90)
    assert Crop(0.25).follow(box(0, 50, 20, 110), 0.0, FRAME_PX) == (0, 30, 90, 90)
    # Larger than the frame: as much before as behind.
    assert Crop(0.5).follow(box(50, 0, 90, 120), 0.0, FRAME_PX) == (-20, -60, 240, 240)


def test_swaying_moves_no_crop():
    crop = Crop(margin=0.25)
    places = set()
    for step in range(40):
        sway = 0.9 * LEASH_SHARE * 90 * np.sin(step)
        places.add(crop.follow(box(80 + sway, 30, 100 + sway, 90), step / 12, FRAME_PX))
    assert len(places) == 1


def test_who_sits_down_is_not_zoomed_in_on():
    crop = Crop(margin=0.25)
    crop.follow(box(80, 30, 100, 90), 0.0, FRAME_PX)
    for step in range(1, 13):  # a second
        side = crop.follow(box(78, 55, 104, 90), step / 12, FRAME_PX)[2]
    assert 80 <= side < 90


def test_a_larger_box_is_in_sight_at_once():
    crop = Crop(margin=0.0)
    crop.follow(box(90, 60, 100, 80), 0.0, FRAME_PX)
    assert crop.follow(box(60, 30, 120, 90), 0.08, FRAME_PX)[2] == 60


def test_a_walker_stays_in_the_crop():
    crop = Crop(margin=0.25)
    for step in range(48):  # 30 px a second, half of the stature
        left = 10 + 2.5 * step
        start, _, side, _ = crop.follow(box(left, 30, left + 25, 90), step / 12, (400, 120))
        assert start <= left
        assert left + 25 <= start + side
