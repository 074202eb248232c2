"""A wrong path, key or model is refused in a true sentence, and before torch is imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.videos import write_square

from action_gru.core.errors import VideoError
from action_gru.core.paths import instead_of, kind_of

PROGRAM = """
import contextlib, functools, io, json, os, sys
import typer
typer.main.get_command = functools.cache(typer.main.get_command)  # made anew for each call
from action_gru.cli.commands import app
from action_gru.cli.common import run
for arguments in json.load(sys.stdin):
    out, err, code = io.StringIO(), io.StringIO(), None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            run(app, arguments)
        except SystemExit as end:
            code = end.code
    heavy = sorted({"torch", "ultralytics", "matplotlib", "accelerate"} & set(sys.modules))
    print(json.dumps([code, out.getvalue(), err.getvalue(), heavy]))
"""
# RUN, VIDEO, MANIFEST and CONFIG stand for paths that are good.
WRONG = [
    ("classify no.mp4 -m RUN", 4, "no video at no.mp4"),
    ("classify VIDEO -m nowhere", 7, "no checkpoint at nowhere"),
    ("classify VIDEO -m CONFIG", 7, "is a config, and a run is needed: train with it first"),
    ("classify VIDEO -m VIDEO", 7, "is a video, and a run is needed: were two arguments swapped?"),
    ("classify RUN -m VIDEO", 4, "is a run folder, and a video is needed"),
    ("classify VIDEO -m RUNS", 7, "is a folder of runs, and a run is needed: name one of them"),
    ("classify VIDEO -m https://host/run", 7, "https://host is an address, and a run is needed"),
    ("classify VIDEO -m RUN model.cel=gru", 2, "did you mean 'model.cell'"),
    ("classify VIDEO -m RUN training.epochs=many", 2, "training.epochs: "),
    ("classify VIDEO -m RUN sampling.fps=4", 7, "sampling.fps: 5.0 against 4.0"),
    ("classify VIDEO -m RUN features.weights=no/such.pt", 5, "no file at no/such.pt"),
    ("classify VIDEO -m RUN features.weights=mine.pt", 5, "nor an official Ultralytics name"),
    ("classify https://u:secret@host/a.mp4?b=[c] -m RUN", 4, "https://host is an address"),
    ("classify VIDEO -m RUN --annotate out.txt", 2, "unknown ending '.txt'; use .mp4"),
    ("classify VIDEO -m RUN --annotate no/out.mp4", 2, "make it first"),
    ("classify VIDEO -m RUN --annotate VIDEO", 2, "would replace a file that is read"),
    ("timeline no.mp4 -m RUN", 4, "no video at no.mp4"),
    ("timeline CLIPS -m RUN", 4, "is a folder, and a video is needed: name one file of it"),
    ("timeline rtsp://host/1 -m RUN", 4, "'action-gru webcam --source'"),
    ("timeline VIDEO -m RUN -o out.doc", 2, "unknown ending '.doc'"),
    ("timeline VIDEO -m RUN -o a.csv -o a.csv", 2, "would replace a file that is read or written"),
    ("timeline VIDEO -m RUN --reference no.csv", 3, "no.csv"),
    ("timeline VIDEO -m RUN --per-person --annotate out.gif", 2, "unknown ending '.gif'"),
    ("timeline VIDEO -m RUN --describe describe.language=xx", 2, "describe.language"),
    ("timeline VIDEO -m RUN events.background=[no]", 3, "the model has no class no"),
    ("explain no.mp4 -m RUN", 4, "no video at no.mp4"),
    ("explain CLIPS -m RUN", 4, "is a folder, and a video is needed"),
    ("explain VIDEO -m RUN --label no", 3, "the model knows bright, dark"),
    ("explain VIDEO -m RUN -o out.jpg", 2, "is neither a folder nor a .png"),
    ("webcam -m nowhere --no-window", 7, "no checkpoint at nowhere"),
    ("webcam -m RUN --no-window -s no.mp4", 4, "no video at no.mp4"),
    ("webcam -m RUN --no-window -s gopher://x/", 4, "no live source has addresses of the kind"),
    ("webcam -m RUN --no-window --record out.txt", 2, "unknown ending '.txt'"),
    ("webcam -m RUN --no-window --to out.txt", 2, "--to out.txt: is none of mqtt://HOST/TOPIC"),
    ("webcam -m RUN --no-window -s VIDEO --to no/e.csv", 2, "make it first"),
    ("webcam -m RUN -s VIDEO events.sinks=[{'kind':'csv','path':'e.csv','classes':['no']}]",
     2, "events.sinks.0.classes: the model has no class no"),
    ("web -m nowhere", 7, "no checkpoint at nowhere"),
    ("web -m RUN model.cel=gru", 2, "did you mean 'model.cell'"),
    ("train no.yaml", 2, "no config file at no.yaml"),
    ("train RUN", 2, "is a run folder, and a folder of clips, a CSV or a config is needed"),
    ("train no", 2, "no folder of clips, CSV or config at no (looked up as"),
    ("train data.manifest=MANIFEST", 2, "the clips come first, then a.b=value"),
    ("train MANIFEST other", 2, "'other' is neither a.b=value nor an option"),
    ("train CLIPS", 3, "1 video outside of any class folder"),
    ("train CLIPS --views motoin", 2, "error: --views motoin: features.views.0: should be"),
    ("train CLIPS --views motoin", 2, "got 'motoin'; did you mean 'motion'?"),
    ("train CLIPS --fps -1", 2, "error: --fps -1.0: sampling.fps: should be greater than 0"),
    ("train CLIPS --epoch 3", 2, "Possible options: --epochs"),
    ("train a.eaf", 2, "no annotation file at a.eaf"),
    ("train CONFIG --save-config no/mine.yaml", 2, "make it first"),
    ("train CONFIG --save-config CONFIG", 2, "would replace a file that is read"),
    ("train CONFIG model.cel=gru", 2, "did you mean 'model.cell'"),
    ("train CONFIG data.manifest=no.csv", 2, "data.manifest: no file at no.csv"),
    ("train CONFIG data.manifest=CLIPS", 2, "'action-gru prepare folder DIR'"),
    ("train CONFIG data.root=no", 2, "data.root: no folder at no"),
    ("train CONFIG data.root=CONFIG/..", 3, "none of its 12 files exists"),
    ("train CONFIG run.folder=MANIFEST", 2, "manifest.csv is a file"),
    ("train CONFIG features.weights=no.txt", 5, "nor an official Ultralytics name"),
    ("resume", 7, "no interrupted run in "),
    ("evaluate", 7, "no finished run in "),
    ("classify VIDEO", 7, "train one with 'action-gru train CLIPS', or name a model with -m"),
    ("evaluate RUN -m RUN", 2, "two runs are named"),
    ("evaluate -m RUN --split tets", 2, "is none of train, val, test"),
    ("evaluate training.seed=1 -m RUN --split tets", 2, "is none of train, val, test"),
    ("resume nowhere", 7, "nowhere is not a run folder"),
    ("resume CONFIG", 7, "is a config, and a run is needed"),
    ("resume RUN model.cel=gru", 2, "did you mean 'model.cell'"),
    ("tune CONFIG data.manifest=no.csv", 2, "no file at no.csv"),
    ("tune CONFIG --out MANIFEST", 2, "unknown ending '.csv'"),
    ("evaluate RUN/best.safetensors", 7, "give the run folder that it lies in"),
    ("evaluate RUNS", 7, "is a folder of runs"),
    ("evaluate RUN --manifest no.csv", 3, "no manifest at no.csv"),
    ("evaluate RUN --manifest CLIPS", 3, "is a folder, and a manifest is needed"),
    ("evaluate RUN --split tets", 2, "is none of train, val, test"),
    ("evaluate RUN --out MANIFEST", 2, "is a file"),
    ("cv no.yaml", 2, "no config file at no.yaml"),
    ("cv CONFIG data.manifest=no.csv", 2, "no file at no.csv"),
    ("compare-cells no.yaml", 2, "no config file at no.yaml"),
    ("compare-cells CONFIG --out MANIFEST", 2, "is a file"),
    ("extract CONFIG data.manifest=no.csv", 2, "no file at no.csv"),
    ("extract VIDEO", 2, "give the folder that holds a folder of clips for each class"),
    ("export -m nowhere", 7, "no checkpoint at nowhere"),
    ("export -m RUN --out MANIFEST", 2, "is a file"),
    ("watch no.csv -m nowhere", 7, "no checkpoint at nowhere"),
    ("watch MANIFEST -m RUN", 7, "the model was trained on video, not on measured channels"),
    ("plan no.yaml --clips 9 --seconds 9", 2, "no config file at no.yaml"),
    ("plan CONFIG --clips 9 --seconds 9 --efficiency 7", 2, "efficiency"),
    ("cache stats nowhere", 6, "nowhere: no such folder"),
    ("demo --folder MANIFEST", 2, "is a file"),
    ("demo training.epoch=3", 2, "did you mean 'training.epochs'"),
    ("config --schema out.txt", 2, "unknown ending '.txt'"),
    ("config RUN", 2, "give the config.yaml in it"),
    ("prepare folder CLIPS --out no/m.csv", 2, "make it first"),
]  # fmt: skip


@pytest.fixture(scope="module")
def answers(small_run, tmp_path_factory) -> dict[str, tuple[int, str, str, list[str]]]:
    """Exit code, stdout, stderr and what heavy packages were imported, by command line."""
    place = tmp_path_factory.mktemp("refusals")
    data = small_run.path.parents[1]
    (place / "clips").mkdir()
    write_square(place / "clips" / "a.mp4", 4)
    (place / "good.yaml").write_text(
        f"data: {{manifest: {data / 'manifest.csv'}}}\nfeatures: {{weights: builtin}}\n"
    )
    good = {
        "RUNS": small_run.path.parent, "RUN": small_run.path, "VIDEO": place / "clips" / "a.mp4",
        "MANIFEST": data / "manifest.csv", "CONFIG": place / "good.yaml", "CLIPS": place / "clips",
    }  # fmt: skip

    def filled(text: str) -> str:
        for name, path in good.items():
            text = text.replace(name, str(path))
        return text.replace("good.yaml/..", "clips")

    lines = [[filled(word) for word in line.split()] for line, _, _ in WRONG]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(lines), capture_output=True, text=True,
        cwd=place, check=True, env=os.environ | {"COLUMNS": "400"},
    )  # fmt: skip
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return {line: answer for (line, _, _), answer in zip(WRONG, told, strict=True)}


@pytest.mark.parametrize(("line", "code", "said"), WRONG, ids=[line for line, _, _ in WRONG])
def test_what_cannot_work_is_refused_without_torch(answers, line, code, said):
    found, stdout, stderr, heavy = answers[line]
    assert said in stderr
    assert (found, stdout, heavy) == (code, "", [])
    assert "secret" not in stderr
    assert "Traceback" not in stderr


def test_a_missing_extra_is_told_without_importing_it(monkeypatch):
    from action_gru.apps.checks import need
    from action_gru.core.errors import MissingExtraError

    need("json", "web", "the web page")
    with pytest.raises(MissingExtraError, match=r"needs the package 'no_such'.*action-gru\[web\]"):
        need("no_such", "web", "the web page")


def test_a_path_is_told_by_its_form_its_ending_and_its_content(tmp_path):
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    assert kind_of(run) == "a folder"
    (run / "best.safetensors").touch()
    assert kind_of(run) == "a run folder"
    assert kind_of(run.parent) == "a folder of runs"
    for name, kind in [("A.MP4", "a video"), ("b.yml", "a config"), ("c.CSV", "a table")]:
        assert kind_of(tmp_path / name) is None  # it is not there
        (tmp_path / name).touch()
        assert kind_of(tmp_path / name) == kind
    for text in ("http://a/b", "RTSP://a", "s3://bucket/x"):
        assert kind_of(Path(text)) == "an address"
    assert kind_of(Path("C:/clips/a.mp4")) is None
    assert kind_of(Path("data.manifest=a.csv")) == "an override"
    assert instead_of("a video", tmp_path / "A.MP4") is None


def test_one_missing_file_of_several_does_not_stop_the_others(tmp_path, capsys):
    from action_gru.apps.classify import fail_if_all_missing, find_videos
    from action_gru.core.progress import Reporter

    video = write_square(tmp_path / "a.mp4", 3)
    assert fail_if_all_missing([video, tmp_path / "no.mp4"], False, Reporter()) == 0
    assert fail_if_all_missing([tmp_path / "no.mp4"], True, Reporter()) == VideoError.exit_code
    assert "no video at" in json.loads(capsys.readouterr().out)["error"]
    with pytest.raises(VideoError, match="name at least one video"):
        find_videos([])
