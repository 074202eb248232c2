"""The whole config: its sections and what two of them together must not ask. Knows no YAML."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from action_gru.config.answers import (
    DescribeSection,
    DetectionSection,
    EventsSection,
    PeopleSection,
    PoseSection,
    StreamSection,
)
from action_gru.config.inputs import (
    LATER,
    SOON,
    DataSection,
    DecodingSection,
    FeaturesSection,
    RunSection,
    SamplingSection,
    SeriesSection,
)
from action_gru.config.learning import (
    CalibrationSection,
    EvaluationSection,
    ModelSection,
    TrainingSection,
)
from action_gru.config.section import Section


class Config(Section):
    run: RunSection = RunSection()
    data: DataSection = DataSection()
    series: SeriesSection = SeriesSection()
    decoding: DecodingSection = DecodingSection()
    sampling: SamplingSection = SamplingSection()
    features: FeaturesSection = FeaturesSection()
    model: ModelSection = ModelSection()
    training: TrainingSection = TrainingSection()
    calibration: CalibrationSection = CalibrationSection()
    evaluation: EvaluationSection = EvaluationSection()
    stream: StreamSection = StreamSection()
    events: EventsSection = EventsSection()
    detection: DetectionSection = DetectionSection()
    pose: PoseSection = PoseSection()
    people: PeopleSection = PeopleSection()
    describe: DescribeSection = DescribeSection()

    @model_validator(mode="after")
    def _each_row_can_have_a_class(self) -> Config:
        """What a class a row rules out; the answer after a row must rest on that row's past."""
        if not self.series.targets_each_row:
            return self
        unfit = {
            "data.kind": not self.data.traits.has_row_classes,
            "model.bidirectional": self.model.bidirectional,
            "model.closed_form": self.model.closed_form is True,
            "training.class_balance": self.training.class_balance == "sampler",
        }
        for key, is_unfit in unfit.items():
            if is_unfit:
                raise ValueError(
                    f"{key}: does not go with a class for each row "
                    "(series.horizon, series.step_labels)"
                )
        return self

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The class list where the config gives it; else the labels are the classes."""
        return self.data.classes or (None if self.series.horizon is None else (LATER, SOON))

    def to_tree(self) -> dict[str, Any]:
        """Plain dicts, lists and scalars, ready for YAML and JSON."""
        return dict(self.model_dump(mode="json"))
