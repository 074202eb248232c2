"""Drawn videos, doubles of networks, servers, and the kill and fuzz harnesses."""
