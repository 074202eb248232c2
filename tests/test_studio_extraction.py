"""The facts of clips: which are read when, what is told of them, and what survives."""

import json
import os
from pathlib import Path

import pytest
from helpers.asked_engines import add_clips, studio_in

from action_gru.apps.studio.engine import StoppedTaskError, TaskError
from action_gru.apps.studio.extraction import Extraction
from action_gru.apps.studio.session import Facts

ONE, TWO, THREE = (f"wave/20261129-101500-{number}.webm" for number in (1, 2, 3))


def found(problem=None, warnings=(), alike=(), file_s=2.0):
    return {"problem": problem, "warnings": list(warnings), "alike": list(alike), "file_s": file_s}


def at(studio, clip, second):
    os.utime(studio.project.clips / clip, (second, second))


@pytest.fixture
def studio(tmp_path):
    """Three clips of wave, the third the newest; the newest is being read."""
    made = studio_in(tmp_path / "mine")
    made.project.add("wave")
    made.extraction = Extraction(made)
    for number, clip in enumerate((ONE, TWO, THREE)):
        path = made.project.clips / clip
        path.write_bytes(b"x" * (number + 1))
        at(made, clip, 1000 + number)
    made.clips_changed()
    return made


def asked_for(studio):
    return [args[0] for task, args in studio.reader.asked if task == "read_clip"]


def test_clips_are_read_one_by_one_the_newest_first(studio):
    assert asked_for(studio) == [THREE]
    assert {fact.features for fact in studio.facts.values()} == {"waiting"}
    studio.reader.answer(found())
    assert asked_for(studio) == [THREE, TWO]
    assert studio.facts[THREE] == Facts("ready", file_s=2.0)
    studio.reader.answer(found())
    studio.reader.answer(found())
    assert asked_for(studio) == [THREE, TWO, ONE]
    assert {fact.features for fact in studio.facts.values()} == {"ready"}


def test_a_clip_that_fails_is_told_and_blocks_no_other(studio):
    studio.reader.answer(found(problem="a.webm: no video", file_s=None))
    assert studio.facts[THREE] == Facts("failed", "a.webm: no video")
    assert asked_for(studio) == [THREE, TWO]


def test_a_worker_that_died_gets_one_more_try(studio):
    studio.reader.answer(TaskError("the reader process ended; try again"))
    assert studio.facts[THREE].features == "waiting"
    studio.reader.answer(TaskError("the reader process ended; try again"))
    assert studio.facts[THREE].problem == "the reader process ended; try again"
    assert asked_for(studio) == [THREE, THREE, TWO]


def test_what_failed_on_a_full_disk_is_read_again_when_training_begins(studio):
    full = TaskError("a.jpg: cannot be written (No space left on device); free space on the disk")
    studio.reader.answer(full)
    studio.reader.answer(full)
    name = next(name for name, fact in studio.facts.items() if fact.features == "failed")
    others = [other for other in studio.facts if other != name]
    for _ in others:
        studio.reader.answer(found())
    count = len(asked_for(studio))
    studio.read_again()
    assert studio.facts[name] == Facts()
    assert asked_for(studio)[count:] == [name]
    studio.reader.answer(full)  # still full: told at once, so that a training can go on
    assert studio.facts[name] == Facts("failed", str(full))
    studio.read_again()
    studio.reader.answer(found())
    assert {fact.features for fact in studio.facts.values()} == {"ready"}


def test_a_stopped_reading_begins_again_but_not_while_closing(studio):
    studio.reader.answer(StoppedTaskError("read_clip: stopped"))
    assert asked_for(studio) == [THREE, THREE]
    studio.reader.close()
    studio.reader.answer(StoppedTaskError("read_clip: stopped"))
    assert asked_for(studio) == [THREE, THREE]


def test_what_changed_while_it_was_read_is_read_again(studio):
    (studio.project.clips / THREE).write_bytes(b"another video")
    at(studio, THREE, 2000)
    studio.clips_changed()
    studio.reader.answer(found(warnings=["dark"]), 0)  # of the file as it was
    assert studio.facts[THREE] == Facts("waiting")
    assert asked_for(studio) == [THREE, THREE]


def test_bounds_make_another_clip_and_names_do_not(studio):
    pictures = [args[4] for task, args in studio.reader.asked if task == "read_clip"]
    studio.reader.answer(found())
    studio.project.add("clap")
    studio.shelf.change([THREE], {"action": "clap"})
    moved = THREE.replace("wave", "clap")
    assert studio.facts.keys() == {ONE, TWO, moved}
    studio.reader.answer(found())  # of TWO, which was being read
    again = [args for task, args in studio.reader.asked if task == "read_clip"][-1]
    assert (again[0], again[4]) == (moved, pictures[0])
    studio.reader.answer(found())
    studio.shelf.change([moved], {"end_s": 1.0})
    assert studio.facts[moved] == Facts("waiting")


def test_of_two_alike_the_newer_is_told_until_the_older_is_gone(studio):
    studio.reader.answer(found(warnings=["dark"]))
    studio.reader.answer(found(alike=[THREE]))
    assert studio.facts[THREE] == Facts("ready", None, ("dark", "same"), TWO, 2.0)
    assert studio.facts[TWO] == Facts("ready", file_s=2.0)
    studio.shelf.delete([TWO])
    assert studio.facts[THREE] == Facts("ready", None, ("dark",), None, 2.0)
    assert ("forget_clips", ([TWO],)) in studio.reader.asked


def test_nothing_moves_is_no_fault_of_the_background(tmp_path):
    studio = studio_in(tmp_path / "mine")
    Extraction(studio)
    background = studio.project.background()[0]
    add_clips(studio, **{background: 1})
    studio.reader.answer(found(warnings=["dark", "still"]))
    assert [fact.warnings for fact in studio.facts.values()] == [("dark",)]


def test_pictures_of_clips_that_are_gone_are_removed(studio):
    poster = Path(studio.reader.asked[-1][1][4])
    poster.parent.mkdir(parents=True)
    for path in (poster, poster.with_suffix(".json"), poster.with_name("gone.jpg")):
        path.write_bytes(b"x")
    studio.clips_changed()
    assert sorted(path.name for path in poster.parent.iterdir()) == sorted(
        [poster.name, poster.with_suffix(".json").name]
    )
    assert studio.extraction.poster(THREE) == poster
    assert studio.extraction.poster(ONE) is None
    assert studio.extraction.poster("../secret") is None


# With the reader's own code.


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """The reader's module, in a project that the small network reads."""
    from action_gru.apps.studio import work_clips
    from action_gru.prepare.project import open_project

    project = open_project(tmp_path / "mine")
    (project.hidden / "network").write_text("builtin")
    project.add("wave")
    monkeypatch.chdir(project.folder)
    work_clips._pooled.clear()
    yield work_clips
    work_clips._pooled.clear()


def read(reader, name, images=None, bounds=(None, None)):
    from helpers.drawn_clips import write_clip

    path = Path("clips", name).absolute()
    if images is not None:
        write_clip(path, images, 12.0, 2)
    return reader.read_clip(
        lambda _: None, name, str(path), *bounds, f".studio/clips/{name[-5]}.jpg"
    )


@pytest.mark.slow
def test_a_clip_is_judged_and_its_features_are_in_the_projects_cache(reader):
    import cv2
    import numpy as np
    from helpers.drawn_clips import moving_blobs

    moving, other = moving_blobs(1), moving_blobs(2)
    assert reader.warm(lambda _: None).startswith(
        "with the small network: yolo26n-cls.pt is not here"
    )
    assert read(reader, "wave/1.mp4", moving) == found()
    assert read(reader, "wave/2.mp4", other) == found()
    assert read(reader, "wave/3.mp4", moving[:-1])["alike"] == ["wave/1.mp4"]
    assert read(reader, "wave/4.mp4", [moving[0]] * 24)["warnings"] == ["still"]
    dark = [np.asarray(image * 0.1, np.uint8) for image in other]
    assert read(reader, "wave/5.mp4", dark)["warnings"] == ["dark"]
    poster = cv2.imread(".studio/clips/1.jpg")
    assert poster.shape == (128, 192, 3)
    assert len(list(Path("cache/features").glob("*/*.safetensors"))) == 10  # two views each


@pytest.mark.slow
def test_facts_survive_a_restart_without_decoding_again(reader, monkeypatch):
    from helpers.drawn_clips import moving_blobs

    first = read(reader, "wave/1.mp4", moving_blobs(1))
    assert json.loads(Path(".studio/clips/1.json").read_bytes()).items() <= first.items()
    reader.forget_clips(lambda _: None, ["wave/1.mp4"])
    monkeypatch.setattr("action_gru.video.VideoFile.run", None)
    monkeypatch.setattr("action_gru.video.VideoFile.frames", None)
    assert read(reader, "wave/1.mp4") == first
    assert list(reader._pooled) == ["wave/1.mp4"]


@pytest.mark.slow
def test_a_clip_that_is_no_video_or_holds_nothing_has_a_problem(reader):
    from helpers.drawn_clips import moving_blobs

    Path("clips/wave/1.mp4").write_bytes(b"no video at all")
    assert "1.mp4" in read(reader, "wave/1.mp4")["problem"]
    inside = read(reader, "wave/2.mp4", moving_blobs(1), (0.5, 1.5))
    assert (inside["problem"], inside["file_s"]) == (None, 2.0)
    outside = read(reader, "wave/3.mp4", moving_blobs(2), (5.0, None))
    assert "none of them inside the clip's bounds" in outside["problem"]
    assert not Path(".studio/clips/3.json").exists()
