"""A recurrent cell's equations, from its weights: what each gate lets through at each step.

torch gives only the hidden states; here the gates behind them are computed and named. Knows
nothing of views, pooling or videos.

GRU, as torch writes it (x input, h hidden state, * elementwise):

    reset      r_t = sigmoid(W_ir x_t + b_ir + W_hr h_(t-1) + b_hr)
    update     z_t = sigmoid(W_iz x_t + b_iz + W_hz h_(t-1) + b_hz)
    candidate  n_t = tanh(W_in x_t + b_in + r_t * (W_hn h_(t-1) + b_hn))
    hidden     h_t = (1 - z_t) * n_t + z_t * h_(t-1)

An update gate of 1 keeps the state, as in Cho et al. 2014 (arXiv 1406.1078, equation 7). In Chung
et al. 2014 (arXiv 1412.3555) it is the complement: 1 replaces the state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Cell = nn.RNN | nn.LSTM | nn.GRU
Steps = dict[str, Tensor]

# The gate that multiplies the state before: 1 keeps it. A plain RNN has none.
KEEPERS = {"update": "hidden", "forget": "cell"}


@dataclass(frozen=True)
class LayerGates:
    """One layer in one direction. values: by name, (B, T, H), in the order of the clip.

    GRU: reset, update, candidate, hidden. LSTM: input, forget, candidate, output, cell, hidden.
    RNN: hidden. backwards: the layer reads from the end of the clip to its start.
    """

    layer: int
    backwards: bool
    values: Steps

    @property
    def keep(self) -> Tensor | None:
        """The share of the state before that each step keeps, (B, T, H); None for a plain RNN."""
        return next((self.values[name] for name in KEEPERS if name in self.values), None)


def cell_gates(cell: Cell, inputs: Tensor) -> list[LayerGates]:
    """Every layer's gates for whole sequences without padding: (B, T, P).

    From the first layer to the last, forwards before backwards. Between layers nothing is dropped.
    None of a cell whose equations are not written here.
    """
    if type(cell) not in _STEPS:
        return []
    found = []
    for layer in range(cell.num_layers):
        outputs = []
        for backwards in (False, True)[: 1 + cell.bidirectional]:
            weights = _weights(cell, layer, backwards)
            ordered = inputs.flip(1) if backwards else inputs
            steps = _STEPS[type(cell)](ordered, weights, _activation(cell))
            values = {name: v.flip(1) if backwards else v for name, v in steps.items()}
            found.append(LayerGates(layer, backwards, values))
            outputs.append(values["hidden"])
        inputs = torch.cat(outputs, -1)
    return found


@dataclass(frozen=True)
class _Weights:
    """W_i (G H, P), b_i (G H), W_h (G H, H), b_h (G H), for the G gates of a cell."""

    from_input: Tensor
    input_bias: Tensor
    from_hidden: Tensor
    hidden_bias: Tensor

    def of_inputs(self, inputs: Tensor) -> Tensor:
        """(B, T, P) -> (B, T, G H)."""
        return inputs @ self.from_input.T + self.input_bias

    def of_hidden(self, hidden: Tensor) -> Tensor:
        """(B, H) -> (B, G H)."""
        return hidden @ self.from_hidden.T + self.hidden_bias

    def nothing(self, inputs: Tensor) -> Tensor:
        """The state before the first step, (B, H)."""
        return inputs.new_zeros(len(inputs), self.from_hidden.shape[1])


def _weights(cell: Cell, layer: int, backwards: bool) -> _Weights:
    suffix = f"l{layer}" + ("_reverse" if backwards else "")
    from_input, from_hidden = (getattr(cell, f"weight_{k}_{suffix}") for k in ("ih", "hh"))
    nothing = from_input.new_zeros(len(from_input))
    biases = [getattr(cell, f"bias_{k}_{suffix}") if cell.bias else nothing for k in ("ih", "hh")]
    return _Weights(from_input, biases[0], from_hidden, biases[1])


def _activation(cell: Cell) -> Callable[[Tensor], Tensor]:
    return torch.relu if getattr(cell, "nonlinearity", "tanh") == "relu" else torch.tanh


def _gru_steps(inputs: Tensor, weights: _Weights, activation: Callable[..., Tensor]) -> Steps:
    hidden = weights.nothing(inputs)
    rows = []
    for row in weights.of_inputs(inputs).unbind(1):
        reset_x, update_x, candidate_x = row.chunk(3, -1)
        reset_h, update_h, candidate_h = weights.of_hidden(hidden).chunk(3, -1)
        reset = torch.sigmoid(reset_x + reset_h)
        update = torch.sigmoid(update_x + update_h)
        candidate = activation(candidate_x + reset * candidate_h)
        hidden = (1 - update) * candidate + update * hidden
        rows.append((reset, update, candidate, hidden))
    return _stacked(("reset", "update", "candidate", "hidden"), rows)


def _lstm_steps(inputs: Tensor, weights: _Weights, activation: Callable[..., Tensor]) -> Steps:
    hidden = cell = weights.nothing(inputs)
    rows = []
    for row in weights.of_inputs(inputs).unbind(1):
        parts = (row + weights.of_hidden(hidden)).chunk(4, -1)
        enter, forget, output = (torch.sigmoid(parts[index]) for index in (0, 1, 3))
        candidate = activation(parts[2])
        cell = forget * cell + enter * candidate
        hidden = output * activation(cell)
        rows.append((enter, forget, candidate, output, cell, hidden))
    return _stacked(("input", "forget", "candidate", "output", "cell", "hidden"), rows)


def _rnn_steps(inputs: Tensor, weights: _Weights, activation: Callable[..., Tensor]) -> Steps:
    hidden = weights.nothing(inputs)
    rows = []
    for row in weights.of_inputs(inputs).unbind(1):
        hidden = activation(row + weights.of_hidden(hidden))
        rows.append((hidden,))
    return _stacked(("hidden",), rows)


def _stacked(names: tuple[str, ...], rows: Sequence[tuple[Tensor, ...]]) -> Steps:
    columns = zip(*rows, strict=True)
    return {name: torch.stack(column, 1) for name, column in zip(names, columns, strict=True)}


_STEPS: dict[type[nn.Module], Callable[..., Steps]] = {
    nn.GRU: _gru_steps,
    nn.LSTM: _lstm_steps,
    nn.RNN: _rnn_steps,
}
