"""Long videos whose instants have labels: from the manifest to targets, training and report."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.command_line import action_gru
from helpers.toy_training import settings
from helpers.videos import write_square

from action_gru.config import build_config, load_config
from action_gru.core.errors import ConfigError, DataError
from action_gru.dataset import Clip, data_hash
from action_gru.dataset.segments import (
    _is_watched_beside_segments,
    bounds_s,
    join_stretches,
    labelled_stretches,
    labels_at,
    reference_events,
    rows_past,
)
from action_gru.features import ClipFeatures, FeatureCache
from action_gru.features.sequences import NO_LABEL, SequenceSet
from action_gru.model import ActionClassifier
from action_gru.report.frames import FramesReport, ScoredVideo, write_frames_report
from action_gru.report.segments import ScoredTimeline, detection_delays, score_segments, within
from action_gru.streaming import ActionStream, StreamEngine
from action_gru.timeline import Event, EventTracker, Timeline
from action_gru.training import scoring
from action_gru.training.batches import Batches
from action_gru.training.fit import _unseen
from action_gru.training.loop import Trainer
from action_gru.views import Sample


def row(label, start_s=None, end_s=None, path="v.mp4", split="", group="g"):
    shows = tuple(name for name in label.split("; ") if name)
    return Clip(path, path, label, group, split, start_s, end_s, shows if "; " in label else ())


def video(*rows, many=False):
    (found,) = join_stretches(rows, many, "background")
    return found


TIMES_S = np.arange(0, 6.0)


def test_rows_of_one_path_are_one_video():
    rows = [row("b", 3, 4), row("a", 0, 1), row("a", 0, 2, "w.mp4")]
    first, second = join_stretches(rows, False, "background")
    assert (first.name, first.shows, first.label) == ("v.mp4", ("a", "b"), "a")
    assert [part.start_s for part in first.stretches] == [0, 3]
    assert (second.name, second.start_s, second.end_s) == ("w.mp4", None, None)


def test_what_lies_under_no_row_is_unlabelled():
    assert labels_at(TIMES_S, video(row("a", 1, 3), row("b", 3, 4)), False, "background") == [
        None, ("a",), ("a",), ("b",), None, None,
    ]  # fmt: skip


def test_rows_past_the_last_instant_are_named():
    found = rows_past(TIMES_S, video(row("a", 1, 3), row("b", 400, 410)))
    assert [name.partition("[")[2] for name in found] == ["400:410]"]
    assert rows_past(TIMES_S[:0], video(row("a", 0, 3), row("b", 4, 5))) != []


def test_a_watched_stretch_without_a_label_shows_nothing():
    one = video(row("a", 1, 3), row("", 0, 5))
    assert one.shows == ("a", "background")
    nothing = ("background",)
    expected = [nothing, ("a",), ("a",), nothing, nothing, None]
    assert labels_at(TIMES_S, one, False, "background") == expected
    several = video(row("a; b", 1, 3), row("b", 2, 4), row(""), many=True)
    assert several.shows == ("a", "b")
    expected = [(), ("a", "b"), ("a", "b"), ("b",), (), ()]
    assert labels_at(TIMES_S, several, True, "background") == expected


def test_a_watched_stretch_that_segments_cover_has_no_background():
    assert video(row("", 0, 4), row("a", 0, 2), row("b", 2, 4)).shows == ("a", "b")
    assert "background" in video(row(""), row("a", 0, 2), row("b", 2, 4)).shows


def test_what_is_watched_between_segments_is_found_however_they_lie():
    nested = [row("a", 0, 9), row("b", 1, 2), row("a", 9.0005, 12)]
    for gap_s, found in ((0.0005, False), (0.5, True)):
        rows = [row("", 3, 14), *nested, row("b", 12 + gap_s, 14)]
        assert _is_watched_beside_segments(sorted(rows, key=bounds_s)) == found
    assert video(row("", 0, 0.0005)).shows == ("background",)


def test_overlapping_segments_are_refused_unless_there_may_be_many():
    rows = [row("a", 0, 2), row("b", 1.5, 3)]
    with pytest.raises(
        DataError, match=r"v.mp4\[1.5:3\] \('b'\) begins before .* data.labels=many"
    ):
        video(*rows)
    assert labels_at(TIMES_S, video(*rows, many=True), True, "")[2] == ("b",)
    rounded = video(row("a", 0, 2.0004), row("b", 2, 3))
    assert labels_at(TIMES_S, rounded, False, "")[2] == ("b",)


def test_rows_of_one_video_cannot_differ_in_split():
    with pytest.raises(DataError, match="splits 'test', 'train'"):
        video(row("a", 0, 1, split="train"), row("b", 1, 2, split="test"))
    with pytest.raises(DataError, match=r"frame_rates 25.0, None"):
        video(replace(row("a", 0, 1), frame_rate=25.0), row("b", 1, 2))


def test_a_class_list_must_have_the_background():
    with pytest.raises(DataError, match="lacks 'background'"):
        join_stretches([row("a", 0, 1), row("b", 1, 2), row("")], False, "background", ("a", "b"))


def test_the_hash_of_the_data_depends_on_every_segment():
    hashes = {data_hash([video(row("a", 0, end_s), row("b", 2, 3))]) for end_s in (1, 1.5)}
    assert len(hashes) == 2


def test_stretches_and_events_end_with_the_video():
    one = video(row("a", 1, 3), row("", 0, 2), row("b", 5, 9), row("c", 20, 21))
    assert labelled_stretches(one, 6.0) == [(0, 3), (5, 6.0)]
    found = [(e.label, e.start_s, e.end_s) for e in reference_events(one, 6.0, ["a"])]
    assert found == [("b", 5, 6.0)]


def dense_set(lengths=(40, 7), labelled=(slice(30, 34), slice(0, 7)), dim=4, **options):
    """Rows that hold their own place, of class 0 or 1 where labelled."""
    features, steps = [], []
    for length, part in zip(lengths, labelled, strict=True):
        values = np.repeat(np.arange(length)[:, None], dim, 1).astype(np.float16)
        features.append([ClipFeatures(values, np.arange(length) / 10)])
        step = torch.full((length,), NO_LABEL)
        step[part] = torch.arange(length)[part] % 2
        steps.append(step)
    labels = [0] * len(lengths)
    return SequenceSet(features, labels, None, torch.cat(steps), dense=True, **options)


def instant_model(dim=4, **options):
    torch.manual_seed(0)
    return ActionClassifier([dim], 2, "gru", 8, 8, instant=True, **options).eval()


def test_every_window_of_training_holds_a_labelled_row():
    batches = Batches(dense_set(), settings(batch_size=1, speed_jitter=0.0), 8, seed=0)
    assert batches.draws.tolist() == [0, 1]  # 4 and 7 labelled rows: a window of 8 each
    for number in range(20):
        for part in batches.epoch(number):
            labels = part.batch.step_labels
            assert labels.shape[1] <= 8
            assert part.answers == (labels != NO_LABEL).sum() > 0


def test_long_videos_are_drawn_as_often_as_their_labels_fill_windows():
    batches = Batches(dense_set((40, 7), (slice(0, 33), slice(0, 7))), settings(), 8, seed=0)
    assert batches.draws.tolist() == [0] * 5 + [1]


def test_videos_without_a_labelled_instant_are_refused():
    with pytest.raises(DataError, match="no sampled instant of the training videos has a label"):
        Batches(dense_set((5, 4), (slice(0), slice(0))), settings(), 8, seed=0)


def test_classes_whose_rows_hold_no_instant_are_known():
    """As where segments lie past the end of the file."""

    def labelled(rows):
        values = ClipFeatures(np.zeros((len(rows), 4), np.float16), np.arange(len(rows)))
        steps = torch.tensor(rows)
        return SequenceSet([[values]], [0], None, steps.to(torch.int8) if steps.ndim > 1 else steps)

    one, many = labelled([0, NO_LABEL, 2]), labelled([[1, 0, 1], [NO_LABEL] * 3])
    assert _unseen(one, "abc", 0) == _unseen(many, "abc", 0) == ["b"]
    assert _unseen(one, "abc", 2) == ["b", "c"]  # no row is read after that of c
    assert _unseen(SimpleNamespace(step_labels=None), "abc", 0) == []


def test_a_model_of_instants_carries_the_cell_alone():
    assert [tensor.name for tensor in instant_model().state()] == ["stream0_cell0"]


@pytest.mark.parametrize("many", [False, True])
def test_blocks_with_a_carried_state_equal_the_whole_and_its_steps(many):
    model, features = instant_model(many=many), torch.randn(2, 9, 4)
    whole = model.running(features)
    first, state = model.advance(features[:, :4], model.initial_state(2))
    second, _ = model.advance(features[:, 4:], state)
    assert torch.allclose(torch.cat([first, second], 1), whole, atol=1e-6)
    state = None
    for step in range(9):
        logits, state = model.step(features[:, step], state)
    assert torch.allclose(logits, whole[:, -1], atol=1e-6)


@pytest.mark.parametrize("many", [False, True])
def test_the_answer_to_a_clip_is_the_mean_over_its_instants(many):
    model, features = instant_model(many=many), torch.randn(1, 9, 4)
    answer = model.probabilities(model(features, torch.tensor([5])))
    steps = model.probabilities(model.running(features[:, :5]))
    assert torch.allclose(answer, steps.mean(1), atol=1e-5)
    running = scoring.ClipScores(model, [features[0, :5]], 64).running
    assert torch.allclose(running[-1].float(), answer[0].float(), atol=1e-5)


def test_scores_do_not_depend_on_how_many_rows_are_read_at_once(monkeypatch):
    model, sequences = instant_model(), dense_set()
    whole = scoring.score_answers(model, sequences, 8)
    monkeypatch.setattr(scoring, "PIECE", 3)
    pieces = scoring.score_answers(model, sequences, 8)
    assert len(whole[0]) == 4 + 7  # labelled rows alone
    assert torch.allclose(whole[0], pieces[0], atol=1e-6)
    assert torch.equal(whole[1], pieces[1])


def test_a_stream_of_instants_reads_on_with_one_state_and_answers_for_now():
    model = instant_model()
    engine = StreamEngine(model, None, ("a", "b"), ("rgb",), 10.0)
    stream = ActionStream(engine, SimpleNamespace(max_gap_s=1.0), EventTracker(), 0.0, 8)
    rows = torch.randn(300, 4)
    for index, row in enumerate(rows):
        (answer,) = engine.step([stream], [Sample(index / 10, {})], row[None])
        assert answer.centre_s == answer.time_s == index / 10
    assert stream.states == 1
    wanted = model.running(rows[None])[0, -1].softmax(-1).tolist()
    assert answer.probabilities(("a", "b")).tolist() == pytest.approx(wanted, abs=1e-5)


AHEAD = 3


@pytest.mark.parametrize("many", [False, True])
def test_each_answer_of_a_model_that_reads_ahead_stands_at_the_instant_it_is_about(many):
    model, features = instant_model(many=many, lookahead=AHEAD), torch.randn(2, 9, 4)
    running, state = model.running(features), None
    for number in range(9 + AHEAD):  # the last row goes on
        logits, state = model.step(features[:, min(number, 8)], state)
        if number >= AHEAD:
            assert torch.allclose(logits, running[:, number - AHEAD], atol=1e-6)
    mean = model.probabilities(running[:1, :5]).mean(1)
    short = model.probabilities(model.running(features[:1, :5])).mean(1)
    assert not torch.allclose(mean, short, atol=1e-4)  # the rows after a clip are not read
    lengths = torch.tensor([5, 9])
    assert torch.allclose(model.probabilities(model(features, lengths))[:1], short, atol=1e-5)


@pytest.mark.parametrize("piece", [2, 3, 64])
def test_scores_of_a_model_that_reads_ahead_lie_at_their_rows(monkeypatch, piece):
    model, sequences = instant_model(lookahead=AHEAD), dense_set((40, 2), (slice(0), slice(0)))
    monkeypatch.setattr(scoring, "PIECE", piece)
    for scores, low, high in zip(
        scoring.score_steps(model, sequences), (0, 40), (40, 42), strict=True
    ):
        wanted = model.running(sequences.values[None, low:high].float())[0].softmax(-1)
        assert torch.allclose(scores, wanted, atol=1e-6)


@pytest.mark.parametrize("count", [1, AHEAD, 20])
def test_a_stream_that_reads_ahead_answers_about_every_instant_once(count):
    model = instant_model(lookahead=AHEAD)
    engine = StreamEngine(model, None, ("a", "b"), ("rgb",), 10.0)
    stream = ActionStream(engine, SimpleNamespace(max_gap_s=1.0), EventTracker(), 0.0, 8)
    recorded = []
    stream.track = SimpleNamespace(add=lambda *answer: recorded.append(answer))
    rows, wanted = torch.randn(2 * count, 4), []
    for run, part in enumerate(rows.split(count)):  # a gap lies between
        wanted += model.running(part[None])[0].softmax(-1).tolist()
        for index, row in enumerate(part):
            at_s = 100 * run + index / 10
            (answer,) = engine.step([stream], [Sample(at_s, {}, run, "a gap")], row[None])
            assert answer.time_s == at_s
            assert answer.centre_s == 100 * run + max(0, index - AHEAD) / 10
            assert answer.to_json()["about_s"] == answer.centre_s
    stream.finish()
    instants_s, scores, begins = zip(*recorded, strict=True)
    assert list(instants_s) == [100 * run + n / 10 for run in (0, 1) for n in range(count)]
    np.testing.assert_allclose(scores, wanted, atol=1e-5)
    assert np.flatnonzero(begins).tolist() == [count]


def test_training_pairs_each_row_with_the_answer_that_comes_later():
    options = settings(batch_size=1, speed_jitter=0.0, temporal_crop=0.0)
    batches = Batches(
        dense_set((40, 2), (slice(0, 40), slice(0, 2))), options, 8, 0, lookahead=AHEAD
    )
    assert batches.draws.tolist() == [0] * 5  # the second ends before it has an answer
    for number in range(5):
        for part in batches.epoch(number):
            places, labels = part.batch.features[0, :, 0].long(), part.batch.step_labels[0]
            assert (labels[:AHEAD] == NO_LABEL).all()
            assert torch.equal(labels[AHEAD:], places[:-AHEAD] % 2)
            assert part.answers == 8 - AHEAD


def test_sequences_that_are_too_short_to_read_ahead_are_refused_with_their_length():
    sequences = dense_set((3, 2), (slice(0, 3), slice(0, 2)))
    assert not sequences.teaches(AHEAD).any()
    with pytest.raises(DataError, match=r"lookahead=3: .* \(the longest sequence has 3\)"):
        Batches(sequences, settings(), 8, 0, lookahead=AHEAD)


def test_what_shows_later_is_learned_by_a_model_that_reads_ahead_alone():
    """The class of a row stands in the row two after it."""
    signs = torch.randint(0, 2, (202,), generator=torch.Generator().manual_seed(0))
    values = (2.0 * signs[:, None] - 1).repeat(1, 4).numpy().astype(np.float16)
    steps = torch.cat([signs[2:], torch.full((2,), NO_LABEL)])
    rows = [[ClipFeatures(values, np.arange(202) / 10)]]
    right = {}
    for ahead in (0, 2):
        sequences = SequenceSet(rows, [0], None, steps, dense=True)
        torch.manual_seed(0)
        model = ActionClassifier(
            [4], 2, "gru", 8, 8, instant=True, lookahead=ahead, normalisation="channel"
        )
        options = settings(epochs=60, batch_size=4, learning_rate=0.02)
        Trainer(model, sequences, None, options, 32, 0).fit(lambda *_: None)
        scores, labels = scoring.score_answers(model.eval(), sequences, 32)
        right[ahead] = float(scoring.is_right(scores, labels).float().mean())
    assert right[2] == 1.0
    assert right[0] < 0.8


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.task=clips"], "model.lookahead: goes with data.task=frames"),
        (["sampling.max_frames=8"], "must be below sampling.max_frames=8"),
    ],
)
def test_a_lookahead_that_leaves_no_answer_is_refused(overrides, message):
    tree = {"data": {"task": "frames"}, "model": {"lookahead": 8}}
    with pytest.raises(ConfigError, match=message):
        build_config(tree, overrides)


def test_delay_counts_what_the_model_reads_ahead():
    segments = [Event("a", 1, 2), Event("b", 3, 4)]
    found = [Event("a", 1.5, 2), Event("b", 2.5, 4)]
    assert detection_delays(found, segments, 0.25) == ((0.75, 0.25), 0, 0)


@pytest.mark.parametrize(
    "override",
    ["model.bidirectional=true", "model.closed_form=true", "training.class_balance=sampler",
     "data.kind=arrays"],
)  # fmt: skip
def test_what_frames_rule_out_is_refused(override):
    with pytest.raises(ConfigError, match="does not go with a class for each row"):
        build_config({"data": {"task": "frames"}}, [override])


def test_the_shipped_config_is_of_frames():
    path = Path(__file__).parents[1] / "configs" / "frames.yaml"
    assert load_config(path).label_rules == {"many": False, "nothing": "background"}


def test_delay_counts_from_the_start_of_a_segment_to_its_event():
    reference = [Event("a", 1, 3), Event("b", 4, 5), Event("a", 8, 9)]
    found = [Event("a", 1.5, 3), Event("b", 3.5, 4.5), Event("b", 8, 9)]
    assert detection_delays(found, reference) == ((0.5, 0.0), 1, 1)


def test_events_in_unlabelled_time_are_not_counted():
    events = [Event("a", 0, 2), Event("a", 4, 8), Event("a", 9, 10)]
    assert within(events, [(0, 2), (6, 7)]) == events[:1]


def test_overlapping_events_are_scored_class_by_class():
    reference = [Event("a", 0, 4), Event("b", 1, 3)]
    scores = score_segments(reference[:1], reference, 4.0, (), ("a", "b", "c"))
    assert scores.counts[0.5] == (1, 0, 1)


def small_report(groups=1, **changes):
    truth = np.eye(2, dtype=bool)[[0, 0, 1, 1]]
    scores = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.1, 0.9]])
    reference, found = (Event("b", 2, 4),), (Event("b", 2.5, 4),)
    timeline = Timeline("v.mp4", ("a", "b"), found, 4.0)
    one = ScoredTimeline("v.mp4", timeline, reference, score_segments(found, reference, 4.0, ()))
    videos = [ScoredVideo(f"g{n}", scores, truth, one, 4.0, (0.5,), 0, 0) for n in range(groups)]
    return FramesReport("run", "data", "test", ("a", "b"), tuple(videos), ("a",), **changes)


def test_the_report_says_what_few_groups_are_worth(tmp_path):
    report = small_report()
    assert report.sentence == (
        "Right at 75.0% of 4 labelled instants of 1 new video (no interval: all are of one group); "
        "1 of 1 segments were found, half of them within 0.50 s. 1 group: too few to speak of "
        "others."
    )
    assert (report.mean_ap, report.macro_f1) == (1.0, pytest.approx(0.7333, abs=1e-4))
    assert not report.beats_guessing
    assert small_report(8).beats_guessing
    written = json.loads(write_frames_report(report, tmp_path).read_text())
    assert written["delay_s"] == {"median": 0.5, "late": 0.5}
    assert (tmp_path / "timeline_000.png").is_file()
    assert "Delay: median 0.50 s" in (tmp_path / "report.md").read_text()


def test_the_sentence_says_where_one_answer_alone_is_as_often_right():
    part = ", no more than the most frequent answer alone (50.0%); 1 of 1 segments"
    assert part in small_report(thresholds=(0.95, 0.7)).sentence
    assert "most frequent" not in small_report().sentence


def test_with_several_labels_each_class_has_its_threshold():
    assert small_report(thresholds=(0.3, 0.7)).answers.sum(0).tolist() == [2, 2]


@pytest.mark.slow
def test_a_run_on_long_videos_trains_and_is_evaluated_alike_again(tmp_path):
    rows = ["path,label,split,start_s,end_s"]
    for number in range(3):
        write_square(tmp_path / f"{number}.mp4", 24, seed=number)
        split = "test" if number == 2 else "train"
        for label, bounds in (("", "0,2"), ("dark", "0.2,0.8"), ("bright", "1,1.6")):
            rows.append(f"{number}.mp4,{label},{split},{bounds}")
    (tmp_path / "m.csv").write_text("\n".join(rows) + "\n")
    tree = {
        "run": {"folder": str(tmp_path / "runs")},
        "data": {"task": "frames", "manifest": str(tmp_path / "m.csv")},
        "sampling": {"fps": 10.0, "max_frames": 8},
        "features": {"weights": "builtin", "views": ["rgb"], "image_size": 32, "device": "cpu",
                     "cache_dir": str(tmp_path / "cache")},
        "model": {"projection_size": 8, "hidden_size": 8},
        "training": {"epochs": 2, "device": "cpu"},
    }  # fmt: skip
    (tmp_path / "c.yaml").write_text(json.dumps(tree))
    done = action_gru("train", tmp_path / "c.yaml", "--json", "-q").answer
    assert done["instants"] == 20  # of 2.4 s, those of the first 2
    again = action_gru("evaluate", done["run"], "--json", "-q").answer
    figures = ("frame_accuracy", "f1", "delay_s", "baselines")
    assert {key: again[key] for key in figures} == {key: done[key] for key in figures}
    assert again["baselines"]["alone"] is not None
    config = load_config(Path(done["run"]) / "config.yaml")
    assert config.events.background == ("background",)
    for labels in ("one", "many"):  # two of the videos, each answered by a model of the other
        answer = action_gru("cv", tmp_path / "c.yaml", f"data.labels={labels}", "--folds", "2",
                            "--json", "-q").answer  # fmt: skip
        report = json.loads((Path(answer["folder"]) / "report.json").read_text())
        assert report["events"] == answer["events"]
        assert 0 <= answer["events"]["found"]["mean"] <= 1
        assert answer["events"]["f1_50"]["spread"] is None


@pytest.mark.slow
def test_two_hours_with_500_segments_take_no_more_memory_than_half_an_hour(tmp_path):
    """Anonymous memory: what is mapped from files, the system may put aside."""
    status = Path("/proc/self/status")
    if not status.is_file():
        pytest.skip("only Linux says how much memory is anonymous")

    def anonymous_mb():
        return int(status.read_text().split("RssAnon:")[1].split()[0]) / 1024

    def grown_mb(seconds):
        count, peak = 12 * seconds, [0.0]
        values = np.memmap(tmp_path / f"{seconds}", np.float16, "w+", shape=(count, 512))
        for low in range(0, count, 4096):
            values[low : low + 4096] = np.random.default_rng(low).normal(size=(1, 512))
        cache, times_s = FeatureCache(tmp_path / "cache"), np.arange(count) / 12
        cache.put(f"{seconds:064x}", ClipFeatures(values, times_s))
        del values
        before = anonymous_mb()

        def note():
            peak[0] = max(peak[0], anonymous_mb() - before)

        entry = cache.get(f"{seconds:064x}")
        note()
        edges = np.linspace(0, seconds, 1001)
        parts = [row("ab"[n % 2], *edges[2 * n : 2 * n + 2]) for n in range(500)]
        found = labels_at(times_s, video(*parts, row("")), False, "background")
        number = {"a": 0, "b": 1, "background": 2}
        steps = torch.tensor([number[names[0]] for names in found])
        sequences = SequenceSet([[entry]], [0], None, steps, most_bytes=32 << 20, dense=True)
        note()
        model = ActionClassifier([512], 3, "gru", 16, 16, instant=True)
        trainer = Trainer(model, sequences, sequences, settings(epochs=1), 64, 0)
        trainer.run_steps(0, 5)
        note()
        trainer._validate(sequences)
        note()
        return peak[0]

    grown_mb(60)  # what torch takes once
    short, long = grown_mb(1800), grown_mb(7200)
    assert long < short + 40
