"""Which events leave for a sink, what waits for it, and what it is sent: no network."""

import json
import multiprocessing
from datetime import datetime
from pathlib import Path

import pytest
from helpers.receivers import Told

from action_gru.apps.sinks.clip import names_of
from action_gru.apps.sinks.conditions import Conditions, is_in_hours, is_inside
from action_gru.apps.sinks.events import EventSinks
from action_gru.apps.sinks.message import Watched, utc_text
from action_gru.apps.sinks.store import Spool, Store, left_elsewhere
from action_gru.apps.sinks.targets import check_sinks, sink_of, sinks_of, spool_folder
from action_gru.apps.sinks.worker import RefusedError, SinkDownError, Worker
from action_gru.config import build_config
from action_gru.core.errors import ConfigError
from action_gru.timeline import Event

NOON = datetime(2026, 11, 27, 12, 0)  # a Friday


def settings(**keys):
    tree = {"events": {"sinks": [{"kind": "jsonl", "path": "e.jsonl", **keys}]}}
    return build_config(tree).events.sinks[0]


def conditions(when="both", **keys) -> Conditions:
    return Conditions(settings(**keys), when)


def watched(label="fall", start_s=1.0, end_s=1.5, score=0.8, source="a", **more) -> Watched:
    event = Event(label, start_s, end_s, score, more.pop("person", None))
    return Watched(source, event, NOON.timestamp(), **more)


def test_a_message_has_the_documented_keys_and_values():
    one = watched(person=2, box=[1.04, 2, 3, 4], picture_px=(640, 480))
    one.start_at = 0.123
    assert one.message("start", "demo") == {
        "schema": 1, "id": one.id, "state": "start", "source": "a", "label": "fall", "score": 0.8,
        "start_s": 1.0, "end_s": None, "start_utc": "1970-01-01T00:00:00.123Z", "end_utc": None,
        "person": 2, "box": [1.0, 2.0, 3.0, 4.0], "picture_px": [640, 480], "model": "demo",
    }  # fmt: skip
    end = one.message("end", "demo")
    assert (end["state"], end["end_s"], end["end_utc"]) == ("end", 1.5, utc_text(0.623))
    page = (Path(__file__).parents[1] / "docs" / "events.md").read_text(encoding="utf-8")
    example = json.loads(page.split("```json\n")[1].split("```")[0])
    assert list(example) == list(end)


@pytest.mark.parametrize(
    ("when", "seen", "expected"),
    [
        ("both", [False, False, True], [["start"], [], ["end"]]),
        ("start", [False, False, True], [["start"], [], []]),
        ("end", [False, False, True], [[], [], ["end"]]),
        ("both", [True], [["start", "end"]]),  # certain only as it ends
        ("start", [True], [["start"]]),
    ],
)
def test_messages_leave_as_an_event_begins_and_once_it_is_over(when, seen, expected):
    which, one = conditions(when), watched()
    assert [which.due(one, is_over) for is_over in seen] == expected
    assert which._known == {} if seen[-1] else True


def test_a_short_event_is_told_once_it_lasts_long_enough_or_never():
    which, one = conditions(min_s=2.0), watched()
    assert which.due(one, False) == []
    one.event = Event("fall", 1.0, 3.0, 0.8)
    assert which.due(one, False) == ["start"]
    assert which.due(watched(), True) == []


def test_the_score_of_a_whole_event_decides_where_only_its_end_is_told():
    which, one = conditions("end", min_score=0.7), watched(score=0.9)
    which.due(one, False)
    one.event = Event("fall", 1.0, 3.0, 0.6)
    assert which.due(one, True) == []
    assert conditions(min_score=0.7).due(watched(score=0.71), False) == ["start"]


def test_only_the_named_classes_leave():
    which = conditions(classes=["fall", "fight"])
    assert which.due(watched("wave"), True) == []
    assert which.due(watched("fight"), True) == ["start", "end"]


def test_after_one_event_others_of_its_class_and_source_wait():
    which = conditions("end", cooldown_s=10.0)
    starts = [("fall", 0.0, "a"), ("fall", 9.9, "a"), ("wave", 9.9, "a"), ("fall", 9.9, "b"),
              ("fall", 10.0, "a"), ("fall", 3.0, "a")]  # fmt: skip
    told = [bool(which.due(watched(one, s, s + 1, source=n), True)) for one, s, n in starts]
    assert told == [True, False, True, True, True, True]  # the last: its clock began anew


def test_one_that_is_left_out_stays_so_while_it_goes_on():
    which = conditions(cooldown_s=10.0)
    which.due(watched(start_s=0.0, end_s=1.0), True)
    late = watched(start_s=9.0, end_s=30.0)
    assert which.due(late, False) == which.due(late, True) == []


def test_a_person_must_have_been_in_the_zone_at_some_moment():
    lower_half = [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]
    which = conditions(zone=lower_half)
    one = watched(person=1, box=[0, 0, 10, 40], picture_px=(100, 100))
    assert which.due(one, False) == []
    one.box = [0, 0, 10, 60]  # its feet are inside, its middle is not
    assert which.due(one, False) == ["start"]
    one.box = [0, 0, 10, 40]
    assert which.due(one, True) == ["end"]
    middle = conditions(zone=lower_half, zone_point="centre")
    assert middle.due(watched(box=[0, 0, 10, 60], picture_px=(100, 100)), True) == []
    assert which.due(watched(), True) == []  # nobody knows where


def test_a_point_is_in_a_polygon_of_any_shape():
    corner = [[0, 0], [1, 0], [1, 0.3], [0.3, 0.3], [0.3, 1], [0, 1]]
    assert is_inside(0.9, 0.1, corner)
    assert is_inside(0.1, 0.9, corner)
    assert not is_inside(0.9, 0.9, corner)
    assert is_inside(0.1, 1.02, corner)  # feet below the picture's edge


@pytest.mark.parametrize(
    ("at", "hours", "days", "expected"),
    [
        ("27 12:00", None, (), True),
        ("27 22:00", "22:00-06:00", (), True),
        ("28 05:59", "22:00-06:00", (), True),
        ("28 06:00", "22:00-06:00", (), False),
        ("27 12:00", "9:00-17:30", (), True),
        ("27 17:30", "9:00-17:30", (), False),
        ("28 03:00", "22:00-06:00", ("fri",), True),  # the night of Friday
        ("28 23:00", "22:00-06:00", ("fri",), False),
        ("27 03:00", "22:00-06:00", ("fri",), False),
        ("27 12:00", None, ("sat", "sun"), False),
        ("27 12:00", "00:00-00:00", (), True),
    ],
)
def test_hours_may_pass_midnight_and_belong_to_the_day_before(at, hours, days, expected):
    assert (
        is_in_hours(datetime.strptime(f"2026-11-{at}", "%Y-%m-%d %H:%M"), hours, days) is expected
    )


def item(number: int) -> dict[str, object]:
    return {"state": "end", "id": str(number)}


def ids(store) -> list[str]:
    found = []
    while (first := store.first()) is not None:
        found.append(first[1]["id"])
        store.remove(first[0])
    return found


def test_what_waits_outlives_the_program_in_order(tmp_path):
    for numbers in ([1, 2], [3]):
        spool = Spool(tmp_path, "webhook a", 10)
        for number in numbers:
            spool.append(item(number))
        spool.close()
    other = Spool(tmp_path, "webhook b", 10)
    assert len(other) == 0
    spool = Spool(tmp_path, "webhook a", 10)
    assert spool.is_old(spool.first()[0])
    spool.append(item(4))
    assert ids(spool) == ["1", "2", "3", "4"]
    assert list(spool.folder.glob("*.json")) == []
    assert (spool.folder / "target.txt").read_text() == "webhook a\n"
    assert (spool.folder.stat().st_mode & 0o77, spool.is_old(3)) == (0, False)


def test_the_oldest_of_too_many_is_dropped_and_counted(tmp_path):
    for store in (Store(2), Spool(tmp_path, "t", 2)):
        for number in range(5):
            store.append(item(number))
        assert (store.dropped, ids(store)) == (3, ["3", "4"])
    assert list(tmp_path.glob("*/*.json")) == []


def test_a_damaged_message_stops_no_other(tmp_path):
    spool = Spool(tmp_path, "t", 10)
    spool.append(item(1))
    (spool.folder / "000000000000.json").write_text("{")
    spool.append(item(2))
    spool.close()
    again = Spool(tmp_path, "t", 10)
    assert (again.damaged, ids(again)) == (1, ["2"])


def test_two_programs_share_no_spool_and_the_next_one_takes_what_both_left(tmp_path):
    first, second = Spool(tmp_path, "t", 10), Spool(tmp_path, "t", 10)
    assert first.folder != second.folder
    first.append(item(1))
    second.append(item(2))
    first.close()
    second.close()
    again = Spool(tmp_path, "t", 10)
    assert ids(again) == ["1", "2"]


def test_messages_for_a_sink_that_is_not_named_now_are_told(tmp_path):
    spool = Spool(tmp_path, "webhook a", 10)
    spool.append(item(1))
    assert left_elsewhere(tmp_path, []) == []  # a running program has it
    spool.close()
    assert left_elsewhere(tmp_path, []) == [("webhook a", spool.folder, 1)]
    assert left_elsewhere(tmp_path, [spool]) == []
    assert left_elsewhere(tmp_path / "none", []) == []


def _fill(folder: Path) -> None:
    spool = Spool(folder, "t", 100)
    for number in range(1000):
        spool.append(item(number))


class Sink:
    """Fails as it is told, one entry an attempt; then takes everything."""

    def __init__(self, *fails: Exception) -> None:
        self.fails, self.got, self.closed = list(fails), [], False

    def deliver(self, item, is_old) -> None:
        if self.fails:
            raise self.fails.pop(0)
        self.got.append(item["id"])

    def look_after(self) -> None: ...

    def close(self) -> None:
        self.closed = True


def run(sink, *numbers, within_s=20.0, limit=100):
    told = Told()
    worker = Worker("hook", "webhook", sink, Store(limit), told)
    for number in numbers:
        worker.put(item(number))
    worker.start()
    return worker, told


def finish(worker, within_s=20.0) -> None:
    import time

    worker.close()
    worker.wait(time.monotonic() + within_s)
    worker.tell_left()


def test_a_sink_that_is_down_is_told_once_and_gets_everything_in_order():
    from helpers.live_servers import eventually

    sink = Sink(*[SinkDownError("no answer", 0.01)] * 4)
    worker, told = run(sink, 1, 2, 3)
    assert eventually(lambda: sink.got == ["1", "2", "3"])
    finish(worker)
    assert told.lines == ["warning: hook: no answer; trying again until it works",
                          "hook: works again"]  # fmt: skip
    status = worker.status()
    assert (status.sent, status.waiting, status.dropped, status.down) == (3, 0, 0, "")
    assert sink.closed


def test_a_message_that_is_refused_is_left_out_and_stops_no_other():
    sink = Sink(RefusedError("answers 400"))
    worker, told = run(sink, 1, 2)
    finish(worker)
    assert sink.got == ["2"]
    assert worker.status().dropped == 1
    assert told.lines == ["warning: hook: refused, and left out: answers 400"]


def test_an_unforeseen_error_ends_no_thread():
    sink = Sink(ZeroDivisionError("oh"))
    worker, told = run(sink, 1)
    finish(worker)  # closing shortens the pause
    assert (sink.got, len(told.saying("oh"))) == (["1"], 1)


def test_what_is_left_at_the_end_is_told():
    worker, told = run(Sink(*[SinkDownError("gone", 60)] * 9), 1, 2)
    finish(worker)
    assert told.lines[-1] == (
        "warning: hook: 2 messages could not be delivered (gone), and are lost"
    )
    few = Worker("hook", "webhook", Sink(), Store(1), told)
    for number in range(9):
        few.put(item(number))
    assert len(told.saying("dropped so far")) == 4  # 1, 2, 4, 8


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("mqtt://host/door", "mqtt"),
        ("mqtts://me@host:8884", "mqtt"),
        ("https://host/x?y=1", "webhook"),
        ("events.jsonl", "jsonl"),
        ("a/b.CSV", "csv"),
        ("clips/", "clip"),
        ("sound", "sound"),
        ("alarm.wav", "sound"),
    ],
)
def test_a_target_says_of_which_kind_its_sink_is(target, kind):
    assert sink_of(target).kind == kind


def test_a_file_lists_sinks_as_a_config_does(tmp_path):
    file = tmp_path / "sinks.yaml"
    file.write_text("events:\n  sinks:\n    - {kind: csv, path: a}\n    - {kind: jsonl, path: b}\n")
    assert [one.kind for one in sinks_of(str(file))] == ["csv", "jsonl"]
    assert [one.kind for one in sinks_of("e.csv")] == ["csv"]
    file.write_text("events:\n  sinks:\n    - {kind: csv}\n")
    with pytest.raises(ConfigError, match=r"sinks.yaml: events.sinks.0.path: field required"):
        sinks_of(str(file))
    file.write_text("model: {cell: gru}\n")
    with pytest.raises(ConfigError, match="lists no sinks"):
        sinks_of(str(file))


@pytest.mark.parametrize("target", ["ftp://host/a", "events.txt", "mqtt://", "mqtt://u:p@host", ""])
def test_a_target_that_is_none_is_refused(target):
    with pytest.raises(ConfigError, match="--to"):
        sink_of(target)


def test_what_cannot_work_is_refused_before_a_model_is_loaded(tmp_path, monkeypatch):
    other = tmp_path / "other.csv"
    other.write_text("name,age\n")
    zone = [[0, 0], [1, 0], [0, 1]]
    wrong = [
        ({"kind": "jsonl", "path": "e.jsonl", "classes": ["fly"]}, "no class fly; it knows fall"),
        ({"kind": "jsonl", "path": "e.jsonl", "zone": zone}, "add --per-person"),
        ({"kind": "jsonl", "path": str(tmp_path / "no" / "e.jsonl")}, "make it first"),
        ({"kind": "csv", "path": str(other)}, "has other columns"),
        ({"kind": "clip", "path": str(other)}, "is a file; choose another folder"),
        ({"kind": "sound", "player": "no-such-player"}, "there is no such program"),
        ({"kind": "sound", "file": "no.wav", "player": "true"}, "no file at no.wav"),
        ({"kind": "webhook", "url": "https://h/${NO_SUCH}"}, "has no NO_SUCH"),
        ({"kind": "webhook", "url": "https://h", "ca_file": str(other)}, "holds no certificates"),
        ({"kind": "mqtt", "url": "mqtt://h", "password_file": "no"}, "cannot be read"),
    ]
    monkeypatch.chdir(tmp_path)
    for keys, said in wrong:
        sinks = build_config({"events": {"sinks": [keys]}}).events.sinks
        with pytest.raises(ConfigError, match=said):
            check_sinks(sinks, ["fall"], per_person=False)
    check_sinks(build_config({"events": {"sinks": [{**wrong[1][0]}]}}).events.sinks, [], True)


def test_the_spool_lies_where_it_outlives_the_program(monkeypatch):
    monkeypatch.setenv("ACTION_GRU_HOME", "/there")
    assert spool_folder() == Path("/there/spool")
    monkeypatch.delenv("ACTION_GRU_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert spool_folder() == Path("/state/action_gru/spool")


def test_sources_of_one_name_are_told_apart():
    assert names_of(["a", "b", "a", "a"]) == ("a", "b", "a (2)", "a (3)")


def test_a_mistake_of_ours_ends_no_later_event(tmp_path, monkeypatch):
    told, due = Told(), Conditions.due

    def fails_at_first(self, watched, is_over):
        if watched.event.label == "fall":
            raise ZeroDivisionError("oh")
        return due(self, watched, is_over)

    monkeypatch.setattr(Conditions, "due", fails_at_first)
    entry = settings(path=str(tmp_path / "e.jsonl"))
    sinks = EventSinks([entry], ["a"], ["fall", "wave"], "m", told, spool=tmp_path / "spool")
    for label in ("fall", "fall", "wave"):
        sinks.look(0, [], [Event(label, 1.0, 2.0)])
    sinks.close()
    assert told.lines == ["warning: events were lost: ZeroDivisionError: oh",
                          "warning: 2 events reached no sink; see above"]  # fmt: skip
    assert json.loads((tmp_path / "e.jsonl").read_text())["label"] == "wave"
    assert sinks.summary() == {"messages_sent": 1, "messages_waiting": 0, "messages_dropped": 2}


@pytest.mark.slow
def test_a_killed_program_leaves_whole_messages(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_fill, args=(tmp_path,))
    process.start()
    from helpers.live_servers import eventually

    assert eventually(lambda: len(list(tmp_path.glob("*/*.json"))) > 20, within_s=60)
    process.kill()
    process.join()
    spool = Spool(tmp_path, "t", 100)
    found = [int(one) for one in ids(spool)]
    assert spool.damaged == 0
    assert len(found) > 20
    assert found == list(range(found[0], found[0] + len(found)))
