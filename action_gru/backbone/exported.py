"""The feature network in files: exported once, kept, and compared with PyTorch before use.

Layout: HOME/networks/KEY.onnx, or KEY.xml and KEY.bin, which take any number of pictures, and
KEY.json: their properties, hash and the cosines measured. KEY is a hash of the weights, the layer,
the picture's side and the form.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter

from action_gru.backbone.graphs import GRAPHS, Files
from action_gru.backbone.network import FeatureNetwork, NetworkSource, feature_dim
from action_gru.backbone.runtimes import Pixels, Runner, Runtime, networks_folder
from action_gru.core.errors import ActionGruError, BackboneError, CacheError
from action_gru.core.files import write_or_raise

# Raise this when the exported graph changes: networks of older versions are then exported again.
EXPORT_VERSION = 2
# The files of each form. The last one is opened; it is written last.
SUFFIXES = {"onnx": (".onnx",), "openvino": (".bin", ".xml")}
# Against PyTorch in fp32, for every picture. bf16 gives about 0.9995.
LOWEST_COSINE = 0.999
PARITY_PICTURES = 12
_EXPORTING = threading.Lock()


@dataclass(frozen=True)
class ExportedNetwork:
    """An exported network. path: the file that is opened. sha256: of all its files, one after
    another. content_sha256: of the weights, as `NetworkSource` has it, so that they need not be
    read. checked: the lowest cosine of each runtime that was compared.
    """

    path: Path
    sha256: str
    content_sha256: str
    image_size: int
    dim: int
    checked: dict[str, float]

    def files(self) -> Files:
        """Their bytes by suffix."""
        ends = next(ends for ends in SUFFIXES.values() if ends[-1] == self.path.suffix)
        return {end: self.path.with_suffix(end).read_bytes() for end in ends}


def export_network(source: NetworkSource, image_size: int | None, form: str) -> ExportedNetwork:
    """The kept files, or new ones. image_size: side of the pictures, None for the usual one.
    form: one of GRAPHS.

    Raises CacheError when they cannot be written.
    """
    with _EXPORTING:  # threads that ask for one network make it once
        return _export_network(source, image_size, form)


def _export_network(source: NetworkSource, image_size: int | None, form: str) -> ExportedNetwork:
    stem = networks_folder() / network_key(source, image_size, form)
    ends = SUFFIXES[form]
    if kept := _read(stem.with_suffix(ends[-1])):
        return kept
    side = image_size or source.network.image_size
    dim = feature_dim(source, side)
    files = network_graph(source.network, side, form)
    for end in ends:
        _write(stem.with_suffix(end), files[end])
    sha256 = hashlib.sha256(b"".join(files[end] for end in ends)).hexdigest()
    place = stem.with_suffix(ends[-1])
    made = ExportedNetwork(place, sha256, source.content_sha256, side, dim, {})
    _write_note(made)
    return made


def network_key(source: NetworkSource, image_size: int | None, form: str) -> str:
    """What the graph is a function of, as a hash in hex."""
    parts = [*source.identity, image_size, EXPORT_VERSION, form]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def network_graph(network: FeatureNetwork, image_size: int, form: str) -> Files:
    """The network's files: inputs pixels and weight, output features, any batch size."""
    pixels = torch.zeros(2, image_size, image_size, 3, dtype=torch.uint8)
    batch = torch.export.Dim("pictures", min=1, max=4096)
    inputs = (pixels, pixels[..., 0].contiguous())
    names = (["pixels", "weight"], ["features"])
    return GRAPHS[form](network, inputs, names, ({0: batch}, {0: batch}))


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
        content = b"".join(kept.files().values())
        return kept if hashlib.sha256(content).hexdigest() == kept.sha256 else None
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _write_note(network: ExportedNetwork) -> None:
    document = {key: value for key, value in asdict(network).items() if key != "path"}
    _write(network.path.with_suffix(".json"), json.dumps(document, indent=1).encode())


def _write(path: Path, data: bytes) -> None:
    mend = "free space, or set ACTION_GRU_HOME to a folder you may write"
    write_or_raise(path, data, CacheError, "the exported network cannot be written", mend)
