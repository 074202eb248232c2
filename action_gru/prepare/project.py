"""A project: one plain folder with clips, videos, runs, and what the actions are.

    clips/ACTION/FILE.mp4   an action is a folder; clips/manifest.csv says who is in a clip
    project.yaml            the name, and each action's colour and whether it is background
    runs/  videos/          trained models; long videos with their segments beside them
    .studio/                what the studio keeps for itself

The folders are the truth about which actions there are; they may come and go by hand.
"""

from __future__ import annotations

import os
import re
import stat
import threading
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from action_gru.core.errors import ConfigError
from action_gru.core.paths import composed, is_hidden, is_video, kind_of, on_disk
from action_gru.core.text import command_line, name_some
from action_gru.prepare.project_file import (
    FILE,
    FORMAT,
    GREY,
    Action,
    actions_in,
    check_name,
    find_tree,
    folded,
    next_colour,
    read_tree,
    row_of,
    write_tree,
)

MOST_ACTIONS = 60
FOLDERS = ("clips", "runs", "videos", ".studio", ".studio/temp", ".studio/trash")
_TAKE = re.compile(r"(\d{8}-\d{6})-\d+\.[^.]+")
CACHE = Path("cache", "features")  # as commands inside the folder have it
NETWORK = "network"  # in .studio
BACKGROUND = "nothing in particular"


def take_of(name: str) -> str | None:
    """The take that the studio recorded a file in: '20261129-101500-3.webm' -> '20261129-101500'.

    None for a file of another name.
    """
    found = _TAKE.fullmatch(name)
    return found and found[1]


def is_own(name: str) -> bool:
    """Whether a file or folder may be one of a project: not hidden, and its name is plain text."""
    return is_plain(name) and not is_hidden(name)


def is_plain(name: str) -> bool:
    """Whether a name fits a table: in UTF-8 on disk, and without what steers a terminal."""
    return not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)


def is_project(folder: Path) -> bool:
    """Whether a folder's project.yaml is one of ours. Raises ConfigError where it is broken."""
    path = folder / FILE
    return path.is_file() and find_tree(path) is not None


class Project:
    """An open project, for any number of threads. Reads project.yaml anew whenever that changed.

    problem: why it could not be read; until it can, what was known stays, and nothing is written.
    """

    def __init__(self, folder: Path, tree: dict[str, Any]) -> None:
        self.folder = folder.resolve()
        self.clips, self.videos = self.folder / "clips", self.folder / "videos"
        self.runs, self.hidden = self.folder / "runs", self.folder / ".studio"
        self._tree, self._seen = tree, self._stamp()
        self.problem: str | None = None
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        return str(self._tree.get("name") or self.folder.name)

    @property
    def weights(self) -> str | None:
        """The network that reads the clips: `weights:` of project.yaml, else the one that the
        studio chose when it first could; None where nothing was said or chosen.
        """
        chosen = self.hidden / NETWORK
        said = str(self._tree.get("weights") or "")
        found = said or (chosen.read_text("utf-8", "replace").strip() if chosen.is_file() else "")
        inside = self.folder / found
        return str(inside) if found and inside.is_file() else found or None

    def actions(self) -> tuple[Action, ...]:
        """Those of project.yaml in its order, then those whose folder was made by hand."""
        with self._lock:
            self._follow()
            kept = {action.name: action for action in actions_in(self._tree)}
            here = self._folders()
            found = [action for name, action in kept.items() if name in here]
            for name in (name for name in here if name not in kept):
                is_background = folded(name) in ("background", BACKGROUND)
                colour = GREY if is_background else next_colour(found, kept.values())
                found.append(Action(name, colour, is_background))
            return tuple(found)

    def background(self) -> tuple[str, ...]:
        """The actions that mean nothing in particular."""
        return tuple(action.name for action in self.actions() if action.background)

    def action(self, name: str) -> Action:
        """Raises ConfigError for one that is not there."""
        found = next((one for one in self.actions() if one.name == composed(name)), None)
        if found is None:
            raise ConfigError(f"there is no action '{name[:60]}'; it may have been removed by now")
        return found

    def folder_of(self, name: str) -> Path:
        """The folder of an action's clips, as it is spelled on disk."""
        return on_disk(self.clips, name)

    def add(self, text: str, colour: str | None = None, background: bool = False) -> Action:
        """A new, empty action. Raises ConfigError for a name that cannot be, or for too many."""
        with self._lock:
            actions = self.actions()
            name = check_name(text, [action.name for action in actions])
            if len(actions) >= MOST_ACTIONS:
                raise ConfigError(f"a project has at most {MOST_ACTIONS} actions; delete one first")
            kept = actions_in(self._tree)
            earlier = next((one.colour for one in kept if one.name == name), None)
            taken = {one.colour for one in actions}
            colour = colour or (earlier if earlier not in taken else None)
            action = Action(name, colour or next_colour(actions, kept), background)
            _make(self.clips / name)
            try:
                self.write([*actions, action])
            except ConfigError:
                (self.clips / name).rmdir()
                raise
            return action

    def write(self, actions: Sequence[Action]) -> None:
        """Keep these actions' order, colours and background; colours of others are remembered."""
        with self._lock:
            self._follow()
            if self.problem:
                raise ConfigError(self.problem)
            names = {action.name for action in actions}
            colours = {action.colour for action in actions}
            others = [
                one
                for one in actions_in(self._tree)
                if one.name not in names and one.colour not in colours
            ]
            tree = self._tree | {"actions": [row_of(one) for one in [*actions, *others]]}
            write_tree(self.folder / FILE, tree)
            self._tree, self._seen = tree, self._stamp()

    def keep(self) -> None:
        """Write down the colours of actions that were made by hand, so that they stay."""
        with self._lock:
            actions = self.actions()
            known = {action.name for action in actions_in(self._tree)}
            if not self.problem and any(action.name not in known for action in actions):
                self.write(actions)

    def _folders(self) -> list[str]:
        try:
            inside = [one for one in sorted(self.clips.iterdir()) if not one.is_symlink()]
        except FileNotFoundError:  # removed by hand
            return []
        folders = [one.name for one in inside if one.is_dir() and is_own(one.name)]
        return list(dict.fromkeys(map(composed, folders)))

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = (self.folder / FILE).stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size

    def _follow(self) -> None:
        """Read project.yaml again where it changed; where it vanished, what is known stays."""
        stamp = self._stamp()
        if stamp is None or stamp == self._seen:
            return
        self._seen, self.problem = stamp, None
        try:
            self._tree = read_tree(self.folder / FILE)
        except ConfigError as error:
            self.problem = str(error)


def read_project(folder: Path) -> Project:
    """The project of a folder that `is_project`; nothing is made or written."""
    return Project(folder, read_tree(folder / FILE))


def open_project(folder: Path) -> Project:
    """The project of a folder, which is made, or taken as it is with its clips/ACTION folders.

    Raises ConfigError for what is no folder of a project, and where it cannot be written.
    """
    if not folder.is_dir() and folder.exists():
        raise ConfigError(f"{folder} is a file, and a project is a folder; give another name")
    path, clips = folder / FILE, folder / "clips"
    _refuse_links(folder)
    is_new = not path.exists()
    tree = {"format": FORMAT, "name": folder.resolve().name} if is_new else read_tree(path)
    if is_new and (sentence := _not_one(folder)):
        raise ConfigError(sentence)
    is_empty = not clips.is_dir() or not any(one.is_dir() for one in clips.iterdir())
    for name in FOLDERS:
        _make(folder / name)
    project = Project(folder, tree)
    if is_new and is_empty:
        project.add(BACKGROUND, GREY, background=True)
    elif is_new:
        project.write(project.actions())
    project.keep()
    return project


def _refuse_links(folder: Path) -> None:
    """Raise ConfigError where a part of the project is a link, or a pipe or a device.

    In .studio files are written and removed without being asked for: a link in a project from
    elsewhere would have that done to the user's other files.
    """
    parts = [folder / name for name in (*FOLDERS, FILE, "clips/manifest.csv", "cache", CACHE)]
    for parent, folders, files in os.walk(folder / ".studio"):
        parts += [Path(parent, name) for name in (*folders, *files)]
        folders[:] = [name for name in folders if name != "trash"]  # the user's own files
    for part in parts:
        try:
            kind = part.lstat().st_mode
        except OSError:  # not there
            continue
        if stat.S_ISLNK(kind):
            raise ConfigError(
                f"{part} is a link, and a project holds its files itself; put the whole project "
                "where there is space"
            )
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise ConfigError(f"{part} is no file and no folder but a pipe or device; remove it")


def _not_one(folder: Path) -> str | None:
    """Why a folder without project.yaml should not become a project; None if it may."""
    kind = kind_of(folder)
    if kind in ("a run folder", "a folder of runs", "a folder of frames"):
        return f"{folder} is {kind}; give the folder above it, or a new name"
    if not folder.is_dir() or (folder / "clips").is_dir():
        return None
    videos = (path for path in sorted(folder.glob("[!.]*/*")) if is_video(path))
    classes = list(dict.fromkeys(path.parent.name for path in videos))
    if not classes:
        return None
    project = folder.absolute().with_name(f"{folder.absolute().name}-project")
    made, moved = command_line("mkdir", project), command_line("mv", folder, project / "clips")
    return (
        f"{folder} itself holds folders of clips ({name_some(classes)}), and a project has them in "
        f"its folder clips: {made}, then {moved}"
    )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder}: cannot be made ({error.strerror}); choose a place that you may write"
        ) from error
