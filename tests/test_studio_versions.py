"""The models of a project: which is used, what each said, renamed and deleted."""

import json

import pytest
from helpers.asked_engines import add_clips, studio_in

from action_gru.apps.serving import MissingThingError
from action_gru.apps.studio.versions import Versions
from action_gru.core.errors import ConfigError

WAVE, CLAP = "wave/20261129-101500-1.webm", "clap/20261129-101500-1.webm"


def said(score=0.9, mistakes=(), known=()):
    return {
        "when": "2026-11-29T10:00:00", "score": score, "clips": 8, "held_out": 2,
        "verdict": {"level": "good", "text": "Fine."}, "advice": [],
        "actions": [{"name": "wave", "right": 1, "total": 2}],
        "mistakes": list(mistakes), "known": list(known),
    }  # fmt: skip


def make_run(studio, name, second, document=None):
    """A finished run as `list_runs` sees one, with nothing that could be used."""
    import os

    run = studio.project.runs / name
    run.mkdir()
    for file in ("best.safetensors", "clips.csv"):
        (run / file).write_bytes(b"")
    if document is not None:
        (run / "studio.json").write_text(json.dumps(document))
    (run / "summary.json").write_text("{}")
    os.utime(run / "summary.json", (second, second))
    return run


@pytest.fixture
def studio(tmp_path):
    made = studio_in(tmp_path / "mine")
    made.project.add("wave")
    made.project.add("clap")
    add_clips(made, wave=2, clap=2)
    return made


def test_the_newest_is_used_until_another_is_chosen(studio):
    versions = Versions(studio)
    assert (versions.model(), versions.list(), versions.next_name()) == (None, [], "model-1")
    make_run(studio, "model-1", 1000, said(0.5))
    make_run(studio, "model-2", 2000, said(0.9))
    assert versions.model()["run"] == "model-2"
    versions.use("model-1")
    assert versions.model()["score"] == 0.5
    assert [(one["run"], one["current"]) for one in versions.list()] == [
        ("model-2", False), ("model-1", True),
    ]  # fmt: skip
    assert Versions(studio).current().name == "model-1"  # at the next start too
    versions.use_newest()
    assert versions.current().name == "model-2"
    assert versions.next_name() == "model-3"


def test_the_chosen_one_keeps_its_place_under_another_name(studio):
    versions = Versions(studio)
    for number in (1, 2):
        make_run(studio, f"model-{number}", 1000 * number, said())
    versions.use("model-1")
    assert versions.rename("model-1", "morning") == "morning"
    assert versions.current().name == "morning"
    with pytest.raises(ConfigError, match="is there already"):
        versions.rename("morning", "model-2")
    versions.delete("morning")
    assert [run.name for run in versions.runs()] == ["model-2"]
    assert versions.current().name == "model-2"
    with pytest.raises(MissingThingError, match="there is no model 'morning'"):
        versions.use("morning")


def test_mistakes_of_clips_that_are_gone_are_not_shown(studio):
    mistake = {"was": "wave", "said": "clap", "score": 0.7}
    document = said(
        mistakes=[
            mistake | {"clip": WAVE, "like": CLAP},
            mistake | {"clip": "wave/x", "like": CLAP},
        ],
        known=[WAVE, CLAP],
    )
    make_run(studio, "model-1", 1000, document)
    versions = Versions(studio)
    assert versions.model()["mistakes"] == [mistake | {"clip": WAVE, "like": CLAP}]
    assert "known" not in versions.model()
    assert versions.known_clips() == {WAVE, CLAP}
    studio.shelf.delete([CLAP])
    assert versions.model()["mistakes"] == [mistake | {"clip": WAVE, "like": None}]


def test_runs_of_a_command_line_and_damaged_words_are_told_plainly(studio):
    run = make_run(studio, "mine", 1000)
    versions = Versions(studio)
    assert versions.model()["verdict"]["text"] == "Trained without clips to score it on."
    report = run / "evaluation" / "test" / "report.json"
    report.parent.mkdir(parents=True)
    report.write_text('{"top1": 0.75}')
    versions.forget()
    assert versions.model()["verdict"] == {
        "level": "fair", "text": "Trained by a command line; top-1 0.75 on its test clips.",
    }  # fmt: skip
    (run / "studio.json").write_text("{")
    assert "studio.json is damaged" in versions.model()["verdict"]["text"]


WORDS = {
    "when": "2026-11-29T10:20:00", "score": 0.5, "clips": 3, "held_out": 1, "advice": [],
    "verdict": {"level": "good", "text": "All right."}, "actions": [], "mistakes": [], "known": [],
}  # fmt: skip


@pytest.mark.parametrize(
    "told",
    [
        {"score": float("nan")},  # no JSON: the page would be told nothing at all
        {"mistakes": [1]},
        {"known": [[1]]},
        {"advice": ["\ud800"]},
        "[" * 100_000,
    ],
)
def test_hostile_words_of_a_run_from_elsewhere_are_damage(studio, told):
    run = make_run(studio, "mine", 1000)
    text = told if isinstance(told, str) else json.dumps(WORDS | told)
    (run / "studio.json").write_text(text)
    versions = Versions(studio)
    assert "studio.json is damaged" in versions.model()["verdict"]["text"]
    assert json.dumps([versions.model(), versions.list()], allow_nan=False).encode()
    assert versions.known_clips() == frozenset()


def test_a_choice_that_is_no_text_chooses_nothing(studio):
    make_run(studio, "mine", 1000)
    (studio.project.hidden / "current").write_bytes(b"\xff\xfe")
    assert Versions(studio).current().name == "mine"
