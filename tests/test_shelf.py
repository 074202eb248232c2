"""Clips on disk: none is lost and rows agree with files, whatever is done, undone or cut short."""

import errno
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from helpers.dataset_trees import make_tree

from action_gru.apps.serving import MissingThingError, NoSpaceError
from action_gru.apps.studio import history
from action_gru.apps.studio.clip_rows import ClipRows, clip_files
from action_gru.apps.studio.errors import NotVideoError
from action_gru.apps.studio.file_names import safe_name
from action_gru.apps.studio.shelf import Shelf
from action_gru.core.errors import ActionGruError, ConfigError, DataError
from action_gru.dataset import read_manifest
from action_gru.prepare.project import BACKGROUND, open_project

TAKE = "20261129-101500"
WEBM, MP4 = b"\x1a\x45\xdf\xa3 and so on", b"\0\0\0\x20ftypisom and so on"


class Killed(BaseException):
    """In place of SIGKILL: nothing in the code may catch it."""


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda number: None)


@pytest.fixture
def shelf(tmp_path) -> Shelf:
    return opened(tmp_path / "p")


def opened(folder: Path) -> Shelf:
    shelf = Shelf(open_project(folder), lambda: None)
    shelf.recover()
    return shelf


def put(shelf: Shelf, action: str, data: bytes = WEBM, **facts) -> str:
    file = shelf.new_file()
    file.write_bytes(data)
    return shelf.add(file, action, **facts)


def filled(shelf: Shelf) -> list[str]:
    """wave with three clips of Ana, clap with one of nobody."""
    shelf.add_action("wave")
    shelf.add_action("clap")
    waves = [put(shelf, "wave", person="Ana", take=TAKE, number=n) for n in (1, 2, 3)]
    return [*waves, put(shelf, "clap", name="mine.mp4", data=MP4)]


def contents(shelf: Shelf) -> dict[str, tuple]:
    """Every clip with all that is known of it, and the bytes of its file."""
    clips = {clip.id: (clip, shelf.path(clip.id).read_bytes()) for clip in shelf.clips()}
    return clips | {"actions": shelf.project.actions()}


def check_rows(shelf: Shelf) -> None:
    """manifest.csv has one row for each file, with its folder's name."""
    rows = {clip.relative: clip.label for clip in read_manifest(ClipRows(shelf.project.clips).path)}
    assert rows == {clip: clip.partition("/")[0] for clip in clip_files(shelf.project.clips)}


def test_a_recording_is_called_by_its_take_and_a_dropped_file_keeps_its_name(shelf):
    assert filled(shelf) == [
        f"wave/{TAKE}-1.webm",
        f"wave/{TAKE}-2.webm",
        f"wave/{TAKE}-3.webm",
        "clap/mine.mp4",
    ]
    assert put(shelf, "clap", take=TAKE, number=7, data=MP4) == f"clap/{TAKE}-7.mp4"
    assert put(shelf, "clap", name="a/b\\mine.MP4") == "clap/mine-2.mp4"
    assert put(shelf, "wave", take=TAKE, number=2, data=WEBM + b" other") == f"wave/{TAKE}-4.webm"
    facts = {clip.id: (clip.person, clip.take) for clip in shelf.clips()}
    assert facts["clap/mine.mp4"] == (None, None)
    assert facts[f"wave/{TAKE}-1.webm"] == ("Ana", TAKE)
    assert facts[f"clap/{TAKE}-7.mp4"] == (None, TAKE)
    assert shelf.people() == ["Ana"]
    assert list(shelf.temp.iterdir()) == []
    check_rows(shelf)


def test_a_recording_that_is_sent_again_is_one_clip(shelf):
    """As from a page whose server was killed before it answered."""
    clips = filled(shelf)
    assert put(shelf, "wave", person="Ana", take=TAKE, number=2) == clips[1]
    assert [clip.id for clip in shelf.clips()] == sorted(clips)
    assert shelf.clip(clips[1]).person == "Ana"
    check_rows(shelf)


def test_the_group_of_a_row_is_the_person_else_the_take_or_the_video(shelf):
    filled(shelf)
    put(shelf, "clap", take=TAKE, number=9)
    put(shelf, "clap", name="cut.mp4", take="videos/morning.mp4")
    clips = read_manifest(shelf.project.clips / "manifest.csv")
    groups = {clip.relative: clip.group for clip in clips}
    assert groups[f"wave/{TAKE}-2.webm"] == "Ana"
    assert groups[f"clap/{TAKE}-9.webm"] == TAKE
    assert groups["clap/cut.mp4"] == "videos/morning.mp4"
    assert {clip.id: clip.take for clip in shelf.clips()}["clap/cut.mp4"] == "videos/morning.mp4"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("wave.mp4", "wave.mp4"),
        ("../../etc/x.mp4", "x.mp4"),
        ("C:\\films\\x.MOV", "x.mov"),
        ("..mp4", "clip.mp4"),
        (".hidden.mp4", "hidden.mp4"),
        ("a<b>:c?.webm", "a_b__c.webm"),
        ("con.mp4", "_con.mp4"),
        ("cafe\u0301\u202e\n.mp4", "café.mp4"),
        ("手" * 90 + ".mp4", "手" * 33 + ".mp4"),
        ("a\0b.mp4", "ab.mp4"),
    ],
)
def test_a_dropped_file_has_a_safe_name(name, safe):
    assert safe_name(name) == safe


@pytest.mark.parametrize("name", ["x.txt", "", "/", "mp4", "x.mp4/", "x.html", "x.mp4.exe"])
def test_a_file_that_is_no_video_by_its_name_is_refused(name):
    with pytest.raises(NotVideoError, match=r"no video by its name; give an \.mp4"):
        safe_name(name)


def test_a_clip_is_moved_trimmed_named_and_each_is_undone(shelf):
    clips = filled(shelf)
    first = contents(shelf)
    shelf.change(clips[:2], {"action": "clap"})
    shelf.change(["clap/mine.mp4"], {"start_s": 0.5, "end_s": 1.25})
    shelf.change([f"clap/{TAKE}-1.webm", clips[2]], {"person": "Béla"})
    shelf.change([clips[2]], {"person": None})
    found = {clip.id: clip for clip in shelf.clips()}
    assert [clip for clip in found if clip.startswith("wave")] == [clips[2]]
    assert (found["clap/mine.mp4"].start_s, found["clap/mine.mp4"].end_s) == (0.5, 1.25)
    assert found[f"clap/{TAKE}-1.webm"].person == "Béla"
    assert (found[clips[2]].person, found[clips[2]].take) == (None, TAKE)
    check_rows(shelf)
    shelf = opened(shelf.project.folder)  # it survives a restart
    told = [shelf.undo() for _ in range(4)]
    assert told[:2] == ["Name who is in 1 clip", "Name who is in 2 clips"]
    assert told[2:] == ["Trim 1 clip", "Move 2 clips"]
    assert contents(shelf) == first
    with pytest.raises(MissingThingError, match="nothing to undo"):
        shelf.undo()
    check_rows(shelf)


def test_deleted_clips_and_actions_come_back_whole(shelf):
    clips = filled(shelf)
    (shelf.project.clips / "wave" / "notes.txt").write_text("mine")
    first = contents(shelf)
    shelf.delete(clips[1:2])
    shelf.delete_action("wave")
    assert shelf.undo_text() == "Delete wave"
    assert [clip.id for clip in shelf.clips()] == ["clap/mine.mp4"]
    assert [action.name for action in shelf.project.actions()] == [BACKGROUND, "clap"]
    check_rows(shelf)
    assert [shelf.undo(), shelf.undo()] == ["Delete wave", "Delete 1 clip"]
    assert contents(shelf) == first
    assert (shelf.project.clips / "wave" / "notes.txt").read_text() == "mine"


def test_an_action_is_renamed_with_its_clips_and_keeps_its_place_and_colour(shelf):
    filled(shelf)
    first = contents(shelf)
    shelf.change_action("wave", "手を振る", None)
    shelf.change_action("clap", None, "#123abc")
    actions = [(action.name, action.colour) for action in shelf.project.actions()]
    assert actions[1:] == [("手を振る", "#0072B2"), ("clap", "#123ABC")]
    assert {clip.person for clip in shelf.clips() if clip.action == "手を振る"} == {"Ana"}
    check_rows(shelf)
    assert [shelf.undo(), shelf.undo()] == ["Recolour clap", "Rename wave"]
    assert contents(shelf) == first
    with pytest.raises(ConfigError, match="there is an action 'clap' already"):
        shelf.change_action("wave", "CLAP", None)
    with pytest.raises(ConfigError, match="colour 'blue' is none; write it as #0072B2"):
        shelf.change_action("wave", None, "blue")
    shelf.change_action("wave", "Wave", None)
    assert [action.name for action in shelf.project.actions()] == [BACKGROUND, "Wave", "clap"]


def test_what_comes_back_overwrites_nothing(shelf):
    clips = filled(shelf)
    shelf.delete([clips[0]])
    shelf.delete_action("wave")
    shelf.add_action("wave")
    put(shelf, "wave", take=TAKE, number=1, data=WEBM + b" newer")
    assert put(shelf, "wave", take=TAKE, number=2, data=WEBM + b" newer") == clips[1]
    shelf.undo()
    shelf.undo()
    found = {clip.id: shelf.path(clip.id).read_bytes() for clip in shelf.clips()}
    assert sorted(found) == [
        "clap/mine.mp4",
        f"wave/{TAKE}-1-2.webm",
        f"wave/{TAKE}-1.webm",
        f"wave/{TAKE}-2-2.webm",
        f"wave/{TAKE}-2.webm",
        f"wave/{TAKE}-3.webm",
    ]
    assert found[f"wave/{TAKE}-1.webm"] == WEBM + b" newer"
    people = {clip.id: clip.person for clip in shelf.clips()}
    assert (people[f"wave/{TAKE}-1-2.webm"], people[f"wave/{TAKE}-1.webm"]) == ("Ana", None)
    check_rows(shelf)


def test_clips_that_lie_deep_or_have_no_row_or_came_by_hand_are_clips(shelf):
    filled(shelf)
    make_tree(shelf.project.clips, "wave/deep/x.mp4", "wave/.hidden.mp4", "wave/notes.txt", "s.mp4")
    make_tree(shelf.project.clips, f"clap/{TAKE}-4.mp4")
    found = {clip.id: clip for clip in shelf.clips()}
    assert "wave/deep/x.mp4" in found
    assert found[f"clap/{TAKE}-4.mp4"].take == TAKE
    assert len(found) == 6
    shelf.change(["wave/deep/x.mp4"], {"action": "clap"})
    assert shelf.path("clap/x.mp4").is_file()
    (shelf.project.clips / "clap" / "mine.mp4").unlink()
    (shelf.project.clips / "s.mp4").unlink()
    shelf.delete(["clap/x.mp4"])
    check_rows(shelf)
    shutil.rmtree(shelf.project.clips / "clap")
    assert shelf.undo() == "Delete 1 clip"
    assert shelf.path("clap/x.mp4").is_file()
    check_rows(shelf)


def test_columns_and_rows_of_others_stay(shelf):
    make_tree(shelf.project.clips, "wave/1.mp4", "wave/2.mp4", "clap/1.mp4", "clap/frames/1.png")
    table = shelf.project.clips / "manifest.csv"
    table.write_text(
        "path,label,split,note,start_s,end_s\n"
        "wave/1.mp4,wave,train,good,0:01,0:02.5\n"
        "wave/2.mp4,wave,train,,0,1\n"
        "wave/2.mp4,wave,test,,1,2\n"
        "clap/frames,clap,train,pictures,,\n"
    )
    found = {clip.id: (clip.start_s, clip.end_s) for clip in shelf.clips()}
    assert found["wave/1.mp4"] == (1.0, 2.5)
    assert found["wave/2.mp4"] == (None, None)
    shelf.change(["clap/1.mp4"], {"person": "Ana"})
    assert table.read_text().splitlines() == [
        "path,label,split,note,start_s,end_s,group",
        "clap/1.mp4,clap,,,,,Ana",
        "wave/1.mp4,wave,train,good,0:01,0:02.5,",
        "wave/2.mp4,wave,train,,0,1,",
        "wave/2.mp4,wave,test,,1,2,",
        "clap/frames,clap,train,pictures,,,",
    ]
    with pytest.raises(ConfigError, match=r"wave/2\.mp4 is several clips by manifest\.csv"):
        shelf.change(["wave/2.mp4"], {"start_s": 0.1})
    shelf.change(["wave/2.mp4"], {"action": "clap"})
    assert "clap/2.mp4,clap,train,,0,1," in table.read_text()


def test_a_table_that_cannot_be_read_loses_no_clip_and_is_never_overwritten(shelf):
    clips = filled(shelf)
    table = shelf.project.clips / "manifest.csv"
    for text, said in (
        ("path,label\nwave/x.mp4,wave,3,4\n", "line 2"),
        (f"path,label\n{clips[0]},clap\n", f"says 'clap' of {clips[0]}"),
        ("path,label,start_s\nwave/x.mp4,wave,1\n", None),
    ):
        table.write_text(text)
        count = len(shelf.clips())
        assert (said or "") in (shelf.problem or "")
        if said is None:
            assert shelf.problem is None
            continue
        with pytest.raises(DataError, match="is kept, but not who is in it"):
            put(shelf, "wave", person="Béla", name="new.mp4")
        assert len(shelf.clips()) == count + 1
        with pytest.raises(DataError):
            shelf.delete([clips[1]])
        assert shelf.path(clips[1]).is_file()
        assert table.read_text() == text


@pytest.mark.parametrize(
    ("clip", "changes", "said"),
    [
        ("wave/none.mp4", {"person": "x"}, "there is no clip 'wave/none.mp4'"),
        ("../project.yaml", {"person": "x"}, "there is no clip"),
        (f"wave/{TAKE}-1.webm", {"action": "none"}, "there is no action 'none'"),
        (f"wave/{TAKE}-1.webm", {"start_s": 2.0, "end_s": 1.0}, "end after its start; got 2 to 1"),
        (f"wave/{TAKE}-1.webm", {"end_s": 0.0}, "end after its start; got 0 to 0"),
        (f"wave/{TAKE}-1.webm", {"person": "a\nb"}, "is no name"),
        (f"wave/{TAKE}-1.webm", {"person": "x" * 61}, "at most 60 characters"),
        (f"wave/{TAKE}-1.webm", {"person": TAKE}, "looks like a recording's name"),
    ],
)
def test_what_cannot_be_done_changes_nothing(shelf, clip, changes, said):
    clips = filled(shelf)
    first, undo = contents(shelf), shelf.undo_text()
    with pytest.raises(ActionGruError, match=said):
        shelf.change([clips[1], clip], changes)
    with pytest.raises(ActionGruError):
        put(shelf, "none")
    assert (contents(shelf), shelf.undo_text()) == (first, undo)


def test_no_path_leads_out_of_the_project(shelf, tmp_path):
    filled(shelf)
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (shelf.project.clips / "wave" / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    (shelf.project.clips / "linked").symlink_to(tmp_path)
    listed = [clip.id for clip in shelf.clips()]
    assert len(listed) == 4
    outside = ("wave/link.mp4", "linked/secret.mp4", "../../secret.mp4", "wave/../../../secret.mp4")
    for clip in outside:
        with pytest.raises(MissingThingError):
            shelf.path(clip)
    with pytest.raises(ConfigError, match="no action 'linked'"):
        put(shelf, "linked")


def test_a_history_from_elsewhere_moves_nothing_out_of_the_project(shelf, tmp_path):
    filled(shelf)
    path, secret = shelf.history.path, tmp_path / "secret.mp4"
    secret.write_bytes(b"secret")
    step = json.loads(json.dumps({"text": "x", "before": {}, "after": {}, "actions_before": None,
                                  "actions_after": None, "trash": None}))  # fmt: skip
    for moves in ([["../secret.mp4", "clips/wave/x.mp4"]], [[str(secret), "clips/wave/x.mp4"]]):
        kept = {"steps": [], "unfinished": {**step, "moves": moves}, "is_undo": False}
        path.write_text(json.dumps(kept))
        again = opened(shelf.project.folder)
        assert again.history.unfinished is None
        assert path.with_suffix(".broken").is_file()
    (shelf.project.clips / "out").symlink_to(tmp_path)
    kept["unfinished"]["moves"] = [["clips/out/secret.mp4", "clips/wave/x.mp4"]]
    path.write_text(json.dumps(kept))
    with pytest.raises(DataError, match="leads out of the project; remove the link"):
        opened(shelf.project.folder)
    assert secret.read_bytes() == b"secret"


def every_instant(monkeypatch, error: BaseException, at: int) -> list[str]:
    """Make the at-th change of the disk fail, and all after it where it is a kill."""
    done: list[str] = []

    def failing(name, original):
        def act(*values, **named):
            done.append(name)
            if len(done) == at or (len(done) > at and isinstance(error, Killed)):
                raise error
            return original(*values, **named)

        return act

    for owner, name in ((Path, "rename"), (Path, "replace"), (os, "fsync")):
        monkeypatch.setattr(owner, name, failing(name, getattr(owner, name)))
    return done


WORKS = {
    "add": lambda shelf, clips: put(shelf, "wave", person="Ana", take=TAKE, number=9),
    "move": lambda shelf, clips: shelf.change(clips[:2], {"action": "clap", "person": "Béla"}),
    "trim": lambda shelf, clips: shelf.change(clips[:1], {"end_s": 1.0}),
    "delete": lambda shelf, clips: shelf.delete(clips),
    "delete action": lambda shelf, clips: shelf.delete_action("wave"),
    "rename": lambda shelf, clips: shelf.change_action("wave", "hello", None),
    "undo": lambda shelf, clips: shelf.undo(),
}


class Trials:
    """The same work again and again, each time on a copy of the same project."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name, self.at = folder, name, 0
        shelf = opened(folder / "first")
        self.clips = filled(shelf)
        if name == "undo":
            shelf.delete_action("wave")
        self.before = contents(shelf)
        shelf = self.next()
        self.do(shelf)
        self.after = contents(shelf)

    def next(self) -> Shelf:
        self.at += 1
        shutil.copytree(self.folder / "first", self.folder / str(self.at))
        return opened(self.folder / str(self.at))

    def do(self, shelf: Shelf) -> None:
        WORKS[self.name](shelf, self.clips)

    def is_kept_without_a_person(self, found: dict) -> bool:
        """A clip that was added is there in any case; who is in it may be asked again."""
        return self.name == "add" and found.keys() == self.after.keys()


@pytest.mark.parametrize("name", list(WORKS))
def test_killed_at_any_instant_all_is_as_before_or_as_after(name, tmp_path, monkeypatch):
    trials, ends, at = Trials(tmp_path, name), set(), 0
    while True:
        at, shelf = at + 1, trials.next()
        with monkeypatch.context() as patched, suppress(Killed):
            done = every_instant(patched, Killed(), at)
            trials.do(shelf)
        found = contents(opened(shelf.project.folder))
        is_whole = found in (trials.before, trials.after)
        assert is_whole or trials.is_kept_without_a_person(found), at
        ends.add(found == trials.after)
        if len(done) < at:  # it was not killed any more
            break
    assert ends == {True, False}
    assert at > 3


@pytest.mark.parametrize("name", list(WORKS))
def test_a_full_disk_changes_nothing_and_says_so(name, tmp_path, monkeypatch):
    trials, at = Trials(tmp_path, name), 0
    while True:
        at, shelf = at + 1, trials.next()
        undo, said = shelf.undo_text(), ""
        with monkeypatch.context() as patched:
            done = every_instant(patched, OSError(errno.ENOSPC, "No space left on device"), at)
            try:
                trials.do(shelf)
            except NoSpaceError as error:
                said = str(error)
        if len(done) < at:
            break
        assert "the disk is full: free space" in said
        if trials.is_kept_without_a_person(contents(shelf)):
            assert "is kept, but not who is in it" in said
            continue
        assert (contents(shelf), shelf.undo_text()) == (trials.before, undo), at
        assert contents(opened(shelf.project.folder)) == trials.before
    assert at > 3
    assert contents(shelf) == trials.after


def test_only_the_newest_fifty_steps_and_their_trash_are_kept(shelf, monkeypatch):
    monkeypatch.setattr(history, "MOST_STEPS", 2)
    filled(shelf)
    clips = [put(shelf, "clap", name=f"{number}.mp4") for number in range(4)]
    for clip in clips:
        shelf.delete([clip])
    assert len(list((shelf.project.hidden / "trash").iterdir())) == 2
    assert [shelf.undo(), shelf.undo()] == ["Delete 1 clip"] * 2
    assert shelf.undo_text() is None


def test_what_was_on_its_way_at_a_crash_is_removed_at_the_next_start(shelf):
    shelf.new_file().write_bytes(b"half of a clip")
    assert list(opened(shelf.project.folder).temp.iterdir()) == []


def test_a_history_that_is_damaged_is_put_aside_and_said(shelf, capsys):
    filled(shelf)
    shelf.history.path.write_text("{")
    again = opened(shelf.project.folder)
    assert again.undo_text() is None
    assert "earlier steps cannot be undone" in capsys.readouterr().err
    assert again.history.path.with_suffix(".broken").read_text() == "{"
    again.delete([clip.id for clip in again.clips()])
    assert again.undo_text() == "Delete 4 clips"


def test_files_that_can_be_no_clip_stop_nothing_and_are_told(shelf):
    shelf.add_action("wave")
    put(shelf, "wave", take=TAKE)
    folder = shelf.project.clips / "wave"
    (folder / "steers\x1b.mp4").write_bytes(MP4)
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.mp4")).write_bytes(MP4)
    os.mkfifo(folder / "waits.gif")
    fresh = opened(shelf.project.folder)
    assert [clip.id for clip in fresh.clips()] == [f"wave/{TAKE}-1.webm"]
    assert "is no clip and no action, for its name is not in UTF-8" in fresh.problem
    assert r"\x1b" in fresh.problem or r"\udcff" in fresh.problem
    fresh.change([f"wave/{TAKE}-1.webm"], {"person": "Ana"})
    assert fresh.clips()[0].person == "Ana"


@pytest.mark.parametrize("take", ["videos/a\nb.mp4", "videos/\0", "videos/" + "x" * 300])
def test_a_take_that_would_make_the_table_unreadable_is_refused(shelf, take):
    shelf.add_action("wave")
    with pytest.raises(ConfigError, match="take is like"):
        put(shelf, "wave", name="a.mp4", take=take)
    assert shelf.clips() == ()


def test_a_step_of_elsewhere_that_cannot_be_finished_says_what_to_remove(shelf):
    step = {"text": "Delete wave", "moves": [["clips", "clips/wave/inside"]]}
    (shelf.project.hidden / "undo.json").write_text(json.dumps({"unfinished": step}))
    with pytest.raises(DataError, match=r"'Delete wave' was cut short .*; mend that, or remove"):
        opened(shelf.project.folder)


def test_a_history_with_an_empty_row_is_put_aside_in_one_line(shelf, capsys):
    step = {"text": "x", "after": {"wave/1.mp4": []}}
    (shelf.project.hidden / "undo.json").write_text(json.dumps({"unfinished": step}))
    assert opened(shelf.project.folder).history.steps == ()
    told = capsys.readouterr().err
    assert "unfinished.after.wave/1.mp4: List should have at least 1 item" in told
    assert told.count("\n") == 1


def test_times_of_the_future_are_no_reason_to_list_again_and_again(shelf, monkeypatch):
    filled(shelf)
    ahead = 1e10  # s: a clock that was set back, or an archive from one that was ahead
    for path in (shelf.project.clips, *shelf.project.clips.rglob("*")):
        os.utime(path, (ahead, ahead))
    first = shelf.clips()
    monkeypatch.setattr(shelf, "_list", lambda: pytest.fail("listed again"))
    assert shelf.clips() is first
    monkeypatch.undo()
    (shelf.project.clips / "wave" / "new.mp4").write_bytes(MP4)
    assert len(shelf.clips()) == len(first) + 1
