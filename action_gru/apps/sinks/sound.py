"""Plays a sound by a program of the machine: what macOS, Linux and Windows bring along."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np

from action_gru.apps.sinks.message import Message
from action_gru.apps.sinks.worker import RefusedError
from action_gru.config.sinks import SoundSinkSection
from action_gru.core.errors import ConfigError

# Each is called with a .wav as its last word; the first one that is there plays.
PLAYERS = (
    ("afplay",),  # macOS
    ("paplay",),
    ("pw-play",),
    ("aplay", "-q"),
    ("play", "-q"),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error"),
    (
        "powershell",
        "-NoProfile",
        "-Command",
        "& {(New-Object Media.SoundPlayer $args[0]).PlaySync()}",
    ),
)
LONGEST_S = 30.0
BEEP_HZ, BEEP_S, RATE_HZ = 880.0, 0.4, 22050


class SoundSink:
    """What cannot be played is told and left out: a late alarm is none."""

    def __init__(self, settings: SoundSinkSection) -> None:
        self._player = find_player(settings.player)
        self._folder = tempfile.TemporaryDirectory(prefix="action_gru-")
        self._file = settings.file or write_beep(Path(self._folder.name) / "beep.wav")

    def deliver(self, item: Message, is_old: bool) -> None:
        words = [*self._player, str(self._file)]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=LONGEST_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RefusedError(f"{words[0]} does not play ({error})") from error
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise RefusedError(
                f"{words[0]} cannot play {self._file} ({said[-1] if said else done.returncode})"
            )

    def look_after(self) -> None:
        """Nothing is open."""

    def close(self) -> None:
        self._folder.cleanup()


def find_player(wanted: str | None) -> tuple[str, ...]:
    """The words that play a file. Raises ConfigError where there is no such program."""
    if wanted is not None:
        if shutil.which(wanted) is None:
            raise ConfigError(f"player {wanted}: there is no such program; name another, or none")
        return next((words for words in PLAYERS if words[0] == wanted), (wanted,))
    for words in PLAYERS:
        if shutil.which(words[0]) is not None:
            return words
    mend = "brew or the system" if sys.platform == "darwin" else "apt install alsa-utils"
    names = ", ".join(words[0] for words in PLAYERS)
    raise ConfigError(
        f"no program that plays a sound is on this machine (looked for {names}); install one, such "
        f"as by {mend}, or name yours in player"
    )


def write_beep(path: Path) -> Path:
    """A short tone as .wav, 16 bit."""
    times_s = np.arange(round(BEEP_S * RATE_HZ)) / RATE_HZ
    fade = np.minimum(1, np.minimum(times_s, BEEP_S - times_s) / 0.02)  # no clicks
    values = 0.5 * fade * np.sin(2 * np.pi * BEEP_HZ * times_s)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((32767 * values).astype("<i2").tobytes())
    return path
