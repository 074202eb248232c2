"""`serve` over HTTP: the library's answer to a video, sentences for all else, keys and limits."""

import asyncio
import json
import threading

import pytest
from helpers.serve_app import CLIP, GOLDEN, HERE, golden_models, open_app
from starlette.requests import Request

from action_gru.apps import serving
from action_gru.apps.serve import reading, uploads
from action_gru.apps.serve.guard import Rules
from action_gru.apps.serve.models import check_names, name_of
from action_gru.apps.serve.service import Limits
from action_gru.cli.serve import KEY, find_keys
from action_gru.core.errors import ConfigError

SECRET = "0123456789abcdef"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"


@pytest.fixture(scope="module")
def server():
    with open_app() as (client, service):
        yield client, service


def upload(client, data: bytes, name: str = "clip.mp4", field: str = "file", **more):
    return client.post("/classify", files={field: (name, data)}, **more)


def left_over(service) -> list:
    return list(service.folder.path.iterdir())


def test_the_answer_is_the_library_s_to_the_bit(server):
    client, service = server
    answer = upload(client, CLIP.read_bytes(), params={"top": 1})
    expected = golden_models()["run"].recognizer.classify(CLIP)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "model": "run",
        "label": expected.label,
        "score": expected.score,
        "unsure": expected.unsure,
        "labels": None,
        "top": [{"label": expected.label, "score": expected.score}],
        "warnings": [],
    }
    assert left_over(service) == []


def test_clips_that_wait_are_one_batch_and_have_the_answers_they_have_alone(server, monkeypatch):
    _, service = server
    files = sorted((GOLDEN / "clips").glob("left_*.mp4"))[:3]
    recognizer, together = golden_models()["run"].recognizer, []
    expected = [recognizer.classify(file) for file in files]
    whole, held = recognizer.classify, threading.Event()

    def classify(paths, **options):
        together.append(len(paths))
        assert held.wait(60)
        return whole(paths, **options)

    monkeypatch.setattr(recognizer, "classify", classify)
    readers = reading.Readers(lambda clips, seconds: None, lanes=1)
    served = service.models["run"]
    answers = [readers.read(served, files[0])]
    while not together:  # the lane took the first
        threading.Event().wait(0.01)
    answers += [readers.read(served, file) for file in files[1:]]
    held.set()
    assert [answer.result(60)[0] for answer in answers] == expected
    assert together == [1, 2]
    readers.close()


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (b"", "clip.mp4", "clip.mp4 is empty (0 bytes); send it again"),
        (LFS, "clip.mp4", "clip.mp4: this is a Git LFS pointer (text), not the video"),
        (b"hello\n" * 100, "../../etc/notes.txt", "notes.txt: this is text, not a video"),
        (
            b"\x89PNG\r\n\x1a\n" + bytes(200),
            "a.png",
            "a.png: this is a picture (PNG), not a video; an action",
        ),
        (bytes(5000), "zéro\x1b.mp4", "zéro.mp4: not a video that can be read"),
    ],
)
def test_what_is_no_video_is_told_under_the_client_s_name(server, data, name, said):
    client, service = server
    answer = upload(client, data, name)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["error"].startswith(said), answer.text
    assert str(service.folder.path) not in answer.text
    assert left_over(service) == []


BOUNDARY = {"content-type": "multipart/form-data; boundary=x"}
OTHER = b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
PART = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.mp4"\r\n\r\nvideo'


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        (b"{}", {"content-type": "application/json"}, 415, "the body is application/json; a vid"),
        (b"", {}, 415, "the body is of no kind; a video comes in the field 'file'"),
        (b"x", {"content-type": "multipart/form-data"}, 400, "names no boundary"),
        (b"no form", BOUNDARY, 400, "the body is no multipart/form-data"),
        (PART, BOUNDARY, 400, "the body ends too early; send it again"),
        (PART.replace(b'"file"', b'"video"') + b"\r\n--x--\r\n", BOUNDARY, 400,
         "no field 'file' came, but 'video'; send one video, as 'curl -F file=@clip.mp4'"),
        (b"--x--\r\n", BOUNDARY, 400, "no field 'file' came, but no field at all"),
        (PART + b"\r\n" + PART + b"\r\n--x--\r\n", BOUNDARY, 400, "two fields 'file' came"),
        (33 * OTHER + b"--x--\r\n", BOUNDARY, 400, "more than 32 fields came; send one video"),
    ],
)  # fmt: skip
def test_a_body_that_is_no_single_video_is_refused_with_the_mend(
    server, body, headers, status, said
):
    client, service = server
    answer = client.post("/classify", content=body, headers=headers)
    assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text
    assert left_over(service) == []


def test_what_is_asked_of_no_route_or_with_wrong_words_is_told(server):
    client, _ = server
    for path, status, said in [
        ("/classify?model=x", 404, "no model 'x' is served here; there are: run"),
        ("/classify?top=0", 422, "top: Input should be greater than or equal to 1"),
        ("/nothing", 404, "Not Found; GET /openapi.json tells every route"),
    ]:
        answer = client.post(path, files={"file": CLIP.read_bytes()})
        assert (answer.status_code, answer.json()["error"]) == (status, said)


def test_it_tells_its_models_its_health_and_its_counts(server):
    client, _ = server
    facts = client.get("/models").json()["models"][0]
    assert (facts["name"], facts["classes"], facts["streams"]) == ("run", ["left", "right"], True)
    health = client.get("/health").json()
    assert (health["status"], health["models"], health["waiting"]) == ("ready", ["run"], 0)
    upload(client, CLIP.read_bytes())
    upload(client, b"text")
    client.get("/secret/path")
    text = client.get("/metrics").text
    for line in (
        'action_gru_requests_total{path="/classify",status="200"}',
        'action_gru_requests_total{path="/classify",status="422"}',
        'action_gru_requests_total{path="other",status="404"}',
        'action_gru_predictions_total{model="run"}',
        "action_gru_latency_seconds_bucket",
        "action_gru_queue_length 0.0",
        "process_resident_memory_bytes",
    ):
        assert line in text
    assert "/secret" not in text


def test_without_a_free_place_a_clip_is_sent_away_with_a_time(server):
    with open_app(limits=Limits(queue=1)) as (client, service), service.place():
        answer = upload(client, CLIP.read_bytes())
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["error"] == "1 clips wait here already; ask again in 1 s"
        assert client.get("/health").json()["waiting"] == 1


def test_an_upload_past_the_limit_is_stopped_by_its_head_or_as_it_comes(server):
    small = Rules(max_upload_bytes=1000)
    with open_app(small) as (client, service):
        answer = upload(client, bytes(200_000))
        assert (answer.status_code, "larger than 0 MB" in answer.text) == (413, True)
        body = iter([PART, *[bytes(50_000)] * 5])
        answer = client.post("/classify", content=body, headers=BOUNDARY)
        assert answer.status_code == 413
        assert left_over(service) == []


def test_a_client_that_sends_nothing_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "SILENT_S", 0.05)
    first = {"type": "http.request", "body": PART, "more_body": True}

    async def receive():
        nonlocal first
        message, first = first, None
        return message or await asyncio.sleep(60)

    headers = [(name.encode(), value.encode()) for name, value in BOUNDARY.items()]
    request = Request({"type": "http", "headers": headers}, receive)
    with uploads.Folder() as folder, uploads.Upload(folder) as upload:
        with pytest.raises(uploads.SlowError, match="nothing came for 0 s; send it again"):
            asyncio.run(upload.receive(request))
        upload.remove()
        assert list(folder.path.iterdir()) == []


def test_a_full_disk_is_told_and_leaves_nothing(server, monkeypatch):
    client, service = server
    monkeypatch.setattr(serving, "SPARE_BYTES", 1 << 62)
    answer = upload(client, CLIP.read_bytes())
    assert (answer.status_code, "the disk is full" in answer.text) == (507, True)
    assert left_over(service) == []


def test_a_key_is_asked_for_and_never_told():
    rules = Rules("0.0.0.0", (SECRET, "another-key"))
    assert SECRET not in repr(rules)
    with open_app(rules) as (client, _):
        assert client.get("/health").status_code == 200
        denied = client.get("/models")
        assert (denied.status_code, denied.headers["www-authenticate"]) == (401, "Bearer")
        assert "send it as the header 'X-API-Key'" in denied.json()["error"]
        wrong = client.get("/models", headers={"x-api-key": SECRET[:-1]})
        assert (wrong.status_code, SECRET[:-1] in wrong.text) == (401, False)
        for headers in (
            {"x-api-key": SECRET},
            {"authorization": f"Bearer {SECRET}"},
            {"authorization": "bearer another-key"},
        ):
            assert client.get("/models", headers=headers).status_code == 200
        assert client.get("/metrics").status_code == 401
        assert client.get(f"/models?key={SECRET}").status_code == 401


def test_pages_of_other_sites_are_refused_unless_they_are_named(server):
    client, _ = server
    elsewhere = {"origin": "https://evil.example"}
    assert client.get("/models", headers=elsewhere).status_code == 403
    assert upload(client, b"x", headers=elsewhere).status_code == 403
    assert client.get("/models", headers={"host": "evil.example"}).status_code == 403
    assert client.get("/models", headers={"origin": HERE}).status_code == 200
    with open_app(Rules(origins=("https://good.example",))) as (named, _):
        good = {"origin": "https://good.example"}
        answer = named.get("/models", headers=good)
        assert answer.headers["access-control-allow-origin"] == "https://good.example"
        assert named.options("/classify", headers=good).status_code == 204
        assert named.get("/models", headers=elsewhere).status_code == 403


def test_while_it_closes_it_says_so_and_takes_nothing_new(server):
    with open_app() as (client, service):
        service.is_closing = True
        assert (client.get("/health").status_code, client.get("/models").status_code) == (503, 503)
        answer = upload(client, CLIP.read_bytes())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
        assert answer.json()["error"].startswith("the server is closing")


def test_keys_come_from_the_option_the_file_or_the_variable(monkeypatch, tmp_path):
    monkeypatch.delenv(KEY, raising=False)
    file = tmp_path / "keys"
    file.write_text(f"{SECRET}\n\n another-key \n")
    assert find_keys(None, None, "127.0.0.1", False) == ()
    assert find_keys(None, file, "0.0.0.0", False) == (SECRET, "another-key")
    monkeypatch.setenv(KEY, SECRET)
    assert find_keys(None, None, "0.0.0.0", False) == (SECRET,)
    assert find_keys("option-key", None, "::", False) == ("option-key",)


@pytest.mark.parametrize(
    ("key", "host", "no_key", "said"),
    [
        (None, "0.0.0.0", False, "lets other machines in, and no key is set"),
        ("short", "0.0.0.0", False, "a key has at least 8 characters"),
        ("", "127.0.0.1", False, "a key has at least 8 characters"),
        (SECRET, "0.0.0.0", True, "--no-key, and a key is given"),
    ],
)
def test_a_server_is_not_open_by_mistake(monkeypatch, key, host, no_key, said):
    monkeypatch.delenv(KEY, raising=False)
    with pytest.raises(ConfigError, match=said):
        find_keys(key, None, host, no_key)


def test_a_model_is_called_as_its_run_or_its_file(tmp_path):
    assert name_of(tmp_path / "clips" / "best.safetensors") == "clips"
    assert name_of(tmp_path / "mine.safetensors") == "mine"
    assert name_of(tmp_path / "clips-2") == "clips-2"
    with pytest.raises(ConfigError, match="two models would be called 'a'; rename one"):
        check_names([tmp_path / "a", tmp_path / "x" / "a.safetensors"])


def test_the_schema_names_every_route_and_its_errors(server):
    client, _ = server
    schema = client.get("/openapi.json").json()
    json.dumps(schema)
    classify = schema["paths"]["/classify"]["post"]
    assert classify["operationId"] == "classify"
    assert "multipart/form-data" in classify["requestBody"]["content"]
    refused = classify["responses"]["422"]["content"]["application/json"]["schema"]
    assert refused == {"$ref": "#/components/schemas/ErrorAnswer"}
