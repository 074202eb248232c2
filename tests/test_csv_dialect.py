"""How a CSV is written: encoding, separator, decimal mark."""

from pathlib import Path

import pytest

from action_gru.core.csv_dialect import (
    CellReader,
    find_header,
    open_table,
    read_rows,
    separator_of,
)
from action_gru.timeline import read_segments


@pytest.mark.parametrize(
    ("header", "wanted", "separator"),
    [
        ("path,label,group", (), ","),
        ("path;label;group", (), ";"),
        ("path\tlabel", (), "\t"),
        ("path|label", (), "|"),
        ('"a;b;c",label', (), ","),
        ("path", (), ","),
        ("path,label;one;two;three", ("path",), ","),  # most fields would say ;
        ("\ufeffPATH;label, big, round\n", ("path",), ";"),
    ],
)
def test_the_header_says_what_separates_fields(header, wanted, separator):
    assert separator_of(header, wanted) == separator


@pytest.mark.parametrize(
    ("line", "separator"),
    [
        ("sep=;\r\n", ";"),
        ("SEP=\t\n", "\t"),
        ('"sep=|"\n', "|"),
        ("sep=\n", None),
        ("sep=ab\n", None),
        ("sep=;,label\n", None),
    ],
)
def test_the_line_that_excel_puts_first_is_known(line, separator):
    header = "a,b\n" if separator else line
    assert find_header(iter(["\n", line, "a,b\n"]))[0] == header
    assert separator is None or find_header(iter([line, "a,b\n"])) == (header, separator, 1)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_rows_are_read_in_any_encoding_that_a_byte_order_mark_names(tmp_path: Path, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes("\nsep=;\nnaïve;label\n1,5;x\n".encode(encoding))
    with open_table(path) as table:
        assert (table.names, table.separator) == (["naïve", "label"], ";")
        assert list(table.rows) == [(4, ["1,5", "x"])]


def test_an_empty_file_has_no_rows(tmp_path: Path):
    (tmp_path / "a.csv").touch()
    with open_table(tmp_path / "a.csv") as table:
        assert (table.names, list(table.rows), table.separator) == ([], [], ",")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("61,2", "61.2"),
        ("-,5", "-.5"),
        ("1,234", "1.234"),
        ("1,5e-3", "1.5e-3"),
        ("7", "7"),
        ("01.05.2024", "01.05.2024"),
        ("a,b", "a,b"),
    ],
)
def test_a_number_gets_a_point_and_other_text_stays(text, plain):
    assert CellReader(";").plain(text) == plain


def test_the_first_number_with_decimals_decides_for_the_file():
    mark = CellReader(";")
    assert mark.plain("7") == "7"
    assert mark.plain("1,5") == "1.5"
    with pytest.raises(ValueError, match=r"'\.' before its decimals, where this file's numbers"):
        mark.plain("1.5")


@pytest.mark.parametrize("text", ["1.234,5", "1,234.5", "1.234.567", "1 234", "1'234.5"])
def test_marks_between_thousands_are_refused_and_not_guessed(text):
    with pytest.raises(ValueError, match="marks between thousands"):
        CellReader(";").plain(text)


def test_a_long_row_of_digits_that_is_no_number_is_looked_at_once():
    digits = "1" * 100_000 + "x"  # tried at each of its digits again, it would take minutes
    assert CellReader(";").plain(digits) == digits


def written(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "at,what\n2.5,a\n",
        "\ufeffAt ;What\r\n2,5;a\r\n",
        "at\twhat\n2,5\ta\n",
        '"at";"what"\n"2,5";"a"\n',
    ],
)
def test_separators_and_decimal_commas_give_the_same_rows(tmp_path: Path, text: str) -> None:
    assert read_rows(written(tmp_path, text), ("at", "until")) == (
        ["at", "what"],
        [(2, {"at": "2.5", "what": "a"})],
    )


def test_commas_in_words_stay(tmp_path: Path) -> None:
    path = written(tmp_path, "at;what\n1;a,b\n")
    assert read_rows(path, ("at",))[1] == [(2, {"at": "1", "what": "a,b"})]


@pytest.mark.parametrize("header", ["a,b,A", "a,\ufeffa,b", "a;b; a"])
def test_a_column_twice_is_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(ValueError, match="the column 'a' appears twice"):
        read_rows(written(tmp_path, f"{header}\n"), ())


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no text in UTF-8 or UTF-16"):
        read_rows(written(tmp_path, "a,ü\n", "latin-1"), ())


def test_a_reference_timeline_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffstart_s;end_s;label\r\n0,5;2;walk\r\n")
    assert [(one.label, one.start_s, one.end_s) for one in read_segments(path)] == [
        ("walk", 0.5, 2.0)
    ]
