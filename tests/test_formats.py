import csv
import io
import json
import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from action_gru.core.errors import ConfigError, DataError
from action_gru.timeline import (
    FORMATS,
    Event,
    ScoreTrack,
    Timeline,
    read_segments,
    write_timeline,
)

EVENTS = (
    Event("run", 0.5, 2.0004, 0.87654),
    Event("jump <high> & far", 2.0, 3723.004, 0.5),
)
AWKWARD = "a --> b\n\nNOTE <c>&amp; \"d\", 'é' 走る"


def timeline(events=EVENTS, **fields):
    track = ScoreTrack()
    track.add(0.0, np.array([0.25, 0.75]))
    track.add(0.07, np.array([1 / 3, 2 / 3]))
    classes = tuple(dict.fromkeys(["run", *(event.label for event in events)]))
    given = {"source": "/videos/a b.mp4", "classes": classes, "duration_s": 4000.0, **fields}
    return Timeline(events=tuple(events), scores=track, **given)


def text_of(suffix, *args, **fields):
    return FORMATS[suffix](timeline(*args, **fields)).decode()


def test_json_holds_everything():
    assert text_of(".json", complete=False, restarts=2) == (
        "{\n"
        ' "source": "/videos/a b.mp4",\n'
        ' "complete": false,\n'
        ' "duration_s": 4000.0,\n'
        ' "classes": ["run", "jump <high> & far"],\n'
        ' "restarts": 2,\n'
        ' "events": [\n'
        '  {"label": "run", "start_s": 0.5, "end_s": 2.0, "score": 0.8765},\n'
        '  {"label": "jump <high> & far", "start_s": 2.0, "end_s": 3723.004, "score": 0.5}\n'
        " ],\n"
        ' "scores": {"bin_s": 0.05,\n'
        '  "times_s": [0.025, 0.075],\n'
        '  "values": [\n'
        "  [0.25, 0.75],\n"
        "  [0.3333, 0.6667]\n"
        " ]}\n"
        "}\n"
    )


def test_json_of_an_empty_timeline_is_json():
    got = json.loads(FORMATS[".json"](Timeline("x.mp4", ("run", "jump"), (), 0.0)))
    assert got["events"] == []
    assert got["scores"] == {"bin_s": 0.05, "times_s": [], "values": []}


def test_a_path_that_is_no_text_is_written_all_the_same(tmp_path):
    for suffix in FORMATS:
        write_timeline(timeline(source="/videos/\udce9.mp4"), tmp_path / f"x{suffix}")
    assert json.loads((tmp_path / "x.json").read_bytes())["source"] == "/videos/\udce9.mp4"


def test_csv_has_one_row_an_event():
    assert text_of(".csv") == (
        "start_s,end_s,label,score\n"
        "0.500,2.000,run,0.8765\n"
        "2.000,3723.004,jump <high> & far,0.5000\n"
    )


def test_vtt_has_one_cue_an_event():
    assert text_of(".vtt") == (
        "WEBVTT\n\n"
        "00:00:00.500 --> 00:00:02.000\nrun (0.88)\n\n"
        "00:00:02.000 --> 01:02:03.004\njump &lt;high&gt; &amp; far (0.50)\n"
    )


def test_vtt_says_that_reading_was_stopped():
    assert text_of(".vtt", (), complete=False, duration_s=62.5) == (
        "WEBVTT\n\nNOTE incomplete: reading was stopped at 00:01:02.500\n"
    )


def test_srt_has_one_numbered_cue_an_event():
    assert text_of(".srt") == (
        "1\n00:00:00,500 --> 00:00:02,000\nrun (0.88)\n\n"
        "2\n00:00:02,000 --> 01:02:03,004\njump \u2039high\u203a & far (0.50)\n\n"
    )
    assert text_of(".srt", ()) == ""


@pytest.mark.parametrize("suffix", [".vtt", ".srt"])
def test_no_label_breaks_a_cue(suffix):
    event = Event(f"{AWKWARD}\x00", 1.0, 1.0001)
    lines = text_of(suffix, [event, event]).split("\n")
    spans = [line for line in lines if "-->" in line]
    assert (
        spans
        == ["00:00:01.000 --> 00:00:01.001".replace(".", "," if suffix == ".srt" else ".")] * 2
    )
    texts = [line for line in lines if line.endswith("(1.00)")]
    assert len(texts) == 2
    assert not any("<" in text or "\x00" in text for text in texts)


def elan(*args, **fields):
    return ET.fromstring(FORMATS[".eaf"](timeline(*args, **fields)))


def test_elan_has_the_order_that_its_schema_demands():
    root = elan()
    assert root.tag == "ANNOTATION_DOCUMENT"
    assert root.get("FORMAT") == "3.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", root.get("DATE"))
    assert [child.tag for child in root] == [
        "HEADER",
        "TIME_ORDER",
        "TIER",
        "TIER",
        "LINGUISTIC_TYPE",
        "LINGUISTIC_TYPE",
        "LANGUAGE",
        "CONSTRAINT",
        "CONTROLLED_VOCABULARY",
    ]


def test_elan_holds_events_with_their_scores_below():
    root = elan()
    slots = {one.get("TIME_SLOT_ID"): int(one.get("TIME_VALUE")) for one in root.iter("TIME_SLOT")}
    vocabulary = {one.get("CVE_ID"): one.findtext("CVE_VALUE") for one in root.iter("CV_ENTRY_ML")}
    assert list(vocabulary.values()) == ["run", "jump <high> & far"]
    got = [
        (
            slots[one.get("TIME_SLOT_REF1")],
            slots[one.get("TIME_SLOT_REF2")],
            one.findtext("ANNOTATION_VALUE"),
            vocabulary[one.get("CVE_REF")],
        )
        for one in root.iter("ALIGNABLE_ANNOTATION")
    ]
    assert got == [
        (500, 2000, "run", "run"),
        (2000, 3723004, "jump <high> & far", "jump <high> & far"),
    ]
    scores = {
        one.get("ANNOTATION_REF"): one.findtext("ANNOTATION_VALUE")
        for one in root.iter("REF_ANNOTATION")
    }
    assert scores == {"a1": "0.88", "a2": "0.50"}


def test_every_reference_in_elan_leads_somewhere():
    root = elan()
    names = ("ANNOTATION_ID", "TIME_SLOT_ID", "TIER_ID", "LINGUISTIC_TYPE_ID", "CV_ID", "CVE_ID")
    ids = [one.get(name) for name in (*names, "STEREOTYPE", "LANG_ID") for one in root.iter()]
    references = [
        value
        for one in root.iter()
        for name, value in one.attrib.items()
        if name.endswith(("_REF", "_REF1", "_REF2")) or name == "CONSTRAINTS"
    ]
    assert len(references) > 10
    assert set(references) <= set(ids)
    assert root.findtext("HEADER/PROPERTY[@NAME='lastUsedAnnotationId']") == "4"


def test_elan_finds_the_video():
    media = elan(source="/videos/a b.MP4").find("HEADER/MEDIA_DESCRIPTOR")
    assert media.attrib == {
        "MEDIA_URL": "file:///videos/a b.MP4",
        "MIME_TYPE": "video/mp4",
        "RELATIVE_MEDIA_URL": "./a b.MP4",
    }
    media = elan(source="é.mkv").find("HEADER/MEDIA_DESCRIPTOR")
    assert media.get("MEDIA_URL") == f"file://{Path.cwd() / 'é.mkv'}"
    assert media.get("MIME_TYPE") == "video/*"
    media = elan(source="rtsp://camera/1").find("HEADER/MEDIA_DESCRIPTOR")
    assert media.attrib == {"MEDIA_URL": "rtsp://camera/1", "MIME_TYPE": "video/*"}
    assert elan(source="0").find("HEADER/MEDIA_DESCRIPTOR") is None


def test_elan_says_that_reading_was_stopped():
    names = [one.get("NAME") for one in elan(complete=False).iter("PROPERTY")]
    assert names == ["lastUsedAnnotationId", "incomplete: stopped at second"]


def test_elan_has_no_overlap_and_no_empty_annotation():
    events = [Event("run", 1.0, 1.0), Event("jump", 1.0, 1.0004), Event("run", 1.0004, 2.0)]
    times = [int(one.get("TIME_VALUE")) for one in elan(events).iter("TIME_SLOT")]
    assert times == [1000, 1001, 1001, 1002, 1002, 2000]


def test_elan_takes_any_label():
    root = elan([Event(f"{AWKWARD}\x00\ufffe", 0.0, 1.0)])
    assert root.findtext(".//ANNOTATION_VALUE") == f"{AWKWARD}\ufffd\ufffd"


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_timeline_is_written_by_its_suffix(suffix, tmp_path):
    path = tmp_path / "new" / f"events{suffix.upper()}"
    write_timeline(timeline(), path)
    if suffix != ".eaf":  # which holds the date
        assert path.read_bytes() == FORMATS[suffix](timeline())
    assert list(path.parent.iterdir()) == [path]


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ConfigError) as error:
        write_timeline(timeline(), tmp_path / "events.xlsx")
    assert "suffix '.xlsx'; name the file with one of .json, .csv, .vtt, .srt, .eaf" in str(
        error.value
    )
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="the timeline cannot be written"):
        write_timeline(timeline(), tmp_path / "file" / "events.csv")


def segments(tmp_path, text):
    path = tmp_path / "reference.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_segments(path)


def test_segments_are_read_in_order_of_time(tmp_path):
    text = "\ufeffLabel, Start_s ,end_s,who\njump,2.5,3,me\n\n run ,0,2.5,you\n"
    assert segments(tmp_path, text) == (Event("run", 0.0, 2.5), Event("jump", 2.5, 3.0))


def test_a_header_alone_says_that_nothing_happens(tmp_path):
    assert segments(tmp_path, "start_s,end_s,label\n") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("start,end_s,label\n", "column start_s is missing; the first line must be start_s,end_s,"),
        ("start,end_s,label\n", "got start,end_s,label; did you mean start_s by 'start'?"),
        ("start,end,label\n", "mean start_s by 'start'?; did you mean end_s by 'end'?"),
        ("", "got an empty file"),
        ("start_s,end_s,label\n0,1,run\none,2,jump\n", "line 3: start is seconds from the"),
        ("start_s,end_s,label\n0,nan,run\n", "line 2: end is seconds from the start of the"),
        ("start_s,end_s,label\n-1,1,run\n", "got '-1'"),
        ("start_s,end_s,label\n2,1,run\n", "line 2: the end lies before the start, got 2 to 1"),
        ("start_s,end_s,label\n0,1, \n", "line 2: label must not be empty"),
        ("start_s,end_s,label\n0,1\n", "line 2: has 2 fields, the header has 3"),
        ("start_s,end_s,label\n0,1,run, fast\n", "line 2: has 4 fields, the header has 3"),
        ("start_s,end_s,label\n5,6,run\n0,2,jump\n1.5,3,hop\n", "line 3 and line 4: 'jump' lasts"),
        ("start_s,end_s,label\n0,2,jump\n1.5,3,hop\n", "until 2, 'hop' begins at 1.5; one action"),
        ("start_s,end_s,label\n0,2,höp\n".encode("latin-1"), "no text in UTF-8 or UTF-16"),
        ('start_s,end_s,label\n0,2,"hop\n', "not a CSV"),
    ],
)
def test_what_is_no_timeline_is_refused(text, message, tmp_path):
    with pytest.raises(DataError) as error:
        segments(tmp_path, text)
    assert message in str(error.value)
    assert "reference.csv" in str(error.value)


def test_a_missing_timeline_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no file at .*x\.csv"):
        read_segments(tmp_path / "x.csv")


LABELS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9_999), LABELS), max_size=20))
def test_segments_read_what_the_csv_says(tmp_path_factory, parts):
    edges = np.cumsum([duration_ms for duration_ms, _ in parts]) / 1000
    events = tuple(
        Event(label, start_s, end_s)
        for (start_s, end_s), (_, label) in zip(pairwise([0.0, *edges]), parts, strict=True)
    )
    path = tmp_path_factory.mktemp("round") / "trip.csv"
    write_timeline(timeline(events), path)
    assert read_segments(path) == events
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    assert [row["label"] for row in rows] == [event.label for event in events]


TWO = (Event("run", 0.5, 2.0, 0.875, person=1), Event("run", 1.0, 3.0, 0.5, person=2))


def test_where_people_are_told_apart_each_event_names_its_person():
    assert json.loads(text_of(".json", TWO, people=2))["people"] == 2
    assert [event["person"] for event in json.loads(text_of(".json", TWO))["events"]] == [1, 2]
    assert text_of(".csv", TWO, people=2) == (
        "start_s,end_s,label,score,person\n0.500,2.000,run,0.8750,1\n1.000,3.000,run,0.5000,2\n"
    )
    assert "person 2: run (0.50)" in text_of(".vtt", TWO, people=2)
    assert "person 1: run (0.88)" in text_of(".srt", TWO, people=2)
    assert "person" not in text_of(".csv") + text_of(".json")


def test_elan_gives_each_person_a_tier_so_that_events_may_overlap():
    root = elan(TWO, people=2)
    tiers = {one.get("TIER_ID"): one for one in root.iter("TIER")}
    assert list(tiers) == ["person 1", "score 1", "person 2", "score 2"]
    assert tiers["score 2"].get("PARENT_REF") == "person 2"
    slots = {one.get("TIME_SLOT_ID"): int(one.get("TIME_VALUE")) for one in root.iter("TIME_SLOT")}
    (second,) = tiers["person 2"].iter("ALIGNABLE_ANNOTATION")
    assert slots[second.get("TIME_SLOT_REF1")] == 1000
    (score,) = tiers["score 2"].iter("REF_ANNOTATION")
    assert score.get("ANNOTATION_REF") == second.get("ANNOTATION_ID")
    ids = [one.get("ANNOTATION_ID") for one in root.iter() if one.get("ANNOTATION_ID")]
    assert sorted(ids) == ["a1", "a2", "a3", "a4"]


SEVERAL = (
    Event("walk", 0.5, 4.0, 0.87),
    Event("read; aloud", 1.0, 3.0, 0.5),
    Event("走る", 2.5, 3723.004, 1.0),
    Event("walk", 4.0, 5.0, 0.25),
)


def test_elan_puts_events_that_overlap_into_further_tiers():
    root = elan(SEVERAL)
    tiers = {one.get("TIER_ID"): one for one in root.iter("TIER")}
    assert list(tiers) == ["action", "score", "action 2", "score 2", "action 3", "score 3"]
    assert tiers["score 2"].get("PARENT_REF") == "action 2"
    assert [one.text for one in tiers["action"].iter("ANNOTATION_VALUE")] == ["walk", "walk"]
    slots = {one.get("TIME_SLOT_ID"): int(one.get("TIME_VALUE")) for one in root.iter("TIME_SLOT")}
    (second,) = tiers["action 2"].iter("ALIGNABLE_ANNOTATION")
    assert [slots[second.get(f"TIME_SLOT_REF{number}")] for number in (1, 2)] == [1000, 3000]
    people = [Event("run", 0.0, 2.0, 0.5, 3), Event("wave", 1.0, 2.0, 0.5, 3)]
    names = [one.get("TIER_ID") for one in elan(people, people=1).iter("TIER")]
    assert names == ["person 3", "score 3", "person 3, 2", "score 3, 2"]
