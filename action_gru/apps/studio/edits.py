"""What a change of clips or actions does to files, rows and project.yaml, as steps to do and undo.

Changes nothing. Each function gives None where there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from action_gru.apps.studio.clip_rows import (
    ClipRows,
    Rows,
    ShelfClip,
    check_person,
    moved,
    with_bounds,
)
from action_gru.apps.studio.file_names import new_name
from action_gru.apps.studio.history import ActionRow, Step, free_place
from action_gru.core.errors import ConfigError
from action_gru.core.paths import composed
from action_gru.core.text import counted
from action_gru.prepare.project import Project
from action_gru.prepare.project_file import Action, check_colour, check_name, row_of

BOUNDS = ("start_s", "end_s")


def change_clips(
    project: Project, rows: ClipRows, clips: Sequence[ShelfClip], changes: Mapping[str, Any]
) -> Step | None:
    """changes: what is given of action, person, start_s and end_s, for all the clips."""
    before: Rows = {}
    after: Rows = {}
    bounds = {name: changes[name] for name in BOUNDS if name in changes}
    person = check_person(changes.get("person") or "")
    for clip in clips:
        before[clip.id] = lines = rows.of(clip.id)
        place = _place_in(project, clip.id, changes.get("action"), after)
        lines = with_bounds(lines, bounds) if bounds else lines
        if "person" in changes:
            lines = [line | {"group": person or clip.take or ""} for line in lines]
        after[place] = moved(lines, place)
    places = zip(before, after, strict=True)
    moves = tuple((f"clips/{clip}", f"clips/{place}") for clip, place in places if clip != place)
    text = f"{_done(changes, bool(moves))} {counted(len(before), 'clip')}"
    return None if before == after else Step(text=text, moves=moves, before=before, after=after)


def _done(changes: Mapping[str, Any], has_moved: bool) -> str:
    if has_moved:
        return "Move"
    return "Trim" if set(BOUNDS) & changes.keys() else "Name who is in"


def _place_in(project: Project, clip: str, action: str | None, taken: Rows) -> str:
    """Where a clip goes that is moved to an action: its path, which no other clip has."""
    if action is None:
        return clip
    folder = project.folder_of(project.action(action).name)
    if composed(clip.partition("/")[0]) == composed(folder.name):
        return clip
    place = free_place(folder / clip.rpartition("/")[2])
    while (path := f"{folder.name}/{place.name}") in taken:
        place = free_place(place.with_name(f"{place.stem}-2{place.suffix}"))
    return path


def delete_clips(rows: ClipRows, clips: Sequence[ShelfClip]) -> Step | None:
    """The clips go to the trash."""
    before = {clip.id: rows.of(clip.id) for clip in clips}
    trash = new_name()
    moves = tuple((f"clips/{clip}", _in_trash(trash, clip)) for clip in before)
    text = f"Delete {counted(len(before), 'clip')}"
    return Step(text=text, moves=moves, before=before, trash=trash) if before else None


def delete_action(
    project: Project, rows: ClipRows, action: Action, clips: Sequence[ShelfClip]
) -> Step:
    """The action's folder goes to the trash. clips: all of it."""
    actions, trash = project.actions(), new_name()
    folder = project.folder_of(action.name).name
    return Step(
        text=f"Delete {action.name}",
        moves=((f"clips/{folder}", _in_trash(trash, folder)),),
        before={clip.id: rows.of(clip.id) for clip in clips},
        actions_before=_rows(actions),
        actions_after=_rows(one for one in actions if one != action),
        trash=trash,
    )


def change_action(
    project: Project,
    rows: ClipRows,
    action: Action,
    clips: Sequence[ShelfClip],
    new_name: str | None,
    colour: str | None,
) -> Step | None:
    """Another name, which is its folder's too, another colour. clips: all of the action."""
    actions = project.actions()
    others = [one.name for one in actions if one != action]
    name = action.name if new_name is None else check_name(new_name, others)
    new = replace(action, name=name, colour=check_colour(colour or action.colour))
    if new == action:
        return None
    moves: tuple[tuple[str, str], ...] = ()
    before: Rows = {}
    after: Rows = {}
    if new.name != action.name:
        moves = ((f"clips/{project.folder_of(action.name).name}", f"clips/{new.name}"),)
        for clip in clips:
            place = f"{new.name}/{clip.id.partition('/')[2]}"
            before[clip.id] = rows.of(clip.id)
            after[place] = moved(before[clip.id], place)
    there, here = project.clips / new.name, project.folder_of(action.name)
    # Where capitals do not count, Wave is the folder wave.
    if moves and there.exists() and not there.samefile(here):
        raise ConfigError(f"there is a folder '{new.name}' in clips already; choose another name")
    return Step(
        text=f"{'Rename' if moves else 'Recolour'} {action.name}",
        moves=moves,
        before=before,
        after=after,
        actions_before=_rows(actions),
        actions_after=_rows(new if one == action else one for one in actions),
    )


def delete_files(text: str, paths: Sequence[str]) -> Step:
    """Files that are no clips go to the trash. paths: below the project's folder."""
    trash = new_name()
    moves = tuple((path, _in_trash(trash, path)) for path in paths)
    return Step(text=text, moves=moves, trash=trash)


def _in_trash(trash: str, path: str) -> str:
    return f".studio/trash/{trash}/{path}"


def _rows(actions: Iterable[Action]) -> tuple[ActionRow, ...]:
    return tuple(ActionRow(**row_of(action)) for action in actions)
