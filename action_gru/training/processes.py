"""The processes of one training: who writes, how they wait, how their figures are added up.

Each holds the whole model and reads its own part of every batch. Knows nothing of models or files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from action_gru.backbone.loading import import_ultralytics
from action_gru.core.errors import ConfigError, LostProcessError
from action_gru.core.machine import check_meeting_point, process_count

Value = TypeVar("Value")

# The first process may extract for days while the others wait. Torch's own limit, minutes, stays
# for the steps, where no process waits long. A process that ends wakes the others.
PATIENCE = timedelta(days=30)


class Processes:
    """rank of count; `is_first` writes and prints. A single process needs no launcher."""

    def __init__(self, rank: int = 0, count: int = 1, waiting: Any = None) -> None:
        self.rank, self.count, self._waiting = rank, count, waiting

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def first(self, work: Callable[[], Value]) -> Value:
        """The result of `work` in the first process, in all of them; picklable if several.

        An error of `work` is raised in the first process; the others raise LostProcessError.
        """
        if self.count == 1:
            return work()
        answer: list[Any] = [False, None]
        if self.is_first:
            try:
                answer = [True, work()]
            except BaseException:
                with suppress(LostProcessError):
                    self._share(answer)
                raise
        self._share(answer)
        if not answer[0]:
            raise LostProcessError
        found: Value = answer[1]
        return found

    def _share(self, answer: list[Any]) -> None:
        try:
            distributed.broadcast_object_list(answer, src=0, group=self._waiting)
        except RuntimeError as error:
            raise LostProcessError from error

    def wait(self) -> None:
        """Until all processes have come here."""
        self.sum(torch.zeros(1))

    def sum(self, figures: Tensor) -> Tensor:
        """The figures of all processes, added up: on the CPU, of any shape, the same in each."""
        if self.count == 1:
            return figures
        return _added(figures.clone(), self._waiting)

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Put the sum over all processes in place of each gradient, in one message."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        added = _added(torch.cat([gradient.flatten() for gradient in gradients]))
        parts = added.split([gradient.numel() for gradient in gradients])  # type: ignore[no-untyped-call]
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def copy_first(self, model: nn.Module) -> None:
        """The first process's parameters and buffers, in all of them."""
        state = self.first(lambda: {k: v.cpu() for k, v in model.state_dict().items()})
        if not self.is_first:
            model.load_state_dict(state)

    def share(self, total: int) -> Tensor:
        """The numbers of the items, of so many, that are this process's: near equal parts."""
        return torch.arange(total).tensor_split(self.count)[self.rank]


def _added(figures: Tensor, group: Any = None) -> Tensor:
    try:
        distributed.all_reduce(figures, group=group)
    except RuntimeError as error:
        raise LostProcessError from error
    return figures


_joined: Processes | None = None


def join_processes(device: torch.device) -> Processes:
    """All processes that the launcher started; the second call gives the same.

    Raises ConfigError where they would share one device by its number or know no meeting point.
    """
    global _joined
    if process_count() == 1:
        return Processes()
    if _joined is None:
        if device.type == "mps" or str(device) != device.type:  # cuda:1
            raise ConfigError(
                f"training.device: {device} is one device, and there are {process_count()} "
                "processes; write cuda, and each takes one, or cpu"
            )
        check_meeting_point()
        from accelerate import PartialState

        import_ultralytics()
        state = PartialState(cpu=device.type == "cpu")
        waiting = distributed.new_group(backend="gloo", timeout=PATIENCE)
        _joined = Processes(state.process_index, state.num_processes, waiting)
    return _joined


def leave_processes() -> None:
    """Say good-bye to the others, once all work together is done."""
    global _joined
    if _joined is not None:
        _joined.wait()
        distributed.destroy_process_group()
        _joined = None
