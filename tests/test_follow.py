"""One person is followed while others pass: who is picked, kept, lost, and picked anew."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.crowd import actor_at, crowd_scene, moved, person_box
from helpers.people_doubles import HidingDetector, ScriptedDetector
from helpers.streams import FPS, make_engine
from test_people import open_people, person

from action_gru.apps.live_loop import Answer
from action_gru.apps.webcam import Webcam, WebcamOptions
from action_gru.core.progress import Reporter
from action_gru.streaming.follow import look_of
from action_gru.streaming.people import PeopleEngine
from action_gru.video.live import LiveStatus

SHIRTS = {"red": (200, 30, 30), "blue": (30, 40, 200), "green": (20, 160, 60)}


def picture(rows):
    """A grey picture, (64, 96, 3), with everyone in their shirt; nearer ones are later."""
    image = np.full((64, 96, 3), 120, np.uint8)
    for shirt, (_, left, top, right, bottom, *_) in rows:
        image[int(top) : int(bottom), max(0, int(left)) : int(right)] = SHIRTS[shirt]
    return image


def play(script, follow, hidden=(), **following):
    """script: of each sample (shirt, box) of everyone; hidden: (sample, shirt) not detected.

    Of each sample the shirt that is looked at, or None; and the stream.
    """
    found = [
        [box for shirt, box in rows if (index, shirt) not in hidden]
        for index, rows in enumerate(script)
    ]
    people = PeopleEngine(make_engine(), ScriptedDetector(found))
    stream = open_people(people, follow=follow, **following)
    looked = []
    for index, rows in enumerate(script):
        scene = stream.sampler.sample(picture(rows), index / FPS)
        (some,) = people.advance([stream], [scene])
        assert len(some) <= 1
        assert len(stream.people) <= 1
        looked.append(_shirt(some[0].box, rows) if some else None)
    return looked, stream


def _shirt(box, rows):
    return min(rows, key=lambda row: float(np.abs(np.array(row[1][1:5]) - box).sum()))[0]


TWO = [("red", person(10, 10, 16, 40)), ("blue", person(60, 5, 22, 55))]
THREE = [*TWO, ("green", person(40, 12, 14, 38))]


@pytest.mark.parametrize(
    ("follow", "expected"), [("largest", "blue"), ("centre", "green"), (1, "blue"), (3, "green")]
)
def test_the_one_is_picked_by_the_rule_and_kept(follow, expected):
    """Numbers are those of --per-person: whoever is larger is met first."""
    looked, stream = play([THREE] * 12, follow)
    assert set(looked) == {expected}
    assert len(stream.follower.changes) == 1
    assert stream.met == 3


def test_first_is_who_came_first_though_a_larger_one_comes():
    looked, stream = play([TWO[:1]] * 4 + [TWO] * 10, "first")
    assert set(looked) == {"red"}
    (change,) = stream.follower.changes
    assert (change.person, change.text) == (1, "follows person 1, the first who came")


def test_a_number_that_has_not_come_is_waited_for():
    looked, stream = play([TWO[:1]] * 5 + [TWO] * 8, 2)
    assert looked[:5] == [None] * 5
    assert looked[-1] == "blue"
    texts = [change.text for change in stream.follower.changes]
    assert texts == ["waits for person 2", "follows person 2, as asked for"]


def passing(steps=20, start=-20, speed=6):
    """Red stands; blue, nearer, walks by before them and hides them."""
    red = person(40, 14, 16, 38)
    walk = [[("red", red), ("blue", person(start + speed * i, 8, 20, 54))] for i in range(steps)]
    return [[("red", red)]] * 3 + walk


@pytest.mark.parametrize("exchanges", [False, True])
def test_who_is_hidden_for_a_moment_is_not_exchanged_for_who_hides_them(exchanges):
    """Also where the tracker gives blue's box to red's track: colours decide."""
    script = passing()
    covered = [
        index
        for index, rows in enumerate(script)
        if abs(rows[-1][1][1] + 2 - rows[0][1][1]) < 14 and len(rows) > 1
    ]
    assert len(covered) > 2
    hidden = {(index, "red") for index in covered} if exchanges else set()
    looked, stream = play(script, "first", hidden)
    shown = [one for one in looked if one is not None]
    assert set(shown) == {"red"}
    assert looked[-1] == "red"
    assert {one.number for one in stream.people} == {1}
    assert len(stream.follower.changes) == 1


def test_who_comes_back_soon_is_the_same_and_keeps_the_state():
    hidden = {(index, "red") for index in range(8, 14)}
    looked, stream = play([TWO] * 17, 2, hidden)
    assert looked[:8] == ["red"] * 8
    assert looked[8:14] == [None] * 6
    assert looked[14:] == ["red"] * 3
    (one,) = stream.people
    assert one.prediction.since_s < 0.8  # no state began anew when they came back
    assert stream.ended == []


def test_who_is_lost_for_long_is_said_to_be_gone_and_the_next_is_picked_by_the_rule():
    hidden = {(index, "blue") for index in range(10, 60)}
    looked, stream = play([THREE] * 60, "largest", hidden, timeout_s=1.0)
    assert looked[9] == "blue"
    assert looked[10:20] == [None] * 10
    assert set(looked[20:]) == {"red"}
    change = stream.follower.changes[-1]
    assert change.text == "person 1 was not seen for 1.1 s: gone; follows person 2, the largest"
    assert change.time_s == pytest.approx(2.0)
    assert {event.person for event in stream.events} == {1}  # what they did is told, once


def test_where_nobody_is_left_that_is_said_once():
    hidden = {(index, shirt) for index in range(10, 60) for shirt in ("red", "blue")}
    looked, stream = play([TWO] * 60, "largest", hidden, timeout_s=1.0)
    assert set(looked[10:]) == {None}
    texts = [change.text for change in stream.follower.changes]
    assert texts[1:] == ["person 1 was not seen for 1.1 s: gone"]
    assert stream.people == []


def test_after_a_number_is_gone_the_next_is_picked_by_order():
    hidden = {(index, "green") for index in range(10, 60)}
    looked, _ = play([THREE] * 60, 3, hidden, timeout_s=1.0)
    assert looked[5] == "green"
    assert looked[-1] == "blue"


def test_after_a_gap_in_time_the_one_is_picked_anew():
    people = PeopleEngine(make_engine(), ScriptedDetector([[box for _, box in TWO]]))
    stream = open_people(people, follow="largest")
    for time_s in (*np.arange(0, 2, 0.1), *np.arange(9.0, 10, 0.1)):
        scene = stream.sampler.sample(picture(TWO), float(time_s))
        people.advance([stream], [scene])
    texts = [change.text for change in stream.follower.changes]
    assert texts[1] == "person 1 is left: the scene is over"
    assert texts[2].startswith("follows person 3, the largest")
    assert {event.person for event in stream.events} == {1}


def test_the_look_of_a_box_is_its_colours_wherever_it_sticks_out():
    image = picture(TWO)
    red, blue = (look_of(image, np.array(box[1:5], np.float32)) for _, box in TWO)
    assert red.sum() == pytest.approx(1.0)
    assert float(np.minimum(red, blue).sum()) < 0.1
    assert look_of(image, np.array([200, 5, 220, 50], np.float32)).sum() == 0.0


def crossing(seed):
    """A drawn one waves; two others walk by, one before and one behind them."""
    scene = crowd_scene(["wave", "walk", "walk"], seed, size_px=(640, 240), duration_s=6.0)
    scene = moved(scene, 0, (320 - scene.actors[0].view.x_px, 0))
    for walker, lower_px in ((1, 10.0), (2, -14.0)):
        boxes = [person_box(scene.actors[walker], time_s) for time_s in (0.0, 6.0)]
        middle_px = float(np.mean([(box[0] + box[2]) / 2 for box in boxes]))
        scene = moved(scene, walker, (320 - middle_px, lower_px))
    return scene


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3, 5, 7, 8])  # whose people wear different colours
@pytest.mark.parametrize("follow", [1, 2, 3])
def test_among_drawn_people_who_cross_nobody_else_is_looked_at(seed, follow):
    scene = crossing(seed)
    detector = HidingDetector(scene, seed=seed)
    people = PeopleEngine(make_engine(), detector)
    stream = open_people(people, follow=follow)
    actors, looked = [], 0
    for index in range(60):
        detector.time_s = index / FPS
        due = stream.sampler.sample(scene.image_at(index / FPS), index / FPS)
        (some,) = people.advance([stream], [due])
        if len(stream.follower.changes) > 1:
            break  # gone for long: the rule picks somebody anew
        looked += len(some)
        actors += [actor_at(scene, one.box, index / FPS) for one in some]
    assert looked > 15
    most = max(actors.count(actor) for actor in set(actors))
    assert most >= len(actors) - 2  # where two stand in one place, the box does not say whose it is


def test_webcam_prints_one_line_of_answers_and_each_change(capsys):
    looked, stream = play([THREE] * 10, "largest")
    assert looked[-1] == "blue"
    feed = SimpleNamespace(
        stream=stream, dropped=0, source=SimpleNamespace(name="cam", status=LiveStatus("live", ""))
    )
    loop = SimpleNamespace(feeds=[feed], recognizer=SimpleNamespace(judged=lambda one: one))
    webcam = Webcam(loop, None, WebcamOptions(as_json=True), Reporter(quiet=True))
    webcam._say_state(feed)
    webcam._say_state(feed)
    webcam._print(Answer(feed, (), 0.01, people=tuple(stream.people)))
    webcam._print(Answer(feed, (), 0.01))  # hidden
    change, seen, unseen = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (change["follow"], change["detail"]) == (1, "follows person 1, the largest")
    assert seen["person"] == unseen["person"] == 1
    assert seen["label"] == stream.people[0].prediction.label
    assert seen["box"] == [60.0, 5.0, 82.0, 60.0]
    assert unseen["label"] is None
    assert unseen["box"] is None
