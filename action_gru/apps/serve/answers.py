"""What the server answers, as types: the source of its OpenAPI schema. Knows no model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, Field

from action_gru.timeline import Event, Prediction, Timeline


class ErrorAnswer(BaseModel):
    """Why there is no answer."""

    error: str = Field(description="What is wrong, what was found, how to mend it.")


class Score(BaseModel):
    """A class and its probability."""

    label: str
    score: float


class ClipAnswer(BaseModel):
    """What is done in a video."""

    model: str
    label: str = Field(description="The most probable class.")
    score: float = Field(description="Its probability, 0 to 1.")
    unsure: bool = Field(description="Such a score was not right often enough in the training.")
    labels: list[str] | None = Field(
        default=None, description="All that is shown, of a model of several classes at once."
    )
    top: list[Score] = Field(description="The most probable classes, best first.")
    warnings: list[str] = Field(default=[], description="What to know before believing it.")

    @classmethod
    def of(
        cls, model: str, prediction: Prediction, top: int, warnings: tuple[str, ...]
    ) -> ClipAnswer:
        """top: how many classes are told."""
        return cls(**prediction_fields(prediction, top), model=model, warnings=list(warnings))


def prediction_fields(prediction: Prediction, top: int) -> dict[str, Any]:
    """What every answer holds of a prediction: label, score, unsure, labels, top."""
    best = prediction.leading(top)
    return {
        "label": prediction.label,
        "score": prediction.score,
        "unsure": prediction.unsure,
        "labels": None if prediction.active is None else list(prediction.active),
        "top": [{"label": label, "score": score} for label, score in best],
    }


class EventAnswer(BaseModel):
    """One action from start to end, in seconds."""

    label: str
    start_s: float
    end_s: float
    score: float = Field(description="Its mean probability over that time.")
    person: int | None = Field(default=None, description="Who does it, where people are followed.")

    @classmethod
    def of(cls, event: Event) -> EventAnswer:
        return cls.model_validate(event.to_json())


class ModelFacts(BaseModel):
    """One of the models that are served."""

    name: str
    classes: list[str]
    several: bool = Field(description="Whether several classes may be shown at once.")
    threshold: float | None = Field(description="Below this score an answer is unsure.")
    fps: float = Field(description="How many frames a second it looks at.")
    streams: bool = Field(description="Whether it answers to /timeline and /stream.")
    window_s: float | None = Field(description="How far back an answer of a stream looks.")


class ModelList(BaseModel):
    """The models; the first is used where a request names none."""

    models: list[ModelFacts]


class Health(BaseModel):
    """Whether requests are taken."""

    status: Literal["ready", "closing"]
    models: list[str]
    waiting: int = Field(description="Clips that are being received, wait, or are read.")
    version: str


class TimelineAnswer(BaseModel):
    """What happens when in a long video."""

    duration_s: float
    events: list[EventAnswer]
    restarts: int = Field(description="How often it began afresh, after a gap in the frames.")
    people: int | None = Field(default=None, description="How many people were followed.")
    warnings: list[str] = Field(default=[], description="What to know before believing it.")

    @classmethod
    def of(cls, timeline: Timeline, warnings: Iterable[str]) -> TimelineAnswer:
        return cls(
            duration_s=round(timeline.duration_s, 3),
            events=[EventAnswer.of(event) for event in timeline.events],
            restarts=timeline.restarts,
            people=timeline.people,
            warnings=list(warnings),
        )


class JobAnswer(BaseModel):
    """A long video that is being read, or was."""

    id: str
    model: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    read_s: float = Field(description="Up to where it is read, in seconds of the video.")
    progress: float | None = Field(description="0 to 1; null where its length is not known.")
    error: str | None = Field(default=None, description="Why it failed.")
    result: TimelineAnswer | None = Field(default=None, description="Once it is done.")
