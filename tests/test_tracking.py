import json
import sqlite3
import time
from pathlib import Path
from typing import ClassVar

import pytest
from accelerate import PartialState
from helpers.videos import FakeBackbone, write_square

from action_gru.config import Config, build_config
from action_gru.core.errors import MissingExtraError
from action_gru.core.progress import Reporter
from action_gru.evaluation.cross_validation import cross_validate
from action_gru.features import source as features_module
from action_gru.training import RunFolder, resume, tracking, train
from action_gru.training.tracking import Tracking, track_result

QUIET = Reporter(quiet=True)
HISTORY = [{"epoch": float(n), "loss": 1 / n, "accuracy": 1 - 1 / n} for n in range(1, 6)]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """MLflow's own store is made where the program is started, and wandb stays on this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    PartialState(cpu=True)


def settings(kind: str) -> Config:
    return build_config({"training": {"track": kind, "epochs": 5}})


def folder(name: str = "mine") -> Path:
    place = Path("runs", name)
    place.mkdir(parents=True, exist_ok=True)
    return place


class Warned(Reporter):
    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.said: list[str] = []

    def warn(self, text: str, /, **fields: object) -> None:
        self.said.append(text)


class Server:
    """A tracker of a test, whose server may be down."""

    is_up = True
    rows: ClassVar[list[tuple[int, float]]] = []
    begun = 0

    def __init__(self, name, folder, known):
        Server.begun += 1
        if not Server.is_up:
            raise ConnectionError("no route to host\nand more")
        self.id, self.tracker = "one", self

    def settings(self, values):
        assert values["training.epochs"] == 5

    def files(self, paths):
        assert all(path.is_file() for path in paths)

    def log(self, figures, step):
        if not Server.is_up:
            raise ConnectionError("broken pipe")
        Server.rows.append((step, figures.get("loss", -1)))

    def finish(self):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setitem(tracking.KINDS, "mlflow", Server)
    Server.is_up, Server.rows, Server.begun = True, [], 0
    return Server


def events(place: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(place / "tensorboard"))
    board.Reload()
    return board


def rows(query: str) -> list[tuple]:
    store = sqlite3.connect("mlflow.db")
    try:
        return store.execute(query).fetchall()
    finally:
        store.close()


def test_a_tracker_without_its_package_is_refused_before_any_work(monkeypatch):
    config = build_config({"training": {"track": "mlflow"}, "run": {"folder": "runs"}})
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"track=mlflow.*'action-gru\[mlflow\]'"):
        train(config, QUIET)
    assert not Path("runs").exists()


def test_a_server_that_goes_down_is_said_once_and_gets_the_rest_at_the_end(server):
    told, place = Warned(), folder()
    track = Tracking(settings("mlflow"), place, told)
    track.epochs(HISTORY[:2])
    server.is_up = False
    track.epochs(HISTORY[:3])
    track.epochs(HISTORY[:4])
    track.close()
    assert len(told.said) == 1
    assert "training.track=mlflow" in told.said[0]
    assert "(broken pipe)" in told.said[0]
    assert "goes on" in told.said[0]
    server.is_up = True
    again = Tracking(settings("mlflow"), place, told)
    again.epochs(HISTORY)
    again.result({"top1": 0.5, "sentence": "no figure"}, [place / "no such file"], 5)
    assert [step for step, _ in server.rows] == [1, 2, 3, 4, 5, 5]
    assert len(told.said) == 1


def test_a_server_that_is_down_from_the_start_is_asked_once(server):
    server.is_up, told = False, Warned()
    track = Tracking(settings("mlflow"), folder(), told)
    for count in range(1, 6):
        track.epochs(HISTORY[:count])
    track.close()
    assert server.begun == 1
    assert len(told.said) == 1
    assert "(no route to host)" in told.said[0]


def test_tensorboard_shows_curves_settings_and_the_report():
    place = folder()
    (place / "report.md").write_text("# The report")
    track = Tracking(settings("tensorboard"), place, QUIET)
    track.epochs(HISTORY)
    track.result({"top1": 0.75}, [place / "report.md"], 5)
    track.close()
    assert len(list((place / "tensorboard").iterdir())) == 1
    board = events(place)
    assert [event.step for event in board.Scalars("loss")] == [1, 2, 3, 4, 5]
    assert [(event.step, event.value) for event in board.Scalars("test/top1")] == [(5, 0.75)]
    assert "_hparams_/session_start_info" in board.summary_metadata
    text = board.Tensors("report/text_summary")[0].tensor_proto.string_val[0]
    assert text == b"# The report"


def test_nobody_is_told_where_nobody_is_to_be_told():
    track = Tracking(settings("none"), folder(), QUIET)
    track.epochs(HISTORY)
    track.result({"top1": 1.0}, [])
    track.close()
    assert not list(folder().iterdir())


@pytest.mark.slow
def test_mlflow_keeps_one_run_in_a_local_store_across_a_resume():
    pytest.importorskip("mlflow")
    place = folder()
    first = Tracking(settings("mlflow"), place, QUIET)
    first.epochs(HISTORY[:3])
    first.close()
    second = Tracking(build_config({"training": {"track": "mlflow", "epochs": 9}}), place, QUIET)
    second.epochs(HISTORY)
    (place / "report.md").write_text("# The report")
    second.result({"top1": 0.75}, [place / "report.md"], 5)
    second.close()
    assert rows("select name, status from runs") == [("mine", "FINISHED")]
    assert rows("select name from experiments where name != 'Default'") == [("action-gru",)]
    found = rows("select step, value from metrics where key = 'loss' order by step")
    assert found == [(n, pytest.approx(1 / n)) for n in range(1, 6)]
    assert rows("select value from metrics where key = 'test/top1'") == [(0.75,)]
    assert rows("select value from params where key = 'training.epochs'") == [("5",)]
    assert len(list(Path("mlruns").rglob("report.md"))) == 1


@pytest.mark.slow
def test_wandb_offline_keeps_everything_in_the_runs_folder():
    pytest.importorskip("wandb")
    place = folder()
    (place / "report.md").write_text("# The report")
    track = Tracking(settings("wandb"), place, told := Warned())
    track.epochs(HISTORY)
    track.result({"top1": 0.75}, [place / "report.md"], 5)
    track.close()
    assert told.said == []
    (kept,) = place.glob("wandb/offline-run-*")
    (log,) = kept.glob("*.wandb")
    until = time.monotonic() + 60  # wandb's own process writes it
    while b"test/top1" not in log.read_bytes() and time.monotonic() < until:
        time.sleep(0.1)
    assert b"test/top1" in log.read_bytes()
    assert (kept / "files" / "report.md").exists()
    assert json.loads((place / "tracking.json").read_text())["wandb"]["id"] in kept.name
    assert [path.name for path in Path().iterdir()] == ["runs"]


@pytest.fixture
def config(tmp_path: Path, monkeypatch) -> Config:
    """Two classes of tiny videos from six groups; weights stand in."""
    monkeypatch.setattr(features_module, "build_backbone", lambda config: FakeBackbone())
    rows = ["path,label,group,split"]
    for index in range(12):
        label = "bright" if index % 2 else "dark"
        write_square(tmp_path / f"{index}.mp4", 8, seed=index + 100 * (index % 2))
        rows.append(f"{index}.mp4,{label},g{index % 6},{'test' if index % 6 < 2 else 'train'}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    training = {"epochs": 3, "batch_size": 6, "device": "cpu", "track": "mlflow"}
    return build_config({
        "run": {"name": "toy", "folder": "runs"},
        "data": {"manifest": "manifest.csv"},
        "features": {"weights": "builtin", "cache_dir": "cache"},
        "model": {"projection_size": 6, "hidden_size": 6},
        "training": training | {"mean_pooled_baseline": False},
    })  # fmt: skip


@pytest.mark.slow
def test_a_training_that_was_cut_is_one_run_of_mlflow_and_cv_another(config, monkeypatch):
    pytest.importorskip("mlflow")
    keep = RunFolder.write_log

    def cut(run, history):
        keep(run, history)
        if len(history) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "write_log", cut)
    with pytest.raises(KeyboardInterrupt):
        train(config, QUIET)
    monkeypatch.setattr(RunFolder, "write_log", keep)
    run = resume(Path("runs/toy"), QUIET)
    track_result(run, {"top1": 0.5}, [], QUIET)
    cross_validate(config, 2, 1, QUIET)
    assert rows("select name, status from runs order by start_time") == [
        ("toy", "FINISHED"), ("toy-cv", "FINISHED"),
    ]  # fmt: skip
    assert rows("select step from metrics where key = 'loss' order by step") == [(1,), (2,), (3,)]
    assert rows("select count(*) from metrics where key = 'test/top1_mean'") == [(1,)]
    assert len(list(Path("mlruns").rglob("best.safetensors"))) == 1
    assert not (run.path / "tensorboard").exists()
