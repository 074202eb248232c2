"""Files of measured sequences: what is read, and what each kind of bad input is told."""

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from action_gru.config.inputs import SeriesSection
from action_gru.core.errors import DataError
from action_gru.series import long_table
from action_gru.series.arrays import read_array
from action_gru.series.long_table import arriving_rows, read_long_table
from action_gru.series.recording import Preparer, point_names, preparer_of, specs_of
from action_gru.series.ts import read_ts

TS = """#comment
@problemName Small
@timeStamps false
@missing true
@dimensions 2
@equalLength false
@classLabel true walk run
@data
1,2,?:4,5,6:walk
7,8:9,10:run
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def table(tmp_path: Path, text: str) -> Path:
    return write(tmp_path / "table.csv", text)


def test_interleaved_rows_are_sorted_into_their_ids(tmp_path):
    path = table(tmp_path, "time,b,id,a,label\n0,1,x,2,up\n0,3,y,4,down\n1.5,5,x,,up\n")
    found = read_long_table(path, SeriesSection())
    assert found.channels == ("b", "a")
    first, second = found.items
    assert (first.id, second.id) == ("x", "y")
    assert first.times.tolist() == [0.0, 1.5]
    assert first.values.dtype == np.float32
    np.testing.assert_array_equal(first.values, [[1, 2], [5, np.nan]])
    assert first.labels == ("up", "up")


def test_channels_are_taken_in_the_order_asked_for(tmp_path):
    path = table(tmp_path, "id,time,a,b\nx,0,1,2\n")
    found = read_long_table(path, SeriesSection(channels=("b",)))
    assert found.items[0].values.tolist() == [[2.0]]


def test_dates_are_seconds(tmp_path):
    path = table(tmp_path, "id,time,a\nx,2024-05-01T12:00:00,1\nx,2024-05-01T12:00:30Z,1\n")
    found = read_long_table(path, SeriesSection())
    times = found.items[0].times
    assert times[1] - times[0] == 30.0
    assert found.unit == "s"


def test_numbers_in_a_time_column_are_in_its_own_unit(tmp_path):
    path = table(tmp_path, "id,cycle,a\nx,0,1\nx,1,1\n")
    assert read_long_table(path, SeriesSection(time="cycle")).unit == "cycle"


SPREADSHEET = "id;time;temp;label\np1;0;61,2;ok\np1;1;1,234;ok\np2;0,5;58;leak, big\n"


@pytest.mark.parametrize(
    "data",
    [
        SPREADSHEET.encode(),
        SPREADSHEET.encode("utf-8-sig"),
        SPREADSHEET.encode("utf-16"),
        SPREADSHEET.encode("utf-32"),
        SPREADSHEET.replace(";", "\t").encode("utf-16"),
        SPREADSHEET.replace(";", "\t").encode(),
        SPREADSHEET.replace(";", "|").encode(),
        ("sep=;\r\n" + SPREADSHEET.replace("\n", "\r\n")).encode(),
        ("SEP=:\n" + SPREADSHEET.replace(";", ":")).encode(),
        (SPREADSHEET + ";;;\n;;;\n").encode(),
        ("\n" + SPREADSHEET.replace("61,2", '"61,2"')).encode(),
        SPREADSHEET.replace("61,2", "61.2").replace("1,2", "1.2").replace("0,5", ".5").encode(),
    ],
)
def test_what_spreadsheets_write_is_read(tmp_path, data):
    (tmp_path / "table.csv").write_bytes(data)
    first, second = read_long_table(tmp_path / "table.csv", SeriesSection()).items
    np.testing.assert_array_equal(first.values, np.float32([[61.2], [1.234]]))
    assert second.times.tolist() == [0.5]
    assert second.labels == ("leak, big",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("58", "58.5", "line 4: column 'temp' holds '58.5', which has '.' before its decimals"),
        ("58", "1.234,5", "line 4: column 'temp' holds '1.234,5', which has marks between thous"),
        ("58", "1.234.567", "line 4: column 'temp' holds '1.234.567', which has marks between"),
        ("58", "1 234", "line 4: column 'temp' holds '1 234', which has marks between thousands"),
        ("58", "-Inf", "line 4: column 'temp' holds '-Inf', which is infinite"),
        ("0,5", "0.5", "line 4: column 'time' holds '0.5', which has '.' before its decimals"),
        ("0,5", "2024-05-01", "'2024-05-01', a date where the rows above have numbers"),
        ("p1;1;1,234", "p1;1;1;234", "line 3: has 5 fields, the header has 4"),
        ("p1;1", "p1;-1", "(-1 after 0); sort the rows of each id by time"),
        ("temp", "time", "the column 'time' appears twice"),
        ("temp", "", "column 3 has no name"),
        ("58", '"58', "after line 3: not a CSV"),
        (SPREADSHEET, "", "is empty; the first line is the header"),
        (";", " ", "separate the columns by one of ',' ';' '\\t' '|'"),
    ],
)
def test_a_spreadsheet_s_table_that_is_wrong_is_told_where_and_what(tmp_path, old, new, message):
    assert old in SPREADSHEET
    with pytest.raises(DataError) as caught:
        read_long_table(table(tmp_path, SPREADSHEET.replace(old, new)), SeriesSection())
    assert message in str(caught.value)


def test_a_comma_between_fields_is_never_a_decimal_mark(tmp_path):
    with pytest.raises(DataError, match="line 2: has 4 fields, the header has 3"):
        read_long_table(table(tmp_path, "id,time,a\nx,0,1,234\n"), SeriesSection())
    with pytest.raises(DataError, match=r"a comma-separated file has '.': write all alike"):
        read_long_table(table(tmp_path, 'id,time,a\nx,0,"1,234"\n'), SeriesSection())
    found = read_long_table(table(tmp_path, "id,time,a;b\nx,0,1\n"), SeriesSection())
    assert found.channels == ("a;b",)


def test_text_of_another_encoding_is_refused_with_the_way_to_save_it(tmp_path):
    (tmp_path / "t.csv").write_bytes("id;time;témp\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"no text in UTF-8 or UTF-16 .*save it as 'CSV UTF-8'"):
        read_long_table(tmp_path / "t.csv", SeriesSection())


@pytest.mark.parametrize("cell", ["", "?", "NA", "n/a", "#N/A", "<NA>", "nan", "NaN", "-nan"])
def test_every_usual_spelling_of_a_missing_value_is_one(tmp_path, cell):
    found = read_long_table(table(tmp_path, f"id,time,a\nx,0,{cell}\nx,1,2\n"), SeriesSection())
    np.testing.assert_array_equal(found.items[0].values, [[np.nan], [2]])


def test_ids_are_text_however_many_digits_they_have(tmp_path):
    ids = "99999999999999999999999", "99999999999999999999998"
    text = "id,time,a\n" + "".join(f"{name},0,1\n" for name in ids)
    found = read_long_table(table(tmp_path, text), SeriesSection())
    assert tuple(item.id for item in found.items) == ids


def test_a_date_with_dots_has_its_day_first(tmp_path):
    text = "id;time;a\nx;01.05.2024 12:30;1\nx;2024-05-01T12:31Z;1\n"
    found = read_long_table(table(tmp_path, text), SeriesSection())
    assert (found.items[0].times.tolist(), found.unit) == ([1714566600.0, 1714566660.0], "s")


def test_parquet_reads_as_csv_does(tmp_path):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {"id": [1, 1], "time": [0, 1], "a": [0.5, None], "label": ["up", "up"]}
    )
    frame.write_parquet(tmp_path / "t.parquet")
    found = read_long_table(tmp_path / "t.parquet", SeriesSection())
    np.testing.assert_array_equal(found.items[0].values, [[0.5], [np.nan]])
    assert (found.items[0].id, found.items[0].labels) == ("1", ("up", "up"))


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("id,time,a\nx,0,1\n", {"channels": ("aa",)}, "no column 'aa' (series.channels)"),
        ("id,time,a\nx,0,1\n", {"channels": ("aa",)}, "did you mean 'a'?"),
        ("unit,time,a\nx,0,1\n", {}, "no column 'id' (series.id); it has unit, time, a"),
        ("id,time,a\nx,0,1\nx,1,hot\n", {}, "line 3: column 'a' holds 'hot', which is no number"),
        ("id,time,a\nx,0,inf\n", {}, "line 2: column 'a' holds 'inf'"),
        ("id,time,a\nx,0,1e39\n", {}, "line 2: column 'a' holds '1e39'"),
        ("id,time,a\nx,soon,1\n", {}, "line 2: column 'time' holds 'soon'"),
        ("id,time,a\nx,1,1\nx,0,1\n", {}, "line 3: id 'x' has a time before the row above it"),
        ("id,time,a\nx,1,1\nx,1,2\n", {}, "line 3: id 'x' has the same time as the row above it"),
        ("id,time,a,split\nx,0,1,train\nx,1,1,test\n", {}, "id 'x' is in two splits"),
        ("id,time,a\n,0,1\n", {}, "line 2: the column 'id' is empty"),
        ("id,time,a\nx,0\n", {}, "line 2: has 2 fields, the header has 3"),
        ("id,time,a,a\nx,0,1,2\n", {}, "the column 'a' appears twice"),
        ("id,time\nx,0\n", {}, "has no channel"),
        ("id,time,a\n", {}, "holds a header and no row"),
    ],
)
def test_a_bad_table_is_told_where_and_what(tmp_path, text, columns, message):
    with pytest.raises(DataError) as caught:
        read_long_table(table(tmp_path, text), SeriesSection(**columns))
    assert message in str(caught.value)


def test_ts_gives_cases_of_any_length_with_missing_values(tmp_path):
    found = read_ts(write(tmp_path / "Small_TRAIN.ts", TS))
    first, second = found.items
    np.testing.assert_array_equal(first.values, [[1, 4], [2, 5], [np.nan, 6]])
    assert second.values.tolist() == [[7, 9], [8, 10]]
    assert [item.labels for item in found.items] == [("walk",), ("run",)]
    assert [item.id for item in found.items] == ["Small_TRAIN#1", "Small_TRAIN#2"]
    assert found.unit == "rows"


def test_ts_that_is_not_univariate_keeps_its_dimensions(tmp_path):
    text = TS.replace("@dimensions 2\n", "@dimensions 2\n@univariate false\n")
    with pytest.raises(DataError, match="has 1 dimensions, @dimensions says 2"):
        read_ts(write(tmp_path / "a.ts", text.replace("7,8:9,10:run", "7,8:run")))


def test_ts_reads_time_stamps(tmp_path):
    text = TS.replace("@timeStamps false", "@timeStamps true")
    text = text[: text.index("1,2,?")] + "(0,1),(2,3):(0,5),(2,?):walk\n"
    found = read_ts(write(tmp_path / "a.ts", text))
    case = found.items[0]
    assert found.unit == "time"
    assert case.times.tolist() == [0.0, 2.0]
    np.testing.assert_array_equal(case.values, [[1, 5], [3, np.nan]])


DATED = """@problemName S
@timeStamps true
@univariate true
@classLabel true up down
@data
(2024-05-01 00:00:00,1.0),(2024-05-01 00:01:00,2.0):up
( 2024-05-02T00:00:00Z , 3.5 ),(2024-05-02 00:01,?):down
"""


def test_ts_reads_dates_as_csv_does(tmp_path):
    found = read_ts(write(tmp_path / "a.ts", DATED))
    assert found.unit == "s"
    first, second = found.items
    assert first.times.tolist() == [1714521600.0, 1714521660.0]
    assert second.times.tolist() == [1714608000.0, 1714608060.0]
    np.testing.assert_array_equal(second.values, [[3.5], [np.nan]])
    assert [item.labels for item in found.items] == [("up",), ("down",)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("@timeStamps true\n", "", "dimension 1: '(2024-05-01 00' is no number; write ? for a"),
        ("@timeStamps true\n", "", "'@timeStamps true' for (time,value)"),
        ("00:01:00,2.0)", "00:01:00,2.0),junk", "line 6: dimension 1: 'junk' is no pair"),
        ("00:01:00,2.0)", "00:01:00,2.0,7)", "00:01:002.07)' is no pair (time,value)"),
        (
            "2024-05-01 00:01:00",
            "01/05/24",
            "column 'time' holds '01/05/24', which is no number",
        ),
        ("2024-05-01 00:01:00", "7", "column 'time' holds '7', a number where the rows above have"),
        ("00:01:00,2.0", "00:00:00,2.0", "line 6: dimension 1: value 2 has the same"),
        ("@classLabel true up down\n", "", "the header needs '@classLabel true'"),
        ("@classLabel true", "@classLabel yes", "line 4: '@classLabel yes up down' needs a value"),
    ],
)
def test_a_ts_file_with_times_that_is_not_what_it_says_is_refused(tmp_path, old, new, message):
    assert old in DATED
    with pytest.raises(DataError) as caught:
        read_ts(write(tmp_path / "a.ts", DATED.replace(old, new)))
    assert message in str(caught.value)


def test_ts_with_dates_in_one_case_and_numbers_in_another_is_refused(tmp_path):
    text = DATED[: DATED.index("( 2024")] + "(1,3.5),(2,4):down\n"
    with pytest.raises(DataError, match=r"line 7: .*'1', a number where the rows above have dates"):
        read_ts(write(tmp_path / "a.ts", text))


@pytest.mark.parametrize("key", ["@targetlabel true", "@targetLabel true", "@TARGETLABEL TRUE"])
@pytest.mark.parametrize("name", ["R_TRAIN.ts", "R_TEST.ts"])
def test_numbers_to_predict_are_refused_and_not_made_classes(tmp_path, key, name):
    text = f"@timeStamps false\n@univariate true\n{key}\n@data\n1,2,3:0.1\n2,2,3:0.2\n"
    with pytest.raises(DataError, match=r"line 3: @targetlabel: numbers to predict \(regression\)"):
        read_ts(write(tmp_path / name, text))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("7,8:9,10:run", "7,8:9:run", "line 10: its dimensions have 1 and 2 values"),
        ("7,8:9,10:run", "7,8:run", "line 10: has 1 dimensions, @dimensions says 2"),
        ("7,8:9,10:run", "7,8:9,10:fly", "the class after the last ':' is 'fly'"),
        ("7,8:9,10:run", "7,1e39:9,10:run", "line 10: dimension 1: '1e39' is no number"),
        ("7,8:9,10:run", "7,x:9,10:run", "line 10: dimension 1: 'x' is no number"),
        ("@equalLength false", "@equalLength true", "line 10: has 2 values a dimension"),
        ("@missing true", "@missing false", "line 9: a value is missing"),
        ("@dimensions 2", "@dimensions two", "line 5: '@dimensions two' needs a value"),
        ("@data\n", "", "no line '@data'"),
        ("1,2,?:4,5,6:walk\n7,8:9,10:run\n", "", "holds no case"),
    ],
)
def test_a_ts_file_that_is_not_what_it_says_is_refused(tmp_path, old, new, message):
    assert old in TS
    with pytest.raises(DataError) as caught:
        read_ts(write(tmp_path / "a.ts", TS.replace(old, new)))
    assert message in str(caught.value)


def test_arrays_keep_float32_and_lay_further_axes_side_by_side(tmp_path):
    values = np.array([[[1.0001, 2], [3, 4]], [[5, 6], [7, 8]]], dtype=np.float64)
    np.save(tmp_path / "a.npy", values)
    found = read_array(tmp_path / "a.npy")
    assert found.dtype == np.float32
    assert found.shape == (2, 4)
    assert found[0, 0] == np.float32(1.0001)  # float16 would make it 1.0


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(6), "got (6,) float64: one frame; stack the frames of a sequence to (T, 6)"),
        (np.zeros(()), "a sequence is an array (T, D)"),
        (np.zeros((1, 40, 6)), "one row of 40 x 6 values; save array[0]"),
        (np.zeros((3, 40, 25, 2)), "4 axes; bring time to the front and reshape to (T, -1)"),
        (np.zeros((0, 3)), "a sequence is an array (T, D)"),
        (np.array([["a"]]), "a sequence is an array (T, D)"),
        (np.zeros((3, 0)), "a sequence is an array (T, D)"),
        (np.array([[1j]]), "a sequence is an array (T, D)"),
        (np.array([[np.inf]]), "holds infinity"),
        (np.array([[1e39]]), "a number too large for float32"),
    ],
)
def test_a_bad_array_is_refused(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError) as caught:
        read_array(tmp_path / "a.npy")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "kind", "message"),
    [
        ("(1000000000000, 10)", "<f4", "mmap length is greater than file size"),
        ("(-1, 4)", "<f4", "negative dimensions"),
        ("(10000000000, 10000000000)", "|V0", "a sequence is an array (T, D)"),
        ("(" * 5000, "<f4", "not a NumPy array file"),
        ("__import__('os').mkdir('harmed')", "<f4", "malformed node"),
    ],
)
def test_an_array_s_header_takes_no_memory_and_runs_nothing(
    tmp_path, monkeypatch, shape, kind, message
):
    monkeypatch.chdir(tmp_path)
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    length = struct.pack("<H", len(header))
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + length + header + b"\0" * 64)
    with pytest.raises(DataError) as caught:
        read_array(tmp_path / "a.npy")
    assert message in str(caught.value)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(("cell", "rows"), [("x" * 100_000, 300), ("x", 200_000)])
def test_a_parquet_bomb_is_refused_by_what_it_would_unpack_to(tmp_path, monkeypatch, cell, rows):
    polars = pytest.importorskip("polars")
    monkeypatch.setattr(long_table, "MOST_CELLS", 100_000)
    monkeypatch.setattr(long_table, "MOST_TABLE_BYTES", 10_000_000)
    path = tmp_path / "a.parquet"
    polars.select(polars.repeat(cell, rows).alias("id")).write_parquet(path)
    assert path.stat().st_size < 200_000
    with pytest.raises(DataError, match=rf"unpacks to {rows} cells from \d+ bytes, more than"):
        read_long_table(path, SeriesSection())


def test_a_line_of_colons_is_read_in_one_pass(tmp_path):
    text = "@timeStamps true\n@data\n" + "(1:" * 100_000
    with pytest.raises(DataError, match=r"dimension 1: .* is no pair"):
        read_ts(write(tmp_path / "a.ts", text))


def test_pickles_are_never_read(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"an array of Python objects, .*save one \.npy a sequence"):
        read_array(tmp_path / "a.npy")


def write_text(path: Path) -> None:
    path.write_text("0,1,2\n3,4,5\n")


def write_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps([1, 2]))


def write_npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, pose=np.ones((3, 2)))


def write_torch(path: Path) -> None:
    torch.save(torch.ones(3, 2), path)


@pytest.mark.parametrize(
    ("save", "kind"),
    [
        (write_text, "text"),
        (write_pickle, "a pickle, which can run code when it is read"),
        (write_npz, "a .npz of one or more arrays"),
        (write_torch, "a zip, as torch.save writes, with a pickle inside"),
        (Path.touch, "an empty file"),
    ],
)
def test_a_file_of_another_kind_is_called_by_its_kind(tmp_path, save, kind):
    save(tmp_path / "a.npy")
    with pytest.raises(DataError) as caught:
        read_array(tmp_path / "a.npy")
    assert f"{kind}, not .npy; save one .npy a sequence" in str(caught.value)


@pytest.mark.parametrize(("points", "body"), [(0, ()), (3, ()), (2, (1, (1, 2)))])
@pytest.mark.parametrize("spans", [(), (1,), (1, 4)])
@pytest.mark.parametrize("averages", [(), (2.0, 4.0, 8.0)])
@pytest.mark.parametrize("elapsed", [False, True])
def test_rows_one_by_one_are_prepared_as_the_whole(points, body, spans, averages, elapsed):
    values = np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)
    values[3, 4] = np.nan
    times = np.array([5, 6, 8, 9, 12, 13, 14, 15, 20], dtype=np.float64)
    settings = points, spans, averages, elapsed, *body
    views = Preparer(6, *settings).views(values, times)
    preparer = Preparer(6, *settings)
    rows = [preparer.push(values[[n]], times[[n]])[0] for n in range(9)]
    np.testing.assert_allclose(np.stack(rows), np.concatenate(views, axis=1), atol=1e-6)
    width = 2 if body else 6
    first = width * (1 + len(averages)) + elapsed
    assert [view.shape[1] for view in views] == preparer.dims
    assert preparer.dims == ([first, (width + points) * len(spans)] if spans else [first])


def test_a_running_average_leaves_missing_values_out():
    # Span 3 halves a row's weight with each row: (8 / 2 + 2) / (1 / 2 + 1) = 4.
    values = np.array([[np.nan], [8], [2], [np.nan]], dtype=np.float32)
    preparer = Preparer(1, averages=(3,), elapsed=True)
    (found,) = preparer.views(values, np.array([1.0, 3, 5, 7]))
    np.testing.assert_allclose(found[:, 1], [np.nan, 8, 4, 4], rtol=1e-6)
    np.testing.assert_array_equal(found[:, 2], [0, 2, 4, 6])


def test_changes_are_read_over_each_span_of_rows():
    values = np.array([[1], [2], [4], [8]], dtype=np.float32)
    _, changes = Preparer(1, spans=(1, 2)).views(values, np.arange(4.0))
    np.testing.assert_array_equal(changes, [[0, 0], [1, 1], [2, 3], [4, 6]])


@pytest.mark.parametrize("body", [(), (3,), (3, (3, 0))])
def test_points_forget_place_and_size(body):
    values = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    moved = values * 3 + np.tile([10, -4], 4).astype(np.float32)
    one, other = (
        Preparer(8, 2, (), (), False, *body).views(rows, np.arange(5.0))[0]
        for rows in (values, moved)
    )
    np.testing.assert_allclose(other, one, atol=1e-4)


def test_points_are_read_around_their_origin_in_the_unit_of_a_body():
    nan = np.nan
    # hand, hip, head; the head is 2, then 6 above the hip: on average 4.
    rows = [[3, 1, 1, 1, 1, 3], [9, 1, 1, 1, 1, 7], [1, 1, nan, nan, 1, 7], [5, 1, 1, 1, nan, nan]]
    channels = ("hand_x", "hand_y", "hip_x", "hip_y", "head_x", "head_y")
    series = SeriesSection(points=2, origin="hip", unit=("head", "hip"), velocity=True)
    preparer = preparer_of(series, channels)
    values, changes = preparer.views(np.array(rows, np.float32), np.arange(4.0))
    # The points that measure are left out; without the origin nothing is known.
    np.testing.assert_allclose(values, [[1, 0], [2, 0], [nan, nan], [1, 0]])
    np.testing.assert_allclose(changes[1], [1, 0, -0.25, -0.25])  # the hip is at 1 of 4, not of 2
    (spec, _) = specs_of(series, channels)
    assert spec.preparation == "points of 2; around hip; in units of head to hip"
    assert spec.dim == 2


@pytest.mark.parametrize("body", [(), (2, (1, 2))])
def test_rows_before_the_first_size_are_missing_and_count_for_nothing(body):
    values = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32)
    hidden = values.copy()
    hidden[:3, 2:] = np.nan  # of three points one, and no unit
    hidden[:3, :2] = np.nan if not body else hidden[:3, :2]
    found, changes = Preparer(6, 2, (1,), (), False, *body).views(hidden, np.arange(6.0))
    wanted, _ = Preparer(6, 2, (1,), (), False, *body).views(values[3:], np.arange(3.0))
    assert np.isnan(found[:3]).all()
    assert np.isnan(changes[:4]).all()
    np.testing.assert_allclose(found[3:], wanted, rtol=1e-6)


def test_a_point_that_is_alone_is_still_read():
    values, changes = Preparer(2, 2, (1,)).views(
        np.array([[1, 2], [3, 2]], np.float32), np.zeros(2)
    )
    assert np.array_equal(values, np.zeros((2, 2)))
    assert changes[1, 2] > 0
    assert np.isfinite(changes).all()


def test_two_points_in_one_place_are_no_unit():
    rows = np.array([[5, 0, 1, 0, 1, 0], [5, 0, 1, 0, 3, 0]], np.float32)
    (values,) = Preparer(6, 2, unit=(1, 2)).views(rows, np.zeros(2))
    assert np.isnan(values[0]).all()
    np.testing.assert_allclose(values[1], [1, 0])


def test_a_point_of_which_a_coordinate_is_missing_does_not_shrink_the_size():
    rows = np.array([[-2, 0, 2, 0, np.nan, 0]], np.float32)
    (values,) = Preparer(6, 2).views(rows, np.zeros(1))
    np.testing.assert_allclose(values, [[-1, 0, 1, 0, np.nan, 0]])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"unit": ("neck", "hip")}, r"series\.unit: no point 'neck'; .* are hand, hip"),
        ({"origin": "neck"}, r"series\.origin: no point 'neck'"),
        ({"unit": ("hand", "hip")}, "origin and unit leave no point that could be read"),
    ],
)
def test_points_that_cannot_measure_a_body_are_refused(body, message):
    with pytest.raises(DataError, match=message):
        preparer_of(SeriesSection(points=2, **body), ("hand_x", "hand_y", "hip_x", "hip_y"))


def test_a_point_is_named_by_what_its_columns_share():
    channels = ["lhx", "lhy", "x_hip", "y_hip", "a", "b", "nose x", "nose y"]
    assert point_names(channels, 2) == ["lh", "hip", "2", "nose"]


def test_columns_that_are_no_whole_points_are_refused():
    with pytest.raises(DataError, match="8 columns are no whole number of points of 3"):
        Preparer(8, points=3)


def test_rows_that_arrive_are_read_or_named():
    lines = ["time,extra,id,b,a\n", "0,x,p,1,2\n", "1,x,p,oops,2\n", "\n", "2,x,p\n", "3,x,p,,4\n"]
    found = list(arriving_rows(lines, SeriesSection(), ("a", "b"), "pipe"))
    assert found[1] == "pipe, line 3: column 'b' holds 'oops', which is no number"
    assert found[2] == "pipe, line 5: has 3 fields, the header has 5"
    np.testing.assert_array_equal(found[3].values, [4, np.nan])
    assert found[0].values.tolist() == [2, 1]
    assert len(found) == 4


def test_rows_of_a_spreadsheet_that_arrive_are_read_as_its_file_is():
    text = "sep=;\nid;time;a\np;0;61,2\n;;\np;1;1,234\np;2;5.5\np;3;1.234,5\n"
    lines = text.splitlines(keepends=True)
    found = list(arriving_rows(lines, SeriesSection(), ("a",), "pipe"))
    assert [row.values.tolist() for row in found[:2]] == [
        [np.float32(61.2)],
        [np.float32(1.234)],
    ]
    assert "pipe, line 6: column 'a' holds '5.5', which has '.' before its decimals" in found[2]
    assert "pipe, line 7: column 'a' holds '1.234,5', which has marks between" in found[3]
    assert len(found) == 4


def test_a_header_that_names_a_column_twice_ends_the_reading():
    with pytest.raises(DataError, match="pipe: the column 'a' appears twice"):
        list(arriving_rows(["id\ttime\ta\ta\n"], SeriesSection(), ("a",), "pipe"))


def test_a_header_without_a_trained_channel_ends_the_reading():
    with pytest.raises(DataError, match="no column 'b'"):
        list(arriving_rows(["id,time,a\n"], SeriesSection(), ("a", "b"), "pipe"))
