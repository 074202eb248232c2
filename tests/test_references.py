"""Long videos of a manifest: reading them, keeping them out of training, scoring them."""

import json
import unicodedata

import pytest
from helpers.videos import moving_square, write_square

from action_gru.config import build_config
from action_gru.core.errors import DataError
from action_gru.core.progress import Reporter
from action_gru.dataset import check_long_videos, read_long_videos, read_manifest
from action_gru.evaluation.evaluate import evaluate
from action_gru.training import RunFolder, resume, train
from action_gru.video import VideoWriter

HEADER = "path,label,group,split,start_s,end_s,timeline\n"
CLIP = "a.mp4,wave,anna,train,,,\n"


def manifest(folder, *rows):
    (folder / "t.csv").write_text("start_s,end_s,label\n1,2,wave\n")
    (folder / "a.mp4").write_bytes(b"")
    path = folder / "m.csv"
    path.write_text(HEADER + CLIP + "".join(f"{row}\n" for row in rows))
    return path


def test_a_row_with_a_timeline_is_a_long_video_and_no_clip(tmp_path):
    path = manifest(tmp_path, "long.mp4,,berta,,,,t.csv", "other.mp4,,,val,,,t.csv")
    assert [clip.relative for clip in read_manifest(path)] == ["a.mp4"]
    one, other = read_long_videos(path, classes=["wave"])
    assert (one.relative, one.group, one.split) == ("long.mp4", "berta", "test")
    assert [(s.label, s.start_s, s.end_s) for s in one.segments] == [("wave", 1.0, 2.0)]
    assert (other.group, other.split) == ("other.mp4", "val")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("long.mp4,wave,,,,,t.csv", r"line 3: .*path and no label, got 'long\.mp4' and 'wave'"),
        ("long.mp4,,,train,,,t.csv", "line 3: a long video is for test or val"),
        ("long.mp4,,,,1,,t.csv", "line 3: a long video is read whole"),
        ("long.mp4,,,,,,../t.csv", "line 3: path must be relative to the root"),
        ("../long.mp4,,,,,,t.csv", "line 3: path must be relative to the root"),
        ("long.mp4,,,,,,none.csv", "no file at"),
        ("long.mp4,,,later,,,t.csv", "line 3: split is train, val, test or empty, got 'later'"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path, row, said):
    path = manifest(tmp_path, row)
    with pytest.raises(DataError, match=said):
        read_long_videos(path)


def test_a_reference_written_in_another_form_names_the_same_classes(tmp_path):
    nfc, nfd = (unicodedata.normalize(form, "gähnen") for form in ("NFC", "NFD"))
    (tmp_path / "one.csv").write_text(f"start_s;end_s;label\n0;1,5;{nfd}\n", encoding="utf-8")
    (tmp_path / "clips.csv").write_text("path,label,timeline\nlong\\a.mp4,,one.csv\n")
    (video,) = read_long_videos(tmp_path / "clips.csv", classes=[nfc])
    assert (video.relative, video.segments[0].end_s) == ("long/a.mp4", 1.5)


def test_a_label_that_the_model_does_not_know_is_named(tmp_path):
    path = manifest(tmp_path, "long.mp4,,,,,,t.csv")
    with pytest.raises(DataError, match=r"t\.csv: unknown label wave; the classes are run, sit"):
        read_long_videos(path, classes=["run", "sit"])


def test_a_long_video_of_a_trained_group_or_file_is_refused(tmp_path):
    clips = read_manifest(manifest(tmp_path))
    for row in ("long.mp4,,anna,,,,t.csv", "a.mp4,,berta,,,,t.csv"):
        with pytest.raises(DataError, match="are of one group"):
            check_long_videos(read_long_videos(manifest(tmp_path, row)), clips)
    check_long_videos(read_long_videos(manifest(tmp_path, "long.mp4,,berta,,,,t.csv")), clips)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFolder:
    """A run on bright and dark squares with one long video to test on, and one that is damaged."""
    root = tmp_path_factory.mktemp("references")
    rows = []
    for index in range(12):
        label = "bright" if index % 2 else "dark"
        write_square(root / f"{index}.mp4", 12 + index, seed=index + 100 * (index % 2))
        rows.append(f"{index}.mp4,{label},,{'test' if index > 7 else 'train'},,,\n")
    with VideoWriter(root / "long.mp4", (96, 64), 10.0) as writer:
        for seed in (4, 105, 4):
            for image in moving_square(60, seed):
                writer.write(image)
    (root / "bad.mp4").write_bytes(b"no video")
    (root / "t.csv").write_text("start_s,end_s,label\n6,12,bright\n")
    rows += ["long.mp4,,,test,,,t.csv\n", "bad.mp4,,,test,,,t.csv\n"]
    (root / "m.csv").write_text(HEADER + "".join(rows))
    tree = {
        "run": {"folder": str(root / "runs")},
        "data": {"manifest": str(root / "m.csv")},
        "sampling": {"fps": 5.0, "max_frames": 8},
        "features": {"weights": "builtin", "image_size": 64, "cache_dir": str(root / "cache")},
        "model": {"projection_size": 16, "hidden_size": 16, "closed_form": False},
        "training": {"epochs": 10, "device": "cpu", "mean_pooled_baseline": False},
        "events": {"background": ["dark"]},
    }
    return train(build_config(tree), Reporter(quiet=True))


def test_evaluate_scores_the_long_videos_and_lists_the_bad_one(run):
    report, folder = evaluate(run, Reporter(quiet=True))
    document = json.loads((folder / "report.json").read_text())
    timelines = document["timelines"]
    assert timelines["videos"] == 1
    assert timelines["f1"]["50"] == 1.0
    assert [one["path"] for one in timelines["per_video"]] == ["long.mp4"]
    assert [event["label"] for event in timelines["per_video"][0]["events"]] == ["bright"]
    assert [one["path"] for one in document["quarantined"]] == ["bad.mp4"]
    assert document["clips"] == report.metrics.clips == 4
    assert "## Long videos" in (folder / "report.md").read_text()
    assert (folder / "timeline_000.png").stat().st_size > 5000
    assert (folder / "timeline_000.csv").read_text().startswith("start_s,end_s,label,score\n")


@pytest.mark.slow
def test_evaluate_finds_the_long_videos_of_another_manifest(run, tmp_path):
    _, folder = evaluate(
        run, Reporter(quiet=True), manifest=run.config().data.manifest, folder=tmp_path / "e"
    )
    assert json.loads((folder / "report.json").read_text())["timelines"]["videos"] == 1


def test_resume_keeps_the_long_videos(run):
    again = resume(run.path, Reporter(quiet=True))
    rows = [row for row in again.rows() if row["timeline"]]
    assert [row["path"] for row in rows] == ["long.mp4", "bad.mp4"]


def test_the_window_follows_the_usual_length_of_a_training_clip(run):
    from action_gru import ActionRecognizer

    recognizer = ActionRecognizer.load(run.path, device="cpu")
    assert recognizer.checkpoint.clip_s == pytest.approx(8 / 5)
    assert recognizer.stream().window_s == pytest.approx(0.7 * 8 / 5)
