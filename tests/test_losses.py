"""Every loss is a weighted mean over the answers, and focal loss counts easy answers for less."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from action_gru.model.losses import BINARY_LOSSES, LOSSES

LOGITS = torch.tensor([[3.0, 0.0, -1.0], [0.2, 0.1, 0.0], [-1.0, 2.0, 0.5], [0.0, 0.0, 4.0]])
LABELS = torch.tensor([0, 1, 1, 0])
WEIGHTS = torch.tensor([1.0, 3.0, 2.0])


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
def test_the_parts_of_a_batch_add_up_to_the_whole(name, weights):
    """As the processes of one training add them: each part by the weight of its answers."""
    loss = LOSSES[name]
    each = torch.ones(4) if weights is None else weights[LABELS]
    shares = [each[:3].sum() / each.sum(), each[3:].sum() / each.sum()]
    parts = [loss(LOGITS[rows], LABELS[rows], weights, 0.0) for rows in (slice(3), slice(3, 4))]
    whole = loss(LOGITS, LABELS, weights, 0.0)
    torch.testing.assert_close(shares[0] * parts[0] + shares[1] * parts[1], whole)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_falls_towards_the_right_class(name):
    logits = torch.zeros(2, 3, requires_grad=True)
    LOSSES[name](logits, torch.tensor([0, 2]), None, 0.1).backward()
    assert logits.grad.argmin(1).tolist() == [0, 2]


def test_focal_loss_is_that_of_the_paper():
    likely = LOGITS.softmax(-1)[range(4), LABELS]
    expected = (-((1 - likely) ** 2) * likely.log()).mean()
    torch.testing.assert_close(LOSSES["focal"](LOGITS, LABELS, None, 0.0), expected)
    assert expected < cross_entropy(LOGITS, LABELS)


SHOWN = torch.tensor([[1, 0, 1], [0, 0, 0], [0, 1, 1], [1, 1, 0]], dtype=torch.int8)


@pytest.mark.parametrize("name", BINARY_LOSSES)
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
def test_with_several_labels_the_parts_of_a_batch_add_up_by_their_number(name, weights):
    loss = BINARY_LOSSES[name]
    parts = [loss(LOGITS[rows], SHOWN[rows], weights, 0.1) for rows in (slice(3), slice(3, 4))]
    whole = loss(LOGITS, SHOWN, weights, 0.1)
    torch.testing.assert_close(0.75 * parts[0] + 0.25 * parts[1], whole)


@pytest.mark.parametrize("name", BINARY_LOSSES)
def test_with_several_labels_each_class_is_drawn_to_its_own_target(name):
    logits = torch.zeros(4, 3, requires_grad=True)
    BINARY_LOSSES[name](logits, SHOWN, None, 0.1).backward()
    assert torch.equal(logits.grad < 0, SHOWN.bool())


def test_smoothing_and_focus_of_several_labels_are_those_of_two_classes():
    smoothed = BINARY_LOSSES["cross_entropy"](LOGITS, SHOWN, None, 0.2)
    expected = binary_cross_entropy_with_logits(LOGITS, SHOWN.float() * 0.8 + 0.1)
    torch.testing.assert_close(smoothed, expected)
    likely = torch.where(SHOWN.bool(), LOGITS.sigmoid(), 1 - LOGITS.sigmoid())
    focal = (-((1 - likely) ** 2) * likely.log()).mean()
    torch.testing.assert_close(BINARY_LOSSES["focal"](LOGITS, SHOWN, None, 0.0), focal)
