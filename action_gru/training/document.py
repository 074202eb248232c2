"""A checkpoint's metadata: checked before anything is made of it; what its model can be used for.

Read without torch. A file may come from anyone: sizes are compared with what it really holds before
memory is taken. features in the checks: one spec a view, as a `Document` and a `Checkpoint` have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any
from unicodedata import category

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json
from safetensors import SafetensorError, safe_open

from action_gru.backbone import FRAME_VIEWS, FeatureSpec
from action_gru.config import Config
from action_gru.config.inputs import SOON
from action_gru.config.learning import ModelSection
from action_gru.core.errors import CheckpointError, ConfigError, DataError
from action_gru.core.paths import BEST, FINAL, file_kind, instead_of, kind_of, missing
from action_gru.dataset.channels import ChannelSpec
from action_gru.model.calibration import Calibration
from action_gru.training.networks import NetworkKey, PackedNetwork, with_networks
from action_gru.views.pictures import VIEWS

FORMAT = "action_gru.checkpoint.1"
METADATA = "action_gru"
SHIPPED = Path(__file__).parents[1] / "weights" / "models"  # NAME.safetensors, with a card NAME.md

# A header's length precedes it; a classifier's has a few thousand characters.
MOST_HEADER_BYTES = 64 << 20
MOST_VALUES = 1 << 20  # of a row, and classes
MOST_VIEWS = 64

Specs = Sequence[FeatureSpec] | Sequence[ChannelSpec]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class Sampling(_Part):
    """How the training clips were looked at."""

    fps: Annotated[float, Field(gt=0.0, le=240.0)]
    max_frames: Annotated[int, Field(ge=1, le=4096)]
    usual_frames: Annotated[int, Field(ge=1, le=4096)] = 1


class Document(_Part):
    """A checkpoint's metadata, checked part by part and against itself."""

    model: dict[str, Any]
    classes: Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_VALUES)]
    features: Annotated[
        tuple[FeatureSpec, ...] | tuple[ChannelSpec, ...],
        Field(min_length=1, max_length=MOST_VIEWS),
    ]
    sampling: Sampling
    flip: bool
    data: dict[str, Any]
    config: dict[str, Any]
    progress: dict[str, Any]
    calibration: Calibration | None = None
    networks: dict[NetworkKey, PackedNetwork] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Document:
        known = ModelSection.model_fields
        ModelSection.model_validate({k: v for k, v in self.model.items() if k in known})
        dims = [spec.dim for spec in self.features]
        if self.model.get("view_dims") != dims or not all(0 < dim <= MOST_VALUES for dim in dims):
            raise ValueError(f"view_dims {self.model.get('view_dims')} against features of {dims}")
        if self.model.get("num_classes") != len(self.classes):
            raise ValueError(
                f"num_classes {self.model.get('num_classes')} against {len(self.classes)} names"
            )
        if any(category(letter) == "Cc" for name in self.classes for letter in name):
            raise ValueError("a class's name holds a control character, which a terminal obeys")
        if self.calibration is not None and not self.calibration.temperature > 0:
            raise ValueError(f"a temperature of {self.calibration.temperature}")
        limits = self.calibration.thresholds if self.calibration else {}
        if not limits.keys() <= set(self.classes) or not all(0 <= x <= 1 for x in limits.values()):
            raise ValueError(f"thresholds {limits} of the classes {', '.join(self.classes)}")
        return self


def shipped_models() -> dict[str, Path]:
    """The checkpoints that the package brings, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob(f"*{Path(BEST).suffix}"))}


def name_shipped(name: str) -> str:
    """For an error: the names of `shipped_models`, and the closest one."""
    names = list(shipped_models())
    close = get_close_matches(name, names, n=1)
    return f"the name of a shipped model ({', '.join(names)})" + (
        f"; did you mean '{close[0]}'?" if close else ""
    )


def find_checkpoint(run: Path) -> Path:
    """The checkpoint of a run folder, the file itself, or the shipped model of that name.

    A run folder or a file of the same name comes first. Raises CheckpointError.
    """
    shipped = shipped_models().get(str(run))
    if shipped is not None and kind_of(run) != "a run folder" and not run.is_file():
        return shipped
    names = [name for name in (FINAL, BEST) if (run / name).is_file()]
    path = run / (names or [BEST])[0] if run.is_dir() else run
    if path.is_file() and path.suffix == Path(BEST).suffix:
        return path
    if mend := instead_of("a run", run):
        raise CheckpointError(mend)
    if path.is_file():
        return path
    begun = run.is_dir() and (run / "config.yaml").is_file()
    raise CheckpointError(
        f"{missing('checkpoint', path)}; "
        + (
            f"its training has not come to a result yet: 'action-gru resume {run}' goes on with it"
            if begun
            else "give the folder that 'action-gru train' printed as its last line, or "
            + name_shipped(str(run))
        )
    )


def find_run(path: Path) -> Path:
    """The folder of a run that was trained before. Raises CheckpointError for any other path."""
    if (path / "config.yaml").is_file():
        return path
    raise CheckpointError(
        instead_of("a run", path)
        or f"{path} is not a run folder (looked for {path.absolute()}/config.yaml); "
        "give the folder that 'action-gru train' printed as its last line; 'action-gru runs' lists "
        "those that are here"
    )


def read_document(run: Path) -> Document:
    """The metadata of a run folder's checkpoint, or of a file. Raises CheckpointError.

    The networks that a file brings are unpacked, and its config names them.
    """
    path = find_checkpoint(run)
    with refusing(path):
        check_head(path)
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {})[METADATA]
        _check_format(path, text)
        document = Document.model_validate_json(text)
        if not document.networks:
            return document
        config = with_networks(path, document.networks, document.config)
    return document.model_copy(update={"config": config})


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Whatever is wrong inside the file becomes a CheckpointError."""
    try:
        yield
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: not a checkpoint of this program ({reason(error)}); "
            "copy the file again or train again"
        ) from error


def _check_format(path: Path, text: str) -> None:
    """Raise CheckpointError for a format of the future, which need not have today's parts."""
    found = from_json(text)["format"]
    if found != FORMAT:
        raise CheckpointError(f"{path}: has format {found!r}, expected {FORMAT!r}")


def check_head(path: Path) -> None:
    """Raise ValueError for a pickle under any name, and for a header that is no header."""
    with path.open("rb") as file:
        length, first = int.from_bytes(file.read(8), "little"), file.read(1)
    size = path.stat().st_size
    fits = 2 <= length <= min(size - 8, MOST_HEADER_BYTES)
    # A header of 640 bytes begins as a pickle does: what follows the length tells them apart.
    if fits and first == b"{":
        return
    if kind := file_kind(path):
        raise ValueError(f"it is {kind}; only safetensors are read here")
    if not fits:
        raise ValueError(f"a header of {length} bytes in a file of {size}")


def reason(error: Exception) -> str:
    """What is wrong, in one line."""
    if isinstance(error, ValidationError):
        detail = error.errors()[0]
        return f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}".removeprefix(": ")
    return f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)


def check_reads_video(features: Specs) -> None:
    """Raise CheckpointError for a model of measured channels."""
    if not reads_video(features):
        raise CheckpointError(
            "the model reads measured channels, no video: give it rows with 'action-gru watch' or "
            "SequenceRecognizer; for videos name a run that was trained on some"
        )


def reads_video(features: Specs) -> bool:
    return not any(isinstance(spec, ChannelSpec) for spec in features)


def check_reads_rows(features: Specs) -> None:
    """Raise CheckpointError for a model of video."""
    if not all(isinstance(spec, ChannelSpec) for spec in features):
        raise CheckpointError(
            "the model was trained on video, not on measured channels; "
            "use ActionRecognizer, 'action-gru classify' or 'action-gru webcam'"
        )


def check_runs_live(is_bidirectional: bool) -> None:
    """Raise CheckpointError for a model that reads backwards too."""
    if is_bidirectional:
        raise CheckpointError(
            "the model is bidirectional: it needs the end of a clip and cannot run live; "
            "train one with model.bidirectional=false"
        )


def check_exportable(features: Specs, run: Path) -> None:
    """Raise CheckpointError for a model that reads detections or poses."""
    beside = [spec.view for spec in features if spec.view in FRAME_VIEWS]
    if beside:
        raise CheckpointError(
            f"{run}: reads {beside[0]}, and export writes models of pictures and of measured "
            "channels; stay with this package ('action-gru timeline', 'webcam'), or train on views "
            f"that are pictures: {', '.join(VIEWS)}"
        )


def check_label(label: str | None, classes: Sequence[str]) -> None:
    """Raise DataError for a class that the model does not know."""
    if label is not None and label not in classes:
        raise DataError(f"label '{label}': the model knows {', '.join(classes)}; name one of them")


def check_background(config: Config, classes: Sequence[str]) -> None:
    """Raise DataError where events.background names no class."""
    unknown = [name for name in config.events.background if name not in classes]
    if unknown:
        raise DataError(
            f"events.background: the model has no class {', '.join(unknown)}; "
            f"its classes are {', '.join(classes)}"
        )


def alarm_class(asked: str | None, classes: Sequence[str], has_horizon: bool) -> str:
    """The class to warn of: the one asked for, or `soon`. Raises ConfigError without one."""
    name = asked or (SOON if SOON in classes and has_horizon else None)
    if name is None or name not in classes:
        raise ConfigError(
            f"--alarm names the class to warn of, one of {', '.join(classes)}; "
            f"got {name or 'nothing'}"
        )
    return name


def check_settings(features: Specs, fps: float, config: Config) -> None:
    """Raise CheckpointError where the settings alone tell that features would be others."""
    wanted, given = [spec.view for spec in features], list(config.features.views)
    differences = [] if wanted == given else [f"views: {wanted} against {given}"]
    size_px = config.features.image_size
    differences += [
        f"{spec.view} image_size: {spec.image_size} against {size_px}"
        for spec in features
        if isinstance(spec, FeatureSpec) and spec.view not in FRAME_VIEWS
        if size_px not in ("auto", spec.image_size)
    ]
    refuse_others([*differences, *fps_difference(fps, config.sampling.fps)])


def fps_difference(trained: float, given: float) -> list[str]:
    """In words; nothing where they are the same."""
    return [] if trained == given else [f"sampling.fps: {trained} against {given}"]


def refuse_others(differences: Sequence[str]) -> None:
    """Raise CheckpointError that names each part in which features differ from the trained."""
    if differences:
        raise CheckpointError(
            "the model was trained on other features: "
            + "; ".join(dict.fromkeys(differences))
            + " (trained against given); use the same settings, or train again"
        )
