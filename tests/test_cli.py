"""The command line as a user meets it, on a tiny run with the builtin backbone."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import unicodedata
from importlib.metadata import version
from pathlib import Path

import pytest
from helpers.command_line import run
from helpers.dataset_trees import make_tree
from helpers.videos import write_square

from action_gru.apps.classify import find_videos
from action_gru.cli.common import _end_interrupted, command_again
from action_gru.core.errors import RunInterrupted, VideoError
from action_gru.video import VideoFile

PROGRAM = [sys.executable, "-m", "action_gru"]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Clips, a config and a trained run."""
    root = tmp_path_factory.mktemp("place")
    for index in range(12):
        label = "bright" if index % 2 else "dark"
        (root / "clips" / label).mkdir(parents=True, exist_ok=True)
        write_square(root / "clips" / label / f"{index}.mp4", 10, seed=index + 100 * (index % 2))
    (root / "tiny.yaml").write_text(
        "data: {manifest: clips/manifest.csv, test_share: 0.34}\n"
        "run: {name: tiny}\n"
        "sampling: {fps: 10}\n"
        "features: {weights: builtin, image_size: 64, views: [rgb]}\n"
        "model: {projection_size: 16, hidden_size: 16}\n"
        "training: {epochs: 8, device: cpu, batch_size: 4}\n"
    )
    run("prepare", "folder", "clips", cwd=root)
    done = run("train", "tiny.yaml", cwd=root)
    assert done.stdout.splitlines()[-1] == "runs/tiny"
    assert done.stdout.startswith("4 clips: top-1 ")
    assert done.stdout.splitlines()[-2].startswith("Right on ")
    return root


def test_train_answers_with_one_json_line_and_is_quiet_when_told(place):
    done = run("train", "tiny.yaml", "run.name=json", "--json", "--quiet", cwd=place)
    answer = json.loads(done.stdout)
    assert done.stderr == ""
    assert answer["run"] == "runs/json"
    assert (place / answer["evaluation"] / "report.json").is_file()
    assert 0 <= answer["top1"] <= 1
    assert " of 4 new clips (" in answer["sentence"]
    assert sorted(answer["order"]["undecided"]) == ["bright", "dark"]  # two clips each


def test_extract_counts_and_a_second_run_decodes_nothing(place):
    answer = json.loads(run("extract", "tiny.yaml", "--json", "-q", cwd=place).stdout)
    assert (answer["clips"], answer["frames"], answer["cached"], answer["quarantined"]) == (
        12,
        0,
        12,
        0,
    )
    other = run("extract", "tiny.yaml", "features.cache_dir=other", "--json", "-q", cwd=place)
    assert json.loads(other.stdout)["frames"] == 120
    verified = json.loads(run("cache", "verify", "other", "--json", cwd=place).stdout)
    assert verified == {"entries": 12, "damaged": [], "leftovers": 0}
    entry = next((place / "other").rglob("*.safetensors"))
    entry.write_bytes(b"x")
    assert str(entry.name) in run("cache", "verify", "other", cwd=place, code=6).stderr
    assert json.loads(run("cache", "prune", "other", "--json", cwd=place).stdout)["damaged"] == 1
    assert "11 entries" in run("cache", "stats", "other", cwd=place).stdout
    for verb in ("stats", "verify", "prune", "pack"):
        assert "no such folder" in run("cache", verb, "othr", cwd=place, code=6).stderr
    assert not (place / "othr").exists()


def test_evaluate_names_its_folder(place):
    done = run("evaluate", "runs/tiny", cwd=place)
    folder = place / done.stdout.splitlines()[-1]
    assert {p.name for p in folder.iterdir()} >= {
        "report.json",
        "report.md",
        "confusion_matrix.png",
    }
    report = json.loads((folder / "report.json").read_text())
    assert len(report["predictions"]) == report["clips"] == 4


@pytest.mark.slow
def test_evaluate_takes_all_of_another_manifest_or_the_split_that_is_named(place):
    other = ["evaluate", "runs/tiny", "--manifest", "clips/manifest.csv", "data.allow_leakage=true"]
    done = run(*other, "--json", cwd=place)
    assert json.loads(done.stdout)["clips"] == 12
    assert "12 of these clips were in the training data" in done.stderr
    whole = "runs/tiny/clips.csv"
    split = ["evaluate", "runs/tiny", "--manifest", whole, "--root", "clips", "--split", "test"]
    done = run(*split, "--json", cwd=place)
    assert json.loads(done.stdout)["clips"] == 4
    assert "4 of these clips were in the training data" in done.stderr  # of the final model
    assert "no clip of it has the split 'val'" in run(*split[:-1], "val", cwd=place, code=3).stderr
    wrong = run(*split[:5], "runs", cwd=place, code=3)
    assert "--root" in wrong.stderr


def test_cv_names_its_folder(place):
    done = run("cv", "tiny.yaml", "--folds", 2, "--seeds", 2, "--json", "-q", cwd=place)
    answer = json.loads(done.stdout)
    assert 0 <= answer["top1_mean"] <= 1
    assert (place / answer["folder"] / "report.json").is_file()
    assert not (place / answer["folder"] / ".begun").exists()
    assert "baseline is off" not in (place / answer["folder"] / "report.md").read_text()


def test_classify_goes_on_after_a_bad_file_and_sets_the_exit_code(place):
    (place / "broken.mp4").write_bytes(b"\0\1" * 400)
    done = run("classify", "clips/dark", "broken.mp4", "clips/bright/1.mp4", "-m", "runs/tiny",
               "--json", "-q", cwd=place, code=4)  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 8
    assert "damaged bytes" in answers[6]["error"]
    assert {label["label"] for label in answers[7]["top"]} == {"bright", "dark"}
    assert sum(label["score"] for label in answers[7]["top"]) == pytest.approx(1, abs=1e-3)
    plain = run("classify", "clips/bright/1.mp4", "-m", "runs/tiny", cwd=place)
    assert plain.stdout.startswith("clips/bright/1.mp4: ")
    assert "right, not 95 %" in run(
        "classify", "clips/bright/1.mp4", "-m", "runs/tiny", "calibration.precision=0.95", cwd=place
    ).stderr  # fmt: skip


def test_classify_annotates_and_never_over_its_source(place):
    run("classify", "clips/dark/0.mp4", "-m", "runs/tiny", "--annotate", "out.mp4", cwd=place)
    with VideoFile(place / "out.mp4") as video:
        assert len(list(video)) == 10
    done = run("classify", "clips/dark/0.mp4", "-m", "runs/tiny", "--annotate", "clips/dark/0.mp4",
               cwd=place, code=2)  # fmt: skip
    assert "would replace a file that is read or written" in done.stderr


def test_overrides_reach_every_command(place):
    done = run(
        "classify", "clips/dark/0.mp4", "sampling.fps=5", "-m", "runs/tiny", cwd=place, code=7
    )
    assert "sampling.fps: 10.0 against 5.0" in done.stderr
    done = run("evaluate", "runs/tiny", "features.image_size=96", cwd=place, code=7)
    assert "rgb image_size: 64 against 96" in done.stderr


def test_config_prints_the_resolved_tree_and_the_schema(place):
    done = run("config", "tiny.yaml", "training.seed=9", "--json", cwd=place)
    tree = json.loads(done.stdout)
    assert (tree["training"]["seed"], tree["model"]["cell"]) == (9, "gru")
    run("config", "--schema", "schema.json", cwd=place)
    assert json.loads((place / "schema.json").read_text())["title"] == "Config"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["train", "no.yaml"], 2, "error: no config file at no.yaml"),
        (["train", "tiny.yaml", "model.cel=gru"], 2, "did you mean 'model.cell'"),
        (["train", "tiny.yaml", "data.manifest=no.csv"], 2, "data.manifest: no file at no.csv"),
        (["evaluate", "clips"], 7, "clips is not a run folder"),
        (["classify", "a.mp4", "-m", "clips"], 7, "no checkpoint at clips/best.safetensors"),
        (["cv", "tiny.yaml", "--folds", "40"], 3, "40 folds need as many groups"),
        (["prepare", "imagenet", "clips"], 3, "no known dataset"),
        (["train"], 2, "Missing argument 'SOURCE'"),
        (["train", "tiny.yaml", "run.folder=tiny.yaml"], 2, "run.folder: tiny.yaml is a file"),
        (["config", "tiny.yaml", "--schema", "no/x.json"], 2, "make it first"),
    ],
)
def test_a_mistake_is_one_message_and_its_exit_code(place, arguments, code, said):
    done = run(*arguments, cwd=place, code=code)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_half_written_and_a_run_to_resume(place):
    process = subprocess.Popen(
        [*PROGRAM, "train", "tiny.yaml", "run.name=stopped", "training.epochs=5000", "-q"],
        cwd=place, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    last = place / "runs" / "stopped" / "last.safetensors"
    while not last.exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    said, again = stderr.strip().splitlines()
    assert said == "error: interrupted; what was finished is kept; go on with:"
    assert again.endswith("-m action_gru resume runs/stopped")
    assert not list((place / "runs").rglob("*.part"))
    log = place / "runs" / "stopped" / "log.jsonl"
    epochs = len(log.read_text().splitlines())
    done = run("resume", "runs/stopped", f"training.epochs={epochs + 3}", cwd=place)
    assert done.stdout.splitlines()[-1] == "runs/stopped"
    assert len(log.read_text().splitlines()) == epochs + 3
    kept = (place / "runs" / "stopped" / "config.yaml").read_text()
    assert f"epochs: {epochs + 3}\n" in kept
    fewer = run("resume", "runs/stopped", f"training.epochs={epochs}", cwd=place, code=7)
    assert f"has {epochs + 3} epochs already" in fewer.stderr
    assert (place / "runs" / "stopped" / "config.yaml").read_text() == kept


@pytest.mark.slow
def test_ctrl_c_before_an_epoch_is_finished_gives_the_same_command_again(place):
    """With a name that a shell would take apart; in a log it is a field."""
    cache = "features.cache_dir=it's new"
    process = subprocess.Popen(
        [*PROGRAM, "--log-json", "train", "tiny.yaml", "run.name=early", cache],
        cwd=place, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(json.loads(line))
        if lines[-1].get("stage") == "extract" and lines[-1]["done"] == 0:
            process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    last = lines[-1]
    assert (last["error"], last["exit_code"]) == ("KeyboardInterrupt", 130)
    assert shlex.split(last["again"])[-5:] == [
        "--log-json", "train", "tiny.yaml", "run.name=early", cache,
    ]  # fmt: skip
    assert "run the same command again" in last["message"]


@pytest.mark.parametrize(
    ("given", "again"),
    [
        (["extract", "a b.yaml"], "extract 'a b.yaml'"),
        (["--log-json", "cv", "a.yaml", "x=[a, b]"], "--log-json cv a.yaml 'x=[a, b]'"),
        (["watch", "-", "-m", "run"], None),
        (["webcam", "-m", "run"], None),
    ],
)
def test_the_command_to_go_on_with_is_whole_and_quoted(given, again, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["./bin/action-gru", *given])
    found = command_again(given, KeyboardInterrupt())
    assert found == (again and f"./bin/action-gru {again}")


@pytest.mark.parametrize(
    ("command", "kept"),
    [
        ("extract", "what was finished is kept"),
        ("cv", "features that were read are kept, what was trained is not"),
        ("tune", "nothing of it is kept"),
    ],
)
def test_an_interrupt_says_what_it_leaves(command, kept, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["./bin/action-gru", command, "clips"])
    with pytest.raises(SystemExit):
        _end_interrupted([command, "clips"], KeyboardInterrupt())
    said = capsys.readouterr().err
    assert said == (
        f"error: interrupted; {kept}; run the same command again:\n"
        f"  ./bin/action-gru {command} clips\n"
    )


def test_a_run_that_has_an_epoch_is_resumed_and_a_resumed_one_too(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["./bin/action-gru"])
    stop = RunInterrupted(Path("my runs/one"))
    assert command_again(["train", "a.yaml"], stop) == "./bin/action-gru resume 'my runs/one'"
    given = ["resume", "my runs/one", "training.epochs=9"]
    assert command_again(given, stop) == ("./bin/action-gru resume 'my runs/one' training.epochs=9")


def test_a_second_ctrl_c_ends_at_once():
    """The first unwinds into a clean-up that would take a minute; the second does not wait."""
    program = (
        "import time, typer\nfrom action_gru.cli.common import run\n"
        "app = typer.Typer()\n"
        "@app.command()\n"
        "def work():\n"
        "    try:\n"
        "        print('working', flush=True)\n"
        "        time.sleep(60)\n"
        "    finally:\n"
        "        print('cleaning', flush=True)\n"
        "        time.sleep(60)\n"
        "run(app, [])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "working\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "cleaning\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT


def test_help_imports_no_heavy_package():
    program = (
        "import sys\nfrom action_gru.cli.commands import app\n"
        "heavy = {'torch', 'ultralytics', 'cv2', 'numpy', 'pydantic', 'accelerate'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("script", ["prepare_data", "extract", "train", "evaluate", "classify"])
def test_each_script_is_its_command(script):
    path = Path(__file__).parents[1] / "scripts" / f"{script}.py"
    done = subprocess.run(
        [sys.executable, str(path), "--help"], capture_output=True, text=True, check=True,
        env=os.environ | {"COLUMNS": "100"},
    )  # fmt: skip
    assert f" {script.split('_')[0]} [OPTIONS]" in done.stdout


def test_folders_and_patterns_name_videos(place, monkeypatch):
    monkeypatch.chdir(place)
    assert len(find_videos(["clips"])) == 12
    assert [
        str(path) for path in find_videos(["clips/d*/[02].mp4", "clips/dark/0.mp4", "x.mp4"])
    ] == [
        "clips/dark/0.mp4",
        "clips/dark/2.mp4",
        "x.mp4",
    ]
    with pytest.raises(VideoError, match=r"runs/\*: no video|no video in it"):
        find_videos(["nothing/*"])


def test_hidden_files_texts_and_folders_are_no_videos_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["a/1.mp4", "a/._1.mp4", "a/.b/2.mp4", "a/__MACOSX/a/3.mp4", "a/b/4.VOB"]
    make_tree(tmp_path, *names, "a/x.mp4/5.divx", "a/notes.txt")
    (tmp_path / "a" / "table.ts").write_text("@data\n1,2:walk\n")
    (tmp_path / "a" / "cam.ts").write_bytes(b"\x47\x40\x00\x10\x00")
    expected = ["a/1.mp4", "a/b/4.VOB", "a/cam.ts", "a/x.mp4/5.divx"]
    assert [path.as_posix() for path in find_videos(["a"])] == expected
    assert [path.as_posix() for path in find_videos(["./?", "a/1.mp4"])] == expected
    assert find_videos(["a/*.mp4"])[0] == Path("a/1.mp4")
    assert len(find_videos([str(tmp_path / ".." / tmp_path.name / "a/.b")])) == 1  # it was named


def test_names_with_brackets_and_of_either_form_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nfc, nfd = (unicodedata.normalize(form, "gähnen.mp4") for form in ("NFC", "NFD"))
    make_tree(tmp_path, "run[1]/clip[2].mp4", "run[1]/3.mp4", nfd)
    assert find_videos(["run[1]/clip[2].mp4"]) == [Path("run[1]/clip[2].mp4")]
    assert find_videos(["run[1]/*.mp4"]) == [Path("run[1]/3.mp4"), Path("run[1]/clip[2].mp4")]
    assert find_videos([nfc]) == [Path(nfd)]


def test_the_hidden_file_of_the_case_is_left_aside(shared_cases):
    assert find_videos([str(shared_cases / "F18" / "clips")]) == [
        shared_cases / "F18" / "clips" / "1.mp4"
    ]


def test_folders_of_frames_are_clips_by_any_name(shared_cases):
    clips = [shared_cases / "F08" / name / "v_0" for name in ("clap", "wave")]
    for folder in ("F08", "F08/*/v_*"):
        assert find_videos([str(shared_cases / folder)]) == clips
    assert find_videos([str(clips[1])]) == clips[1:]


def test_pictures_whose_numbers_make_no_clip_are_searched_past(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_tree(tmp_path, "a/cat.jpg", "a/dog.jpg", "a/deep/1.mp4", "b/cat.jpg", "b/dog.jpg")
    assert find_videos(["a"]) == [Path("a/deep/1.mp4")]
    assert find_videos(["b"]) == [Path("b")]  # named itself: its reader says what is wrong
    make_tree(tmp_path, "c/d/cat.jpg")
    with pytest.raises(VideoError, match=r"no video in it; .*cat\.jpg has no number.*ffmpeg"):
        find_videos(["c"])


def test_file_names_that_look_like_options_or_overrides_are_files(place):
    clip = (place / "clips" / "bright" / "1.mp4").read_bytes()
    names = ["-3abcDEF_1x.mp4", "--model.mp4", "training.seed=1.mp4", "my clip.mp4"]
    for name in names:
        (place / name).write_bytes(clip)
    done = run("classify", *names, "-m", "runs/tiny", "--json", "-q", cwd=place)
    assert [json.loads(line)["video"] for line in done.stdout.splitlines()] == names
    for command in ("timeline", "explain"):
        run(command, names[0], "-m", "runs/tiny", "-q", cwd=place)
    refused = run("classify", "-4xyz.mp4", "-m", "runs/tiny", cwd=place, code=2)
    assert "a file of such a name is written ./-NAME" in " ".join(refused.stderr.split())
    divided = run("classify", "my", "clip.mp4", "-m", "runs/tiny", cwd=place, code=2)
    assert "'my clip.mp4' is one path, and its spaces divided it" in divided.stderr


def test_what_prepare_prints_as_next_can_be_pasted(tmp_path):
    root = make_tree(tmp_path / "my clips & co's", "a/0.mp4", "b/1.mp4", "b/x.JPG", "b/y.jpg")
    done = run("prepare", "folder", root)
    assert "left aside 2 of 4 files, as no clips: .jpg 2; their numbers make no clip" in done.stderr
    words = shlex.split(done.stderr[done.stderr.index("next: ") :])
    assert words == [
        "next:", "action-gru", "train", str(root / "manifest.csv"),
    ]  # fmt: skip


def test_prepare_tells_the_splits_that_it_read(tmp_path):
    root = make_tree(tmp_path, "Train/a/0.mp4", "Train/b/1.mp4", "TEST/a/2.mp4", "more/a/3.mp4")
    assert "Pass --splits to read" in run("prepare", "folder", root, code=3).stderr
    done = run("prepare", "folder", root, "--splits", "--json")
    assert json.loads(done.stdout)["left_aside"] == {"more/*.mp4": 1}
    assert "3 clips, 1 in test, 2 in train, 2 classes" in done.stderr


def test_the_version_is_printed():
    assert run("--version").stdout.strip() == f"action-gru {version('action-gru')}"


def test_a_finished_run_is_left_alone_and_says_how_to_train_on(place):
    before = {path: path.stat().st_mtime_ns for path in (place / "runs" / "tiny").rglob("*")}
    done = run("resume", "runs/tiny", cwd=place)
    assert done.stdout.splitlines() == ["runs/tiny"]
    assert "the run is finished; to train on: " in done.stderr
    assert "resume runs/tiny training.epochs=16" in done.stderr
    after = {path: path.stat().st_mtime_ns for path in (place / "runs" / "tiny").rglob("*")}
    assert after == before


def test_a_run_with_relative_paths_is_scored_from_another_folder(place, tmp_path):
    done = run("evaluate", str(place / "runs" / "tiny"), cwd=tmp_path)
    assert done.stdout.startswith("4 clips: top-1 ")
    assert not [*tmp_path.iterdir()]
