"""Annotation files of every form, read alone and as timelines."""

from pathlib import Path

import pytest
from helpers.annotation_files import EXAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st

from action_gru.core.errors import DataError
from action_gru.timeline import (
    FORMATS,
    READERS,
    Event,
    Timeline,
    read_annotations,
    read_segments,
    write_timeline,
)
from action_gru.timeline.readers import video_keys


def save(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: f"{one.form}-{next(iter(one.files))}")
def test_a_form_is_recognised_by_its_suffix_and_its_content(example, tmp_path):
    for name, text in example.files.items():
        path = save(tmp_path, name, text)
        assert read_annotations(path)[0] == example.form
        assert read_annotations(path, example.form)[1] == read_annotations(path)[1]


def test_each_form_has_an_example():
    assert {example.form for example in EXAMPLES} == set(READERS)


LABELS = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="<>;"), min_size=1)
EVENTS = st.lists(
    st.builds(
        lambda start_ms, length_ms, label, score: Event(
            label, start_ms / 1000, (start_ms + length_ms) / 1000, score / 100
        ),
        st.integers(0, 4_000_000), st.integers(1, 99_999), LABELS, st.integers(0, 100),
    ),
    max_size=8,
)  # fmt: skip


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=25, deadline=None)
@given(events=EVENTS)
def test_what_is_written_is_read_back_to_the_millisecond(suffix, events, tmp_path_factory):
    events = sorted(events, key=lambda event: (event.start_s, event.end_s))
    path = tmp_path_factory.mktemp("trip") / f"a{suffix}"
    path.write_bytes(FORMATS[suffix](Timeline("a.mp4", ("x",), tuple(events), 4100.0)))
    got = read_segments(path, overlaps=True)
    key = lambda one: (one.start_s, one.end_s, one.label, one.score)  # noqa: E731
    assert sorted(got, key=key) == sorted(events, key=key)


@pytest.mark.parametrize("suffix", FORMATS)
def test_each_person_is_read_back(suffix, tmp_path):
    events = (Event("run", 0.5, 2.0, 0.5, 1), Event("wave", 1.0, 3.0, 0.25, 12))
    write_timeline(Timeline("a.mp4", ("x",), events, 4.0, people=2), tmp_path / f"a{suffix}")
    assert read_segments(tmp_path / f"a{suffix}", overlaps=True) == events
    with pytest.raises(DataError, match="'run' lasts until 2, 'wave' begins at 1; one action at"):
        read_segments(tmp_path / f"a{suffix}")


EVENT = '{"source": %s, "complete": true, "events": [{"label": %s, "start_s": 0, "end_s": %s}]}'


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"source": "a.mp4"', "damaged JSON"),
        ("a.json", "[" * 100_000, "damaged JSON"),
        ("a.json", '{"kind": 1, "shapes": []}', "it holds JSON with the keys kind, shapes"),
        ("a.json", "[1, 2]", "it holds JSON, a list of other things"),
        ("a.eaf", "<ANNOTATION_DOCUMENT>", "damaged XML"),
        ("a.xml", "<recording/>", "it holds XML whose root is <recording>"),
        ("a.doc", "text", r"unknown ending '\.doc'; read are \.boris"),
        ("a.csv", "v,0902,0.1,0.1,0.5,0.9,12,0\n", "'action-gru prepare ava FOLDER' reads it"),
        ("a.txt", "three words here\n", r"'\.txt' in no form that is read; it holds text"),
        ("a.json", '{"database": {"x": {"annotations": [{"segment": [0, 1]}]}}}', "KeyError"),
        ("a.json", '{"database": []}', r"cannot be read as activitynet \(AttributeError"),
        ("a.srt", "1\n0:00 -> 0:01\nx\n", "line 1: no cue"),
        ("a.vtt", "WEBVTT\n\n0:00 --> ?\nx\n", "line 3: no two times around -->"),
        ("a.srt", "1\n00:00:02,000 --> 00:00:01,000\nx\n", "line 2: the end lies before the start"),
        ("a.txt", "1.0\t2.0\t\n", "line 1: label must not be empty"),
        ("a.srt", "é\n".encode("latin-1"), "no text in UTF-8 or UTF-16"),
        ("a.json", EVENT % ("7", '"x"', "1"), "the name of a video is no text, but 7"),
        ("a.json", EVENT % ('"v"', "null", "1"), "event 1: label must be text, got 'None'"),
        ("a.json", EVENT % ('"v"', '["x"]', "1"), "event 1: label must be text"),
        ("a.json", EVENT % ('"v"', '"x"', "1e300"), "event 1: end is seconds .* got '1e"),
        (
            "a.json",
            '{"database": {"v": {"annotations": [{"label": "x", "segment": [1]}]}}}',
            r"annotation 1: a segment has a start and an end, got \[1\]",
        ),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(name, text, message, tmp_path):
    with pytest.raises(DataError, match=message) as error:
        read_segments(save(tmp_path, name, text))
    assert name in str(error.value)


def test_a_long_cell_without_a_segment_takes_no_long_time(tmp_path):
    """It took minutes, as each letter was tried as the first of a name."""
    cell = "a " * 20_000
    path = save(tmp_path, "a.csv", f'file name,classes\nv.mp4,"{cell}Run[1 to 2]"\n')
    _, found = read_annotations(path)
    assert found.problems
    assert found.segments[0].label.endswith("Run")


BOMB = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<ANNOTATION_DOCUMENT>&b;</ANNOTATION_DOCUMENT>"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_xml_that_declares_entities_is_refused(encoding, tmp_path):
    with pytest.raises(DataError, match="declares a document type"):
        read_segments(save(tmp_path, "a.eaf", BOMB.encode(encoding)))


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate((1 << 26) + 1)
    with pytest.raises(DataError, match=r"a\.json: is larger than 64 MB; export fewer videos"):
        read_segments(tmp_path / "a.json")


def test_of_a_file_on_several_videos_the_wanted_one_is_read(tmp_path):
    path = save(tmp_path, "x.csv", "video,start_s,end_s,label\na.mp4,0,1,run\nv/b.mp4,2,3,hop\n")
    assert read_segments(path, Path("there/B.MP4")) == (Event("hop", 2.0, 3.0),)
    with pytest.raises(
        DataError, match=r"is about a\.mp4 and v/b\.mp4, and none of them is c\.mp4"
    ):
        read_segments(path, Path("c.mp4"))
    with pytest.raises(DataError, match="and one is needed"):
        read_segments(path)


def test_where_segments_may_overlap_a_label_may_be_several_names(tmp_path):
    path = save(tmp_path, "a.csv", "start_s,end_s,label\n0,2,walk; read\n1,3,sit\n")
    with pytest.raises(DataError, match="one action at a time"):
        read_segments(path)
    found = [(one.label, one.start_s) for one in read_segments(path, overlaps=True)]
    assert found == [("walk", 0), ("read", 0), ("sit", 1)]


def test_frames_need_the_instants_of_the_video(tmp_path):
    example = next(one for one in EXAMPLES if one.form == "cvat")
    path = save(tmp_path, "gone.xml", example.files["b.xml"])
    with pytest.raises(DataError, match=r"track 0: counts in frames, .*write seconds"):
        read_segments(path)
    assert read_segments(path, time_of_frame=lambda n: n / 8) == (Event("walk", 0.0, 1.25),)


def test_label_studio_frames_follow_the_rate_that_the_task_names(tmp_path):
    text = (
        '[{"data": {"video": "a.mp4", "fps": 5}, "annotations": [{"result": [{"value": {"ranges": '
        '[{"start": 1, "end": 10}], "timelinelabels": ["x"]}}, {"value": {"start": 3.5, "end": 4, '
        '"labels": ["y", "z"]}}]}]}]'
    )
    path = save(tmp_path, "a.json", text)
    assert read_segments(path, overlaps=True) == (
        Event("x", 0.0, 2.0), Event("y", 3.5, 4.0), Event("z", 3.5, 4.0),
    )  # fmt: skip


@pytest.mark.parametrize(("suffix", "counters"), [(".vtt", ("", "")), (".srt", ("1\n", "2\n"))])
def test_a_cue_ends_where_the_next_one_has_its_times(suffix, counters, tmp_path):
    first, second = counters
    cues = f"{first}00:00.000 --> 00:01.000\nwalk\n{second}00:01.000 --> 00:02.000\nrun 3\n"
    path = save(tmp_path, f"a{suffix}", f"WEBVTT\n\n{cues}" if suffix == ".vtt" else cues)
    found = read_annotations(path)[1]
    assert [(one.label, one.start, one.end) for one in found.segments] == [
        ("walk", 0, 1), ("run 3", 1, 2),
    ]  # fmt: skip
    assert not found.problems


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("1\n00:00.000 --> 00:01.000\nwalk --> run\n", ["walk --> run"]),
        ("00:00.000 --> 00:01.000\n3\n00:01.000 --> 00:02.000\n5\n", ["3", "5"]),
    ],
)
def test_what_looks_like_the_next_cue_may_be_a_label(text, labels, tmp_path):
    found = read_annotations(save(tmp_path, "a.srt", text))[1]
    assert [one.label for one in found.segments] == labels


@pytest.mark.parametrize(("rate", "told"), [("25", 0), ("0", 1), ("inf", 1)])
def test_label_studio_takes_one_name_and_a_rate_that_counts(rate, told, tmp_path):
    value = '{"ranges": [{"start": 26, "end": 50}], "timelinelabels": "walk"}'
    task = f'[{{"data": {{"video": "a.mp4", "fps": "{rate}"}}, "annotations": [{{"result": ['
    found = read_annotations(save(tmp_path, "a.json", f'{task}{{"value": {value}}}]}}]}}]'))[1]
    (segment,) = found.segments
    assert (segment.label, segment.in_frames) == ("walk", bool(told))
    assert len(found.passed_over) == told


def test_cvat_tags_of_neighbouring_frames_are_one_segment(tmp_path):
    images = "".join(
        f'<image id="{number}" name="frame_{frame:06d}" width="9" height="9"><tag label="walk"/>'
        "</image>"
        for number, frame in enumerate([0, 5, 10, 20])
    )
    meta = "<meta><task><id>1</id><source>a.mp4</source><frame_filter>step=5</frame_filter></task>"
    path = save(tmp_path, "a.xml", f"<annotations>{meta}</meta>{images}</annotations>")
    assert read_segments(path, time_of_frame=lambda n: n / 10) == (
        Event("walk", 0.0, 1.5), Event("walk", 2.0, 2.5),
    )  # fmt: skip


def test_boris_times_of_a_queue_of_files_count_from_the_first(tmp_path):
    text = (
        '{"behaviors_conf": {"0": {"code": "s", "type": "State event"}}, "observations": {"o": '
        '{"file": {"1": ["a.mp4", "b.mp4"]}, "media_info": {"length": {"a.mp4": 10, "b.mp4": 5}}, '
        '"events": [[8, "", "s", "", ""], [12, "", "s", "", ""], [13, "", "s", "", ""]]}}}'
    )
    _, found = read_annotations(save(tmp_path, "p.boris", text))
    assert [(one.video, one.start, one.end) for one in found.segments] == [
        ("a.mp4", 8.0, 10), ("b.mp4", 0.0, 2.0),
    ]  # fmt: skip
    assert found.problems == ["o, s at 13 s: begins and never ends"]


def test_elan_adds_the_offset_of_the_media_and_tells_what_has_no_time(tmp_path):
    text = next(one for one in EXAMPLES if one.form == "elan").files["b.eaf"]
    text = text.replace('MIME_TYPE="video/mp4"', 'MIME_TYPE="video/mp4" TIME_ORIGIN="250"')
    assert read_segments(save(tmp_path, "a.eaf", text)) == (Event("walk", 0.25, 1.25),)
    text = text.replace(' TIME_VALUE="0"', "")
    tier = (
        '<TIER TIER_ID="glosses"><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="b" ANNOTATION_REF="a0">'
        "<ANNOTATION_VALUE>slow</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>"
    )
    text = text.replace("</ANNOTATION_DOCUMENT>", f"{tier}</ANNOTATION_DOCUMENT>")
    _, found = read_annotations(save(tmp_path, "b.eaf", text))
    assert found.problems == ["tier 0, annotation a0: has no time of its own"]
    assert found.passed_over == ["glosses: 1 annotation of others, without a time"]


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("A.MP4", ["a.mp4", "v_a.mp4", "a", "v_a"]),
        ("v1.2", ["v1.2", "v_v1.2"]),
        ("https://x.org/b%20c.mp4?s=1", ["b c.mp4", "b c"]),
        ("/data/upload/7/0a1b2c3d-b.mp4", ["b.mp4", "b"]),
        ("/data/local-files/?d=some/b.mp4", ["b.mp4", "b"]),
        ("D:\\film\\b.mp4", ["b.mp4", "b", "film_b.mp4"]),
        ("http://[x/b.mp4", ["b.mp4"]),
        ("file:///x/50%25%20off.mp4", ["50%25%20off.mp4", "50% off.mp4"]),
        ("e\u0301.mp4", ["\u00e9.mp4"]),
    ],
)
def test_a_video_is_known_by_what_its_file_may_be_called(name, keys):
    assert set(keys) <= set(video_keys(name))
