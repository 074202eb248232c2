"""Drawn videos, doubles of networks, servers, and the kill and fuzz harnesses."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"  # real data for development; absent on a user's machine
