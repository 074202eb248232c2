"""Annotation files to a manifest: which videos are meant, and what becomes of each segment."""

import json
import re
import shutil
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from helpers.annotation_files import EXAMPLES
from helpers.videos import write_square
from typer.testing import CliRunner

from action_gru.cli.commands import app
from action_gru.core.errors import ConfigError, DataError
from action_gru.dataset import read_long_videos
from action_gru.prepare import prepare_annotations

ROWS = [
    "path,label,group,start_s,end_s",
    "v/a.mp4,walk,v/a.mp4,0.5,2",
    "v/a.mp4,読む é,v/a.mp4,1,3",
    "v/a.mp4,run,v/a.mp4,3,4",
]


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """A folder with v/a.mp4: 4 seconds, 10 frames a second."""
    folder = tmp_path_factory.mktemp("videos")
    write_square(folder / "v" / "a.mp4", 40)
    shutil.copyfile(folder / "v" / "a.mp4", folder / "v" / "S1_fall_13.mp4")
    return folder


def save(folder: Path, files: dict[str, str]) -> list[Path]:
    for name, text in files.items():
        (folder / name).write_bytes(text.encode())
    return [folder / name for name in files]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: f"{one.form}-{next(iter(one.files))}")
def test_every_form_gives_the_same_manifest(example, videos, tmp_path):
    files = save(tmp_path, example.files)
    made = prepare_annotations(files, videos, tmp_path / "m.csv")
    text = (tmp_path / "m.csv").read_text(encoding="utf-8")
    named = "v/S1_fall_13.mp4" if example.form == "gmdcsa24" else "v/a.mp4"
    assert text.replace(named, "v/a.mp4").splitlines() == ROWS
    assert made.counts == {"segments": 3, "videos": 1, "classes": 3}
    assert len(made.missing) == 1
    assert "gone" in made.missing[0]
    assert len(made.notes) == len(example.notes)
    for note in example.notes:
        assert sum(note in one for one in made.notes) == 1, made.notes
    assert made.overlapping == 1
    prepare_annotations(files[::-1], videos, tmp_path / "m.csv")  # the same text: nothing to refuse
    assert (tmp_path / "m.csv").read_text(encoding="utf-8") == text


def write_uneven(path: Path, times_ms: list[int]) -> None:
    """A video whose frames are at these instants; its header declares 25 a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.time_base = 64, 64, Fraction(1, 1000)
        stream.codec_context.time_base = Fraction(1, 1000)
        for time_ms in times_ms:
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = time_ms, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_frame_numbers_become_the_instants_of_an_uneven_video(tmp_path):
    times_ms = [0, 40, 80, 600, 633, 1700, 1740, 1900]
    write_uneven(tmp_path / "a.mkv", times_ms)
    task = "<meta><task><id>1</id><source>a.mp4</source></task></meta>"
    track = '<track id="0" label="wave"><box frame="3" outside="0"/><box frame="5" outside="1"/>'
    files = save(tmp_path, {"a.xml": f"<annotations>{task}{track}</track></annotations>"})
    prepare_annotations(files, tmp_path, tmp_path / "m.csv")
    assert (tmp_path / "m.csv").read_text().splitlines()[1] == "a.mkv,wave,a.mkv,0.6,1.7"
    (tmp_path / "long.csv").write_text("path,label,timeline\na.mkv,,a.xml\n")
    (video,) = read_long_videos(tmp_path / "long.csv")
    assert [(one.start_s, one.end_s) for one in video.segments] == [(0.6, 1.7)]


def labels(manifest: Path) -> list[str]:
    return [line.split(",")[1] for line in manifest.read_text().splitlines()[1:]]


def test_labels_are_renamed_merged_and_left_out(videos, tmp_path):
    text = "start_s,end_s,label\n0,1,Walking\n1,2,walk\n2,3,noise\n"
    files = save(tmp_path, {"a.csv": text})
    renamed = {"Walking": "walk", "noise": "", "jog": "run"}
    made = prepare_annotations(files, videos, tmp_path / "m.csv", renamed=renamed)
    assert labels(tmp_path / "m.csv") == ["walk", "walk"]
    assert made.notes == ("--map jog: no segment has this label",)


def test_a_label_with_a_semicolon_is_told_and_may_be_renamed(videos, tmp_path):
    files = save(tmp_path, {"a.csv": "start_s,end_s,label\n0,1,up; down\n1,2,;up\n"})
    (note,) = prepare_annotations(files, videos, tmp_path / "m.csv").notes
    assert note == (
        "'up; down' is 2 labels at once with data.labels=many; if it is one name, 'prepare "
        "annotations' with --map 'up; down=up down' writes it as such"
    )
    renamed = {"up; down": "up down"}
    assert not prepare_annotations(files, videos, tmp_path / "n.csv", renamed=renamed).notes


def test_complete_adds_a_row_without_a_label_for_each_video(videos, tmp_path):
    text = "path,start_s,end_s,label\na.mp4,1,2,walk\nS1_fall_13.mp4,,,\n"
    files = save(tmp_path, {"x.csv": text})
    (note,) = prepare_annotations(files, videos, tmp_path / "n.csv").notes
    assert note.startswith("no segment of v/S1_fall_13.mp4 is kept, so that they get no row; 'prep")
    assert labels(tmp_path / "n.csv") == ["walk"]
    assert not prepare_annotations(files, videos, tmp_path / "m.csv", complete=True).notes
    assert (tmp_path / "m.csv").read_text().splitlines() == [
        "path,label,group,start_s,end_s",
        "v/S1_fall_13.mp4,,v/S1_fall_13.mp4,,",
        "v/a.mp4,,v/a.mp4,,",
        "v/a.mp4,walk,v/a.mp4,1,2",
    ]


def test_of_two_videos_of_a_name_the_folder_decides_or_none(videos, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        shutil.copyfile(videos / "v" / "a.mp4", tmp_path / folder / "a.mp4")
    text = "path,start_s,end_s,label\nC:\\all\\Two\\A.mp4,1,2,walk\n"
    prepare_annotations(save(tmp_path, {"x.csv": text}), tmp_path, tmp_path / "m.csv")
    assert (tmp_path / "m.csv").read_text().splitlines()[1].startswith("two/a.mp4,walk")
    with pytest.raises(DataError, match=r"'a' may be one/a\.mp4 or two/a\.mp4; rename one"):
        prepare_annotations(save(tmp_path, {"a.srt": ""}), tmp_path, tmp_path / "n.csv")


def test_without_a_segment_nothing_is_written(videos, tmp_path):
    files = save(tmp_path, {"a.srt": "1\n00:00:08,000 --> 00:00:09,000\nlate\n"})
    with pytest.raises(DataError, match=r"no segment lies in any .*a\.srt, line 2: 'late' from 8 "):
        prepare_annotations(files, videos, tmp_path / "m.csv")
    assert not (tmp_path / "m.csv").exists()


def test_a_folder_of_pictures_is_a_video_with_the_rate_that_is_given(tmp_path):
    (tmp_path / "a").mkdir()
    for number in range(1, 9):
        cv2.imwrite(str(tmp_path / "a" / f"{number:04d}.png"), np.zeros((32, 32, 3), np.uint8))
    task = "<meta><task><id>1</id><source>a.mp4</source></task></meta>"
    track = '<track id="0" label="wave"><box frame="2" outside="0"/><box frame="6" outside="1"/>'
    files = save(tmp_path, {"x.xml": f"<annotations>{task}{track}</track></annotations>"})
    prepare_annotations(files, tmp_path, tmp_path / "m.csv", frame_rate=4)
    assert (tmp_path / "m.csv").read_text().splitlines() == [
        "path,label,group,start_s,end_s,frame_rate", "a,wave,a,0.5,1.5,4",
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"its video cannot be read: .*frame_rate"):
        prepare_annotations(files, tmp_path, tmp_path / "n.csv")


def test_links_are_followed_on_request(videos, tmp_path):
    files = save(tmp_path, {"x.csv": "path,start_s,end_s,label\nb.mp4,1,2,walk\n"})
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b.mp4").symlink_to(videos / "v" / "a.mp4")
    with pytest.raises(DataError, match="is a link, and nothing is read through links"):
        prepare_annotations(files, tmp_path / "in", tmp_path / "m.csv")
    made = prepare_annotations(files, tmp_path / "in", tmp_path / "m.csv", follow_links=True)
    assert made.sentences()[0].endswith(" data.task=frames data.follow_links=true")


def test_the_same_segment_twice_is_one_row(videos, tmp_path):
    text = "start_s,end_s,label\n1,2,walk\n1,2,walk\n"
    made = prepare_annotations(save(tmp_path, {"a.csv": text}), videos, tmp_path / "m.csv")
    assert made.counts["segments"] == 1


def test_a_video_that_cannot_be_read_is_told_and_the_rest_is_used(videos, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    shutil.copyfile(videos / "v" / "a.mp4", tmp_path / "a.mp4")
    text = "path,start_s,end_s,label\na.mp4,1,2,walk\nbroken.mp4,1,2,walk\n"
    made = prepare_annotations(save(tmp_path, {"x.csv": text}), tmp_path, tmp_path / "m.csv")
    assert "line 3: left out, since its video cannot be read: " in made.notes[0]
    assert labels(tmp_path / "m.csv") == ["walk"]


def test_the_command_says_what_it_wrote_and_what_is_missing(videos, tmp_path):
    files = map(str, save(tmp_path, EXAMPLES[0].files))
    common = ["prepare", "annotations", *files, "--videos", str(videos)]
    common += ["--out", str(tmp_path / "m.csv"), "--map", "run=jog", "--format", "elan"]
    done = CliRunner().invoke(app, common)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == str(tmp_path / "m.csv")
    assert "1 of 2 videos are missing: file:///C:/my%20videos/gone.mp4" in done.stderr
    assert "3 segments of 1 video, 3 classes; next: action-gru train " in done.stderr
    assert "1 overlap of segments: data.labels=many takes them" in done.stderr
    done = CliRunner().invoke(app, [*common, "--json", "--quiet"])
    document = json.loads(done.stdout)
    assert (document["segments"], document["overlapping"], len(document["notes"])) == (3, 1, 3)
    assert labels(tmp_path / "m.csv")[-1] == "jog"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["annotations", "{a}"], "annotations need --videos DIR"),
        (["annotations", "{a}", "--videos", "{v}", "--map", "walk"], "--map walk: write OLD=NEW"),
        (["annotations", "{a}", "--videos", "{a}"], "is no folder; pass the folder of the videos"),
        (["annotations", "{a}", "--videos", "{v}", "--format", "x"], "'x' is no form that is read"),
        (["annotations", "{none}", "--videos", "{v}"], "no file at"),
        (["annotations", "{none}", "--videos", "{t}"], "no file at"),
        (["annotations", "{v}", "--videos", "{v}"], "is a folder; name the files in it"),
        (["annotations", "{a}", "--videos", "{t}"], r"no video that the annotations name \(a\)"),
        (["annotations", "{a}", "--videos", "{v}", "--format", "elan"], "is no file of elan"),
        (["folder", "{v}", "{v}"], "folder is one folder, got 2 paths"),
        (["folder", "{v}", "--complete"], "--frame-rate are not for folder"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(words, message, videos, tmp_path):
    (file,) = save(tmp_path, {"a.csv": "start_s,end_s,label\n1,2,walk\n"})
    places = {"a": file, "v": videos, "t": tmp_path, "none": tmp_path / "none.srt"}
    words = ["prepare", *(word.format_map(places) for word in words), "--out", "{t}/m.csv"]
    done = CliRunner().invoke(app, [word.format_map(places) for word in words])
    assert isinstance(done.exception, (ConfigError, DataError))
    assert re.search(message, str(done.exception))


@pytest.mark.slow
def test_the_annotations_of_falls_agree_with_its_segments(shared_data, tmp_path):
    files = sorted((shared_data / "falls" / "annotations").glob("*.csv"))
    made = prepare_annotations(files, shared_data / "falls", tmp_path / "m.csv")
    got = {tuple(line.split(",")) for line in (tmp_path / "m.csv").read_text().splitlines()[1:]}
    wanted = (shared_data / "falls" / "segments.csv").read_text().splitlines()[1:]
    assert {(path, label, start, end) for path, label, _, start, end in got} == {
        tuple(line.split(",")[:4]) for line in wanted
    }
    assert len(made.missing) == 71
    assert [note.partition(".csv, ")[2] for note in made.notes] == [
        "line 7, Sitting: the end lies before the start, got 9.7 to 3",
        "line 20: Eating: '0.9 4.6' is no 'START to END'",
    ]
