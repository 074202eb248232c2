"""From `--to TARGET` to a sink's settings, and what is refused before a model is loaded.

Imports neither torch nor a client of any sink.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from action_gru.apps.checks import check_folder, check_target, need
from action_gru.backbone.weight_files import home_folder
from action_gru.config import load_config
from action_gru.config.sinks import (
    ClipSinkSection,
    CsvSinkSection,
    FileSinkSection,
    MqttSinkSection,
    Sink,
    SinkSection,
    SoundSinkSection,
    WebhookSinkSection,
)
from action_gru.core.errors import ConfigError

SCHEMES = {"mqtt": "mqtt", "mqtts": "mqtt", "http": "webhook", "https": "webhook"}
ENDINGS = {".jsonl": "jsonl", ".csv": "csv"}
CONFIGS = (".yaml", ".yml")
FORMS = (
    "mqtt://HOST/TOPIC, https://HOST/PATH, NAME.jsonl, NAME.csv, FOLDER/ (clips), sound, or a "
    ".yaml with events.sinks"
)


def sinks_of(target: str) -> tuple[SinkSection, ...]:
    """The settings of `--to TARGET`: one sink at its defaults, or those of a config's file.

    Raises ConfigError.
    """
    if Path(target).suffix.lower() not in CONFIGS or "://" in target:
        return (sink_of(target),)
    if not (sinks := load_config(target).events.sinks):
        raise ConfigError(f"--to {target}: lists no sinks; write them under events: sinks:")
    return sinks


def sink_of(target: str) -> SinkSection:
    """One sink at its defaults."""
    scheme, path = target.partition("://")[0].lower(), Path(target)
    given: dict[str, Any]
    if "://" in target and scheme in SCHEMES:
        given = {"kind": SCHEMES[scheme], "url": target}
    elif target == "sound":
        given = {"kind": "sound"}
    elif path.suffix.lower() == ".wav":
        given = {"kind": "sound", "file": target}
    elif path.suffix.lower() in ENDINGS:
        given = {"kind": ENDINGS[path.suffix.lower()], "path": target}
    elif target and "://" not in target and (target.endswith(os.sep) or path.is_dir()):
        given = {"kind": "clip", "path": target}
    else:
        raise ConfigError(f"--to {target}: is none of {FORMS}")
    try:
        sink: SinkSection = TypeAdapter(Sink).validate_python(given, strict=False)
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"--to {target}: {said}") from error
    return sink


def check_sinks(sinks: Sequence[SinkSection], classes: Sequence[str], per_person: bool) -> None:
    """Raise for a sink that cannot work: ConfigError, MissingExtraError."""
    for number, sink in enumerate(sinks):
        named = f"events.sinks.{number}"
        if unknown := [name for name in sink.classes if name not in classes]:
            raise ConfigError(
                f"{named}.classes: the model has no class {', '.join(unknown)}; it knows "
                f"{', '.join(classes)}"
            )
        if sink.zone is not None and not per_person:
            raise ConfigError(
                f"{named}.zone: without --per-person nobody knows where in the picture something "
                "happens; add --per-person, or leave the zone out"
            )
        _check_place(sink, named)


def _check_place(sink: SinkSection, named: str) -> None:
    """Where it writes, and what it needs of this machine."""
    if isinstance(sink, FileSinkSection):
        check_target(f"{named}.path", sink.path, (sink.path.suffix.lower(),), [])
        if isinstance(sink, CsvSinkSection):
            from action_gru.apps.sinks.files import CsvSink

            CsvSink(sink.path)
    elif isinstance(sink, ClipSinkSection):
        check_folder(f"{named}.path: {sink.path}", sink.path)
    elif isinstance(sink, MqttSinkSection):
        from action_gru.apps.sinks.mqtt import MqttSink

        need("paho", "mqtt", f"{named}: a sink of the kind mqtt")
        MqttSink(sink, (), "")
    elif isinstance(sink, WebhookSinkSection):
        from action_gru.apps.sinks.webhook import WebhookSink

        WebhookSink(sink)
    elif isinstance(sink, SoundSinkSection):
        from action_gru.apps.sinks.sound import find_player

        find_player(sink.player)
        if sink.file is not None and not sink.file.is_file():
            raise ConfigError(f"{named}.file: no file at {sink.file}; check the path")


def spool_folder() -> Path:
    """Where messages wait for sinks that are down. They outlive the program: it is no cache.

    ACTION_GRU_HOME/spool, or a part of the user's state.
    """
    if os.environ.get("ACTION_GRU_HOME"):
        return home_folder() / "spool"
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return state / "action_gru" / "spool"
