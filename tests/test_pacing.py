import threading
import time

from action_gru.video.pacer import Pacer


def test_the_pacer_gives_each_frame_its_instant_and_refuses_late_ones(monkeypatch):
    clock = [100.0]
    stop = threading.Event()
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    waits: list[float] = []
    monkeypatch.setattr(stop, "wait", lambda wait_s: waits.append(round(wait_s, 3)))
    pacer = Pacer(stop, longest_gap_s=5.0)
    assert pacer.admit(0.0, 0.1)
    assert pacer.admit(0.1, 0.1)
    assert waits == [0.0, 0.1]
    clock[0] = 100.45  # busy: 0.2 and 0.3 are late by more than a frame, 0.4 is not
    assert [pacer.admit(t, 0.1) for t in (0.2, 0.3, 0.4)] == [False, False, True]
    clock[0] = 101.0
    assert not pacer.admit(0.5, 0.1)
    clock[0] = 101.2  # as late as before: decoding takes longer than a frame lasts
    assert pacer.admit(0.6, 0.1)
    assert pacer.admit(0.7, 0.1)
    assert waits[-1] == 0.1
    assert pacer.admit(90.0, 0.1)  # a jump of the stream's own clock is no wait
    assert waits[-1] == 0.0


def test_after_a_rest_frames_come_as_much_later(monkeypatch):
    clock = [100.0]
    stop = threading.Event()
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    waits: list[float] = []
    monkeypatch.setattr(stop, "wait", lambda wait_s: waits.append(round(wait_s, 3)))
    pacer = Pacer(stop)
    pacer.rest(5.0)  # before the first frame: nothing to move
    assert pacer.admit(0.0, 0.1)
    clock[0] = 160.0
    pacer.rest(60.0)
    assert pacer.admit(0.1, 0.1)
    assert waits == [0.0, 0.1]
