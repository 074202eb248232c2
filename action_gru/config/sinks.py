"""Where events go: one section a kind of sink, each with its conditions. Knows no network."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, model_validator

from action_gru.config.section import NAME, Positive, Probability, Section

Seconds = Annotated[float, Field(ge=0.0)]
Point = Annotated[tuple[Probability, ...], Field(min_length=2, max_length=2)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
When = Literal["start", "end", "both"]
HOURS = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-3]):([0-5]\d)")


def _are_hours(text: str) -> str:
    if HOURS.fullmatch(text) is None:
        raise ValueError("should be hours of the day, such as 22:00-06:00")
    return text


def _is_broker(text: str) -> str:
    if set("#+$") & set(unquote(text.partition("://")[2].partition("/")[2])):
        raise ValueError("names a topic; '#', '+' and '$' have a meaning of their own in those")
    return _is_address(("mqtt", "mqtts"), text)


def _is_address(schemes: tuple[str, ...], text: str) -> str:
    parts = urlsplit(text)
    try:
        fits = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        fits = False
    if not fits:
        raise ValueError(f"should be an address such as {schemes[0]}://host/name")
    if parts.password is not None:
        raise ValueError("holds a password, which lists of processes show; see docs/events.md")
    return text


class SinkSection(Section):
    """What all kinds share: a name, and which events go there."""

    name: Annotated[str, Field(pattern=NAME)] | None = None
    """What messages and metrics call it; by default its kind."""
    classes: tuple[str, ...] = ()
    """Which classes; none named: all."""
    min_s: Seconds = 0.0
    """Only events that last so long, seconds; one that begins is told once it has."""
    min_score: Probability = 0.0
    """Only events of this mean score; of one that begins, its mean so far."""
    cooldown_s: Seconds = 0.0
    """After an event, further ones of its class and source that begin within this time of its
    beginning are left out, seconds."""
    zone: Annotated[tuple[Point, ...], Field(min_length=3)] | None = None
    """Only people who were seen in this polygon: corners [x, y] in shares of the picture, from its
    upper left. Needs --per-person."""
    zone_point: Literal["foot", "centre"] = "foot"
    """Which point of a person's box must be in the zone; foot: the middle of its lower edge."""
    hours: Annotated[str, AfterValidator(_are_hours)] | None = None
    """Only events that begin in these hours, such as 22:00-06:00, in this machine's time."""
    weekdays: tuple[Weekday, ...] = ()
    """Only on these days: mon, tue, ...; hours past midnight belong to the day before. None named:
    all."""


class MessageSinkSection(SinkSection):
    """A sink that is sent messages, which wait in a folder of this machine while it is down."""

    when: When = "both"
    """Whether a message leaves as an event begins, when it is over, or both times."""
    limit: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """How many messages wait at most; then the oldest is dropped, counted and told."""


class MqttSinkSection(MessageSinkSection):
    kind: Literal["mqtt"]
    url: Annotated[str, AfterValidator(_is_broker)]
    """mqtt://HOST/TOPIC, or mqtts:// (TLS), with a port where it is not 1883 or 8883. Messages go
    to TOPIC/event, the state of each class to TOPIC/class/CLASS; without a TOPIC: action_gru."""
    username: str | None = None
    """By default the environment's ACTION_GRU_MQTT_USERNAME, if it is set."""
    password_file: Path | None = None
    """A file with the password; by default the environment's ACTION_GRU_MQTT_PASSWORD."""
    ca_file: Path | None = None
    """Certificates to trust with mqtts://, in PEM; by default the system's."""
    discovery: str | None = "homeassistant"
    """Home Assistant's discovery prefix: an entity for each class appears there by itself. null:
    none is announced."""
    device: Annotated[str, Field(min_length=1)] = "action_gru"
    """What Home Assistant calls this program; two that run at once need two names and topics."""


class WebhookSinkSection(MessageSinkSection):
    kind: Literal["webhook"]
    url: Annotated[str, AfterValidator(partial(_is_address, ("https", "http")))]
    """Where messages are posted as JSON. ${NAME} in it is taken from the environment."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Further headers; ${NAME} in a value is taken from the environment."""
    body: dict[str, str] = Field(default_factory=dict)
    """What is posted in place of the message, where a service wants its own form: a JSON object
    whose texts hold {label}, {source}, {score} and other keys of the message."""
    secret_file: Path | None = None
    """A file with the secret that signs messages (HMAC-SHA256); by default the environment's
    ACTION_GRU_WEBHOOK_SECRET. Without either they are not signed."""
    ca_file: Path | None = None
    """Certificates to trust with https://, in PEM; by default the system's."""
    timeout_s: Positive = 10.0
    """How long the server may be silent."""


class FileSinkSection(MessageSinkSection):
    path: Path
    """The file; lines are appended."""
    when: When = "end"
    """Whether a line is written as an event begins, when it is over, or both times."""


class JsonlSinkSection(FileSinkSection):
    kind: Literal["jsonl"]


class CsvSinkSection(FileSinkSection):
    kind: Literal["csv"]


class ClipSinkSection(SinkSection):
    kind: Literal["clip"]
    path: Path
    """A folder: one .mp4 an event, and a .json with its message."""
    before_s: Seconds = 5.0
    """How much is shown before the event begins, seconds."""
    after_s: Seconds = 5.0
    """How much is shown after its end, seconds."""
    longest_s: Annotated[float, Field(gt=0.0, le=3600.0)] = 60.0
    """A clip is cut after so long, seconds: so much of each source is held in memory."""
    fps: Annotated[float, Field(gt=0.0, le=60.0)] = 12.0
    """Pictures kept a second, at most."""
    width_px: Annotated[int, Field(ge=32, le=4096)] = 640
    """Wider pictures are made smaller."""
    memory_mb: Annotated[float, Field(gt=0.0)] = 100.0
    """How much the pictures of a source may take, as JPEG, and so much again all clips that wait to
    be written; the oldest go first."""

    @model_validator(mode="after")
    def _something_is_left_for_the_event(self) -> ClipSinkSection:
        if self.before_s + self.after_s >= self.longest_s:
            raise ValueError("longest_s must be more than before_s and after_s together")
        return self


class SoundSinkSection(SinkSection):
    kind: Literal["sound"]
    when: When = "start"
    """Whether it is played as an event begins, when it is over, or both times."""
    file: Path | None = None
    """A .wav; by default a beep."""
    player: str | None = None
    """The program that plays it, called with the file; by default one that is there."""


SINKS = {
    "mqtt": MqttSinkSection,
    "webhook": WebhookSinkSection,
    "jsonl": JsonlSinkSection,
    "csv": CsvSinkSection,
    "clip": ClipSinkSection,
    "sound": SoundSinkSection,
}
Sink = Annotated[
    MqttSinkSection
    | WebhookSinkSection
    | JsonlSinkSection
    | CsvSinkSection
    | ClipSinkSection
    | SoundSinkSection,
    Field(discriminator="kind"),
]
