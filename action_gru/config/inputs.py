"""The sections left of the feature cache: data, sampling, features. Knows nothing of effects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from action_gru.config.section import (
    DATA_KINDS,
    NAME,
    DataKind,
    Device,
    Positive,
    Rows,
    Section,
    Sha256,
    ViewName,
)

if TYPE_CHECKING:
    DataKindName = str
else:
    DataKindName = Literal[tuple(DATA_KINDS)]

LATER, SOON = "later", "soon"  # the classes of rows with a series.horizon
NOTHING = "background"  # the class of watched instants without a label, where no other is named


class RunSection(Section):
    name: Annotated[str, Field(pattern=NAME)] = "run"
    """Names the run folder: runs/NAME, or NAME-2, NAME-3 when that is taken."""
    folder: Path = Path("runs")
    """Where run folders are made."""


class DataSection(Section):
    kind: DataKindName = "video"
    """video: clips of video files. table: measured rows, in long form or .ts. arrays: one .npy
    (T, D) a sequence. The section `series` says how the last two are read."""
    manifest: Path | None = None
    """CSV with path,label[,group][,split][,start_s,end_s][,frame_rate]; `action-gru prepare` writes
    one. Bounds are seconds, mm:ss, or frame numbers in start_frame,end_frame (docs/data.md).
    kind table: the .csv, .parquet or .ts file itself, or a folder of X_TRAIN.ts and X_TEST.ts."""
    task: Literal["clips", "frames"] = "clips"
    """clips: an answer is about a clip. frames: about each instant; the manifest's rows are
    labelled stretches of long videos. Of tables with series.step_labels: about each row."""
    root: Path | None = None
    """Folder that the manifest's paths start from; by default the manifest's own folder."""
    follow_links: bool = False
    """true: a link below the root may lead out of it. false: such a path is an error, so that a
    manifest from elsewhere reads no other files of this machine."""
    labels: Literal["one", "many"] = "one"
    """many: a clip may show several classes at once (`walk; read` in its label) or none (an empty
    label); each class has a probability of its own. one: exactly one class."""
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
    frame_rate: Annotated[float, Field(gt=0.0, le=1000.0)] | None = None
    """How many pictures of a folder of frames are a second, where the manifest's column frame_rate
    says nothing. Video files have their own times."""
    classes: tuple[str, ...] | None = None
    """The class list, in order; a manifest label outside it is an error. By default the labels."""

    @property
    def manifest_options(self) -> dict[str, Any]:
        """How `dataset.read_manifest` and `read_long_videos` read this data's manifests."""
        rate, follow = self.frame_rate, self.follow_links
        return {"many": self.labels == "many", "follow_links": follow, "frame_rate": rate}

    @property
    def traits(self) -> DataKind:
        """What the kind of data has."""
        return DATA_KINDS[self.kind]

    @property
    def is_video(self) -> bool:
        """Are there frames to decode?"""
        return self.traits.is_video

    @model_validator(mode="after")
    def _classes_are_distinct(self) -> DataSection:
        least = 1 if self.labels == "many" else 2  # shown or not
        if self.classes is not None and (
            len(self.classes) < least or len(set(self.classes)) < len(self.classes)
        ):
            raise ValueError(
                f"classes needs at least {('one name', 'two names')[least - 1]}, each once"
            )
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
    origin: str | None = None
    """With points: the point that the others are read around, in place of their mean, such as hip:
    what is alike in the names of its columns (hip_x, hip_y). It is not read itself."""
    unit: Annotated[tuple[str, ...], Field(min_length=2, max_length=2)] | None = None
    """With points: two points, such as [head, hip], whose distance is the unit of length, in place
    of the spread; averaged over the rows so far. They are not read themselves."""
    velocity: bool | Annotated[tuple[Rows, ...], Field(min_length=1, max_length=8)] = False
    """Read beside the values how they change from row to row; a list such as [1, 3, 6]: over so
    many rows each."""
    averages: Annotated[tuple[Positive, ...], Field(max_length=8)] = ()
    """Read beside the values their running averages over about so many rows, such as [5, 20, 80]:
    slow drift under noise shows there."""
    elapsed: bool = False
    """Read how long the id has run at each row, in the unit of time; where wear grows with age."""

    @model_validator(mode="after")
    def _keys_fit_together(self) -> SeriesSection:
        if self.stride is not None and self.window is None:
            raise ValueError("stride needs a window")
        if self.elapsed and self.window is not None:
            raise ValueError("elapsed counts from an id's first row: it does not go with a window")
        if not self.points and (self.origin or self.unit):
            raise ValueError("origin and unit name points: set points to 2 or 3")
        if self.unit is not None and len(set(self.unit)) < len(self.unit):
            raise ValueError(f"unit names two points that differ, got {self.unit[0]} twice")
        if list(self.spans) != sorted(set(self.spans)):
            raise ValueError("velocity names numbers of rows, the shortest first, each once")
        if list(self.averages) != sorted(set(self.averages)):
            raise ValueError("averages names numbers of rows, the shortest first, each once")
        if self.channels is not None and len(set(self.channels)) < max(1, len(self.channels)):
            raise ValueError("channels names columns, at least one, each once")
        return self

    @property
    def spans(self) -> tuple[int, ...]:
        """Over how many rows changes are read; none without velocity."""
        if isinstance(self.velocity, bool):
            return (1,) if self.velocity else ()
        return self.velocity

    @property
    def targets_each_row(self) -> bool:
        """Does every row have a class of its own?"""
        return self.step_labels or self.horizon is not None


class DecodingSection(Section):
    isolate: bool = True
    """Decode each file in a process of its own, so that a decoder that hangs, crashes or eats
    memory costs that file only. false: in this process, where nothing can stop it."""
    max_pixels: Annotated[int, Field(ge=1)] = 1 << 26
    """A file whose frames have more pixels is refused by its header, before any is decoded."""
    max_frames: Annotated[int, Field(ge=1)] = 10_000_000
    """A file with more frames is refused; at 30 a second, the default is 92 hours."""
    max_silence_s: Positive = 60.0
    """A decoder that gives no frame for so long is stopped."""
    max_decode_s: Positive = 86_400.0
    """A file whose decoding takes more time in all is refused."""
    max_memory_gb: Positive = 4.0
    """How much memory decoding one file may take, on Linux."""
    hardware: Literal["none", "cuda"] = "none"
    """cuda: an NVIDIA GPU decodes files of H.264, HEVC, VP8 and VP9; for long or large videos. Then
    features are cached apart. Never run on a GPU yet (docs/install.md)."""


class SamplingSection(Section):
    fps: Annotated[float, Field(gt=0.0, le=240.0)] = 12.0
    """Frames looked at per second of video; slower sources give each of their frames."""
    max_frames: Annotated[int, Field(ge=1, le=4096)] = 64
    """Longest sequence read at once. Training takes a random window of a longer clip; an answer
    averages over all its windows. data.task=frames: live, a state reads on without end."""


class FeaturesSection(Section):
    weights: str = "yolo26n-cls.pt"
    """An official Ultralytics name (downloaded once), a .pt, a .safetensors of this program, or
    builtin (demo, tests). Other networks (docs/export.md): timm:NAME (extra timm),
    torchvision:NAME, an .onnx file, an OpenVINO file or folder."""
    weights_sha256: Sha256 | None = None
    """Pins the file of the weights: one of another hash is refused, fetched or found."""
    views: Annotated[tuple[ViewName, ...], Field(min_length=1)] = ("focus", "motion")
    """rgb: the frame. motion: differences to 40, 80 and 160 ms earlier, by the same network. accel:
    how those change. focus: the frame, its features averaged where something moves. detections and
    pose: boxes and keypoints by detection.weights and pose.weights."""
    layer: Literal["embedding"] | int = "embedding"
    """embedding: what a cls model's last linear layer reads (1280 values), or the last map of
    another network. A number: that layer of any YOLO model, averaged over its area."""
    image_size: Literal["auto"] | Annotated[int, Field(ge=32, le=1280, multiple_of=32)] = "auto"
    """Side of the square network input, pixels; auto: 224, or what the network was trained at."""
    fit: Literal["squash", "letterbox", "crop"] = "squash"
    """How a frame becomes square: squash keeps all of it, crop cuts the sides off."""
    flip: bool = False
    """Extract a mirrored copy too: more training data, and a steadier answer at twice the cost.
    Leave off where left and right mean different things."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 where the device has the units for it, and the runtime."""
    runtime: Literal["torch", "onnx", "openvino", "tensorrt", "auto"] = "auto"
    """What runs the backbone; onnx and tensorrt are extras. auto: on a CPU of x86-64 openvino where
    it is installed, else onnx where that is, else torch; torch on other devices. Features are
    cached for each runtime apart: they differ by rounding. Weights that are an ONNX or OpenVINO
    file run in their own."""
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 16
    """Images per forward pass of the backbone. 16 keeps all cores busy to the end of a few clips; a
    GPU may like 64."""
    device: Device = "auto"
    """auto, cpu, cuda, cuda:N or mps, for the backbone."""
    cuda_graphs: bool = False
    """true: on a CUDA device torch runs up to eight pictures as one recorded graph, with less work
    for the processor each time. For live answers; never run on a GPU yet (docs/install.md)."""
    workers: Literal["auto"] | Annotated[int, Field(ge=1, le=64)] = "auto"
    """Threads that decode and embed; auto: one a core, at most 16."""
    download: bool = True
    """false: never fetch a missing official weight from the network."""
    memory_gb: Literal["auto"] | Annotated[float, Field(gt=0.0)] = "auto"
    """Memory for features while training and testing, GB; a larger set is read from disk as it is
    needed. auto: half of what is free."""
    cache_dir: Annotated[str, Field(min_length=1)] = "cache/features"
    """Where features are kept; runs and machines share it. A folder, or a URL: file:///DIR,
    s3://BUCKET/PREFIX (extra s3)."""

    @model_validator(mode="after")
    def _views_are_distinct(self) -> FeaturesSection:
        if len(set(self.views)) < len(self.views):
            raise ValueError("views names a view twice")
        return self
