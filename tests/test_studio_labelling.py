"""Long videos of a studio: segments kept, imported and exported, proposals, clips cut from them."""

import errno
import threading
from pathlib import Path

import pytest
from helpers.annotation_files import EXAMPLES
from helpers.studio_doubles import InlineEngine, client_of, open_studio

from action_gru.apps.serving import NoSpaceError
from action_gru.apps.studio import labelling
from action_gru.apps.studio.session import Studio
from action_gru.core import files
from action_gru.core.errors import VideoError
from action_gru.timeline import FORMATS, READERS, read_segments

WAVE = {"start_s": 0.5, "end_s": 2.0, "label": "wave"}
CLAP = {"start_s": 1.25, "end_s": 3.001, "label": "clap"}
PLAYABLE = {"duration_s": 4.0, "fps": 10.0, "codec": "h264 yuv420p"}


def task(answer):
    """A task of the reader: what it answers, the error that it raises, or a function of its
    arguments.
    """

    def run(tell, *args):
        if isinstance(answer, Exception):
            raise answer
        return answer(*args) if callable(answer) else answer

    return run


class Window:
    """A page's requests to a studio with the video a.mp4, 4 seconds long."""

    def __init__(self, folder: Path, video: str = "a.mp4", **tasks):
        self.studio, self.folder = open_studio(folder, model=None), folder
        tasks = {"video_facts": PLAYABLE} | tasks
        self.studio.reader = InlineEngine(**{name: task(one) for name, one in tasks.items()})
        (folder / "videos" / video).write_bytes(b"0000ftypisom")
        self.client = client_of(self.studio, labelling.routes)
        wait_for(lambda: self.video(video)["playable"] != "unknown")

    def video(self, name="a.mp4"):
        return next(one for one in self.studio.parts["videos"]() if one["id"] == name)

    def get(self, path, **query):
        return self.client.get(f"/api/videos/{path}", params={"id": "a.mp4"} | query)

    def put(self, *segments, **more):
        body = {"segments": list(segments)} | more
        return self.client.put("/api/videos/segments", params={"id": "a.mp4"}, json=body)

    def post(self, path, content=None, **query):
        body = {"json": {}} if content is None else {"content": content}
        params = {"id": "a.mp4"} | query
        return self.client.post(f"/api/videos/{path}", params=params, **body)


@pytest.fixture
def window(tmp_path):
    return Window(tmp_path / "mine")


def test_segments_are_kept_beside_the_video_in_the_products_own_form(window):
    answer = window.put(CLAP, WAVE)
    assert answer.json()["segments"] == [WAVE, CLAP]
    file = window.folder / "videos" / "a.csv"
    assert [(e.label, e.start_s, e.end_s) for e in read_segments(file, overlaps=True)] == [
        ("wave", 0.5, 2.0),
        ("clap", 1.25, 3.001),
    ]
    assert window.get("segments").json() == answer.json() | {"duration_s": 4.0}
    assert window.video()["segments"] == 2


def test_a_new_label_becomes_an_action(window):
    window.put({"start_s": 0.0, "end_s": 1.0, "label": "手を振る"})
    names = [action.name for action in window.studio.project.actions()]
    assert names == ["nothing in particular", "手を振る"]


@pytest.mark.parametrize(
    ("segment", "told"),
    [
        ({"end_s": 4.2}, "the video ends at 0:04.000 (4.000 s); end the segment before"),
        ({"start_s": 3.0, "end_s": 2.0}, "ends before it begins"),
        ({"end_s": 0.5}, "lasts no time; set its end later"),
        ({"label": "a/b"}, "holds /, which no folder's name can have; leave it out"),
        ({"label": " "}, "needs a label"),
    ],
)
def test_what_is_no_segment_of_the_video_is_refused_and_nothing_changes(window, segment, told):
    window.put(WAVE)
    before = (window.folder / "videos" / "a.csv").read_bytes()
    answer = window.put(WAVE | segment)
    assert answer.status_code == 400
    assert told in answer.json()["error"]
    assert (window.folder / "videos" / "a.csv").read_bytes() == before


def test_an_end_within_a_tenth_of_a_second_of_the_videos_is_the_videos(window):
    assert window.put(WAVE | {"end_s": 4.07}).json()["segments"][0]["end_s"] == 4.0


def test_times_that_are_no_numbers_and_unknown_keys_are_refused(window):
    for bad in ({"start_s": -1}, {"end_s": "NaN"}, {"score": 1.0}):
        assert window.put(WAVE | bad).status_code == 422


def test_a_change_of_another_window_is_not_overwritten(window):
    version = window.put(WAVE, version="").json()["version"]
    assert window.put(WAVE, CLAP, version=version).status_code == 200
    answer = window.put(CLAP, version=version)
    assert answer.status_code == 409
    assert "changed in another window" in answer.json()["error"]
    assert window.video()["segments"] == 2


def test_a_file_that_is_damaged_is_told_and_not_overwritten(window):
    file = window.folder / "videos" / "a.csv"
    file.write_text("start_s,end_s,label\nx,1,wave\n")
    assert "line 2: start is seconds" in window.video()["problem"]
    assert window.get("segments").status_code == 400
    assert window.put(WAVE).status_code == 400
    assert file.read_text() == "start_s,end_s,label\nx,1,wave\n"


@pytest.mark.parametrize("name", ["../project.yaml", "/etc/passwd", "a.csv", "", ".hidden.mp4"])
def test_only_listed_videos_can_be_named(window, name):
    for path in ("file", "segments", "proposals"):
        answer = window.get(path, id=name)
        assert answer.status_code == 404
        assert "no video is called" in answer.json()["error"]


def test_a_link_out_of_the_project_is_no_video(window, tmp_path):
    (tmp_path / "other.mp4").write_bytes(b"0000ftypisom")
    (window.folder / "videos" / "b.mp4").symlink_to(tmp_path / "other.mp4")
    assert [one["id"] for one in window.studio.parts["videos"]()] == ["a.mp4"]


def test_two_videos_whose_names_differ_in_their_endings_alone_are_told(window):
    (window.folder / "videos" / "a.webm").write_bytes(b"x")
    assert "rename one of the two" in window.video("a.webm")["problem"]
    assert window.video("a.mp4")["problem"] is None


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: f"{one.form}-{next(iter(one.files))}")
def test_every_form_that_is_read_is_imported(example, window, tmp_path):
    """See annotation_files: walk 0.5 to 2, 読む é 1 to 3, run 3 to the end, the rest told."""
    window.studio.reader.tasks["video_instants"] = task([index / 10 for index in range(40)])
    name, text = next(iter(example.files.items()))
    if example.form == "gmdcsa24":
        (window.folder / "videos" / "a.mp4").rename(window.folder / "videos" / "S1_fall_13.mp4")
    video = window.studio.parts["videos"]()[0]["id"]
    wait_for(lambda: window.video(video)["playable"] == "yes")
    answer = window.post("import", text.encode(), id=video, name=Path(name).name)
    found = answer.json()
    assert answer.status_code == 200, found
    got = {(one["label"], one["start_s"], one["end_s"]) for one in found["segments"]}
    assert ("walk", 0.5, 2.0) in got
    assert all(one["end_s"] <= 4.0 for one in found["segments"])
    assert not (window.folder / "videos" / "a.csv").exists()
    assert not list((window.folder / ".studio").glob("import-*"))


def test_there_is_an_example_of_each_form():
    assert {example.form for example in EXAMPLES} == set(READERS)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.pdf", "x", "is no annotation file; read are .boris, .csv"),
        ("a.csv", "one,two\n1,2\n", "the column start_s and end_s and label is missing"),
        ("a.json", "{", "a.json: damaged JSON"),
        ("a.eaf", "<!DOCTYPE x [<!ENTITY a 'b'>]><x/>", "declares a document type"),
        ("a.csv", "path,start_s,end_s,label\nb.mp4,0,1,x\nc.mp4,0,1,x\n", "none of them is a.mp4"),
        (
            "F.csv",
            "File Name,Classes\n1.mp4,x[0 to 1]\n2.mp4,x[0 to 1]\n",
            "F.csv: is about F/1.mp4",
        ),
    ],
)
def test_a_file_that_cannot_be_imported_says_why_without_our_paths(window, name, text, told):
    answer = window.post("import", text.encode(), name=name)
    assert answer.status_code == 400
    assert told in answer.json()["error"]
    assert "import-" not in answer.json()["error"]


@pytest.mark.parametrize("form", [suffix[1:] for suffix in FORMATS])
def test_what_is_exported_is_imported_to_the_millisecond(window, form):
    window.put(WAVE, CLAP)
    answer = window.get("export", format=form)
    assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''a.{form}"
    back = window.post("import", answer.content, name=f"a.{form}").json()
    assert back["segments"] == [WAVE, CLAP]


def test_a_format_that_is_not_written_is_refused(window):
    answer = window.get("export", format="xls")
    assert answer.status_code == 400
    assert "choose one of json, csv, vtt, srt, eaf" in answer.json()["error"]


def test_an_upload_gets_a_name_that_no_other_video_has(window):
    send = lambda name: window.client.post("/api/videos", params={"name": name}, content=b"x" * 9)  # noqa: E731
    assert send("C:\\films\\a.webm").json() == {"id": "a-2.webm"}
    assert send("новый.MP4").json() == {"id": "новый.mp4"}
    refused = send("notes.txt")
    assert refused.status_code == 415
    assert "is no video by its name" in refused.json()["error"]
    assert not list((window.folder / ".studio" / "temp").glob("*"))


def test_the_player_may_ask_for_a_part_of_the_file(window):
    answer = window.client.get(
        "/api/videos/file", params={"id": "a.mp4"}, headers={"Range": "bytes=4-7"}
    )
    assert answer.status_code == 206
    assert answer.content == b"ftyp"


def test_a_deleted_video_comes_back_with_its_segments(window):
    window.put(WAVE)
    assert window.client.post("/api/videos/delete", json={"id": "a.mp4"}).status_code == 200
    assert window.studio.parts["videos"]() == []
    assert not (window.folder / "videos" / "a.csv").exists()
    assert window.studio.shelf.undo() == "Delete a.mp4"
    assert window.video()["segments"] == 1


def test_a_renamed_action_is_renamed_in_the_segments_and_back(window):
    window.put(WAVE, CLAP)
    window.studio.shelf.change_action("wave", "greet", None)
    assert [one["label"] for one in window.get("segments").json()["segments"]] == ["greet", "clap"]
    window.studio.shelf.undo()
    assert [one["label"] for one in window.get("segments").json()["segments"]] == ["wave", "clap"]


def test_a_video_that_no_browser_plays_is_copied_and_the_copy_is_played(tmp_path):
    playable = tmp_path / "mine" / ".studio" / "playable"

    def facts(path):
        return PLAYABLE | ({} if Path(path).parent == playable else {"codec": "hevc yuv420p"})

    def begin(kind, path, out, length_s):
        begun.append((kind, Path(path).name, length_s))
        playable.mkdir(exist_ok=True)
        Path(out).write_bytes(b"a copy")
        return "job"

    begun = []
    done = {"share": 1.0, "result": 3.9}
    window = Window(tmp_path / "mine", video_facts=facts, video_begin=begin, video_go_on=done)
    wait_for(lambda: window.video()["playable"] == "yes")
    assert window.get("file").content == b"a copy"
    assert begun == [("copy", "a.mp4", 4.0)]
    window.client.post("/api/videos/delete", json={"id": "a.mp4"})
    assert list(playable.iterdir()) == []


def test_a_copy_that_cannot_be_made_is_told(tmp_path):
    window = Window(
        tmp_path / "mine",
        video_facts=PLAYABLE | {"duration_s": None},
        video_begin="job",
        video_go_on=VideoError("a.mp4: damaged"),
    )
    wait_for(lambda: window.video()["playable"] == "no")
    assert window.video()["problem"] == ("a.mp4: no copy to play by could be made: a.mp4: damaged")


def test_a_file_that_is_no_video_is_told(tmp_path):
    window = Window(tmp_path / "mine", video_facts=VideoError("a.mp4: this is text, not a video"))
    assert window.video()["problem"] == "a.mp4: this is text, not a video"
    assert window.video()["playable"] == "no"


def test_proposals_are_made_by_the_model_in_use_and_a_second_request_breaks_the_first_off(tmp_path):
    going, events = threading.Event(), [WAVE | {"score": 0.9}]

    def go_on(name):
        if name == "second":
            return {"share": 1.0, "result": events}
        going.set()
        return {"share": 0.5}

    names = iter(["first", "second"])
    window = Window(
        tmp_path / "mine",
        video_begin=lambda *args: next(names),
        video_go_on=go_on,
        video_drop=None,
    )
    assert "there is no trained model yet" in window.post("propose").json()["error"]
    window.studio.parts["model"] = lambda: {"run": "model-1"}
    assert window.post("propose").status_code == 202
    assert going.wait(5)
    assert window.get("proposals").json()["state"] == "reading"
    assert window.post("propose").status_code == 202
    wait_for(lambda: window.get("proposals").json()["state"] == "ready")
    assert window.get("proposals").json()["segments"] == events
    wait_for(lambda: ("video_drop", "first") in window.studio.reader.asked)
    run = str(window.folder / "runs" / "model-1")
    assert ("video_begin", "propose", str(window.folder / "videos/a.mp4"), run, 4.0) in (
        window.studio.reader.asked
    )


def cutting_window(folder, failed=()):
    """A reader that makes a file of each stretch, but of those at the numbers in failed."""
    cuts = []

    def begin(kind, path, todo):
        cuts.append(todo)
        return "job"

    def go_on(name):
        made, bad = [], {}
        for number, (_, _, out) in enumerate(cuts[-1]):
            if number in failed:
                bad[out] = "the video has 0 pictures there"
            else:
                Path(out).write_bytes(b"0000ftypisom")
                made.append(out)
        return {"share": 1.0, "result": {"made": made, "failed": bad}}

    window = Window(folder, video_begin=begin, video_go_on=go_on)
    window.cuts = cuts
    return window


def test_each_segment_becomes_one_clip_whose_group_is_the_video(tmp_path):
    window = cutting_window(tmp_path / "mine")
    window.put(WAVE, CLAP, {"start_s": 3.5, "end_s": 3.75, "label": "clap"})
    assert window.video()["uncut"] == 2
    assert window.post("cut").json() == {"clips": 2, "short": 1, "failed": []}
    clips = {clip.id: clip.take for clip in window.studio.shelf.clips()}
    assert clips == {
        "clap/a_1.250-3.001.mp4": "videos/a.mp4",
        "wave/a_0.500-2.000.mp4": "videos/a.mp4",
    }
    assert window.video()["uncut"] == 0
    assert window.post("cut").json() == {"clips": 0, "short": 1, "failed": []}
    window.put(WAVE, CLAP, {"start_s": 2.0, "end_s": 2.5, "label": "wave"})
    assert window.post("cut").json()["clips"] == 1
    assert [cut[:2] for cut in window.cuts[-1]] == [(2.0, 2.5)]
    assert not list((window.folder / ".studio" / "temp").glob("*.mp4"))


def test_a_segment_of_which_nothing_can_be_cut_is_told_and_the_others_are_clips(tmp_path):
    window = cutting_window(tmp_path / "mine", failed=[0])
    window.put(WAVE, CLAP)
    assert window.post("cut").json() == {
        "clips": 1,
        "short": 0,
        "failed": ["'wave' from 0.5 to 2 s: the video has 0 pictures there"],
    }


def test_segments_shorter_than_a_clip_alone_are_refused(tmp_path):
    window = cutting_window(tmp_path / "mine")
    window.put({"start_s": 1.0, "end_s": 1.299, "label": "wave"})
    answer = window.post("cut")
    assert answer.status_code == 400
    assert "shorter than 0.3 s" in answer.json()["error"]


def wait_for(holds, times=500):
    """Until it holds; the work is in another thread."""
    pause = threading.Event()
    for _ in range(times):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError("it never held")


def test_a_renaming_that_a_crash_cut_short_reaches_the_segments_too(tmp_path):
    studio = Studio(tmp_path / "p")
    studio.shelf.add_action("wave")
    (studio.project.videos / "day.mp4").write_bytes(b"no video")
    table = studio.project.videos / "day.csv"
    table.write_text("start_s,end_s,label\n0.000,1.000,wave\n")
    studio.shelf.renamed = _killed
    with pytest.raises(KeyboardInterrupt):
        studio.shelf.change_action("wave", "hello", None)
    assert "wave" in table.read_text()
    again = Studio(tmp_path / "p")
    again.hold()
    again.close()
    assert "0.000,1.000,hello" in table.read_text()


def test_a_renaming_whose_segments_find_no_space_is_taken_back(tmp_path, monkeypatch):
    studio = Studio(tmp_path / "p")
    studio.shelf.add_action("wave")
    (studio.project.videos / "day.mp4").write_bytes(b"no video")
    (studio.project.videos / "day.csv").write_text("start_s,end_s,label\n0.000,1.000,wave\n")
    whole = files.write_atomically

    def full(path, data, root=None):
        if path.name == "day.csv":
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(path, data, root)

    monkeypatch.setattr(files, "write_atomically", full)
    with pytest.raises(NoSpaceError, match="the disk is full"):
        studio.shelf.change_action("wave", "hello", None)
    assert "wave" in [action.name for action in studio.project.actions()]
    assert (studio.project.clips / "wave").is_dir()
    assert studio.shelf.undo_text() is None


def _killed(old, new):
    raise KeyboardInterrupt
