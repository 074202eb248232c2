"""The sections of the sequence model: its shape, training, calibration, evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from action_gru.config.section import Device, Positive, Section, Share
from action_gru.model.cells import CELLS
from action_gru.model.losses import LOSSES

if TYPE_CHECKING:
    CellName = str
    LossName = str
else:
    CellName = Literal[(*CELLS, "none")]
    LossName = Literal[(*LOSSES,)]


class ModelSection(Section):
    cell: CellName = "gru"
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
    closed_form: Literal["auto"] | bool = False
    """Beside each cell a linear classifier of the mean and the maximum over time, solved, not
    trained. Its share, and each view's, is what it earns on groups left out while training. Helps
    few clips where order says little, and blurs what order says. auto: for up to 5,000 clips of
    video."""
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
    ridge: Positive = 1e-3
    """Penalty of the closed-form classifier: larger is smoother."""
    warmup_share: Share = 0.1
    """Share of all steps over which the rate climbs."""
    label_smoothing: Share = 0.1
    """Share of each target that is spread over all classes."""
    loss: LossName = "cross_entropy"
    """focal (Lin et al. 2017): answers that are right already count for less; for rare classes."""
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
    early_stop_patience: Annotated[int, Field(ge=0)] = 0
    """Stop after this many epochs without a better validation loss; 0 never stops early."""
    ema_decay: Share = 0.0
    """Decay of the running average of the weights that is evaluated and kept; 0 switches it off."""
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    """Precision of the training step; fp16 and bf16 are for GPUs."""
    device: Device = "auto"
    """auto, cpu, cuda, cuda:N or mps, for training."""
    mean_pooled_baseline: bool = True
    """Train the same model without its cell too, and report its score beside the model's."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Draws the first weights, the batches and dropout."""

    @model_validator(mode="before")
    @classmethod
    def _drop_mixup(cls, values: Any) -> Any:
        """Runs of older versions name the key, switched off."""
        if not isinstance(values, dict) or "mixup" not in values:
            return values
        if values["mixup"]:
            raise ValueError("mixup was removed, because no data set gained by it; leave it out")
        return {key: value for key, value in values.items() if key != "mixup"}


class CalibrationSection(Section):
    how: Literal["auto", "folds", "none"] = "auto"
    """What tells how often an answer of a given score is right. auto: the validation split; without
    one a further model, trained without a third of the groups. folds: three such models, so that
    each training clip tells; for small sets. none: scores stay as they are, none is unsure."""
    precision: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.9
    """Answers are called unsure below the score from which this share of them is right; where no
    score proves it, the largest share that one does is applied, and said."""


class EvaluationSection(Section):
    details: bool = True
    """Whether order counts, how early the answer is there, frames of the worst mistakes. false: the
    scores alone, without some thirty further passes of the model over the test clips."""
    mistakes: Annotated[int, Field(ge=0, le=100)] = 12
    """How many of the surest wrong answers are shown with their frames."""
