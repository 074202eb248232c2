"""Which frames of a list of instants are sampled."""

from action_gru.views.sampling import Sampler, in_window


def sample(times_s, fps, start_s=0.0, end_s=None) -> list[int]:
    """Indices of the frames taken from a clip [start_s, end_s). times_s (T,) seconds, growing."""
    sampler = Sampler(fps)
    return [
        index
        for index, time_s in enumerate(times_s)
        if in_window(time_s, start_s, end_s) and sampler.due(time_s)
    ]
