"""Which clips are handed out next, and what becomes of those that a lost worker had.

Knows nothing of Ray or of what a worker does.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from action_gru.dataset import Clip

# A batch of the backbone ends with a portion: ten seconds waste one part in some dozens, and a
# lost worker costs no more than ten seconds of its work.
PORTION_S = 10.0
LEAST_S = 1.0  # also towards the end, when few clips are left
FIRST_CLIPS = 4  # until it is known how long a clip takes
MOST_CLIPS = 256


@dataclass(frozen=True)
class Portion:
    """Clips that one worker is given at once. again: they were lost with a worker before."""

    clips: tuple[Clip, ...]
    again: bool = False


@dataclass
class Portions:
    """The clips that are left, in portions of about PORTION_S seconds.

    A clip that was lost with its worker is handed out again alone, so that a clip which kills its
    workers takes no other with it; after most_attempts it is given up.
    """

    waiting: deque[Clip]
    most_attempts: int
    lost: Counter[str] = field(default_factory=Counter)
    _returned: deque[Portion] = field(default_factory=deque)
    _clip_s: float = 0.0

    def __len__(self) -> int:
        """How many clips wait."""
        return len(self.waiting) + sum(len(portion.clips) for portion in self._returned)

    def take(self, workers: int) -> Portion | None:
        """The next portion, small enough that each of so many workers gets two of what is left."""
        if self.waiting:
            fair = math.ceil(len(self.waiting) / (2 * max(1, workers)))
            size = max(min(self._size(PORTION_S), fair), self._size(LEAST_S))
            size = min(size, len(self.waiting))
            return Portion(tuple(self.waiting.popleft() for _ in range(size)))
        return self._returned.popleft() if self._returned else None

    def _size(self, seconds: float) -> int:
        """How many clips take a worker so long."""
        if not self._clip_s:
            return FIRST_CLIPS if seconds == PORTION_S else 1
        return max(1, min(MOST_CLIPS, round(seconds / self._clip_s)))

    def learn(self, clips: int, seconds: float) -> None:
        """So many clips took a worker so long: half of what is expected of the next ones."""
        latest = max(1e-4, seconds / max(1, clips))
        self._clip_s = (self._clip_s + latest) / 2 if self._clip_s else latest

    def give_back(self, portion: Portion) -> None:
        """Clips that were handed out and not begun."""
        self._returned.append(portion)

    def lose(self, portion: Portion) -> list[Clip]:
        """The worker was lost over these clips; those that are given up."""
        given_up = []
        for clip in portion.clips:
            self.lost[clip.name] += 1
            if self.lost[clip.name] >= self.most_attempts:
                given_up.append(clip)
            else:
                self._returned.append(Portion((clip,), again=True))
        return given_up


def portions_of(clips: Sequence[Clip], most_attempts: int) -> Portions:
    return Portions(deque(clips), most_attempts)
