import itertools

import pytest
import torch

from action_gru.model import CELLS, build_cell, cell_gates

SHAPES = list(itertools.product(CELLS, [1, 3], [False, True]))


def build(name, layers=1, bidirectional=False):
    torch.manual_seed(layers)
    cell = build_cell(name, 4, 5, layers, bidirectional).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.mul_(2)  # gates well away from one half
    return cell


@pytest.mark.parametrize(("name", "layers", "bidirectional"), SHAPES)
def test_the_gates_end_in_the_hidden_states_of_the_cell(name, layers, bidirectional):
    cell = build(name, layers, bidirectional)
    inputs = torch.randn(2, 17, 4, dtype=torch.float64) * 2
    found = cell_gates(name, cell, inputs)
    assert [(one.layer, one.backwards) for one in found] == [
        (layer, backwards)
        for layer in range(layers)
        for backwards in ([False, True] if bidirectional else [False])
    ]
    last = torch.cat([one.values["hidden"] for one in found if one.layer == layers - 1], -1)
    torch.testing.assert_close(last, cell(inputs)[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("layers", [1, 3])
def test_the_state_of_an_lstm_is_that_of_torch(layers):
    cell = build("lstm", layers)
    inputs = torch.randn(2, 9, 4, dtype=torch.float64)
    ends = torch.stack([one.values["cell"][:, -1] for one in cell_gates("lstm", cell, inputs)])
    torch.testing.assert_close(ends, cell(inputs)[1][1], atol=1e-6, rtol=0)


def with_biases(name, *biases: float):
    """A cell of one unit that sees nothing: its gates are those of the given biases."""
    cell = build_cell(name, 1, 1).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.bias_ih_l0.copy_(torch.tensor(biases))
    values = cell_gates(name, cell, torch.zeros(1, 2, 1, dtype=torch.float64))[0].values
    return {gate: [round(x, 4) for x in steps.flatten().tolist()] for gate, steps in values.items()}


@pytest.mark.parametrize("name", CELLS)
def test_the_gates_to_show_are_gates_of_the_step(name):
    (found,) = cell_gates(name, build_cell(name, 4, 3), torch.zeros(1, 2, 4))
    assert set(CELLS[name].shown) <= set(found.values)


def test_each_gate_of_the_gru_has_its_own_name():
    assert with_biases("gru", -1.0, 2.0, 0.5) == {
        "reset": [0.2689, 0.2689],
        "update": [0.8808, 0.8808],
        "candidate": [0.4621, 0.4621],
        "hidden": [0.0551, 0.1036],  # 0.1192 * 0.4621, then + 0.8808 * 0.0551
    }


def test_each_gate_of_the_lstm_has_its_own_name():
    assert with_biases("lstm", -1.0, 2.0, 0.5, 1.0) == {
        "input": [0.2689, 0.2689],
        "forget": [0.8808, 0.8808],
        "candidate": [0.4621, 0.4621],
        "output": [0.7311, 0.7311],
        "cell": [0.1243, 0.2338],
        "hidden": [0.0904, 0.1678],
    }


def test_the_one_gate_of_the_mgu_lets_the_candidate_in():
    assert with_biases("mgu", -1.0, 0.5) == {
        "forget": [0.2689, 0.2689],
        "candidate": [0.4621, 0.4621],
        "hidden": [0.1243, 0.2151],  # 0.2689 * 0.4621, then + 0.7311 * 0.1243
    }


def test_an_update_gate_of_one_keeps_the_state_as_in_cho_2014():
    cell = build("gru")
    with torch.no_grad():
        cell.bias_ih_l0[5:10] = 50.0
    gates = cell_gates("gru", cell, torch.randn(1, 6, 4, dtype=torch.float64))[0]
    torch.testing.assert_close(gates.keep, torch.ones(1, 6, 5, dtype=torch.float64))
    assert gates.values["hidden"].abs().max() < 1e-12


def test_only_gated_cells_have_a_gate_that_keeps():
    inputs = torch.randn(1, 3, 4, dtype=torch.float64)
    gates = {name: cell_gates(name, build(name), inputs)[0] for name in CELLS}
    assert gates["gru"].keep is gates["gru"].values["update"]
    assert gates["lstm"].keep is gates["lstm"].values["forget"]
    assert torch.equal(gates["mgu"].keep, 1 - gates["mgu"].values["forget"])
    assert gates["rnn"].keep is None


def test_the_backwards_direction_is_in_the_order_of_the_clip():
    cell = build("gru", bidirectional=True)
    inputs = torch.randn(1, 6, 4, dtype=torch.float64)
    changed = inputs.clone()
    changed[:, -1] += 1
    before, after = (cell_gates("gru", cell, each) for each in (inputs, changed))
    moved = [
        ((a.values["hidden"] - b.values["hidden"]).abs().amax((0, 2)) > 1e-9).tolist()
        for a, b in zip(before, after, strict=True)
    ]
    assert moved == [[False] * 5 + [True], [True] * 6]
