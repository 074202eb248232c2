import math
import re
import time
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.studio_doubles import ACTIONS, InlineEngine, Recognizer, client_of, open_studio
from helpers.videos import write_square

from action_gru.apps.studio import trying, work_tries
from action_gru.apps.studio.background import begin
from action_gru.apps.studio.current import NO_MODEL
from action_gru.video import VideoFile

GONE = "that file is not kept any more; choose it again"


@pytest.fixture(scope="module")
def recognizer():
    return Recognizer()


@pytest.fixture
def studio(tmp_path, monkeypatch, recognizer):
    monkeypatch.setattr(work_tries, "recognizer_of", lambda run: recognizer)
    made = open_studio(tmp_path / "mine", "bright", "dark")
    made.reader = InlineEngine("tries")
    yield made
    made.reader.close()


@pytest.fixture
def client(studio):
    with client_of(studio, trying.routes) as made:
        yield made


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Six seconds, ten frames a second."""
    return write_square(tmp_path_factory.mktemp("film") / "film.mp4", 60)


def upload(client, data, name="film.mp4"):
    answer = client.post("/api/tries", params={"name": name}, content=data)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def news(client, name):
    """What is known of a try once it is not read any more."""
    end_s = time.monotonic() + 60
    while (found := client.get(f"/api/tries/{name}").json())["state"] == "reading":
        assert time.monotonic() < end_s
        time.sleep(0.02)
    return found


def folders(studio):
    return sorted(path.name for path in (studio.folder / ".studio" / "tries").glob("*"))


def test_a_file_gets_scores_over_time_and_the_answer_that_classify_gives(client, video, recognizer):
    found = news(client, upload(client, video.read_bytes(), "../my film.mp4"))
    assert (found["state"], found["share"], found["error"]) == ("ready", 1.0, None)
    assert (found["name"], found["run"]) == ("my film.mp4", "model-1")
    assert found["classes"] == list(ACTIONS)
    assert found["duration_s"] == pytest.approx(6.0, abs=0.11)
    assert found["times_s"] == sorted(set(found["times_s"]))
    assert 0 <= found["times_s"][0] < 0.2
    assert len(found["scores"]) == len(found["times_s"]) > 20
    assert [sum(row) for row in found["scores"]] == pytest.approx(
        [1.0] * len(found["scores"]), 1e-3
    )
    whole = recognizer.read(video).prediction
    answer = {"label": whole.label, "score": round(whole.score, 4), "unsure": whole.unsure}
    assert found["answer"] == answer


@pytest.mark.parametrize(
    ("name", "data", "status", "said"),
    [
        ("film.txt", b"x", 415, "'film.txt' is no video by its name"),
        ("film.mp4", b"", 400, "the file is empty (0 bytes)"),
    ],
)
def test_what_can_be_no_video_is_refused_at_once(client, studio, name, data, status, said):
    answer = client.post("/api/tries", params={"name": name}, content=data)
    assert answer.status_code == status
    assert said in answer.json()["error"]
    assert folders(studio) == []


def test_a_file_that_cannot_be_read_says_why_and_not_where_it_lies(client, studio):
    found = news(client, upload(client, b"hello, this is a text\n" * 20))
    assert found["state"] == "failed"
    assert found["error"].startswith("film.mp4: ")
    assert "text, not a video" in found["error"]
    assert str(studio.folder) not in found["error"]


def test_a_video_beyond_the_limit_is_refused(client, video, monkeypatch):
    monkeypatch.setattr(trying.OF_STUDIO, "most_s", 3.0)
    found = news(client, upload(client, video.read_bytes()))
    assert found["error"] == (
        "film.mp4: the video lasts longer than 0:03.0, which is the limit here; cut it and try "
        "again"
    )


def test_without_a_model_nothing_is_taken_in(tmp_path):
    client = client_of(open_studio(tmp_path / "mine", model=None), trying.routes)
    answer = client.post("/api/tries", params={"name": "film.mp4"}, content=b"x")
    assert (answer.status_code, answer.json()) == (409, {"error": NO_MODEL})


def test_only_the_newest_files_are_kept(client, studio, video, monkeypatch):
    monkeypatch.setattr(trying.OF_STUDIO, "files", 2)
    names = []
    for _ in range(3):
        names.append(upload(client, video.read_bytes()))
        news(client, names[-1])
    assert folders(studio) == sorted(names[1:])
    gone = client.get(f"/api/tries/{names[0]}")
    assert (gone.status_code, gone.json()) == (404, {"error": GONE})


def test_a_file_that_nobody_asks_for_is_removed_after_a_while(client, studio, video, monkeypatch):
    name = upload(client, video.read_bytes())
    news(client, name)
    monkeypatch.setattr(trying.OF_STUDIO, "keep_s", 0.0)
    assert client.get(f"/api/tries/{name}").status_code == 404
    assert folders(studio) == []


def test_files_of_a_studio_before_this_one_are_removed(tmp_path):
    studio = open_studio(tmp_path / "mine")
    left = studio.folder / ".studio" / "tries" / "old" / "film.mp4"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x")
    client_of(studio, trying.routes)
    assert not left.parent.exists()


@pytest.mark.parametrize("name", ["nothing", "..", "%2e%2e%2f%2e%2e", "a/b"])
def test_no_other_folder_can_be_named(client, name):
    for path in (name, f"{name}/why", f"{name}/why/0-0.jpg"):
        assert client.get(f"/api/tries/{path}").status_code == 404


@pytest.mark.parametrize(
    ("time_s", "first_s"), [(0.2, 0.0), (3.0, 2.0), (5.9, 4.0)], ids=["start", "middle", "end"]
)
def test_a_correction_is_a_clip_of_two_seconds_around_the_moment(
    client, studio, video, time_s, first_s
):
    name = upload(client, video.read_bytes())
    news(client, name)
    body = {"time_s": time_s, "action": "dark"}
    answer = client.post(f"/api/tries/{name}/correct", json=body)
    assert answer.status_code == 200, answer.text
    clip = studio.shelf.clip(answer.json()["id"])
    assert clip.action == "dark"
    assert clip.take == "videos/film.mp4"
    with VideoFile(studio.project.clips / clip.id) as cut, VideoFile(video) as whole:
        mine, all_ = list(cut), list(whole)
    assert [one.time_s for one in mine] == pytest.approx([n / 10 for n in range(20)], abs=1e-3)
    first = all_[round(10 * first_s)].image.astype(float)
    assert abs(first - mine[0].image).mean() < 6  # compressed twice


def test_a_correction_needs_an_action_that_is_there_and_a_moment(client, studio, video):
    name = upload(client, video.read_bytes())
    news(client, name)
    path = f"/api/tries/{name}/correct"
    unknown = client.post(path, json={"time_s": 1, "action": "fly"})
    assert "there is no action 'fly'" in unknown.json()["error"]
    assert client.post(path, json={"time_s": -1, "action": "dark"}).status_code == 422
    assert [path.suffix for path in (studio.folder / ".studio" / "tries").rglob("*.*")] == [".mp4"]


def explain_later(bounds):
    """A task as `try_why` is, which notes the stretch it is asked for."""

    def why(tell, key, run, path, start_s, end_s, folder):
        def work(job):
            bounds.append((start_s, end_s))
            (trying.Path(folder) / "0.jpg").write_bytes(b"a picture")
            job.found |= {"label": "dark", "moments": [{"time_s": 2.5, "text": "because"}]}

        begin(key, work)

    return why


def test_why_gives_moments_with_pictures_of_a_stretch_around_the_moment(client, studio, video):
    bounds = []
    studio.reader.tasks["try_why"] = explain_later(bounds)
    name = upload(client, video.read_bytes())
    news(client, name)
    found = client.get(f"/api/tries/{name}/why", params={"time_s": 2.5}).json()
    again = client.get(f"/api/tries/{name}/why").json()
    assert found["label"] == "dark"
    (moment,) = found["moments"]
    assert moment == {"time_s": 2.5, "text": "because", "picture": f"/api/tries/{name}/why/0-0.jpg"}
    assert again["moments"][0]["picture"] == f"/api/tries/{name}/why/1-0.jpg"
    picture = client.get(moment["picture"])
    assert (picture.content, picture.headers["content-type"]) == (b"a picture", "image/jpeg")
    assert bounds == [(1.5, 3.5), (None, None)]
    assert client.get(f"/api/tries/{name}/why/0-1.jpg").status_code == 404


def test_why_waits_for_the_timeline(client, studio, video):
    studio.reader.tasks["try_read"] = lambda tell, key, *args: begin(key, lambda job: time.sleep(1))
    name = upload(client, video.read_bytes())
    answer = client.get(f"/api/tries/{name}/why")
    assert answer.status_code == 400
    assert "is not read yet; wait until its timeline is there" in answer.json()["error"]


@pytest.mark.slow
def test_the_reader_explains_a_stretch_in_pictures_and_sentences(small_run, tmp_path):
    clip = write_square(tmp_path / "clip.mp4", 30, seed=105)  # surely bright: moments matter
    found = run_job(work_tries.try_why, str(small_run.path), str(clip), 0.5, 2.5, str(tmp_path))
    assert found["label"] == "bright"
    assert found["moments"]
    for number, moment in enumerate(found["moments"]):
        assert 0.5 <= moment["time_s"] < 2.5
        assert re.search(r"bright would (still )?score \d+%.*In it, what ", moment["text"])
        assert (tmp_path / f"{number}.jpg").read_bytes().startswith(b"\xff\xd8\xff")


def test_a_sentence_says_what_a_moment_changes_and_where_it_lies():
    heat = np.zeros((8, 8))
    heat[0, 7] = 0.2
    made = SimpleNamespace(
        label="wave", score=0.9, best=(5, 2), fall_at={5: math.log(9), 2: 0.001}.get,
        heats=[SimpleNamespace(frame=5, view="motion", heat=heat)],
    )  # fmt: skip
    assert work_tries.moment_text(made, 5) == (
        "Without this moment wave would score 50% instead of 90%. In it, what moves at the "
        "top right counts most."
    )
    assert work_tries.moment_text(made, 2) == (
        "This moment counts much, but without it wave would still score 90%."
    )


def run_job(task, *args):
    task(None, "key", *args)
    while (told := work_tries.job_news(None, "key"))["state"] == "reading":
        time.sleep(0.02)
    assert told["state"] == "ready", told
    return told["found"]
