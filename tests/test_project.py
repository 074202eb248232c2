"""A project's folder: what is made, taken as it is, followed, refused, and read by commands."""

import os
import shutil
from pathlib import Path

import pytest
from helpers.command_line import run
from helpers.dataset_trees import make_tree

from action_gru.core.errors import ConfigError
from action_gru.core.graphics import class_colour, distance
from action_gru.dataset import read_manifest, split_clips
from action_gru.prepare.project import (
    BACKGROUND,
    MOST_ACTIONS,
    is_project,
    open_project,
    take_of,
)
from action_gru.prepare.project_file import GREY, PALETTE, Action, check_name
from action_gru.prepare.source import read_source

HEAD = "format: action-gru 1\n"


def names(project) -> list[str]:
    return [action.name for action in project.actions()]


def test_a_new_project_has_its_folders_and_a_background(tmp_path):
    project = open_project(tmp_path / "deep" / "mine")
    assert project.actions() == (Action("nothing in particular", "#8C8C8C", True),)
    inside = sorted(path.name for path in project.folder.iterdir())
    assert inside == [".studio", "clips", "project.yaml", "runs", "videos"]
    assert (project.folder / "clips" / BACKGROUND).is_dir()
    assert is_project(project.folder)
    assert not is_project(tmp_path)


def test_actions_keep_their_order_and_their_colour_for_good(tmp_path):
    project = open_project(tmp_path / "p")
    for name in ("wave", "手を振る", "no", "2024", "clap"):
        project.add(name)
    shutil.rmtree(project.clips / "wave")
    before = {action.name: action.colour for action in project.actions()}
    project = open_project(tmp_path / "p")
    assert names(project) == [BACKGROUND, "手を振る", "no", "2024", "clap"]
    assert {action.name: action.colour for action in project.actions()} == before
    assert project.add("jump").colour not in {*before.values(), PALETTE[0]}
    assert project.add("wave").colour == PALETTE[0]  # it had this one


def test_the_palette_is_that_of_charts_and_no_two_colours_look_alike():
    charts = [class_colour(index) for index in range(len(PALETTE) + 1)]
    assert len(PALETTE) == MOST_ACTIONS
    assert [colour for colour in charts if colour != GREY] == list(PALETTE)
    every = (GREY, *PALETTE)
    closest = min(distance(a, b) for a in every for b in every if a < b)
    assert closest > 0.05


def test_sixty_actions_have_sixty_colours_and_a_further_one_is_refused(tmp_path):
    project = open_project(tmp_path / "p")
    for number in range(MOST_ACTIONS - 1):
        (project.clips / f"action {number}").mkdir()
    assert len({action.colour for action in project.actions()}) == MOST_ACTIONS
    with pytest.raises(ConfigError, match="at most 60 actions; delete one"):
        project.add("one more")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "needs a name"),
        (" \u00a0", "needs a name"),
        ("\u200d", "needs a name"),
        ("a/b", "holds /"),
        ("a\\b", r"holds \\"),
        ("why?", r"holds \?"),
        (".x", "begin or end with a dot"),
        ("..", "begin or end with a dot|needs a name"),
        ("x.", "begin or end with a dot"),
        ("lost+found", "cannot be a folder"),
        ("CON", "is reserved"),
        ("nul.txt", "is reserved"),
        ("manifest.csv", "is reserved"),
        ("a\u202eb", r"unseen character U\+202E"),
        ("a\nb", r"unseen character U\+000A"),
        ("a\ud800", r"unseen character U\+D800"),
        ("x" * 121, "takes 121 bytes of at most 120"),
        ("手" * 41, "takes 123 bytes"),
        ("WAVE", "there is an action 'wave' already"),
        ("STRASSE", "there is an action 'straße' already"),
        ("cafe\u0301", "there is an action 'café' already"),
    ],
)
def test_a_name_that_is_no_folder_everywhere_or_looks_like_another_is_refused(name, said):
    with pytest.raises(ConfigError, match=said) as raised:
        check_name(name, ["wave", "straße", "café"])
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (" wave ", "wave"),
        ("cafe\u0301", "café"),
        ("手を振る", "手を振る"),
        ("می\u200cروم", "می\u200cروم"),
        ("👍🏽 up", "👍🏽 up"),
        ("x" * 120, "x" * 120),
        ("train", "train"),
        ("-x", "-x"),
    ],
)
def test_names_of_any_script_are_kept_composed(name, kept):
    assert check_name(name) == kept


def test_folders_that_come_and_go_by_hand_are_followed(tmp_path):
    project = open_project(tmp_path / "p")
    make_tree(tmp_path / "p" / "clips", "jump/1.mp4", "cafe\u0301/1.mp4", ".hidden/1.mp4")
    assert names(project) == [BACKGROUND, "café", "jump"]
    assert project.folder_of("café").is_dir()
    shutil.rmtree(project.clips / "jump")
    assert names(project) == [BACKGROUND, "café"]
    shutil.rmtree(project.clips)
    assert names(project) == []


def test_a_colour_that_was_shown_once_stays_whatever_folders_come(tmp_path):
    project = open_project(tmp_path / "p")
    make_tree(project.clips, "jump/1.mp4")
    project.keep()
    make_tree(project.clips, "clap/1.mp4")
    colours = {action.name: action.colour for action in project.actions()}
    assert colours == {BACKGROUND: GREY, "jump": PALETTE[0], "clap": PALETTE[1]}
    assert "clap" not in (project.folder / "project.yaml").read_text()
    open_project(tmp_path / "p")
    assert "clap" in (project.folder / "project.yaml").read_text()


def test_a_folder_of_class_folders_is_taken_as_it_is(tmp_path):
    make_tree(tmp_path / "clips", "wave/1.mp4", "Background/1.mp4", "clap/deep/2.mp4")
    project = open_project(tmp_path)
    assert names(project) == ["Background", "clap", "wave"]
    assert project.background() == ("Background",)
    assert sorted(path.name for path in project.clips.iterdir()) == ["Background", "clap", "wave"]


def test_clips_without_a_folder_clips_are_no_project_but_told_how_to_be_one(tmp_path):
    make_tree(tmp_path / "set", "wave/1.mp4", "clap/1.mp4")
    with pytest.raises(
        ConfigError, match=r"\(clap and wave\).*: mkdir .*set-project, then mv .*set-project/clips"
    ):
        open_project(tmp_path / "set")
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["clap", "wave"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="is a file"):
        open_project(tmp_path / "file")
    make_tree(tmp_path / "run", "best.safetensors")
    with pytest.raises(ConfigError, match="is a run folder; give the folder above"):
        open_project(tmp_path / "run")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: helm\nversion: 2\n", "belongs to another program"),
        ("- a\n", "belongs to another program"),
        ("", "belongs to another program"),
        ("format: action-gru 2\n", "a newer action-gru made it"),
        (HEAD + "name: [\n", r"project.yaml, line 3: is no YAML"),
        (HEAD + "name: a\nname: b\n", r"line 3: is no YAML: the key 'name' appears twice"),
        (HEAD + "actions: wave\n", r"line 2: actions is a list"),
        (HEAD + "actions: {wave: 1}\n", r"line 2: actions is a list"),
        (HEAD + "actions:\n- wave\n", r"line 3: an action is written as"),
        (HEAD + "actions:\n- {name: a, colour: red}\n", r"line 3: colour is 'red'"),
        (HEAD + "actions:\n- {name: a, color: '#000000'}\n", r"line 3: 'color' is not name"),
        (HEAD + "actions:\n- {name: a, colour: '#000000', background: maybe}\n", "line 3: back"),
        (HEAD + "actions:\n- {name: [1], colour: '#000000'}\n", r"line 3: an action has one value"),
        (HEAD + "actions:\n- {colour: '#000000'}\n", r"line 3: an action needs a name"),
        (HEAD + "? [a]\n: 1\n", "is no YAML"),
    ],
)
def test_a_project_file_that_is_broken_or_not_ours_is_told_and_never_overwritten(
    text, said, tmp_path
):
    (tmp_path / "project.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        open_project(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["project.yaml"]
    assert (tmp_path / "project.yaml").read_text() == text


def test_a_file_that_breaks_while_it_is_open_is_told_kept_and_read_again_once_mended(tmp_path):
    project = open_project(tmp_path / "p")
    project.add("wave")
    path = tmp_path / "p" / "project.yaml"
    good = path.read_text()
    path.write_text("format: [")
    assert names(project) == [BACKGROUND, "wave"]
    assert "line 1" in project.problem
    with pytest.raises(ConfigError, match="line 1"):
        project.add("clap")
    assert names(project) == [BACKGROUND, "wave"]
    assert path.read_text() == "format: ["
    path.write_text(good.replace("#0072B2", "#00FF00"))
    assert [action.colour for action in project.actions()][1] == "#00FF00"
    assert project.problem is None


def test_what_others_wrote_into_the_file_stays(tmp_path):
    open_project(tmp_path / "p")
    path = tmp_path / "p" / "project.yaml"
    path.write_text(path.read_text() + "weights: builtin\nname2: {a: [1, 2]}\n")
    open_project(tmp_path / "p").add("wave")
    assert "weights: builtin\nname2:\n  a:\n  - 1\n  - 2\n" in path.read_text()


def test_a_project_whose_parts_are_links_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "clips").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="clips is a link, and a project holds its files itself"):
        open_project(tmp_path / "p")
    project = open_project(tmp_path / "q")
    make_tree(tmp_path / "elsewhere", "1.mp4")
    (project.clips / "linked").symlink_to(tmp_path / "elsewhere")
    assert names(project) == [BACKGROUND]


def test_a_recording_is_known_by_its_name():
    assert take_of("20261129-101500-12.webm") == "20261129-101500"
    assert take_of("20261129-101500.webm") is None
    assert take_of("wave-20261129-101500-1.webm") is None


def test_every_command_reads_a_project_with_its_runs_cache_and_background(tmp_path, monkeypatch):
    project = open_project(tmp_path / "my project")
    for name in ("wave", "train", "empty"):
        project.add(name)
    takes = ("20261129-101500-1.webm", "20261129-101500-2.webm", "20261129-101700-1.webm")
    for name in (BACKGROUND, "wave", "train"):
        make_tree(project.clips / name, *takes)
    found = read_source(project.folder)
    config = found.written()
    assert config.run.folder == project.folder / "runs"
    assert config.run.name == "my-project"
    assert config.events.background == (BACKGROUND,)
    assert config.features.cache_dir == str(project.folder / "cache" / "features")
    clips = read_manifest(config.data.manifest)
    assert {clip.label for clip in clips} == {BACKGROUND, "wave", "train"}
    assert {clip.group for clip in clips} == {"20261129-101500", "20261129-101700"}
    assert [clip.split for clip in clips] == [""] * 9
    # A clip that comes by hand is in at once, with the take that its name tells.
    make_tree(project.clips, "wave/20261129-110000-1.mp4")
    again = read_manifest(read_source(project.folder).written().data.manifest)
    assert {clip.group for clip in again} == {
        "20261129-101500", "20261129-101700", "20261129-110000",
    }  # fmt: skip
    monkeypatch.chdir(tmp_path)
    printed = run("config", "my project", cwd=tmp_path).stdout
    assert "my project/runs" in printed


@pytest.mark.parametrize("person", ["20261129-101500", "Ana"])
def test_an_action_recorded_once_is_divided_by_clips_and_said(tmp_path, person):
    project = open_project(tmp_path / "p")
    names = [f"20261129-101500-{number}.webm" for number in range(1, 6)]
    make_tree(project.clips / "wave", *names)
    make_tree(project.clips / "clap", *names[:3], "20261129-101700-1.webm")
    paths = sorted(project.clips.glob("*/*.webm"))
    rows = [f"{p.parent.name}/{p.name},{p.parent.name},{person}" for p in paths]
    own = project.clips / "manifest.csv"
    own.write_text("\n".join(["path,label,group", *rows]) + "\n")
    before = own.read_text()
    found = read_source(project.folder)
    assert "wave are of one person or take" in found.notes[-1]
    config = found.written()
    clips = read_manifest(config.data.manifest, config.data.root)
    split = split_clips(clips)
    assert {clip.label for clip in split.test} <= {clip.label for clip in split.train}
    assert {clip.label for clip in split.train} == {"wave", "clap"}
    assert all(clip.path.is_file() for clip in clips)
    assert own.read_text() == before
    kept = read_source(project.folder, as_recorded=True)
    assert kept.config.data.manifest == own


def test_the_runs_of_a_project_are_listed_from_anywhere(tmp_path):
    open_project(tmp_path / "p")
    make_tree(tmp_path / "p", "runs/tried/best.safetensors", "runs/tried/summary.json")
    assert "tried" in run("runs", "--folder", "p", cwd=tmp_path).stdout


def test_a_background_without_clips_is_no_class(tmp_path):
    project = open_project(tmp_path / "p")
    make_tree(project.clips, "wave/1.mp4", "clap/1.mp4")
    config = read_source(project.folder).config
    assert config.events.background == ()


def test_a_training_of_a_broken_project_says_the_line(tmp_path):
    open_project(tmp_path / "p")
    (tmp_path / "p" / "project.yaml").write_text(HEAD + "actions: 1\n")
    with pytest.raises(ConfigError, match="line 2"):
        read_source(tmp_path / "p")
    (tmp_path / "p" / "project.yaml").write_text("name: other\n")
    assert not is_project(tmp_path / "p")


@pytest.mark.parametrize("part", [".studio/clips", ".studio/undo.json", "cache", "project.yaml"])
def test_no_link_in_a_project_from_elsewhere_is_followed(tmp_path, part):
    # Pictures of clips that are gone are removed: here the user's own would have been.
    theirs = tmp_path / "precious"
    theirs.mkdir()
    (tmp_path / "p" / ".studio").mkdir(parents=True)
    (tmp_path / "p" / part).symlink_to(theirs)
    with pytest.raises(ConfigError, match="is a link, and a project holds its files itself"):
        open_project(tmp_path / "p")


def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path):
    (tmp_path / "p" / "clips" / "wave").mkdir(parents=True)
    os.mkfifo(tmp_path / "p" / "clips" / "manifest.csv")
    with pytest.raises(ConfigError, match=r"manifest.csv is no file and no folder but a pipe"):
        open_project(tmp_path / "p")


def test_a_link_among_what_was_deleted_is_the_user_s_own(tmp_path):
    project = open_project(tmp_path / "p")
    (project.hidden / "trash" / "1" / "wave").mkdir(parents=True)
    (project.hidden / "trash" / "1" / "wave" / "linked").symlink_to(tmp_path)
    assert open_project(tmp_path / "p").name == "p"


def test_a_folder_whose_name_no_table_can_hold_is_no_action(tmp_path):
    project = open_project(tmp_path / "p")
    (project.clips / "a\nb").mkdir()
    Path(os.fsdecode(os.fsencode(project.clips) + b"/\xff")).mkdir()
    assert names(project) == [BACKGROUND]
