"""What a page sends as JSON: the fields that a route knows, and no others."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """By itself: nothing, as `{}`."""

    model_config = ConfigDict(extra="forbid")
