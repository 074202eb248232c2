"""Everyone on their own: numbers, states, order, hiding, and that one batch changes nothing."""

import threading

import numpy as np
import pytest
import torch
from helpers.crowd import crowd_scene, moved
from helpers.people_doubles import SceneDetector, ScriptedDetector
from helpers.streams import FPS, VIEWS, make_engine, square_frames

from action_gru.streaming.crowd import Following
from action_gru.streaming.people import PeopleEngine, PeopleStream
from action_gru.streaming.scene import SceneSampler
from action_gru.timeline import EventTracker

EAGER = {"enter": 0.0, "exit": 0.0, "min_event_s": 0.0}


def open_people(people, events=EAGER, **following):
    following = Following(frozenset({0}), 0.3, **following)

    def open_stream():
        return people.engine.open(EventTracker(**events), 1.6, 4, 1.0)

    return PeopleStream(people, SceneSampler(VIEWS, FPS, 1.0), open_stream, following)


def person(left, top=10, width=20, height=40, score=0.9):
    return ("person", left, top, left + width, top + height, score)


def play(script, count=None, events=EAGER, seed=0, **following):
    """Show noise and the scripted boxes; of each sample the people looked at, and the stream."""
    engine = make_engine()
    people = PeopleEngine(engine, ScriptedDetector(script))
    stream = open_people(people, events, **following)
    looked = []
    for index, image in enumerate(square_frames(count or len(script), seed)):
        scene = stream.sampler.sample(image, index / FPS)
        (some,) = people.advance([stream], [scene])
        looked.append([one.number for one in some])
    return looked, stream, people


def test_each_person_has_a_number_in_order_of_appearance():
    script = [[person(5)]] * 4 + [[person(60), person(5)]] * 4
    looked, stream, _ = play(script)
    assert looked[:4] == [[1]] * 4
    assert looked[4] == [1]  # a box must be seen twice
    assert [sorted(some) for some in looked[5:]] == [[1, 2]] * 3
    assert stream.met == 2


def test_other_kinds_are_nobody():
    looked, stream, _ = play([[("chair", 5, 10, 25, 50)]] * 4)
    assert looked == [[]] * 4
    assert stream.people == []


def test_people_in_one_batch_get_the_answers_they_get_alone():
    """A batch of two and two batches of one: the same crops, the same states."""
    left, right = person(5), person(60)
    answers = []
    for script in ([left, right], [left], [right]):
        _, stream, _ = play([script] * 20)
        answers.append([one.prediction for one in stream.people])
    (first, second), (alone,), (other,) = answers
    for together, apart in ((first, alone), (second, other)):
        assert together.scores == pytest.approx(apart.scores, abs=1e-5)
        assert together.labels == apart.labels


def test_a_frame_costs_one_backbone_call_however_many_people():
    _, _, people = play([[person(0), person(30), person(60)]] * 6)
    assert people.engine.backbone.calls == 6
    assert people.engine.backbone.sizes == {3 * len(VIEWS)}


@pytest.mark.parametrize("batch", [1, 3])
def test_scenes_read_ahead_give_what_they_give_one_by_one(batch):
    """Who is where, in which scene, and what ended then: also while someone comes, hides, goes."""
    left, right = person(5), person(60)
    script = [[left]] * 6 + [[right, left]] * 6 + [[right]] * 8 + [[left]] * 6 + [[]] * 7

    def told(stream, people):
        seen = [(p.number, p.area, p.visible, p.prediction.scores) for p in stream.people]
        looked, ended = [p.number for p in people], [str(event) for event in stream.ended]
        return stream.last_s, stream.met, seen, looked, ended

    def opened():
        people = PeopleEngine(make_engine(), ScriptedDetector(script))
        return people, open_people(people, timeout_s=0.5)

    def scenes(stream):
        for index, image in enumerate(square_frames(len(script))):
            gap_s = 5.0 if index >= 16 else 0.0  # everyone of before is gone
            yield stream.sampler.sample(image, index / FPS + gap_s)

    (engine, stream), (_, ahead) = opened(), opened()
    wanted = [told(stream, engine.advance([stream], [one])[0]) for one in scenes(stream)]
    found = [told(ahead, people) for people in ahead.advance(scenes(ahead), batch)]
    assert any(ended for *_, ended in wanted)
    for one, other in zip(found, wanted, strict=True):
        scores = [[row[3] for row in seen] for _, _, seen, *_ in (one, other)]
        for some, others in zip(*scores, strict=True):
            assert some == pytest.approx(others, abs=1e-5)
        rest = [[row[:3] for row in seen] for _, _, seen, *_ in (one, other)]
        assert rest[0] == rest[1]
        assert one[:2] + one[3:] == other[:2] + other[3:]
    assert [str(event) for event in ahead.finish()] == [str(event) for event in stream.finish()]
    assert (ahead.restarts, ahead.restart_reason) == (stream.restarts, stream.restart_reason)


def test_reading_ahead_leaves_later_threads_the_whole_processor():
    people = PeopleEngine(make_engine(), ScriptedDetector([[person(5)]]))
    stream, seen, before = open_people(people), [], torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        scenes = (stream.sampler.sample(x, i / FPS) for i, x in enumerate(square_frames(4)))
        assert len(list(stream.advance(scenes, 2))) == 4
        later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert (torch.get_num_threads(), seen) == (4, [4])
    finally:
        torch.set_num_threads(before)


def test_a_frame_without_people_costs_no_backbone_call():
    _, _, people = play([[]] * 6)
    assert people.engine.backbone.calls == 0


@pytest.mark.parametrize(("order", "expected"), [("largest", {0, 35}), ("nearest", {35, 65})])
def test_where_there_are_more_the_first_in_order_are_followed(order, expected):
    # Left edge 0: tallest, but far up. 35: next, lower. 65: smallest, lowest.
    rows = [person(0, 0, 30, 45), person(35, 15, 20, 36), person(65, 42, 10, 20)]
    looked, stream, _ = play([rows] * 8, most=2, order=order)
    assert {round(float(one.box[0])) for one in stream.people} == expected
    assert all(len(some) == 2 for some in looked)
    assert stream.crowded_out == 8


def test_two_of_one_size_do_not_take_turns():
    rows = [[person(5, height=40 + i % 2), person(60, height=41 - i % 2)] for i in range(12)]
    looked, stream, _ = play(rows, most=1)
    assert len({some[0] for some in looked}) == 1
    assert stream.met == 1


def test_a_hidden_person_keeps_state_and_number():
    there, gone = [person(5)], []
    looked, stream, _ = play([there] * 8 + [gone] * 3 + [there] * 4, timeout_s=1.0)
    assert looked == [[1]] * 8 + [[]] * 3 + [[1]] * 4
    (one,) = stream.people
    assert one.prediction.since_s < 0.5  # the state began before the person was hidden
    assert stream.ended == []


def test_who_is_hidden_is_told_from_who_is_seen():
    _, stream, _ = play([[person(5)]] * 8 + [[]] * 3, timeout_s=1.0)
    (one,) = stream.people
    assert not one.visible


def test_after_the_timeout_a_person_is_gone_and_what_they_did_is_told():
    there, gone = [person(5)], []
    looked, stream, _ = play([there] * 20 + [gone] * 8, timeout_s=0.5)
    assert stream.people == []
    (event,) = stream.events
    assert event.person == 1
    assert event.end_s == pytest.approx(1.9)
    looked, stream, _ = play([there] * 20 + [gone] * 8 + [there] * 4, timeout_s=0.5)
    assert looked[-1] == [2]
    assert stream.people[0].prediction.since_s == pytest.approx(2.9)  # afresh


def test_finish_ends_what_everyone_does():
    _, stream, _ = play([[person(5), person(60)]] * 20)
    assert {event.person for event in stream.finish()} == {1, 2}
    assert stream.people == []


def test_a_gap_ends_everyone_and_starts_afresh():
    engine = make_engine()
    people = PeopleEngine(engine, ScriptedDetector([[person(5)]]))
    stream = open_people(people)
    image = square_frames(1)[0]
    for time_s in (*np.arange(0, 2, 0.1), 9.0, 9.1):
        people.advance([stream], [stream.sampler.sample(image, float(time_s))])
    assert (stream.restarts, stream.met) == (1, 2)
    assert "no frame for 7.1 s" in stream.restart_reason
    assert [event.person for event in stream.events] == [1]


def test_two_sources_advance_in_one_batch_and_keep_apart():
    engine = make_engine()
    people = PeopleEngine(engine, ScriptedDetector([[person(5)], [person(60), person(5)]] * 12))
    streams = [open_people(people), open_people(people)]
    for index, image in enumerate(square_frames(10)):
        scenes = [stream.sampler.sample(image, index / FPS) for stream in streams]
        found = people.advance(streams, scenes)
    assert [[one.number for one in some] for some in found] == [[1], [1, 2]]
    assert engine.backbone.calls == 10


def test_memory_does_not_grow_with_those_who_have_left():
    script = [[person(5)] if step % 6 < 3 else [] for step in range(120)]
    _, stream, _ = play(script, timeout_s=0.2)
    assert stream.met == 20
    assert len(stream.people) <= 1


def test_a_walker_is_looked_at_where_they_are():
    """In a drawn scene with a walker, each crop holds its person at every instant."""
    scene = crowd_scene(["walk", "wave"], 3, size_px=(640, 240), duration_s=4.0)
    detector = SceneDetector(scene)
    engine = make_engine()
    people = PeopleEngine(engine, detector)
    stream = open_people(people)
    for index in range(80):
        detector.time_s = index / 20
        due = stream.sampler.sample(scene.image_at(index / 20), index / 20)
        if due is None:
            continue
        for one in people.advance([stream], [due])[0]:
            left, top, width, height = one.area
            assert left <= one.box[0] + 4
            assert one.box[2] <= left + width + 4
            assert top <= one.box[1] + 4
            assert one.box[3] <= top + height + 4
    assert stream.met == 2


def test_a_moved_person_is_elsewhere():
    scene = crowd_scene(["wave", "clap"], 3, size_px=(640, 240), duration_s=2.0)
    before = SceneDetector(scene, 0.0)([None])[0].boxes
    after = SceneDetector(moved(scene, 1, (30.0, 0.0)), 0.0)([None])[0].boxes
    assert after[0] == pytest.approx(before[0])
    assert after[1] - before[1] == pytest.approx([30, 0, 30, 0])
