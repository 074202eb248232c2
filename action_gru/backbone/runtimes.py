"""What can run the feature network: PyTorch itself, ONNX Runtime, OpenVINO, TensorRT.

A runner is called with pixels (N, S, S, 3) uint8 RGB and weight (N, S, S) uint8, and gives
(N, dim) float32. Does not know how the network was made.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from action_gru.backbone.network import FeatureNetwork
from action_gru.backbone.weight_files import RUNTIME_PACKAGES, home_folder, needed_by
from action_gru.core.errors import BackboneError, MissingExtraError

Pixels = NDArray[np.uint8]
Vectors = NDArray[np.float32]
Runner = Callable[[Pixels, Pixels], Vectors]

# Compiled for one batch size each, 20% faster than for any; a stream and a batch need two.
COMPILED_SIZES_KEPT = 8
SIZE_STEP = 4  # above this many pictures, they are filled up to a multiple of it
ROUNDS, ROUND_S = 5, 0.1
_IMPORTING = threading.RLock()


class Port(NamedTuple):
    """An input of a network. shape: None is any size; type: in the runtime's words."""

    name: str
    shape: tuple[int | None, ...]
    type: str


@dataclass(frozen=True)
class Runtime:
    """One way to run an exported network. form: of its files. open: (file, precision, device,
    threads) -> Runner.
    """

    name: str
    form: str
    devices: tuple[str, ...]
    precisions: tuple[str, ...]
    open: Callable[[Path, str, torch.device, int], Runner]

    def missing(self) -> str | None:
        """The first of its packages that is not installed, or None."""
        names = needed_by(self.name)
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
        return str(import_quietly(RUNTIME_PACKAGES[self.name]).__version__)


def import_quietly(package: str) -> Any:
    """A runtime's package, without its analytics.

    openvino and nncf report their use to a server, through a package that they can do without;
    onnxruntime reports on Windows. openvino has met numpy when this returns: threads that both show
    it its first array wait for each other for ever.
    """
    with _IMPORTING:
        return _import_quietly(package)


def _import_quietly(package: str) -> Any:
    reporter = "openvino_telemetry"
    absent = package in ("openvino", "nncf") and reporter not in sys.modules
    if absent:
        sys.modules[reporter] = None  # type: ignore[assignment] # its import fails then
    try:
        module: Any = importlib.import_module(package)
    finally:
        if absent:
            del sys.modules[reporter]
    if package == "openvino":
        module.Tensor(np.zeros(1, np.uint8))
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
    """ONNX Runtime by one of its providers; options: the provider's."""

    def __init__(self, path: Path, provider: str, options: dict[str, Any], threads: int) -> None:
        onnxruntime = import_quietly("onnxruntime")
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        # Threads that spin while they wait take the time of those that decode.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        settings.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(path), settings, providers=[(provider, options)]
        )
        used = self._session.get_providers()[0]
        if used != provider:  # it falls back to the CPU if a library is not found
            raise BackboneError(
                f"features.runtime: ONNX Runtime could not start its {provider} and would use "
                f"{used}; its own message above says why. Set features.runtime=torch"
            )

    def __call__(self, pixels: Pixels, weight: Pixels) -> Vectors:
        return self.infer({"pixels": pixels, "weight": weight})

    def infer(self, inputs: dict[str, NDArray[Any]]) -> NDArray[Any]:
        """The first output for inputs by name."""
        made: NDArray[Any] = self._session.run(None, inputs)[0]
        return made

    def ports(self) -> tuple[list[Port], int]:
        """The inputs, and how many outputs there are."""
        inputs = [
            Port(one.name, tuple(n if isinstance(n, int) else None for n in one.shape), one.type)
            for one in self._session.get_inputs()
        ]
        return inputs, len(self._session.get_outputs())


class OpenVinoRunner:
    """OpenVINO on the CPU, compiled for each batch size when it is first used.

    Threads with a part of torch's threads, as in extraction, run a request each, with the same
    features: one of all threads waits after each layer for the processor that decodes.
    """

    def __init__(self, path: Path, precision: str, device: torch.device, threads: int) -> None:
        self._core = import_quietly("openvino").Core()
        self._model = self._core.read_model(str(path))
        self._threads = threads
        self._properties = {
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,
        }
        self._requests = lru_cache(COMPILED_SIZES_KEPT)(self._compile)
        self._lock = threading.Lock()

    def __call__(self, pixels: Pixels, weight: Pixels) -> Vectors:
        # People come and go: each other number of them would wait for a compilation of its own.
        count, step = len(pixels), SIZE_STEP
        more = -count % step if count > step else 0
        filled = [
            np.concatenate([x, x[-1:].repeat(more, 0)]) if more else x for x in (pixels, weight)
        ]
        return self.infer(dict(zip(("pixels", "weight"), filled, strict=True)))[:count]

    def infer(self, inputs: dict[str, NDArray[Any]]) -> Vectors:
        """The first output for inputs by name."""
        shapes = tuple((name, values.shape) for name, values in inputs.items())
        with self._lock:
            requests = self._requests(shapes, max(1, self._threads // torch.get_num_threads()))
        request = requests.get()
        try:
            return np.array(request.infer(inputs, share_inputs=True)[0], dtype=np.float32)
        finally:
            requests.put(request)

    def ports(self) -> tuple[list[Port], int]:
        """The inputs, and how many outputs there are."""
        inputs = [
            Port(
                one.get_any_name(),
                tuple(n.get_length() if n.is_static else None for n in one.partial_shape),
                one.element_type.get_type_name(),
            )
            for one in self._model.inputs
        ]
        return inputs, len(self._model.outputs)

    def _compile(self, shapes: Sequence[tuple[str, tuple[int, ...]]], streams: int) -> Any:
        """A queue of the requests that may run at the same time."""
        model = self._model.clone()
        model.reshape({name: list(shape) for name, shape in shapes})
        hint = "LATENCY" if streams == 1 else "THROUGHPUT"
        properties = self._properties | {"PERFORMANCE_HINT": hint, "NUM_STREAMS": str(streams)}
        compiled = self._core.compile_model(model, "CPU", properties)
        requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(streams):
            requests.put(compiled.create_infer_request())
        return requests


def _open_onnx(path: Path, precision: str, device: torch.device, threads: int) -> Runner:
    if device.type == "cpu":
        return OnnxRunner(path, "CPUExecutionProvider", {}, threads)
    _check_provider("CUDAExecutionProvider", "onnx")
    return OnnxRunner(path, "CUDAExecutionProvider", {"device_id": device.index or 0}, threads)


def _open_tensorrt(path: Path, precision: str, device: torch.device, threads: int) -> Runner:
    _check_provider("TensorrtExecutionProvider", "tensorrt")
    importlib.import_module("tensorrt")  # loads the libraries that the provider links to
    engines = path.with_suffix(".tensorrt")
    engines.mkdir(parents=True, exist_ok=True)
    options = {
        "device_id": device.index or 0,
        "trt_bf16_enable": precision == "bf16",
        "trt_engine_cache_enable": True,  # building an engine takes a minute
        "trt_engine_cache_path": str(engines),
    }
    return OnnxRunner(path, "TensorrtExecutionProvider", options, threads)


def _check_provider(provider: str, runtime: str) -> None:
    there = import_quietly("onnxruntime").get_available_providers()
    if provider not in there:
        raise BackboneError(
            f"features.runtime: {runtime} on a GPU needs ONNX Runtime's {provider}, and this one "
            f"has {', '.join(there)}; replace 'onnxruntime' by 'onnxruntime-gpu', or set "
            "features.device=cpu or features.runtime=torch"
        )


RUNTIMES = {
    "onnx": Runtime("onnx", "onnx", ("cpu", "cuda"), ("fp32",), _open_onnx),
    "openvino": Runtime("openvino", "openvino", ("cpu",), ("fp32", "bf16"), OpenVinoRunner),
    "tensorrt": Runtime("tensorrt", "onnx", ("cuda",), ("fp32", "bf16"), _open_tensorrt),
}


def networks_folder() -> Path:
    """Where exported networks are kept."""
    return home_folder() / "networks"


def usual(device: torch.device, precision: str) -> str:
    """What `auto` stands for: the quickest on processors of this kind of those installed.

    A rule and no measurement: what was quickest in a busy moment would give every feature a key
    that others do not find.
    """
    if device.type == "cpu" and platform.machine().lower() in ("x86_64", "amd64"):
        for name in ("openvino", "onnx"):
            if RUNTIMES[name].missing() is None and precision in RUNTIMES[name].precisions:
                return name
    return "torch"


def measure(runners: Mapping[str, Runner], shape: tuple[int, ...]) -> dict[str, float]:
    """Milliseconds a picture of each, in turns; the best round counts, as others are disturbed.

    shape: (N, S, S, 3) of the batches.
    """
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    weight = np.full(shape[:3], 255, np.uint8)
    best = dict.fromkeys(runners, float("inf"))
    for _ in range(ROUNDS):
        for name, run in runners.items():
            run(pixels, weight)
            count, started_s = 0, time.perf_counter()
            while time.perf_counter() - started_s < ROUND_S:
                run(pixels, weight)
                count += 1
            cost = (time.perf_counter() - started_s) / count / shape[0] * 1000
            best[name] = min(best[name], round(cost, 4))
    return best


def machine() -> list[str]:
    """What a machine's timings depend on: its processor, cores and GPU."""
    try:  # Linux names the processor in a file alone
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return [model, str(os.cpu_count()), gpu]
