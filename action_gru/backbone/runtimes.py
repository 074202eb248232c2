"""What can run the feature network: PyTorch itself, ONNX Runtime, OpenVINO, TensorRT.

A runner is called with pixels (N, S, S, 3) uint8 RGB and weight (N, S, S) uint8, and gives
(N, dim) float32. Knows nothing of where the network comes from.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from action_gru.backbone.finding import EXPORTERS, RUNTIME_PACKAGES
from action_gru.backbone.network import FeatureNetwork
from action_gru.core.errors import BackboneError, MissingExtraError

Pixels = NDArray[np.uint8]
Vectors = NDArray[np.float32]
Runner = Callable[[Pixels, Pixels], Vectors]

# Compiled for one batch size each, 20% faster than for any; a stream and a batch need two.
COMPILED_SIZES_KEPT = 8


@dataclass(frozen=True)
class Runtime:
    """One way to run an exported network. open: (file, precision, device, threads) -> Runner."""

    name: str
    devices: tuple[str, ...]
    precisions: tuple[str, ...]
    open: Callable[[Path, str, torch.device, int], Runner]

    @property
    def package(self) -> str:
        return RUNTIME_PACKAGES[self.name]

    def missing(self) -> str | None:
        """The first of its packages that is not installed, or None."""
        names = (self.package, *EXPORTERS)
        return next((name for name in names if importlib.util.find_spec(name) is None), None)

    def check(self, device: torch.device) -> None:
        """Raise MissingExtraError where it is not installed, BackboneError on another device."""
        if absent := self.missing():
            raise MissingExtraError(absent, self.name, f"features.runtime={self.name}")
        if device.type not in self.devices:
            raise BackboneError(
                f"features.runtime: {self.name} runs on {' or '.join(self.devices)} here, and "
                f"features.device is {device}; set another device, or features.runtime=torch"
            )

    def nearest(self, device: torch.device) -> torch.device:
        """The device, or the CPU where the runtime cannot use it."""
        usable = device.type in self.devices or "cpu" not in self.devices
        return device if usable else torch.device("cpu")

    def pick_precision(self, name: str, native: str) -> str:
        """auto -> what the device is quickest at (native), as far as the runtime has it."""
        if name == "auto":
            return native if native in self.precisions else self.precisions[0]
        if name not in self.precisions:
            raise BackboneError(
                f"features.precision: {self.name} computes in {' or '.join(self.precisions)}, "
                f"not in {name}; set features.precision=auto, or features.runtime=torch"
            )
        return name

    @property
    def version(self) -> str:
        return str(import_quietly(self.package).__version__)


def import_quietly(package: str) -> Any:
    """A runtime's package, without its analytics.

    openvino reports its import to a server, through a package that it can do without;
    onnxruntime reports on Windows.
    """
    reporter = "openvino_telemetry"
    absent = package == "openvino" and reporter not in sys.modules
    if absent:
        sys.modules[reporter] = None  # type: ignore[assignment] # its import fails then
    try:
        module: Any = importlib.import_module(package)
    finally:
        if absent:
            del sys.modules[reporter]
    if package == "onnxruntime":
        module.disable_telemetry_events()
    return module


class TorchRunner:
    """A copy of the network. threads: of the whole process, torch knows no other; None: as set."""

    def __init__(
        self, network: FeatureNetwork, precision: str, device: torch.device, threads: int | None
    ) -> None:
        if threads is not None:
            torch.set_num_threads(threads)
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.device = device
        self.network = copy.deepcopy(network).to(device, dtype)
        self.network.to(memory_format=torch.channels_last)

    def __call__(self, pixels: Pixels, weight: Pixels) -> Vectors:
        with torch.inference_mode():
            inputs = [torch.from_numpy(array).to(self.device) for array in (pixels, weight)]
            made: Vectors = self.network(*inputs).cpu().numpy()
        return made


class OnnxRunner:
    """ONNX Runtime, on the CPU or by one of its providers for NVIDIA GPUs."""

    def __init__(self, path: Path, providers: list[Any], threads: int) -> None:
        onnxruntime = import_quietly("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that spin while they wait take the time of those that decode.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        wanted, used = providers[0][0], self._session.get_providers()
        if used[0] != wanted:  # it goes on with the processor when a library is not found
            raise BackboneError(
                f"features.runtime: ONNX Runtime could not start its {wanted} and would use "
                f"{used[0]}; its own message above says why. Set features.runtime=torch"
            )

    def __call__(self, pixels: Pixels, weight: Pixels) -> Vectors:
        made: Vectors = self._session.run(None, {"pixels": pixels, "weight": weight})[0]
        return made


class OpenVinoRunner:
    """OpenVINO on the CPU, compiled for each batch size when it first comes."""

    def __init__(self, path: Path, precision: str, threads: int) -> None:
        self._core = import_quietly("openvino").Core()
        self._model = self._core.read_model(str(path))
        self._properties = {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "ENABLE_CPU_PINNING": False,
        }
        self._requests: OrderedDict[int, Any] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, pixels: Pixels, weight: Pixels) -> Vectors:
        with self._lock:
            request = self._request(pixels.shape)
            result = request.infer({"pixels": pixels, "weight": weight}, share_inputs=True)
            return np.array(result[0], dtype=np.float32)

    def _request(self, shape: tuple[int, ...]) -> Any:
        if shape[0] not in self._requests:
            model = self._model.clone()
            model.reshape({"pixels": list(shape), "weight": list(shape[:3])})
            compiled = self._core.compile_model(model, "CPU", self._properties)
            self._requests[shape[0]] = compiled.create_infer_request()
        self._requests.move_to_end(shape[0])
        while len(self._requests) > COMPILED_SIZES_KEPT:
            self._requests.popitem(last=False)
        return self._requests[shape[0]]


def _open_onnx(path: Path, precision: str, device: torch.device, threads: int) -> Runner:
    provider = "CPUExecutionProvider"
    options: dict[str, Any] = {}
    if device.type == "cuda":
        provider, options = "CUDAExecutionProvider", {"device_id": device.index or 0}
        _check_provider(provider, "onnx")
    return OnnxRunner(path, [(provider, options)], threads)


def _open_openvino(path: Path, precision: str, device: torch.device, threads: int) -> Runner:
    return OpenVinoRunner(path, precision, threads)


def _open_tensorrt(path: Path, precision: str, device: torch.device, threads: int) -> Runner:
    _check_provider("TensorrtExecutionProvider", "tensorrt")
    importlib.import_module("tensorrt")  # loads the libraries that the provider links to
    engines = path.with_suffix(".tensorrt")
    options = {
        "device_id": device.index or 0,
        "trt_bf16_enable": precision == "bf16",
        "trt_engine_cache_enable": True,  # building an engine takes a minute
        "trt_engine_cache_path": str(engines),
    }
    engines.mkdir(parents=True, exist_ok=True)
    return OnnxRunner(path, [("TensorrtExecutionProvider", options)], threads)


def _check_provider(provider: str, runtime: str) -> None:
    there = import_quietly("onnxruntime").get_available_providers()
    if provider not in there:
        raise BackboneError(
            f"features.runtime: {runtime} on a GPU needs ONNX Runtime's {provider}, and this one "
            f"has {', '.join(there)}; replace 'onnxruntime' by 'onnxruntime-gpu', or set "
            "features.device=cpu or features.runtime=torch"
        )


RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        Runtime("onnx", ("cpu", "cuda"), ("fp32",), _open_onnx),
        Runtime("openvino", ("cpu",), ("fp32", "bf16"), _open_openvino),
        Runtime("tensorrt", ("cuda",), ("fp32", "bf16"), _open_tensorrt),
    )
}
