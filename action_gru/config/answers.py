"""The sections of answers over time: streams, events, people, words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from action_gru.config.section import Positive, Probability, Section, Sha256


class StreamSection(Section):
    window_s: Literal["auto"] | Positive = "auto"
    """How far back a running answer looks, seconds. auto: 0.7 times as long as the training clips
    usually are. larger: surer of long actions, blind to short ones."""
    states: Annotated[int, Field(ge=2, le=64)] = 8
    """Staggered states of the model: one restarts every window_s / states seconds, and the answer
    rests on the last (states - 1) / states to 1 times window_s."""
    max_gap_s: Positive = 1.0
    """Without a frame for longer than this, a stream starts afresh."""


class EventsSection(Section):
    enter: Probability = 0.4
    """An event needs its class to be the best somewhere, with at least this smoothed score."""
    exit: Probability = 0.25
    """It lasts as long as its class scores at least this."""
    min_event_s: Annotated[float, Field(ge=0.0)] = 0.4
    """Shorter events are dropped, and shorter breaks bridged, seconds."""
    smoothing_s: Annotated[float, Field(ge=0.0)] = 0.4
    """Scores are averaged over this long, seconds. larger: steadier, announced later."""
    background: tuple[str, ...] = ()
    """Classes that mean nothing in particular: they are never events."""

    @model_validator(mode="after")
    def _exit_is_below_enter(self) -> EventsSection:
        if self.exit > self.enter:
            raise ValueError(f"exit ({self.exit:g}) must not be above enter ({self.enter:g})")
        return self


class DetectionSection(Section):
    weights: str = "yolo26n.pt"
    """A detect model: an official Ultralytics name (downloaded once) or a path to a .pt."""
    weights_sha256: Sha256 | None = None
    """Pins that file, as features.weights_sha256 does."""
    image_size: Literal["auto"] | Annotated[int, Field(ge=32, le=1280, multiple_of=32)] = "auto"
    """The longer side of its input, pixels; auto: what it was trained at. larger: finds smaller
    things, costs more."""
    min_score: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    """The weakest box that counts and that starts a track; one down to a third of it continues a
    track."""
    overlap: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7
    """Of two boxes of a kind that overlap by more, the weaker is left out."""
    tracker: Literal["bytetrack", "botsort"] = "bytetrack"
    """How boxes keep their number. botsort takes out the camera's motion, and costs more."""
    classes: tuple[str, ...] = ()
    """Of the view detections: the classes that count; none named: all of the model's."""
    top: Annotated[int, Field(ge=1, le=64)] = 8
    """Of the view detections: how many boxes a frame's vector has room for."""


class PoseSection(Section):
    weights: str = "yolo26n-pose.pt"
    """A pose model: an official Ultralytics name (downloaded once) or a path to a .pt."""
    weights_sha256: Sha256 | None = None
    """Pins that file, as features.weights_sha256 does."""
    image_size: Literal["auto"] | Annotated[int, Field(ge=32, le=1280, multiple_of=32)] = "auto"
    """The longer side of its input, pixels; auto: what it was trained at."""
    min_score: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    """The weakest person that counts."""
    top: Annotated[int, Field(ge=1, le=16)] = 2
    """Of the view pose: how many people a frame's vector has room for."""


class PeopleSection(Section):
    classes: Annotated[tuple[str, ...], Field(min_length=1)] = ("person",)
    """The detector's classes that are followed one by one (--per-person)."""
    max: Annotated[int, Field(ge=1, le=64)] = 8
    """How many are followed at once: the cost of a frame grows with them."""
    order: Literal["largest", "nearest"] = "largest"
    """Who comes first where there are more; nearest: whose box ends lowest in the picture."""
    timeout_s: Positive = 2.0
    """Who is hidden for longer is gone, and begins afresh."""
    margin: Annotated[float, Field(ge=0.0, le=2.0)] = 0.25
    """What is seen around a person on each side, in shares of the longer side of the box."""


class DescribeSection(Section):
    language: str = "en"
    """Which templates tell events in words: en, de, or the path of a .yaml of your own."""
    templates: dict[str, str] = Field(default_factory=dict)
    """More actions, or other words for them: label -> template, as {who} sits down{near}."""
    subjects: tuple[str, ...] = ("person",)
    """The detector's classes that act; the first one that is seen is who does it."""
    detect: bool = True
    """false: no detector is run, and sentences tell of someone, next to nothing."""
    every_s: Positive = 0.5
    """How often things are counted, seconds of video."""
