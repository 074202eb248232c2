import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from helpers.figures import check_texts
from helpers.pictures import write_frames
from helpers.reports import small_report
from helpers.videos import write_square

from action_gru.evaluation.evaluate import read_mistakes
from action_gru.evaluation.explain import frames_at
from action_gru.report.documents import html_page
from action_gru.report.evaluation import (
    ClipPrediction,
    Mistake,
    plot_mistakes,
    worst_mistakes,
    write_report,
)
from action_gru.report.metrics import compute_metrics
from action_gru.timeline import Prediction
from action_gru.video import VideoFile

HOSTILE = "<script>alert(1)</script>|x*&lt;.mp4"
CLASSES = ["a", '"><img src=x onerror=alert(1)>']


class Seen(HTMLParser):
    """What a browser would see."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def clip(path="v.mp4", score=0.9, label="a", given=1, start_s=None, end_s=None):
    probabilities = [0.0, 0.0]
    probabilities[given], probabilities[1 - given] = score, 1 - score
    prediction = Prediction.from_probabilities(CLASSES, probabilities)
    return ClipPrediction(path, "g", label, prediction, start_s, end_s)


def report_of(*clips, mistakes=()):
    number = {name: index for index, name in enumerate(CLASSES)}
    metrics = compute_metrics(
        [number[one.label] for one in clips],
        [one.prediction.probabilities(CLASSES) for one in clips],
        CLASSES,
    )
    return small_report(predictions=clips, metrics=metrics, mistakes=mistakes)


def test_the_surest_wrong_answers_come_first():
    clips = [clip("x", 0.6), clip("right", 0.99, given=0), clip("y", 0.8), clip("z", 0.7)]
    assert [one.path for one in worst_mistakes(clips, 2)] == ["y", "z"]


def test_the_html_report_is_whole_and_names_stay_text(tmp_path):
    image = np.zeros((20, 30, 3), np.uint8)
    wrong = clip(HOSTILE)
    write_report(report_of(wrong, mistakes=(Mistake(wrong, ((0.0, image),)),)), tmp_path)
    text = (tmp_path / "report.html").read_text("utf-8")
    seen = Seen(text)
    names = {tag for tag, _ in seen.tags}
    assert "script" not in names
    assert not any(key.startswith("on") for _, attributes in seen.tags for key in attributes)
    assert "http:" not in text
    assert "https:" not in text
    assert HOSTILE in seen.text
    assert CLASSES[1] in seen.text
    sources = [attributes["src"] for tag, attributes in seen.tags if tag == "img"]
    assert len(sources) == 4  # three of the scores, one contact sheet
    for source in sources:
        data = base64.b64decode(source.removeprefix("data:image/png;base64,"), validate=True)
        assert data[:4] == b"\x89PNG"
    policy = next(a for tag, a in seen.tags if tag == "meta" and "http-equiv" in a)
    assert policy["content"].startswith("default-src 'none'; img-src data:")


def test_markdown_becomes_the_same_page(tmp_path):
    (tmp_path / "p.png").write_bytes(b"png")
    text = (
        "# A \\*b\\*\n\nOne & **two**.\n\n| | n |\n| --- | ---: |\n| x\\|y | 3 |\n\n"
        "- first\n- second\n\n![p](p.png)\n"
    )
    page = html_page(text, "<t>", tmp_path)
    assert "<h1>A *b*</h1>" in page
    assert "<p>One &amp; <strong>two</strong>.</p>" in page
    assert '<td>x|y</td>\n<td style="text-align:right">3</td>' in page
    assert "<li>first</li>\n<li>second</li>" in page
    assert '<img src="data:image/png;base64,cG5n" alt="p" />' in page
    assert "<title>&lt;t&gt;</title>" in page
    assert not re.search(r"(?<!\w)\*\*", page)


def test_frames_are_spread_over_the_sampled_instants(tmp_path, clip_in):
    one = clip_in(write_square(tmp_path / "a.mp4", 20))  # 10 frames a second
    times_s = {one.name: np.arange(2, 18) / 10}
    (mistake,) = read_mistakes([clip("a.mp4")], [one], times_s, 12)
    shown_s = [time_s for time_s, _ in mistake.frames]
    assert shown_s == pytest.approx([0.2, 0.5, 0.8, 1.1, 1.4, 1.7])
    (short,) = read_mistakes([clip("a.mp4")], [one], {one.name: np.array([0.3, 0.4])}, 12)
    assert [time_s for time_s, _ in short.frames] == pytest.approx([0.3, 0.4])


def test_frames_of_a_folder_are_shown_at_its_own_rate(tmp_path, clip_in):
    one = replace(clip_in(write_frames(tmp_path / "v", 12)), frame_rate=10.0)
    (mistake,) = read_mistakes([clip("v")], [one], {one.name: np.array([0.3, 0.4])}, 12)
    assert [time_s for time_s, _ in mistake.frames] == pytest.approx([0.3, 0.4])


def test_frames_are_read_at_their_instants_and_no_larger_than_wanted(tmp_path):
    video = write_square(tmp_path / "a.mp4", 20)
    found = frames_at(VideoFile(video), [0.3, 0.5], (64, 96))
    assert {image.shape for image in found.values()} == {(64, 96, 3)}
    assert frames_at(VideoFile(video), [0.3], (32, 96))[0.3].shape == (32, 48, 3)
    assert frames_at(VideoFile(video), [0.35], (64, 96)) == {}


def test_a_video_that_vanished_is_named_and_the_others_are_shown(tmp_path, clip_in):
    write_square(tmp_path / "here.mp4", 10)
    wrong = [clip("gone.mp4", 0.9), clip("here.mp4", 0.8)]
    clips = [clip_in(tmp_path / one.path) for one in wrong]
    times_s = {one.name: np.arange(10) / 10 for one in clips}
    gone, here = read_mistakes(wrong, clips, times_s, 12)
    assert gone.frames == ()
    assert "gone.mp4" in gone.problem
    assert len(here.frames) == 6
    assert here.problem == ""
    write_report(report_of(*wrong, mistakes=(gone, here)), tmp_path / "out")
    text = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "No frames of gone.mp4: " in text
    assert (tmp_path / "out" / "mistakes.png").is_file()


@pytest.fixture
def clip_in():
    from helpers.videos import clip_of

    return clip_of


def test_texts_of_the_contact_sheet_have_room():
    wide, tall = np.zeros((90, 320, 3), np.uint8), np.zeros((180, 60, 3), np.uint8)
    long = clip("a/" * 80 + "привет\x07.mp4", start_s=1.0, end_s=2.5)
    mistakes = [
        Mistake(long, tuple((0.5 * n, wide) for n in range(6))),
        Mistake(clip("$x_1$.mp4"), ((0.0, tall),)),
        Mistake(clip(), problem="the file is no video " * 20),
    ]
    figure = plot_mistakes(mistakes)
    check_texts(figure)
    titles = [row._suptitle.get_text() for row in figure.subfigs]
    assert len(titles[0]) <= 96
    assert "�" in titles[0]
    assert titles[1].endswith("$x_1$.mp4")
