"""The pipeline on real clips with real weights, where they are; the slow lane."""

import json

import pytest
from helpers import ROOT

from action_gru.config import load_config
from action_gru.core.progress import Reporter
from action_gru.evaluation.evaluate import evaluate
from action_gru.recognizer import ActionRecognizer
from action_gru.training import read_clips, train

pytestmark = pytest.mark.slow
QUIET = Reporter(quiet=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory, shared_data, shared_weights):
    """configs/interactions.yaml as shipped, but for where the files are and a short training."""
    place = tmp_path_factory.mktemp("real")
    config = load_config(
        ROOT / "configs" / "interactions.yaml",
        [
            f"data.manifest={shared_data / 'interactions' / 'clips.csv'}",
            f"features.weights={shared_weights}",
            f"features.cache_dir={place / 'cache'}",
            f"run.folder={place / 'runs'}",
            "features.flip=false",
        ],
    )
    return train(config, QUIET)


def test_other_sequences_are_recognised_far_above_the_majority(run):
    report, folder = evaluate(run, QUIET)
    assert report.metrics.clips >= 10
    assert report.metrics.top1 >= 0.7  # by size and length alone about 0.5 is reached
    assert report.metrics.top1 > report.baselines["majority"] + 0.3
    assert json.loads((folder / "report.json").read_text())["quarantined"] == []


def test_a_second_run_reads_the_cache_alone(run):
    again = train(run.config(), QUIET)
    assert again.best.is_file()
    from action_gru.features.source import data_source

    report = data_source(run.config()).features(read_clips(run.config()), QUIET).report
    assert (report.frames, report.cached) == (0, 60)


def test_classify_agrees_with_the_evaluation_on_real_video(run):
    report, _ = evaluate(run, QUIET)
    recognizer = ActionRecognizer.load(run.path)
    root = run.config().data.manifest.parent
    for clip in report.predictions[:4]:
        assert recognizer.classify(root / clip.path).label == clip.prediction.label


def test_odd_files_give_an_answer_or_a_typed_error(run, shared_data):
    from action_gru.core.errors import VideoError

    recognizer = ActionRecognizer.load(run.path)
    answered, refused, named = [], [], []
    for path in sorted((shared_data / "edge").iterdir()):
        if path.suffix == ".csv":
            continue
        try:
            recognizer.classify(path)
            answered.append(path.name)
        except VideoError as error:
            refused.append(path.name)
            named.append(str(path) in str(error))
    assert all(named)
    assert refused == [
        "derived_audio_only.mp4",
        "derived_random_bytes.mp4",
        "derived_truncated_nasa.mp4",
        "empty_0_bytes.mp4",
        "lfs_pointer.mp4",
    ]
    assert len(answered) == 26
