"""Which processor a network runs on. Knows no network."""

from __future__ import annotations

import torch

from action_gru.core.errors import BackboneError


def pick_device(name: str) -> torch.device:
    """auto -> the first GPU, Apple's GPU, or the CPU.

    Raises BackboneError when a named device is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(name)
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device.type, True) or (device.index or 0) >= max(1, torch.cuda.device_count()):
        raise BackboneError(f"device: '{name}' is not on this machine; use auto or cpu")
    return device
