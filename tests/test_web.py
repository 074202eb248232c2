"""The web page without a browser: what it lets in, what it gives back, what it forgets."""

import asyncio
import gc
import json
import os
import threading
import time
import weakref

import numpy as np
import pytest
from helpers.videos import moving_square, write_square
from helpers.web_doubles import CLASSES, HOSTILE, FakeRecognizer, write_audio

from action_gru.apps.overlay import Overlay
from action_gru.apps.serving import Rates, free_port
from action_gru.apps.web import Limits, Page
from action_gru.apps.web.camera import CameraSession, CameraSessions
from action_gru.apps.web.elements import bar_rules, class_list, events_table, note, score_bars
from action_gru.apps.web.guard import Folders, Guard
from action_gru.apps.web.server import load_gradio
from action_gru.apps.web.upload import AnnotatedCopy, UploadReading, file_stem
from action_gru.core.errors import CheckpointError, ConfigError, MissingExtraError, VideoError
from action_gru.core.graphics import class_colours
from action_gru.streaming import TimelineReader
from action_gru.timeline import Event
from action_gru.video import Frame, VideoFile


@pytest.fixture(scope="module")
def recognizer() -> FakeRecognizer:
    return FakeRecognizer()


@pytest.fixture
def folders():
    with Folders(keep_s=60.0) as folders:
        yield folders


def read(recognizer, source, folder):
    reading = UploadReading(recognizer, source, folder, max_duration_s=60.0)
    assert list(reading)
    return reading.result()


def test_limits_are_above_zero():
    assert Limits(max_upload_mb=3).max_upload_bytes == 3_000_000
    with pytest.raises(ConfigError, match=r"max-duration-s: must be above 0; got -1"):
        Limits(max_duration_s=-1)
    with pytest.raises(ConfigError, match=r"cameras: must be above 0; got 0"):
        Limits(cameras=0)


def test_an_upload_has_the_events_of_the_timeline(tmp_path, recognizer):
    source = write_square(tmp_path / "in.mp4", 60)
    result = read(recognizer, source, tmp_path)
    reader = TimelineReader(recognizer.stream(), source, 8)
    assert list(reader)
    timeline = reader.timeline()
    assert len(timeline.events) >= 1
    for ours, theirs in zip(result.timeline.events, timeline.events, strict=True):
        assert ours.label == theirs.label
        assert ours.score == pytest.approx(theirs.score, abs=1e-4)
        assert (ours.start_s, ours.end_s) == pytest.approx((theirs.start_s, theirs.end_s))
    ours, theirs = result.timeline.scores, timeline.scores
    assert ours.times_s == pytest.approx(theirs.times_s)
    assert ours.values == pytest.approx(theirs.values, abs=1e-4)
    assert result.timeline.source == "in.mp4"
    assert result.timeline.complete
    assert result.answer == recognizer.read(source).prediction


def test_an_upload_gives_a_playable_copy_a_picture_and_every_format(tmp_path, recognizer):
    source = write_square(tmp_path / f"{HOSTILE}.mp4", 30)
    result = read(recognizer, source, tmp_path)
    with VideoFile(source) as before, VideoFile(result.video) as after:
        pairs = [(a.image.astype(int), b.image) for a, b in zip(before, after, strict=True)]
    assert len(pairs) == 30
    assert np.mean([np.abs(a - b)[:20, :40].mean() for a, b in pairs]) > 10
    assert b"avc1" in result.video.read_bytes()  # H.264, which browsers play
    light, dark = (path.read_bytes() for path in result.pictures)
    assert light.startswith(b"\x89PNG")
    assert dark.startswith(b"\x89PNG")
    assert light != dark
    assert result.frames == 30
    names = [path.name for path in (result.video, *result.downloads)]
    assert names == [
        "img_src_x_onerror_alert_1.annotated.mp4",
        *(f"img_src_x_onerror_alert_1{end}" for end in (".json", ".csv", ".vtt", ".srt", ".eaf")),
    ]
    document = json.loads(result.downloads[0].read_text())
    assert document["source"] == f"{HOSTILE}.mp4"
    assert str(tmp_path) not in result.downloads[-1].read_text()


@pytest.mark.parametrize("frames", [1, 3])
def test_a_video_of_few_frames_has_an_answer(tmp_path, recognizer, frames):
    result = read(recognizer, write_square(tmp_path / "in.mp4", frames), tmp_path)
    assert set(result.answer.labels) == set(CLASSES)
    assert result.timeline.events == ()


def test_a_long_video_is_refused_by_its_header_before_it_is_read(tmp_path, recognizer):
    source = write_square(tmp_path / "my clip.mp4", 50)
    reading = UploadReading(recognizer, source, tmp_path, 3.0)
    with pytest.raises(VideoError, match=r"^my clip.mp4: the video lasts longer than 0:03.0"):
        list(reading)
    assert not list(tmp_path.glob("*annotated*"))


def test_a_long_video_whose_header_is_silent_is_stopped(tmp_path, recognizer, monkeypatch):
    monkeypatch.setattr(VideoFile, "declared_s", None)
    source = write_square(tmp_path / "clip.mp4", 50)
    reading = UploadReading(recognizer, source, tmp_path, 3.0)
    read_s = []
    with pytest.raises(VideoError, match=r"longer than 0:03\.0, which is the limit here"):
        read_s.extend(reading)
    assert max(read_s, default=0.0) <= 3.0
    assert not list(tmp_path.glob("*annotated*"))


def test_what_is_no_video_is_refused_by_the_users_name_for_it(tmp_path, recognizer):
    cases = {
        "empty.mp4": (b"", "the file is empty"),
        "text.mp4": (b"hello" * 200, "this is text, not a video"),
        "noise.avi": (bytes(range(256)) * 20, "not a video that can be read"),
    }
    for name, (content, _) in cases.items():
        (tmp_path / name).write_bytes(content)
    write_audio(tmp_path / "sound.mp4")
    for name, reason in [(n, r) for n, (_, r) in cases.items()] + [("sound.mp4", "audio only")]:
        reading = UploadReading(recognizer, tmp_path / name, tmp_path, 60.0)
        with pytest.raises(VideoError, match=reason) as caught:
            list(reading)
        assert str(caught.value).startswith(f"{name}: ")
        assert str(tmp_path) not in str(caught.value)


def test_a_copy_keeps_time_whatever_the_source_s_rate(tmp_path, recognizer):
    stream = recognizer.stream()
    image = next(moving_square(1))
    stream.push(image, 0.0)

    def length(name, fps, times_s):
        copy = AnnotatedCopy(tmp_path / name, Overlay((96, 64)), fps)
        with copy.writer:
            for index, time_s in enumerate(times_s):
                copy.show(Frame(index, time_s, image), stream, recognizer.judged)
        with VideoFile(tmp_path / name) as video:
            return len(list(video)), video_fps(tmp_path / name)

    # The frame at 0.983 s is shown as the 31st picture, at 1.0 s: the nearest.
    assert length("fast.mp4", 60.0, [i / 60 for i in range(60)]) == (31, 30.0)
    assert length("gap.mp4", 10.0, [0.0, 0.1, 1.0, 1.1]) == (12, 10.0)
    assert length("wild.mp4", 90_000.0, [i / 10 for i in range(10)]) == (28, 30.0)


def video_fps(path):
    with VideoFile(path) as video:
        next(iter(video))
        return video.fps


def test_a_file_stem_has_safe_letters_alone():
    assert file_stem("../../etc/passwd") == "passwd"
    assert file_stem("Ü 1.mp4") == "1"
    assert file_stem("日本.mp4") == "video"
    assert file_stem("a" * 300 + ".mp4") == "a" * 40


def test_a_camera_counts_time_from_its_first_frame(recognizer):
    images = list(moving_square(9))
    session = CameraSession(recognizer.stream(), clock=lambda: 105.0)
    views = [session.push(image, 100.0 + 0.25 * i) for i, image in enumerate(images)]
    assert session.stream.prediction.time_s == 2.0
    assert views[0].time_s == 0.0
    assert views[8].fps == pytest.approx(4.0)
    assert views[8].status.startswith("0:02.0 · 4 frames a second · answered in 4000 ms")
    assert session.push(images[0], 101.0) is None  # it was overtaken on its way
    assert session.stream.prediction.time_s == 2.0
    later = session.push(images[0], 109.0)
    assert later.status.endswith(" · started afresh: no frame for 7.0 s")
    assert session.push(images[0], 114.5).note.endswith("no frame for 5.5 s")
    quiet = [session.push(images[0], 115 + 0.5 * i) for i in range(11)]
    assert quiet[-1].note == ""


def test_a_camera_that_is_too_slow_for_the_model_is_told(recognizer):
    image = next(moving_square(1))
    for fps, is_slow in ((1.5, True), (3.0, False)):  # the model reads 5 a second
        session = CameraSession(recognizer.stream())
        told = [session.push(image, index / fps) for index in range(round(4 * fps))]
        assert told[-1].note.startswith("too few for this model, which needs 2 a") is is_slow
        assert told[1].note == ""  # two frames tell no rate


def test_a_camera_tells_its_page_a_few_times_a_second(recognizer):
    session = CameraSession(recognizer.stream())
    image = next(moving_square(1))
    told = [session.push(image, i / 50) is not None for i in range(50)]
    assert told[0]
    assert 5 <= sum(told) <= 8  # each 0.2 s, and where an event begins or ends


def test_cameras_have_so_many_places_and_idle_ones_give_way(recognizer):
    cameras = CameraSessions(lambda: CameraSession(recognizer.stream()), places=2, idle_s=30.0)
    assert cameras.enter("a", 0.0) is cameras.enter("a", 1.0)
    assert cameras.enter("b", 10.0) is not None
    assert cameras.enter("c", 20.0) is None
    cameras.leave("b")
    assert cameras.enter("c", 21.0) is not None
    assert cameras.enter("d", 31.5) is not None  # a sent nothing for over 30 s
    cameras.sweep(100.0)
    assert len(cameras) == 0


def test_a_camera_that_left_leaves_nothing(recognizer):
    cameras = CameraSessions(lambda: CameraSession(recognizer.stream()), places=1, idle_s=30.0)
    session = cameras.enter("a", 0.0)
    session.push(next(moving_square(1)), 0.0)
    traces = [weakref.ref(session), weakref.ref(session.stream)]
    cameras.leave("a")
    del session
    gc.collect()
    assert [trace() for trace in traces] == [None, None]


def test_streams_in_several_threads_answer_as_alone(recognizer):
    clips = [list(moving_square(30, seed)) for seed in range(4)]

    def follow(clip):
        stream = recognizer.stream()
        return [stream.push(image, index / 10) for index, image in enumerate(clip)]

    alone = [follow(clip) for clip in clips]
    together = [None] * len(clips)

    def work(index):
        together[index] = follow(clips[index])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(clips))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_temporary_files_go_with_the_server(monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", "/elsewhere")
    with Folders(60.0) as folders:
        assert os.environ["GRADIO_TEMP_DIR"] == str(folders.root)
        job = folders.begin("a")
        (job.folder / "x").write_text("x")
        assert folders.bytes_held() == 1
    assert not folders.root.exists()
    assert job.stopped.is_set()
    assert os.environ["GRADIO_TEMP_DIR"] == "/elsewhere"


def test_a_newer_job_or_old_age_ends_a_job(folders, monkeypatch):
    first, other = folders.begin("a"), folders.begin("b")
    second = folders.begin("a")
    assert first.stopped.is_set()
    assert first.folder.exists()  # it is still written to
    folders.finish("a", first, keep=True)
    assert not first.folder.exists()
    folders.finish("a", second, keep=True)
    assert second.folder.exists()
    assert second.done.is_set()
    folders.stop("b")
    assert other.stopped.is_set()
    assert other.folder.exists()
    second.used_s -= 61
    folders.sweep()
    assert not second.folder.exists()
    assert other.folder.exists()
    folders.finish("b", other, keep=False)
    assert not other.folder.exists()


def test_only_an_upload_can_be_read(tmp_path, folders):
    upload = folders.root / "abc" / "clip.mp4"
    upload.parent.mkdir()
    upload.write_bytes(b"x")
    result = folders.begin("a").folder / "clip.json"
    result.write_bytes(b"x")
    link = folders.root / "abc" / "link.mp4"
    link.symlink_to("/etc/passwd")
    assert folders.uploaded(str(upload)) == upload
    inside_out = f"{folders.root}/../../etc/passwd"
    for path in ("/etc/passwd", inside_out, str(result), str(link), str(upload.parent), "a\0b", 1):
        assert folders.uploaded(path) is None


def guarded(bytes_held=0, **limits):
    """A guard before an app that reads all of a request and answers 'ok'."""

    async def app(scope, receive, send):
        more = True
        while more:
            more = (await receive()).get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    clock = limits.pop("clock", time.monotonic)
    return Guard(app, Limits(max_upload_mb=1, **limits), lambda: bytes_held, clock)


def ask(guard, path, headers=(), body=b"", pieces=1, method="POST"):
    """Send a request through the guard; status, body, headers of the answer."""
    sent, left = [], [body[i::pieces] for i in range(pieces)]

    async def receive():
        piece = left.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(left)}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers)}
    asyncio.run(guard(scope, receive, send))
    return sent[0]["status"], sent[1]["body"], dict(sent[0]["headers"])


def test_the_guard_refuses_what_is_too_large_or_goes_elsewhere():
    guard = guarded(bytes_held=9_500_000)  # of ten uploads of 1 MB
    status, body, headers = ask(guard, "/gradio_api/upload", body=b"x" * 1000)
    assert (status, body) == (200, b"ok")
    assert b"default-src 'self'" in headers[b"content-security-policy"]
    declared = [(b"content-length", b"2000000")]
    assert ask(guard, "/gradio_api/upload", declared)[0] == 413
    status, body, _ = ask(guard, "/gradio_api/upload", body=b"x" * 2_000_000, pieces=8)
    assert (status, body) == (413, b"larger than 1 MB, the limit here")
    fills = [(b"content-length", b"900000")]
    assert ask(guard, "/gradio_api/upload", fills)[:2] == (
        507,
        b"the server holds as many videos as it may; try again later",
    )
    for path in ("/gradio_api/file=http://a.b/", "/gradio_api/file=https%3A//a/", "/proxy=x"):
        assert ask(guard, path, method="GET")[0] == 403
    for path in ("/gradio_api/vibe-code", "/gradio_api/process_recording", "/gradio_api/run/x"):
        assert ask(guard, path)[:2] == (403, b"this page asks for no such thing")
    assert ask(guard, "/gradio_api/stream/abc/close")[0] == 200


def test_an_address_that_asks_too_often_waits():
    now_s = [0.0]
    guard = guarded(posts_per_s=2.0, uploads_per_min=3.0, clock=lambda: now_s[0])

    def status(path, method="POST"):
        return ask(guard, path, method=method, body=b"x")[0]

    assert [status("/gradio_api/queue/join") for _ in range(6)] == [200] * 4 + [429] * 2
    assert [status("/gradio_api/upload") for _ in range(4)] == [200, 200, 200, 429]
    assert [status("/config", "GET") for _ in range(5)] == [200] * 5
    now_s[0] = 1.0  # two a second
    assert [status("/gradio_api/queue/join") for _ in range(3)] == [200, 200, 429]
    assert status("/gradio_api/upload") == 429
    assert guard.uploads.allow("10.0.0.9")


def test_addresses_beyond_what_is_kept_cost_no_memory():
    rates = Rates(1.0, 1.0, lambda: 0.0)
    for number in range(3000):
        assert rates.allow(str(number))
    assert len(rates._held) == 1000


def test_a_style_sheet_holds_no_text_from_outside():
    rules = bar_rules({'"]}</style><img>': "#0072B2", "walk": "#E69F00"})
    assert 'meter.bar[aria-label="walk"] { background: #E69F00 !important; }' in rules
    assert "<" not in rules
    assert "\\3c \\2f style" in rules


def test_a_label_has_its_colour_in_lists_and_tables():
    colours = class_colours(CLASSES)
    table = events_table([Event(CLASSES[1], 0.0, 1.5, 0.5)], colours=colours)
    assert table.count("swatch") == 1
    assert "background:#E69F00" in table
    assert [part[:7] for part in class_list(colours).split("background:")[1:3]] == [
        "#0072B2",
        "#E69F00",
    ]


def test_words_from_outside_are_text_and_no_html():
    table = events_table([Event(HOSTILE, 0.0, 1.5, 0.5)], [Event("b&c", 2.0, 3.0, 1.0)])
    page = table + class_list(class_colours(CLASSES)) + note(HOSTILE) + note(HOSTILE, "error")
    assert "<img" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert table.index("b&amp;c") < table.index("onerror")
    assert "<td>0:00.0</td><td>0:01.5</td>" in table
    assert "<td>0:02.0</td><td>now</td>" in table
    assert events_table([], empty="No event") == '<p class="note" role="status">No event</p>'


def test_without_gradio_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gradio", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'action-gru\[web\]'"):
        load_gradio()


def test_a_port_that_is_taken_is_named():
    port = free_port("127.0.0.1", 0)
    with __import__("socket").socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(ConfigError, match=rf"127.0.0.1, port {port}: cannot be listened on"):
            free_port("127.0.0.1", port)
    with pytest.raises(ConfigError, match="choose others with --host"):
        free_port("256.1.1.1", 0)


def test_an_empty_host_opens_nothing_to_the_network():
    with pytest.raises(ConfigError, match="--host is empty; leave it out for this machine alone"):
        free_port("", 0)


def test_a_model_that_cannot_run_live_is_refused_at_once(folders):
    class Backwards:
        classes = CLASSES

        def stream(self):
            raise CheckpointError("the model is bidirectional")

    with pytest.raises(CheckpointError, match="bidirectional"):
        Page(Backwards(), folders)


def test_several_labels_have_bars_with_their_thresholds_and_several_current_events(tmp_path):
    recognizer = FakeRecognizer(many=True)
    limits, colours = recognizer.thresholds, class_colours(CLASSES)
    result = read(recognizer, write_square(tmp_path / "in.mp4", 40), tmp_path)
    active = result.answer.active
    assert active is not None
    assert {event.label for event in result.timeline.events} <= set(CLASSES)
    bars = score_bars(result.answer, limits, colours)
    assert "<img" not in bars
    assert bars.count('class="shown"') == len(active)
    assert bars.count('class="below"') == len(CLASSES) - len(active)
    assert 'class="limit" style="left:90%"' in bars
    session, views = CameraSession(recognizer.stream(), clock=lambda: 0.0), []
    for number in range(40):
        views.append(session.push(np.full((32, 32, 3), 200, np.uint8), number / 10))
    current = max((view.current for view in views if view), key=len)
    assert [event.label for event in current] == sorted(
        (event.label for event in current), key=[event.label for event in current].index
    )
    table = events_table([], current, colours=colours)
    assert table.count('class="now"') == len(current) >= 1
