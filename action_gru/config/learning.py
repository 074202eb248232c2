"""The sections of the sequence model and of its answers: training, events, people, words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from action_gru.config.section import Device, Positive, Probability, Section, Sha256, Share
from action_gru.config.sinks import Sink
from action_gru.model.cells import CELLS
from action_gru.model.losses import LOSSES
from action_gru.model.pooling import POOLINGS

if TYPE_CHECKING:
    CellName = str
    LossName = str
    PoolingName = str
else:
    CellName = Literal[(*CELLS, "none")]
    LossName = Literal[(*LOSSES,)]
    PoolingName = Literal[(*POOLINGS,)]


class ModelSection(Section):
    cell: CellName = "gru"
    """The recurrent cell; none reads each frame alone (the mean-pooled baseline)."""
    projection_size: Annotated[int, Field(ge=1, le=4096)] = 256
    """Width that each view is projected to before the cell."""
    hidden_size: Annotated[int, Field(ge=1, le=4096)] = 256
    """Units of the cell."""
    ensemble: Annotated[int, Field(ge=1, le=64)] = 1
    """So many cells of each view, whose first weights differ and whose answers are averaged:
    steadier where clips are few, at so many times the work of training and of a step."""
    num_layers: Annotated[int, Field(ge=1, le=8)] = 1
    """Stacked layers of the cell."""
    bidirectional: bool = False
    """Read the clip backwards too. Such a model cannot run live."""
    lookahead: Annotated[int, Field(ge=0, le=10_000)] = 0
    """data.task=frames: how many further rows, or samples of a video, are read before the answer
    about one. Live, answers come so much later, and are right more often."""
    pooling: PoolingName = "attention"
    """How the hidden states become one vector: the last, the largest of each unit, their mean, or a
    learned weighting. transformer: causal self-attention with positions in time before it. With
    data.task=frames it is always the last."""
    fusion: Literal["late", "early"] = "late"
    """late: each view has its own cell and the scores are averaged. early: one cell reads all."""
    normalisation: Literal["auto", "frame", "channel"] = "auto"
    """frame: each view's vector is layer-normalised; for embeddings. channel: each column is
    standardised by itself; for measured quantities. auto: by data.kind. The views detections and
    pose are always read by channel."""
    closed_form: Literal["auto"] | bool = "auto"
    """Beside each cell a linear classifier of the mean and the maximum over time, and of how the
    values go over time, solved, not trained. Its share, and each view's, is what it earns on groups
    left out while training; without a cell it reads no order. Helps few clips. auto: for up to
    5,000 clips of video."""
    dropout: Share = 0.3
    """Share of projected values dropped before the cell while training."""
    head_dropout: Share = 0.5
    """Share of pooled values dropped before the head while training."""


class TrainingSection(Section):
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 40
    """Passes over the training clips."""
    min_steps: Annotated[int, Field(ge=0)] = 0
    """At least so many steps of the optimizer: a small set gets more epochs until it has them."""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    """Clips a step of the optimizer."""
    learning_rate: Positive = 1e-3
    """Peak rate of AdamW: linear warm-up, then a cosine down to zero."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.1
    """Decoupled weight decay of AdamW."""
    label_smoothing: Share = 0.1
    """Share of each target that is spread over all classes."""
    loss: LossName = "cross_entropy"
    """focal (Lin et al. 2017): answers that are right already count for less; for rare classes."""
    class_balance: Literal["none", "weights", "sampler"] = "none"
    """weights: rare classes weigh more in the loss. sampler: they are drawn more often."""
    temporal_crop: Share = 0.2
    """Training reads a random stretch of the clip, shorter by up to this share."""
    speed_jitter: Share = 0.2
    """Training plays the clip faster or slower by up to this share."""
    frame_dropout: Share = 0.0
    """Share of the frames left out at random while training."""
    early_stop_patience: Annotated[int, Field(ge=0)] = 0
    """Stop after this many epochs without a better validation loss; 0 never stops early."""
    ema_decay: Share = 0.0
    """Decay of the running average of the weights that is evaluated and kept; 0 switches it off."""
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    """Precision of the training step; fp16 and bf16 are for GPUs."""
    device: Device = "auto"
    """auto, cpu, cuda, cuda:N or mps, for training."""
    refit: Literal["auto"] | bool = "auto"
    """After the evaluation, train the model that is kept on all clips, the test clips included. Its
    score is that of the model without them. auto: if the test split was drawn here, not given."""
    track: Literal["tensorboard", "mlflow", "wandb", "none"] = "tensorboard"
    """Who is told of each epoch, of the settings and the scores. tensorboard: files in the run's
    folder. mlflow (extra mlflow): MLFLOW_TRACKING_URI, by default mlflow.db and mlruns in this
    folder. wandb (extra wandb): the account, or with WANDB_MODE=offline the run's folder."""
    mean_pooled_baseline: bool = True
    """Train the same model without its cell too, and report its score beside the model's."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Draws the first weights, the batches and dropout."""


class CalibrationSection(Section):
    how: Literal["auto", "folds", "none"] = "auto"
    """Which clips measure how often an answer of a given score is right. auto: the validation
    split; without one a further model, trained without a third of the groups. folds: three such
    models, so that each training clip counts; for small sets. none: scores stay as they are, none
    is unsure."""
    precision: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.9
    """Answers are called unsure below the score from which this share of them is right; where no
    score proves it, the largest share that one does is applied, and said."""
    thresholds: Literal["f1", "precision"] = "f1"
    """With data.labels many: from which score each class counts as shown. f1: where its F1 is best
    on those clips. precision: the lowest score that proves `precision`."""


class EvaluationSection(Section):
    details: bool = True
    """Whether order counts, how early the answer is there, frames of the worst mistakes. false: the
    scores alone, without some thirty further passes of the model over the test clips."""


class StreamSection(Section):
    window_s: Literal["auto"] | Positive = "auto"
    """How far back a running answer looks, seconds. auto: 0.7 times as long as the training clips
    usually are; with data.task=frames without end. larger: surer of long actions, blind to short
    ones."""
    states: Annotated[int, Field(ge=2, le=64)] = 8
    """Staggered states of the model: one restarts every window_s / states seconds, and the answer
    rests on the last (states - 1) / states to 1 times window_s."""
    max_gap_s: Positive = 1.0
    """Without a frame for longer than this, and than 2.5 of the source's usual steps, a stream
    starts afresh."""
    restart_at_cut: bool = False
    """true: a stream starts afresh, and events end, where an edited video cuts from one scene to
    another. Training clips are read as they are."""


class EventsSection(Section):
    enter: Probability = 0.4
    """An event needs its class to be the best somewhere, with at least this smoothed score. With
    data.labels many it needs its class's own threshold instead."""
    exit: Probability = 0.25
    """It lasts as long as its class scores at least this; with data.labels many, at least exit /
    enter of its threshold."""
    min_event_s: Annotated[float, Field(ge=0.0)] = 0.4
    """Shorter events are dropped, and shorter breaks bridged, seconds."""
    smoothing_s: Annotated[float, Field(ge=0.0)] = 0.4
    """Scores are averaged over this long, seconds. larger: steadier, announced later."""
    background: tuple[str, ...] = ()
    """Classes that mean nothing in particular: they are never events. data.task=frames: the first
    is the class of watched stretches without a label; none named: 'background'."""
    sinks: tuple[Sink, ...] = ()
    """Where events of `webcam` go beside the screen: a list such as [{kind: jsonl, path:
    events.jsonl}]. Kinds: mqtt, webhook, jsonl, csv, clip, sound; see below and docs/events.md."""

    @property
    def tracking(self) -> dict[str, Any]:
        """What an `EventTracker` takes."""
        return self.model_dump(exclude={"sinks"})

    @model_validator(mode="after")
    def _exit_is_below_enter(self) -> EventsSection:
        if self.exit > self.enter:
            raise ValueError(f"exit ({self.exit:g}) must not be above enter ({self.enter:g})")
        return self


class DetectionSection(Section):
    weights: str = "yolo26n.pt"
    """A detect model: an official Ultralytics name (downloaded once), or a path to what Ultralytics
    saves or exports: a .pt, an OpenVINO folder, an .onnx or an .engine."""
    weights_sha256: Sha256 | None = None
    """Pins that file, as features.weights_sha256 does; of a folder its .xml and .bin, one after
    another."""
    image_size: Literal["auto"] | Annotated[int, Field(ge=32, le=1280, multiple_of=32)] = "auto"
    """The longer side of its input, pixels; auto: what it was trained at, or the one shape that an
    export takes. larger: finds smaller things, costs more."""
    min_score: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    """The weakest box that counts and that starts a track; one down to a third of it continues a
    track."""
    tracker: Literal["bytetrack", "botsort"] = "bytetrack"
    """How boxes keep their number. botsort takes out the camera's motion, and costs more."""
    classes: tuple[str, ...] = ()
    """Of the view detections: the classes that count; none named: all of the model's."""
    top: Annotated[int, Field(ge=1, le=64)] = 8
    """Of the view detections: how many boxes a frame's vector has room for."""


class PoseSection(Section):
    weights: str = "yolo26n-pose.pt"
    """A pose model, in any form that detection.weights takes."""
    weights_sha256: Sha256 | None = None
    """Pins that file or folder, as detection.weights_sha256 does."""
    image_size: Literal["auto"] | Annotated[int, Field(ge=32, le=1280, multiple_of=32)] = "auto"
    """As detection.image_size. 416 takes half the time of 640, and misses small people."""
    min_score: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    """The weakest person that counts."""
    every: Annotated[int, Field(ge=1, le=16)] = 1
    """The network looks at one in so many samples; in between the last answer stands. 2 halves its
    cost."""


class PeopleSection(Section):
    classes: Annotated[tuple[str, ...], Field(min_length=1)] = ("person",)
    """The detector's classes that are followed one by one (--per-person)."""
    max: Annotated[int, Field(ge=1, le=64)] = 8
    """How many are followed at once: the cost of a frame grows with them."""
    order: Literal["largest", "nearest"] = "largest"
    """Which people are followed where there are more; nearest: those whose box ends lowest in the
    picture."""
    timeout_s: Positive = 2.0
    """Who is hidden for longer is gone, and begins afresh."""
    follow: Literal["everyone", "largest", "centre", "first"] | Annotated[int, Field(ge=1)] = (
        "everyone"
    )
    """Or one person alone (--follow), picked once: the largest, the nearest to the picture's
    centre, the first who came, or the one of this number. When they are gone, the next one is
    picked in the same way, after a number by order."""


class DescribeSection(Section):
    language: str = "en"
    """Which templates describe events: en, de, or the path of a .yaml of your own."""
    templates: dict[str, str] = Field(default_factory=dict)
    """More actions, or other words for them: label -> template, as {who} sits down{near}."""
    subjects: tuple[str, ...] = ("person",)
    """The detector's classes that act; the first one in the frame is the subject."""
    detect: bool = True
    """false: no detector is run, and sentences name no objects."""
