"""Every command over every view, cell, pooling and kind of data: a covering set of runs.

The values come from the config's schema: a new view, cell or pooling joins by itself, and a new
kind of data or command fails here until it has a place. Knows the command line, the config and
files on disk, and nothing below them.
"""

import json
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from golden.renew import surface, write_engines
from helpers.command_line import action_gru
from helpers.untrained_networks import write_detector, write_pose_network
from helpers.videos import write_square

pytestmark = pytest.mark.usefixtures("blank_figures")

TINY = {
    "model": {"projection_size": 8, "hidden_size": 8},
    "sampling": {"fps": 5.0, "max_frames": 8},
    "training": {"epochs": 1, "batch_size": 4, "device": "cpu", "mean_pooled_baseline": False},
    "calibration": {"how": "none"},
    "evaluation": {"details": False},
}
LABELS = ("dark", "bright")
LONG_S = 4.0


def schema() -> dict:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "schema.json"
        action_gru("config", "--schema", path)
        return json.loads(path.read_text())


SCHEMA = schema()


def choices(section: str, key: str) -> list[str]:
    """The words that a key of the config allows, in its order."""
    found = SCHEMA["$defs"][f"{section}Section"]["properties"][key]
    return list(found.get("items", found)["enum"])


VIEWS, KINDS = choices("Features", "views"), choices("Data", "kind")
CELLS, POOLINGS = choices("Model", "cell"), choices("Model", "pooling")
NETWORKS = {
    "detections": ("detection", write_detector),
    "pose": ("pose", write_pose_network),
}
PICTURES = [view for view in VIEWS if view not in NETWORKS]

# One run a view; the cells and the poolings take turns, so that each meets pictures.
MODELS = {
    view: (CELLS[number % len(CELLS)], POOLINGS[number % len(POOLINGS)])
    for number, view in enumerate([*PICTURES, *NETWORKS])
}

NO_VIDEO = "the model reads measured channels, no video"
NO_ROWS = "the model was trained on video, not on measured channels"
NO_EXPORT = "export writes models of pictures and of measured channels"
NOT_LIVE = "the model is bidirectional: it needs the end of a clip and cannot run live"

NO_STEP = "a model that reads the clip backwards has no one-step form and cannot be exported"


class Run:
    """A trained run with what it was trained on, and files to ask it about."""

    def __init__(self, place: Path, path: str, classes: list[str], tree: dict) -> None:
        self.place, self.path, self.classes, self.tree = place, Path(path), classes, tree
        self.clip, self.long = place / "5.mp4", place / "long.mp4"


def train(place: Path, tree: dict, **sections: dict) -> Run:
    """By the command, with `sections` laid over the tiny settings."""
    tree = {"run": {"folder": str(place / "runs")}} | tree
    for name in {**TINY, **sections}:
        tree[name] = TINY.get(name, {}) | tree.get(name, {}) | sections.get(name, {})
    (place / "config.yaml").write_text(json.dumps(tree))
    done = action_gru("train", place / "config.yaml", "--json", "-q").answer
    report = json.loads((Path(done["evaluation"]) / "report.json").read_text())
    assert report["clips"] == done["clips"] > 0
    assert report["confusion_matrix"] != []
    return Run(place, done["run"], report["classes"], tree)


def write_clips(place: Path, count: int = 6) -> Path:
    """Dark and bright squares, the last two to test on; and a long video."""
    rows = ["path,label,split,timeline"]
    for number in range(count):
        write_square(place / f"{number}.mp4", 12, seed=number + 100 * (number % 2))
        split = "train" if number < count - 2 else "test"
        rows.append(f"{number}.mp4,{LABELS[number % 2]},{split},")
    write_square(place / "long.mp4", int(10 * LONG_S), seed=7)
    manifest = place / "manifest.csv"
    manifest.write_text("\n".join(rows) + "\n")
    return manifest


def write_long_videos(place: Path) -> Path:
    """The same, with the long video to test on."""
    manifest = write_clips(place)
    (place / "long.csv").write_text(f"start_s,end_s,label\n0,{LONG_S:g},dark\n")
    manifest.write_text(manifest.read_text() + "long.mp4,,test,long.csv\n")
    return manifest


def write_table(place: Path) -> Path:
    """Six engines that wear out."""
    write_engines(place / "manifest.csv")
    return place / "manifest.csv"


def write_arrays(place: Path) -> Path:
    """Four columns that rise or fall, with noise."""
    rng = np.random.default_rng(0)
    rows = ["path,label,split"]
    for number in range(8):
        slope = np.linspace(0, 1 if number % 2 else -1, 6 + number)[:, None]
        np.save(place / f"{number}.npy", slope + 0.05 * rng.normal(size=(6 + number, 4)))
        rows.append(f"{number}.npy,{LABELS[number % 2]},{'train' if number < 6 else 'test'}")
    (place / "manifest.csv").write_text("\n".join(rows) + "\n")
    return place / "manifest.csv"


DATA = {"video": write_clips, "table": write_table, "arrays": write_arrays}
SERIES = {"table": {"horizon": 5.0}, "arrays": {}}
CHANNELS = {"table": ("noise", "wear"), "arrays": [f"column_{n}" for n in range(4)]}


def write_rows(place: Path, channels: Iterable[str]) -> None:
    """rows.csv: two rows each of two ids, for watch."""
    values = ",".join("0.5" for _ in channels)
    rows = [f"{name},{time},{values}" for name in "ab" for time in (0, 1)]
    (place / "rows.csv").write_text("\n".join([f"id,time,{','.join(channels)}", *rows]))


def train_on_clips(place: Path, view: str, cell: str, pooling: str, **model) -> Run:
    """A run of one view, its network drawn where it needs one."""
    features = {"views": [view], "weights": "builtin", "image_size": 64, "device": "cpu"}
    tree = {
        "data": {"manifest": str(model.pop("manifest", None) or write_clips(place))},
        "features": features | {"cache_dir": str(place / "cache"), "precision": "fp32"},
    }
    if view in NETWORKS:
        section, write = NETWORKS[view]
        tree[section] = {"weights": str(write(place / "network.pt")), "min_score": 1e-6}
    return train(place, tree, model={"cell": cell, "pooling": pooling} | model)


def train_on_rows(place: Path, kind: str, cell: str, pooling: str, **model) -> Run:
    """A run of measured rows."""
    tree = {"data": {"kind": kind, "manifest": str(DATA[kind](place))}, "series": SERIES[kind]}
    return train(place, tree, model={"cell": cell, "pooling": pooling} | model)


def refused(sentence: str, *arguments: object, code: int = 7) -> None:
    """The command ends with that sentence and prints no answer."""
    done = action_gru(*arguments, code=code)
    assert sentence in done.err
    assert done.out == ""


def evaluate(run: Run) -> dict:
    """The report of the test split."""
    done = action_gru("evaluate", run.path, "--out", run.place / "report", "--json", "-q").answer
    report = json.loads((Path(done["folder"]) / "report.json").read_text())
    assert report["clips"] == len(report["predictions"]) == done["clips"]
    assert report["classes"] == run.classes
    return report


def classify(run: Run, *options: object) -> dict[str, float]:
    """The scores of the last clip by label."""
    done = action_gru("classify", run.clip, "-m", run.path, "--json", "-q", *options).answer
    scores = {one["label"]: one["score"] for one in done["top"]}
    assert sorted(scores) == run.classes
    assert sum(scores.values()) == pytest.approx(1, abs=1e-4)
    assert done["label"] == max(scores, key=scores.get)
    return scores


def check_evaluate(run: Run) -> None:
    """A clip has one answer, in a report and by itself."""
    report, scores = evaluate(run), classify(run)
    (found,) = [clip for clip in report["predictions"] if clip["path"] == run.clip.name]
    assert found["predicted_label"] == max(scores, key=scores.get)
    assert found["score"] == pytest.approx(max(scores.values()), abs=1e-3)


def check_annotate(run: Run) -> None:
    """The video keeps its frames, and the answer is the same."""
    target = run.place / "annotated.mp4"
    assert classify(run, "--annotate", target) == classify(run)
    with av.open(str(target)) as file:
        assert sum(1 for _ in file.decode(video=0)) == 12


def check_explain(run: Run) -> None:
    """It explains the answer of classify, with a picture."""
    target = run.place / "why"
    done = action_gru("explain", run.clip, "-m", run.path, "-o", target, "--json", "-q").answer
    assert done == json.loads((target / "explanation.json").read_text())
    assert (target / "explanation.png").stat().st_size > 5000
    model, scores = run.tree["model"], classify(run)
    assert done["label"] == max(scores, key=scores.get)
    (stream,) = done["streams"]
    assert done["cell"] == model["cell"]
    assert bool(stream["layers"]) == (model["cell"] != "none")
    assert (stream["attention"] is not None) == (model["pooling"] == "attention")
    is_picture = run.tree["features"]["views"][0] in PICTURES
    assert bool(done["places"]) == (is_picture and bool(done["most_important"]))
    assert done["probabilities"] == pytest.approx(scores, abs=1e-3)


def check_timeline(run: Run) -> None:
    """Events of known classes within the video, on stdout and in a file."""
    target = run.place / "timeline.json"
    done = action_gru("timeline", run.long, "-m", run.path, "-o", target, "--json", "-q").answer
    assert done["complete"]
    assert done["duration_s"] == pytest.approx(LONG_S, abs=0.3)
    assert len(json.loads(target.read_text())["events"]) == len(done["events"]) > 0
    for event in done["events"]:
        assert event["label"] in run.classes
        assert 0 <= event["start_s"] < event["end_s"] <= done["duration_s"]


def check_webcam(run: Run) -> None:
    """A file played as a stream: an answer for each sampled frame."""
    lines = action_gru(
        "webcam", "-m", run.path, "-s", run.long, "--no-window", "--no-pace", "--json", "-q"
    ).lines
    assert lines[-1]["summary"]["predictions"] == 20  # 4 s at 5 frames a second
    assert lines[-1]["summary"]["dropped"] == 0


def check_export(run: Run) -> None:
    """ONNX files, which the command itself has compared with the model."""
    target = run.place / "onnx"
    done = action_gru("export", "-m", run.path, "--out", target, "--json", "-q").answer
    assert sorted(path.name for path in target.iterdir()) == sorted(done["files"])
    assert "step.onnx" in done["files"]


def check_watch(run: Run) -> None:
    """Every row is read, and every id known."""
    lines = action_gru(
        "watch", run.place / "rows.csv", "-m", run.path, "--alarm", run.classes[0], "--json", "-q"
    ).lines
    summary = lines[-1]["summary"]
    assert (summary["rows"], summary["ids"], summary["bad_rows"]) == (4, 2, 0)
    assert {line["class"] for line in lines[:-1]} <= {run.classes[0]}


def words(command: str, run: Run) -> list[object]:
    """The command as it is typed of a run."""
    own: dict[str, list[object]] = {
        "classify": [run.clip, "-m", run.path],
        "annotate": [run.clip, "-m", run.path, "--annotate", run.place / "refused.mp4"],
        "explain": [run.clip, "-m", run.path],
        "timeline": [run.long, "-m", run.path],
        "webcam": ["-m", run.path, "-s", run.long, "--no-window", "--no-pace"],
        "export": ["-m", run.path, "--out", run.place / "refused"],
        "watch": [run.place / "rows.csv", "-m", run.path],
    }
    return ["classify" if command == "annotate" else command, *own[command], "--json", "-q"]


CHECKS = {
    "evaluate": check_evaluate,
    "classify": classify,
    "annotate": check_annotate,
    "explain": check_explain,
    "timeline": check_timeline,
    "webcam": check_webcam,
    "export": check_export,
    "watch": check_watch,
}
# Commands that train or read no run, or that serve: their own tests have them.
ELSEWHERE = {
    "cache", "cache pack", "cache prune", "cache stats", "cache verify", "check", "compare-cells",
    "config", "cv", "demo", "extract", "models", "plan", "prepare", "resume", "runs",
    "runs compare", "runs delete", "runs pack", "runs rename", "runs show", "serve", "studio",
    "tune", "web",
}  # fmt: skip

Case = tuple[str, str, str, str]  # kind of data, view, cell, pooling
CLIPS: list[Case] = [("video", view, *MODELS[view]) for view in VIEWS]
LONG: Case = ("long videos", PICTURES[-1], CELLS[0], POOLINGS[0])
ROWS: list[Case] = [
    (("table", "arrays")[(i + j) % 2], "", cell, pooling)
    for i, cell in enumerate(CELLS)
    for j, pooling in enumerate(POOLINGS)
]
CASES = [*CLIPS, LONG, *ROWS]
ONE_A_CELL = [("table", "", cell, POOLINGS[n % len(POOLINGS)]) for n, cell in enumerate(CELLS)]


def cases_of(command: str) -> list[Case]:
    """To export takes seconds, and test_export.py has every pair of a cell and a pooling."""
    pairs = {case[2:] for case in ONE_A_CELL}
    return [case for case in CASES if case not in ROWS or command != "export" or case[2:] in pairs]


def refusal(command: str, case: Case) -> str | None:
    """What a command says where it is not for such a run."""
    kind, view, _, _ = case
    if kind in SERIES:
        return None if command in ("evaluate", "export", "watch") else NO_VIDEO
    if command == "watch":
        return NO_ROWS
    return NO_EXPORT if command == "export" and view in NETWORKS else None


def check(command: str, case: Case, run: Run) -> None:
    """The command does its work of that run, or refuses with its sentence."""
    if sentence := refusal(command, case):
        refused(sentence, *words(command, run))
    elif command == "evaluate" and case[0] in SERIES:
        evaluate(run)
    else:
        CHECKS[command](run)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs by case, each trained when it is first asked for."""

    @cache
    def made(case: Case) -> Run:
        kind, view, cell, pooling = case
        place = tmp_path_factory.mktemp("matrix")
        if kind in SERIES:
            run = train_on_rows(place, kind, cell, pooling)
            write_rows(place, CHANNELS[kind])
            write_square(run.clip, 12)
            write_square(run.long, 20)
            return run
        manifest = write_long_videos(place) if kind == "long videos" else None
        return train_on_clips(place, view, cell, pooling, manifest=manifest)

    return made


def named(value: object) -> str:
    return "-".join(filter(None, value)) if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize("case", CLIPS, ids=named)
def test_a_run_of_each_view_answers_alike_for_a_split_and_a_clip(runs, case):
    check("evaluate", case, runs(case))


@pytest.mark.parametrize("case", ONE_A_CELL, ids=named)
def test_each_cell_reads_a_table_whole_and_row_by_row(runs, case):
    check("evaluate", case, runs(case))
    check("watch", case, runs(case))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "case"), [(command, case) for command in CHECKS for case in cases_of(command)],
    ids=named,
)  # fmt: skip
def test_a_command_reads_a_run_or_says_why_not(runs, command, case):
    check(command, case, runs(case))


@pytest.mark.slow
def test_a_long_video_is_scored_beside_the_clips(runs):
    timelines = evaluate(runs(LONG))["timelines"]
    assert timelines["videos"] == 1
    assert timelines["per_video"][0]["path"] == "long.mp4"


@pytest.mark.slow
def test_a_model_that_reads_backwards_is_not_live(tmp_path):
    run = train_on_clips(tmp_path, PICTURES[0], CELLS[0], POOLINGS[0], bidirectional=True)
    check_evaluate(run)
    check_annotate(run)
    check_explain(run)
    for command in ("timeline", "webcam"):
        refused(NOT_LIVE, *words(command, run))
    refused(NO_STEP, *words("export", run), code=2)


def test_every_value_of_the_config_meets_every_command():
    """A value is there where some run has it and the command does its work of that run."""
    axes = {1: VIEWS, 2: CELLS, 3: POOLINGS}
    for command in CHECKS:
        working = [case for case in cases_of(command) if refusal(command, case) is None]
        for axis, values in axes.items():
            met = {case[axis] for case in working}
            known = NETWORKS if (command, axis) == ("export", 1) else {}
            if (command, axis) != ("watch", 1):
                assert set(values) - met - set(known) == set(), command
        assert {case[0] for case in CASES} >= set(KINDS), "a kind of data is not in the matrix"
    for kind in KINDS:
        assert kind in DATA, f"data.kind {kind} has no data here: write some and add it to DATA"


def test_every_pair_of_a_cell_and_a_pooling_is_run():
    assert {case[2:] for case in CASES} == {(c, p) for c in CELLS for p in POOLINGS}


def test_every_command_is_in_the_matrix_or_tested_elsewhere():
    commands = set(surface()) - {"action-gru"}
    assert commands == (set(CHECKS) - {"annotate"}) | {"train"} | ELSEWHERE
