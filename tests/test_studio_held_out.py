"""Which clips are held out: whole people, else whole takes, else clips; never all of an action."""

from collections import Counter
from pathlib import Path

import pytest

from action_gru.apps.studio.held_out import content_of_twins, hold_out
from action_gru.core.errors import DataError
from action_gru.dataset import Clip


def clips(*rows):
    """(action, take, how many, group): group None for a clip without a person."""
    found = []
    for action, take, count, group in rows:
        for number in range(1, count + 1):
            name = (
                f"{action}/20261129-1015{take:02d}-{number}.webm"
                if take
                else f"{action}/{number}.mp4"
            )
            found.append(Clip(Path(name), name, action, group or name, ""))
    return found


def sides(held_out, key):
    found = {}
    for clip in held_out.clips:
        found.setdefault(key(clip), set()).add(clip.split)
    return found


def take(clip):
    return clip.relative.rpartition("-")[0]


def test_named_people_are_held_out_whole():
    held_out = hold_out(
        clips(
            *(
                (action, n, 5, name)
                for action in ("wave", "clap")
                for n, name in ((1, "Ana"), (2, "Bo"), (3, "Cy"))
            )
        )
    )
    assert held_out.kind == "person"
    people = Counter(clip.relative.split("-")[1] for clip in held_out.part("test"))
    assert list(people.values()) == [10]
    assert {clip.label for clip in held_out.part("test")} == {"wave", "clap"}
    assert {clip.group for clip in held_out.part("train")} < {"Ana", "Bo", "Cy"}


def test_takes_stay_whole_where_nobody_is_named():
    rows = [
        (action, n, 5, None)
        for action, takes in (("wave", (1, 2)), ("clap", (3, 4)))
        for n in takes
    ]
    held_out = hold_out(clips(*rows))
    assert (held_out.kind, held_out.alone) == ("take", ())
    assert all(len(parts) == 1 for parts in sides(held_out, take).values())
    assert Counter(clip.label for clip in held_out.part("test")) == {"wave": 5, "clap": 5}
    # One take of each is left: there each clip is a group, or nothing could be left out.
    assert len({clip.group for clip in held_out.part("train")}) == 10


def test_one_take_only_is_divided_and_said():
    held_out = hold_out(clips(("wave", 1, 10, None), ("clap", 2, 10, None)))
    assert (held_out.kind, held_out.alone) == ("clip", ("clap", "wave"))
    assert Counter(clip.label for clip in held_out.part("test")) in (
        {"wave": 2, "clap": 3}, {"wave": 3, "clap": 2},
    )  # fmt: skip


def test_an_action_of_one_take_does_not_spoil_the_others():
    held_out = hold_out(clips(("wave", 1, 6, None), ("wave", 2, 6, None), ("clap", 3, 8, None)))
    assert (held_out.kind, held_out.alone) == ("take", ("clap",))
    parts = sides(held_out, take)
    assert len(parts["wave/20261129-101501"]) == 1
    assert parts["clap/20261129-101503"] == {"train", "test"}


def test_one_person_who_alone_shows_an_action_is_not_held_out():
    held_out = hold_out(clips(("wave", 1, 5, "Ana"), ("wave", 2, 5, "Bo"), ("clap", 3, 9, "Ana")))
    assert {clip.label for clip in held_out.part("train")} == {"wave", "clap"}
    assert min(Counter(clip.label for clip in held_out.part("train")).values()) >= 2


def test_dropped_files_each_stand_for_themselves():
    held_out = hold_out(clips(("wave", 0, 4, None), ("clap", 0, 4, None)))
    assert (held_out.kind, held_out.alone) == ("take", ())
    assert Counter(clip.label for clip in held_out.part("test")) == {"wave": 1, "clap": 1}


def test_the_least_that_can_be_trained_leaves_two_of_each():
    held_out = hold_out(clips(("wave", 1, 3, None), ("clap", 2, 3, None)))
    assert Counter(clip.label for clip in held_out.part("train")) == {"wave": 2, "clap": 2}
    assert Counter(clip.label for clip in held_out.part("test")) == {"wave": 1, "clap": 1}


def test_too_few_clips_are_refused_by_name():
    with pytest.raises(DataError, match="record at least 3 clips of each action: clap has 2"):
        hold_out(clips(("wave", 1, 5, None), ("clap", 2, 2, None)))
    with pytest.raises(DataError, match="of each of two actions"):
        hold_out(clips(("wave", 1, 5, None)))


@pytest.mark.parametrize("people", [(None, None), ("Ana", "Bo")])
def test_a_file_that_was_added_twice_is_never_on_two_sides(tmp_path, people):
    names = [f"{number}{again}" for number in range(6) for again in ("", "-2")]
    found = []
    for action in ("wave", "clap"):
        for name, person in zip(names, people * 6, strict=True):
            path = tmp_path / f"{action}{name}.mp4"
            path.write_bytes(f"{action} {name[0]}".encode())
            found.append(Clip(path, f"{action}/{name}.mp4", action, person or path.name, ""))
    content = content_of_twins(found)
    assert len(set(content.values())) == 12
    held_out = hold_out(found, content)
    assert {clip.label for clip in held_out.part("test")} == {"wave", "clap"}
    parts = sides(held_out, lambda clip: content[clip.name])
    assert all(len(part) == 1 for part in parts.values())
    assert not any(clip.group.startswith("sha256") for clip in held_out.clips)


@pytest.mark.parametrize("seed", range(5))
def test_however_clips_are_spread_each_action_is_learned_and_no_group_is_divided(seed):
    import random

    draw = random.Random(seed)
    people = [None, "Ana", "Bo", "Cy"]
    rows = [
        (action, draw.randrange(40), draw.randrange(1, 7), draw.choice(people))
        for action in ("wave", "clap", "jump", "idle")
        for _ in range(3)
    ]
    found = {clip.relative: clip for clip in clips(*rows)}
    counts = Counter(clip.label for clip in found.values())
    if min(counts.values()) < 3:
        pytest.skip("too few clips were drawn")
    held_out = hold_out(list(found.values()))
    left = Counter(clip.label for clip in held_out.part("train"))
    assert min(left[name] for name in counts) >= 2
    assert len(held_out.part("test")) <= len(found) / 2
    assert all(len(parts) == 1 for parts in sides(held_out, lambda clip: clip.group).values())
