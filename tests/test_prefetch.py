import threading

import pytest

from action_gru.core.machine import Prefetch


def test_prefetch_hands_errors_over_and_stops_when_left():
    def items():
        yield 1
        raise ValueError("broken")

    with Prefetch(items(), 2) as prefetched, pytest.raises(ValueError, match="broken"):
        assert list(prefetched) == [1]

    def endless():
        number = 0
        while True:
            yield number
            number += 1

    with Prefetch(endless(), 3) as prefetched:
        assert next(iter(prefetched)) == 0
    assert not [t for t in threading.enumerate() if t.name == "action_gru prefetch"]
