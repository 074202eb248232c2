"""The sections of the config and their shipped defaults. Knows nothing of YAML or effects."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]


def _is_device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise ValueError("should be auto, cpu, mps, cuda or cuda:N")
    return name


View = Literal["rgb", "focus", "motion", "accel", "detections", "pose"]
Device = Annotated[str, AfterValidator(_is_device)]


class Section(BaseModel):
    """A part of the tree: frozen, strict, and closed to unknown keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )


class RunSection(Section):
    name: Annotated[str, Field(pattern=r"^[\w.-]+$")] = "run"
    """Names the run folder: runs/NAME, or NAME-2, NAME-3 when that is taken."""
    folder: Path = Path("runs")
    """Where run folders are made."""


class DataSection(Section):
    kind: Literal["video", "table", "arrays"] = "video"
    """video: clips of video files. table: measured rows, in long form or .ts. arrays: one .npy
    (T, D) a sequence. The section `series` says how the last two are read."""
    manifest: Path | None = None
    """CSV with path,label[,group][,split][,start_s,end_s]; `action-gru prepare` writes one.
    kind table: the .csv, .parquet or .ts file itself, or a folder of X_TRAIN.ts and X_TEST.ts."""
    root: Path | None = None
    """Folder that the manifest's paths start from; by default the manifest's own folder."""
    split: Literal["auto", "column", "group", "none"] = "auto"
    """column: as the manifest says. group: hold out whole groups. none: train on everything.
    auto: column if the manifest fills it, else group."""
    test_share: Annotated[float, Field(ge=0.0, le=0.5)] = 0.2
    """Share of the clips held out for the test, in whole groups (split: group)."""
    val_share: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    """Share of the training clips held out for early stopping, in whole groups where given."""
    split_seed: int = 0
    """Draws the held-out groups; the training seed does not move them."""
    allow_leakage: bool = False
    """true: accept a group or a clip on both sides of a split. The report says so."""
    max_bad_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    """The run fails when more than this share of the clips cannot be read."""
    classes: tuple[str, ...] | None = None
    """The class list, in order; a manifest label outside it is an error. By default the labels."""

    @model_validator(mode="after")
    def _classes_are_distinct(self) -> DataSection:
        if self.classes is not None and (
            len(self.classes) < 2 or len(set(self.classes)) < len(self.classes)
        ):
            raise ValueError("classes needs at least two names, each once")
        if not all(name and name.isprintable() for name in self.classes or ()):
            raise ValueError("classes are printable names")
        return self


class SeriesSection(Section):
    id: str = "id"
    """Column of a long table that says whose row it is."""
    time: str = "time"
    """Column of numbers or ISO dates by which the rows of an id are sorted."""
    label: str = "label"
    """Column of the class."""
    group: str = "group"
    """Column of what a split must not divide; without it, the id."""
    split: str = "split"
    """Column of train, val or test."""
    remaining: str = "remaining"
    """Column of how long the id still lasts after the row, in the unit of time (see horizon)."""
    channels: tuple[str, ...] | None = None
    """The columns to read, in order; by default all that have no other part to play."""
    horizon: Positive | None = None
    """Each row's class is then `soon` where no more than this remains, else `later`."""
    step_labels: bool = False
    """true: the label may change from row to row, and the model answers after each row."""
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    """A model with a horizon warns from this probability of `soon` on."""
    window: Positive | None = None
    """Cut each sequence into stretches of this length, in the unit of time (arrays: rows)."""
    stride: Positive | None = None
    """From the start of one window to the next; by default the window: they do not overlap."""
    points: Literal[0, 2, 3] = 0
    """2 or 3: the columns are points of so many coordinates, such as landmarks; they are read
    around their mean and relative to their spread. 0: they are not."""
    velocity: bool = False
    """Read beside the values how they change from row to row."""

    @model_validator(mode="after")
    def _keys_fit_together(self) -> SeriesSection:
        if self.stride is not None and self.window is None:
            raise ValueError("stride needs a window")
        if self.channels is not None and len(set(self.channels)) < max(1, len(self.channels)):
            raise ValueError("channels names columns, at least one, each once")
        return self

    @property
    def targets_each_row(self) -> bool:
        """Does every row have a class of its own?"""
        return self.step_labels or self.horizon is not None


class SamplingSection(Section):
    fps: Annotated[float, Field(gt=0.0, le=240.0)] = 12.0
    """Frames looked at per second of video; slower sources give each of their frames."""
    max_frames: Annotated[int, Field(ge=1, le=4096)] = 64
    """Longest sequence read at once. Training takes a random window of a longer clip; an answer
    averages over all its windows."""


class FeaturesSection(Section):
    weights: str = "yolo26n-cls.pt"
    """An official Ultralytics name (downloaded once), a path to a .pt, or builtin (demo, tests)."""
    views: Annotated[
        tuple[Literal["rgb", "focus", "motion", "accel", "detections", "pose"], ...],
        Field(min_length=1),
    ] = (
        "focus",
        "motion",
    )
    """rgb: the frame. motion: differences to 40, 80 and 160 ms earlier, by the same network. accel:
    how those change. focus: the frame, its features averaged where something moves. detections and
    pose: boxes and keypoints by detection.weights and pose.weights; best with model.normalisation:
    channel."""
    layer: Literal["embedding"] | int = "embedding"
    """embedding: what a cls model's last linear layer reads (1280 values). A number: that layer of
    any YOLO model, averaged over its area."""
    image_size: Literal["auto"] | Annotated[int, Field(ge=32, le=1280, multiple_of=32)] = "auto"
    """Side of the square network input, pixels; auto: 224, or what builtin was trained at."""
    fit: Literal["squash", "letterbox", "crop"] = "squash"
    """How a frame becomes square: squash keeps all of it, crop cuts the sides off."""
    flip: bool = False
    """Extract a mirrored copy too: more training data, and a steadier answer at twice the cost.
    Leave off where left and right mean different things."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the device has the units for it, and the runtime."""
    runtime: Literal["torch", "onnx", "openvino", "tensorrt", "auto"] = "torch"
    """What runs the backbone; all but torch are extras. auto: the quickest that is installed,
    measured once a machine. Features are cached for each runtime apart: they differ by rounding."""
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 32
    """Images per forward pass of the backbone."""
    device: Device = "auto"
    """auto, cpu, cuda, cuda:N or mps, for the backbone."""
    workers: Literal["auto"] | Annotated[int, Field(ge=1, le=64)] = "auto"
    """Threads that decode and embed; auto: one a core, at most 16."""
    download: bool = True
    """false: never fetch a missing official weight from the network."""
    cache_dir: Path = Path("cache/features")
    """Where features are kept; runs share it."""

    @model_validator(mode="after")
    def _views_are_distinct(self) -> FeaturesSection:
        if len(set(self.views)) < len(self.views):
            raise ValueError("views names a view twice")
        return self


class ModelSection(Section):
    cell: Literal["gru", "lstm", "rnn", "none"] = "gru"
    """The recurrent cell; none reads each frame alone (the mean-pooled baseline)."""
    projection_size: Annotated[int, Field(ge=1, le=4096)] = 256
    """Width that each view is projected to before the cell."""
    hidden_size: Annotated[int, Field(ge=1, le=4096)] = 256
    """Units of the cell."""
    num_layers: Annotated[int, Field(ge=1, le=8)] = 1
    """Stacked layers of the cell."""
    bidirectional: bool = False
    """Read the clip backwards too. Such a model cannot run live."""
    pooling: Literal["last", "mean", "attention"] = "attention"
    """How the hidden states become one vector: the last, their mean, or a learned weighting."""
    fusion: Literal["late", "early"] = "late"
    """late: each view has its own cell and the scores are averaged. early: one cell reads all."""
    normalisation: Literal["auto", "frame", "channel"] = "auto"
    """frame: each view's vector is layer-normalised; for embeddings. channel: each column is
    standardised by itself; for measured quantities. auto: by data.kind."""
    closed_form: Literal["auto"] | bool = "auto"
    """Beside each cell a linear classifier of the mean and the maximum over time, solved, not
    trained. Its share, and each view's, is what it earns on groups left out while training. auto:
    for up to 5,000 training clips of video; with more, a trained head needs no help."""
    dropout: Share = 0.3
    """Share of projected values dropped before the cell while training."""
    head_dropout: Share = 0.5
    """Share of pooled values dropped before the head while training."""


class TrainingSection(Section):
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 40
    min_steps: Annotated[int, Field(ge=0)] = 0
    """At least so many steps of the optimizer: a small set gets more epochs until it has them."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    learning_rate: Positive = 1e-3
    """Peak rate of AdamW: linear warm-up, then a cosine down to zero."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.1
    ridge: Positive = 1e-3
    """Penalty of the closed-form classifier: larger is smoother."""
    warmup_share: Share = 0.1
    """Share of all steps over which the rate climbs."""
    label_smoothing: Share = 0.1
    class_balance: Literal["none", "weights", "sampler"] = "none"
    """weights: rare classes weigh more in the loss. sampler: they are drawn more often."""
    grad_clip: Annotated[float, Field(ge=0.0)] = 1.0
    """Largest gradient norm; 0 switches clipping off."""
    temporal_crop: Share = 0.2
    """Training reads a random stretch of the clip, shorter by up to this share."""
    speed_jitter: Share = 0.2
    """Training plays the clip faster or slower by up to this share."""
    frame_dropout: Share = 0.0
    """Share of the frames left out at random while training."""
    mixup: Annotated[float, Field(ge=0.0)] = 0.0
    """Alpha of the Beta distribution that blends pairs of clips; 0 switches it off."""
    early_stop_patience: Annotated[int, Field(ge=0)] = 0
    """Stop after this many epochs without a better validation loss; 0 never stops early."""
    ema_decay: Share = 0.0
    """Decay of the running average of the weights that is evaluated and kept; 0 switches it off."""
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    device: Device = "auto"
    """auto, cpu, cuda, cuda:N or mps, for training."""
    mean_pooled_baseline: bool = True
    """Train the same model without its cell too, and report its score beside the model's."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


class CalibrationSection(Section):
    how: Literal["auto", "folds", "none"] = "auto"
    """What tells how often an answer of a given score is right. auto: the validation split; without
    one a further model, trained without a third of the groups. folds: three such models, so that
    each training clip tells; for small sets. none: scores stay as they are, none is unsure."""
    precision: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.9
    """Answers are called unsure below the score from which this share of them is right."""


class EvaluationSection(Section):
    details: bool = True
    """Whether order counts, how early the answer is there, frames of the worst mistakes. false: the
    scores alone, without some thirty further passes of the model over the test clips."""
    mistakes: Annotated[int, Field(ge=0, le=100)] = 12
    """How many of the surest wrong answers are shown with their frames."""


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
    templates: dict[str, str] = {}
    """More actions, or other words for them: label -> template, as {who} sits down{near}."""
    subjects: tuple[str, ...] = ("person",)
    """The detector's classes that act; the first one that is seen is who does it."""
    detect: bool = True
    """false: no detector is run, and sentences tell of someone, next to nothing."""
    every_s: Positive = 0.5
    """How often things are counted, seconds of video."""


class Config(Section):
    run: RunSection = RunSection()
    data: DataSection = DataSection()
    series: SeriesSection = SeriesSection()
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
            "data.kind": self.data.kind != "table",
            "model.bidirectional": self.model.bidirectional,
            "model.closed_form": self.model.closed_form is True,
            "training.mixup": bool(self.training.mixup),
            "training.class_balance": self.training.class_balance == "sampler",
        }
        for key, is_unfit in unfit.items():
            if is_unfit:
                raise ValueError(
                    f"{key}: does not go with a class for each row "
                    "(series.horizon, series.step_labels)"
                )
        return self

    def to_tree(self) -> dict[str, Any]:
        """Plain dicts, lists and scalars, ready for YAML and JSON."""
        return dict(self.model_dump(mode="json"))
