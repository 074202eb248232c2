"""The feature network on an NVIDIA GPU by PyTorch: pinned staging, CUDA graphs of small batches.

Does not know how the network was made. What only a GPU can answer is in `Gpu`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from action_gru.backbone.network import FeatureNetwork
from action_gru.backbone.runtimes import Pixels, Vectors
from action_gru.core.errors import BackboneError

# A live turn: some views of some cameras. In larger batches the GPU works longer than it takes to
# launch its kernels, and there would be a graph for each of many sizes.
MOST_GRAPHED = 8
WARM_UPS = 3  # before a capture, as PyTorch's notes on CUDA graphs ask for


class Gpu:
    """The calls that need a GPU; tests put a stand-in here. device: a CUDA device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def host(self, shape: tuple[int, ...]) -> Tensor:
        """Memory of this machine that the GPU reads by itself, uint8."""
        return torch.empty(shape, dtype=torch.uint8, pin_memory=True)

    def upload(self, source: Tensor, target: Tensor) -> None:
        """Queue a copy of host memory to the GPU."""
        target.copy_(source, non_blocking=True)

    def capture(self, work: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """A replay of the work: with what its inputs hold then, into the same output each time."""
        with torch.cuda.device(self.device):
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM_UPS):
                    work()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            # Other threads may use the GPU meanwhile, which the default mode makes an error.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                made = work()

        def replay() -> Tensor:
            graph.replay()
            return made

        return replay

    def download(self, made: Tensor) -> Vectors:
        """A copy of the values, once all that was queued is done."""
        values: Vectors = made.cpu().numpy()
        return values


class CudaRunner:
    """The network on a GPU, called from any number of threads.

    graphs: capture each size of at most MOST_GRAPHED pictures at its first use, and replay it from
    then on: its kernels without the work of launching each. Raises BackboneError where the network
    cannot be captured.
    """

    def __init__(self, network: FeatureNetwork, gpu: Gpu, graphs: bool) -> None:
        self._network, self._gpu, self._graphs = network, gpu, graphs
        self._staging = threading.local()  # a thread stages while another waits for its answer
        self._captured: dict[tuple[int, ...], tuple[list[Tensor], Callable[[], Tensor]]] = {}
        self._lock = threading.Lock()  # of the graphs, whose inputs are their own

    def __call__(self, pixels: Pixels, weight: Pixels) -> Vectors:
        with torch.inference_mode():
            staged = self._stage((pixels, weight))
            if not self._graphs or len(pixels) > MOST_GRAPHED:
                inputs = self._inputs(pixels.shape)
                return self._run(staged, inputs, partial(self._network, *inputs))
            with self._lock:
                if pixels.shape not in self._captured:
                    self._captured[pixels.shape] = self._capture(pixels.shape)
                return self._run(staged, *self._captured[pixels.shape])

    def _stage(self, arrays: Sequence[Pixels]) -> list[Tensor]:
        """A batch in pinned memory, which this thread's next batch overwrites."""
        kept = getattr(self._staging, "tensors", None)
        if kept is None or len(kept[0]) < len(arrays[0]):
            kept = self._staging.tensors = [self._gpu.host(array.shape) for array in arrays]
        staged = [tensor[: len(array)] for tensor, array in zip(kept, arrays, strict=True)]
        for tensor, array in zip(staged, arrays, strict=True):
            tensor.copy_(torch.from_numpy(array))
        return staged

    def _inputs(self, shape: tuple[int, ...]) -> list[Tensor]:
        """Pixels and weight on the GPU, still without values."""
        sizes = (shape, shape[:3])
        return [torch.empty(s, dtype=torch.uint8, device=self._gpu.device) for s in sizes]

    def _run(
        self, staged: list[Tensor], inputs: list[Tensor], work: Callable[[], Tensor]
    ) -> Vectors:
        for source, target in zip(staged, inputs, strict=True):
            self._gpu.upload(source, target)
        # This waits for the uploads too: what is staged may then be overwritten.
        return self._gpu.download(work())

    def _capture(self, shape: tuple[int, ...]) -> tuple[list[Tensor], Callable[[], Tensor]]:
        inputs = [tensor.zero_() for tensor in self._inputs(shape)]
        try:
            return inputs, self._gpu.capture(partial(self._network, *inputs))
        except RuntimeError as error:
            raise BackboneError(
                f"features.cuda_graphs: this network cannot be captured ({error}); "
                "set features.cuda_graphs=false"
            ) from error
