"""The report of `check` as text, JSON and a page."""

import json

import numpy as np

from action_gru.dataset.advice import ClassRow, Finding
from action_gru.report.advice_page import AdviceReport

COPY = Finding("problem", "copies_across", "the same moments", "1 pair", "keep one", ("a<b>.mp4",))
DARK = Finding("advice", "dark", "dark clips", "2 of 9", "brighten them")
ROWS = [
    ClassRow("walk", 12, 3, 1.25, {"train": 9, "val": 0, "test": 3}),
    ClassRow("run", 4, 2, None, {"train": 3, "val": 0, "test": 1}),
]
REPORT = AdviceReport(
    "mine",
    "16 clips, 2 classes",
    ROWS,
    [COPY, DARK],
    ["five clips were looked at"],
    {"a<b>.mp4": np.full((96, 128, 3), 90, np.uint8)},
    {"a<b>.mp4": "walk, train"},
    {"walk": ["a<b>.mp4"]},
)


def test_the_text_aligns_the_classes_and_ends_with_the_verdict():
    lines = REPORT.text().splitlines()
    assert lines[2:5] == [
        "class  clips  groups  minutes  train  val  test",
        "walk      12       3      1.2      9    0     3",
        "run        4       2      n/a      3    0     1",
    ]
    assert "problem: the same moments" in lines
    assert "  mend  keep one" in lines
    assert lines[-1] == "1 problem, 1 advice"


def test_json_holds_every_finding():
    document = json.loads(json.dumps(REPORT.to_json()))
    assert (document["problems"], document["advice"]) == (1, 1)
    assert document["findings"][0] == {
        "severity": "problem", "topic": "copies_across", "what": "the same moments",
        "got": "1 pair", "mend": "keep one", "clips": ["a<b>.mp4"],
    }  # fmt: skip
    assert document["classes"][0]["splits"] == {"train": 9, "val": 0, "test": 3}


def test_names_on_the_page_are_text_and_pictures_are_inside(tmp_path):
    REPORT.write_page(tmp_path / "check.html")
    text = (tmp_path / "check.html").read_text(encoding="utf-8")
    assert "a&lt;b&gt;.mp4: walk, train" in text
    assert "<b>" not in text
    assert text.count("data:image/jpeg;base64,") == 2  # of the finding, and as an example
    assert text.index("Problems") < text.index("Advice") < text.index("Classes")
    assert [path.name for path in tmp_path.iterdir()] == ["check.html"]


def test_without_findings_the_page_has_the_classes_alone():
    markdown = AdviceReport("mine", "two clips", ROWS, []).markdown()
    assert "0 advice" in markdown
    assert "## Problems" not in markdown
