"""The path of a GPU, on a processor: a stand-in queues what a GPU would do later by itself."""

import inspect
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

from action_gru.backbone import Backbone
from action_gru.backbone.cuda import MOST_GRAPHED, CudaRunner, Gpu
from action_gru.backbone.network import FeatureNetwork
from action_gru.backbone.runtimes import TorchRunner
from action_gru.core.errors import BackboneError

CPU = torch.device("cpu")


class LateGpu(Gpu):
    """Does nothing of what it is told until an answer is read, and then in order.

    Where pictures are staged too early, or inputs or outputs are not those of the graph, answers
    are those of other pictures.
    """

    def __init__(self, network) -> None:
        super().__init__(CPU)
        self.hosts, self.captures = [], 0
        self._network, self._of_thread = network, threading.local()

    @property
    def queued(self) -> list:
        self._of_thread.__dict__.setdefault("queued", [])
        return self._of_thread.queued

    def network(self, pixels, weight):
        """Into memory of its own, as kernels do, and later."""
        made = torch.empty(len(pixels), 5)
        self.queued.append(lambda: made.copy_(self._network(pixels, weight)))
        return made

    def host(self, shape):
        self.hosts.append(shape)
        return torch.full(shape, 255, dtype=torch.uint8)

    def upload(self, source, target):
        self.queued.append(lambda: target.copy_(source))

    def capture(self, work):
        self.captures += 1
        waiting = len(self.queued)
        made = work()
        recorded = self.queued[waiting:]
        del self.queued[waiting:]

        def replay():
            self.queued.extend(recorded)
            return made

        return replay

    def download(self, made):
        while self.queued:
            time.sleep(0.001)  # another thread may come between
            self.queued.pop(0)()
        return made.numpy().copy()


def runners(graphs):
    """(a GPU's, its stand-in, the processor's), of the same drawn network."""
    torch.manual_seed(0)
    network = FeatureNetwork([nn.Conv2d(3, 5, 3, stride=2), nn.ReLU()], 16)
    plain = TorchRunner(network.requires_grad_(False).eval(), "fp32", CPU, None)
    gpu = LateGpu(plain.network)
    return CudaRunner(gpu.network, gpu, graphs), gpu, plain


def batch(count, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 16, 16, 3), np.uint8), rng.integers(
        0, 256, (count, 16, 16), np.uint8
    )


@pytest.mark.parametrize("graphs", [False, True])
def test_every_batch_gets_the_answer_to_its_own_pictures(graphs):
    run, gpu, plain = runners(graphs)
    sizes = [2, 1, 2, 3, 2, 9, 1, 9]
    made = [run(*batch(count, seed)) for seed, count in enumerate(sizes)]
    for seed, (count, values) in enumerate(zip(sizes, made, strict=True)):
        np.testing.assert_array_equal(values, plain(*batch(count, seed)))
    assert [shape[0] for shape in gpu.hosts] == [2, 2, 3, 3, 9, 9]  # pictures and weights, kept
    assert gpu.captures == (3 if graphs else 0)  # of 1, 2 and 3; nine are more than MOST_GRAPHED
    assert MOST_GRAPHED == 8


@pytest.mark.parametrize("graphs", [False, True])
def test_threads_do_not_stage_over_each_other(graphs):
    run, _, plain = runners(graphs)
    wrong = []

    def work(seed):
        pictures = batch(2, seed)
        for _ in range(3):
            if not np.array_equal(run(*pictures), plain(*pictures)):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_network_that_cannot_be_captured_is_told_with_the_mend(monkeypatch):
    run, gpu, _ = runners(graphs=True)

    def refuse(work):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(gpu, "capture", refuse)
    with pytest.raises(BackboneError, match=r"not permitted.*set features.cuda_graphs=false"):
        run(*batch(1, 0))


def test_graphs_without_a_gpu_are_refused():
    with pytest.raises(BackboneError, match=r"only torch on a CUDA device .* torch on cpu;"):
        Backbone("builtin", device="cpu", cuda_graphs=True)


def test_pytorch_has_the_calls_that_the_gpu_needs():
    """No machine of these tests has a GPU: the signatures at least are held."""
    inspect.signature(torch.cuda.graph).bind(None, capture_error_mode="thread_local")
    assert hasattr(torch.cuda.Stream, "wait_stream")
    assert hasattr(torch.cuda.CUDAGraph, "replay")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("graphs", [False, True])
def test_a_gpu_gives_what_the_processor_gives(graphs):
    device = torch.device("cuda")
    _, _, plain = runners(graphs)
    on_gpu = TorchRunner(plain.network, "fp32", device, None).network
    run = CudaRunner(on_gpu, Gpu(device), graphs)
    for seed, count in enumerate([2, 1, 2, 9, 2]):
        np.testing.assert_allclose(
            run(*batch(count, seed)), plain(*batch(count, seed)), rtol=1e-2, atol=1e-2
        )
