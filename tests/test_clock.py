import pytest

from action_gru.video.file_reader import FrameClock


def times(stamps, *, start_s=0.0, may_restart=False, step_s=0.04):
    """The instants of frames with (pts, dts) in milliseconds."""
    clock = FrameClock(0.001, start_s, step_s, may_restart)
    return [round(clock.time_s(*stamp), 6) for stamp in stamps]


def both(*stamps):
    return [(stamp, stamp) for stamp in stamps]


def test_time_counts_from_where_the_container_starts():
    assert times(both(540, 580, 620), start_s=0.54) == [0.0, 0.04, 0.08]
    assert times(both(2000, 2100), start_s=0.0) == [2.0, 2.1]


def test_a_frame_without_stamps_comes_one_step_after_the_last():
    assert times([(None, None)] * 3) == [0.0, 0.04, 0.08]
    assert times([(0, 0), (None, None), (100, 100)]) == [0.0, 0.04, 0.1]


def test_stamps_that_do_not_grow_are_not_believed_while_the_others_do():
    assert times([(None, 3), (4, 4), (None, 5), (2, 6), (3, 7)]) == [
        0.003, 0.004, 0.005, 0.006, 0.007
    ]  # fmt: skip


@pytest.mark.parametrize("jump_ms", [95_443_717, 20_000, -1400])
def test_joined_streams_go_on_one_step_after_the_last_frame(jump_ms):
    stamps = both(1400, 1440, 1480 + jump_ms, 1520 + jump_ms)
    assert times(stamps, start_s=1.4, may_restart=True) == [0.0, 0.04, 0.08, 0.12]


def test_a_pause_in_a_file_that_cannot_be_joined_is_a_pause():
    assert times(both(0, 40, 60_000)) == [0.0, 0.04, 60.0]
    assert times(both(0, 40, 9_000), may_restart=True) == [0.0, 0.04, 9.0]
