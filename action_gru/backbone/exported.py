"""The feature network as an ONNX file: exported once, kept, and compared with PyTorch before use.

Layout: HOME/networks/KEY.onnx, which takes any number of pictures, and KEY.json: its properties,
the file's hash and the cosines measured. KEY is a hash of the weights, the layer and the picture's
side.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor, nn

from action_gru.backbone.network import FeatureNetwork, NetworkSource, feature_dim
from action_gru.backbone.runtimes import Pixels, Runner, Runtime, networks_folder
from action_gru.core.errors import ActionGruError, BackboneError, CacheError
from action_gru.core.files import file_sha256, write_or_raise

# Raise this when the exported graph changes: networks of older versions are then exported again.
EXPORT_VERSION = 1
OPSET = 18
# Against PyTorch in fp32, for every picture. bf16 gives about 0.9995.
LOWEST_COSINE = 0.999
PARITY_PICTURES = 12


@dataclass(frozen=True)
class ExportedNetwork:
    """An exported network. content_sha256: of the weights, as `NetworkSource` has it, so that they
    need not be read. checked: the lowest cosine of each runtime that was compared.
    """

    path: Path
    sha256: str
    content_sha256: str
    image_size: int
    dim: int
    checked: dict[str, float]


def export_network(source: NetworkSource, image_size: int | None) -> ExportedNetwork:
    """The kept file, or a new one. image_size: side of the pictures, None for the usual one.

    Raises CacheError when it cannot be written.
    """
    path = networks_folder() / f"{network_key(source, image_size)}.onnx"
    if kept := _read(path):
        return kept
    side = image_size or source.network.image_size
    dim = feature_dim(source, side)
    data = onnx_bytes(source.network, side)
    hashes = (hashlib.sha256(data).hexdigest(), source.content_sha256)
    made = ExportedNetwork(path, *hashes, side, dim, {})
    _write(path, data)
    _write_note(made)
    return made


def network_key(source: NetworkSource, image_size: int | None) -> str:
    """What the graph is a function of, as a hash in hex."""
    parts = [*source.identity, image_size, EXPORT_VERSION]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def onnx_bytes(network: FeatureNetwork, image_size: int) -> bytes:
    """The network as an ONNX model: inputs pixels and weight, output features, any batch size."""
    pixels = torch.zeros(2, image_size, image_size, 3, dtype=torch.uint8)
    batch = torch.export.Dim("pictures", min=1, max=4096)
    inputs = (pixels, pixels[..., 0].contiguous())
    names = (["pixels", "weight"], ["features"])
    return to_onnx(network, inputs, names, ({0: batch}, {0: batch}))


def to_onnx(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    names: tuple[list[str], list[str]],
    dynamic_shapes: tuple[Any, ...],
) -> bytes:
    """A module as an ONNX model. names: of its inputs and outputs. dynamic_shapes: as torch.export.

    Raises BackboneError where the exporter gives up.
    """
    try:
        with _quiet_exporter(), torch.no_grad():
            named = {"input_names": names[0], "output_names": names[1], "opset_version": OPSET}
            options: dict[str, Any] = named | {"dynamic_shapes": dynamic_shapes, "verbose": False}
            program = torch.onnx.export(module, inputs, dynamo=True, **options)
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise BackboneError(
            f"torch {torch.__version__} cannot export this network to ONNX ({reason}); try other "
            "versions of torch and onnxscript, or stay with features.runtime=torch"
        ) from error
    assert program is not None
    return bytes(program.model_proto.SerializeToString())


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter's notes on its own workings from the user's terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def open_checked(
    network: ExportedNetwork,
    source: NetworkSource,
    runtime: Runtime,
    precision: str,
    device: torch.device,
    threads: int,
) -> Runner:
    """A runner that agrees with PyTorch in fp32; compared once for each version of the runtime.

    Raises BackboneError when it does not agree, or cannot be read.
    """
    try:
        runner = runtime.open(network.path, precision, device, threads)
    except ActionGruError:
        raise
    except Exception as error:  # the runtimes' own classes, which all differ
        raise BackboneError(
            f"{network.path}: {runtime.name} cannot read the exported network "
            f"({str(error).strip().splitlines()[0]}); remove the file, and it is made anew"
        ) from error
    named = f"{runtime.name} {runtime.version} {precision} {device.type}"
    if named not in network.checked:
        cosine = lowest_cosine(runner, source.network, network.image_size)
        check_cosine(cosine, named)
        _write_note(replace(network, checked=network.checked | {named: cosine}))
    return runner


def check_cosine(cosine: float, runtime: str) -> None:
    """Raise BackboneError where a runtime strays too far from PyTorch."""
    if not cosine >= LOWEST_COSINE:  # also where it is no number
        raise BackboneError(
            f"features.runtime: {runtime} does not agree with torch fp32 on this network: the "
            f"lowest cosine is {cosine:.5f}, at least {LOWEST_COSINE} is asked for; set "
            "features.precision=fp32, or features.runtime=torch"
        )


def lowest_cosine(runner: Runner, network: FeatureNetwork, image_size: int) -> float:
    """How far a runner's vectors are from PyTorch's in fp32, the worst of some drawn pictures."""
    pixels, weight = parity_pictures(image_size)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(pixels), torch.from_numpy(weight)).numpy()
    made = np.concatenate([runner(pixels[:1], weight[:1]), runner(pixels[1:], weight[1:])])
    norms = np.linalg.norm(made, axis=1) * np.linalg.norm(wanted, axis=1)
    return float(((made * wanted).sum(1) / norms).min())


def parity_pictures(image_size: int) -> tuple[Pixels, Pixels]:
    """Blots of several sizes with edges between them: (N, S, S, 3), and what to look at (N, S, S).

    Half of the weights are even, as for all views but focus.
    """
    rng = np.random.default_rng(0)

    def blots(channels: int, cells: int) -> NDArray[np.uint8]:
        coarse = rng.integers(0, 256, (cells, cells, channels), dtype=np.uint8)
        how = cv2.INTER_CUBIC if cells < 20 else cv2.INTER_NEAREST
        return np.asarray(cv2.resize(coarse, (image_size, image_size), interpolation=how))

    pixels = np.stack([blots(3, 3 + 3 * index) for index in range(PARITY_PICTURES)])
    weight = np.full(pixels.shape[:3], 255, np.uint8)
    weight[::2] = np.stack([blots(3, 6)[..., 0] for _ in weight[::2]])
    return pixels, weight


def _read(path: Path) -> ExportedNetwork | None:
    """The kept network, if it is whole; a damaged file counts as absent and is written again."""
    try:
        document = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        text = json.dumps({**document, "path": str(path)})
        kept = TypeAdapter(ExportedNetwork).validate_json(text, strict=True)
        return kept if file_sha256(path) == kept.sha256 else None
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _write_note(network: ExportedNetwork) -> None:
    document = {key: value for key, value in asdict(network).items() if key != "path"}
    _write(network.path.with_suffix(".json"), json.dumps(document, indent=1).encode())


def _write(path: Path, data: bytes) -> None:
    mend = "free space, or set ACTION_GRU_HOME to a folder you may write"
    write_or_raise(path, data, CacheError, "the exported network cannot be written", mend)
