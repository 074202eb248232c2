"""Views that are vectors, through extraction, training, streaming and the cache."""

import numpy as np
import pytest
from helpers.people_doubles import ROWS, ScriptedDetector, frame_view
from helpers.videos import FakeBackbone, clip_of, write_square

from action_gru import ActionRecognizer
from action_gru.config import build_config
from action_gru.core.errors import BackboneError, ConfigError
from action_gru.core.progress import Reporter
from action_gru.detection.frame_views import MixedBackbone
from action_gru.features import Extractor, MemoryCache, ViewKey
from action_gru.features.source import build_backbone
from action_gru.training import train
from action_gru.video import VideoFile


def mixed(pictures=None, detector=None):
    return MixedBackbone(pictures, {"detections": frame_view(detector)})


def test_everything_that_the_values_depend_on_is_in_the_fingerprint():
    plain = frame_view().spec()
    changes = [
        {"weights_sha256": "2" * 64}, {"image_size": 96}, {"kinds": (0,)}, {"top": 3},
        {"min_score": 0.4}, {"tracker": "botsort"}, {"note": "square"}, {"every": 2},
    ]  # fmt: skip
    prints = {plain.fingerprint, *(frame_view(**change).spec().fingerprint for change in changes)}
    assert len(prints) == 1 + len(changes)
    assert plain.differences(frame_view(top=3).spec())


def test_vectors_and_pictures_of_a_clip_stand_side_by_side(tmp_path):
    backbone = MixedBackbone(FakeBackbone(), {"detections": frame_view()})
    extractor = Extractor(
        backbone, MemoryCache(), fps=5.0, views=["rgb", "detections"], flip=True, batch_size=4
    )
    clip = clip_of(write_square(tmp_path / "a.mp4", 20))
    report = extractor.extract([clip])
    assert not report.quarantined
    found = extractor.read(clip, report)
    assert found[ViewKey("rgb")].values.shape == (10, 6)
    values = found[ViewKey("detections")].values
    assert values.shape == (10, backbone.spec("detections").dim) == (10, 22)
    assert values[:, 2] == pytest.approx([(21 + i) / 96 for i in range(10)], abs=2e-3)
    flipped = found[ViewKey("detections", True)].values
    assert flipped[:, 2] == pytest.approx(1 - values[:, 2], abs=2e-3)
    assert found[ViewKey("detections")].times_s == pytest.approx(np.arange(10) / 5)


def test_each_sampled_frame_is_detected_once_and_decoded_once(tmp_path, monkeypatch):
    detector, passes, run = ScriptedDetector(ROWS), [], VideoFile.run

    def counted(video, program, **arguments):
        passes.append(arguments["views"])
        return run(video, program, **arguments)

    monkeypatch.setattr(VideoFile, "run", counted)
    monkeypatch.setattr(VideoFile, "frames", lambda *_: pytest.fail("decoded beside the pictures"))
    backbone = MixedBackbone(FakeBackbone(), {"detections": frame_view(detector)})
    views, cache = ["rgb", "detections"], MemoryCache()
    extractor = Extractor(backbone, cache, fps=5.0, views=views, flip=True, batch_size=4)
    clip = clip_of(write_square(tmp_path / "a.mp4", 20))
    first = extractor.read(clip, extractor.extract([clip]))
    assert (detector.asked, passes) == (10, [["rgb"]])
    report = extractor.extract([clip])
    assert (report.cached, detector.asked, len(passes)) == (1, 10, 1)
    # In one call or frame by frame: a clip's values do not depend on how its frames are grouped.
    monkeypatch.setattr("action_gru.detection.frame_views.DETECTED_AT_ONCE", 1)
    alone = Extractor(mixed(), MemoryCache(), fps=5.0, views=["detections"])
    values = alone.read(clip, alone.extract([clip]))[ViewKey("detections")].values
    assert np.array_equal(values, first[ViewKey("detections")].values)


@pytest.mark.parametrize("calls", [(10,), (3, 4, 3), (1,) * 10])
def test_between_the_samples_that_are_looked_at_the_last_answer_stands(calls):
    detector, frame = ScriptedDetector(ROWS), np.zeros((48, 96, 3), np.uint8)
    encode, times_s, made = frame_view(detector, every=3).encoder(), iter(np.arange(10) / 5), []
    for size in calls:
        made += encode([frame] * size, [next(times_s) for _ in range(size)])
    looked_at = frame_view(ScriptedDetector(ROWS)).encoder()([frame] * 4, np.arange(0, 10, 3) / 5)
    assert detector.asked == len(looked_at) == 4
    for number, vectors in enumerate(made):
        assert np.array_equal(vectors.plain, looked_at[number // 3].plain)
        assert np.array_equal(vectors.mirrored, looked_at[number // 3].mirrored)


def test_without_pictures_no_network_is_loaded(tmp_path):
    backbone = mixed()
    extractor = Extractor(backbone, MemoryCache(), fps=5.0, views=["detections"])
    clip = clip_of(write_square(tmp_path / "a.mp4", 20))
    report = extractor.extract([clip])
    assert extractor.read(clip, report)[ViewKey("detections")].values.shape == (10, 22)
    with pytest.raises(BackboneError, match="no network was loaded for the view 'rgb'"):
        backbone.spec("rgb")


def test_the_error_names_the_file_that_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("ACTION_GRU_HOME", str(tmp_path))
    tree = {"features": {"views": ["detections"], "download": False}}
    with pytest.raises(BackboneError, match=r"detection\.weights: 'yolo26n\.pt' is not on this"):
        build_backbone(build_config(tree))
    tree = {"features": {"views": ["pose"], "download": False}}
    with pytest.raises(BackboneError, match=r"pose\.weights: 'yolo26n-pose\.pt' is not on this"):
        build_backbone(build_config(tree))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A model of a box that moves and one that stays, on rgb and detections."""

    class Moving:
        """The bright square of the clip, found by its colour."""

        names = ("person",)
        weights, weights_sha256, image_size, note = "square.pt", "3" * 64, 96, ""

        def __call__(self, images):
            return [found for image in images for found in ScriptedDetector(
                [[("person", *square_of(image))]], self.names)([image])]  # fmt: skip

    monkeypatch.setattr("action_gru.detection.frame_views.Detector", lambda *_, **__: Moving())
    rows = ["path,label,split"]
    for index in range(8):
        write_square(tmp_path / f"{index}.mp4", 24, seed=index + 100 * (index % 2))
        rows.append(f"{index}.mp4,{'ab'[index % 2]},{'test' if index > 5 else 'train'}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    tree = {
        "run": {"folder": str(tmp_path / "runs")},
        "data": {"manifest": str(tmp_path / "manifest.csv")},
        "sampling": {"fps": 5.0},
        "features": {"weights": "builtin", "image_size": 32, "views": ["rgb", "detections"],
                     "cache_dir": str(tmp_path / "cache")},
        "model": {"projection_size": 8, "hidden_size": 8, "normalisation": "channel"},
        "training": {"epochs": 2, "device": "cpu", "mean_pooled_baseline": False},
        "detection": {"top": 2},
    }  # fmt: skip
    return train(build_config(tree), Reporter(quiet=True))


def square_of(image):
    rows, columns = np.nonzero(image[..., 0] > 150)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_a_run_on_both_trains_classifies_and_streams_the_same_values(run, tmp_path, monkeypatch):
    people = ScriptedDetector(ROWS)
    monkeypatch.setattr("action_gru.recognizer.build_detector", lambda config: people)
    recognizer = ActionRecognizer.load(run.path, device="cpu")
    video = write_square(tmp_path / "long.mp4", 40, seed=3)
    assert [spec.view for spec in recognizer.checkpoint.features] == ["rgb", "detections"]
    reading = recognizer.read(video)
    assert reading.features.shape[1] == recognizer.checkpoint.features[0].dim + 2 * 9 + 1
    reader, seen = recognizer.read_timeline(video), []
    embed = reader.stream.engine.embed

    def keep(samples):
        seen.append(embed(samples))
        return seen[-1]

    reader.stream.engine.embed = keep
    assert len(list(reader)) == len(reading.times_s) == 20
    streamed = np.concatenate([part.numpy() for part in seen])[:, -19:]
    assert streamed == pytest.approx(reading.features[:, -19:].astype(np.float32), abs=1e-6)
    with pytest.raises(ConfigError, match="detections looks at the whole frame"):
        recognizer.people()
