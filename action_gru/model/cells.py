"""The kinds of recurrent cells, each a function of one step and an entry in `CELLS`.

All that depends on the cell is read from here: the model and its streaming form, the gates that
`explain` shows, the values of `model.cell`, and the names and colours of `compare-cells`. Imports
no torch, so that a config is checked without it.

A step gets x, the parts of W_i x_t + b_i, one of shape (B, H) for each block of weights; the state
before, tensors (B, H); and `recur(block, h)`, that block's part of W_h h + b_h. It returns every
gate and the new state by name, (B, H) each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from action_gru.core.graphics import OKABE_ITO

if TYPE_CHECKING:
    from torch import Tensor

    Recur = Callable[[int, Tensor], Tensor]
    Gates = dict[str, Tensor]

BLUE, ORANGE, GREEN, PURPLE = OKABE_ITO[:4]


@dataclass(frozen=True)
class Cell:
    """A kind of recurrent cell.

    blocks: how many (H, H) matrices multiply the state. state: the names of what is carried, the
    output first. keep: the share of the state before that a step keeps, from its gates; None
    without such a gate. shown: the gates that `explain` draws. colour, marker: in pictures. kernel:
    the class of torch.nn with the same equations and weights, which runs instead; None without one.
    """

    name: str
    step: Callable[[Sequence[Tensor], Sequence[Tensor], Recur], Gates]
    blocks: int
    shown: tuple[str, ...]
    colour: str
    marker: str
    state: tuple[str, ...] = ("hidden",)
    keep: Callable[[Gates], Tensor] | None = None
    kernel: str | None = None


def _rnn(x: Sequence[Tensor], state: Sequence[Tensor], recur: Recur) -> Gates:
    """Elman 1990."""
    return {"hidden": (x[0] + recur(0, state[0])).tanh()}


def _lstm(x: Sequence[Tensor], state: Sequence[Tensor], recur: Recur) -> Gates:
    """Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000."""
    before, cell = state
    enter, forget, output = ((x[block] + recur(block, before)).sigmoid() for block in (0, 1, 3))
    candidate = (x[2] + recur(2, before)).tanh()
    cell = forget * cell + enter * candidate
    hidden = output * cell.tanh()
    return {"input": enter, "forget": forget, "candidate": candidate, "output": output,
            "cell": cell, "hidden": hidden}  # fmt: skip


def _gru(x: Sequence[Tensor], state: Sequence[Tensor], recur: Recur) -> Gates:
    """Cho et al. 2014 (arXiv 1406.1078), as torch writes it.

    An update gate of 1 keeps the state, as in equation 7 there. In Chung et al. 2014 (arXiv
    1412.3555) it is the complement: 1 replaces the state.
    """
    (before,) = state
    reset, update = ((x[block] + recur(block, before)).sigmoid() for block in (0, 1))
    candidate = (x[2] + reset * recur(2, before)).tanh()
    hidden = (1 - update) * candidate + update * before
    return {"reset": reset, "update": update, "candidate": candidate, "hidden": hidden}


def _mgu(x: Sequence[Tensor], state: Sequence[Tensor], recur: Recur) -> Gates:
    """The minimal gated unit, Zhou et al. 2016 (arXiv 1603.09420): one gate resets and updates."""
    (before,) = state
    forget = (x[0] + recur(0, before)).sigmoid()
    candidate = (x[1] + recur(1, forget * before)).tanh()
    return {
        "forget": forget,
        "candidate": candidate,
        "hidden": (1 - forget) * before + forget * candidate,
    }


CELLS = {
    "rnn": Cell("RNN", _rnn, 1, ("hidden",), ORANGE, "s", kernel="RNN"),
    "lstm": Cell(
        "LSTM",
        _lstm,
        4,
        ("forget", "input", "output"),
        GREEN,
        "^",
        state=("hidden", "cell"),
        keep=lambda gates: gates["forget"],
        kernel="LSTM",
    ),
    "gru": Cell(
        "GRU", _gru, 3, ("update", "reset"), BLUE, "o",
        keep=lambda gates: gates["update"], kernel="GRU",
    ),
    "mgu": Cell("MGU", _mgu, 2, ("forget",), PURPLE, "D", keep=lambda gates: 1 - gates["forget"]),
}  # fmt: skip
