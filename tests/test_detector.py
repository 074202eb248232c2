"""The detector as a function from frames to boxes, with untrained networks of each kind."""

import numpy as np
import pytest
from helpers.untrained_networks import save_untrained
from ultralytics.nn.tasks import DetectionModel, PoseModel

from action_gru.core.errors import BackboneError
from action_gru.detection.detector import Detector


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("weights")
    save_untrained(made / "v11.pt", DetectionModel, "11/yolo11.yaml", nc=2)
    save_untrained(made / "v26.pt", DetectionModel, "26/yolo26.yaml", nc=2)
    save_untrained(made / "pose.pt", PoseModel, "11/yolo11-pose.yaml", nc=1, kpt_shape=[5, 3])
    return made


def frames(count=2, size=(120, 200)):
    return list(np.random.default_rng(0).integers(0, 255, (count, *size, 3), dtype=np.uint8))


@pytest.mark.parametrize("name", ["v11.pt", "v26.pt"])
def test_boxes_lie_in_the_frame_the_surest_first(folder, name):
    detector = Detector(str(folder / name), min_score=1e-6)
    assert (detector.image_size, detector.names) == (64, ("0", "1"))
    found = detector(frames())
    assert len(found) == 2
    for one in found:
        assert len(one) > 0
        assert (one.boxes >= 0).all()
        assert (one.boxes[:, [0, 2]] <= 200).all()
        assert (one.boxes[:, [1, 3]] <= 120).all()
        assert (np.diff(one.scores) <= 0).all()
        assert set(one.kinds) <= {0, 1}
        assert one.keypoints is None


def test_a_frame_has_the_same_boxes_alone_and_beside_one_of_another_size(folder):
    detector = Detector(str(folder / "v11.pt"), min_score=1e-6)
    (wide,), (tall,) = frames(1), frames(1, (150, 90))
    together = detector([wide, tall, wide])
    for one, alone in zip(together, [detector([wide])[0], detector([tall])[0]] * 2, strict=False):
        assert one.boxes == pytest.approx(alone.boxes, abs=0.01)
    assert (together[1].boxes[:, 2] <= 90).all()


def test_weak_boxes_are_left_out(folder):
    every = Detector(str(folder / "v11.pt"), min_score=1e-6)(frames(1))[0]
    middle = float(np.median(every.scores))
    some = Detector(str(folder / "v11.pt"), min_score=middle)(frames(1))[0]
    assert 0 < len(some) < len(every)
    assert some.scores.min() > middle


def test_a_pose_model_gives_the_keypoints_of_each_box(folder):
    detector = Detector(str(folder / "pose.pt"), task="pose", min_score=1e-6)
    (one,) = detector(frames(1))
    assert one.keypoints.shape == (len(one), 5, 3)
    assert (one.keypoints[..., 2] >= 0).all()
    assert (one.keypoints[..., 2] <= 1).all()


def test_a_model_of_another_kind_is_refused(folder):
    with pytest.raises(BackboneError, match=r"detection\.weights: .*pose\.pt is a pose model; a "
                       r"detect model is needed here, such as yolo26n\.pt"):  # fmt: skip
        Detector(str(folder / "pose.pt"))
    with pytest.raises(BackboneError, match=r"pose\.weights: builtin is a classify model"):
        Detector("builtin", task="pose", key="pose.weights")


def test_what_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "no.pt").write_bytes(b"nothing")
    with pytest.raises(BackboneError, match=r"no\.pt: refused as YOLO weights"):
        Detector(str(tmp_path / "no.pt"))
