import torch
from torch import nn

from action_gru.model.packing import Dropout, Rows


def test_packed_steps_drop_what_padded_ones_drop():
    dropout, hidden = Dropout(0.4), torch.randn(3, 5, 4)
    rows = Rows.of(torch.tensor([2, 5, 4]), 5)
    torch.manual_seed(0)
    packed = rows.pad(dropout(rows.pack(hidden), rows))
    torch.manual_seed(0)
    padded = nn.Dropout(0.4)(hidden)
    inside = torch.arange(5) < torch.tensor([2, 5, 4])[:, None]
    assert torch.equal(packed, padded * inside[..., None])
