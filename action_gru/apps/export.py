"""A run as files for other runtimes: the feature network, and one step of the classifier.

`features` reads pictures, `step` a frame's features and the state; `action_gru` in the metadata of
both describes in JSON what connects them: views, sampling, classes, state. A run of measured
channels has `step` alone.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from action_gru.apps.export_edge import (
    EDGE_FORMATS,
    check_features,
    edge_features,
    edge_step,
    write_description,
    write_edge,
)
from action_gru.backbone import Backbone, FeatureSpec
from action_gru.backbone.graphs import GRAPHS, Files
from action_gru.backbone.model_files import EXPORTED
from action_gru.backbone.runtimes import import_quietly
from action_gru.backbone.weight_files import runtime_of
from action_gru.config import Config, build_config
from action_gru.core.errors import CheckpointError, ConfigError
from action_gru.core.progress import Reporter
from action_gru.features.source import build_backbone
from action_gru.model import FlatStep
from action_gru.series.recognizer import warns_from
from action_gru.streaming.build import window_of
from action_gru.training import Checkpoint, load_checkpoint
from action_gru.training.document import check_exportable
from action_gru.views.pictures import MOTION_GAIN, MOTION_HISTORY_S, MOTION_LAGS_S, MOTION_REST
from action_gru.views.sampling import TOLERANCE_S

FORMAT = "action_gru.export.1"
PARITY_STEPS, PARITY_STREAMS = 12, 3
LARGEST_DIFFERENCE = 1e-3  # of a logit, in fp32

Values = NDArray[np.float32]
Step = Callable[[dict[str, Values]], list[Values]]


def export_run(
    run: Path,
    format_: str,
    out: Path | None,
    overrides: Sequence[str],
    reporter: Reporter,
    most_loss: float | None = None,
) -> tuple[Path, list[str]]:
    """Write the files into `out`, by default RUN/export; the folder and the names written.

    most_loss: write the feature network in int8, if it costs no more points of a hundred than this
    on the run's held-out clips; for openvino alone.

    Raises CheckpointError where a file would not answer as the model does, MissingExtraError where
    the format's runtime is not installed, ConfigError for a bidirectional model.
    """
    checkpoint = load_checkpoint(run)
    check_exportable(checkpoint.features, run)
    model = FlatStep(checkpoint.build())
    folder = out or (run if run.is_dir() else run.parent) / "export"
    if folder.is_file():
        raise ConfigError(f"--out {folder}: is a file; name a folder")
    backbone = None
    if checkpoint.channels:
        between = _describe_rows(checkpoint, build_config(checkpoint.config, overrides))
    else:
        reporter.info("exporting the feature network and comparing it with torch")
        runtime = "torch" if format_ in EDGE_FORMATS else format_
        settings = [f"features.runtime={runtime}", "features.precision=fp32", "features.device=cpu"]
        config = build_config(checkpoint.config, [*overrides, *settings])
        backbone = _checked_backbone(checkpoint, config)
        between = _describe_pictures(checkpoint, config)
    described = json.dumps({
        "format": FORMAT,
        "classes": checkpoint.classes,
        # Of one label a clip the logits are for a softmax; of many each is for a sigmoid.
        "labels": "one" if checkpoint.thresholds is None else "many",
        "thresholds": checkpoint.thresholds,
        "feature_size": sum(model.model.view_dims),
        "state": [tensor.to_json() for tensor in model.state],
        # The logits are about the step so many before.
        "lookahead": model.model.lookahead,
        **between,
    })  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder) as name:
        place = Path(name)
        if most_loss is not None:
            assert backbone is not None
            _write_int8(run, config, overrides, backbone, place, described, most_loss, reporter)
        if format_ in EDGE_FORMATS:
            _write_edge(format_, backbone, model, place, described, reporter)
        else:
            _write_graphs(format_, backbone, model, place, described, reporter)
        names = sorted(path.name for path in place.iterdir())
        for name in names:
            if (folder / name).is_dir():  # a package of Core ML, of an export before
                shutil.rmtree(folder / name)
            (place / name).replace(folder / name)
    return folder, names


def _checked_backbone(checkpoint: Checkpoint, config: Config) -> Backbone:
    """The run's backbone; that of another runtime was compared with torch when it was opened."""
    if runtime_of(weights := config.features.weights):
        raise CheckpointError(
            f"{weights} is a file of its own runtime, which export does not write again; give it "
            "on as it is, or train with weights for torch"
        )
    backbone = build_backbone(config)
    specs = tuple(backbone.spec(view) for view in config.features.views)
    checkpoint.check_fits(specs, config.sampling.fps)
    return backbone


def _write_graphs(
    format_: str,
    backbone: Backbone | None,
    model: FlatStep,
    place: Path,
    described: str,
    reporter: Reporter,
) -> None:
    """Both networks by a converter of torch's graphs."""
    write, open_step = FORMATS[format_]
    if backbone is not None and not (place / "features.xml").exists():  # int8 is there already
        assert backbone.exported is not None
        write(backbone.exported.files(), place / "features", described)
    reporter.info("exporting the classifier and comparing it with torch")
    write(step_graph(model, format_), place / "step", described)
    check_step(open_step(place / "step"), model)


def _write_int8(
    run: Path,
    config: Config,
    overrides: Sequence[str],
    backbone: Backbone,
    place: Path,
    described: str,
    most_loss: float,
    reporter: Reporter,
) -> None:
    """The feature network in int8, with what it costs in its description."""
    from action_gru.apps import export_int8

    opened, split = export_int8.held_out(run)
    assert backbone.exported is not None
    reporter.info("calibrating int8 on training clips")
    described = json.dumps(json.loads(described) | {"precision": "int8"})
    model, stem = _read_openvino(backbone.exported.files()), place / "features"
    model = export_int8.quantise(model, opened, config, backbone)
    _save_openvino(model, stem, described)
    reporter.info(f"measuring what int8 costs on the clips of the split '{split}'")
    file = stem.with_suffix(".xml")
    cost = export_int8.measure_cost(file, opened, split, overrides, backbone, reporter)
    export_int8.check_cost(cost, most_loss)
    reporter.info(cost.sentence, int8=cost.to_json())
    _save_openvino(model, stem, json.dumps(json.loads(described) | {"int8": cost.to_json()}))


def _write_edge(
    format_: str,
    backbone: Backbone | None,
    model: FlatStep,
    place: Path,
    described: str,
    reporter: Reporter,
) -> None:
    """Both networks by a converter of their own."""
    networks = {}
    if backbone is not None:
        network, side = backbone.network, backbone.image_size
        networks["features"] = edge_features(network, side)
        if run := write_edge(format_, networks["features"], place):
            check_features(run, network, side, format_)
    reporter.info("exporting the classifier and comparing it with torch")
    networks["step"] = edge_step(model, format_)
    if step := write_edge(format_, networks["step"], place):
        check_step(step, model, streams=1)
    else:
        reporter.warn(
            f"{format_}: nothing on this machine can run these files; their inputs, outputs and "
            "shapes were looked at, and their answers were not compared with torch's. Compare "
            "them where they run"
        )
    write_description(format_, networks, place, described)


def step_graph(model: FlatStep, form: str) -> Files:
    """The files of one step: feature and state in, logits and the next state out."""
    streams = torch.export.Dim("streams", min=1, max=4096)
    inputs = (torch.zeros(2, sum(model.model.view_dims)), *model.model.initial_state(2))
    state = [tensor.name for tensor in model.state]
    names = (["feature", *state], ["logits", *(f"next_{name}" for name in state)])
    carried = tuple({tensor.batch_axis: streams} for tensor in model.state)
    # A model without a cell that looks at the last frame alone carries nothing.
    shapes = ({0: streams}, carried) if carried else ({0: streams},)
    return GRAPHS[form](model, inputs, names, shapes)


def check_step(step: Step, model: FlatStep, streams: int = PARITY_STREAMS) -> None:
    """Raise CheckpointError where an exported step does not answer as the model does."""
    shape = (PARITY_STEPS, streams, sum(model.model.view_dims))
    frames = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    parts = torch.split(frames, model.model.view_dims, -1)
    for view in [
        x for x, by_frame in zip(parts, model.model.by_frame, strict=True) if not by_frame
    ]:
        view[::3, 0, ::2] = float("nan")  # missing values
    state = model.model.initial_state(streams)
    theirs = [tensor.numpy() for tensor in state]
    names = [tensor.name for tensor in model.state]
    for frame in frames:
        with torch.inference_mode():
            logits, *state = model(frame, *state)
        made, *theirs = step({"feature": frame.numpy()} | dict(zip(names, theirs, strict=True)))
        difference = float(np.abs(made - logits.numpy()).max())
        if not difference <= LARGEST_DIFFERENCE:
            raise CheckpointError(
                f"the exported classifier does not answer as torch does: a logit differs by "
                f"{difference:.2g}, at most {LARGEST_DIFFERENCE} is allowed; nothing was written. "
                "Try other versions of torch and the runtime"
            )


def _describe_pictures(checkpoint: Checkpoint, config: Config) -> dict[str, Any]:
    """The steps from a video to the two networks."""
    spec = checkpoint.features[0]
    assert isinstance(spec, FeatureSpec)
    window_s = window_of(checkpoint, config)
    return {
        "views": [spec.view for spec in checkpoint.features],
        "sampling": {"fps": checkpoint.sampling["fps"], "tolerance_s": TOLERANCE_S},
        "pictures": {
            "size_px": spec.image_size,
            "fit": spec.fit,
            "channels": "RGB",
            "motion_lags_s": MOTION_LAGS_S,
            "motion_gain": MOTION_GAIN,
            "motion_rest": MOTION_REST,
            "motion_history_s": MOTION_HISTORY_S,
            "preprocessing": spec.preprocessing,
        },
        "features_rounded_to": "float16",
        "stream": {
            "window_s": window_s,
            "states": config.stream.states if window_s else 1,
            "max_gap_s": config.stream.max_gap_s,
        },
        "max_frames": checkpoint.sampling["max_frames"],
        "trained_on": [asdict(spec) for spec in checkpoint.features],
        "licence": "AGPL-3.0-or-later",
    }


def _describe_rows(checkpoint: Checkpoint, config: Config) -> dict[str, Any]:
    """The steps from the rows of a table to the network of one step."""
    series = config.series
    made = ("points", "origin", "unit", "averages", "elapsed", "velocity")
    states = config.stream.states if series.window else 1
    return {
        "channels": checkpoint.channels,
        "columns": {"id": series.id, "time": series.time},
        "rows": {name: getattr(series, name) for name in made},
        "stream": {"window": series.window, "states": states},
        "warns_from": warns_from(checkpoint.classes, config),
    }


def _write_onnx(files: Files, stem: Path, described: str) -> None:
    import onnx

    model = onnx.load_from_string(files[".onnx"])
    onnx.helper.set_model_props(model, {EXPORTED: described})
    stem.with_suffix(".onnx").write_bytes(model.SerializeToString())


def _open_onnx(stem: Path) -> Step:
    path, providers = str(stem.with_suffix(".onnx")), ["CPUExecutionProvider"]
    session = import_quietly("onnxruntime").InferenceSession(path, providers=providers)
    return lambda inputs: list(session.run(None, inputs))


def _write_openvino(files: Files, stem: Path, described: str) -> None:
    _save_openvino(_read_openvino(files), stem, described)


def _read_openvino(files: Files) -> Any:
    return import_quietly("openvino").Core().read_model(files[".xml"], files[".bin"])


def _save_openvino(model: Any, stem: Path, described: str) -> None:
    model.set_rt_info(described, EXPORTED)
    import_quietly("openvino").save_model(
        model, str(stem.with_suffix(".xml")), compress_to_fp16=False
    )


def _open_openvino(stem: Path) -> Step:
    core, settings = import_quietly("openvino").Core(), {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(str(stem.with_suffix(".xml")), "CPU", settings)
    return lambda inputs: [np.array(value) for value in compiled(inputs).values()]


FORMATS: dict[str, tuple[Callable[[Files, Path, str], None], Callable[[Path], Step]]] = {
    "onnx": (_write_onnx, _open_onnx),
    "openvino": (_write_openvino, _open_openvino),
}
