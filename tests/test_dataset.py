import sys
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.dataset_trees import make_tree
from hypothesis import given
from hypothesis import strategies as st

from action_gru.core.errors import DataError
from action_gru.dataset import (
    Clip,
    Split,
    check_classes,
    class_list,
    data_hash,
    grouped_folds,
    merge_groups,
    read_manifest,
    split_clips,
)
from action_gru.dataset.splits import hold_out
from action_gru.features import ClipFeatures
from action_gru.features.sequences import NO_LABEL, SequenceSet, class_targets, is_known, stack_rows
from action_gru.video import VideoFile


def manifest(tmp_path: Path, text: str, files: int = 1) -> Path:
    for index in range(files):
        (tmp_path / f"{'abcdef'[index]}.mp4").write_bytes(b"x")
    path = tmp_path / "clips.csv"
    path.write_text(text)
    return path


def clips_of(*groups: str, labels: str = "", split: str = "") -> list[Clip]:
    labels = labels or "ab" * len(groups)
    return [
        Clip(Path(f"{split}{i}.mp4"), f"{split}{i}.mp4", labels[i], group, split)
        for i, group in enumerate(groups)
    ]


def test_a_manifest_gives_its_clips(tmp_path):
    path = manifest(
        tmp_path,
        "\ufeffpath,label,group,split,start_s,end_s,remark\n"
        "a.mp4,sit,anna,train,,,first\n"
        "a.mp4,stand,anna,validation,1.5,3,\n"
        '"b.mp4",sit,,test,,2,\n',
        files=2,
    )
    first, second, third = read_manifest(path)
    assert (first.label, first.group, first.split, first.name) == ("sit", "anna", "train", "a.mp4")
    assert (second.split, second.start_s, second.end_s) == ("val", 1.5, 3.0)
    assert second.name == "a.mp4[1.5:3]"
    assert (third.group, third.name) == ("b.mp4", "b.mp4[0:2]")
    assert first.path == tmp_path / "a.mp4"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,lable\na.mp4,x\n", r"no column label; the first line must be path,label"),
        ("path,label\n", "holds no clip, only a header"),
        ("", "no column path and no label"),
        ("path,label\na.mp4\n", "line 2: has 1 field, the header has 2; put quotes"),
        ("path,label\na.mp4,x,y\n", "line 2: has 3 fields, the header has 2"),
        ("path,label\na.mp4,\n", "must not be empty.*; a row without a label needs data.task"),
        ("path,label\n/etc/passwd,x\n", "line 2: path must be relative to the root"),
        ("path,label\n" + "a" * 300 + ".mp4,x\n", r"line 2: path is longer .*, got 'a{40}\.\.\.'"),
        ("path,label\n" + "a/" * 2000 + "b.mp4,x\n", "line 2: path is longer"),
        ("path,label\na.mp4,x\x1b[2J\n", r"line 2: label holds a control character, got 'x\\x1b"),
        ("path,label\na\0.mp4,x\n", "line 2: path holds a control character|not a CSV"),
        ("path,label\n../a.mp4,x\n", "line 2: path must be relative to the root"),
        ("path,label,split\na.mp4,x,rest\n", "split is train, val, test or empty, got 'rest'"),
        ("path,label,start_s\na.mp4,x,-1\n", "start_s is seconds .* got '-1'"),
        ("path,label,start_s\na.mp4,x,nan\n", "start_s is seconds .* got 'nan'"),
        ("path,label,start_s,end_s\na.mp4,x,2,1\n", "end_s must lie after start_s, got 2.0 to 1.0"),
        ("path,label\na.mp4,x\na.mp4,y\n", "a.mp4 appears twice as 'x' and 'y'"),
        ("path,label\nb.mp4,x\nc.mp4,y\n", "none of its 2 files exists.*set data.root"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        read_manifest(manifest(tmp_path, text))


def test_segments_late_in_a_long_file_have_names_of_their_own(tmp_path):
    text = "path,label,start_s,end_s\na.mp4,x,10000.01,10000.02\na.mp4,y,10000.02,10000.03\n"
    first, second = read_manifest(manifest(tmp_path, text))
    assert (first.name, second.name) == ("a.mp4[10000.01:10000.02]", "a.mp4[10000.02:10000.03]")


def test_a_segments_name_stays_as_short_as_its_seconds():
    clip = Clip(Path("a.mp4"), "a.mp4", "x", "", "", 1.0, 2.5)
    assert clip.name == "a.mp4[1:2.5]"
    assert replace(clip, start_s=None, end_s=12345.0).name == "a.mp4[0:12345]"
    assert replace(clip, end_s=None).name == "a.mp4[1:]"


def test_a_link_out_of_the_root_is_refused(tmp_path):
    (tmp_path / "outside.mp4").write_bytes(b"x")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.mp4").symlink_to(tmp_path / "outside.mp4")
    (root / "clips.csv").write_text("path,label\na.mp4,x\n")
    with pytest.raises(DataError, match="is a link out of"):
        read_manifest(root / "clips.csv")


def test_a_link_in_a_circle_is_named(tmp_path):
    (tmp_path / "one.mp4").symlink_to(tmp_path / "two.mp4")
    (tmp_path / "two.mp4").symlink_to(tmp_path / "one.mp4")
    (tmp_path / "a.mp4").write_bytes(b"x")
    path = manifest(tmp_path, "path,label\na.mp4,x\none.mp4,y\n")
    if sys.version_info >= (3, 13):  # resolve() leaves the link as it is: a file that is missing
        assert not read_manifest(path)[1].path.is_file()
        return
    with pytest.raises(DataError, match=r"line 3: path 'one\.mp4' cannot be followed"):
        read_manifest(path)


def test_a_label_outside_the_class_list_is_counted(tmp_path):
    path = manifest(tmp_path, "path,label\na.mp4,run\nb.mp4,sit\n", files=2)
    with pytest.raises(
        DataError, match=r"unknown label 'run' \(1 clip\); the classes are sit, stand"
    ):
        read_manifest(path, classes=("sit", "stand"))


def test_an_empty_class_and_a_single_class_are_refused():
    with pytest.raises(DataError, match="no clip shows c"):
        class_list(clips_of("g", "h"), ("a", "b", "c"))
    with pytest.raises(DataError, match=r"one class only \('a'\)"):
        class_list(clips_of("g", "h", labels="aa"))
    assert class_list(clips_of("g", "h", labels="ba")) == ("a", "b")


@given(
    groups=st.lists(st.sampled_from("abcdefghij"), min_size=12, max_size=60),
    folds=st.integers(2, 5),
    seed=st.integers(0, 5),
)
def test_folds_never_divide_a_group_and_none_is_empty(groups, folds, seed):
    clips = clips_of(*groups, labels="xy" * len(groups))
    if len(set(groups)) < folds:
        with pytest.raises(DataError, match="folds need as many groups"):
            grouped_folds(clips, folds, seed)
        return
    parts = grouped_folds(clips, folds, seed)
    assert set(parts) == set(range(folds))
    assert len({(clip.group, part) for clip, part in zip(clips, parts, strict=True)}) == len(
        set(groups)
    )


def test_as_many_folds_as_groups_leave_one_group_out():
    clips = clips_of(*"aabbccdd", labels="xyxyxyxy")
    parts = grouped_folds(clips, 4, seed=3)
    assert sorted(Counter(parts).values()) == [2, 2, 2, 2]


def test_folds_are_alike_in_size_and_classes():
    groups = [f"g{index // 4}" for index in range(200)]
    labels = "".join("xy"[(index // 4) % 2] for index in range(200))
    parts = grouped_folds(clips_of(*groups, labels=labels), 5, seed=0)
    for fold in range(5):
        held = Counter(label for label, part in zip(labels, parts, strict=True) if part == fold)
        assert held == {"x": 20, "y": 20}


def test_a_column_split_is_used_as_it_is():
    clips = clips_of("a", "b", split="train") + clips_of("c", "d", split="test")
    split = split_clips(clips)
    assert (len(split.train), len(split.val), len(split.test)) == (2, 0, 2)


def test_without_a_column_whole_groups_are_held_out():
    clips = clips_of(*[f"g{i // 2}" for i in range(40)])
    split = split_clips(clips, test_share=0.2, val_share=0.25)
    groups = [{clip.group for clip in part} for part in (split.train, split.val, split.test)]
    assert [len(part) for part in (split.train, split.val, split.test)] == [24, 8, 8]
    assert not groups[0] & groups[1]
    assert not (groups[0] | groups[1]) & groups[2]
    assert split_clips(clips, "none").train == tuple(
        clip for clip in split_clips(clips, "none").clips
    )


def test_a_group_on_both_sides_is_an_error_unless_it_is_allowed():
    clips = clips_of("a", "b", split="train") + clips_of("a", "d", split="test")
    with pytest.raises(DataError, match=r"group 'a' is in train and test.*allow_leakage: true"):
        split_clips(clips)
    assert len(split_clips(clips, allow_leakage=True).test) == 2


def test_a_clip_in_two_splits_is_an_error(tmp_path):
    path = manifest(tmp_path, "path,label,split\na.mp4,x,train\na.mp4,x,test\nb.mp4,y,train\n", 2)
    with pytest.raises(DataError, match=r"group 'a.mp4' is in train and test"):
        split_clips(read_manifest(path))


def test_a_file_in_two_splits_is_an_error_whatever_its_groups(tmp_path):
    text = "path,label,group,split\na.mp4,x,g,train\na.mp4,x,h,test\nb.mp4,y,i,train\n"
    with pytest.raises(DataError, match=r"file '.*a.mp4' is in train and test"):
        split_clips(read_manifest(manifest(tmp_path, text, 2)))


def test_a_mistyped_column_is_named_and_an_own_one_is_fine(tmp_path):
    with pytest.raises(DataError, match=r"unknown column 'spilt'; did you mean 'split'"):
        read_manifest(manifest(tmp_path, "path,label,spilt\na.mp4,x,test\n"))
    (clip,) = read_manifest(manifest(tmp_path, "Path,Label,Split,remark\na.mp4,x,test,hm\n"))
    assert clip.split == "test"


@pytest.mark.parametrize(("share", "held"), [(0.2, 8), (0.4, 16), (0.3, 12), (0.5, 20)])
def test_the_share_that_is_asked_is_held_out(share, held):
    clips = clips_of(*[f"g{i // 2}" for i in range(40)])
    assert len(split_clips(clips, "group", test_share=share).test) == held


def test_few_groups_are_divided_and_one_is_refused():
    assert len(split_clips(clips_of("a", "b", labels="xx"), "group").test) == 1
    with pytest.raises(DataError, match="2 clips are of one group, so no whole group can be held"):
        split_clips(clips_of("a", "a"), "group")


def test_groups_that_share_bytes_become_one():
    clips = clips_of("a", "b", "c", "d")
    merged = merge_groups(clips, {"0.mp4": "1", "1.mp4": "2", "2.mp4": "1", "3.mp4": "3"})
    groups = [clip.group for clip in merged]
    assert groups[0] == groups[2]
    assert len(set(groups)) == 3


def test_a_half_filled_column_and_an_unseen_class_are_errors():
    with pytest.raises(DataError, match="1 clip without a split"):
        split_clips(clips_of("a", "b", split="train") + clips_of("c", labels="a"))
    train, test = clips_of("a", labels="a", split="train"), clips_of("b", labels="b", split="test")
    with pytest.raises(DataError, match="the training part has no clip of b"):
        split_clips(train + test)


def features(steps: int, start: float, dim: int = 2) -> ClipFeatures:
    values = (start + np.arange(steps * dim).reshape(steps, dim)).astype(np.float16)
    return ClipFeatures(values, np.arange(steps) / 10)


def three_clips(flipped: bool = False) -> SequenceSet:
    plain = [[features(3, 0), features(3, 100, 1)], [features(1, 50), features(1, 60, 1)]]
    mirrored = [[features(3, 500), features(3, 600, 1)], [features(1, 550), features(1, 560, 1)]]
    return SequenceSet(plain, [1, 0], mirrored if flipped else None)


def test_views_lie_side_by_side_and_padding_is_zero():
    sequences = three_clips()
    batch = sequences.gather(sequences.starts, sequences.lengths)
    assert batch.tolist() == [
        [[0, 1, 100], [2, 3, 101], [4, 5, 102]],
        [[50, 51, 60], [0, 0, 0], [0, 0, 0]],
    ]


def test_long_clips_are_read_in_windows_and_mirrored_rows_lie_behind():
    clip, start, length = three_clips().read_windows(max_frames=2)
    assert (clip.tolist(), start.tolist(), length.tolist()) == ([0, 0, 1], [0, 2, 3], [2, 1, 1])
    sequences = three_clips(flipped=True)
    _, start, _ = sequences.read_windows(max_frames=9, flipped=True)
    assert sequences.values[start].tolist() == [[500, 501, 600], [550, 551, 560]]


def test_views_of_different_length_are_refused():
    with pytest.raises(DataError, match=r"differ in length: \[2, 3\]"):
        SequenceSet([[features(3, 0), features(2, 0)]], [0])


def sequence_parts(count: int = 5) -> list[list[ClipFeatures]]:
    rng = np.random.default_rng(0)
    shapes = [(3 + index, 4) for index in range(count)]
    return [
        [ClipFeatures(rng.normal(size=shape).astype(np.float16), np.arange(shape[0]) / 10.0)]
        for shape in shapes
    ]


def test_a_set_that_does_not_fit_is_mapped_from_a_file_and_reads_the_same():
    parts = sequence_parts()
    labels = [0, 1, 0, 1, 1]
    memory = SequenceSet(parts, labels, parts[::-1][::-1])
    mapped = SequenceSet(iter(parts), labels, iter(parts), most_bytes=100)
    assert torch.equal(mapped.values, memory.values)
    assert mapped.lengths.tolist() == memory.lengths.tolist() == [3, 4, 5, 6, 7]
    assert mapped.flip_offset == memory.flip_offset == 25
    starts, lengths = torch.tensor([3, 25]), torch.tensor([4, 3])
    assert torch.equal(mapped.gather(starts, lengths), memory.gather(starts, lengths))


def test_rows_beyond_the_room_come_back_mapped_from_a_file():
    parts = [views[0].values for views in sequence_parts()]
    for most_bytes, kind in ((None, np.ndarray), (10_000, np.ndarray), (100, np.memmap)):
        rows, lengths = stack_rows(([part] for part in parts), most_bytes)
        assert type(rows) is kind
        assert lengths == [3, 4, 5, 6, 7]
        np.testing.assert_array_equal(rows, np.concatenate(parts))


def test_a_full_disk_is_named_when_a_set_does_not_fit(monkeypatch):
    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", Full)
    with pytest.raises(DataError, match=r"No space left on device.*features\.memory_gb"):
        SequenceSet(sequence_parts(), [0, 1, 0, 1, 1], most_bytes=100)


def test_the_smallest_share_holds_out_no_more_than_a_part():
    kept, held = hold_out(clips_of(*"abcdef"), 5e-324, 0)
    assert (len(kept), len(held)) == (5, 1)


@pytest.mark.parametrize(
    "header",
    ["path,label,label", "path,label,Label", "path, label ,LABEL", "path,label,\ufefflabel",
     "\ufeffpath,label,group,PATH", "path;label;label"],
)  # fmt: skip
def test_a_column_that_stands_twice_is_refused(tmp_path, header):
    twice = "path" if "PATH" in header else "label"
    row = header.count(",") * ",x" if "," in header else ";x;y"
    with pytest.raises(DataError, match=f"the column '{twice}' appears twice"):
        read_manifest(manifest(tmp_path, f"{header}\na.mp4{row}\n"))


def test_columns_without_a_name_may_be_several(tmp_path):
    (clip,) = read_manifest(manifest(tmp_path, "path,label,,\na.mp4,x,,\n"))
    assert clip.label == "x"


def test_the_duplicate_column_of_the_case_is_refused(shared_cases):
    with pytest.raises(DataError, match="the column 'label' appears twice"):
        read_manifest(shared_cases / "F11" / "manifest.csv")


@pytest.mark.parametrize("mark", [";", "\t"])
def test_the_separators_and_decimal_commas_of_excel_are_read(tmp_path, mark):
    text = "\ufeffpath,label,start_s,end_s\r\na.mp4,x,1§5,2§25\r\n"
    text = text.replace(",", mark).replace("§", ",")
    (clip,) = read_manifest(manifest(tmp_path, text))
    assert (clip.label, clip.start_s, clip.end_s) == ("x", 1.5, 2.25)


def test_a_comma_in_a_number_between_commas_is_a_question(tmp_path):
    with pytest.raises(DataError, match=r"line 2: start_s is '1,500', which has ','"):
        read_manifest(manifest(tmp_path, 'path,label,start_s\na.mp4,x,"1,500"\n'))


def test_splits_may_be_called_as_people_call_them(tmp_path):
    text = "path,label,split\na.mp4,x,Training\nb.mp4,x,dev\nc.mp4,x,TEST\nd.mp4,x,eval\n"
    clips = read_manifest(manifest(tmp_path, text, 4))
    assert [clip.split for clip in clips] == ["train", "val", "test", "test"]


def test_paths_written_on_windows_are_found_and_are_the_same_clips(tmp_path):
    (tmp_path / "walk").mkdir()
    (tmp_path / "walk" / "1.mp4").touch()
    (tmp_path / r"b\c.mp4").touch()
    path = manifest(tmp_path, "path,label\nwalk\\1.mp4,x\nb\\c.mp4,y\n")
    first, second = read_manifest(path)
    assert (first.path, first.relative) == (tmp_path / "walk" / "1.mp4", "walk/1.mp4")
    assert (second.path, second.relative) == (tmp_path / r"b\c.mp4", r"b\c.mp4")
    for wrong, said in (
        (r"..\a.mp4", "must be relative to the root and stay in it"),
        (r"C:\clips\a.mp4", "must be relative to the root, got .* of a Windows drive"),
        ("./a.mp4", "appears twice as 'y' and 'x'"),
    ):
        with pytest.raises(DataError, match=said):
            read_manifest(manifest(tmp_path, f"path,label\na.mp4,y\n{wrong},x\n"))


def test_names_with_accents_are_one_whichever_way_they_are_written(tmp_path):
    nfc, nfd = (unicodedata.normalize(form, "gähnen") for form in ("NFC", "NFD"))
    (tmp_path / nfd).mkdir()
    (tmp_path / nfd / "1.mp4").touch()
    path = manifest(tmp_path, f"path,label,group\n{nfc}/1.mp4,{nfc},{nfd}\na.mp4,{nfd},{nfc}\n")
    first, second = read_manifest(path, classes=[nfd, "x"])
    assert first.path == tmp_path / nfd / "1.mp4"
    assert (first.label, first.group) == (second.label, second.group) == (nfc, nfc)
    clips = [first, replace(second, label="x")]
    assert class_list(clips, [nfd, "x"]) == (nfc, "x")
    with pytest.raises(DataError, match="appears twice"):
        read_manifest(manifest(tmp_path, f"path,label\n{nfc}/1.mp4,x\n{nfd}/1.mp4,y\n"))
    (tmp_path / "\u2126.mp4").touch()  # the Ohm sign, which neither form keeps
    (ohm,) = read_manifest(manifest(tmp_path, "path,label\n\u2126.mp4,x\n"))
    assert ohm.path.is_file()


def test_names_with_colons_are_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cam1:12:30.mp4").touch()
    Path("clips.csv").write_text("path,label\ncam1:12:30.mp4,x\n")
    for root in (None, Path(), tmp_path):
        (clip,) = read_manifest(Path("clips.csv"), root)
        assert clip.path.is_file()


def test_folders_in_a_manifest_without_pictures_of_their_own_are_told_with_the_mend(tmp_path):
    make_tree(tmp_path, "wave/v_0/1.jpg", "wave/v_0/2.jpg", "clap/v_1/a.jpg")
    with pytest.raises(
        DataError, match=r"wave is a folder, as are 2 of its 2 .*wave/v_0 are the frames of a clip"
    ):
        read_manifest(manifest(tmp_path, "path,label\nwave,x\nclap,y\n"))
    (tmp_path / "b").mkdir()  # one among files costs itself only, where it is read
    assert len(read_manifest(manifest(tmp_path, "path,label\na.mp4,x\nb,y\n"))) == 2


def test_a_folder_of_frames_takes_the_rate_of_its_row_or_that_of_all(tmp_path):
    make_tree(tmp_path, "v/1.png", "v/2.png", "w/1.png", "w/2.png", "a.mp4")
    table = manifest(tmp_path, "path;label;frame_rate\nv;x;12,5\nw;y;\na.mp4;x;\n")
    clips = read_manifest(table, frame_rate=30.0)
    assert [clip.frame_rate for clip in clips] == [12.5, 30.0, None]
    with pytest.raises(
        DataError, match=r"w holds pictures, .* column frame_rate, .* data\.frame_r"
    ):
        read_manifest(table)
    assert data_hash(clips) != data_hash([replace(clip, frame_rate=None) for clip in clips])


@pytest.mark.parametrize(
    ("cell", "said"),
    [("0", "frame_rate is frames a second, up to 1000, got '0'"), ("fast", "got 'fast'"),
     ("25", r"a\.mp4 is a video file, which has its own times, and its row says frame_rate 25")],
)  # fmt: skip
def test_a_rate_that_cannot_be_is_refused(tmp_path, cell, said):
    (tmp_path / "a.mp4").touch()
    with pytest.raises(DataError, match=said):
        read_manifest(manifest(tmp_path, f"path,label,frame_rate\na.mp4,x,{cell}\n"))


def refused(clips: list[Clip], *how: object, **shares: float) -> str:
    with pytest.raises(DataError) as caught:
        split_clips(clips, *how, **shares)
    return str(caught.value)


def test_classes_of_one_clip_are_named_with_what_helps():
    clips = clips_of("1", "2", "3", labels="abc")
    for seed in range(5):
        said = refused(clips, seed=seed)
        assert "a, b, c have one clip each, so that none is left to train on" in said
        assert said.endswith("add clips of other groups, or set data.test_share=0")
    assert len(split_clips(clips, test_share=0).train) == 3
    both = refused(clips, test_share=0.3, val_share=0.3)
    assert both.endswith("or set data.test_share=0 data.val_share=0")


def test_the_clips_of_the_case_have_one_each(shared_cases):
    said = refused(read_manifest(shared_cases / "F27" / "manifest.csv"))
    assert "a, b, c have one clip each" in said
    assert "set data.test_share=0" in said


def test_a_class_of_one_group_is_told_from_one_that_a_seed_left_out():
    clips = clips_of("p", "p", "q", labels="aab")
    said = refused(clips, test_share=0.5)
    assert "b has one clip and all clips of a are of one group, so that none is left" in said
    assert "seed" not in said
    train, test = clips_of("m", labels="a"), clips_of("n", "o", labels="bb")
    with pytest.raises(DataError, match=r"has no clip of b, .* by chance: try another seed; add"):
        check_classes(Split(tuple(train), (), tuple(test)))


def test_a_column_that_trains_no_clip_of_a_class_is_told_without_a_seed():
    train, test = clips_of("a", labels="a", split="train"), clips_of("b", labels="b", split="test")
    assert refused(train + test).endswith(
        "the other parts have; add clips of other groups, or mark some as train in the column split"
    )
    shown_twice = clips_of("b", "b", labels="bb", split="test")
    hint = "annotations FILES --videos DIR --map b=CLASS' give a CSV with that one"
    assert refused(train + shown_twice).endswith(hint)


def test_a_label_of_several_names_is_read_as_each_of_them(tmp_path):
    text = "path,label\na.mp4,walk; read\nb.mp4,\nc.mp4,read;read ;\n"
    clips = read_manifest(manifest(tmp_path, text), many=True)
    assert [clip.labels for clip in clips] == [("walk", "read"), (), ("read",)]
    assert [clip.label for clip in clips] == ["walk; read", "", "read"]
    assert class_list(clips) == ("read", "walk")
    with pytest.raises(DataError, match="unknown label 'read' \\(2 clips\\)"):
        read_manifest(manifest(tmp_path, text), classes=("walk", "x"), many=True)
    (one, *_) = read_manifest(manifest(tmp_path, "path,label\na.mp4,walk; read\n"))
    assert one.labels == ("walk; read",)


def test_targets_say_what_is_shown_and_what_is_unknown():
    names = [("b",), None, ("a", "c"), ()]
    many = class_targets(names, "abc", many=True)
    assert many.dtype == torch.int8
    assert many.tolist() == [[0, 1, 0], [NO_LABEL] * 3, [1, 0, 1], [0, 0, 0]]
    one = class_targets(names[:3], "abc", many=False)
    assert (one.dtype, one.tolist()) == (torch.int64, [1, NO_LABEL, 0])
    assert is_known(many).tolist() == [True, False, True, True]
    assert is_known(one).tolist() == [True, False, True]


def test_mirrored_rows_have_the_targets_of_the_plain_ones():
    plain, targets = [[features(3, 0)]], class_targets([("b",), (), None], "ab", many=True)
    labels = class_targets([()], "ab", many=True)
    sequences = SequenceSet(plain, labels, [[features(3, 500)]], targets)
    rows, inside = torch.tensor([[3, 4, 0]]), torch.tensor([[True, True, False]])
    taken = sequences.take_labels(rows, inside)
    assert taken.tolist() == [[[0, 1], [0, 0], [NO_LABEL, NO_LABEL]]]


def test_one_class_is_enough_where_some_clips_show_nothing(tmp_path):
    text = "path,label\na.mp4,fall\nb.mp4,\n"
    assert class_list(read_manifest(manifest(tmp_path, text), many=True)) == ("fall",)
    with pytest.raises(DataError, match="one class only"):
        class_list(read_manifest(manifest(tmp_path, "path,label\na.mp4,fall\n"), many=True))
    with pytest.raises(DataError, match="no clip has a label"):
        class_list(read_manifest(manifest(tmp_path, "path,label\na.mp4,\n"), many=True))


def test_folds_spread_each_label_of_several(tmp_path):
    clips = [
        Clip(Path(f"{n}.mp4"), f"{n}.mp4", label, f"g{n}", shows=shows)
        for n, (label, shows) in enumerate([("a; b", ("a", "b")), ("a", ("a",)), ("", ())] * 6)
    ]
    for fold in range(3):
        part = [c for c, f in zip(clips, grouped_folds(clips, 3, 0), strict=True) if f == fold]
        counts = Counter(name for clip in part for name in clip.labels or ("nothing",))
        assert counts == {"a": 4, "b": 2, "nothing": 2}


@pytest.mark.parametrize(
    ("start", "end", "bounds"),
    [
        ("0:00:12", "0:01:15", (12.0, 75.0)),  # as Excel rewrites 0:12 and 1:15
        ("1:02:03.5", "01:02:04,25", (3723.5, 3724.25)),
        ("90:00", "90:00.040", (5400.0, 5400.04)),
        ("1,5\u00a0", "\u00a02,25", (1.5, 2.25)),
    ],
)
def test_bounds_may_be_a_clocks_time(tmp_path, start, end, bounds):
    (clip,) = read_manifest(
        manifest(tmp_path, f"path;label;start_s;end_s\na.mp4;x;{start};{end}\n")
    )
    assert (clip.start_s, clip.end_s) == bounds


@pytest.mark.parametrize("text", ["1:75", "1:60:00", "12:30:00 AM", ":30", "1:2:3:4"])
def test_what_is_no_clocks_time_is_named(tmp_path, text):
    with pytest.raises(DataError, match=f"line 2: start_s is seconds .* got '{text}'"):
        read_manifest(manifest(tmp_path, f"path,label,start_s\na.mp4,x,{text}\n"))


def test_frame_numbers_become_the_times_of_the_files_own_frames(tmp_path, monkeypatch):
    opened = []

    class Reader:  # of four frames at an uneven rate
        def __init__(self, path, threads, limits, frame_rate):
            opened.append(path.name)
            self.info, self.left = SimpleNamespace(first_s=0.0), iter([0.25, 1.0, 1.25])

        def grab(self):
            return next(self.left, None)

        def close(self):
            pass

    monkeypatch.setattr("action_gru.video.file.open_file", Reader)
    text = "path,label,start_frame,end_frame\na.mp4,x,1,3\na.mp4,y,3.0,4\na.mp4,x,,2\nb.mp4,y,,\n"
    clips = read_manifest(manifest(tmp_path, text, 2))
    assert [(clip.start_s, clip.end_s) for clip in clips] == [
        (0.25, 1.25),
        (1.25, 1.5),  # the number of frames is the end of the last one
        (None, 1.0),
        (None, None),
    ]
    assert opened == ["a.mp4"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a.mp4,x,-1,,", "start_frame is a frame's number, the first frame's is 0, got '-1'"),
        ("a.mp4,x,1.5,,", "start_frame is a frame's number"),
        (f"a.mp4,x,,{'9' * 400},", "end_frame is a frame's number"),
        ("a.mp4,x,1,,2", "start_s and start_frame are both given; leave one of them empty"),
        ("a.mp4,x,5,5,", "end_s must lie after start_s"),
    ],
)
def test_frame_numbers_that_cannot_be_used_are_named(tmp_path, row, said):
    with pytest.raises(DataError, match=f"line 2: {said}"):
        read_manifest(manifest(tmp_path, f"path,label,start_frame,end_frame,start_s\n{row}\n"))


def test_frame_numbers_are_those_of_the_decoder(square_video):
    instants = [frame.time_s for frame in VideoFile(square_video)]
    manifest = square_video.with_name("clips.csv")
    manifest.write_text(f"path,label,start_frame,end_frame\n{square_video.name},x,2,5\n")
    (clip,) = read_manifest(manifest)
    assert (clip.start_s, clip.end_s) == (instants[2], instants[5])


def test_a_missing_file_with_frame_numbers_is_left_to_the_quarantine(tmp_path):
    text = "path,label,start_frame,end_frame\na.mp4,x,,\nb.mp4,y,25,50\n"
    assert read_manifest(manifest(tmp_path, text))[1].name == "b.mp4[1:2]"


def test_a_link_out_of_the_root_is_followed_on_request(tmp_path):
    (tmp_path / "outside.mp4").write_bytes(b"x")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.mp4").symlink_to(tmp_path / "outside.mp4")
    (root / "clips.csv").write_text("path,label\na.mp4,x\n")
    with pytest.raises(DataError, match=r"copy the file into it, or write data\.follow_links: tru"):
        read_manifest(root / "clips.csv")
    (clip,) = read_manifest(root / "clips.csv", follow_links=True)
    assert clip.path == root / "a.mp4"
    (root / "clips.csv").write_text("path,label\n../outside.mp4,x\n")
    with pytest.raises(DataError, match="must be relative to the root and stay in it"):
        read_manifest(root / "clips.csv", follow_links=True)


def test_labels_that_differ_only_in_case_or_spaces_are_told(tmp_path, capsys):
    text = "path,label\na.mp4,sit down\nb.mp4,Sit  down\nc.mp4,sit down\nd.mp4,walk\n"
    assert {clip.label for clip in read_manifest(manifest(tmp_path, text, 4))} == {
        "sit down", "Sit  down", "walk",
    }  # fmt: skip
    said = capsys.readouterr().err
    assert "the classes 'sit down' (2 rows) and 'Sit  down' (1 row) differ only in case" in said
    assert "walk" not in said


def test_a_bound_in_a_column_of_an_unclear_name_is_told(tmp_path, capsys):
    with pytest.raises(DataError, match=r"'end'; seconds or mm:ss go into 'end_s', frame numbers"):
        read_manifest(manifest(tmp_path, "path,label,end\na.mp4,x,4\n"))
    (clip,) = read_manifest(manifest(tmp_path, "path,label,start_time\na.mp4,x,4\n"))
    assert clip.start_s is None
    assert "the column 'start_time' is not read; seconds" in capsys.readouterr().err


def test_what_excel_does_to_a_table_is_undone(tmp_path):
    path = manifest(tmp_path, "", 3)
    text = (
        "\ufeffsep=\t\r\nPath\tLabel\tGroup\tStart_s\t\t\r\n"
        "a.mp4\tsit\u00a0down\t“anna”\t1,5\t\t\t\r\n"  # more empty cells than the header has
        "b.mp4\tsit down\r\n"  # Excel leaves empty cells at a row's end out
        " \t\u00a0\t\t\t\t\r\n\t\t\t\t\t\r\n"
    )
    path.write_bytes(text.encode("utf-16"))
    first, second = read_manifest(path)
    assert (first.label, first.group, first.start_s) == ("sit down", "“anna”", 1.5)
    assert (second.label, second.group, second.start_s) == ("sit down", "b.mp4", None)
