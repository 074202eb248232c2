"""How much the web page takes on at once."""

from __future__ import annotations

from dataclasses import dataclass, fields

from action_gru.errors import ConfigError


@dataclass(frozen=True)
class Limits:
    """Every value is greater than 0; ConfigError otherwise.

    max_upload_mb: of one file. max_duration_s: of one video. videos, cameras: at the same time.
    keep_s: how long uploads and results are kept. idle_s: a camera that sends nothing for so long
    gives up its place. posts_per_s, uploads_per_min: of one address; beyond them it is to wait.
    """

    max_upload_mb: int = 200
    max_duration_s: float = 600.0
    videos: int = 2
    cameras: int = 4
    keep_s: float = 1800.0
    idle_s: float = 30.0
    posts_per_s: float = 100.0
    uploads_per_min: float = 20.0

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            if not value > 0:
                raise ConfigError(f"{part.name.replace('_', '-')}: must be above 0; got {value}")

    @property
    def max_upload_bytes(self) -> int:
        return self.max_upload_mb * 1_000_000
