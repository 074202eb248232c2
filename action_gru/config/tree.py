"""The whole config: its sections and what two of them together must not ask. Knows no YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import model_validator

from action_gru.config import inputs, learning
from action_gru.config.section import Section
from action_gru.core.errors import ConfigError
from action_gru.core.paths import instead_of, missing
from action_gru.model.losses import BINARY_LOSSES


class Config(Section):
    run: inputs.RunSection = inputs.RunSection()
    data: inputs.DataSection = inputs.DataSection()
    series: inputs.SeriesSection = inputs.SeriesSection()
    decoding: inputs.DecodingSection = inputs.DecodingSection()
    sampling: inputs.SamplingSection = inputs.SamplingSection()
    features: inputs.FeaturesSection = inputs.FeaturesSection()
    model: learning.ModelSection = learning.ModelSection()
    training: learning.TrainingSection = learning.TrainingSection()
    calibration: learning.CalibrationSection = learning.CalibrationSection()
    evaluation: learning.EvaluationSection = learning.EvaluationSection()
    stream: learning.StreamSection = learning.StreamSection()
    events: learning.EventsSection = learning.EventsSection()
    detection: learning.DetectionSection = learning.DetectionSection()
    pose: learning.PoseSection = learning.PoseSection()
    people: learning.PeopleSection = learning.PeopleSection()
    describe: learning.DescribeSection = learning.DescribeSection()

    @model_validator(mode="after")
    def _several_labels_fit(self) -> Config:
        """What several labels a clip rule out."""
        unfit = {
            "model.closed_form": self.model.closed_form is True,
            "training.loss": self.training.loss not in BINARY_LOSSES,
            "series.step_labels": self.series.step_labels,
            "series.horizon": self.series.horizon is not None,
        }
        for key, is_unfit in unfit.items():
            if is_unfit and self.data.labels == "many":
                raise ValueError(f"{key}: does not go with data.labels=many")
        return self

    @model_validator(mode="after")
    def _each_row_can_have_a_class(self) -> Config:
        """What a class a row rules out; the answer after a row must rest on that row's past."""
        if not self.targets_each_row:
            return self
        of_frames, kind = self.data.task == "frames", self.data.traits
        unfit = {
            "data.kind": not (kind.has_row_classes or (kind.is_video and of_frames)),
            "series.step_labels": kind.is_video and self.series.step_labels,
            "series.horizon": of_frames and self.series.horizon is not None,
            "model.bidirectional": self.model.bidirectional,
            "model.closed_form": self.model.closed_form is True,
            "training.class_balance": self.training.class_balance == "sampler",
        }
        for key, is_unfit in unfit.items():
            if is_unfit:
                raise ValueError(
                    f"{key}: does not go with a class for each row "
                    "(data.task=frames, series.horizon, series.step_labels)"
                )
        return self

    @model_validator(mode="after")
    def _instants_of_a_table_are_its_rows(self) -> Config:
        if self.data.task == "frames" and not (self.data.is_video or self.series.step_labels):
            raise ValueError(
                f"data.task=frames of a {self.data.kind} asks for series.step_labels=true: each "
                "row needs its label"
            )
        return self

    @model_validator(mode="after")
    def _a_window_holds_what_is_read_ahead(self) -> Config:
        ahead, longest = self.model.lookahead, self.sampling.max_frames
        if ahead and self.data.task != "frames":
            raise ValueError(
                "model.lookahead: goes with data.task=frames, where each instant has an answer"
            )
        if ahead >= longest:
            raise ValueError(
                f"model.lookahead={ahead}: leaves no row of a training window with an answer; it "
                f"must be below sampling.max_frames={longest}"
            )
        return self

    @property
    def targets_each_row(self) -> bool:
        """Does every row, or every instant of a video, have labels of its own?"""
        return self.data.task == "frames" or self.series.targets_each_row

    @property
    def nothing(self) -> str:
        """The class of instants at which nothing is shown, where an instant has one class."""
        return next(iter(self.events.background), inputs.NOTHING)

    @property
    def manifest_options(self) -> dict[str, Any]:
        """How `dataset.segments.read_labelled` reads this data's manifests."""
        return {**self.data.manifest_options, "nothing": self.label_rules["nothing"]}

    @property
    def label_rules(self) -> dict[str, Any]:
        """How `dataset.segments.labels_at` gives instants their labels."""
        of_frames = self.data.task == "frames"
        return {
            "many": self.data.labels == "many",
            "nothing": self.nothing if of_frames else None,
        }

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The class list where the config gives it; else the labels are the classes."""
        return self.data.classes or (
            None if self.series.horizon is None else (inputs.LATER, inputs.SOON)
        )

    def to_tree(self) -> dict[str, Any]:
        """Plain dicts, lists and scalars, ready for YAML and JSON."""
        return dict(self.model_dump(mode="json"))


def needs_one_label(config: Config, what: str) -> None:
    """Raise ConfigError where a clip may show several labels, or an instant has its own.

    what: needs one label a clip, in words.
    """
    for key, value, other in (("labels", "many", "one"), ("task", "frames", "clips")):
        if getattr(config.data, key) == value:
            raise ConfigError(
                f"data.{key} is {value}, and {what} needs one label a clip; where each row of the "
                f"manifest has one, data.{key}={other} reads each as a clip of its own"
            )


def check_files(config: Config) -> None:
    """Raise ConfigError when a file the config names is not there, saying where it looked."""
    manifest = config.data.manifest
    if manifest is None:
        raise ConfigError(
            "data.manifest is not set; name the clips, as in 'action-gru train CLIPS', or set "
            "data.manifest=CSV"
        )
    if config.data.is_video and (sentence := instead_of("a manifest", manifest)):
        raise ConfigError(f"data.manifest: {sentence}")
    kind = "folder" if config.data.traits.may_be_folder and manifest.is_dir() else "file"
    named = [("data.manifest", manifest, kind), ("data.root", config.data.root, "folder")]
    weights = Path(config.features.weights)
    if len(weights.parts) > 1 and config.data.is_video and not weights.is_dir():
        named.append(("features.weights", weights, "file"))
    for key, path, kind in named:
        if path is not None and not (path.is_dir() if kind == "folder" else path.is_file()):
            raise ConfigError(f"{key}: {missing(kind, path)}")
