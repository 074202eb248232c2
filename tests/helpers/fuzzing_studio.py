"""Hostile requests to the studio, and damaged files of a project, for `fuzzing`.

A request is kept as JSON: method, path, query, headers, body or messages. It goes straight into the
app, so that it may be one that no browser would send.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import quote, urlencode

RUN = Path(__file__).parents[1] / "golden" / "run"
HOST = "127.0.0.1:7861"
CLIP, OTHER = "wave/20261129-101500-1.webm", "clap/mine.mp4"
PAGE_HEADERS = {"host": HOST, "origin": f"http://{HOST}"}
SEGMENT = {"start_s": 0.5, "end_s": 1.5, "label": "wave"}
POSTS: dict[str, Any] = {
    "/api/actions": {"name": "jump"},
    "/api/actions/change": {"name": "wave", "new_name": "hello", "colour": "#123456"},
    "/api/actions/delete": {"name": "clap"},
    "/api/clips/change": {"ids": [CLIP, OTHER], "action": "clap", "person": "Ana", "end_s": 1.0},
    "/api/clips/delete": {"ids": [CLIP]},
    "/api/undo": {},
    "/api/training": {},
    "/api/training/cancel": {},
    "/api/versions/use": {"run": "model-1"},
    "/api/versions/rename": {"run": "model-1", "name": "mine"},
    "/api/versions/delete": {"run": "model-1"},
    "/api/use/export": {"format": "onnx"},
    "/api/videos/delete": {"id": "day.mp4"},
    "/api/tries/x/correct": {"time_s": 1.0, "action": "wave"},
    "/api/videos/propose?id=day.mp4": {},
    "/api/videos/cut?id=day.mp4": {},
    "/api/videos/copy?id=day.mp4": {},
}
FILES = {
    "/api/clips": {"action": "wave", "person": "Ana", "take": "20261129-101500", "number": "3"},
    "/api/clips?": {"action": "clap", "name": "dropped.mp4"},
    "/api/tries": {"name": "new.mp4"},
    "/api/use/classify": {},
    "/api/videos": {"name": "day.mp4"},
    "/api/videos/import": {"id": "day.mp4", "name": "labels.csv"},
}
GETS: dict[str, dict[str, str]] = {
    "/": {},
    "/page/index.html": {},
    "/api/state": {},
    "/api/clips/video": {"id": CLIP},
    "/api/clips/poster": {"id": CLIP},
    "/api/tries/x": {},
    "/api/tries/x/why": {"time_s": "1.0"},
    "/api/use": {},
    "/api/use/model": {},
    "/api/tries/x/why/0-0.jpg": {},
    "/api/use/export/onnx": {},
    "/api/videos/file": {"id": "day.mp4"},
    "/api/videos/segments": {"id": "day.mp4"},
    "/api/videos/proposals": {"id": "day.mp4"},
    "/api/videos/export": {"id": "day.mp4", "format": "csv"},
}


def request_sources(folder: Path) -> list[bytes]:
    made: list[dict[str, Any]] = [
        {"method": "POST", "path": path, "query": {}, "body": body} for path, body in POSTS.items()
    ]
    made += [
        {"method": "POST", "path": path.rstrip("?"), "query": query, "body": "a video"}
        for path, query in FILES.items()
    ]
    made += [{"method": "GET", "path": path, "query": query} for path, query in GETS.items()]
    segments = {"segments": [SEGMENT]}
    made.append(
        {"method": "PUT", "path": "/api/videos/segments", "query": {"id": "day.mp4"},
         "body": segments}
    )  # fmt: skip
    correct = json.dumps({"correct": "wave", "time_s": 1.0, "person": None})
    made += [
        {"method": "SOCKET", "path": path, "query": {}, "messages": ["12345678 picture", correct]}
        for path in ("/api/live", "/api/events")
    ]
    return [json.dumps(one | {"headers": PAGE_HEADERS}).encode() for one in made]


def mutated_request(data: bytes, rng: random.Random) -> bytes:
    """Parts of the request replaced; now and then bytes of its body."""
    from helpers.fuzzing import TEXTS, mutated_text, mutated_tree

    tree = json.loads(data)
    for _ in range(rng.choice([1, 1, 2, 3])):
        part = rng.choice(["body", "body", "query", "query", "path", "headers", "method"])
        part = part if part in tree else "query"
        if part == "path":
            old = rng.choice(tree["path"].split("/"))
            new = rng.choice([*TEXTS, "..", "%2e%2e", "%00", CLIP])
            tree["path"] = tree["path"].replace(old, new, 1) if old else tree["path"] + new
        elif part == "method":
            tree["method"] = rng.choice(["GET", "POST", "PUT", "DELETE", "HEAD", "x"])
        elif part == "body" and rng.random() < 0.2:
            body = json.dumps(tree["body"]).encode()
            tree["body"] = mutated_text(body, rng).decode(errors="replace")
        else:
            tree[part] = mutated_tree(tree[part], rng)
    return json.dumps(tree).encode()


class NoEngine:
    """In place of an engine: each task fails at once."""

    def __init__(self, name: str) -> None:
        self.name, self.state, self.text, self.is_closed = name, "failed", "not here", False

    def start(self) -> None: ...

    def close(self) -> None: ...

    def restart(self) -> None: ...

    def ask(self, task: str, *_: object, **__: object) -> Any:
        from concurrent.futures import Future

        from action_gru.apps.studio.engine import TaskError

        failed: Future[Any] = Future()
        failed.set_exception(TaskError(f"{task}: no engine is here"))
        return failed


def filled_project(folder: Path) -> Any:
    """The studio of a project with two clips, a step to undo and a long video."""
    from action_gru.apps.studio.session import Studio

    studio = Studio(folder / "project")
    studio.reader, studio.trainer = NoEngine("reader"), NoEngine("trainer")
    shelf = studio.shelf
    for name in ("wave", "clap"):
        shelf.add_action(name)
    names = [(CLIP, {"take": "20261129-101500"}), (OTHER, {"name": "mine.mp4", "person": "Ana"})]
    for clip, facts in names:
        file = shelf.new_file()
        file.write_bytes(b"\x1a\x45\xdf\xa3 a video")
        assert shelf.add(file, clip.partition("/")[0], **facts) == clip
    shelf.change([OTHER], {"end_s": 1.0})
    (studio.project.videos / "day.mp4").write_bytes(b"a long video")
    shutil.copytree(RUN, studio.project.runs / "model-1")
    (studio.project.runs / "model-1" / "summary.json").write_text("{}")
    (folder / "secret.mp4").write_bytes(b"secret")
    return studio


@patch("os.fsync", new=lambda _: None)  # the disk is not what is tried
def check_request(path: Path) -> None:
    """The answer is no server error, and the project is whole after it."""
    from action_gru.apps.studio.server import make_app
    from action_gru.core.errors import ConfigError, DataError

    tree = json.loads(path.read_bytes())
    folder = fresh(path)
    studio = filled_project(folder)
    status, body = asyncio.run(_ask(make_app(studio), tree))
    check_project(studio, folder)
    if status < 400:
        return
    if status in (404, 405) and not tree["path"].startswith("/api/"):
        raise ConfigError("no such page")
    assert status < 500, f"{status} {body[:300]!r}"
    said = json.loads(body)
    assert list(said) == ["error"], said
    raise DataError(said["error"])


async def _ask(app: Any, tree: dict[str, Any]) -> tuple[int, bytes]:
    """Status and body of the answer; of a socket 200 where it was let in."""
    scope, messages = _scope(tree), _messages(tree)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.001)
        return next(messages)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await asyncio.wait_for(app(scope, receive, send), 10)
    if scope["type"] == "websocket":
        is_in = any(message["type"] == "websocket.accept" for message in sent)
        return (200, b"") if is_in else (403, b'{"error": "closed"}')
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], body


def _scope(tree: dict[str, Any]) -> dict[str, Any]:
    given = tree["headers"] if isinstance(tree["headers"], dict) else {}
    headers = [
        (str(name).lower().encode(errors="replace"), str(value).encode(errors="replace")[:8000])
        for name, value in {**given, "content-type": "application/json"}.items()
    ]
    query = tree["query"]
    text = urlencode(query, errors="replace") if isinstance(query, dict) else str(query)
    address, _, inner = str(tree["path"]).encode(errors="replace").decode().partition("?")
    return {
        "type": "websocket" if tree["method"] == "SOCKET" else "http",
        "method": str(tree["method"]),
        "path": address,
        "raw_path": quote(address).encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": quote(inner or text, safe="=&%+").encode(),
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 7861),
        "http_version": "1.1",
        "subprotocols": [],
        "extensions": {},
        "state": {},
    }


def _messages(tree: dict[str, Any]) -> Any:
    if tree["method"] == "SOCKET":
        texts = tree["messages"] if isinstance(tree.get("messages"), list) else []
        told = [
            {"type": "websocket.receive", "text": str(one)}
            if str(one).startswith("{")
            else {"type": "websocket.receive", "bytes": str(one).encode(errors="replace")}
            for one in texts
        ]
        gone = {"type": "websocket.disconnect", "code": 1001}
        return iter([{"type": "websocket.connect"}, *told, *([gone] * 100)])
    body = tree.get("body", "")
    data = (body if isinstance(body, str) else json.dumps(body)).encode(errors="replace")
    whole = {"type": "http.request", "body": data, "more_body": False}
    return itertools.chain([whole], itertools.repeat({"type": "http.disconnect"}))


def fresh(path: Path) -> Path:
    """An empty folder beside the case."""
    folder = path.parent / "tried"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def check_project(studio: Any, folder: Path) -> None:
    """Nothing lies outside, the state can be told, and rows agree with files."""
    from action_gru.apps.studio.clip_rows import ClipRows, clip_files

    assert sorted(one.name for one in folder.iterdir()) == ["project", "secret.mp4"]
    assert (folder / "secret.mp4").read_bytes() == b"secret"
    json.dumps(studio.state())
    clips = studio.project.clips
    for clip in studio.shelf.clips():
        assert studio.shelf.path(clip.id).resolve().is_relative_to(clips)
    if studio.shelf.problem is None:
        rows = {row["path"] for lines in ClipRows(clips).rows.values() for row in lines}
        assert rows == set(clip_files(clips))


def project_sources(folder: Path) -> list[bytes]:
    filled_project(fresh(folder / "x"))
    return [(folder / "tried" / "project" / "project.yaml").read_bytes()]


@patch("os.fsync", new=lambda _: None)
def check_project_file(path: Path) -> None:
    """A project.yaml opens or is refused; refused, it stays as it is."""
    from action_gru.core.errors import ActionGruError
    from action_gru.prepare.project import open_project

    folder, data = fresh(path) / "project", path.read_bytes()
    (folder / "clips" / "wave").mkdir(parents=True)
    (folder / "project.yaml").write_bytes(data)
    try:
        project = open_project(folder)
    except ActionGruError:
        assert (folder / "project.yaml").read_bytes() == data
        raise
    assert [action.name for action in project.actions()] == ["wave"]
    project.add("another")
    assert [action.name for action in open_project(folder).actions()][-1] == "another"


def history_sources(folder: Path) -> list[bytes]:
    studio = filled_project(fresh(folder / "x"))
    studio.shelf.delete([CLIP])
    studio.shelf.change_action("clap", "hello", None)
    studio.shelf.delete_action("hello")
    kept = json.loads(studio.shelf.history.path.read_bytes())
    begun = {"steps": kept["steps"][:-1], "unfinished": kept["steps"][-1], "is_undo": False}
    return [json.dumps(kept).encode(), json.dumps(begun).encode()]


def mutated_history(data: bytes, rng: random.Random) -> bytes:
    from helpers.fuzzing import mutated_text, mutated_tree

    if rng.random() < 0.2:
        return mutated_text(data, rng)
    return json.dumps(mutated_tree(json.loads(data), rng)).encode()


@patch("os.fsync", new=lambda _: None)
def check_history(path: Path) -> None:
    """Whatever undo.json says, the project opens, nothing leaves it, and no clip is lost."""
    from action_gru.apps.studio.session import Studio

    folder = fresh(path)
    first = filled_project(folder)
    first.shelf.history.path.write_bytes(path.read_bytes())
    studio = Studio(first.folder)
    studio.reader, studio.trainer = NoEngine("reader"), NoEngine("trainer")
    try:
        studio.shelf.recover()
        while studio.shelf.undo_text() is not None:
            studio.shelf.undo()
    finally:
        check_project(studio, folder)
        held = [one for one in first.folder.rglob("*") if one.name in ("mine.mp4", Path(CLIP).name)]
        assert len(held) >= 2, "a clip is lost"


def rows_sources(folder: Path) -> list[bytes]:
    filled_project(fresh(folder / "x"))
    text = (folder / "tried" / "project" / "clips" / "manifest.csv").read_text()
    return [text.encode(), text.replace("\n", ",1\n").replace("end_s,1", "end_s,note").encode()]


@patch("os.fsync", new=lambda _: None)
def check_rows(path: Path) -> None:
    """Whatever manifest.csv says, clips are listed, and it is changed whole or stays."""
    from action_gru.core.errors import ActionGruError

    folder = fresh(path)
    studio = filled_project(folder)
    table = studio.project.clips / "manifest.csv"
    table.write_bytes(path.read_bytes())
    assert {clip.id for clip in studio.shelf.clips()} == {CLIP, OTHER}
    try:
        studio.shelf.change([CLIP], {"person": "Béla"})
    except ActionGruError:
        assert table.read_bytes() == path.read_bytes()
        raise
    finally:
        assert studio.shelf.path(CLIP).is_file()
    people = {clip.id: clip.person for clip in studio.shelf.clips()}
    assert people[CLIP] in ("Béla", None)  # None: several rows


Kind = tuple[
    Callable[[Path], list[bytes]],
    Callable[[bytes, random.Random], bytes],
    str,
    Callable[[Path], None],
]


def mutated_lines(data: bytes, rng: random.Random) -> bytes:
    from helpers.fuzzing import mutated_text

    return mutated_text(data, rng)


def frame_sources(folder: Path) -> list[bytes]:
    import numpy as np

    from helpers.studio_doubles import jpeg

    rng = np.random.default_rng(0)
    sizes = ((48, 64), (97, 31), (1, 1))
    return [jpeg(rng.integers(0, 255, (*size, 3), dtype=np.uint8)) for size in sizes]


def mutated_frame(data: bytes, rng: random.Random) -> bytes:
    from helpers.fuzzing import mutated_bytes

    return mutated_bytes(data, rng)


def check_frame(path: Path) -> None:
    """A camera's frame is a picture within the limits, or a VideoError."""
    from action_gru.apps.studio.frames import MOST_PIXELS, decode_frame

    height, width, channels = decode_frame(path.read_bytes()).shape
    assert channels == 3
    assert 0 < height * width <= MOST_PIXELS


STUDIO_KINDS: dict[str, Kind] = {
    "studio_request": (request_sources, mutated_request, ".json", check_request),
    "studio_project": (project_sources, mutated_lines, ".yaml", check_project_file),
    "studio_history": (history_sources, mutated_history, ".json", check_history),
    "studio_rows": (rows_sources, mutated_lines, ".csv", check_rows),
    "studio_frame": (frame_sources, mutated_frame, ".jpg", check_frame),
}
