"""MQTT with a real mosquitto and web hooks with a real server, both on loopback, with cuts."""

import hashlib
import hmac
import json
import ssl
import subprocess
import time

import pytest
from helpers.live_servers import eventually
from helpers.receivers import Broker, Hook, Listener, Told, free_port

from action_gru.apps.sinks import worker
from action_gru.apps.sinks.events import EventSinks
from action_gru.config import build_config
from action_gru.core.errors import ConfigError
from action_gru.timeline import Event

pytestmark = pytest.mark.slow
CLASSES = ("fall", "hand up")


class Stage:
    """Sinks as a live loop has them, and events for them."""

    def __init__(self, tmp_path, *sinks, classes=CLASSES, spool=None):
        tree = {"events": {"sinks": list(sinks)}}
        self.told, self.number = Told(), 0
        self.spool = spool or tmp_path / "spool"
        self.sinks = EventSinks(
            build_config(tree).events.sinks, ["cam"], classes, "demo", self.told, spool=self.spool
        )

    def event(self, label="fall") -> None:
        """One that is certain as it ends, 0.5 s long."""
        self.number += 1
        self.sinks.look(0, [], [Event(label, self.number, self.number + 0.5, 0.8)])

    def status(self, name):
        (found,) = [one for one in self.sinks.status() if one.name == name]
        return found


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(worker, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(worker, "LONGEST_PAUSE_S", 0.2)
    monkeypatch.setattr(worker, "LOOK_S", 0.2)


@pytest.fixture
def broker(tmp_path):
    with Broker(tmp_path) as one:
        yield one


def mqtt(broker, **keys):
    return {"kind": "mqtt", "url": f"mqtt://127.0.0.1:{broker.port}/door", **keys}


def starts(events):
    return [one["start_s"] for one in events]


def test_an_event_arrives_as_it_begins_and_once_it_is_over(broker, tmp_path):
    listener = Listener(broker.port)
    stage = Stage(tmp_path, mqtt(broker))
    began = [Event("hand up", 2.0, 2.4 + step / 10, 0.7) for step in range(3)]
    for event in began:
        stage.sinks.look(0, [event])
    assert eventually(lambda: len(listener.events("door")) == 1)
    assert listener.last("door/class/hand_up") is not None
    state = json.loads(listener.last("door/class/hand_up"))
    assert (state["active"], state["event_type"], state["state"]) == ("ON", "start", "start")
    stage.sinks.look(0, [], [Event("hand up", 2.0, 3.0, 0.75)])
    stage.sinks.close()
    assert eventually(lambda: listener.last("door/status") == "offline")
    start, end = listener.events("door")
    assert (start["state"], start["end_s"], start["score"]) == ("start", None, 0.7)
    assert (end["state"], end["end_s"], end["score"]) == ("end", 3.0, 0.75)
    assert start["id"] == end["id"]
    assert json.loads(listener.last("door/class/hand_up"))["active"] == "OFF"
    listener.close()


def test_home_assistant_finds_an_entity_for_each_class(broker, tmp_path):
    stage = Stage(tmp_path, mqtt(broker, device="Front door"))
    first = Listener(broker.port)
    assert eventually(lambda: first.last("door/status") == "online")
    first.close()
    listener = Listener(broker.port)
    topic = "homeassistant/binary_sensor/front_door/hand_up/config"
    assert eventually(lambda: listener.last(topic) is not None)
    assert eventually(lambda: listener.last("door/status") == "online")
    assert all(retained for _, _, retained in listener.got)  # it came after they were sent
    found = json.loads(listener.last(topic))
    assert found["name"] == "hand up"
    assert found["state_topic"] == found["json_attributes_topic"] == "door/class/hand_up"
    assert found["availability_topic"] == "door/status"
    assert found["value_template"] == "{{ value_json.active }}"
    assert found["device"]["identifiers"] == ["front_door"]
    others = json.loads(listener.last(topic.replace("hand_up", "fall")))
    assert found["unique_id"] != others["unique_id"]
    assert found["device"] == others["device"]
    assert json.loads(listener.last("door/class/hand_up")) == {"active": "OFF"}
    stage.sinks.close()
    listener.close()


def test_where_only_one_message_leaves_a_class_is_an_event_entity(broker, tmp_path):
    listener = Listener(broker.port)
    stage = Stage(tmp_path, mqtt(broker, when="start", classes=["fall"]))
    stage.event("fall")
    stage.event("hand up")
    stage.sinks.close()
    topic = "homeassistant/event/action_gru/fall/config"
    assert eventually(lambda: listener.last(topic) is not None)
    assert json.loads(listener.last(topic))["event_types"] == ["start"]
    assert eventually(lambda: listener.last("door/status") == "offline")
    assert json.loads(listener.last("door/class/fall"))["event_type"] == "start"
    assert listener.last("door/class/hand_up") is None
    listener.close()
    late = Listener(broker.port)  # an event that is over is not told again
    assert eventually(lambda: late.last("door/status") == "offline")
    assert late.last("door/class/fall") is None
    late.close()


def test_no_event_is_lost_while_the_broker_is_gone(broker, tmp_path):
    stage = Stage(tmp_path, mqtt(broker, when="end"))
    stage.event()
    assert eventually(lambda: stage.status("mqtt").sent == 1)
    broker.kill()
    for _ in range(20):
        stage.event()
    assert eventually(lambda: stage.status("mqtt").down != "")
    assert eventually(lambda: stage.status("mqtt").waiting == 20)
    broker.start()
    listener = Listener(broker.port)
    assert eventually(lambda: stage.status("mqtt").waiting == 0, within_s=60)
    stage.sinks.close()
    assert eventually(lambda: listener.last("door/status") == "offline")
    # The sink may come back before the listener: the broker then has nobody to tell.
    assert starts(listener.events("door")) == list(range(2, 22))[-len(listener.events("door")) :]
    assert stage.status("mqtt").sent == 21
    assert len(stage.told.saying("trying again")) == 1
    assert len(stage.told.saying("works again")) == 1
    listener.close()


def test_what_waited_for_a_broker_is_sent_by_the_next_start(broker, tmp_path):
    broker.kill()
    first = Stage(tmp_path, mqtt(broker))
    first.event()
    first.sinks.close(within_s=5)
    assert first.told.saying("are sent at the next start")
    broker.start()
    listener = Listener(broker.port)
    second = Stage(tmp_path, mqtt(broker))
    assert eventually(lambda: second.status("mqtt").sent == 2)
    second.sinks.close()
    assert eventually(lambda: listener.last("door/status") == "offline")
    assert [one["state"] for one in listener.events("door")] == ["start", "end"]
    # An old start must not switch a sensor on: its end may never come.
    states = [text for topic, text, _ in listener.got if topic == "door/class/fall"]
    assert {json.loads(text)["active"] for text in states} == {"OFF"}
    listener.close()


def test_a_program_that_dies_is_told_by_the_broker(broker, tmp_path):
    stage = Stage(tmp_path, mqtt(broker))
    listener = Listener(broker.port)
    assert eventually(lambda: listener.last("door/status") == "online")
    client = stage.sinks._outlets[0].worker._sink._client
    client.socket().shutdown(2)  # as the system does for a process that is killed
    assert eventually(lambda: ("door/status", "offline", False) in listener.got)
    assert eventually(lambda: listener.last("door/status") == "online")  # and it comes back
    stage.sinks.close()
    listener.close()


def test_a_broker_may_ask_for_a_user_and_a_password(tmp_path, monkeypatch):
    users = tmp_path / "users"
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", users, "me", "right"], check=True, capture_output=True
    )
    users.chmod(0o644)
    with Broker(tmp_path, f"allow_anonymous false\npassword_file {users}") as broker:
        monkeypatch.setenv("ACTION_GRU_MQTT_USERNAME", "me")
        monkeypatch.setenv("ACTION_GRU_MQTT_PASSWORD", "wrong")
        stage = Stage(tmp_path, mqtt(broker))
        stage.event()
        assert eventually(lambda: "Not authorized" in stage.status("mqtt").down)
        stage.sinks.close(within_s=5)
        monkeypatch.delenv("ACTION_GRU_MQTT_PASSWORD")
        file = tmp_path / "password"
        file.write_text("right\n")
        stage = Stage(tmp_path, mqtt(broker, password_file=str(file)))
        assert eventually(lambda: stage.status("mqtt").sent == 2)
        stage.sinks.close()


def certificate(folder) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder / "key.pem",
         "-out", folder / "cert.pem", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "key.pem").chmod(0o644)


def test_tls_checks_the_certificate(tmp_path):
    certificate(tmp_path)
    files = f"certfile {tmp_path}/cert.pem\nkeyfile {tmp_path}/key.pem"
    with Broker(tmp_path, f"allow_anonymous true\n{files}") as broker:
        url = f"mqtts://127.0.0.1:{broker.port}/door"
        stage = Stage(tmp_path, {"kind": "mqtt", "url": url})
        assert eventually(lambda: "CERTIFICATE_VERIFY_FAILED" in stage.status("mqtt").down)
        stage.sinks.close(within_s=5)
        trusted = {"kind": "mqtt", "url": url, "ca_file": str(tmp_path / "cert.pem")}
        stage = Stage(tmp_path, trusted)
        stage.event()
        assert eventually(lambda: stage.status("mqtt").sent == 2)
        stage.sinks.close()


def webhook(hook, **keys):
    return {"kind": "webhook", "url": hook.url, "when": "end", **keys}


def test_a_web_hook_gets_signed_messages(tmp_path, monkeypatch):
    monkeypatch.setenv("ACTION_GRU_WEBHOOK_SECRET", "s3cret")
    monkeypatch.setenv("TOKEN", "t0ken")
    headers = {"Authorization": "Bearer ${TOKEN}"}
    with Hook() as hook:
        stage = Stage(tmp_path, webhook(hook, headers=headers))
        stage.event()
        stage.sinks.close()
        ((path, got, body),) = hook.got
    message = json.loads(body)
    assert (path, message["label"], message["schema"]) == ("/hook", "fall", 1)
    assert got["Content-Type"] == "application/json"
    assert got["Authorization"] == "Bearer t0ken"
    assert got["X-Action-Gru-Event"] == f"{message['id']}-end"
    signed = f"{got['X-Action-Gru-Timestamp']}.".encode() + body
    expected = hmac.new(b"s3cret", signed, hashlib.sha256).hexdigest()
    assert got["X-Action-Gru-Signature"] == f"sha256={expected}"
    assert abs(time.time() - int(got["X-Action-Gru-Timestamp"])) < 300
    told = "".join(path.read_text() for path in (tmp_path / "spool").rglob("*") if path.is_file())
    assert "t0ken" not in told


def test_a_server_that_fails_hangs_and_hangs_up_gets_everything_in_order(tmp_path):
    with Hook() as hook:
        hook.answers = [500, "hang", "close", 503, (429, {"Retry-After": "0"}), 404, 401]
        stage = Stage(tmp_path, webhook(hook, timeout_s=0.5))
        for _ in range(3):
            stage.event()
        assert eventually(lambda: len(hook.got) == 3, within_s=60)
        assert starts(hook.bodies()) == [1, 2, 3]
        assert hook.asked == 10
        assert len(stage.told.saying("trying again")) == 1
        stage.sinks.close()


def test_a_server_that_is_gone_and_comes_back_gets_everything(tmp_path):
    port = free_port()
    url = f"http://127.0.0.1:{port}/hook"
    stage = Stage(tmp_path, {"kind": "webhook", "url": url, "when": "end"})
    for _ in range(50):
        stage.event()
    assert eventually(lambda: "refused" in stage.status("webhook").down)
    with Hook(port) as hook:
        assert eventually(lambda: len(hook.got) == 50, within_s=60)
        assert starts(hook.bodies()) == list(range(1, 51))
        stage.sinks.close()


def test_a_hanging_server_holds_up_neither_the_loop_nor_the_end(tmp_path):
    with Hook() as hook:
        hook.answers = ["hang"] * 99
        stage = Stage(tmp_path, webhook(hook, timeout_s=60.0, limit=5))
        began_s = time.monotonic()
        for _ in range(500):
            stage.event()
        looked_s = time.monotonic() - began_s
        assert eventually(lambda: stage.status("webhook").dropped >= 490, within_s=60)
        began_s = time.monotonic()
        stage.sinks.close(within_s=1)
        closed_s = time.monotonic() - began_s
    assert looked_s < 5  # a wait for one of the answers would take 60
    assert closed_s < 10
    assert stage.told.saying("are sent at the next start")
    assert stage.told.saying("no more than 5 wait")


def test_a_message_that_is_refused_is_left_out(tmp_path):
    with Hook() as hook:
        hook.answers = [400]
        stage = Stage(tmp_path, webhook(hook))
        stage.event()
        stage.event()
        stage.sinks.close()
        assert starts(hook.bodies()) == [2]
    assert stage.status("webhook").dropped == 1
    assert stage.told.saying("refused, and left out: http://127.0.0.1")


def test_a_redirect_is_followed_on_the_same_host_only(tmp_path):
    with Hook() as hook, Hook() as other:
        hook.answers = [(307, {"Location": "/there"})]
        stage = Stage(tmp_path, webhook(hook))
        stage.event()
        assert eventually(lambda: len(hook.got) == 1)
        assert hook.got[0][0] == "/there"
        hook.answers = [(302, {"Location": other.url})]
        stage.event()
        assert eventually(lambda: len(hook.got) == 2)
        assert stage.told.saying("sends to another place")
        assert other.asked == 0
        stage.sinks.close()


def test_https_checks_the_certificate(tmp_path):
    certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with Hook() as hook:
        hook.server.socket = context.wrap_socket(hook.server.socket, server_side=True)
        url = hook.url.replace("http:", "https:")
        stage = Stage(tmp_path, {"kind": "webhook", "url": url})
        stage.event()
        assert eventually(lambda: "CERTIFICATE_VERIFY_FAILED" in stage.status("webhook").down)
        stage.sinks.close(within_s=5)
        assert hook.got == []
        trusted = {"kind": "webhook", "url": url, "ca_file": str(tmp_path / "cert.pem")}
        stage = Stage(tmp_path, trusted)
        assert eventually(lambda: len(hook.got) == 2)
        stage.sinks.close()


def test_a_service_may_want_its_own_form(tmp_path):
    body = {"chat_id": "1", "text": "{label} at {source}: {score} {unknown}"}
    with Hook() as hook:
        stage = Stage(tmp_path, webhook(hook, body=body))
        stage.event()
        stage.sinks.close()
        assert hook.bodies() == [{"chat_id": "1", "text": "fall at cam: 0.8 {unknown}"}]


def test_a_spool_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with Hook() as hook, pytest.raises(ConfigError, match="messages cannot wait there"):
        Stage(tmp_path, webhook(hook), spool=tmp_path / "file" / "spool")
