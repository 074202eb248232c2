"""Runs a cell of `CELLS` over sequences: the module to train, and the gates of a trained one.

Knows nothing of views, pooling or videos.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from action_gru.model.cells import CELLS, Cell

if TYPE_CHECKING:
    from action_gru.model.cells import Gates

WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
Carried = Tensor | tuple[Tensor, ...]  # h alone, or (h, c, ...); each (layers * directions, B, H)
Recurrent = nn.RNNBase  # what `build_cell` returns has its attributes and is called alike


def build_cell(
    name: str,
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
) -> Recurrent:
    """A cell of `CELLS`, called as in torch.nn: (x (B, T, P), state) -> (hidden (B, T, H), state).

    dropout: between layers.
    """
    kind = CELLS[name]
    made: Any = getattr(nn, kind.kernel) if kind.kernel else partial(_Recurrence, kind)
    return cast(
        Recurrent,
        made(
            input_size,
            hidden_size,
            num_layers,
            batch_first=True,
            bidirectional=bidirectional,
            dropout=dropout if num_layers > 1 else 0.0,
        ),
    )


def without_kernels(module: nn.Module) -> nn.Module:
    """A copy whose cells of torch.nn are loops of our steps, with the same weights and answers.

    For converters that know a matrix product, and no GRU.
    """
    kinds = {getattr(nn, kind.kernel): kind for kind in CELLS.values() if kind.kernel}
    made = copy.deepcopy(module)
    for parent in list(made.modules()):
        for name, cell in list(parent.named_children()):
            if isinstance(cell, nn.RNNBase) and type(cell) in kinds:
                sizes = (cell.input_size, cell.hidden_size, cell.num_layers)
                plain = _Recurrence(kinds[type(cell)], *sizes, True, cell.bidirectional, 0.0)
                plain.load_state_dict(cell.state_dict())
                setattr(parent, name, plain)
    return made


@dataclass(frozen=True)
class LayerGates:
    """One layer in one direction. values: by name, (B, T, H), in the order of the clip.

    keep: the share of the state before that each step keeps, (B, T, H); None for a plain RNN.
    backwards: the layer reads from the end of the clip to its start.
    """

    layer: int
    backwards: bool
    values: Gates
    keep: Tensor | None


def cell_gates(name: str, cell: Recurrent, inputs: Tensor) -> list[LayerGates]:
    """Every layer's gates for whole sequences without padding: (B, T, P).

    From the first layer to the last, forwards before backwards. Between layers nothing is dropped.
    """
    kind = CELLS[name]
    found = []
    for layer in range(cell.num_layers):
        outputs = []
        for backwards in (False, True)[: 1 + cell.bidirectional]:
            ordered = inputs.flip(1) if backwards else inputs
            values = _run_layer(kind, _weights(cell, layer, backwards), ordered)
            if backwards:
                values = {gate: steps.flip(1) for gate, steps in values.items()}
            keep = None if kind.keep is None else kind.keep(values)
            found.append(LayerGates(layer, backwards, values, keep))
            outputs.append(values["hidden"])
        inputs = torch.cat(outputs, -1)
    return found


def run_packed(cell: Recurrent, rows: Tensor, sizes: Tensor) -> Tensor:
    """A cell of torch.nn over the rows of a PackedSequence, to train it: (R, P), (T,) -> (R, H)."""
    is_plain = isinstance(cell, nn.GRU) and cell.num_layers == 1 and not cell.bidirectional
    if not is_plain or torch.is_autocast_enabled(rows.device.type):
        read: PackedSequence = cell(PackedSequence(rows, sizes))[0]
        return read.data
    from_input, from_hidden, input_bias, hidden_bias = _weights(cell, 0, False)
    inputs = linear(rows, from_input, input_bias)
    hidden: Tensor = _PackedGRU.apply(inputs, from_hidden, hidden_bias, sizes.tolist())
    return hidden


class _PackedGRU(torch.autograd.Function):
    """One layer of torch.nn.GRU from its input gates, with one product for all steps' weights.

    Torch's own adds up the gradient of the weights step by step, in dozens of operations each.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, sizes: list[int]) -> Tensor:
        """inputs (R, 3 H), weight (3 H, H), bias (3 H,) -> hidden (R, H)."""
        width, turned = weight.shape[1], weight.t()
        from_hidden, hidden = torch.empty_like(inputs), inputs.new_empty(len(inputs), width)
        gates, candidate = inputs.new_empty(len(inputs), 2 * width), torch.empty_like(hidden)
        before, low = inputs.new_zeros(sizes[0], width), 0
        starts = []  # the state before each step
        for size in sizes:
            now, low = slice(low, low + size), low + size
            before = before[:size]
            starts.append(before)
            part = torch.addmm(bias, before, turned, out=from_hidden[now])
            both = torch.add(inputs[now, : 2 * width], part[:, : 2 * width], out=gates[now])
            reset, update = both.sigmoid_().chunk(2, -1)
            new = torch.addcmul(
                inputs[now, 2 * width :], reset, part[:, 2 * width :], out=candidate[now]
            )
            before = torch.lerp(new.tanh_(), before, update, out=hidden[now])
        ctx.sizes = sizes
        ctx.save_for_backward(
            weight, gates, candidate, from_hidden[:, 2 * width :], torch.cat(starts)
        )
        return hidden

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        weight, gates, candidate, recurred, before = ctx.saved_tensors
        width = weight.shape[1]
        reset, update = gates.chunk(2, -1)
        to_candidate = (1 - update).mul_(1 - candidate.square())
        to_update = (before - candidate).mul_(update).mul_(1 - update)
        to_reset = (1 - reset).mul_(reset).mul_(recurred)
        hidden, of_candidate = grads[0].clone(), torch.empty_like(candidate)
        of_gates = gates.new_empty(len(gates), 3 * width)
        ends = list(itertools.accumulate(ctx.sizes))
        for step in range(len(ends) - 1, -1, -1):
            size, low = ctx.sizes[step], ends[step] - ctx.sizes[step]
            now = slice(low, ends[step])
            grad, part = hidden[now], of_gates[now]
            new = torch.mul(grad, to_candidate[now], out=of_candidate[now])
            torch.mul(new, to_reset[now], out=part[:, :width])
            torch.mul(grad, to_update[now], out=part[:, width : 2 * width])
            torch.mul(new, reset[now], out=part[:, 2 * width :])
            if step:
                first = low - ctx.sizes[step - 1]
                hidden[first : first + size].addcmul_(grad, update[now]).addmm_(part, weight)
        of_inputs = torch.cat([of_gates[:, : 2 * width], of_candidate], 1)
        return of_inputs, of_gates.t() @ before, of_gates.sum(0), None


class _Recurrence(nn.Module):
    """A cell without a kernel in torch.nn: its step in a loop, with their names for the weights."""

    def __init__(
        self,
        kind: Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        batch_first: bool,
        bidirectional: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        assert batch_first
        self.kind, self.hidden_size, self.num_layers = kind, hidden_size, num_layers
        self.bidirectional, self.dropout = bidirectional, dropout
        rows, bound = kind.blocks * hidden_size, hidden_size**-0.5
        for layer in range(num_layers):
            width = hidden_size * (1 + bidirectional) if layer else input_size
            shapes = ((rows, width), (rows, hidden_size), (rows,), (rows,))
            for suffix in ("", "_reverse")[: 1 + bidirectional]:
                for name, shape in zip(WEIGHTS, shapes, strict=True):
                    values = torch.empty(shape).uniform_(-bound, bound)
                    self.register_parameter(f"{name}_l{layer}{suffix}", nn.Parameter(values))

    def forward(
        self, inputs: Tensor | PackedSequence, state: Carried | None = None
    ) -> tuple[Tensor | PackedSequence, Carried]:
        """As torch.nn.GRU. Of a packed sequence the state to carry is of no use."""
        if not isinstance(inputs, PackedSequence):
            return self._run(inputs, None, state)
        padded, lengths = pad_packed_sequence(inputs, batch_first=True)
        hidden, after = self._run(padded, lengths, state)
        return pack_padded_sequence(hidden, lengths, batch_first=True, enforce_sorted=False), after

    def _run(
        self, rows: Tensor, lengths: Tensor | None, state: Carried | None
    ) -> tuple[Tensor, Carried]:
        before = (state,) if isinstance(state, Tensor) else state
        ends: list[list[Tensor]] = []
        for layer in range(self.num_layers):
            outputs = []
            for backwards in (False, True)[: 1 + self.bidirectional]:
                start = None if before is None else [part[len(ends)] for part in before]
                ordered = _backwards(rows, lengths) if backwards else rows
                values = _run_layer(self.kind, _weights(self, layer, backwards), ordered, start)
                hidden = values["hidden"]
                outputs.append(_backwards(hidden, lengths) if backwards else hidden)
                ends.append([values[name][:, -1] for name in self.kind.state])
            rows = torch.cat(outputs, -1)
            if layer < self.num_layers - 1:
                rows = dropout(rows, self.dropout, self.training)
        after = tuple(torch.stack(part) for part in zip(*ends, strict=True))
        return rows, after if len(after) > 1 else after[0]


def _backwards(rows: Tensor, lengths: Tensor | None) -> Tensor:
    """Each sequence from its last valid step to its first: (B, T, H), (B,) -> (B, T, H)."""
    if lengths is None:
        return rows.flip(1)
    steps = torch.arange(rows.shape[1])
    order = torch.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    return rows.gather(1, order.to(rows.device)[..., None].expand_as(rows))


def _weights(cell: nn.Module, layer: int, backwards: bool) -> list[Tensor]:
    """W_i (G H, P), W_h (G H, H), b_i (G H), b_h (G H), for the G blocks of a cell."""
    suffix = f"l{layer}" + ("_reverse" if backwards else "")
    return [getattr(cell, f"{name}_{suffix}") for name in WEIGHTS]


def _run_layer(
    kind: Cell, weights: Sequence[Tensor], inputs: Tensor, state: Sequence[Tensor] | None = None
) -> Gates:
    """Gates and states of each step: (B, T, P) -> (B, T, H) by name. state: (B, H) each."""
    from_input, from_hidden, input_bias, hidden_bias = weights
    matrices, biases = from_hidden.chunk(kind.blocks), hidden_bias.chunk(kind.blocks)
    if state is None:
        state = [inputs.new_zeros(len(inputs), from_hidden.shape[1])] * len(kind.state)

    def recur(block: int, hidden: Tensor) -> Tensor:
        return linear(hidden, matrices[block], biases[block])

    steps = []
    for row in linear(inputs, from_input, input_bias).unbind(1):
        steps.append(kind.step(row.chunk(kind.blocks, -1), state, recur))
        state = [steps[-1][name] for name in kind.state]
    return {name: torch.stack([step[name] for step in steps], 1) for name in steps[0]}
