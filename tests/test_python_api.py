"""The package as a library: what it offers, every way to give it a video, and wrong arguments."""

import http.server
import re
import shutil
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.command_line import run as command
from helpers.library import CLIPS, GOLDEN

import action_gru
from action_gru import (
    ActionGruError,
    ActionRecognizer,
    Event,
    Prediction,
    Predictions,
    SequenceRecognizer,
    Timeline,
)
from action_gru.cli.source import Training
from action_gru.core.errors import MissingExtraError, VideoError
from action_gru.prepare.source import WORDS
from action_gru.report.figures import Evaluation
from action_gru.timeline import tables
from action_gru.video import VideoFile
from action_gru.video.address import fetched

CLIP = CLIPS / "right_0.mp4"
IN_THIS_PROCESS = ["decoding.isolate=false"]  # a process of its own takes a second to start


@pytest.fixture(scope="module")
def recognizer() -> ActionRecognizer:
    return ActionRecognizer.load(GOLDEN / "run", "cpu", IN_THIS_PROCESS)


@pytest.fixture(scope="module")
def frames() -> tuple[np.ndarray, float]:
    """The frames of CLIP (T, H, W, 3), and how many are a second."""
    with VideoFile(CLIP) as video:
        images = np.stack([frame.image for frame in video])
    with VideoFile(CLIP) as video:
        next(iter(video))
        return images, video.fps


def test_the_package_offers_its_api_and_nothing_else():
    assert dir(action_gru) == sorted(dir(action_gru))
    assert set(dir(action_gru)) == set(action_gru.__all__)
    assert "ActionRecognizer" in dir(action_gru)
    assert re.fullmatch(r"\d+\.\d+.*", action_gru.__version__)
    with pytest.raises(AttributeError, match="no attribute 'classify'"):
        action_gru.classify  # noqa: B018


def test_every_way_to_give_a_video_has_one_answer(recognizer, frames, tmp_path):
    images, fps = frames
    wanted = recognizer.classify(CLIP)
    assert (wanted.label, wanted.unsure) == ("right", False)
    assert wanted.top(1) == [(wanted.label, wanted.score)]
    assert len(wanted.top()) == 2
    folder = tmp_path / "frames"
    for given in (images, list(images)):
        assert recognizer.classify(given, fps=fps) == wanted
    assert recognizer.classify(str(CLIP)) == wanted
    write_pictures(folder, images)
    assert recognizer.classify(folder, fps=fps).scores == pytest.approx(wanted.scores, abs=1e-6)
    handler = partial(Quiet, directory=str(CLIPS))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        assert recognizer.classify(f"{address}/right_0.mp4") == wanted
        with pytest.raises(
            VideoError, match=r"nothing\.mp4: could not be fetched \(File not found\)"
        ):
            recognizer.classify(f"{address}/nothing.mp4")
        with pytest.raises(VideoError, match=f"^{address}/manifest.csv: .*text, not a video"):
            recognizer.classify(f"{address}/manifest.csv")
        with fetched(f"{address}/right_0.mp4") as path:
            assert path.read_bytes() == CLIP.read_bytes()
        assert not path.exists()
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


def write_pictures(folder: Path, images: np.ndarray) -> None:
    from PIL import Image

    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:03d}.png")


def test_a_stretch_of_frames_in_memory_is_that_of_the_file(recognizer, frames):
    images, fps = frames
    part, whole = recognizer.read(images, 0.25, 0.7, fps=fps), recognizer.read(CLIP, 0.25, 0.7)
    assert part.times_s == pytest.approx(whole.times_s)
    assert np.array_equal(part.features, whole.features)
    assert 0.25 <= part.times_s[0] < part.times_s[-1] < 0.7
    with pytest.raises(VideoError, match="none of them inside the clip's bounds"):
        recognizer.classify(images, 99, fps=fps)


def test_several_videos_are_answered_in_order_with_those_that_failed_apart(
    recognizer, frames, tmp_path, capsys
):
    images, fps = frames
    paths = [CLIPS / "left_0.mp4", CLIP, CLIPS / "left_1.mp4", CLIP]
    found = recognizer.classify(paths, progress=True)
    assert "classify: 4 of 4" in capsys.readouterr().err
    assert isinstance(found, Predictions)
    assert list(found) == [recognizer.classify(path) for path in paths]
    assert found.labels == ["left", "right", "left", "right"]
    assert recognizer.classify(iter(paths)).answers == found.answers
    assert recognizer.classify([images, images[:9]], fps=fps).sources == ("frames 0", "frames 1")
    assert len(recognizer.classify([])) == 0
    (tmp_path / "bad.mp4").write_bytes(b"\x01" * 400)
    bad = [CLIP, tmp_path / "bad.mp4", tmp_path / "none.mp4", "ftp://host/a.mp4"]
    with pytest.raises(VideoError, match=r"bad\.mp4: "):
        recognizer.classify(bad)
    some = recognizer.classify(bad, skip_bad=True)
    assert some.sources == (str(CLIP),)
    assert list(some.problems) == [str(one) for one in bad[1:]]
    assert "no such video file" in some.problems[str(bad[2])]
    assert repr(some).startswith("1 answer, 3 not read\n  ")


def test_features_come_as_an_array_of_the_sampled_frames(recognizer):
    features = recognizer.embed(CLIP)
    reading = recognizer.read(CLIP)
    assert features.shape == (len(reading.times_s), sum(recognizer.checkpoint.model["view_dims"]))
    assert np.array_equal(features, reading.features)


def test_a_timeline_is_a_table(recognizer):
    timeline = recognizer.timeline(CLIP)
    frame = timeline.to_frame("polars")
    assert frame.columns == ["start_s", "end_s", "label", "score"]
    assert frame["label"].to_list() == ["right"]
    assert timeline.source.endswith("right_0.mp4")
    assert re.search(r"right_0\.mp4: 1 event in 0:0\d", repr(timeline))


def test_a_frame_needs_a_library_and_says_which(monkeypatch):
    timeline = Timeline("a.mp4", ("a",), (Event("a", 0, 1, person=2),), 2.0, people=1)
    assert timeline.to_frame()["person"].to_list() == [2]
    answers = Predictions(("x.mp4",), (Prediction(("a", "b"), (0.9, 0.1)),))
    assert answers.to_frame("polars").row(0) == ("x.mp4", "a", 0.9, False)
    monkeypatch.setattr(tables.importlib.util, "find_spec", lambda name: None)
    for name in tables.LIBRARIES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(
        MissingExtraError, match=r"to_frame needs the package 'polars'.*\[parquet\]"
    ):
        timeline.to_frame()
    with pytest.raises(ActionGruError, match="to_frame: knows pandas and polars; got 'excel'"):
        timeline.to_frame("excel")


def test_answers_are_short_as_text_and_tables_on_a_page():
    answer = Prediction(("<b>", "walk", "run", "sit"), (0.6, 0.2, 0.15, 0.05))
    assert repr(answer) == "Prediction(<b> 0.600; walk 0.200, run 0.150)"
    assert repr(Prediction(("a",), (1.0,), unsure=True)) == "Prediction(unsure, perhaps a 1.000)"
    assert answer._repr_html_() == (
        "<p>&lt;b&gt;</p><table><thead><tr><th>class</th><th>score</th></tr></thead><tbody>"
        "<tr><td>&lt;b&gt;</td><td>0.600</td></tr><tr><td>walk</td><td>0.200</td></tr>"
        "<tr><td>run</td><td>0.150</td></tr><tr><td>sit</td><td>0.050</td></tr></tbody></table>"
    )
    many = Predictions(tuple(map(str, range(25))), (answer,) * 25)
    assert repr(many).splitlines()[::21] == ["25 answers", "  ... 5 more"]
    assert many._repr_html_().count("<tr>") == 21
    assert many[1:3] == (answer, answer)
    timeline = Timeline("a.mp4", ("a",), (Event("a", 0, 1.5, 0.75),), 63.0, complete=False)
    assert repr(timeline) == "Timeline(a.mp4: 1 event in 1:03.0, stopped before the end)"
    assert "<td>0:01.5</td><td>a</td><td>0.75</td>" in timeline._repr_html_()
    figures = {"sentence": "Right on 1 of 2.", "top1": 0.5, "per_class": [
        {"label": "a", "support": 2, "precision": None, "recall": 0.5, "f1": 0.1}]}  # fmt: skip
    evaluation = Evaluation(figures)
    assert (repr(evaluation), evaluation["top1"]) == ("Evaluation(Right on 1 of 2.)", 0.5)
    assert (
        "<td>a</td><td>2</td><td>n/a</td><td>0.500</td><td>0.100</td>" in evaluation._repr_html_()
    )
    assert evaluation.to_frame("polars").columns == [
        "label",
        "support",
        "precision",
        "recall",
        "f1",
    ]


def test_the_words_of_train_are_those_of_the_command():
    words = Training(Path("x"), None, None, "rgb", "w.pt", 4.0, True, "mine", 3, 1)
    assert [key for key, _ in words.options().values()] == list(WORDS.values())
    from inspect import signature

    assert set(WORDS) < set(signature(ActionRecognizer.train).parameters)


NO_VIDEO = "a video is a path, an http(s) address, or frames as an array (T, H, W, 3) of uint8"
GREY = np.zeros((4, 8, 8), np.uint8)
CLEAR = np.zeros((4, 8, 8, 3), np.uint8)
WRONG = {
    "load a number": (lambda r: r.load(3), "a run is a folder, a name in ./runs or a file; got in"),
    "load nothing": (lambda r: r.load(""), "which names nothing"),
    "load what is not there": (lambda r: r.load("nope"), "no checkpoint at nope"),
    "load a list": (lambda r: r.load(["a"]), "got list ['a']"),
    "load on no device": (lambda r: r.load(GOLDEN / "run", "gpu"), "features.device"),
    "load on a number": (lambda r: r.load(GOLDEN / "run", 3), "features.device"),
    "one override": (lambda r: r.load(GOLDEN / "run", overrides="a.b=1"), "overrides: a list"),
    "no overrides": (lambda r: r.load(GOLDEN / "run", overrides=3), "overrides: a list of texts"),
    "override": (lambda r: r.load(GOLDEN / "run", overrides=[3]), "overrides: texts such as"),
    "unknown key": (lambda r: r.load(GOLDEN / "run", overrides=["a.b=1"]), "a"),
    "classify a number": (lambda r: r.classify(3), f"{NO_VIDEO} with fps=25; got int 3"),
    "classify None": (lambda r: r.classify(None), f"{NO_VIDEO} with fps=25; got NoneType None"),
    "classify bytes": (lambda r: r.classify(b"a.mp4"), "got bytes"),
    "classify a dict": (lambda r: r.classify({"a": 1}), "got dict"),
    "classify no name": (lambda r: r.classify(" "), "which names nothing"),
    "classify a folder": (lambda r: r.classify(CLIPS), "is a folder, and a video is needed"),
    "classify a table": (lambda r: r.classify(CLIPS / "manifest.csv"), "is a table, and a video"),
    "classify numbers": (lambda r: r.classify([3]), "got int 3"),
    "classify text frames": (lambda r: r.classify([["a"]], fps=9), "got str 'a' as frame 0"),
    "frames without a rate": (lambda r: r.classify(CLEAR), "with fps=25 or how many of them"),
    "frames with no rate": (lambda r: r.classify(CLEAR, fps=0), "fps: a number of frames a second"),
    "frames with a word": (lambda r: r.classify(CLEAR, fps="x"), "fps: a number of frames a sec"),
    "a file with a rate": (lambda r: r.classify(CLIP, fps=25), "has a rate of its own"),
    "grey frames": (lambda r: r.classify(GREY, fps=9), "got an array (4, 8, 8) of uint8; one pict"),
    "float frames": (lambda r: r.classify(CLEAR / 2, fps=9), "an array (8, 8, 3) of float64 as fr"),
    "no frames": (lambda r: r.classify(CLEAR[:0], fps=9), "got none"),
    "frames of two sizes": (lambda r: r.classify([CLEAR[0], CLEAR[0, 1:]], fps=9), "of one size"),
    "start": (lambda r: r.classify(CLIP, "a"), "start_s: a number of seconds from 0 on; got str"),
    "start of arrays": (lambda r: r.classify(CLIP, GREY), "start_s: a number of seconds from 0 on"),
    "negative start": (lambda r: r.classify(CLIP, -1), "start_s: a number of seconds from 0 on"),
    "end before": (lambda r: r.classify(CLIP, 3, 2), "end_s: lies after start_s; got 3 to 2 s"),
    "end NaN": (lambda r: r.classify(CLIP, 0, float("nan")), "end_s: a number of seconds"),
    "live": (lambda r: r.classify("rtsp://u:secret@cam/1"), "rtsp://cam/1: a video with an end is"),
    "embed": (lambda r: r.embed(3), f"{NO_VIDEO} with fps=25; got int 3"),
    "read": (lambda r: r.read({}), "got dict {}"),
    "timeline": (lambda r: r.timeline(CLEAR), "frames in memory are pushed into stream()"),
    "timeline of a number": (lambda r: r.timeline(3), "a timeline reads a file, or a folder of fr"),
    "timeline of none": (lambda r: r.timeline("none.mp4"), "none.mp4"),
    "read_timeline": (lambda r: r.read_timeline(None), "a timeline reads a file"),
    "read_people": (lambda r: r.read_people(None), "a timeline reads a file"),
    "explain a number": (lambda r: r.explain(3), "explain reads a file; got int 3"),
    "explain a class": (lambda r: r.explain(CLIP, "fly"), "label 'fly': the model knows left, "),
    "explain a number as class": (lambda r: r.explain(CLIP, 3), "the model knows left, right"),
    "explain in frames": (lambda r: r.explain(CLIP, frames="x"), "frames: a whole number from 0"),
    "evaluate a number": (lambda r: r.evaluate(3), "clips are a folder of clips, a CSV or a conf"),
    "evaluate none": (lambda r: r.evaluate("none.csv"), "none.csv"),
    "evaluate a split": (lambda r: r.evaluate(split="dev"), "split: is one of train, val, test"),
    "evaluate videos": (lambda r: r.evaluate("a.eaf", videos=3), "videos is the folder of"),
    "train a number": (lambda r: r.train(3), "clips are a folder of clips, a CSV or a config, or"),
    "train none": (lambda r: r.train("none", progress=False), "no folder of clips, CSV or config"),
    "train a video": (lambda r: r.train(CLIP), "is a video, and a folder of clips"),
    "train epochs": (lambda r: r.train(CLIPS, epochs="many"), "training.epochs"),
    "train no epochs": (lambda r: r.train(CLIPS, epochs=0), "training.epochs"),
    "train a word": (lambda r: r.train(CLIPS, epoch=3), "no word 'epoch' "),
    "train views": (lambda r: r.train(CLIPS, views=3), "features.views"),
    "train no such view": (lambda r: r.train(CLIPS, views=["smell"]), "features.views"),
    "train many": (lambda r: r.train(CLIPS, many="yes"), "many: True or False; got str 'yes'"),
    "train a name": (lambda r: r.train(CLIPS, name="a/b"), "run.name"),
    "train an object": (lambda r: r.train(CLIPS, weights=object()), "features.weights"),
    "train overrides": (lambda r: r.train(CLIPS, overrides="a.b=1"), "overrides: a list of texts"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_argument_raises_our_error_in_words(recognizer, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, said = WRONG[name]
    with pytest.raises(ActionGruError, match=re.escape(said)):
        call(recognizer)
    assert list(tmp_path.iterdir()) == []


ROWS = {
    "load": (lambda r: r.load(3), "a run is a folder, a name in ./runs or a file; got int 3"),
    "device": (lambda r: r.load(GOLDEN / "table_run", "gpu"), "training.device"),
    "overrides": (lambda r: r.load(GOLDEN / "table_run", overrides="a"), "overrides: a list of te"),
    "a word": (lambda r: r.classify("a"), "values: an array of numbers; got str 'a'"),
    "None": (lambda r: r.classify(None), "a sequence of this model is (T, "),
    "a video's run": (lambda r: r.load(GOLDEN / "run"), "trained on video, not on measured"),
    "times": (lambda r: r.classify(np.zeros((2, len(r.channels))), ["a", "b"]), "times: an array"),
    "row": (lambda r: r.stream().push("a", 0), "row: an array of numbers; got str 'a'"),
    "time": (lambda r: r.stream().push(np.zeros(len(r.channels)), "now"), "time: a number of the"),
    "no time": (lambda r: r.stream().push(np.zeros(len(r.channels)), None), "got None"),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_wrong_argument_to_a_model_of_rows_raises_our_error(name):
    call, said = ROWS[name]
    with pytest.raises(ActionGruError, match=re.escape(said)):
        call(SequenceRecognizer.load(GOLDEN / "table_run", "cpu"))


def test_a_wrong_word_names_the_right_one(recognizer):
    with pytest.raises(ActionGruError, match=r"did you mean 'epochs'\?"):
        recognizer.train(CLIPS, epoch=3)


def in_class_folders(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name.partition("_")[0]).mkdir(parents=True, exist_ok=True)
        shutil.copy(CLIPS / f"{name}.mp4", folder / name.partition("_")[0])
    return folder


def test_what_a_run_scores_is_told_without_writing_a_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = shutil.copytree(GOLDEN / "run", tmp_path / "runs" / "mine")
    rows = (run / "clips.csv").read_text().splitlines()
    (run / "clips.csv").write_text("\n".join(row for row in rows if "long.mp4" not in row) + "\n")
    shutil.copytree(GOLDEN / "cache", tmp_path / "cache")  # of the two test clips
    (tmp_path / "clips").symlink_to(CLIPS)
    before = sorted(tmp_path.rglob("*"))
    changes = ["features.cache_dir=cache", "evaluation.details=false"]
    loaded = ActionRecognizer.load("mine", "cpu", changes)
    assert repr(loaded) == "ActionRecognizer(runs/mine: left and right)"
    own = loaded.evaluate()
    assert own["clips"] == 2
    assert own.sentence.startswith("Right on 2 of 2 new clips")
    assert sorted(tmp_path.rglob("*")) == before
    loaded.run = run / "best.safetensors"
    with pytest.raises(ActionGruError, match="alone does not know its clips; load the run's fold"):
        loaded.evaluate()
    with pytest.raises(ActionGruError, match="no finished run in"):
        ActionRecognizer.load()  # the stored run has no summary.json


@pytest.mark.slow
def test_training_from_python_leaves_what_the_command_leaves(tmp_path, monkeypatch):
    names = [f"{side}_{number}" for side in ("left", "right") for number in range(5)]
    in_class_folders(tmp_path / "clips", *names)
    monkeypatch.chdir(tmp_path)
    words = {"views": ["rgb"], "weights": "builtin", "epochs": 4, "seed": 3}
    trained = ActionRecognizer.train("clips", name="mine", progress=False, **words)
    command(
        "train", "clips", "--name", "typed", "--views", "rgb", "--weights", "builtin",
        "--epochs", "4", "--seed", "3", "-q", cwd=tmp_path,
    )  # fmt: skip
    left = [
        {str(path.relative_to(run)) for path in run.rglob("*.*") if "tensorboard" not in str(path)}
        for run in (tmp_path / "runs" / "mine", tmp_path / "runs" / "typed")
    ]
    assert left[0] == left[1]
    assert "best.safetensors" in left[0]
    assert trained.run == Path("runs/mine")
    assert trained.classify(CLIP).labels
    assert trained.evaluate()["clips"] > 0
    assert ActionRecognizer.load(device="cpu").run == Path("runs/typed")  # the newest
    other = in_class_folders(tmp_path / "other", "left_0", "right_0")
    figures = trained.evaluate(other)
    assert {one["path"] for one in figures["predictions"]} == {
        "left/left_0.mp4",
        "right/right_0.mp4",
    }
    assert not (other / "manifest.csv").exists()
    answers = [ActionRecognizer.load(name).classify(CLIP) for name in ("mine", "typed")]
    assert answers[0].scores == pytest.approx(answers[1].scores, abs=1e-5)


@pytest.mark.slow
def test_the_examples_of_the_python_page_run(tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
    names = [f"{side}_{number}" for side in ("left", "right") for number in range(5)]
    in_class_folders(tmp_path / "clips", *names)
    shutil.copy(CLIP, tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    known: dict[str, object] = {}
    for code in re.findall(
        r"```python\n(.*?)```", page.replace("epochs=20", "epochs=2"), re.DOTALL
    ):
        exec(code, known)
    told = capsys.readouterr().out
    assert "Right on" in told
    assert "missing.mp4: no such video file" in told
    assert repr(known["features"].shape) in told
