import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest
from helpers.studio_doubles import (
    InlineEngine,
    app_of,
    client_of,
    listening,
    open_studio,
    use_model,
)
from helpers.videos import write_square

from action_gru import ActionRecognizer
from action_gru.apps.studio import using, work_use
from action_gru.apps.studio.current import NO_MODEL
from action_gru.core.errors import CheckpointError


@pytest.fixture
def studio(tmp_path):
    made = open_studio(tmp_path / "mine", "wave")
    made.reader = InlineEngine("use")
    made.trainer = InlineEngine("use")
    yield made
    made.reader.close()
    made.trainer.close()


@pytest.fixture
def client(studio):
    with client_of(studio, using.routes) as made:
        yield made


def test_use_names_the_run_its_snippets_and_its_formats(client, studio):
    clip = studio.shelf.new_file()
    clip.write_bytes(b"\0\0\0\x10ftypisom")
    studio.shelf.add(clip, "wave", take="20261129-101500")
    found = client.get("/api/use").json()
    assert (found["run"], found["path"]) == ("model-1", str(studio.folder / "runs" / "model-1"))
    texts = {one["title"]: one["text"] for one in found["snippets"]}
    assert list(texts) == ["Python", "Shell", "HTTP"]
    for text in texts.values():
        assert str(studio.folder / "clips" / "wave" / "20261129-101500-1.mp4") in text
    assert found["path"] in texts["Python"]
    assert "http://testserver" in texts["HTTP"]
    assert [one["format"] for one in found["formats"]] == ["onnx", "openvino"]


def test_every_format_that_export_writes_is_offered():
    from action_gru.apps import export

    assert list(using.FORMATS) == list(export.FORMATS)


def test_a_format_whose_packages_are_missing_says_what_to_install(client, studio, monkeypatch):
    def find_spec(name):
        return None if name == "openvino" else object()

    monkeypatch.setattr(using, "find_spec", find_spec)
    onnx, openvino = client.get("/api/use").json()["formats"]
    assert (onnx["available"], onnx["mend"]) == (True, None)
    assert (openvino["name"], openvino["available"]) == ("OpenVINO", False)
    assert "pip install 'action-gru[openvino]'" in openvino["mend"]
    refused = client.post("/api/use/export", json={"format": "openvino"})
    assert (refused.status_code, refused.json()) == (400, {"error": openvino["mend"]})


@pytest.mark.parametrize("path", ["", "/model", "/export/onnx"])
def test_without_a_model_there_is_nothing_to_use(tmp_path, path):
    client = client_of(open_studio(tmp_path / "mine", model=None), using.routes)
    answer = client.get(f"/api/use{path}")
    assert (answer.status_code, answer.json()) == (409, {"error": NO_MODEL})


def test_the_model_comes_as_one_file_with_the_names_of_project_and_run(client, studio):
    def pack(tell, run, out):
        Path(out).write_bytes(run.encode())

    studio.reader.tasks["pack_model"] = pack
    answer = client.get("/api/use/model")
    assert answer.content == str(studio.folder / "runs" / "model-1").encode()
    assert 'filename="mine-model-1.safetensors"' in answer.headers["content-disposition"]
    assert list(studio.shelf.temp.iterdir()) == []


def test_a_model_that_cannot_be_packed_says_why(client, studio):
    def pack(tell, run, out):
        raise CheckpointError("the network is gone; fetch it again")

    studio.reader.tasks["pack_model"] = pack
    answer = client.get("/api/use/model")
    assert answer.json() == {"error": "the network is gone; fetch it again"}
    assert list(studio.shelf.temp.iterdir()) == []


def test_an_export_is_made_in_the_background_and_then_fetched(client, studio):
    may_end = threading.Event()

    def export(tell, run, format_, out):
        assert may_end.wait(30)
        Path(out).write_bytes(f"{format_} of {run}".encode())

    studio.trainer.tasks["export_model"] = export
    part = studio.parts["export"]
    assert part() == {"state": "idle", "format": None, "error": None}
    early = client.get("/api/use/export/onnx")
    assert early.status_code == 404
    assert early.json()["error"] == "model-1 is not exported as onnx yet; export it first"
    begun = client.post("/api/use/export", json={"format": "onnx"})
    assert begun.status_code == 202
    assert begun.json() == part() == {"state": "running", "format": "onnx", "error": None}
    second = client.post("/api/use/export", json={"format": "openvino"})
    assert second.json()["error"] == "an export as onnx is being made; wait for it"
    may_end.set()
    studio.trainer.close()
    assert part() == {"state": "ready", "format": "onnx", "error": None}
    answer = client.get("/api/use/export/onnx")
    assert answer.content == f"onnx of {studio.folder / 'runs' / 'model-1'}".encode()
    assert 'filename="mine-model-1-onnx.zip"' in answer.headers["content-disposition"]
    again = studio.folder / "runs" / "model-1" / "best.safetensors"
    again.parent.mkdir()
    again.write_bytes(b"of another training with the same name")
    os.utime(again, (2e9, 2e9))
    assert client.get("/api/use/export/onnx").status_code == 404
    use_model(studio, "model-2")
    assert part()["state"] == "idle"
    assert client.get("/api/use/export/onnx").status_code == 404


def test_an_export_that_fails_says_why(client, studio):
    def export(tell, run, format_, out):
        raise CheckpointError("a logit differs; nothing was written")

    studio.trainer.tasks["export_model"] = export
    client.post("/api/use/export", json={"format": "onnx"})
    studio.trainer.close()
    assert studio.parts["export"]() == {
        "state": "failed", "format": "onnx", "error": "a logit differs; nothing was written",
    }  # fmt: skip


def test_only_known_formats_can_be_asked_for(client):
    assert client.post("/api/use/export", json={"format": "../x"}).status_code == 422
    assert client.get("/api/use/export/x").status_code == 422


@pytest.mark.slow
def test_a_packed_run_answers_as_the_run_does(small_run, tmp_path):
    packed = tmp_path / "one.safetensors"
    work_use.pack_model(None, str(small_run.path), str(packed))
    clip = write_square(tmp_path / "clip.mp4", 20, seed=6)
    mine = ActionRecognizer.load(packed).classify(clip)
    theirs = ActionRecognizer.load(small_run.path).classify(clip)
    assert mine == theirs


@pytest.mark.slow
def test_an_exported_run_is_an_archive_of_its_files(small_run, tmp_path):
    out = tmp_path / "model-onnx.zip"
    work_use.export_model(None, str(small_run.path), "onnx", str(out))
    names = ["model-onnx/features.onnx", "model-onnx/step.onnx"]
    assert zipfile.ZipFile(out).namelist() == names
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.slow
def test_every_snippet_does_what_it_says_when_it_is_pasted(small_run, tmp_path):
    clip = write_square(tmp_path / "it's a clip.mp4", 20, seed=6)
    texts = using.snippets(small_run.path, clip, "http://127.0.0.1:1")
    python, shell = texts[0]["text"], texts[1]["text"]
    said = run([sys.executable, "-c", python])
    label, score = said.split()
    assert label == "dark"
    assert 0.5 < float(score) <= 1
    assert "dark" in run(["sh", "-c", shell])


def run(command, **changes):
    place = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PATH": place}, **changes
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_http_snippet_is_answered_by_the_open_studio(small_run, studio, tmp_path):
    clip = write_square(tmp_path / "it's a clip.mp4", 20, seed=6)
    (studio.folder / "runs" / "model-1").symlink_to(small_run.path)
    studio.reader = InlineEngine("use", "tries")
    with listening(app_of(studio, using.routes)) as address:
        text = using.snippets(small_run.path, clip, address)[2]["text"]
        answer = json.loads(run(["sh", "-c", text]))
        clip.write_bytes(b"hello, this is a text\n" * 20)
        refused = json.loads(run(["sh", "-c", text]))
    assert answer["label"] == "dark"
    assert "text, not a video" in refused["error"]
    assert str(studio.folder) not in refused["error"]
    assert list(studio.shelf.temp.iterdir()) == []
