"""A run's two networks for phones and small boards: ncnn, Core ML and TFLite (LiteRT).

These converters know one picture and one stream at a time, and inputs that are floats.
`action_gru.json` beside the files holds what the metadata of ONNX hold, and which name each input
and output has.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from action_gru.backbone.exported import LOWEST_COSINE, parity_pictures
from action_gru.backbone.network import FeatureNetwork, weighted_mean
from action_gru.core.errors import CheckpointError
from action_gru.model import FlatStep
from action_gru.model.recurrence import without_kernels

Values = NDArray[np.float32]
Run = Callable[[dict[str, Values]], list[Values]]


@dataclass(frozen=True)
class EdgeNetwork:
    """A network and an example of each input, by name. axes: where inputs, then outputs, have the
    one picture or stream; ncnn leaves it out.
    """

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    axes: tuple[tuple[int, ...], tuple[int, ...]]


class EdgeFeatures(nn.Module):
    """pixels (1, 3, S, S) RGB in 0 to 1, weight (1, S, S) in 0 to 255 -> (1, dim); float32."""

    def __init__(self, network: FeatureNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor, weight: Tensor) -> Tensor:
        return weighted_mean(self.network.maps(pixels), weight)


def edge_features(network: FeatureNetwork, image_size: int) -> EdgeNetwork:
    side = (image_size, image_size)
    inputs = {"pixels": torch.rand(1, 3, *side), "weight": torch.full((1, *side), 255.0)}
    return EdgeNetwork("features", EdgeFeatures(network), inputs, ("features",), ((0, 0), (0,)))


def edge_step(model: FlatStep, format_: str) -> EdgeNetwork:
    names = [tensor.name for tensor in model.state]
    feature = torch.zeros(1, sum(model.model.view_dims))
    inputs = {"feature": feature} | dict(zip(names, model.model.initial_state(1), strict=True))
    axes = (0, *(tensor.batch_axis for tensor in model.state))
    outputs = ("logits", *(f"next_{name}" for name in names))
    plain = model if EDGE_FORMATS[format_].has_cells else without_kernels(model)
    return EdgeNetwork("step", plain.eval(), inputs, outputs, (axes, axes))


def check_features(run: Run, network: FeatureNetwork, image_size: int, format_: str) -> None:
    """Raise CheckpointError where converted features stray from those of torch."""
    pixels, weight = parity_pictures(image_size)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(pixels), torch.from_numpy(weight)).numpy()
    floats = pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255
    for picture, seen, right in zip(floats, weight.astype(np.float32), wanted, strict=True):
        (made,) = run({"pixels": picture[None], "weight": seen[None]})
        cosine = float((made[0] * right).sum() / np.linalg.norm(made) / np.linalg.norm(right))
        if not cosine >= LOWEST_COSINE:
            raise CheckpointError(
                f"the feature network as {format_} does not agree with torch: the lowest cosine is "
                f"{cosine:.5f}, at least {LOWEST_COSINE} is asked for; nothing was written"
            )


def _write_ncnn(network: EdgeNetwork, stem: Path) -> None:
    import pnnx

    with tempfile.TemporaryDirectory(prefix="ncnn-", dir=stem.parent) as place:
        traced = Path(place, "net.pt")
        inputs = tuple(network.inputs.values())
        # Its half precision is chosen on the device; these files are as exact as the model.
        pnnx.export(network.module, str(traced), inputs, fp16=False)
        for suffix in (".ncnn.param", ".ncnn.bin"):
            traced.with_suffix(suffix).replace(f"{stem}{suffix}")


def _open_ncnn(network: EdgeNetwork, stem: Path) -> Run:
    import ncnn

    net = ncnn.Net()
    for name in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(net.opt, f"use_{name}", False)
    net.opt.num_threads = torch.get_num_threads()
    if net.load_param(f"{stem}.ncnn.param") or net.load_model(f"{stem}.ncnn.bin"):
        layers = [line.split()[0] for line in Path(f"{stem}.ncnn.param").read_text().splitlines()]
        unknown = sorted({layer for layer in layers if "." in layer or "::" in layer})
        raise ValueError(f"ncnn has no layer for {', '.join(unknown) or 'something in it'}")

    def run(inputs: dict[str, Values]) -> list[Values]:
        extractor = net.create_extractor()
        for index, (name, axis) in enumerate(zip(network.inputs, network.axes[0], strict=True)):
            bare = np.ascontiguousarray(inputs[name].squeeze(axis), np.float32)
            extractor.input(f"in{index}", ncnn.Mat(bare).clone())
        made = [np.array(extractor.extract(f"out{n}")[1]) for n in range(len(network.outputs))]
        return [np.expand_dims(v, axis) for v, axis in zip(made, network.axes[1], strict=True)]

    return run


def _write_coreml(network: EdgeNetwork, stem: Path) -> None:
    import coremltools

    # Traced, a model asks for its own shapes, and coremltools 9 fails on these with NumPy 2.4.
    program = torch.export.export(network.module, tuple(network.inputs.values()))
    made = coremltools.convert(
        program.run_decompositions({}),
        convert_to="mlprogram",
        compute_precision=coremltools.precision.FLOAT32,
        minimum_deployment_target=coremltools.target.iOS16,
        skip_model_load=True,
        inputs=[
            coremltools.TensorType(name=name, shape=tuple(tensor.shape))
            for name, tensor in network.inputs.items()
        ],
        outputs=[coremltools.TensorType(name=name) for name in network.outputs],
    )
    made.save(f"{stem}.mlpackage")


def _check_coreml(network: EdgeNetwork, stem: Path) -> None:
    """The names and shapes of a package; raises CheckpointError for others than were asked for."""
    import coremltools

    spec = coremltools.models.MLModel(f"{stem}.mlpackage", skip_model_load=True).get_spec()
    found = {one.name: tuple(one.type.multiArrayType.shape) for one in spec.description.input}
    wanted = {name: tuple(tensor.shape) for name, tensor in network.inputs.items()}
    outputs = {one.name for one in spec.description.output}
    if found != wanted or outputs != set(network.outputs):
        raise CheckpointError(
            f"{network.name}: Core ML has the inputs {found}, and not {wanted}; nothing was "
            "written. Try another release of coremltools"
        )


def _write_tflite(network: EdgeNetwork, stem: Path) -> None:
    import litert_torch

    program = torch.export.export(network.module, tuple(network.inputs.values()))
    _drop_whole_splits(program)
    litert_torch.convert(program.module(), tuple(network.inputs.values())).export(f"{stem}.tflite")


def _drop_whole_splits(program: Any) -> None:
    """Take out splits into one part, for which litert-torch has no lowering."""
    for node in list(program.graph.nodes):
        if node.target == torch.ops.aten.split_with_sizes.default and len(node.args[1]) == 1:
            for part in list(node.users):
                part.replace_all_uses_with(node.args[0])
                program.graph.erase_node(part)
            program.graph.erase_node(node)
    program.graph_module.recompile()


def _open_tflite(network: EdgeNetwork, stem: Path) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    signature = Interpreter(model_path=f"{stem}.tflite").get_signature_runner()

    def run(inputs: dict[str, Values]) -> list[Values]:
        given = {f"args_{n}": inputs[name] for n, name in enumerate(network.inputs)}
        made = signature(**given)
        return [made[f"output_{n}"] for n in range(len(network.outputs))]

    return run


@dataclass(frozen=True)
class EdgeFormat:
    """write: the files of a network; open: to compare it with torch, None where nothing here can
    run it; inspect: what is looked at instead. names: of inputs and outputs; None: our own.
    has_cells: it knows torch's recurrent cells; else they are written as matrix products.
    """

    write: Callable[[EdgeNetwork, Path], None]
    open: Callable[[EdgeNetwork, Path], Run] | None = None
    inspect: Callable[[EdgeNetwork, Path], None] | None = None
    names: tuple[str, str] | None = None
    has_cells: bool = False


EDGE_FORMATS = {
    "ncnn": EdgeFormat(_write_ncnn, _open_ncnn, names=("in{}", "out{}"), has_cells=True),
    "coreml": EdgeFormat(_write_coreml, inspect=_check_coreml),
    "tflite": EdgeFormat(_write_tflite, _open_tflite, names=("args_{}", "output_{}")),
}


def write_edge(format_: str, network: EdgeNetwork, place: Path) -> Run | None:
    """Write the files NAME.* of a network; what runs them, None where this machine cannot.

    Raises CheckpointError where the converter does not take the network.
    """
    kind, stem = EDGE_FORMATS[format_], place / network.name
    try:
        with _quiet(), torch.no_grad():
            kind.write(network, stem)
            if kind.inspect is not None:
                kind.inspect(network, stem)
            return None if kind.open is None else kind.open(network, stem)
    except CheckpointError:
        raise
    except Exception as error:  # of the converter, whatever it is
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise CheckpointError(
            f"the converter to {format_} does not take the network '{network.name}' of this run "
            f"({reason}); nothing was written. Export it as onnx, which takes every model"
        ) from error


def write_description(
    format_: str, networks: Mapping[str, EdgeNetwork], place: Path, described: str
) -> None:
    """action_gru.json: the description, and the name of each input and output in the files."""
    names = EDGE_FORMATS[format_].names or ("", "")

    def named(values: Any, pattern: str) -> dict[str, str]:
        return {name: pattern.format(n) if pattern else name for n, name in enumerate(values)}

    ports = {
        name: {"inputs": named(net.inputs, names[0]), "outputs": named(net.outputs, names[1])}
        for name, net in networks.items()
    }
    document = json.loads(described) | {"networks": ports}
    (place / "action_gru.json").write_text(json.dumps(document, indent=1) + "\n", "utf-8")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what converters say of their own workings from the user's terminal; pnnx is a program
    of its own and writes to the file descriptor.
    """
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    kept = [os.dup(1), os.dup(2)]
    try:
        with open(os.devnull, "w") as nowhere, warnings.catch_warnings():  # noqa: PTH123
            warnings.simplefilter("ignore")
            for number in (1, 2):
                os.dup2(nowhere.fileno(), number)
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                yield
    finally:
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)
        logging.disable(before)
