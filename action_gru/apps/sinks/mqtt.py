"""Publishes messages over MQTT, and announces an entity for each class to Home Assistant.

Topics, with the one of the url as ROOT: ROOT/event (each message), ROOT/class/CLASS (the newest
message of a class, with what its entity reads), ROOT/status (online or offline).
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from action_gru.apps.sinks.message import Message
from action_gru.apps.sinks.secrets import secret_of, tls_context
from action_gru.apps.sinks.worker import SinkDownError
from action_gru.config.sinks import MqttSinkSection
from action_gru.core.errors import MissingExtraError

if TYPE_CHECKING:
    from paho.mqtt.client import Client

USER, PASSWORD = "ACTION_GRU_MQTT_USERNAME", "ACTION_GRU_MQTT_PASSWORD"
PORTS = {"mqtt": 1883, "mqtts": 8883}
DEFAULT_ROOT = "action_gru"
ANSWER_S = 10.0  # of the broker, to a connection and to a message
LOOK_S = 0.05
KEEP_ALIVE_S = 30


class MqttSink:
    """A connection that is made anew whenever it is lost; each message waits for the broker's word.

    Where a start and an end are told, a class is a binary sensor, on while an event of it goes on;
    else it is an event entity.
    """

    def __init__(self, settings: MqttSinkSection, classes: Sequence[str], model: str) -> None:
        parts = urlsplit(settings.url)
        self._settings, self._model = settings, model
        self._host, self._tls = parts.hostname or "", parts.scheme == "mqtts"
        self._port = parts.port or PORTS[parts.scheme]
        self._root = unquote(parts.path).strip("/") or DEFAULT_ROOT
        self._name = f"{parts.scheme}://{self._host}:{self._port}/{self._root}"
        self._user = settings.username or (unquote(parts.username) if parts.username else None)
        self._user = self._user or secret_of(None, USER)
        self._password = secret_of(settings.password_file, PASSWORD)
        self._context = tls_context(settings.ca_file) if self._tls else None
        wanted = [name for name in classes if name in (settings.classes or classes)]
        self._topics = _slugs(wanted)
        self._going: dict[str, set[str]] = {name: set() for name in wanted}  # ids by class
        self._client: Client | None = None
        self._is_sensor = settings.when == "both"

    def deliver(self, item: Message, is_old: bool) -> None:
        self.look_after()
        self._publish(f"{self._root}/event", item)
        if not is_old:  # an event of the last run may have no end
            self._show_class(item)

    def look_after(self) -> None:
        """Connect if need be, and say what is the case."""
        if self._client is not None and self._client.is_connected():
            return
        self._let_go()
        self._client = self._connected()
        if self._settings.discovery is not None:
            for label in self._topics:
                self._announce(label, self._settings.discovery)
        if self._is_sensor:
            for label, going in self._going.items():
                self._publish(self._topic(label), _state(bool(going), {}), retain=True)
        self._publish(f"{self._root}/status", "online", retain=True)

    def close(self) -> None:
        """Say that we go; without it the broker does, by our last will."""
        try:
            if self._client is not None and self._client.is_connected():
                self._publish(f"{self._root}/status", "offline", retain=True)
        except SinkDownError:
            pass
        finally:
            self._let_go()

    def _let_go(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def _connected(self) -> Client:
        """A new connection. Raises SinkDownError."""
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError:
            raise MissingExtraError("paho-mqtt", "mqtt", "a sink of the kind mqtt") from None
        name = f"action_gru-{uuid.uuid4().hex[:12]}"
        client = Client(CallbackAPIVersion.VERSION2, name, reconnect_on_failure=False)
        answers: list[Any] = []
        answered = threading.Event()

        def hear(_client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            answers.append(reason)
            answered.set()

        client.on_connect = hear
        client.connect_timeout = ANSWER_S
        client.will_set(f"{self._root}/status", "offline", qos=1, retain=True)
        if self._user is not None:
            client.username_pw_set(self._user, self._password)
        if self._context is not None:
            client.tls_set_context(self._context)
        try:
            client.connect(self._host, self._port, KEEP_ALIVE_S)
        except (OSError, ValueError) as error:
            raise SinkDownError(f"{self._name} cannot be reached ({error})") from error
        client.loop_start()
        has_answered = answered.wait(ANSWER_S)
        if has_answered and not answers[0].is_failure:
            return client
        client.disconnect()
        client.loop_stop()
        why = f"refuses: {answers[0]}" if has_answered else f"is silent for {ANSWER_S:g} s"
        raise SinkDownError(f"{self._name} {why}")

    def _publish(self, topic: str, value: Message | str, retain: bool = False) -> None:
        """Returns once the broker has it. Raises SinkDownError."""
        assert self._client is not None
        text = value if isinstance(value, str) else json.dumps(value)
        sent = self._client.publish(topic, text, qos=1, retain=retain)
        until_s = time.monotonic() + ANSWER_S
        try:
            while not sent.is_published() and time.monotonic() < until_s:
                if not self._client.is_connected():
                    break
                sent.wait_for_publish(LOOK_S)
            if sent.is_published():
                return
        except (RuntimeError, ValueError) as error:
            self._let_go()
            raise SinkDownError(f"{self._name} was lost ({error})") from error
        self._let_go()  # what it has not answered is sent by a new connection
        raise SinkDownError(f"{self._name} was lost")

    def _topic(self, label: str) -> str:
        return f"{self._root}/class/{self._topics[label]}"

    def _show_class(self, message: Message) -> None:
        label, event, is_start = message["label"], message["id"], message["state"] == "start"
        going = self._going[label]
        (going.add if is_start else going.discard)(event)
        self._publish(self._topic(label), _state(bool(going), message), retain=self._is_sensor)

    def _announce(self, label: str, prefix: str) -> None:
        """Home Assistant's discovery message of a class, which stays at the broker."""
        from action_gru import __version__

        settings, device = self._settings, _slug(self._settings.device)
        kind = "binary_sensor" if self._is_sensor else "event"
        own: dict[str, Any] = {"event_types": [settings.when]}
        if self._is_sensor:
            own = {
                "value_template": "{{ value_json.active }}",
                "json_attributes_topic": self._topic(label),
            }
        config = own | {
            "name": label,
            "unique_id": f"{device}_{self._topics[label]}",
            "state_topic": self._topic(label),
            "availability_topic": f"{self._root}/status",
            "qos": 1,
            "device": {
                "identifiers": [device],
                "name": settings.device,
                "manufacturer": "action_gru",
                "model": self._model,
                "sw_version": __version__,
            },
            "origin": {"name": "action_gru", "sw_version": __version__},
        }
        self._publish(f"{prefix}/{kind}/{device}/{self._topics[label]}/config", config, retain=True)


def _state(is_going: bool, message: Message) -> Message:
    """What the entity of a class reads: active, or event_type; the rest are its attributes."""
    event = {"event_type": message["state"]} if message else {}
    return {"active": "ON" if is_going else "OFF"} | event | message


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "class"


def _slugs(labels: Sequence[str]) -> dict[str, str]:
    """A part of a topic for each class, each its own: 'hand up' -> hand_up."""
    found: dict[str, str] = {}
    for label in labels:
        slug, count = _slug(label), 2
        while slug in found.values():
            slug, count = f"{_slug(label)}_{count}", count + 1
        found[label] = slug
    return found
