"""Writes a video again with the model's running answer drawn over it."""

from __future__ import annotations

from pathlib import Path

from action_gru.apps.overlay import Overlay
from action_gru.errors import VideoError
from action_gru.recognizer import ActionRecognizer, Reading
from action_gru.video import Frame, VideoFile, VideoWriter


def annotate(
    recognizer: ActionRecognizer, reading: Reading, video: Path, target: Path
) -> tuple[int, str]:
    """Draw the answer as it stood at each frame of `video` into `target`.

    Returns the number of frames and the codec. The video is read a second time, frame by frame, so
    that memory stays flat. Raises VideoError when either file cannot be used.
    """
    if target.resolve() == video.resolve():
        raise VideoError(f"{target}: would replace the video it is made from; choose another name")
    answers = list(recognizer.running(reading))
    current = count = 0
    with VideoFile(video, limits=recognizer.limits) as source:
        frames = source.frames()
        first = next(frames)
        size_px = (first.image.shape[1], first.image.shape[0])
        overlay = Overlay(size_px, recognizer.classes)
        with VideoWriter(target, size_px, source.fps) as writer:

            def draw(frame: Frame) -> None:
                writer.write(overlay.draw(frame.image, answers[current]))

            draw(first)
            for count, frame in enumerate(frames, start=1):  # noqa: B007 - the last one counts
                while current + 1 < len(answers) and answers[current + 1].time_s <= frame.time_s:
                    current += 1
                draw(frame)
            return count + 1, writer.codec
