"""Events in words: scripted cases, literally; templates and languages; the command."""

import json

import pytest
from helpers.people_doubles import ScriptedDetector, boxes_of
from helpers.videos import write_square
from typer.testing import CliRunner

from action_gru.apps.timeline import ObjectCounter
from action_gru.cli.commands import app
from action_gru.cli.inference import timeline
from action_gru.core.errors import ConfigError
from action_gru.timeline import Event
from action_gru.timeline.sentences import (
    Sighting,
    clock,
    describe,
    load_words,
    story,
    typical_counts,
)

PERSON, CHAIR, CUP = (
    ("person", 0, 0, 9, 30),
    ("chair", 20, 0, 30, 20),
    ("cup", 40, 0, 45, 9),
)
NAMES = ("person", "chair", "cup", "umbrella", "traffic_cone", "sheep")
H = 3600.0

# (language, events, boxes of each half second from 0 on, sentences)
CASES = {
    "one person and one thing": (
        "en", [("sit_down", 3, 7)], [[PERSON, CHAIR]] * 20,
        ["00:03 to 00:07 a person sits down next to a chair"],
    ),
    "nothing beside": (
        "en", [("wave", 0, 2)], [[PERSON]] * 20, ["00:00 to 00:02 a person waves"],
    ),
    "several people": (
        "en", [("clap", 1, 4)], [[PERSON, PERSON]] * 20, ["00:01 to 00:04 two people clap"],
    ),
    "more people than there are words for": (
        "en", [("clap", 1, 4)], [[PERSON] * 27] * 20, ["00:01 to 00:04 27 people clap"],
    ),
    "nobody was seen": (
        "en", [("walk", 1, 4)], [[CHAIR]] * 20,
        ["00:01 to 00:04 someone walks next to a chair"],
    ),
    "nothing was looked for": (
        "en", [("walk", 1, 4)], [], ["00:01 to 00:04 someone walks"],
    ),
    "several classes, most first": (
        "en", [("jump", 1, 4)], [[PERSON, CHAIR, CUP, CUP]] * 20,
        ["00:01 to 00:04 a person jumps next to two cups and a chair"],
    ),
    "three classes": (
        "en", [("jump", 1, 4)], [[PERSON, CHAIR, CUP, CUP, ("umbrella", 0, 0, 1, 1)]] * 20,
        ["00:01 to 00:04 a person jumps next to two cups, a chair and an umbrella"],
    ),
    "a class without a word of its own": (
        "en", [("kick", 1, 4)], [[PERSON, *[("traffic_cone", 0, 0, 9, 9)] * 3]] * 20,
        ["00:01 to 00:04 a person kicks next to three traffic cones"],
    ),
    "an irregular plural": (
        "en", [("wave", 1, 4)], [[PERSON, *[("sheep", 0, 0, 9, 9)] * 2]] * 20,
        ["00:01 to 00:04 a person waves next to two sheep"],
    ),
    "an action without words": (
        "en", [("juggle_balls", 1, 4)], [[PERSON, PERSON, CUP]] * 20,
        ["00:01 to 00:04 two people do 'juggle balls' next to a cup"],
    ),
    "a flicker of the detector is not told": (
        "en", [("wave", 0, 5)],
        [[PERSON, CHAIR] if i in (3, 4) else [PERSON] if i != 6 else [] for i in range(20)],
        ["00:00 to 00:05 a person waves"],
    ),
    "a weak box does not count": (
        "en", [("wave", 0, 5)], [[PERSON, (*CHAIR, 0.2)]] * 20,
        ["00:00 to 00:05 a person waves"],
    ),
    "two events that follow each other, with what is there then": (
        "en", [("stand_up", 6, 8), ("sit_down", 1, 3)],
        [[PERSON, CHAIR]] * 9 + [[PERSON]] * 11,
        ["00:01 to 00:03 a person sits down next to a chair", "00:06 to 00:08 a person stands up"],
    ),
    "events of two people that overlap": (
        "en", [("wave", 2, 6, 2), ("clap", 1, 4, 1)], [[PERSON, PERSON, CUP]] * 20,
        ["00:01 to 00:04 person 1 claps next to a cup",
         "00:02 to 00:06 person 2 waves next to a cup"],
    ),
    "within one second": (
        "en", [("kick", 3.1, 3.8)], [[PERSON]] * 20, ["at 00:03 a person kicks"],
    ),
    "hours": (
        "en", [("walk", H + 59, 2 * H + 60)], [[PERSON]] * 20,
        ["01:00:59 to 02:01:00 a person walks"],
    ),
    "german, with its third case": (
        "de", [("sit_down", 3, 7)], [[PERSON, CHAIR, CHAIR, CUP]] * 20,
        ["00:03 bis 00:07 eine Person setzt sich neben zwei Stühlen und einer Tasse"],
    ),
    "german, several people and a word that splits": (
        "de", [("stand_up", 3, 7)], [[PERSON, PERSON, PERSON, CHAIR]] * 20,
        ["00:03 bis 00:07 drei Personen stehen neben einem Stuhl auf"],
    ),
}  # fmt: skip


def spotted(script):
    """What is counted of a scripted detector's boxes, twice a second."""
    counter = ObjectCounter(ScriptedDetector(script, NAMES), 0.3)
    for index in range(2 * len(script)):
        counter.count(None, index * 0.25)
    return counter.sightings


def event(label, start_s, end_s, person=None):
    return Event(label, float(start_s), float(end_s), 0.9, person)


@pytest.mark.parametrize("name", CASES)
def test_the_sentence_is_right(name):
    language, events, script, expected = CASES[name]
    words = load_words(language)
    told = describe([event(*one) for one in events], spotted(script), words)
    assert [sentence.text for sentence in told] == expected


def test_a_sighting_is_taken_no_more_often_than_asked():
    counter = ObjectCounter(ScriptedDetector([[PERSON]], NAMES), 0.3)
    for index in range(25):
        counter.count(None, index / 12)
    assert len(counter.sightings) == 5
    counter.add(boxes_of([CHAIR], NAMES), 2.2)  # too soon
    counter.add(boxes_of([CHAIR], NAMES), 0.0)  # time jumped back
    assert [dict(one.counts) for one in counter.sightings[-2:]] == [{"person": 1}, {"chair": 1}]


def test_the_median_counts():
    counts = [{"cup": 1}, {"cup": 3, "chair": 1}, {"cup": 3}, {"chair": 1, "cup": 3}, {}]
    assert typical_counts([Sighting(0.0, one) for one in counts]) == {"cup": 3}


@pytest.mark.parametrize(
    ("time_s", "text"),
    [(0.0, "00:00"), (59.999, "00:59"), (60.0, "01:00"), (3599.9, "59:59"), (3600.0, "01:00:00")],
)
def test_a_clock_shows_the_second_that_has_begun(time_s, text):
    assert clock(time_s) == text


def test_text_and_json_say_the_same():
    words = load_words("en")
    told = describe([event("wave", 0, 2)], spotted([[PERSON]] * 8), words)
    assert story(told, words, 9.0) == "00:00 to 00:02 a person waves\n"
    assert told[0].to_json() == {
        "text": "00:00 to 00:02 a person waves", "label": "wave", "start_s": 0.0, "end_s": 2.0,
        "score": 0.9, "seen": {"person": 1},
    }  # fmt: skip
    assert story([], words, 75.0) == "nothing in particular in 01:15\n"
    assert story([], load_words("de"), 75.0) == "nichts Besonderes in 01:15\n"


def test_an_unknown_language_names_those_there_are(tmp_path):
    with pytest.raises(ConfigError, match=r"describe\.language: no templates for 'fr'; there are "
                       r"de, en, or name a \.yaml of your own"):  # fmt: skip
        load_words("fr")
    with pytest.raises(ConfigError, match=r"no templates for '.*own\.yaml' \(looked up as /.*own"):
        load_words(str(tmp_path / "own.yaml"))
    with pytest.raises(ConfigError, match=r"no templates for '\.\./languages/en'"):
        load_words("../languages/en")


def own(tmp_path, text):
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_file_of_ones_own_changes_a_shipped_one(tmp_path):
    path = own(tmp_path, "extends: en\nactions: {juggle: '{who} juggling with {things}'}\n"
               "things: {cup: {one: a mug, many: '{count} mugs'}}\n")  # fmt: skip
    script = [[PERSON, CUP, CUP]] * 8
    told = describe([event("juggle", 0, 2), event("wave", 2, 3)], spotted(script), load_words(path))
    assert [one.text for one in told] == [
        "00:00 to 00:02 a person juggling with two mugs",
        "00:02 to 00:03 a person waves next to two mugs",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("extends: en\nactions: {wave: '{whoo} waves'}\n",
         r"own\.yaml: actions\.wave\.one: the template names \{whoo\}; did you mean 'who'\?; it "
         r"may name \{who\}, \{near\}"),
        ("extends: en\nactoins: {}\n", r"unknown key 'actoins'; did you mean 'actions'\?"),
        ("extends: en\nactions: {wave: {one: '{who}', mny: x}}\n",
         r"actions\.wave: unknown form 'mny'; did you mean 'many'\?"),
        ("extends: en\nactions: {wave: {one: '{who}'}}\n", r"wave: lacks the form 'many'"),
        ("extends: en\nactions: {wave: 7}\n", r"wave: expected a text, or the keys one and many"),
        ("extends: en\nsomeone: no\n", r"someone: expected a text, got False; put it in quotes"),
        ("extends: en\nspan: '{start'\n", r"span: '\{start' is no template"),
        ("extends: en\nspan: '{start:>9} {clause}'\n", r"span: the template names \{start\}"),
        ("extends: fr\n", r"no templates for 'fr'"),
        ("span: '{start}'\n", r"own\.yaml: lacks the key 'moment'; .*begin the file with 'extends"),
        ("- a\n", r"holds no templates; copy one of"),
        ("a: [\n", r"own\.yaml: not YAML in UTF-8"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_template_is_named(tmp_path, text, told):
    with pytest.raises(ConfigError, match=told):
        load_words(own(tmp_path, text))


def test_templates_of_the_config_are_laid_over_and_checked():
    words = load_words("en", {"wave": "{who} says hello"})
    told = describe([event("wave", 0, 2)], [], words)
    assert told[0].text == "00:00 to 00:02 someone says hello"
    with pytest.raises(ConfigError, match=r"describe\.templates\.wave\.one: the template names"):
        load_words("en", {"wave": "{label!r}"})


def test_both_languages_know_the_same_actions():
    assert load_words("en").actions.keys() == load_words("de").actions.keys()


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_square(tmp_path_factory.mktemp("describe") / "square.mp4", 50, seed=105)


@pytest.fixture
def detector(monkeypatch):
    made = ScriptedDetector([[("person", 2, 4, 90, 60), ("chair", 40, 30, 60, 60)]])
    monkeypatch.setattr("action_gru.recognizer.build_detector", lambda config: made)
    return made


def make(video, run, overrides=(), targets=(), as_json=False, **options):
    changes = ["events.background=[dark]", *overrides]
    options = {"describe": True, "json_": as_json, "quiet": True, **options}
    timeline(video, run.path, changes, list(targets), **options)


def test_the_command_tells_the_timeline_in_words(video, small_run, detector, tmp_path, capsys):
    changes = ["describe.templates={bright: '{who} shines{near}'}"]
    targets = [tmp_path / "t.txt", tmp_path / "t.json"]
    make(video, small_run, changes, targets)
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "00:00 to 00:04 a person shines next to a chair"
    assert targets[0].read_text() == f"{line}\n"
    assert json.loads(targets[1].read_text())["sentences"] == [line]
    assert detector.asked == 9  # every 0.5 s, at the model's 5 frames a second: 0.6 s
    make(video, small_run, changes, as_json=True)
    (sentence,) = json.loads(capsys.readouterr().out)["sentences"]
    assert (sentence["text"], sentence["seen"]) == (line, {"chair": 1, "person": 1})


def test_without_detection_no_weights_are_needed(video, small_run, capsys):
    make(video, small_run, ["describe.detect=false", "describe.language=de"])
    assert capsys.readouterr().out == "00:00 bis 00:04 jemand tut „bright“\n"


def test_people_are_told_apart_in_words(video, small_run, detector, capsys):
    make(video, small_run, per_person=True)
    assert capsys.readouterr().out == "00:00 to 00:04 person 1 does 'bright' next to a chair\n"


def test_what_cannot_be_told_is_found_before_the_work(video, small_run, detector, tmp_path):
    with pytest.raises(ConfigError, match="no templates for 'fr'"):
        make(video, small_run, ["describe.language=fr"])
    with pytest.raises(ConfigError, match=r"describe\.subjects: the detector knows no 'persn'; "
                       r"did you mean 'person'\?"):  # fmt: skip
        make(video, small_run, ["describe.subjects=[persn]"])
    refused = CliRunner().invoke(
        app, ["timeline", str(video), "-m", str(small_run.path), "-o", str(tmp_path / "t.txt")]
    )
    assert "unknown ending '.txt'" in str(refused.exception)
