"""Only the studio's own page gets in: no other site, no foreign name of this machine."""

import asyncio
import json

import pytest
from helpers.studio_app import HERE, open_app
from starlette.websockets import WebSocketDisconnect

from action_gru.apps.studio import guard as guards
from action_gru.apps.studio.guard import Guard

HOST = HERE.removeprefix("http://")


def ask(guard: Guard, method: str = "GET", path: str = "/api/state", **headers: str) -> tuple:
    """Status, sentence and headers of an answer; None for the headers that are None."""
    named = {"host": HOST, "origin": HERE} | headers
    pairs = [
        (name.replace("_", "-").encode(), value.encode("latin-1"))
        for name, value in named.items()
        if value is not None
    ]
    scope = {"type": "http", "method": method, "path": path, "headers": pairs, "client": ("a", 1)}
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": b"x" * 10, "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(body).get("error", ""), dict(sent[0]["headers"])


@pytest.fixture
def guard() -> Guard:
    async def app(scope: dict, receive: object, send: object) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    return Guard(app, "127.0.0.1")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:7861", "localhost:9000", "LOCALHOST", "[::1]:7861", "127.0.0.1", "192.168.1.5:80"],
)
def test_the_machine_is_asked_for_by_its_own_names_and_by_addresses(guard, host):
    assert ask(guard, host=host, origin=None)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:7861", "127.0.0.1.evil.example", "localhost.evil.example", "",
        "127.0.0.1:7861@evil.example", "evil@127.0.0.1", "127.0.0.1; script-src *", "127.0.0.1:x",
        "[::1", "127.0.0.1 evil.example", "évil", None,
    ],
)  # fmt: skip
def test_a_name_that_another_site_points_at_this_machine_is_refused(guard, host):
    status, said, _ = ask(guard, host=host, origin=None)
    assert status == 403
    assert "open the address that it printed" in said


def test_a_studio_that_is_told_its_host_answers_to_it():
    async def app(scope: dict, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    assert ask(Guard(app, "Studio.Lan"), host="studio.lan:7861", origin=None)[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    "origin",
    [
        None, "null", "http://evil.example", "http://127.0.0.1:80", "http://127.0.0.1",
        "http://127.0.0.1:7861.evil.example", "http://localhost:7861", "file://", "http://[", "",
    ],
)  # fmt: skip
def test_another_site_changes_nothing(guard, method, origin):
    status, said, _ = ask(guard, method, "/api/undo", origin=origin)
    assert (status, said) == (403, "only the server's own page may change something; open it again")


def test_the_own_page_changes_things_also_behind_a_proxy(guard):
    assert ask(guard, "POST", "/api/undo")[0] == 200
    proxied = {"host": "localhost:9000", "origin": "https://localhost:9000"}
    assert ask(guard, "POST", "/api/undo", **proxied)[0] == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_an_element_of_another_site_shows_no_clip(guard, site):
    assert ask(guard, path="/api/clips/video", sec_fetch_site=site, origin=None)[0] == 403
    assert ask(guard, path="/", sec_fetch_site=site, origin=None)[0] == 200  # a link to the page
    for own in ("same-origin", "none"):
        assert ask(guard, path="/api/state", sec_fetch_site=own, origin=None)[0] == 200


def test_every_answer_says_what_the_page_may_load(guard):
    for path in ("/", "/api/state"):
        headers = ask(guard, path=path)[2]
        policy = headers[b"content-security-policy"].decode()
        assert policy.startswith("default-src 'self'; ")
        assert f"connect-src 'self' ws://{HOST} wss://{HOST}; object-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers[b"x-content-type-options"] == b"nosniff"
        assert headers[b"cross-origin-resource-policy"] == b"same-origin"
    refused = ask(guard, host="evil.example")[2]
    assert refused[b"x-content-type-options"] == b"nosniff"


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/api/actions", guards.JSON_BYTES),
        ("/api/clips", guards.CLIP_BYTES),
        ("/api/tries", guards.CLIP_BYTES),
        ("/api/videos", guards.VIDEO_BYTES),
        ("/api/videos/import", guards.LABELS_BYTES),
        ("/api/clips/change", guards.JSON_BYTES),
        ("/anything", guards.JSON_BYTES),
    ],
)
def test_what_says_that_it_is_too_large_is_refused_before_it_comes(guard, path, limit):
    assert ask(guard, "POST", path, content_length=str(limit))[0] == 200
    status, said, _ = ask(guard, "POST", path, content_length=str(limit + 1))
    assert status == 413
    assert said == f"larger than {limit // 1_000_000} MB, which is the limit here"


def test_what_goes_on_past_its_limit_is_stopped_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(guards.LIMITS, "/api/clips", 1000)
    with open_app(tmp_path / "p") as (client, studio):
        client.post("/api/actions", json={"name": "wave"})

        def pieces():
            for _ in range(20):
                yield b"x" * 100

        answer = client.post("/api/clips?action=wave", content=pieces())  # it says no length
        assert (answer.status_code, list(answer.json())) == (413, ["error"])
        assert list(studio.shelf.temp.iterdir()) == []
        assert studio.shelf.clips() == ()


def test_two_hundred_files_pass_at_once_and_a_flood_does_not():
    now_s = 0.0

    async def app(scope: dict, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    guard = Guard(app, "127.0.0.1", clock=lambda: now_s)
    scope = {"type": "http", "method": "POST", "path": "/api/clips", "client": ("a", 1)}
    scope["headers"] = [(b"host", HOST.encode()), (b"origin", HERE.encode())]
    found = [guard._refusal(scope) for _ in range(1000)]
    assert found[:600] == [None] * 600
    assert found[600:] == [(429, "too many requests at once; wait a moment")] * 400
    now_s = 10.0
    assert [guard._refusal(scope) for _ in range(201)][:200] == [None] * 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"}, {}, {"origin": HERE, "host": "evil.example"},
        {"origin": "null"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/api/events", "/api/live"])
def test_another_site_hears_nothing(tmp_path, headers, path):
    with open_app(tmp_path / "p") as (client, _):
        client.headers.pop("origin")
        connecting = client.websocket_connect(f"ws://{HOST}{path}", headers=headers)
        with pytest.raises(WebSocketDisconnect) as raised, connecting:
            pytest.fail("it was let in")
        assert raised.value.code == 1008


@pytest.mark.parametrize("is_begun", [False, True])
def test_what_ctrl_c_breaks_off_is_told_so_and_the_log_has_no_traceback(is_begun):
    sent = []

    async def endless(scope, receive, send):
        if is_begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(60)

    async def send(message):
        sent.append(message)

    async def break_off():
        scope = {
            "type": "http", "method": "GET", "path": "/api/state", "headers": [(b"host", b"[::1]")],
        }  # fmt: skip
        task = asyncio.create_task(Guard(endless, "127.0.0.1")(scope, None, send))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(break_off()) == is_begun
    statuses = [message["status"] for message in sent if "status" in message]
    assert statuses == [200 if is_begun else 503]
