"""The long-memory probe: its task, its gradients, and what it finds."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from action_gru.evaluation.memory_probe import (
    CLASSES,
    Latch,
    ProbeResult,
    ProbeSettings,
    accuracy_at,
    draw_sequences,
    gradient_norm,
    mean_norms,
    run_probe,
    train_latch,
)
from action_gru.model import CELLS


def test_the_label_is_shown_once_and_never_again():
    inputs, labels = draw_sequences(4000, 6, torch.Generator().manual_seed(0))
    assert inputs.shape == (4000, 7, CLASSES)
    assert (inputs[:, 0].argmax(1) == labels).all()
    assert inputs[:, 0].sum().item() == 4000
    later = inputs[:, 1:].mean((0, 1))  # by class, of all labels
    assert later.abs().max() < 0.02
    guessed = (inputs[:, 1:].sum(1).argmax(1) == labels).float().mean()
    assert guessed == pytest.approx(0.25, abs=0.03)


def test_an_untaught_cell_guesses():
    assert accuracy_at(Latch("gru", 32, 0), 8) == pytest.approx(0.25, abs=0.1)


def linear_recurrence(factor: float) -> nn.RNN:
    """h_t = factor * h_(t-1), for small states: tanh is the identity near 0."""
    cell = nn.RNN(CLASSES, 6, batch_first=True).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.weight_hh_l0.copy_(factor * torch.eye(6))
    return cell


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_the_gradient_of_a_linear_recurrence_is_its_factor_to_the_lag(factor):
    sequences = torch.zeros(128, 12, CLASSES, dtype=torch.float64)
    norms = mean_norms([linear_recurrence(factor)] * 2, sequences, (1, 4, 8))
    for lag, norm in norms.items():
        assert norm == pytest.approx(factor**lag, rel=0.05)


def test_the_gradient_is_that_of_the_whole_jacobian():
    torch.manual_seed(0)
    cell = nn.GRU(CLASSES, 5, batch_first=True).double()
    start, rest = torch.randn(1, 1, CLASSES).double(), torch.randn(1, 6, CLASSES).double()
    state = cell(start)[1]
    jacobian = torch.autograd.functional.jacobian(lambda h: cell(rest, h)[0][0, -1], state)
    exact = float(jacobian.norm()) / math.sqrt(5)
    many = gradient_norm(cell, start.repeat(4000, 1, 1), rest.repeat(4000, 1, 1))
    assert many == pytest.approx(exact, rel=0.05)


def test_the_state_of_an_lstm_is_both_of_its_parts():
    cell = nn.LSTM(CLASSES, 6, batch_first=True).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.bias_ih_l0[6:12] = 50.0  # forget nothing
    sequences = torch.zeros(256, 12, CLASSES, dtype=torch.float64)
    near, far = mean_norms([cell], sequences, (1, 10)).values()
    assert near == pytest.approx(far)  # carried unchanged by the cell's state
    assert near == pytest.approx(0.5, rel=0.06)  # through an output gate of one half


def test_the_mean_over_cells_is_one_of_powers():
    cells = [linear_recurrence(1.0), linear_recurrence(0.1)]
    sequences = torch.zeros(256, 4, CLASSES, dtype=torch.float64)
    assert mean_norms(cells, sequences, (2,))[2] == pytest.approx(0.1, rel=0.06)


def test_the_largest_lag_is_the_one_before_the_first_failure():
    result = ProbeResult("gru", {4: [1.0, 1.0], 8: [0.9, 1.0], 16: [1.0, 0.8]})
    assert (result.largest_solved, result.first_failed) == (8, 16)
    assert ProbeResult("rnn", {4: [0.3]}).largest_solved is None


def test_the_same_seed_learns_the_same():
    settings = ProbeSettings(steps=5)
    first, second = (train_latch(settings, "lstm", 6, 3).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_probe_stops_at_the_first_failure_and_compares_gradients_at_one_lag():
    settings = ProbeSettings(lags=(4, 8, 16), hidden_size=8, steps=2, seeds=1)
    notes = []
    results = run_probe(settings, notes.append)
    assert [list(result.accuracy_by_seed) for result in results] == [[4]] * len(CELLS)
    assert [note.split(":")[0] for note in notes] == [f"{cell}, lag 4" for cell in CELLS]
    assert {result.trained_lag for result in results} == {4}
    assert all(list(result.gradient_after) == [4, 8, 16] for result in results)


@pytest.mark.slow
def test_a_gru_learns_a_lag_that_a_plain_rnn_does_not():
    settings = ProbeSettings(seeds=1)
    assert accuracy_at(train_latch(settings, "gru", 64, 0), 64) >= 0.95
    assert accuracy_at(train_latch(settings, "rnn", 64, 0), 64) < 0.6


@pytest.mark.slow
def test_gated_cells_solve_a_lag_that_the_plain_rnn_fails_at_and_gradients_show_why():
    rnn, lstm, gru, _ = run_probe(replace(ProbeSettings(), lags=(4, 8, 16, 32)))
    assert rnn.first_failed in (8, 16, 32)
    assert lstm.largest_solved >= rnn.first_failed
    assert gru.largest_solved >= rnn.first_failed
    lag = rnn.first_failed
    assert gru.gradient_after[lag] > 10 * rnn.gradient_after[lag]
    assert lstm.gradient_after[lag] > 10 * rnn.gradient_after[lag]
