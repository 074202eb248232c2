"""Measured sequences through the whole path: clips, training, evaluation, streams, watch."""

import io
import json
import os
import re
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.command_line import action_gru
from helpers.series_tables import SMALL, engines, machines, table_config
from helpers.videos import write_square

from action_gru.cli.scores import score_line
from action_gru.config import build_config
from action_gru.core.errors import CheckpointError, ConfigError, DataError
from action_gru.core.progress import Reporter
from action_gru.dataset import Clip, class_list
from action_gru.evaluation.cross_validation import cross_validate
from action_gru.evaluation.evaluate import evaluate
from action_gru.features.source import data_source
from action_gru.model import ActionClassifier
from action_gru.prepare import prepare
from action_gru.recognizer import ActionRecognizer
from action_gru.series.recognizer import SequenceRecognizer
from action_gru.series.recording import window_bounds
from action_gru.series.watch import watch
from action_gru.timeline import Alarm
from action_gru.training import RunFolder, load_checkpoint, resume, train
from action_gru.training.loop import Trainer
from action_gru.training.scoring import score_steps

pytestmark = pytest.mark.usefixtures("blank_figures")

QUIET = Reporter(quiet=True)


@pytest.fixture(scope="module")
def machine_run(tmp_path_factory) -> RunFolder:
    return train(table_config(tmp_path_factory.mktemp("machines"), "machines", machines()), QUIET)


@pytest.fixture(scope="module")
def engine_run(tmp_path_factory) -> RunFolder:
    settings = table_config(
        tmp_path_factory.mktemp("engines"),
        "engines",
        engines(),
        series={"horizon": 5, "averages": [4, 12], "elapsed": True},
        model={"pooling": "last"},
        training={"temporal_crop": 0.0, "speed_jitter": 0.0, "epochs": 25},
    )
    return train(settings, QUIET)


def test_a_small_difference_on_a_large_value_is_learnt(machine_run):
    report, folder = evaluate(machine_run, QUIET)
    assert report.metrics.top1 == 1.0  # in float16 every heat would be 1000 or 1000.5
    assert report.metrics.clips == 4
    assert "1 of 74 values are missing" in report.data
    assert report.data.endswith("A clip is a sequence of rows here, and a frame is one of them")
    assert (folder / "report.md").is_file()


def test_normalisation_never_sees_a_test_row(machine_run, tmp_path):
    shifted = train(table_config(tmp_path, "shifted", machines(test_shift=1e6)), QUIET)
    plain, other = (load_checkpoint(run.best).weights for run in (machine_run, shifted))
    assert plain["feature_mean"][0] == pytest.approx(1000.08, abs=0.1)
    assert all(torch.equal(plain[name], other[name]) for name in plain)


def test_missing_values_are_flagged_where_training_had_some(machine_run):
    model = load_checkpoint(machine_run.best).build()
    assert model.flag_missing
    assert model.read_dims == [4]
    row = torch.tensor([[1000.0, float("nan")]])
    standard = model.standardise(row)[0]
    assert standard[1] == 0.0  # the column's mean
    assert standard[2:].tolist() == [0.0, 1.0]


def test_a_channel_without_any_value_is_left_out_and_said(tmp_path, capsys):
    settings = table_config(tmp_path, "empty", machines(empty=True), training={"epochs": 2})
    run = train(settings, Reporter(quiet=False))
    assert "no training sequence has a value of hum" in capsys.readouterr().err
    weights = load_checkpoint(run.best).weights
    assert weights["feature_scale"][1] == 0.0
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


def test_rows_pushed_one_by_one_end_where_the_whole_does(machine_run, engine_run):
    rng = np.random.default_rng(2)
    for run in (machine_run, engine_run):
        recognizer = SequenceRecognizer.load(run.path, device="cpu")
        values = (rng.normal(size=(9, 2)) + np.array([1000, 0])).astype(np.float32)
        values[4, 1] = np.nan
        stream = recognizer.stream()
        for index, row in enumerate(values):
            pushed = stream.push(dict(zip(recognizer.channels, row, strict=True)), float(index))
        whole = recognizer.classify(values)
        np.testing.assert_allclose(
            pushed.probabilities(recognizer.classes),
            whole.probabilities(recognizer.classes),
            atol=1e-5,
        )


def test_the_answer_after_each_row_is_that_of_the_row_by_row_stream(engine_run):
    settings = engine_run.config()
    checkpoint = load_checkpoint(engine_run.best)
    clips = [clip for clip in data_source(settings).clips() if clip.relative == "e7"]
    table = data_source(settings).features(clips, QUIET)
    whole = score_steps(checkpoint.build(), table.sequences(clips, checkpoint.classes))[0]
    stream = SequenceRecognizer.load(engine_run.path, device="cpu").stream()
    rows = data_source(settings).measure(clips).items["e7"].rows
    pushed = [
        stream.push(row, time).probabilities(checkpoint.classes)
        for row, time in zip(rows.values, rows.times, strict=True)
    ]
    np.testing.assert_allclose(np.stack(pushed), whole.numpy(), atol=1e-5)


@pytest.mark.drawn
def test_warnings_of_the_end_are_learnt_and_reported(engine_run):
    report, folder = evaluate(engine_run, QUIET)
    assert report.metrics.clips == 3
    document = json.loads((folder / "report.json").read_text())
    warnings = document["warnings"]
    assert (warnings["sequences"], warnings["positives"]) == (3, 2)
    assert warnings["f1"] == 1.0
    assert warnings["row_auroc"] > 0.95
    assert warnings["rows"] == 44 + 46 + 48
    assert "![precision and recall](warnings.png)" in (folder / "report.md").read_text()
    assert (folder / "warnings.png").is_file()
    said = score_line(report)
    assert "warnings of the end within " in said
    assert f"at the last rows F1 1.000; over every row F1 {warnings['row_f1']:.3f}, AUROC" in said


def test_cross_validation_answers_for_every_row_of_engines_it_left_out(engine_run):
    settings = engine_run.config(["training.epochs=2", "run.name=folds"])
    report, folder = cross_validate(settings, 2, 1, QUIET)
    training_rows = sum(30 + 2 * number for number in range(7))
    assert int(report.confusion().sum()) == training_rows
    assert json.loads((folder / "warnings.json").read_text())["sequences"] == 7


def test_the_scores_of_folds_whose_report_cannot_be_written_are_told(
    engine_run, monkeypatch, capsys
):
    def full(*_):
        raise ConfigError("no space left")

    monkeypatch.setattr("action_gru.evaluation.cross_validation.write_cv_report", full)
    settings = engine_run.config(["training.epochs=1", "run.name=full"])
    with pytest.raises(ConfigError, match="no space left"):
        cross_validate(settings, 2, 1, Reporter(quiet=True))
    assert re.search(r"top-1 [01]\.\d{3} of all folds", capsys.readouterr().err)


def test_a_run_of_measured_values_can_be_taken_up_again(machine_run, tmp_path):
    settings = machine_run.config([f"run.folder={tmp_path}", "training.epochs=12"])
    run = train(settings, QUIET)
    before = load_checkpoint(run.best).weights
    resumed = load_checkpoint(resume(run.path, QUIET).best).weights
    assert all(torch.equal(before[name], resumed[name]) for name in before)


def test_watch_warns_while_the_pipe_is_still_open(engine_run, monkeypatch):
    read_end, write_end = os.pipe()
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdin", os.fdopen(read_end))
    monkeypatch.setattr(sys, "stdout", out)
    done = []
    thread = threading.Thread(
        target=lambda: done.append(watch("-", engine_run.path, [], QUIET, as_json=True)),
        daemon=True,
    )
    thread.start()
    with os.fdopen(write_end, "w") as pipe:
        pipe.write("time,id,noise,wear\n")
        for cycle in range(20):  # two engines, interleaved: only one wears out
            pipe.write(f"{cycle},bad,0,{max(0, cycle - 9)}\n{cycle},good,0,0\n")
        pipe.write("20,bad,0,hot\n19,bad,0,11\n")
        pipe.flush()
        deadline = time.monotonic() + 60
        while "raised" not in out.getvalue() and time.monotonic() < deadline:
            time.sleep(0.02)
        event = json.loads(out.getvalue().splitlines()[0])
        assert thread.is_alive()
    thread.join(60)
    assert (event["event"], event["id"], event["class"]) == ("raised", "bad", "soon")
    assert 10 <= event["time"] <= 19
    summary = json.loads(out.getvalue().splitlines()[-1])["summary"]
    assert (summary["rows"], summary["bad_rows"], summary["ids"]) == (40, 2, 2)
    assert summary["raised"] == 1


def test_watch_forgets_the_least_recent_ids_and_counts_them(engine_run, tmp_path):
    lines = "".join(f"{t},id{n},,0\n" for t in range(2) for n in range(4))
    (tmp_path / "rows.csv").write_text("time,id,noise,wear\n" + lines)
    found = watch(str(tmp_path / "rows.csv"), engine_run.path, [], QUIET, max_ids=3)
    assert (found.rows, found.missing_values, found.forgotten_ids) == (8, 8, 5)


def test_watch_says_what_it_read_when_it_is_stopped(engine_run, monkeypatch, capsys):
    def stopped(*_):
        yield "line 2"
        raise KeyboardInterrupt

    monkeypatch.setattr("action_gru.series.long_table.arriving_rows", stopped)
    with Path(os.devnull).open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        found = watch("-", engine_run.path, [], QUIET, as_json=True)
    summary = json.loads(capsys.readouterr().out)["summary"]
    assert (summary["bad_rows"], summary["interrupted"]) == (1, found.interrupted) == (1, True)


def european(lines: str, encoding: str = "utf-8") -> bytes:
    return ("sep=;\n" + lines.replace(",", ";").replace(".", ",")).encode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_watch_reads_what_european_spreadsheets_write(engine_run, tmp_path, monkeypatch, encoding):
    lines = "time,id,noise,wear\n" + "".join(f"{t},bad,0.5,{max(0, t - 9)}.5\n" for t in range(20))
    (tmp_path / "plain.csv").write_text(lines)
    (tmp_path / "rows.csv").write_bytes(european(lines, encoding))
    plain = watch(str(tmp_path / "plain.csv"), engine_run.path, [], QUIET)
    assert (plain.rows, plain.bad_rows, plain.raised) == (20, 0, 1)
    assert watch(str(tmp_path / "rows.csv"), engine_run.path, [], QUIET) == plain
    with (tmp_path / "rows.csv").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert watch("-", engine_run.path, [], QUIET) == plain


def test_a_letter_that_is_none_costs_watch_its_row_only(engine_run, tmp_path, monkeypatch):
    rows = b"time,id,noise,wear\n0,a,0,0\n1,a,\xe9,0\n2,a,0,0\n"
    (tmp_path / "rows.csv").write_bytes(rows)
    with (tmp_path / "rows.csv").open(encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        found = watch("-", engine_run.path, [], QUIET)
    assert (found.rows, found.bad_rows) == (2, 1)


def test_each_kind_of_input_of_the_other_names_the_command_that_reads_it(machine_run, tmp_path):
    video, table = write_square(tmp_path / "a.mp4"), tmp_path / "rows.csv"
    table.write_text(machines())
    for command, source, code, text in (
        ("watch", video, 3, f"{video} is a video, and {machine_run.path} reads measured rows"),
        ("timeline", video, 7, "reads measured channels, no video: give it rows with 'action-gru "),
        ("explain", table, 4, f"{table} is a table, and a video is needed: name one of the vid"),
    ):
        alarm = ["--alarm", "warming"] if command == "watch" else []
        done = action_gru(command, source, "-m", machine_run.path, *alarm, code=code)
        assert text in done.err
    assert "measured rows are read by 'action-gru watch'" in done.err


def test_watch_of_a_model_without_a_horizon_asks_what_to_warn_of(machine_run, tmp_path):
    with pytest.raises(ConfigError, match="--alarm names the class to warn of, one of steady"):
        watch("-", machine_run.path, [], QUIET)


def test_a_stream_of_windows_answers_as_the_whole_sequence_since_its_oldest_state(tmp_path):
    settings = table_config(
        tmp_path, "cut", machines(), series={"window": 4.0}, training={"epochs": 2}
    )
    recognizer = SequenceRecognizer.load(train(settings, QUIET).path)
    rows = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    stream = recognizer.stream()
    for now, row in enumerate(rows):
        answer = stream.push(row, now / 2)
        begun = max(0, now - 7)  # eight states a window of 4: one begins with each row
        assert answer.score == pytest.approx(recognizer.classify(rows[begun : now + 1]).score, 1e-4)


def test_windows_cover_a_sequence_and_its_end():
    assert window_bounds(np.arange(10.0), 4, 4) == [(0, 4), (4, 8), (6, 10)]
    assert window_bounds(np.arange(3.0), 4, 2) == [(0, 4)]
    gap = np.array([0.0, 1.0, 20.0, 21.0])
    assert window_bounds(gap, 2, 2)[:2] == [(0, 2), (20, 22)]


def test_windows_of_an_id_stay_on_its_side_and_their_rows_are_right(tmp_path):
    settings = table_config(tmp_path, "cut", machines(), series={"window": 4.0, "stride": 2.0})
    clips = data_source(settings).clips()
    first = [clip for clip in clips if clip.relative == "m0"]
    assert [clip.name for clip in first] == ["m0[0:4]", "m0[2:6]", "m0[4:8]"]
    assert {clip.group for clip in first} == {"m0"}
    assert data_source(settings).measure(first).items["m0[2:6]"].rows.times.tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("change", "series", "message"),
    [
        (
            ("m3,2,", "m3,2,"),
            {"label": "state", "channels": ("heat",)},
            "id 'm0' has no label; name the column",
        ),
        ((",steady,", ",warming,"), {}, "the data has one class only ('warming')"),
        (("m1,1,", "m0,99,"), {}, "id 'm0' has several labels"),
        ((",train", ",other"), {}, "split is train, val, test or empty, got 'other'"),
        (("m3,2,", "m3,2,"), {"horizon": 5.0}, "no column 'remaining' (series.remaining)"),
    ],
)
def test_a_table_that_cannot_be_used_is_told_why(tmp_path, change, series, message):
    settings = table_config(tmp_path, "bad", machines().replace(*change), series=series)
    with pytest.raises(DataError) as caught:
        class_list(data_source(settings).clips(), settings.classes)
    assert message in str(caught.value)


def test_what_cannot_answer_row_by_row_is_refused_with_its_key():
    tree = {"data": {"kind": "table"}, "series": {"horizon": 5}, "model": {"closed_form": True}}
    with pytest.raises(ConfigError, match=r"model.closed_form: does not go with a class for each"):
        build_config(tree)


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ({"elapsed": True, "window": 5}, "elapsed counts from an id's first row: it does not go"),
        ({"averages": [20, 5]}, "averages names numbers of rows, the shortest first, each once"),
        ({"velocity": [3, 1]}, "velocity names numbers of rows, the shortest first, each once"),
        ({"origin": "hip"}, "origin and unit name points: set points to 2 or 3"),
        ({"points": 2, "unit": ["hip", "hip"]}, "unit names two points that differ, got hip twice"),
        ({"averages": [5, 5]}, "averages names numbers of rows, the shortest first, each once"),
    ],
)
def test_keys_of_a_series_that_contradict_each_other_are_refused(series, message):
    with pytest.raises(ConfigError, match=message):
        build_config({"data": {"kind": "table"}, "series": series})


def write_arrays(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = ["path,label,group"]
    for number in range(8):
        label = "rise" if number % 2 else "fall"
        slope = np.linspace(0, 1 if number % 2 else -1, 6 + number)[:, None]
        np.save(folder / f"{number}.npy", slope + 0.05 * rng.normal(size=(6 + number, 4)))
        rows.append(f"{number}.npy,{label},g{number // 2}")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    return folder / "clips.csv"


def arrays_config(folder: Path, **data):
    tree = {
        "run": {"folder": str(folder / "runs")},
        "data": {"kind": "arrays", "manifest": str(write_arrays(folder)), **data},
        "series": {"points": 2, "velocity": True},
        **SMALL,
    }
    return build_config(tree)


def test_arrays_train_by_manifest_and_a_bad_one_is_quarantined(tmp_path):
    settings = arrays_config(tmp_path, max_bad_share=0.2, test_share=0.25)
    np.save(tmp_path / "3.npy", np.zeros((5, 3)))
    run = train(settings, QUIET)
    assert "has 3 values a row, the first array 4" in (run.path / "quarantine.csv").read_text()
    assert evaluate(run, QUIET)[0].metrics.clips == 2


def test_a_report_counts_what_its_data_is_timed_in(tmp_path, machine_run):
    """Arrays have no time but their rows; the table of the machines has a column."""
    run = train(arrays_config(tmp_path, test_share=0.25), QUIET)
    found, folder = evaluate(run, QUIET)
    assert found.anytime.unit == "rows"
    longest = max(int(clip.path[0]) + 6 for clip in found.predictions)
    counts = [point.at for point in found.anytime.by_second]
    assert counts == list(range(1, longest))  # nearly all clips are over
    text = (folder / "report.md").read_text()
    text = text[text.index("## When could") : text.index("![anytime]")]
    assert not re.search(r"\d s\b|second", text)
    assert evaluate(machine_run, QUIET)[0].anytime.unit == "time"


def test_array_windows_are_rows(tmp_path):
    settings = arrays_config(tmp_path)
    settings = settings.model_copy(
        update={"series": settings.series.model_copy(update={"window": 4.0})}
    )
    names = [clip.name for clip in data_source(settings).clips() if clip.relative == "0.npy"]
    assert names == ["0.npy[0:4]", "0.npy[2:6]"]


def test_a_video_recognizer_refuses_a_model_of_channels(machine_run):
    with pytest.raises(CheckpointError, match="'action-gru watch' or SequenceRecognizer"):
        ActionRecognizer.load(machine_run.path)


def test_other_channels_do_not_fit_a_trained_model(machine_run, tmp_path):
    (tmp_path / "other.csv").write_text(machines().replace("hum", "buzz"))
    with pytest.raises(CheckpointError, match=r"channels: heat, hum \(2\) against heat, buzz"):
        evaluate(machine_run, QUIET, manifest=tmp_path / "other.csv")


def test_a_folder_of_the_archive_is_read_by_its_official_split(tmp_path):
    head = "@dimensions 1\n@classLabel true a b\n@data\n"
    for name, cases in {
        "X_TRAIN": "1,2:a\n3:b\n",
        "X_TEST": "5,6:a\n",
        "X_eq_TRAIN": "9:a\n",
    }.items():
        (tmp_path / f"{name}.ts").write_text(head + cases)
    settings = build_config({"data": {"kind": "table", "manifest": str(tmp_path)}})
    clips = data_source(settings).clips()
    assert [(clip.name, clip.split) for clip in clips] == [
        ("X_TRAIN#1", "train"), ("X_TRAIN#2", "train"), ("X_TEST#1", "test"),
    ]  # fmt: skip
    assert isinstance(clips[0], Clip)


TS_HEAD = "@univariate true\n@timeStamps false\n"


@pytest.mark.parametrize(
    ("header", "cases", "message"),
    [
        ("@targetlabel true\n", "1,2,3:0.1\n", "numbers to predict (regression) are not supported"),
        ("@TargetLabel True\n", "1,2,3:0.1\n", "numbers to predict (regression) are not supported"),
        ("@targetlabel false\n", "1,2,3\n", "has no label; the header needs '@classLabel true'"),
        ("@classLabel false\n", "1,2,3\n", "has no label; the header needs '@classLabel true'"),
        ("", "1,2,3\n", "has no label; the header needs '@classLabel true'"),
        ("", "1,2,3:up\n", "where the class stands last, the header needs '@classLabel true'"),
    ],
)
@pytest.mark.parametrize("names", [["X_TRAIN.ts", "X_TEST.ts"], ["x_train.TS"]])
def test_a_ts_file_without_classes_is_told_so(tmp_path, names, header, cases, message):
    for name in names:
        (tmp_path / name).write_text(f"{TS_HEAD}{header}@data\n{cases}")
    for manifest in (tmp_path, tmp_path / names[0]):
        settings = build_config({"data": {"kind": "table", "manifest": str(manifest)}})
        with pytest.raises(DataError) as caught:
            data_source(settings).clips()
        assert message in str(caught.value)


@pytest.fixture(scope="session")
def cases(shared_data) -> Path:
    return shared_data.parent / "cases"


def case_clips(path: Path):
    settings = build_config({"data": {"kind": "table", "manifest": str(path)}})
    clips = data_source(settings).clips()
    return data_source(settings).measure(clips), clips


def test_a_ts_file_with_dates_is_read(cases):
    found, clips = case_clips(cases / "F09" / "S_TRAIN.ts")
    assert [(clip.label, clip.split) for clip in clips] == [("up", "train"), ("down", "train")] * 2
    assert found.unit == "s"
    rows = found.items["S_TRAIN#1"].rows
    assert (rows.times - rows.times[0]).tolist() == [0, 60, 120]
    assert rows.values.tolist() == [[1], [2], [3]]


def test_a_ts_file_of_numbers_to_predict_is_refused(cases):
    with pytest.raises(DataError, match=r"line 4: @targetlabel: numbers to predict \(regression\)"):
        case_clips(cases / "F10" / "R_TRAIN.ts")


@pytest.mark.parametrize("suffix", [".csv", ".CSV", ".tsv", ".txt"])
def test_a_table_of_a_european_spreadsheet_is_read(cases, tmp_path, suffix):
    table = tmp_path / f"excel{suffix}"
    table.write_bytes((cases / "F12" / "excel.csv").read_bytes())
    found, _ = case_clips(table)
    np.testing.assert_array_equal(found.items["p1"].rows.values, np.float32([[61.2], [61.9]]))
    np.testing.assert_array_equal(found.items["p2"].rows.values, np.float32([[58.0], [58.1]]))


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("csv.csv", "seq0.csv: text, not .npy; save one .npy a sequence"),
        ("frames.csv", "frame0.npy: got (6,) float64: one frame; stack the frames of a sequence"),
    ],
)
def test_files_that_are_no_arrays_of_sequences_are_told_so(cases, manifest, message):
    path = cases / "F19" / manifest
    settings = build_config({"data": {"kind": "arrays", "manifest": str(path)}})
    found = data_source(settings).measure(data_source(settings).clips())
    assert not found.items
    assert message in next(iter(found.quarantined.values()))


def test_arrays_whose_second_axis_is_time_are_told_to_be_turned(tmp_path):
    for number, length in enumerate((9, 7)):
        np.save(tmp_path / f"{number}.npy", np.ones((4, length)))
    (tmp_path / "clips.csv").write_text("path,label\n0.npy,a\n1.npy,b\n")
    settings = build_config({"data": {"kind": "arrays", "manifest": str(tmp_path / "clips.csv")}})
    found = data_source(settings).measure(data_source(settings).clips())
    assert "has 7 values a row, the first array 9; save array.T" in found.quarantined["1.npy"]


def test_bounds_of_an_array_without_a_row_cost_that_clip_only(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((4, 2)))
    rows = "a.npy,x,0.5,0.75\na.npy,y,1,3\na.npy,y,9,12\n"
    (tmp_path / "clips.csv").write_text(f"path,label,start_s,end_s\n{rows}")
    settings = build_config({"data": {"kind": "arrays", "manifest": str(tmp_path / "clips.csv")}})
    found = data_source(settings).measure(data_source(settings).clips())
    assert list(found.items) == ["a.npy[1:3]"]
    none, late = found.quarantined.values()
    assert "has no row from 0.5 up to 0.75" in none
    assert "has 4 rows, the clip starts at row 9" in late


def test_a_table_of_another_format_is_told_to_be_saved_as_csv(tmp_path):
    (tmp_path / "a.xlsx").touch()
    with pytest.raises(DataError, match=r"got '\.xlsx': save it as CSV"):
        case_clips(tmp_path / "a.xlsx")


def test_a_small_set_gets_epochs_until_it_has_its_steps(tmp_path):
    settings = table_config(
        tmp_path, "steps", machines(), training={"epochs": 2, "batch_size": 4, "min_steps": 9}
    )
    log = train(settings, QUIET).log.read_text().splitlines()
    assert len(log) == 5  # 8 sequences make two steps an epoch: 9 steps are 5 epochs


def test_rare_classes_weigh_by_rows_where_each_row_has_one(engine_run):
    settings = engine_run.config()
    clips = [clip for clip in data_source(settings).clips() if clip.split == "train"]
    table = data_source(settings).features(clips, QUIET)
    sequences = table.sequences(clips, ("later", "soon"))
    rows = sum(30 + 2 * number for number in range(7))
    assert sequences.step_labels.bincount().tolist() == [rows - 42, 42]  # 6 rows an engine: 5 to 0
    balance = settings.training.model_copy(update={"class_balance": "weights"})
    model = ActionClassifier((sequences.dim,), 2, normalisation="channel")
    trainer = Trainer(model, sequences, None, balance, 64, 0)
    expected = [rows / (2 * (rows - 42)), rows / (2 * 42)]
    assert trainer.class_weights.tolist() == pytest.approx(expected)


def test_the_published_files_are_read_whole(shared_data, tmp_path):
    lengths = {}
    for name in ("JapaneseVowels", "BasicMotions"):
        folder = str(shared_data / "sensors" / name)
        settings = build_config({"data": {"kind": "table", "manifest": folder}})
        clips = data_source(settings).clips()
        items = data_source(settings).measure(clips).items.values()
        lengths[name] = {len(item.rows.times) for item in items}
        splits = [sum(clip.split == side for clip in clips) for side in ("train", "test")]
        assert splits == {"JapaneseVowels": [270, 370], "BasicMotions": [40, 40]}[name]
    assert (min(lengths["JapaneseVowels"]), max(lengths["JapaneseVowels"])) == (7, 29)
    assert lengths["BasicMotions"] == {100}
    source = shared_data / "sensors" / "cmapss"
    counts = prepare("cmapss", source, tmp_path / "FD001.csv").splits
    assert counts == {"train": 100, "test": 100}
    assert len((tmp_path / "FD001.csv").read_text().splitlines()) == 1 + 20631 + 13096


def test_a_table_may_name_several_labels_a_sequence(tmp_path):
    rows = ["id,time,x,label"]
    for name, label in (("a", "hot; loud"), ("b", "hot"), ("c", "")):
        rows += [f"{name},{time},{time},{label}" for time in range(4)]
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    data = {"kind": "table", "manifest": str(tmp_path / "rows.csv"), "labels": "many"}
    source = data_source(build_config({"data": data, "series": {"window": 2.0}}))
    clips = source.clips()
    assert [clip.labels for clip in clips] == [("hot", "loud")] * 2 + [("hot",)] * 2 + [()] * 2
    table = source.features(clips, QUIET)
    targets = table.sequences(clips, class_list(clips)).labels
    assert targets.tolist() == [[1, 1]] * 2 + [[1, 0]] * 2 + [[0, 0]] * 2


@pytest.mark.drawn
@pytest.mark.parametrize("ahead", [0, 2])
def test_each_row_of_a_table_is_reported_as_a_frame(tmp_path, ahead, capsys):
    rows, rng = ["id,time,value,label,split"], np.random.default_rng(0)
    for number in range(6):
        turns = np.repeat(np.arange(9) % 2, rng.integers(3, 9, 9))  # runs of no one length
        for step in range(24):
            label = "high" if turns[step] else "low"
            split = "test" if number > 3 else "train"
            value = (label == "high") + 0.01 * number
            rows.append(f"r{number},{step},{value},{label},{split}")
    sections = {"data": {"task": "frames"}, "series": {"step_labels": True}}
    sections |= {"model": {"lookahead": ahead}, "training": {"min_steps": 60 * ahead}}
    config = table_config(tmp_path, "steps", "\n".join(rows) + "\n", **sections)
    run = train(config, Reporter(quiet=True))
    report, folder = evaluate(run, Reporter(quiet=True))
    assert report.accuracy == 1.0
    assert report.sentence.startswith("Right at 100.0% of 48 labelled instants of 2 new recordings")
    assert report.segments.f1[0.5] > 0.9
    assert "## Long recordings" in (folder / "report.md").read_text()
    recognizer = SequenceRecognizer.load(run.path, device="cpu")
    stream = recognizer.stream()
    for step in range(24):
        answer = stream.push([float(step // 6 % 2)], step)
        assert (answer.time_s, answer.centre_s) == (step, max(0, step - ahead))
        assert step < ahead or answer.label == ("high" if (step - ahead) // 6 % 2 else "low")
    assert [answer.centre_s for answer in stream.finish()] == list(range(24 - ahead, 24))
    # The last two rows alone are high: one of them is answered when no row follows.
    lines = "".join(f"{step},r,{float(step in (9, 22, 23))}\n" for step in range(24))
    (tmp_path / "arrive.csv").write_text(f"time,id,value\n{lines}")
    found = watch(str(tmp_path / "arrive.csv"), run.path, [], QUIET, alarm="high", as_json=True)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [(event["event"], event["time"]) for event in events[:-1]]
    # An alarm a row, at the row that it is about; none of what a row says before its answer is due.
    views = recognizer.stream()
    answers = [views.push([float(step in (9, 22, 23))], step) for step in range(24)][ahead:]
    alarm, wanted = Alarm(0.5), []
    for answer in [*answers, *views.finish()]:
        if change := alarm.push(answer.probabilities(["high"])[0]):
            wanted.append((change, answer.centre_s))
    assert told == wanted
    assert told[-1][1] >= 22
    assert (found.rows, found.interrupted) == (24, False)
    _, folder = cross_validate(run.config(["run.name=folds"]), 2, 1, QUIET)
    document = json.loads((folder / "report.json").read_text())
    events, text = document["events"], (folder / "report.md").read_text()
    assert events["f1_50"]["mean"] > 0.9
    assert (events["found"]["mean"], events["false_events_an_hour"]["mean"]) == (1.0, 0.0)
    assert "| segments found | 100.0% |" in text
    assert ": 4 recordings, 2 folds, 1 seed" in text
    assert "96 rows, 2 classes" in text
    f1 = [row["f1"] for row in document["per_class"]]
    assert document["macro_f1_mean"] == pytest.approx(sum(f1) / 2)


def test_frames_of_a_table_ask_for_a_label_a_row(tmp_path):
    with pytest.raises(ConfigError, match=r"asks for series\.step_labels=true"):
        build_config({"data": {"kind": "table", "task": "frames"}})
