"""What a user points at becomes a config: folders, manifests, annotation files."""

import os
from pathlib import Path

import pytest
from helpers.dataset_trees import make_tree
from helpers.videos import write_square

from action_gru.config import build_config, load_config, short_yaml
from action_gru.core.errors import ConfigError, DataError
from action_gru.prepare import source as source_module
from action_gru.prepare.source import read_source

ROOT = Path(__file__).parents[1]


@pytest.fixture
def clips(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_tree(tmp_path / "My clips!", *(f"{name}/{n}.mp4" for name in "ab" for n in (1, 2)))


def rows_of(folder: Path) -> list[str]:
    return (folder / "manifest.csv").read_text().splitlines()[1:]


def test_the_shipped_template_is_what_the_package_does_by_itself():
    own = build_config({"run": {"name": "mine"}})
    assert load_config(ROOT / "configs" / "template.yaml") == own


def test_a_folder_of_class_folders_is_its_clips_and_names_the_run(clips):
    (clips / "b" / "notes.doc").touch()
    found = read_source(clips, ["training.epochs=3"])
    assert found.notes == (f"4 clips of 2 classes in {clips}", "left aside, as no clips: .doc 1")
    assert not (clips / "manifest.csv").exists()
    config = found.written()
    assert (config.run.name, config.training.epochs) == ("My-clips", 3)
    assert config.data.manifest == clips / "manifest.csv"
    assert rows_of(clips) == ["a/1.mp4,a", "a/2.mp4,a", "b/1.mp4,b", "b/2.mp4,b"]
    assert read_source(clips) == read_source(clips)
    assert read_source(clips).manifest is None
    assert read_source(clips, ["run.name=other"]).config.run.name == "other"


def test_a_folder_without_a_usable_name_has_the_default_one(clips, monkeypatch):
    monkeypatch.chdir(clips)
    assert read_source(Path()).config.run.name == "My-clips"
    clips.rename(clips.with_name("!!!"))
    assert read_source(clips.with_name("!!!")).config.run.name == "run"


def test_the_manifest_of_a_folder_keeps_what_was_written_into_it(clips):
    """A spreadsheet's file, with a column of the user's own and a name that a Mac decomposed."""
    (clips / "a" / "gähn.mp4").touch()
    text = "Path;label;group;start_s;note\na/1.mp4;a;ann;1,5;x\na/2.mp4;a;ben;;\n"
    text += "a/ga\u0308hn.mp4;a;cem;;\nb/1.mp4;b;ann;;\n"
    (clips / "manifest.csv").write_text(text)
    (clips / "a" / "2.mp4").unlink()
    found = read_source(clips)
    assert found.notes == (
        f"1 clip new in {clips}: b/2.mp4",
        f"1 clip gone from {clips}: a/2.mp4",
        f"the new ones have no group yet; write it into {clips / 'manifest.csv'}",
    )
    found.written()
    assert (clips / "manifest.csv").read_text().splitlines() == [
        "path,label,group,start_s,note",
        "a/1.mp4,a,ann,1.5,x",
        "a/ga\u0308hn.mp4,a,cem,,",
        "b/1.mp4,b,ann,,",
        "b/2.mp4,b,,,",
    ]
    again = read_source(clips)
    assert (again.manifest, again.notes) == (None, ())


@pytest.mark.parametrize(
    ("rows", "lacking"),
    [
        (
            ["a/1.mp4,other,,", "a/2.mp4,a,,"],
            "b/1.mp4 and b/2.mp4",
        ),  # labels that are not the folders
        (["a/1.mp4,a,0,1", "a/1.mp4,a,2,3", "b/1.mp4,b,0,1"], "a/2.mp4 and b/2.mp4"),
    ],
)
def test_a_manifest_written_by_hand_is_used_as_it_is(clips, rows, lacking):
    text = "\n".join(["path,label,start_s,end_s", *rows]) + "\n"
    (clips / "manifest.csv").write_text(text)
    found = read_source(clips)
    found.written()
    assert (clips / "manifest.csv").read_text() == text
    assert found.notes == (
        f"{clips / 'manifest.csv'} is used as it is; in no row of it: {lacking}",
    )


def test_a_manifest_beside_folders_that_are_no_classes_is_used_and_that_is_told(clips):
    (clips / "empty").mkdir()
    (clips / "manifest.csv").write_text("path,label\na/1.mp4,x\nb/1.mp4,y\n")
    (note,) = read_source(clips).notes
    assert "is used as it is, without the folder's classes: " in note
    assert "the class has no video" in note


def test_the_manifest_of_a_folder_that_cannot_be_written_stands_beside_the_runs(clips, monkeypatch):
    access = os.access
    monkeypatch.setattr(
        source_module.os, "access", lambda path, mode: path != clips and access(path, mode)
    )
    found = read_source(clips)
    assert found.notes == (
        f"4 clips of 2 classes in {clips}",
        f"{clips} cannot be written, so its manifest is runs/My-clips.csv",
    )
    config = found.written()
    assert (config.data.manifest, config.data.root) == (Path("runs/My-clips.csv"), clips)
    place = Path("runs/My-clips.csv")
    place.write_text(place.read_text().replace("label", "label,group").replace(",a", ",a,ann"))
    (clips / "b" / "3.mp4").touch()
    read_source(clips).written()
    assert place.read_text().splitlines()[1:3] == ["a/1.mp4,a,ann", "a/2.mp4,a,ann"]
    assert not (clips / "manifest.csv").exists()


def test_a_disk_that_is_full_is_told_with_the_manifest(clips, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("action_gru.core.files.write_atomically", full)
    with pytest.raises(DataError, match=r"manifest.csv: cannot be written \(No space left"):
        read_source(clips).written()


def test_a_look_at_a_folder_writes_nothing_into_it(clips, tmp_path):
    place = tmp_path / "elsewhere"
    config = read_source(clips).written(place)
    assert (config.data.manifest, config.data.root) == (place / "manifest.csv", clips)
    assert not (clips / "manifest.csv").exists()


def test_a_csv_is_a_manifest_and_its_folder_names_the_run(clips):
    read_source(clips).written()
    config = read_source(clips / "manifest.csv").config
    assert (config.data.manifest, config.run.name) == (clips / "manifest.csv", "My-clips")
    (clips / "long.csv").write_text("id,time,label\n1,0,x\n")
    with pytest.raises(DataError, match=r"no column path.*--videos DIR.*data.kind=table"):
        read_source(clips / "long.csv")
    config = read_source(clips / "long.csv", ["data.kind=table"]).config
    assert (config.data.manifest, config.run.name) == (clips / "long.csv", "long")


def test_a_folder_may_be_the_root_of_another_manifest_or_a_folder_of_tables(clips):
    (clips.parent / "other.csv").write_text("path,label\na/1.mp4,x\nb/1.mp4,y\n")
    config = read_source(clips, ["data.manifest=other.csv"]).config
    assert (config.data.manifest, config.data.root) == (Path("other.csv"), clips)
    assert read_source(clips, ["data.kind=table"]).config.data.manifest == clips


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("run", "go on with it by 'action-gru resume'"),
        ("a.mp4", "clips/CLASS/"),
        ("no", "no folder of clips, CSV or config at no"),
        ("s3://bucket/clips", "is an address"),
    ],
)
def test_what_no_training_reads_is_told_with_what_it_does(tmp_path, monkeypatch, name, said):
    monkeypatch.chdir(tmp_path)
    make_tree(tmp_path, "run/config.yaml", "a.mp4")
    with pytest.raises(ConfigError, match=said):
        read_source(Path(name))


def test_annotation_files_become_the_segments_of_long_videos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "days").mkdir()
    cues = "WEBVTT\n\n00:00.000 --> 00:01.000\nwalk\n\n00:03.000 --> 00:04.000\nsit\n"
    for name in ("mon", "tue"):
        write_square(tmp_path / "days" / f"{name}.mp4", 40)  # four seconds
        (tmp_path / "days" / f"{name}.vtt").write_text(cues)
    files = [Path(f"days/{name}.vtt") for name in ("mon", "tue")]
    found = read_source(files[0], [], files[1:])
    assert found.notes == ("4 segments of 2 videos, 2 classes",)
    data = found.written().data
    assert (data.manifest, data.root) == (Path("runs/days.csv"), Path("days"))
    assert (data.task, data.labels) == ("frames", "one")
    ahead = read_source(files[0], ["model.lookahead=2"], files[1:])
    assert ahead.written().model.lookahead == 2
    place = Path("runs/days.csv")
    place.write_text(place.read_text().replace(",mon.mp4", ",ann"))
    (tmp_path / "days" / "tue.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:02.000\nwalk\n")
    read_source(files[0], [], files[1:]).written()
    assert place.read_text().splitlines()[1:] == [
        "mon.mp4,walk,ann,0,1", "mon.mp4,sit,ann,3,4", "tue.mp4,walk,tue.mp4,0,2",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=r"'days/tue.vtt' is neither a.b=value nor an option"):
        read_source(place, [], files[1:])


def test_a_short_config_reads_back_equal_and_names_only_what_differs(clips):
    changes = ["training.epochs=3", "features.views=[motion, pose]", "data.classes=['01', 'a: b']"]
    config = read_source(clips, changes).config
    text = short_yaml(config, "action-gru train mine.yaml")
    (clips / "mine.yaml").write_text(text)
    assert load_config(clips / "mine.yaml") == config
    keys = [line.split("#")[0].strip() for line in text.splitlines() if line.startswith("  ")]
    assert [key.partition(":")[0] for key in keys] == [
        "name", "manifest", "classes", "views", "epochs",
    ]  # fmt: skip
    assert all(" # " in line for line in text.splitlines() if line.startswith("  "))
